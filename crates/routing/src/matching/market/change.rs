use super::nodes::Name;
use super::units::{Demand, DemandId, NOWHERE};
use super::{Market, Node, NodeId};

/// Changes, one at a time. Each is followed by a bounded number of steps and checks.
impl Market {
    /// A demand comes.
    pub fn arrive(&mut self, demand: &Demand<'_>) -> DemandId {
        let id = self.insert(demand);
        self.work();
        id
    }

    /// A demand comes that is served only with the next change or [`Market::solve`].
    pub fn insert(&mut self, demand: &Demand<'_>) -> DemandId {
        let first = self.units.add(demand);
        let mut id = first;
        loop {
            self.name(id);
            self.queue(id);
            id = self.units.all[id as usize].ring;
            if id == first {
                break;
            }
        }
        self.learn_scale(first);
        DemandId(first)
    }

    /// Tells a unit's candidates of it.
    fn name(&mut self, id: u32) {
        let generation = self.units.spots[id as usize].generation;
        let (nodes, worths) = self.units.edges(id);
        for (node, worth) in nodes.iter().zip(worths) {
            let named = &mut self.nodes.named[*node as usize];
            if named.len() == named.capacity() {
                // Before it grows: drop those that no longer name this node.
                let units = &self.units;
                named.retain(|name| units.is(name));
            }
            named.push(Name { unit: id, worth: *worth, generation });
        }
    }

    /// What demands are worth for a unit of size, on average of late.
    fn learn_scale(&mut self, id: u32) {
        let size = self.units.spots[id as usize].size;
        let (nodes, worths) = self.units.edges(id);
        let most = nodes
            .iter()
            .zip(worths)
            .map(|(node, worth)| worth - size[0] as f32 * self.nodes.costs[*node as usize])
            .fold(0.0, f32::max);
        self.scaled = (self.scaled + 1).min(4096);
        self.scale += (most / (size[0] + size[1]).max(1) as f32 - self.scale) / self.scaled as f32;
    }

    /// A demand leaves, or has been served.
    pub fn depart(&mut self, demand: DemandId) {
        let mut id = demand.0;
        loop {
            let next = self.units.all[id as usize].ring;
            if let Some(node) = self.leave(id) {
                self.loosen(node, 3);
            }
            self.units.remove(id);
            if next == demand.0 {
                break;
            }
            id = next;
        }
        self.work();
    }

    /// A node comes.
    pub fn join(&mut self, node: Node) -> NodeId {
        NodeId(self.nodes.add(node))
    }

    /// A node's capacity or cost changes; it leaves with no capacity, and comes back with some.
    pub fn change(&mut self, id: NodeId, node: Node) {
        let NodeId(id) = id;
        let at = id as usize;
        let before = self.nodes.capacity[at];
        let cost = self.nodes.costs[at];
        let used = [0, 1].map(|r| before[r] - self.nodes.room[at][r]);
        self.nodes.set(id, node);
        let mut over = [0, 1].map(|r| i64::from(used[r]) - i64::from(node.capacity[r]));
        // Who is there for least for each unit of size goes first.
        while over[0] > 0 || over[1] > 0 {
            let worth = |id: u32| {
                let spot = self.units.spots[id as usize];
                spot.worth / (spot.size[0] + spot.size[1]) as f32
            };
            let holders = &self.nodes.holders[at];
            let few = holders.len().saturating_sub(self.settings.samples as usize);
            let out = if node.capacity == [0; 2] {
                holders.last().copied()
            } else {
                holders[few..].iter().copied().min_by(|a, b| worth(*a).total_cmp(&worth(*b)))
            };
            let out = out.expect("what is used is used by holders");
            let size = self.units.spots[out as usize].size;
            over = [0, 1].map(|r| over[r] - i64::from(size[r]));
            self.leave(out);
            self.queue(out);
        }
        self.nodes.room[at] = over.map(|over| (-over) as u32);
        if before == [0; 2] {
            self.appraise(id);
        }
        if node.capacity[0] > before[0] || node.capacity[1] > before[1] || node.cost < cost {
            self.loosen(id, 3);
        }
        self.work();
    }

    /// Works on what earlier changes left undone, with at most so many steps. Gives whether anything is still left.
    pub fn go_on(&mut self, steps: u32) -> bool {
        self.live = true;
        self.settle(u64::from(steps));
        self.live = false;
        self.backlog() > 0
    }

    /// The bounded work that follows a change.
    fn work(&mut self) {
        self.live = true;
        self.settle(u64::from(self.settings.bids_per_change));
        for _ in 0..self.settings.checks_per_change {
            self.check_next();
        }
        self.settle(u64::from(self.settings.bids_per_change) / 4);
        self.live = false;
    }

    /// The next unit in turn moves the prices a little, and looks whether it could be better off.
    fn check_next(&mut self) {
        if self.units.all.is_empty() {
            return;
        }
        self.turn = if self.turn + 1 < self.units.all.len() { self.turn + 1 } else { 0 };
        let id = self.turn as u32;
        if self.units.all[self.turn].alive {
            let best = self.feel(id);
            // Whoever can pay no price of now has nothing to look for.
            if best.is_some() || self.units.spots[self.turn].node != NOWHERE {
                self.revise(id);
            }
        }
    }
}
