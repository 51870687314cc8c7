use super::Market;
use super::units::NOWHERE;

/// Units that one chain of displacements moves at most, the first one included.
const CHAIN: usize = 8;
/// Full nodes at which a unit tries to displace others.
const TRIES: usize = 2;
/// What displacing costs beyond prices for each unit of size, as a part of the average worth: sizes leave something over, and prices are not exact.
const FRICTION: f32 = 0.02;

/// A holder that would have to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    id: u32,
    size: [u32; 2],
    /// What is lost if it goes where it is left with most at the prices of now.
    loss: f32,
    /// Whether the loss is by the prices of now, not of when it was last looked at.
    sure: bool,
    out: bool,
}

/// Moves that are undone together if they do not pay, and what they gained so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Trial {
    on: bool,
    /// Units and where they were, with their worth there and what they would have had elsewhere.
    log: Vec<(u32, u32, f32, f32)>,
    gained: f32,
}

impl Market {
    /// Serves a unit that waits: at the node that leaves it most if there is room, or else by displacing others if that gains more than all
    /// of them lose, or else where room is.
    pub(super) fn place(&mut self, id: u32) {
        let unit = self.units.all[id as usize];
        let spot = self.units.spots[id as usize];
        if !unit.alive || spot.node != NOWHERE {
            return;
        }
        self.counts.bids += 1;
        let patience = 0.1 * self.scale * (spot.size[0] + spot.size[1]) as f32;
        let best = self.next_best(id, f32::INFINITY, -patience);
        if let Some((node, worth, _)) = best
            && self.nodes.fits(node, spot.size)
        {
            return self.enter(id, node, worth);
        }
        let free = self.free(id);
        let base = free.map_or(0.0, |(_, _, kept)| kept) + self.margin(spot.size);
        let mut below = f32::INFINITY;
        for _ in 0..TRIES {
            let Some((node, worth, net)) = self.next_best(id, below, -patience) else { break };
            below = net;
            self.open();
            self.chain(id, Some((node, worth)));
            let gained = self.trial.gained;
            let kept = self.close(base);
            if self.live && self.settings.prompt {
                let gain = worth - spot.size[0] as f32 * self.nodes.costs[node as usize];
                self.press(node, id, gain - gained.max(base));
            }
            if kept {
                return;
            }
        }
        if let Some((node, worth, _)) = free {
            self.enter(id, node, worth);
        }
    }

    /// A full node asks what letting a unit in costs the others, or what that unit would have gained there.
    fn press(&mut self, node: u32, id: u32, charge: f32) {
        let size = self.units.spots[id as usize].size;
        let prices = self.nodes.prices(node);
        let short = charge - size[0] as f32 * prices[0] - size[1] as f32 * prices[1];
        let room = self.nodes.room[node as usize];
        let full = [0, 1].map(|r| size[r] > room[r]);
        let parts = full.iter().filter(|full| **full).count();
        if short > 0.0 && parts > 0 {
            for r in (0..2).filter(|r| full[*r]) {
                self.nodes.asks[node as usize][r] += short / (parts as u32 * size[r]) as f32;
            }
        }
    }

    /// Moves a unit to a node that leaves it more, if that gains as a whole.
    pub(super) fn better(&mut self, id: u32) {
        let spot = self.units.spots[id as usize];
        let unit = self.units.all[id as usize];
        let least = self.net(id, spot.node, spot.worth) + unit.move_cost + 2.0 * self.margin(spot.size);
        let Some((node, ..)) = self.next_best(id, f32::INFINITY, least) else { return };
        if node == spot.node {
            return;
        }
        self.counts.bids += 1;
        self.open();
        self.leave(id);
        self.chain(id, None);
        self.fill(spot.node, 2);
        self.close(self.margin(spot.size));
    }

    pub(super) fn margin(&self, size: [u32; 2]) -> f32 {
        self.settings.tolerance * self.scale * (size[0] + size[1]) as f32
    }

