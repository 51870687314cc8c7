//! Several contents on nodes with uplinks of a trace, little storage, and lives of hours: what remains of U when replicas have to be
//! packed. The contents are one periodic demand, each shifted as for another time zone and weighed 1, 1/2, 1/3 and so on.

use super::{Demand, fluid};
use peeredge_routing::deploy::{Decision, Need, Node, Placement, TargetSettings, Targets};
use peeredge_routing::registry::Member;
use peeredge_wire::ContentId;
use peeredge_wire::dice;

const CONTENTS: usize = 6;
const LEAD: usize = 2;
/// A content's length is a quarter of a slot of the median node's upload: that is how long a fill takes.
const FILL: f64 = 0.25;
/// Contents that fit one node.
const ROOM: u64 = 2;
/// Share of the nodes that is still there a slot later: lives of a day.
const STAYS: f64 = 47.0 / 48.0;
/// Nodes that the mean demand would keep busy.
const BUSY: f64 = 60.0;

/// The world's demands and nodes.
pub struct World {
    demands: Vec<Vec<f64>>,
    uploads: Vec<u64>,
    from: usize,
    day: usize,
    week: usize,
    bytes: u64,
    seed: u64,
}

pub struct Packed {
    pub outcome: fluid::Outcome,
    /// Fills over bytes served.
    pub fills: f64,
}

impl World {
    pub fn new(demand: &Demand, uploads: &[u32], seed: u64) -> Self {
        let weights: f64 = (1..=CONTENTS).map(|rank| 1.0 / rank as f64).sum();
        let mean = demand.slots.iter().sum::<f64>() / demand.slots.len() as f64;
        let median = f64::from(uploads[uploads.len() / 2]);
        let middle = uploads.iter().map(|up| f64::from(*up)).sum::<f64>() / uploads.len() as f64;
        // Twelve weeks are enough, and of those the second half counts.
        let from = demand.from.min(6 * demand.week_slots);
        let count = (demand.slots.len() - CONTENTS * demand.day_slots / 8).min(2 * from);
        let demands = (0..CONTENTS)
            .map(|rank| {
                let scale = BUSY * middle / mean / weights / (rank + 1) as f64;
                let shift = rank * demand.day_slots / 8;
                demand.slots[shift..shift + count].iter().map(|asked| asked * scale).collect()
            })
            .collect();
        World {
            demands,
            uploads: uploads.iter().map(|up| u64::from(*up).max(1)).collect(),
            from,
            day: demand.day_slots,
            week: demand.week_slots,
            bytes: (median * FILL) as u64,
            seed,
        }
    }

    fn node(&self, number: u64) -> Node {
        let dice = spread(self.seed, number);
        let upload = self.uploads[(dice % self.uploads.len() as u64) as usize];
        Node { upload, storage: ROOM * self.bytes, domain: (dice >> 40) as u32 % 12 }
    }

    /// Plays one way of deciding: given the slot that has ended, the content, and what it has.
    fn play(&self, mut decide: impl FnMut(usize, usize, &Placement, ContentId) -> Decision) -> Packed {
        let mut placement = Placement::new(LEAD);
        let nodes = (BUSY * 5.0) as u64;
        let mut members: Vec<u64> = (0..nodes).collect();
        members.iter().for_each(|n| placement.join(Member(*n), self.node(*n)));
        let mut next = nodes;
        let mut outcome = fluid::Outcome::default();
        let mut filled = 0.0;
        for slot in 0..self.demands[0].len() {
            if slot >= self.from {
                outcome.rented += placement.rented() as f64;
                let (asked, served) = self.serve(slot, &placement);
                outcome.asked += asked;
                outcome.served += served;
            }
            let needs: Vec<Need> = (0..CONTENTS)
                .map(|content| {
                    let id = name(content);
                    let decision = decide(slot, content, &placement, id);
                    Need { content: id, bytes: self.bytes, decision }
                })
                .collect();
            let orders = placement.step(&needs);
            let fills =
                orders.iter().filter(|o| matches!(o, peeredge_routing::deploy::Order::Fill { .. })).count();
            if slot >= self.from {
                filled += fills as f64 * self.bytes as f64;
            }
            for member in &mut members {
                let dice = spread(self.seed ^ 0x6c65_6176, slot as u64 * nodes + *member);
                if (dice >> 11) as f64 / (1u64 << 53) as f64 > STAYS {
                    placement.leave(Member(*member));
                    *member = next;
                    placement.join(Member(next), self.node(next));
                    next += 1;
                }
            }
        }
        outcome.filled = filled;
        Packed { fills: filled / outcome.served.max(1.0), outcome }
    }

