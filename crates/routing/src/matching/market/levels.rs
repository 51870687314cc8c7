use super::Market;
use super::units::NOWHERE;

/// How often each node's price sinks while all units are looked at once.
const SINKS: usize = 8;
/// The last step, as a part of what demands are worth for a unit of size.
const LAST: f32 = 0.002;

/// A price on the way to where demand meets capacity: whoever would choose a node raises its price by its share of the capacity, and
/// time lowers all prices alike (the incremental subgradient method: Nedić and Bertsekas, SIAM J. Optimization 12(1), 2001).
impl Market {
    /// Finds prices: all units say in turn where they would go, `sweeps` times. A step is `first` of what demands are worth for a unit of
    /// size, and a fifth smaller with each sweep, or more where that would not come down to a five-hundredth. The prices are the mean of the last sweep.
    pub fn level(&mut self, first: f32, sweeps: u32) {
        let (nodes, units) = (self.nodes.len(), self.units.all.len());
        if nodes == 0 || units == 0 {
            return;
        }
        let mut step = first * self.scale;
        let smaller = libm::powf(LAST / first, 1.0 / (sweeps.max(2) - 1) as f32).min(0.8);
        let mut mean = vec![[0.0f32; 2]; nodes];
        let mut apart = Vec::new();
        for sweep in 1..=sweeps {
            let last = sweep == sweeps;
            let mut due = 0;
            let mut sunk = 0;
            for id in 0..units as u32 {
                self.raise(id, step, &mut apart);
                due += nodes * SINKS;
                while due >= units {
                    due -= units;
                    self.sink(sunk, step / SINKS as f32);
                    if last {
                        let ask = self.nodes.asks[sunk];
                        mean[sunk] = [mean[sunk][0] + ask[0], mean[sunk][1] + ask[1]];
                    }
                    sunk = if sunk + 1 < nodes { sunk + 1 } else { 0 };
                }
            }
            step *= smaller;
        }
        if sweeps > 0 {
            for (id, mean) in mean.iter().enumerate().filter(|(id, _)| self.nodes.capacity[*id] != [0; 2]) {
                let ask = mean.map(|ask| ask / SINKS as f32);
                self.nodes.asks[id] = [ask[0].max(self.nodes.costs[id]), ask[1]];
            }
        }
    }

    /// One step of the prices for a unit whose turn it is, and for as many nodes as are due. Gives the unit's best node and what it
    /// would be left with there.
    pub(super) fn feel(&mut self, id: u32) -> Option<(u32, f32)> {
        let step = self.settings.feedback * self.scale;
        let best = self.best(id);
        if let Some((node, _)) = best {
            self.lift(node, id, step);
        }
        self.due += self.nodes.len() * SINKS;
        while self.due >= self.units.alive.max(1) {
            self.due -= self.units.alive.max(1);
            self.sunk = if self.sunk + 1 < self.nodes.len() { self.sunk + 1 } else { 0 };
            self.sink(self.sunk, step / SINKS as f32);
        }
        best
    }

    fn raise(&mut self, id: u32, step: f32, apart: &mut Vec<(u32, f32)>) {
        let unit = &self.units.all[id as usize];
        if !unit.alive {
            return;
        }
        if unit.ring == id {
            if let Some((node, _)) = self.best(id) {
                self.lift(node, id, step);
            }
        } else if self.units.ring(id).all(|other| other >= id) {
            self.best_apart(id, apart);
            for (node, _) in apart.iter() {
                self.lift(*node, id, step);
            }
        }
    }

    fn lift(&mut self, node: u32, id: u32, step: f32) {
        let size = self.units.spots[id as usize].size;
        let capacity = self.nodes.capacity[node as usize];
        let ask = &mut self.nodes.asks[node as usize];
        for r in 0..2 {
            // Whoever chose it could be held, so there is a capacity if there is a size.
            if size[r] > 0 {
                ask[r] += step * size[r] as f32 / capacity[r] as f32;
            }
        }
    }

    fn sink(&mut self, node: usize, step: f32) {
        let ask = &mut self.nodes.asks[node];
        *ask = [(ask[0] - step).max(self.nodes.costs[node]), (ask[1] - step).max(0.0)];
    }

