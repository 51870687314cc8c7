//! From "which symbols are here" to a [`Program`] that makes the missing ones, without touching symbol bytes.
//!
//! 1. [`graph`]: the equations over the missing source symbols, sparse.
//! 2. [`peel`]: an order in which each equation gives one symbol from earlier ones and a few set aside.
//! 3. [`dense`]: the symbols set aside, by elimination over GF(2), the last few over GF(256).
//! 4. [`emit`]: all of it as sums over slots.
//!
//! Every stage stops when its budget is used up and goes on where it stopped.

mod dense;
mod emit;
mod graph;
mod peel;
mod russians;

use crate::kernel::Program;
use crate::structure::{CodedId, Structure};
use alloc::boxed::Box;
use alloc::vec::Vec;
use dense::Dense;
use emit::Emit;
use graph::Graph;
use peel::Peel;

/// Work left in this call, in bytes of XOR that would take as long.
#[derive(Debug)]
pub(crate) struct Budget {
    left: isize,
    given: isize,
}

impl Budget {
    /// At least one byte, so that every call does something.
    pub fn new(bytes: usize) -> Self {
        let given = isize::try_from(bytes).unwrap_or(isize::MAX).max(1);
        Self { left: given, given }
    }

    /// Takes off bytes that were XORed.
    #[inline]
    pub fn spend_bytes(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(isize::try_from(bytes).unwrap_or(isize::MAX));
    }

    /// Bytes taken off so far, which can be more than were given.
    pub fn spent(&self) -> u64 {
        self.given.abs_diff(self.left) as u64
    }

    /// Takes off the cost of `edges` steps of symbolic work; a step costs about what XORing 64 bytes does.
    #[inline]
    pub fn spend(&mut self, edges: usize) {
        self.spend_bytes(64 * edges);
    }

    #[inline]
    pub fn is_spent(&self) -> bool {
        self.left <= 0
    }
}

/// Where each kind of symbol lies in a tile. Source symbols come first, at their own index: known ones are loaded,
/// missing ones made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Slot of the first coded symbol.
    pub coded: u32,
    /// Slot of the first right-hand side of a staircase row.
    pub stairs: u32,
    /// Slots before the temporary ones.
    pub end: u32,
}

impl Layout {
    pub fn new(code: &Structure, coded: u32) -> Self {
        let stairs = code.source + coded;
        Self { coded: code.source, stairs, end: stairs + code.staircase }
    }
}

/// How solving came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The budget is used up.
    Working,
    /// The equations leave at least this many unknowns open. These coded symbols, by their place in the list, follow from
    /// the others: they say nothing and can go.
    Lacking(u32, Vec<u32>),
    /// The program makes every missing source symbol.
    Solved(Program),
}

/// A solution being worked out. It refers to coded symbols by their place in the list it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Solver {
    code: Structure,
    stage: Stage,
    /// No program is wanted.
    only_looks: bool,
    /// Symbols set aside: for figures.
    pub inactive: u32,
}

#[derive(Clone, Debug)]
enum Stage {
    Graph(Box<Graph>),
    Peel(Box<Graph>, Box<Peel>),
    Dense(Box<Graph>, Box<Peel>, Box<Dense>),
    Emit(Box<Graph>, Box<Peel>, Box<Emit>),
    Over,
}

impl Solver {
    /// `missing` lists the unknown source symbols in rising order, `coded` the coded symbols at hand. Not for small
    /// blocks: see [`crate::small`].
    pub fn new(code: Structure, missing: Vec<u32>, coded: Vec<CodedId>) -> Self {
        let stage = Stage::Graph(Box::new(Graph::new(&code, missing, coded)));
        Self { code, stage, only_looks: false, inactive: 0 }
    }

    /// Whether the equations are found to leave anything open: the coded symbols that follow from others, by their place in
    /// the list. None: they give every missing symbol, or `budget` was too small to know.
    pub fn lacks(&mut self, budget: &mut Budget) -> Option<Vec<u32>> {
        self.only_looks = true;
        match self.advance(budget) {
            Outcome::Lacking(_, redundant) => Some(redundant),
            Outcome::Solved(_) | Outcome::Working => None,
        }
    }

    /// Goes on until `budget` is spent.
    pub fn advance(&mut self, budget: &mut Budget) -> Outcome {
        loop {
            if budget.is_spent() {
                return Outcome::Working;
            }
            match core::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Graph(mut graph) => {
                    self.stage = if graph.advance(&self.code, budget) {
                        let peel = Peel::new(&graph);
                        Stage::Peel(graph, Box::new(peel))
                    } else {
                        Stage::Graph(graph)
                    };
                }
                Stage::Peel(graph, mut peel) => {
                    self.stage = if peel.advance(&graph, budget) {
                        let dense = Dense::new(&self.code, &graph, &peel);
                        self.inactive = dense.columns as u32;
                        Stage::Dense(graph, peel, Box::new(dense))
                    } else {
                        Stage::Peel(graph, peel)
                    };
                }
                Stage::Dense(mut graph, peel, mut dense) => {
                    match dense.advance(&self.code, &graph, &peel, budget) {
                        dense::Progress::Working => self.stage = Stage::Dense(graph, peel, dense),
                        dense::Progress::Lacking(n) => {
                            let redundant = dense.redundant().filter_map(|row| graph.slots.get(row as usize));
                            return Outcome::Lacking(
                                n,
                                redundant.map(|slot| slot - graph.layout.coded).collect(),
                            );
                        }
                        dense::Progress::Solved => {
                            let program = core::mem::take(&mut graph.program);
                            if self.only_looks {
                                return Outcome::Solved(program);
                            }
                            let emit = Emit::new(&graph, &peel, *dense, program);
                            self.stage = Stage::Emit(graph, peel, Box::new(emit));
                        }
                    }
                }
                Stage::Emit(graph, peel, mut emit) => {
                    if emit.advance(&self.code, &graph, &peel, budget) {
                        return Outcome::Solved(emit.program);
                    }
                    self.stage = Stage::Emit(graph, peel, emit);
                }
                Stage::Over => unreachable!("it has said Lacking or Solved"),
            }
        }
    }
}
