//! Demands are given to nodes by prices that keep them apart.
//!
//! Every node has a price for each of its two resources, every demand a short list of candidate nodes with what it is worth there.
//! Prices move by feedback alone: in turn, demands say where they would go, which raises that node's price, and time lowers all. So
//! prices come to where demand meets capacity, and follow when either changes. Demands go where they are left with most; whoever finds
//! no room displaces others if that gains more than they lose, and room that becomes free goes to whoever gains most by it. Each of
//! these is a gain as a whole, so nothing goes in circles whatever the sizes are, and any change of demand, capacity or
//! cost is handled where it happens, with bounded work; what is left over is done by a few checks with every change.
//!
//! Whatever the prices are, they bound the optimum from above (weak duality), and [`Market::certify`] reports that bound.
//!
//! Sizes are whole numbers of the caller's smallest units, so that nothing drifts; worth and cost are `f32` in any one currency.

mod certificate;
mod change;
mod fill;
mod levels;
mod nodes;
mod place;
mod solve;
mod units;

pub use certificate::Certificate;
pub use nodes::{Node, NodeId};
pub use units::{Demand, DemandId};

use nodes::Nodes;
use peeredge_wire::SplitMix64;
use place::{Trial, Victim};
use std::collections::VecDeque;
use units::Units;

/// How a market behaves. Worth is measured against what demands are worth for a unit of size on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarketSettings {
    /// Candidates kept for a demand; more are cut from the end. Default 16, 16 bytes each.
    pub candidates_max: usize,
    /// What a change has to gain for each unit of size, as a part of the average worth. Default 0.002.
    pub tolerance: f32,
    /// How far a check moves prices, as a part of the average worth: larger follows faster, smaller is calmer. Default 0.02.
    pub feedback: f32,
    /// Whether whoever finds a node full raises its price at once. For few demands, which see the prices before checks have found
    /// them; with many it makes prices too high. Default false.
    pub prompt: bool,
    /// How often a whole solution goes over all demands to find prices. Default 32; with sizes that differ, half of it costs 0.3 % of the
    /// bound.
    pub sweeps: u32,
    /// Steps that one change may cause at most; what they leave undone waits for the next changes. Default 16.
    pub bids_per_change: u32,
    /// Demands checked with every change, in turn. Default 8.
    pub checks_per_change: u32,
    /// Holders of a node that are looked at when one of them has to go. Default 24.
    pub samples: u32,
    /// Demands that a node with room looks at, of those that have it as a candidate. Default 256.
    pub looks: u32,
    /// Seed of what is drawn where there are more.
    pub seed: u64,
}

impl Default for MarketSettings {
    fn default() -> Self {
        MarketSettings {
            candidates_max: 16,
            tolerance: 0.002,
            feedback: 0.02,
            prompt: false,
            sweeps: 32,
            bids_per_change: 16,
            checks_per_change: 8,
            samples: 24,
            looks: 256,
            seed: 1,
        }
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketCounts {
    /// Demands that looked for a node.
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
    /// Units without a node that are to look for one.
    pending: VecDeque<u32>,
    /// Nodes with room, and how deep moves may go on from there.
    slack: VecDeque<(u32, u8)>,
    /// The next unit to check.
    turn: usize,
    /// The last node whose price sank, and what is due to the next, in units.
    sunk: usize,
    due: usize,
    /// What demands are worth for a unit of size, and of how many that is the mean.
    scale: f32,
    scaled: u32,
    counts: MarketCounts,
    dice: SplitMix64,
    trial: Trial,
    /// Whether a change is being worked on, not a whole solution.
    live: bool,
    /// Kept for their memory alone.
    victims: Vec<Victim>,
    chosen: Vec<Victim>,
    waiting: Vec<u32>,
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
            sunk: 0,
            due: 0,
            scale: 0.0,
            scaled: 0,
            counts: MarketCounts::default(),
            dice: SplitMix64::new(settings.seed),
            trial: Trial::default(),
            live: false,
            victims: Vec::new(),
            chosen: Vec::new(),
            waiting: Vec::new(),
            settings,
        }
    }

    /// What happened so far.
    pub fn counts(&self) -> MarketCounts {
        self.counts
    }

    /// Units that wait to be served, and nodes that wait to look for holders: the work that bounds left undone.
    pub fn backlog(&self) -> usize {
        self.pending.len() + self.slack.len()
    }

    /// The nodes that serve a demand, one a replica that has one.
    pub fn served_by(&self, demand: DemandId) -> impl Iterator<Item = NodeId> + '_ {
        self.units.ring(demand.0).filter_map(|unit| self.units.node_of(unit)).map(NodeId)
    }

    /// Whether any demand has this node among its candidates.
    pub fn is_named(&mut self, node: NodeId) -> bool {
        let (named, units) = (&mut self.nodes.named[node.0 as usize], &self.units);
        named.retain(|name| units.is(name));
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
