use core::cmp::Reverse;
use std::collections::BinaryHeap;

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
pub(super) const GONE: f32 = 1e30;

/// What a demand pays at a node for each unit of size, cost and price together.
pub(super) type Ask = [f32; 2];

/// One node beside its asks and its room.
#[derive(Clone, Debug)]
pub(super) struct NodeState {
    pub(super) node: Node,
    /// Price of a unit of size, before it is split between the resources.
    pub(super) price: f32,
    /// The first resource's part of the price; it moves to whichever is fuller.
    pub(super) mix: f32,
    pub(super) slack: bool,
    pub(super) holders: u32,
    /// Bids for a unit of size and their units, the lowest first. Those that no longer hold are skipped.
    bids: BinaryHeap<Reverse<u64>>,
    /// Places in the units' candidate lists that name this node; those that no longer do are dropped when met.
    pub(super) named: Vec<u32>,
}

/// All nodes. What every scan reads stands apart, so that it stays in a cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    pub(super) asks: Vec<Ask>,
    pub(super) room: Vec<[u32; 2]>,
    pub(super) capacity: Vec<[u32; 2]>,
    pub(super) domains: Vec<u32>,
    pub(super) states: Vec<NodeState>,
}

impl Nodes {
    pub(super) fn add(&mut self, node: Node) -> u32 {
        let id = u32::try_from(self.states.len()).expect("fewer than 2^32 nodes");
        self.states.push(NodeState {
            node,
            price: 0.0,
            mix: 1.0,
            slack: false,
            holders: 0,
            bids: BinaryHeap::new(),
            named: Vec::new(),
        });
        self.asks.push([0.0; 2]);
        self.room.push(node.capacity);
        self.capacity.push(node.capacity);
        self.domains.push(node.domain);
        let state = &mut self.states[id as usize];
        if node.capacity[1] > 0 {
            state.mix = 0.5;
        }
        self.quote(id);
        id
    }

    /// Writes what a node asks, after its price, mix or cost changed.
    pub(super) fn quote(&mut self, id: u32) {
        let state = &self.states[id as usize];
        self.asks[id as usize] = if state.node.capacity == [0; 2] {
            [GONE; 2]
        } else {
            [state.node.cost + state.price * state.mix, state.price * (1.0 - state.mix)]
        };
    }

    pub(super) fn prices(&self, id: u32) -> [f32; 2] {
        let state = &self.states[id as usize];
        [state.price * state.mix, state.price * (1.0 - state.mix)]
    }

    /// A size as this node's price sees it.
    pub(super) fn effective(&self, id: u32, size: [u32; 2]) -> f32 {
        let mix = self.states[id as usize].mix;
        (size[0] as f32 * mix + size[1] as f32 * (1.0 - mix)).max(1e-3)
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

impl NodeState {
    /// Enters a bid, which is never negative.
    pub(super) fn bid(&mut self, bid: f32, unit: u32) {
        self.bids.push(Reverse(u64::from(bid.max(0.0).to_bits()) << 32 | u64::from(unit)));
        self.holders += 1;
    }

    /// The lowest bid that `holds` says is still there, kept in the heap.
    pub(super) fn lowest(&mut self, holds: impl Fn(u32, f32) -> bool) -> Option<(f32, u32)> {
        while let Some(Reverse(entry)) = self.bids.peek() {
            let (bid, unit) = (f32::from_bits((entry >> 32) as u32), *entry as u32);
            if holds(unit, bid) {
                return Some((bid, unit));
            }
            self.bids.pop();
        }
        None
    }

    /// Whether most entries of the heap are stale.
    pub(super) fn is_stale(&self) -> bool {
        self.bids.len() > 2 * self.holders as usize + 16
    }

    pub(super) fn sweep(&mut self, holds: impl Fn(u32, f32) -> bool) {
        self.bids.retain(|Reverse(entry)| holds(*entry as u32, f32::from_bits((entry >> 32) as u32)));
    }
}
