use super::Market;
use super::units::NOWHERE;

/// How much of a price counts as earned again by room that becomes free. Less than all: sizes leave something over.
const CREDIT: f32 = 0.8;
/// Units that a node takes in a row.
const TAKES: u32 = 4;

impl Market {
    /// Notes that a node has room. Others' holders may come for it, whose nodes then have room, at most `depth` deep.
    pub(super) fn loosen(&mut self, node: u32, depth: u8) {
        let room = self.nodes.room[node as usize];
        if room[0] > 0 && !core::mem::replace(&mut self.nodes.queued[node as usize], true) {
            self.slack.push_back((node, depth));
        }
    }

    /// Room goes to those who gain most for what they take of it.
    pub(super) fn fill(&mut self, node: u32, depth: u8) {
        for _ in 0..TAKES {
            let room = self.nodes.room[node as usize];
            if room[0] == 0 {
                return;
            }
            let Some((id, worth)) = self.taker(node, if depth > 0 { CREDIT } else { 0.0 }) else { return };
            self.counts.attracted += 1;
            let from = self.leave(id);
            self.enter(id, node, worth);
            if let Some(from) = from {
                self.loosen(from, depth.saturating_sub(1));
            }
        }
    }

    /// The unit that gains most by coming; of many that know the node some, in a row from anywhere.
    fn taker(&mut self, node: u32, credit: f32) -> Option<(u32, f32)> {
        let at = node as usize;
        let (room, cost) = (self.nodes.room[at], self.nodes.costs[at]);
        let prices = self.nodes.prices(node);
        // What is free is worth little, but not nothing: of two with equal gain the smaller one comes.
        let least = self.scale * 1e-3;
        let margin = self.settings.tolerance * self.scale;
        let names = self.nodes.named[at].len();
        let looks = names.min(self.settings.looks as usize);
        let start = if looks < names { self.dice.below(names) } else { 0 };
        let mut best = (0.0f32, NOWHERE, 0.0f32);
        for turn in 0..looks {
            let place = if start + turn < names { start + turn } else { start + turn - names };
            let name = self.nodes.named[at][place];
            let spot = self.units.spots[name.unit as usize];
            let size = spot.size;
            if size[0] > room[0]
                || size[1] > room[1]
                || spot.node == node
                || spot.generation != name.generation
            {
                continue;
            }
            let by = [size[0] as f32, size[1] as f32];
            let mut gain = name.worth - by[0] * cost;
            if spot.node != NOWHERE {
                let there = self.nodes.asks[spot.node as usize];
                let cost = self.nodes.costs[spot.node as usize];
                gain -= spot.worth - by[0] * (cost + credit * (there[0] - cost)) - by[1] * credit * there[1];
                gain -= margin * (by[0] + by[1]);
            }
            let worth = gain / (by[0] * (prices[0] + least) + by[1] * (prices[1] + least));
            if worth > best.0 && !self.clashes(name.unit, node) {
                let moving = spot.node != NOWHERE;
                if moving && gain <= self.units.all[name.unit as usize].move_cost {
                    continue;
                }
                best = (worth, name.unit, name.worth);
            }
        }
        let (_, id, worth) = best;
        (id != NOWHERE).then_some((id, worth))
    }

    /// Works off what waits, with at most so many steps.
    pub(super) fn settle(&mut self, steps: u64) {
        for _ in 0..steps {
            if let Some(unit) = self.pending.pop_front() {
                self.units.all[unit as usize].queued = false;
                if self.units.all[unit as usize].alive {
                    if self.live {
                        self.feel(unit);
                    }
                    self.place(unit);
                }
            } else if let Some((node, depth)) = self.slack.pop_front() {
                self.nodes.queued[node as usize] = false;
                self.fill(node, depth);
            } else {
                return;
            }
        }
    }
}