    /// A unit goes to the full node given or where it gains most, whoever is displaced goes on, until nobody is left or the chain is long
    /// enough.
    fn chain(&mut self, first: u32, to: Option<(u32, f32)>) {
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.clear();
        waiting.push(first);
        let mut at = 0;
        while let Some(id) = waiting.get(at).copied() {
            at += 1;
            let size = self.units.spots[id as usize].size;
            let free = self.free(id);
            let mut best = free.map_or((0.0, NOWHERE, 0.0), |(node, worth, kept)| (kept, node, worth));
            let mut displaces = false;
            let mut below = f32::INFINITY;
            if let (1, Some((node, worth))) = (at, to) {
                best = (0.0, NOWHERE, 0.0);
                if self.judge(node, id).is_some() {
                    best = (0.0, node, worth);
                    displaces = true;
                    core::mem::swap(&mut self.victims, &mut self.chosen);
                }
            } else if waiting.len() < CHAIN {
                for _ in 0..TRIES {
                    let Some((node, worth, net)) = self.next_best(id, below, 0.0) else { break };
                    below = net;
                    if self.nodes.fits(node, size) {
                        break;
                    }
                    let kept = worth - size[0] as f32 * self.nodes.costs[node as usize];
                    if let Some(loss) = self.judge(node, id)
                        && kept - loss > best.0
                    {
                        best = (kept - loss, node, worth);
                        displaces = true;
                        core::mem::swap(&mut self.victims, &mut self.chosen);
                    }
                }
            }
            let (_, node, worth) = best;
            if node == NOWHERE {
                continue;
            }
            if displaces {
                for turn in 0..self.chosen.len() {
                    let victim = self.chosen[turn];
                    if victim.out {
                        self.leave(victim.id);
                        waiting.push(victim.id);
                    }
                }
                self.loosen(node, 1);
            }
            self.enter(id, node, worth);
        }
        self.waiting = waiting;
    }

    /// The candidate that leaves a unit most of those below `below` and above `least`: node, worth, and what is left.
    fn next_best(&self, id: u32, below: f32, least: f32) -> Option<(u32, f32, f32)> {
        let size = self.units.spots[id as usize].size;
        let by = [size[0] as f32, size[1] as f32];
        let alone = self.units.all[id as usize].ring == id;
        let (nodes, worths) = self.units.edges(id);
        let mut best = (NOWHERE, 0.0, least);
        for (node, worth) in nodes.iter().zip(worths) {
            let ask = self.nodes.asks[*node as usize];
            let net = worth - by[0] * ask[0] - by[1] * ask[1];
            // Of equals the one with more room.
            let roomier = || {
                best.0 != NOWHERE && self.nodes.room[*node as usize][0] > self.nodes.room[best.0 as usize][0]
            };
            if (net > best.2 || net == best.2 && roomier())
                && net < below
                && self.nodes.could_hold(*node, size)
                && (alone || !self.clashes(id, *node))
            {
                best = (*node, *worth, net);
            }
        }
        (best.0 != NOWHERE).then_some(best)
    }

    /// Where a unit gains most of what has room: node, worth, and worth less cost.
    fn free(&self, id: u32) -> Option<(u32, f32, f32)> {
        let size = self.units.spots[id as usize].size;
        let (nodes, worths) = self.units.edges(id);
        let mut best = (NOWHERE, 0.0, 0.0);
        for (node, worth) in nodes.iter().zip(worths) {
            if !self.nodes.fits(*node, size) {
                continue;
            }
            let kept = worth - size[0] as f32 * self.nodes.costs[*node as usize];
            if kept > best.2 && !self.clashes(id, *node) {
                best = (*node, *worth, kept);
            }
        }
        (best.0 != NOWHERE).then_some(best)
    }

    /// What a holder of `node` would be left with elsewhere: its worth where room is, less the price where it would displace others.
    fn elsewhere(&self, id: u32, node: u32) -> f32 {
        let size = self.units.spots[id as usize].size;
        let by = [size[0] as f32, size[1] as f32];
        let (nodes, worths) = self.units.edges(id);
        let friction = FRICTION * self.scale * (by[0] + by[1]);
        let mut best = 0.0;
        for (other, worth) in nodes.iter().zip(worths) {
            let at = *other as usize;
            let ask = self.nodes.asks[at];
            let mut net = worth - by[0] * ask[0] - by[1] * ask[1] - friction;
            if self.nodes.fits(*other, size) {
                net = worth - by[0] * self.nodes.costs[at];
            }
            if net > best
                && *other != node
                && self.nodes.could_hold(*other, size)
                && !self.clashes(id, *other)
            {
                best = net;
            }
        }
        best
    }

