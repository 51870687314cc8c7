/// A node of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// What a node offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Capacity by resource. Nothing at all means that the node has left.
    pub capacity: [u32; 2],
    /// What a unit of the first resource costs the operator.
    pub cost: f32,
    /// Two replicas of one demand are never in the same domain.
    pub domain: u32,
}

/// More than any worth: nobody asks a node that has left.
const GONE: f32 = 1e30;

/// What a demand pays at a node for each unit of size: the first resource's price with the cost, and the second's price.
pub(super) type Ask = [f32; 2];

/// A unit that has a node among its candidates, and what it is worth there. One that no longer does is dropped when met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) unit: u32,
    pub(super) worth: f32,
    pub(super) generation: u32,
}

/// All nodes. What every scan reads stands apart, so that it stays in a cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    pub(super) asks: Vec<Ask>,
    pub(super) costs: Vec<f32>,
    pub(super) room: Vec<[u32; 2]>,
    pub(super) capacity: Vec<[u32; 2]>,
    pub(super) domains: Vec<u32>,
    /// Units that are served, in no order.
    pub(super) holders: Vec<Vec<u32>>,
    pub(super) named: Vec<Vec<Name>>,
    /// Whether a node stands in the queue of those that look for units.
    pub(super) queued: Vec<bool>,
}

impl Nodes {
    pub(super) fn add(&mut self, node: Node) -> u32 {
        let id = u32::try_from(self.asks.len()).expect("fewer than 2^32 nodes");
        self.asks.push([0.0; 2]);
        self.costs.push(0.0);
        self.room.push(node.capacity);
        self.capacity.push(node.capacity);
        self.domains.push(node.domain);
        self.holders.push(Vec::new());
        self.named.push(Vec::new());
        self.queued.push(false);
        self.set(id, node);
        id
    }

    /// Takes on a node's new terms. What it asks stays where that is above its cost: what clears its capacity hangs on those who want
    /// it, not on what it costs.
    pub(super) fn set(&mut self, id: u32, node: Node) {
        let id = id as usize;
        self.capacity[id] = node.capacity;
        self.domains[id] = node.domain;
        if node.capacity == [0; 2] {
            (self.costs[id], self.asks[id]) = (GONE, [GONE, 0.0]);
        } else {
            let was = if self.costs[id] == GONE { [0.0; 2] } else { self.asks[id] };
            self.costs[id] = node.cost;
            self.asks[id] = [was[0].max(node.cost), was[1]];
        }
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    pub(super) fn prices(&self, id: u32) -> [f32; 2] {
        let ask = self.asks[id as usize];
        [ask[0] - self.costs[id as usize], ask[1]]
    }

    /// Whether a size could be here at all, were nobody else.
    pub(super) fn could_hold(&self, id: u32, size: [u32; 2]) -> bool {
        let capacity = self.capacity[id as usize];
        size[0] <= capacity[0] && size[1] <= capacity[1]
    }

    pub(super) fn fits(&self, id: u32, size: [u32; 2]) -> bool {
        let room = self.room[id as usize];
        size[0] <= room[0] && size[1] <= room[1]
    }
}
