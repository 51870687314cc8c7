use super::units::{Demand, DemandId, NOWHERE};
use super::{Market, Node, NodeId};

/// Changes, one at a time. Each is followed by a bounded number of bids and checks.
impl Market {
    /// A demand comes.
    pub fn arrive(&mut self, demand: &Demand<'_>) -> DemandId {
        let id = self.insert(demand);
        self.work();
        id
    }

    /// A demand comes that bids only with the next change or [`Market::solve`].
    pub fn insert(&mut self, demand: &Demand<'_>) -> DemandId {
        let first = self.units.add(demand);
        for id in self.units.ring(first).collect::<Vec<_>>() {
            for place in self.units.places(id) {
                let node = self.units.edge_node[place];
                let state = &mut self.nodes.states[node as usize];
                if state.named.len() == state.named.capacity() {
                    // Before it grows: drop what no longer names this node.
                    let units = &self.units;
                    state.named.retain(|place| units.named_by(*place, node).is_some());
                }
                state.named.push(place as u32);
            }
            self.queue(id);
        }
        DemandId(first)
    }

    /// A demand leaves, or has been served.
    pub fn depart(&mut self, demand: DemandId) {
        for id in self.units.ring(demand.0).collect::<Vec<_>>() {
            self.release(id);
            self.units.remove(id);
        }
        self.work();
    }

    /// A node comes.
    pub fn join(&mut self, node: Node) -> NodeId {
        NodeId(self.nodes.add(node))
    }

    /// A node's capacity or cost changes; it leaves with no capacity, and comes back with some.
    pub fn change(&mut self, id: NodeId, node: Node) {
        let NodeId(at) = id;
        let state = &mut self.nodes.states[at as usize];
        let before = core::mem::replace(&mut state.node, node);
        self.nodes.domains[at as usize] = node.domain;
        self.nodes.capacity[at as usize] = node.capacity;
        let used = [0, 1].map(|r| before.capacity[r] - self.nodes.room[at as usize][r]);
        let fits = [0, 1].map(|r| node.capacity[r].checked_sub(used[r]));
        if let [Some(first), Some(second)] = fits {
            self.nodes.room[at as usize] = [first, second];
        } else {
            self.evict(at, used);
        }
        let state = &mut self.nodes.states[at as usize];
        if node.capacity == [0; 2] {
            state.price = 0.0;
        }
        self.nodes.quote(at);
        if node.capacity[0] > before.capacity[0]
            || node.capacity[1] > before.capacity[1]
            || node.cost < before.cost
        {
            self.loosen(at);
        }
        self.work();
    }

    /// Displaces a node's lowest bids until what is left fits its new capacity.
    fn evict(&mut self, node: u32, used: [u32; 2]) {
        let capacity = self.nodes.states[node as usize].node.capacity;
        let mut used = used;
        while used[0] > capacity[0] || used[1] > capacity[1] {
            let (state, units) = (&mut self.nodes.states[node as usize], &self.units);
            let (bid, out) = state
                .lowest(|unit, bid| units.holds(unit, node, bid))
                .expect("what is used is used by holders");
            state.holders -= 1;
            state.price = state.price.max(bid);
            let unit = &mut self.units.all[out as usize];
            unit.node = NOWHERE;
            (used[0], used[1]) = (used[0] - unit.size[0], used[1] - unit.size[1]);
            self.queue(out);
        }
        self.nodes.room[node as usize] = [0, 1].map(|r| capacity[r] - used[r]);
    }

    /// Works on what earlier changes left undone, with at most so many steps. Gives whether anything is still left.
    pub fn go_on(&mut self, steps: u32) -> bool {
        self.settle(u64::from(steps));
        self.backlog() > 0
    }

    /// The bounded work that follows a change.
    fn work(&mut self) {
        self.settle(u64::from(self.settings.bids_per_change));
        for _ in 0..self.settings.checks_per_change {
            self.check_next();
        }
        self.settle(u64::from(self.settings.bids_per_change) / 4);
    }
}
