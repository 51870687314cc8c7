//! Demands bid for nodes' capacity, and prices keep them apart.
//!
//! Every node has a price for each of its two resources, every demand a short list of candidate nodes with what it is worth there.
//! A demand bids at the node that leaves it most after price and cost, up to what makes its second choice as good (the auction
//! of Bertsekas, Annals of OR 14, 1988); the lowest bids for each unit of size are displaced and bid again elsewhere. A node that loses
//! a holder looks for the demand that gains most by coming (the reverse auction) and lowers its price to what was offered.
//! Prices move only by this feedback, so any change of demand, capacity or cost is handled where it happens, with bounded work;
//! what is left over is done by a few checks with every change, in turn over all demands.
//!
//! Whatever the prices are, they bound the optimum from above (weak duality), and [`Market::certify`] reports that bound.
//!
//! Sizes are whole numbers of the caller's smallest units, so that nothing drifts; worth and cost are `f32` in any one currency.

mod auction;
mod certificate;
mod change;
mod nodes;
mod units;

pub use certificate::Certificate;
pub use nodes::{Node, NodeId};
pub use units::{Demand, DemandId};

use nodes::Nodes;
use peeredge_wire::SplitMix64;
use std::collections::VecDeque;
use units::Units;

/// How a market behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarketSettings {
    /// Candidates kept for a demand; more are cut from the end. Default 16, 8 bytes each.
    pub candidates_max: usize,
    /// How much worth, for each unit of size, a demand may miss against its best choice; smaller is nearer to the optimum and slower.
    pub tolerance: f32,
    /// The same while [`Market::solve`] lets all bid who wait; the checks that follow go by the finer one.
    pub coarse: f32,
    /// The smallest size that demands have: a node with less room than this is full. Default 1.
    pub smallest: u32,
    /// Whole solutions end after so many steps for each demand, settled or not; sizes that do not fit together may never settle. Default 400.
    pub steps_per_demand: u32,
    /// Bids that one change may cause at most; what they leave undone waits for the next changes. Default 64.
    pub bids_per_change: u32,
    /// Demands checked with every change, in turn. Default 16.
    pub checks_per_change: u32,
    /// Demands that a node with room looks at, drawn from those that have it as a candidate. Default 24.
    pub samples: u32,
    /// Seed of these draws.
    pub seed: u64,
}

impl Default for MarketSettings {
    fn default() -> Self {
        MarketSettings {
            candidates_max: 16,
            tolerance: 0.002,
            coarse: 0.002,
            smallest: 1,
            steps_per_demand: 400,
            bids_per_change: 64,
            checks_per_change: 16,
            samples: 24,
            seed: 1,
        }
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketCounts {
    /// Bids made.
    pub bids: u64,
    /// Demands that were moved from one node to another, each of which costs its fill again.
    pub moves: u64,
    /// Demands checked in turn.
    pub checks: u64,
    /// Holders taken by nodes with room.
    pub attracted: u64,
}

/// Demands, nodes, prices, and who holds what.
#[derive(Clone, Debug)]
pub struct Market {
    settings: MarketSettings,
    nodes: Nodes,
    units: Units,
    /// Units without a node that are to bid.
    pending: VecDeque<u32>,
    /// Nodes with room whose price is not zero.
    slack: VecDeque<u32>,
    /// The next unit to check.
    turn: usize,
    counts: MarketCounts,
    dice: SplitMix64,
}

impl Market {
    /// A market with nobody in it.
    pub fn new(settings: MarketSettings) -> Self {
        Market {
            nodes: Nodes::default(),
            units: Units::new(settings.candidates_max.max(1)),
            pending: VecDeque::new(),
            slack: VecDeque::new(),
            turn: 0,
            counts: MarketCounts::default(),
            dice: SplitMix64::new(settings.seed),
            settings,
        }
    }

    /// What happened so far.
    pub fn counts(&self) -> MarketCounts {
        self.counts
    }

    /// Units that wait to bid, and nodes that wait to look for holders: the work that bounds left undone.
    pub fn backlog(&self) -> usize {
        self.pending.len() + self.slack.len()
    }

    /// The nodes that serve a demand, one a replica that has one.
    pub fn served_by(&self, demand: DemandId) -> impl Iterator<Item = NodeId> + '_ {
        self.units.ring(demand.0).filter_map(|unit| self.units.node_of(unit)).map(NodeId)
    }

    /// Whether any demand has this node among its candidates.
    pub fn is_named(&mut self, node: NodeId) -> bool {
        let (named, units) = (&mut self.nodes.states[node.0 as usize].named, &self.units);
        named.retain(|place| units.named_by(*place, node.0).is_some());
        !named.is_empty()
    }

    /// A node's prices, one a resource, for each unit of size.
    pub fn prices(&self, node: NodeId) -> [f32; 2] {
        self.nodes.prices(node.0)
    }

    /// What is free at a node, by resource.
    pub fn room(&self, node: NodeId) -> [u32; 2] {
        self.nodes.room[node.0 as usize]
    }
}