    /// What the ready replicas serve, each with the share of its node's upload that is meant for it.
    fn serve(&self, slot: usize, placement: &Placement) -> (f64, f64) {
        let (mut asked, mut served) = (0.0, 0.0);
        for (content, demand) in self.demands.iter().enumerate() {
            let ready: f64 = placement
                .holders_of(name(content))
                .filter(|holder| holder.2)
                .map(|holder| holder.1 as f64)
                .sum();
            asked += demand[slot];
            served += demand[slot].min(ready);
        }
        (asked, served)
    }

    pub fn ours(&self, missed: f64) -> Packed {
        let settings = TargetSettings {
            short_slots: self.day,
            long_slots: self.week,
            lead_slots: LEAD,
            fill_slots: FILL,
            missed,
            stays: STAYS,
        };
        let mut targets: Vec<Targets> = (0..CONTENTS).map(|_| Targets::new(settings)).collect();
        self.play(|slot, content, placement, id| {
            targets[content].observe(self.demands[content][slot]);
            targets[content].decide(&placement.capacity(id))
        })
    }

    pub fn reactive(&self, hold: usize, headroom: f64) -> Packed {
        self.play(|slot, content, placement, id| {
            let seen = &self.demands[content][(slot + 1).saturating_sub(hold)..=slot];
            toward(placement, id, headroom * seen.iter().copied().fold(0.0, f64::max))
        })
    }

    pub fn fixed(&self, headroom: f64) -> Packed {
        let means: Vec<f64> = self.demands.iter().map(|d| d.iter().sum::<f64>() / d.len() as f64).collect();
        self.play(|_, content, placement, id| toward(placement, id, headroom * means[content]))
    }

    /// Knows what will be asked for, but not who will leave.
    pub fn foresight(&self, headroom: f64) -> Packed {
        self.play(|slot, content, placement, id| {
            let demand = &self.demands[content];
            let at = |ahead: usize| headroom * demand[(slot + ahead).min(demand.len() - 1)];
            let capacity = placement.capacity(id);
            let mut left = capacity.ready;
            for ahead in 1..=LEAD {
                left = ((left + capacity.coming.get(ahead - 1).unwrap_or(&0.0)) * STAYS).min(at(ahead));
            }
            Decision { keep: at(1) / STAYS, add: (at(LEAD) - left).max(0.0) / STAYS.powi(LEAD as i32) }
        })
    }

