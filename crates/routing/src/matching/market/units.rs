use super::nodes::{Name, NodeId};

/// A demand of a market. The number is used again after the demand has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DemandId(pub u32);

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Size of one replica by resource. The sum must not be 0.
    pub size: [u32; 2],
    /// Replicas, at least 1, each with its own worth, never two in one failure domain.
    pub replicas: u8,
    /// What a replica's move to another node costs: the fill.
    pub move_cost: f32,
    /// Nodes that could serve it, and what a replica is worth there before price and cost: its value if the quality
    /// is delivered there (size, rate and deadline), less the fill.
    pub candidates: &'a [(NodeId, f32)],
}

pub(super) const NOWHERE: u32 = u32::MAX;

/// Where a replica is, apart from the rest of it: what nodes read of many when they look for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) node: u32,
    /// What it is worth there, before price and cost; 0 for nowhere.
    pub(super) worth: f32,
    pub(super) size: [u32; 2],
    /// What it would have been left with elsewhere when that was last looked at; not a number if that never was since it came here.
    pub(super) elsewhere: f32,
    /// How many demands had this place before.
    pub(super) generation: u32,
}

impl Default for Spot {
    fn default() -> Self {
        Spot { node: NOWHERE, worth: 0.0, size: [0; 2], elsewhere: f32::NAN, generation: 0 }
    }
}

/// One replica of a demand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) move_cost: f32,
    /// The next replica of the same demand; itself if there is only one.
    pub(super) ring: u32,
    /// Its place among its node's holders.
    pub(super) held: u32,
    pub(super) candidates: u8,
    pub(super) alive: bool,
    /// Whether it stands in the queue of those that are to bid.
    pub(super) queued: bool,
    /// Whether it has ever been served.
    pub(super) served: bool,
}

/// All units, and their candidates in rows of equal length.
#[derive(Clone, Debug)]
pub(super) struct Units {
    pub(super) all: Vec<Unit>,
    pub(super) spots: Vec<Spot>,
    /// Units in use.
    pub(super) alive: usize,
    free: Vec<u32>,
    row: usize,
    pub(super) edge_node: Vec<u32>,
    pub(super) edge_worth: Vec<f32>,
}

impl Units {
    pub(super) fn new(row: usize) -> Self {
        Units {
            all: Vec::new(),
            spots: Vec::new(),
            alive: 0,
            free: Vec::new(),
            row,
            edge_node: Vec::new(),
            edge_worth: Vec::new(),
        }
    }

    /// Adds the replicas of a demand; gives the first, through whose ring the others are found.
    pub(super) fn add(&mut self, demand: &Demand<'_>) -> u32 {
        let mut first = NOWHERE;
        for _ in 0..demand.replicas.max(1) {
            let id = self.free.pop().unwrap_or_else(|| {
                let id = u32::try_from(self.all.len()).expect("fewer than 2^32 units");
                self.all.push(Unit {
                    move_cost: 0.0,
                    ring: id,
                    held: 0,
                    candidates: 0,
                    alive: false,
                    queued: false,
                    served: false,
                });
                self.spots.push(Spot::default());
                self.edge_node.resize(self.all.len() * self.row, 0);
                self.edge_worth.resize(self.all.len() * self.row, 0.0);
                id
            });
            let count = demand.candidates.len().min(self.row).min(255);
            for (at, (node, worth)) in demand.candidates[..count].iter().enumerate() {
                self.edge_node[id as usize * self.row + at] = node.0;
                self.edge_worth[id as usize * self.row + at] = *worth;
            }
            let queued = self.all[id as usize].queued;
            self.alive += 1;
            let generation = self.spots[id as usize].generation;
            self.spots[id as usize] = Spot { size: demand.size, generation, ..Spot::default() };
            self.all[id as usize] = Unit {
                move_cost: demand.move_cost,
                ring: id,
                held: 0,
                candidates: count as u8,
                alive: true,
                queued,
                served: false,
            };
            if first == NOWHERE {
                first = id;
            } else {
                self.all[id as usize].ring = self.all[first as usize].ring;
                self.all[first as usize].ring = id;
            }
        }
        first
    }

    pub(super) fn remove(&mut self, id: u32) {
        let unit = &mut self.all[id as usize];
        (unit.alive, unit.candidates, unit.ring) = (false, 0, id);
        let generation = &mut self.spots[id as usize].generation;
        *generation = generation.wrapping_add(1);
        self.alive -= 1;
        self.free.push(id);
    }

    /// All replicas of a demand, from the one given.
    pub(super) fn ring(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = Some(first);
        core::iter::from_fn(move || {
            let this = next?;
            let follows = self.all[this as usize].ring;
            next = (follows != first).then_some(follows);
            Some(this)
        })
    }

    pub(super) fn node_of(&self, id: u32) -> Option<u32> {
        let node = self.spots[id as usize].node;
        (node != NOWHERE).then_some(node)
    }

    /// A unit's candidates: nodes and worths side by side.
    pub(super) fn edges(&self, id: u32) -> (&[u32], &[f32]) {
        let from = id as usize * self.row;
        let to = from + self.all[id as usize].candidates as usize;
        (&self.edge_node[from..to], &self.edge_worth[from..to])
    }

    /// Whether the unit that a node knows is still the same demand's.
    pub(super) fn is(&self, name: &Name) -> bool {
        self.spots[name.unit as usize].generation == name.generation
    }
}