    /// A unit's best node at the prices of now, and what it would be left with. None when it gains nothing anywhere.
    pub(super) fn best(&self, id: u32) -> Option<(u32, f32)> {
        let size = self.units.spots[id as usize].size;
        let by = [size[0] as f32, size[1] as f32];
        let (nodes, worths) = self.units.edges(id);
        let mut best = (NOWHERE, 0.0);
        for (node, worth) in nodes.iter().zip(worths) {
            let ask = self.nodes.asks[*node as usize];
            let net = worth - by[0] * ask[0] - by[1] * ask[1];
            if net > best.1 {
                best = (*node, net);
            }
        }
        if best.0 != NOWHERE && !self.nodes.could_hold(best.0, size) {
            // Hardly ever, so only now the slower way.
            best = (NOWHERE, 0.0);
            for (node, worth) in nodes.iter().zip(worths) {
                let net = self.net(id, *node, *worth);
                if net > best.1 && self.nodes.could_hold(*node, size) {
                    best = (*node, net);
                }
            }
        }
        (best.0 != NOWHERE).then_some(best)
    }

    /// The best node of each failure domain, as many as a demand has replicas, with what a replica is left with there.
    pub(super) fn best_apart(&self, id: u32, best: &mut Vec<(u32, f32)>) {
        best.clear();
        let size = self.units.spots[id as usize].size;
        let (nodes, worths) = self.units.edges(id);
        for (node, worth) in nodes.iter().zip(worths) {
            let net = self.net(id, *node, *worth);
            if net <= 0.0 || !self.nodes.could_hold(*node, size) {
                continue;
            }
            let domain = self.nodes.domains[*node as usize];
            match best.iter_mut().find(|(other, _)| self.nodes.domains[*other as usize] == domain) {
                Some(other) if net > other.1 => *other = (*node, net),
                Some(_) => {}
                None => best.push((*node, net)),
            }
        }
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        best.truncate(self.units.ring(id).count());
    }

    pub(super) fn net(&self, id: u32, node: u32, worth: f32) -> f32 {
        let size = self.units.spots[id as usize].size;
        let ask = self.nodes.asks[node as usize];
        worth - size[0] as f32 * ask[0] - size[1] as f32 * ask[1]
    }

    /// A first price for a node that comes: where those who would gain by it fill its capacity.
    pub(super) fn appraise(&mut self, node: u32) {
        let at = node as usize;
        let capacity = self.nodes.capacity[at].map(|c| c as f32);
        let names = self.nodes.named[at].len();
        let looks = names.min(self.settings.looks as usize);
        // Its price is for a share of the node; each resource has as much of it.
        let shares = capacity.iter().filter(|c| **c > 0.0).count().max(1) as f32;
        let mut offers: Vec<(f32, f32)> = Vec::with_capacity(looks);
        let start = self.dice.below(names.max(1));
        for turn in 0..looks {
            let name = self.nodes.named[at][(start + turn) % names];
            let spot = self.units.spots[name.unit as usize];
            if !self.units.is(&name) || !self.nodes.could_hold(node, spot.size) {
                continue;
            }
            let gain = name.worth - spot.size[0] as f32 * self.nodes.costs[at] - self.keeps(name.unit);
            let share =
                (0..2).filter(|r| capacity[*r] > 0.0).map(|r| spot.size[r] as f32 / capacity[r]).sum::<f32>()
                    / shares;
            if gain > 0.0 && share > 0.0 {
                offers.push((gain / share, share));
            }
        }
        offers.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut left = looks as f32 / names.max(1) as f32;
        let mut price = 0.0;
        for (offer, share) in offers {
            left -= share;
            if left < 0.0 {
                price = offer;
                break;
            }
        }
        let part = capacity.map(|capacity| if capacity > 0.0 { price / shares / capacity } else { 0.0 });
        self.nodes.asks[at] = [self.nodes.costs[at] + part[0], part[1]];
    }

    /// What a unit is left with where it is, at the prices of now, and what moving it would cost.
    pub(super) fn keeps(&self, id: u32) -> f32 {
        let spot = self.units.spots[id as usize];
        if spot.node == NOWHERE {
            return 0.0;
        }
        self.net(id, spot.node, spot.worth).max(0.0) + self.units.all[id as usize].move_cost
    }
}
