use super::units::NOWHERE;
use super::{Market, MarketCounts};

/// The best and second-best choice of a unit.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub(super) node: u32,
    pub(super) worth: f32,
    /// What is left after cost and price.
    pub(super) net: f32,
    /// The same at the second-best node, or 0 for no node at all.
    pub(super) second: f32,
}

impl Market {
    /// Lets all who wait bid until nobody does, then checks everyone until hardly anyone wants to change, at most `rounds` times.
    pub fn solve(&mut self, rounds: u32) {
        let steps = u64::from(self.settings.steps_per_demand) * self.units.all.len() as u64;
        let fine = core::mem::replace(&mut self.settings.tolerance, self.settings.coarse);
        self.settle(steps);
        self.settings.tolerance = fine;
        for _ in 0..rounds {
            let before = self.counts;
            self.turn = 0;
            for _ in 0..self.units.all.len() {
                self.check_next();
                self.settle(64);
            }
            self.settle(steps);
            let MarketCounts { bids, attracted, .. } = self.counts;
            if (bids - before.bids + attracted - before.attracted) * 1000 < self.units.all.len() as u64 {
                break;
            }
        }
    }

    /// Finds prices before anyone bids: all say where they would go, and prices follow what was asked of each node, in ever smaller
    /// steps. The auction then starts a little below them. For a market in which nobody is served yet.
    pub fn level(&mut self, sweeps: u32) {
        let nodes = self.nodes.states.len();
        let mut step = 0.0;
        for sweep in 0..sweeps {
            let mut asked = vec![[0u64; 2]; nodes];
            let (mut left, mut sized) = (0.0f64, 0.0f64);
            for id in 0..self.units.all.len() as u32 {
                let unit = &self.units.all[id as usize];
                if let Some(choice) = self.choose(id) {
                    let sum = &mut asked[choice.node as usize];
                    let size = unit.size;
                    *sum = [sum[0] + u64::from(size[0]), sum[1] + u64::from(size[1])];
                    left += f64::from(choice.net);
                    sized += f64::from(self.nodes.effective(choice.node, size));
                }
            }
            if sweep == 0 {
                // Half of what the mean demand could pay for a unit of size.
                step = (left / sized.max(1.0)) as f32 * 0.5;
            }
            for (id, asked) in asked.iter().enumerate() {
                let state = &mut self.nodes.states[id];
                let over = [0, 1].map(|r| match state.node.capacity[r] {
                    0 => -1.0,
                    capacity => (asked[r] as f32 / capacity as f32 - 1.0).min(1.0),
                });
                state.price = (state.price + step * over[0].max(over[1])).max(0.0);
                if state.node.capacity[1] > 0 {
                    state.mix = (state.mix + 0.2 * (over[0] - over[1])).clamp(0.0, 1.0);
                }
                self.nodes.quote(id as u32);
            }
            step *= 0.75;
        }
        for id in 0..nodes as u32 {
            let state = &mut self.nodes.states[id as usize];
            state.price = (state.price - step).max(0.0);
            self.nodes.quote(id);
        }
    }

    /// Lowers the prices of nodes with room until nobody comes for them.
    pub fn relax(&mut self) {
        for node in 0..self.nodes.states.len() as u32 {
            self.loosen(node);
        }
        self.settle(u64::from(self.settings.steps_per_demand) * self.units.all.len() as u64);
    }

    /// Works off what waits, with at most so many steps.
    pub(super) fn settle(&mut self, steps: u64) {
        for _ in 0..steps {
            if let Some(unit) = self.pending.pop_front() {
                self.units.all[unit as usize].queued = false;
                self.bid(unit);
            } else if let Some(node) = self.slack.pop_front() {
                self.nodes.states[node as usize].slack = false;
                self.attract(node);
            } else {
                return;
            }
        }
    }

    /// What a unit would choose at the prices of now. None when it gains nothing anywhere.
    pub(super) fn choose(&self, id: u32) -> Option<Choice> {
        let unit = &self.units.all[id as usize];
        let (nodes, worths) = self.units.edges(id);
        let size = [unit.size[0] as f32, unit.size[1] as f32];
        let alone = unit.ring == id;
        let mut best = Choice { node: NOWHERE, worth: 0.0, net: 0.0, second: 0.0 };
        for (node, worth) in nodes.iter().zip(worths) {
            let ask = self.nodes.asks[*node as usize];
            let net = worth - size[0] * ask[0] - size[1] * ask[1];
            if net > best.second
                && self.nodes.could_hold(*node, unit.size)
                && (alone || !self.clashes(id, *node))
            {
                if net > best.net {
                    best = Choice { node: *node, worth: *worth, net, second: best.net };
                } else {
                    best.second = net;
                }
            }
        }
        (best.node != NOWHERE).then_some(best)
    }