    /// Whether another replica of the same demand is in that node's failure domain.
    pub(super) fn clashes(&self, id: u32, node: u32) -> bool {
        if self.units.all[id as usize].ring == id {
            return false;
        }
        let domain = self.nodes.domains[node as usize];
        self.units
            .ring(id)
            .filter(|other| *other != id)
            .filter_map(|other| self.units.node_of(other))
            .any(|at| self.nodes.domains[at as usize] == domain)
    }

    /// Who would have to go from a full node to let a unit in, and what they would lose together. None when that is not enough.
    /// Chosen by what was last known of all holders; of those chosen it is found out anew, until that changes nothing.
    fn judge(&mut self, node: u32, id: u32) -> Option<f32> {
        self.look(node, id);
        let mut victims = core::mem::take(&mut self.victims);
        let lost = loop {
            let lost = self.choose(node, id, &mut victims);
            let mut unsure = victims.iter_mut().filter(|victim| victim.out && !victim.sure).peekable();
            if lost.is_none() || unsure.peek().is_none() {
                break lost;
            }
            unsure.for_each(|victim| {
                (victim.loss, victim.sure) = (self.loss(victim.id, node, f32::NAN), true);
            });
        };
        self.victims = victims;
        lost
    }

    /// Those with the least loss for what is needed.
    fn choose(&self, node: u32, id: u32, victims: &mut [Victim]) -> Option<f32> {
        victims.iter_mut().for_each(|victim| victim.out = false);
        let size = self.units.spots[id as usize].size;
        let room = self.nodes.room[node as usize];
        let mut need = [0, 1].map(|r| i64::from(size[r]) - i64::from(room[r]));
        let mut lost = 0.0;
        while need[0] > 0 || need[1] > 0 {
            let mut best: Option<(f32, usize)> = None;
            for (at, victim) in victims.iter().enumerate().filter(|(_, victim)| !victim.out) {
                let helps: f32 = (0..2)
                    .filter(|r| need[*r] > 0)
                    .map(|r| i64::from(victim.size[r]).min(need[r]) as f32 / need[r] as f32)
                    .sum();
                let price = victim.loss.max(1e-6) / helps;
                if helps > 0.0 && best.is_none_or(|(least, _)| price < least) {
                    best = Some((price, at));
                }
            }
            let victim = &mut victims[best?.1];
            victim.out = true;
            lost += victim.loss;
            need = [0, 1].map(|r| need[r] - i64::from(victim.size[r]));
        }
        // Whoever need not go after all stays.
        for victim in victims.iter_mut().filter(|victim| victim.out && victim.loss > 0.0) {
            let without = [0, 1].map(|r| need[r] + i64::from(victim.size[r]));
            if without[0] <= 0 && without[1] <= 0 {
                (need, victim.out) = (without, false);
                lost -= victim.loss;
            }
        }
        Some(lost)
    }

    /// What a node's holders would lose; of many holders some, in a row from anywhere. Who was moved in this trial stays. The first of the row
    /// is looked at anew, so that what is known of holders that are never chosen does not stay for ever.
    fn look(&mut self, node: u32, id: u32) {
        let mut victims = core::mem::take(&mut self.victims);
        victims.clear();
        let count = self.nodes.holders[node as usize].len();
        let looks = count.min(self.settings.samples as usize);
        let start = if count > 0 { self.dice.below(count) } else { 0 };
        for turn in 0..looks {
            let at = start + turn;
            let holder = self.nodes.holders[node as usize][if at < count { at } else { at - count }];
            if self.trial.log.iter().any(|(moved, ..)| *moved == holder)
                || self.units.ring(holder).any(|other| other == id)
            {
                continue;
            }
            let known = if turn == 0 { f32::NAN } else { self.units.spots[holder as usize].elsewhere };
            let loss = self.loss(holder, node, known);
            let size = self.units.spots[holder as usize].size;
            victims.push(Victim { id: holder, size, loss, sure: known.is_nan(), out: false });
        }
        self.victims = victims;
    }