    /// Nodes rented all the time, each holding what was last asked of it; a content's bytes go round the ring from the place of
    /// its name and pass by nodes that have more than their share (consistent hashing with bounded loads: Mirrokni, Thorup,
    /// Zadimoghaddam, SODA 2018). What a node does not hold it begins to fetch; until then those behind it on the ring serve.
    pub fn hashed(&self, nodes: f64) -> Packed {
        let count = nodes as usize;
        let mut ring: Vec<(u64, Node)> = (0..count as u64).map(|n| (n, self.node(n))).collect();
        let mut held: Vec<Vec<(usize, usize, usize)>> = vec![Vec::new(); count];
        let mut next = count as u64;
        let mut outcome = fluid::Outcome::default();
        for slot in 0..self.demands[0].len() {
            let counts = slot >= self.from;
            let all: f64 = self.demands.iter().map(|d| d[slot]).sum();
            let upload: f64 = ring.iter().map(|n| n.1.upload as f64).sum();
            // No node is given more than a tenth beyond its share of what is asked for.
            let bound = (1.1 * all / upload).min(1.0);
            let mut free: Vec<f64> = ring.iter().map(|n| n.1.upload as f64 * bound).collect();
            outcome.rented += if counts { upload } else { 0.0 };
            for (content, demand) in self.demands.iter().enumerate() {
                let mut left = demand[slot];
                outcome.asked += if counts { left } else { 0.0 };
                let mut wanted = left;
                let start = (spread(content as u64, 1) % count as u64) as usize;
                for place in (0..count).map(|step| (start + step) % count) {
                    if wanted <= 0.0 && left <= 0.0 {
                        break;
                    }
                    let own = held[place].iter_mut().find(|(what, ..)| *what == content);
                    let give = free[place].min(if own.is_some() { left.max(0.0) } else { wanted.max(0.0) });
                    if give <= 0.0 {
                        continue;
                    }
                    wanted -= give;
                    match own {
                        Some((_, ready, used)) => {
                            *used = slot;
                            if *ready <= slot {
                                free[place] -= give;
                                left -= give;
                                outcome.served += if counts { give } else { 0.0 };
                            }
                        }
                        None => {
                            if held[place].len() as u64 >= ROOM {
                                let oldest = (0..held[place].len()).min_by_key(|at| held[place][*at].2);
                                held[place].swap_remove(oldest.expect("it is full"));
                            }
                            held[place].push((content, slot + LEAD, slot));
                            outcome.filled += if counts { self.bytes as f64 } else { 0.0 };
                        }
                    }
                }
            }
            for place in 0..count {
                let dice = spread(self.seed ^ 0x6c65_6176, slot as u64 * count as u64 + ring[place].0);
                if (dice >> 11) as f64 / (1u64 << 53) as f64 > STAYS {
                    ring[place] = (next, self.node(next));
                    held[place].clear();
                    next += 1;
                }
            }
        }
        Packed { fills: outcome.filled / outcome.served.max(1.0), outcome }
    }
}

fn toward(placement: &Placement, id: ContentId, target: f64) -> Decision {
    let capacity = placement.capacity(id);
    let there = capacity.ready + capacity.coming.iter().sum::<f64>();
    Decision { keep: target, add: (target - there).max(0.0) }
}

fn name(content: usize) -> ContentId {
    ContentId([content as u8; 32])
}

fn spread(seed: u64, number: u64) -> u64 {
    dice::mix(seed.wrapping_add(number.wrapping_mul(dice::GOLDEN)))
}

/// The best of each way at 99 % served, as a table; gives our U over the best other's, less 1.
pub fn table(world: &World) -> (f64, f64, f64) {
    let best = |low: f64, high: f64, run: &dyn Fn(f64) -> Packed| {
        let (knob, _) = fluid::at_service(low, high, 8, |knob| run(knob).outcome);
        (knob, run(knob))
    };
    let mut rows: Vec<(String, f64, Packed)> = Vec::new();
    let (knob, packed) = best(0.5, 6.0, &|knob| world.fixed(knob));
    rows.push(("static".into(), knob, packed));
    let (knob, packed) = best(BUSY / 2.0, BUSY * 8.0, &|knob| world.hashed(knob));
    rows.push(("hash-LRU, bounded loads".into(), knob, packed));
    for hold in [1, world.day / 2, world.day] {
        let (knob, packed) = best(0.5, 12.0, &|knob| world.reactive(hold, knob));
        rows.push((format!("reactive, most of {hold}"), knob, packed));
    }
    let (knob, packed) = best(1.05, 200.0, &|knob| world.ours(knob));
    rows.push(("ours".into(), knob, packed));
    let (knob, packed) = best(0.9, 3.0, &|knob| world.foresight(knob));
    rows.push(("foresight".into(), knob, packed));
    println!("{:<26} {:>8} {:>8} {:>8} {:>8}", "placement", "U", "served", "fills", "knob");
    for (name, knob, packed) in &rows {
        println!(
            "{:<26} {:>8.3} {:>8.4} {:>8.3} {:>8.2}",
            name,
            packed.outcome.u(),
            packed.outcome.service(),
            packed.fills,
            knob
        );
    }
    let u = |at: usize| if rows[at].2.outcome.service() >= 0.99 { rows[at].2.outcome.u() } else { 0.0 };
    let base = (0..rows.len() - 2).map(u).fold(0.0, f64::max);
    let (ours, foresight) = (u(rows.len() - 2), u(rows.len() - 1));
    (ours / base - 1.0, (ours - base) / (foresight - base), rows[rows.len() - 2].2.fills)
}