    /// Whether another replica of the same demand is in that node's failure domain.
    pub(super) fn clashes(&self, id: u32, node: u32) -> bool {
        let domain = self.nodes.domains[node as usize];
        self.units
            .ring(id)
            .filter(|other| *other != id)
            .filter_map(|other| self.units.node_of(other))
            .any(|at| at == node || self.nodes.domains[at as usize] == domain)
    }

    fn bid(&mut self, id: u32) {
        let unit = self.units.all[id as usize];
        if !unit.alive || unit.node != NOWHERE {
            return;
        }
        let Some(choice) = self.choose(id) else {
            self.fill(id);
            return;
        };
        let size = self.nodes.effective(choice.node, unit.size);
        let price = self.nodes.states[choice.node as usize].price;
        let bid = price + (choice.net - choice.second) / size + self.settings.tolerance;
        self.counts.bids += 1;
        self.enter(id, choice.node, choice.worth, bid);
    }

    /// A unit that can pay no node's price takes room that nobody else uses.
    fn fill(&mut self, id: u32) {
        let unit = self.units.all[id as usize];
        let (nodes, worths) = self.units.edges(id);
        let mut best = (0.0, NOWHERE, 0.0);
        for (node, worth) in nodes.iter().zip(worths) {
            if self.nodes.fits(*node, unit.size) {
                let gain = worth - unit.size[0] as f32 * self.nodes.states[*node as usize].node.cost;
                if gain > best.0 && !self.clashes(id, *node) {
                    best = (gain, *node, *worth);
                }
            }
        }
        let (gain, node, worth) = best;
        if node != NOWHERE {
            self.counts.bids += 1;
            let bid = gain / self.nodes.effective(node, unit.size);
            self.enter(id, node, worth, bid);
        }
    }

    /// Puts a unit at a node and displaces the lowest bids until all fit.
    pub(super) fn enter(&mut self, id: u32, node: u32, worth: f32, bid: f32) {
        let size = self.units.all[id as usize].size;
        let capacity = self.nodes.states[node as usize].node.capacity;
        let bid = bid.max(0.0);
        let unit = &mut self.units.all[id as usize];
        if core::mem::replace(&mut unit.served, true) {
            self.counts.moves += 1;
        }
        (unit.node, unit.bid, unit.worth) = (node, bid, worth);
        let mut room = self.nodes.room[node as usize].map(i64::from);
        (room[0], room[1]) = (room[0] - i64::from(size[0]), room[1] - i64::from(size[1]));
        let state = &mut self.nodes.states[node as usize];
        state.bid(bid, id);
        let mut displaced = false;
        while room[0] < 0 || room[1] < 0 {
            let units = &self.units;
            let (lowest, out) = state
                .lowest(|unit, bid| units.holds(unit, node, bid))
                .expect("a node over its capacity has holders");
            let unit = &mut self.units.all[out as usize];
            unit.node = NOWHERE;
            room[0] += i64::from(unit.size[0]);
            room[1] += i64::from(unit.size[1]);
            state.holders -= 1;
            state.price = state.price.max(lowest);
            displaced = true;
            if !unit.queued {
                unit.queued = true;
                self.pending.push_back(out);
            }
        }
        let room = room.map(|room| room as u32);
        self.nodes.room[node as usize] = room;
        if room[0] < self.settings.smallest || (capacity[1] > 0 && room[1] < self.settings.smallest) {
            let units = &self.units;
            if let Some((lowest, _)) = state.lowest(|unit, bid| units.holds(unit, node, bid)) {
                state.price = state.price.max(lowest);
            }
        }
        if displaced && capacity[1] > 0 {
            // Which resource ran out: its part of the price grows.
            let free = [room[0] as f32 / capacity[0] as f32, room[1] as f32 / capacity[1] as f32];
            let toward = if free[0] <= free[1] { 1.0 } else { 0.0 };
            state.mix += (toward - state.mix) * 0.05;
        }
        self.nodes.quote(node);
    }

    pub(super) fn queue(&mut self, id: u32) {
        let unit = &mut self.units.all[id as usize];
        if !core::mem::replace(&mut unit.queued, true) {
            self.pending.push_back(id);
        }
    }

    /// Takes a unit from its node, which then has room.
    pub(super) fn release(&mut self, id: u32) {
        let unit = &mut self.units.all[id as usize];
        let node = core::mem::replace(&mut unit.node, NOWHERE);
        if node == NOWHERE {
            return;
        }
        let size = unit.size;
        let room = &mut self.nodes.room[node as usize];
        room[0] += size[0];
        room[1] += size[1];
        let state = &mut self.nodes.states[node as usize];
        state.holders -= 1;
        if state.is_stale() {
            let units = &self.units;
            state.sweep(|unit, bid| units.holds(unit, node, bid));
        }
        self.loosen(node);
    }