    /// What a holder of `node` would lose if it had to go, by what is known of its other candidates; what is not a number is looked at.
    fn loss(&mut self, id: u32, node: u32, known: f32) -> f32 {
        let elsewhere = if known.is_nan() { self.elsewhere(id, node) } else { known };
        let spot = &mut self.units.spots[id as usize];
        spot.elsewhere = elsewhere;
        let kept = spot.worth - spot.size[0] as f32 * self.nodes.costs[node as usize];
        kept - (elsewhere - self.units.all[id as usize].move_cost).max(0.0)
    }

    /// From here on, moves can be undone.
    fn open(&mut self) {
        self.trial.on = true;
        self.trial.gained = 0.0;
        self.trial.log.clear();
    }

    /// Keeps what was tried if it gained more than that, and undoes it otherwise.
    fn close(&mut self, least: f32) -> bool {
        self.trial.on = false;
        let mut log = core::mem::take(&mut self.trial.log);
        let kept = self.trial.gained > least;
        if !kept {
            for (id, ..) in &log {
                self.leave(*id);
            }
            for (at, (id, node, worth, elsewhere)) in log.iter().enumerate() {
                if *node != NOWHERE && log[..at].iter().all(|(other, ..)| other != id) {
                    self.enter(*id, *node, *worth);
                    self.units.spots[*id as usize].elsewhere = *elsewhere;
                }
            }
        }
        log.clear();
        self.trial.log = log;
        kept
    }

    /// Puts a unit at a node that has room.
    pub(super) fn enter(&mut self, id: u32, node: u32, worth: f32) {
        let unit = &mut self.units.all[id as usize];
        if core::mem::replace(&mut unit.served, true) {
            self.counts.moves += 1;
        }
        let holders = &mut self.nodes.holders[node as usize];
        unit.held = holders.len() as u32;
        holders.push(id);
        let spot = &mut self.units.spots[id as usize];
        (spot.node, spot.worth, spot.elsewhere) = (node, worth, f32::NAN);
        let room = &mut self.nodes.room[node as usize];
        *room = [room[0] - spot.size[0], room[1] - spot.size[1]];
        if self.trial.on {
            self.trial.gained += worth - spot.size[0] as f32 * self.nodes.costs[node as usize];
            let was = self.trial.log.iter().find(|(moved, ..)| *moved == id).map(|(_, was, ..)| *was);
            match was {
                None => self.trial.log.push((id, NOWHERE, 0.0, f32::NAN)),
                Some(was) if was != NOWHERE && was != node => self.trial.gained -= unit.move_cost,
                Some(_) => {}
            }
        }
    }

    /// Takes a unit from its node. Gives the node.
    pub(super) fn leave(&mut self, id: u32) -> Option<u32> {
        let spot = &mut self.units.spots[id as usize];
        let node = core::mem::replace(&mut spot.node, NOWHERE);
        if node == NOWHERE {
            return None;
        }
        if self.trial.on {
            self.trial.gained -= spot.worth - spot.size[0] as f32 * self.nodes.costs[node as usize];
            self.trial.log.push((id, node, spot.worth, spot.elsewhere));
        }
        spot.worth = 0.0;
        let room = &mut self.nodes.room[node as usize];
        *room = [room[0] + spot.size[0], room[1] + spot.size[1]];
        let holders = &mut self.nodes.holders[node as usize];
        let held = self.units.all[id as usize].held;
        holders.swap_remove(held as usize);
        if let Some(moved) = holders.get(held as usize) {
            self.units.all[*moved as usize].held = held;
        }
        Some(node)
    }

    pub(super) fn queue(&mut self, id: u32) {
        let unit = &mut self.units.all[id as usize];
        if !core::mem::replace(&mut unit.queued, true) {
            self.pending.push_back(id);
        }
    }
}