    /// Notes that a node has room which it sells at a price.
    pub(super) fn loosen(&mut self, node: u32) {
        let state = &mut self.nodes.states[node as usize];
        if state.price > 0.0 && !core::mem::replace(&mut state.slack, true) {
            self.slack.push_back(node);
        }
    }

    /// A node with room looks for the unit that gains most by coming, and lowers its price to what the next one would give.
    fn attract(&mut self, node: u32) {
        let state = &self.nodes.states[node as usize];
        let (cost, price, holders, capacity) =
            (state.node.cost, state.price, state.holders, state.node.capacity);
        if price <= 0.0 || capacity == [0; 2] {
            return;
        }
        let room = self.nodes.room[node as usize];
        if room[0] < self.settings.smallest || (capacity[1] > 0 && room[1] < self.settings.smallest) {
            return;
        }
        // Room for one more of the usual size means that the price is too high; less than that is what sizes leave over.
        let roomy = (0..2).all(|r| (capacity[r] - room[r]) <= room[r].saturating_mul(holders));
        let mut best = (self.settings.tolerance, NOWHERE, 0.0f32);
        let mut second = 0.0f32;
        for _ in 0..self.settings.samples {
            let named = &mut self.nodes.states[node as usize].named;
            if named.is_empty() {
                break;
            }
            let at = (self.dice.next_u64() % named.len() as u64) as usize;
            let place = named[at];
            let Some(id) = self.units.named_by(place, node) else {
                named.swap_remove(at);
                continue;
            };
            let unit = &self.units.all[id as usize];
            if unit.node == node || !self.nodes.fits(node, unit.size) || best.1 == id {
                continue;
            }
            let worth = self.units.edge_worth[place as usize];
            let gain =
                (worth - unit.size[0] as f32 * cost - self.keeps(id)) / self.nodes.effective(node, unit.size);
            // Whoever has a node would only take the room elsewhere.
            let gain = if unit.node == NOWHERE { gain } else { gain - 2.0 * self.settings.tolerance };
            if gain > second && !self.clashes(id, node) {
                if gain > best.0 {
                    second = if best.1 == NOWHERE { 0.0 } else { best.0 };
                    best = (gain, id, worth);
                } else {
                    second = gain;
                }
            }
        }
        let (gain, id, worth) = best;
        // A large node's price is the mean of many; one holder more or less moves it little.
        let step = (4.0 / (holders as f32 + 1.0)).min(1.0);
        if roomy {
            let state = &mut self.nodes.states[node as usize];
            state.price -= (price - second.min(price)) * step;
            if state.price < self.settings.tolerance * 0.25 {
                state.price = 0.0;
            }
            self.nodes.quote(node);
        }
        if id != NOWHERE {
            self.counts.attracted += 1;
            self.release(id);
            // It pays what the next one would have given.
            let bid = gain.min(second.min(price) + self.settings.tolerance);
            self.enter(id, node, worth, bid);
            self.loosen(node);
        }
    }

    /// What a unit has now, and would give up by moving.
    pub(super) fn keeps(&self, id: u32) -> f32 {
        let unit = &self.units.all[id as usize];
        if unit.node == NOWHERE {
            return 0.0;
        }
        let ask = self.nodes.asks[unit.node as usize];
        let net = unit.worth - unit.size[0] as f32 * ask[0] - unit.size[1] as f32 * ask[1];
        net.max(0.0) + unit.move_cost
    }

    /// Looks whether the next unit in turn would rather be elsewhere.
    pub(super) fn check_next(&mut self) {
        if self.units.all.is_empty() {
            return;
        }
        self.turn = if self.turn + 1 < self.units.all.len() { self.turn + 1 } else { 0 };
        let id = self.turn as u32;
        let unit = self.units.all[self.turn];
        if !unit.alive || unit.queued {
            return;
        }
        self.counts.checks += 1;
        if unit.node == NOWHERE {
            self.queue(id);
            return;
        }
        let Some(choice) = self.choose(id) else {
            let cost = self.nodes.states[unit.node as usize].node.cost;
            if unit.worth < unit.size[0] as f32 * cost {
                self.release(id);
            }
            return;
        };
        if choice.node == unit.node {
            return;
        }
        let size = self.nodes.effective(choice.node, unit.size);
        if choice.net > self.keeps(id) + 2.0 * self.settings.tolerance * size {
            self.release(id);
            self.queue(id);
        }
    }
}
