//! Rebuilding a block from whatever arrives.

use crate::geometry::Geometry;
use crate::held::{Held, Room, Transfers};
use crate::kernel::{Program, cut_columns};
use crate::part::Part;
use crate::propose::propose;
use crate::small;
use crate::solve::{Budget, Outcome, Solver};
use crate::structure::{CodedId, DENSITY_CLASSES, Structure};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Dense coded symbols that are kept at most: their elimination is cubic.
const DENSE_MAX: u32 = 128;

/// Rebuilds one block from source and coded symbols in any order.
///
/// Memory: one block (coded symbols wait where missing source symbols will go, unless they bring their own memory), at
/// most 64 symbols beside it, and a tile of at most a sixteenth of the block (but up to 4 MiB, and never more than 32 MiB); while it decodes, tables of about
/// 400 bytes a missing symbol. (A tile is never less than 64 bytes a slot, about 150 a source symbol.)
/// It verifies nothing: symbols that contradict each other give some wrong block.
#[derive(Clone, Debug)]
pub struct Decoder {
    geometry: Geometry,
    code: Structure,
    held: Held,
    /// Dense coded symbols taken.
    dense: u32,
    /// Further coded symbols needed since the last attempt failed.
    lacking: u32,
    work: Work,
    cost: Cost,
}

/// What [`Decoder::step`] is at.
#[derive(Clone, Debug)]
enum Work {
    /// Waiting for symbols.
    Idle,
    /// Working out which sums to make; the coded symbols by their numbers in `held`.
    Solving { solver: Box<Solver>, missing: Vec<u32>, coded: Vec<u32> },
    /// Making the sums, column strip by column strip; `todo` are the columns left.
    Running { program: Program, width: usize, transfers: Transfers, todo: Vec<Range<usize>> },
}

/// Why a symbol was refused. A refused symbol leaves the decoder as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// No such source symbol.
    Index {
        /// The index given.
        index: u32,
        /// K.
        source_symbols: u32,
    },
    /// The symbol has another length than the geometry says.
    SymbolLen {
        /// Bytes due.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// No such density class.
    Density {
        /// The class given.
        density: u8,
    },
    /// As many coded symbols wait as this decoder keeps; decode, or wait for source symbols.
    Full {
        /// Coded symbols held.
        held: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { index, source_symbols } => {
                write!(f, "source symbol {index} of a block of {source_symbols}")
            }
            Self::SymbolLen { expected, got } => write!(f, "symbol of {got} bytes where {expected} were due"),
            Self::Density { density } => {
                write!(f, "density class {density} is not one of 0 to {}", DENSITY_CLASSES - 1)
            }
            Self::Full { held } => write!(f, "{held} coded symbols wait already"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// What one call of [`Decoder::step`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The block cannot be decoded yet; this many further coded symbols will very probably do.
    NeedMore {
        /// Further coded symbols, at least 1.
        coded: u32,
    },
    /// Call again: there is more to do.
    Working,
    /// Every source symbol is known.
    Done,
}

/// What decoding a block took, counted rather than timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Symbols that were operands of a sum: the XOR and the products of one whole symbol count 1 each.
    pub operations: u64,
    /// Symbols set aside in peeling, S + H parities included; 0 for a small block.
    pub set_aside: u32,
    /// Strips of symbols that a tile holds.
    pub slots: u32,
    /// The most that one call of [`Decoder::step`] did, in bytes of XOR that take as long: its budget, and what its last
    /// piece of work went beyond.
    pub step_bytes_most: u64,
}

impl Decoder {
    /// An empty decoder.
    pub fn new(geometry: Geometry) -> Self {
        Self::with_buffer(geometry, Vec::new())
    }

    /// An empty decoder that uses the memory of `buffer`, such as an earlier block: fresh memory can cost more time
    /// than decoding. What the buffer holds does not matter.
    pub fn with_buffer(geometry: Geometry, buffer: Vec<u8>) -> Self {
        Self {
            geometry,
            code: Structure::new(geometry.source_symbols()),
            held: Held::new(geometry, buffer),
            dense: 0,
            lacking: 0,
            work: Work::Idle,
            cost: Cost::default(),
        }
    }

    /// Takes source symbol `index` (exactly the bytes of [`Geometry::symbol_range`]). `Ok(true)`: it was not
    /// known before. While the last pass of decoding runs, every symbol counts as known.
    ///
    /// # Errors
    /// [`DecodeError::Index`], [`DecodeError::SymbolLen`].
    pub fn add_source(&mut self, index: u32, bytes: &[u8]) -> Result<bool, DecodeError> {
        let source_symbols = self.geometry.source_symbols();
        if index >= source_symbols {
            return Err(DecodeError::Index { index, source_symbols });
        }
        let expected = self.geometry.symbol_range(index).len();
        if bytes.len() != expected {
            return Err(DecodeError::SymbolLen { expected, got: bytes.len() });
        }
        if self.held.has(index) || matches!(self.work, Work::Running { .. }) {
            return Ok(false);
        }
        self.held.insert_source(index, bytes);
        Ok(true)
    }

    /// Takes a coded symbol (one symbol length). `Ok(true)`: neither a duplicate nor needless.
    ///
    /// # Errors
    /// [`DecodeError::Density`], [`DecodeError::SymbolLen`], [`DecodeError::Full`].
    pub fn add_coded(&mut self, id: CodedId, bytes: &[u8]) -> Result<bool, DecodeError> {
        if !self.wants(id, bytes.len())? {
            return Ok(false);
        }
        if !self.held.insert_coded(id, bytes) {
            return Err(DecodeError::Full { held: self.held.coded() });
        }
        self.count_coded(id);
        Ok(true)
    }

    /// As [`Decoder::add_coded`] with the symbol's memory: it is not copied, and waits where it is instead of in the
    /// block's memory. [`Decoder::take_owned`] gives it back.
    ///
    /// # Errors
    /// As [`Decoder::add_coded`]; the symbol is gone then.
    pub fn add_coded_owned(&mut self, id: CodedId, bytes: Vec<u8>) -> Result<bool, DecodeError> {
        if !self.wants(id, bytes.len())? {
            return Ok(false);
        }
        if self.held.own_coded(id, bytes).is_err() {
            return Err(DecodeError::Full { held: self.held.coded() });
        }
        self.count_coded(id);
        Ok(true)
    }

    /// Gives back the coded symbols that came with their memory, in the order in which they came, so that they can be
    /// compared with what the block makes ([`crate::Encoder::write_coded`]). What decoding found to follow from the others
    /// is among them, but for the first 64 only. Before the block is whole this takes the symbols from it.
    pub fn take_owned(&mut self) -> Vec<(CodedId, Vec<u8>)> {
        if self.held.missing() > 0 {
            self.work = Work::Idle;
        }
        self.held.take_own()
    }

    /// Whether a coded symbol can be of use.
    fn wants(&self, id: CodedId, len: usize) -> Result<bool, DecodeError> {
        if !id.is_valid() {
            return Err(DecodeError::Density { density: id.density });
        }
        let expected = self.geometry.symbol_len() as usize;
        if len != expected {
            return Err(DecodeError::SymbolLen { expected, got: len });
        }
        let running = matches!(self.work, Work::Running { .. });
        if self.held.missing() == 0 || running || self.held.has_coded(id) {
            return Ok(false);
        }
        if self.is_parity_only(id) && self.dense == DENSE_MAX {
            return Err(DecodeError::Full { held: self.held.coded() });
        }
        Ok(true)
    }

    fn is_parity_only(&self, id: CodedId) -> bool {
        !self.code.is_small() && self.code.is_dense(id)
    }

    fn count_coded(&mut self, id: CodedId) {
        self.dense += u32::from(self.is_parity_only(id));
        self.lacking = self.lacking.saturating_sub(1);
    }

    /// Source symbols that are not known yet.
    pub fn missing(&self) -> u32 {
        self.held.missing()
    }

    /// Whether source symbol `index` is known. False for an index of K or more.
    pub fn has(&self, index: u32) -> bool {
        self.held.has(index)
    }

    /// How many further coded symbols would very probably complete the block; 0 when decoding can be tried.
    pub fn coded_wanted(&self) -> u32 {
        let missing = self.held.missing();
        missing.saturating_sub(self.held.coded()).max(self.lacking.min(missing))
    }

    /// Up to `count` coded symbols worth asking for: none is held, each touches what is missing, and their density
    /// fits the share missing. Another `salt` gives other ones, so that symbols in flight are not asked for twice.
    pub fn propose(&self, count: u32, salt: u64) -> Vec<CodedId> {
        self.propose_beside(&[], count, salt)
    }

    /// As [`Decoder::propose`], for a receiver that has `asked` for some already: those are not proposed again. When the
    /// symbols held, asked and proposed are enough in number, and at most 4,096 source symbols are missing, it works out
    /// whether together they give the block, and puts others in the place of those that say nothing new: none that is
    /// proposed is then useless unless more source symbols arrive. That costs the symbolic part of a decoding, more where it has
    /// to be repeated (one time in 250), and two milliseconds natively at most: blocks of more than 16,384 symbols are not
    /// worked out to the end, and get the proposals unexamined.
    pub fn propose_beside(&self, asked: &[CodedId], count: u32, salt: u64) -> Vec<CodedId> {
        propose(&self.code, &self.held, self.lacking > 0, asked, count, salt)
    }

    /// Works for about `budget_bytes` of XORed bytes, then returns; symbols may be added between calls. One call
    /// does at least one step: a pass over the tables, or one strip of columns.
    pub fn step(&mut self, budget_bytes: usize) -> Step {
        let mut budget = Budget::new(budget_bytes);
        let step = self.work(&mut budget);
        self.cost.step_bytes_most = self.cost.step_bytes_most.max(budget.spent());
        step
    }

    /// Works out the sums without a bound, unless that is done, and cuts them into at most `n` parts, which can run on as
    /// many threads at once. When all have run, [`Decoder::step`] says [`Step::Done`]; what a part did not do is done there.
    ///
    /// # Errors
    /// What [`Decoder::step`] says when there are no sums to make: [`Step::NeedMore`] or [`Step::Done`].
    pub fn parts(&mut self, n: usize) -> Result<Vec<Part<'_>>, Step> {
        while !matches!(self.work, Work::Running { .. }) {
            // The least budget ends each call where the next begins: no sums are made here.
            match self.work(&mut Budget::new(1)) {
                Step::Working => {}
                other => return Err(other),
            }
        }
        let Work::Running { program, width, transfers, todo } = &mut self.work else {
            unreachable!("the loop ends so");
        };
        *todo = todo.iter().flat_map(|columns| cut_columns(columns, n, *width)).collect();
        let (passes, _) = self.held.passes(program, *width, transfers, todo);
        Ok(passes.into_iter().map(Part::of_decoding).collect())
    }

    fn work(&mut self, budget: &mut Budget) -> Step {
        loop {
            if self.held.missing() == 0 {
                return Step::Done;
            }
            if matches!(self.work, Work::Idle) {
                let coded = self.coded_wanted();
                if coded > 0 {
                    return Step::NeedMore { coded };
                }
                self.begin(budget);
                continue;
            }
            if budget.is_spent() {
                return Step::Working;
            }
            match core::mem::replace(&mut self.work, Work::Idle) {
                Work::Idle => {}
                Work::Solving { mut solver, missing, coded } => match solver.advance(budget) {
                    Outcome::Working => self.work = Work::Solving { solver, missing, coded },
                    Outcome::Lacking(n, redundant) => {
                        self.lacking = n;
                        redundant.iter().for_each(|&i| self.held.drop_coded(coded[i as usize]));
                    }
                    Outcome::Solved(program) => {
                        self.cost.set_aside = solver.inactive;
                        self.prepare(program, &missing, &coded);
                    }
                },
                Work::Running { program, width, transfers, mut todo } => {
                    let left = todo.iter().position(|columns| !columns.is_empty());
                    if let Some(left) = left {
                        let next = &mut todo[left..=left];
                        let (mut passes, room) = self.held.passes(&program, width, &transfers, next);
                        let pass = passes.pop().expect("one was asked for");
                        pass.run(&mut Room::Lent(room), budget);
                    }
                    if todo.iter().all(Range::is_empty) {
                        self.held.complete();
                    } else {
                        self.work = Work::Running { program, width, transfers, todo };
                    }
                }
            }
        }
    }

    fn begin(&mut self, budget: &mut Budget) {
        let missing = self.held.missing_list();
        let (numbers, ids) = self.held.coded_list();
        if self.code.is_small() {
            match small::solve(&self.code, &missing, &ids) {
                Ok(program) => self.prepare(program, &missing, &numbers),
                Err(n) => self.lacking = n,
            }
        } else {
            let solver = Box::new(Solver::new(self.code, missing.clone(), ids));
            self.work = Work::Solving { solver, missing, coded: numbers };
        }
        budget.spend(self.code.source as usize / 8);
    }

    /// Source symbols may have arrived since the program was begun: it makes them once more, to no harm. Only when
    /// they pushed a coded symbol out must it be begun again.
    fn prepare(&mut self, program: Program, missing: &[u32], coded: &[u32]) {
        if let Some(transfers) = self.held.plan(missing, coded) {
            let width = self.held.make_tile(program.slots());
            self.cost.operations = program.operands();
            self.cost.slots = program.slots();
            let columns = 0..self.geometry.symbol_len() as usize;
            self.work = Work::Running { program, width, transfers, todo: vec![columns] };
        }
    }

    /// What the last decoding took; zeros before there was one.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Source symbol `index`, when it is known: received or decoded.
    pub fn symbol(&self, index: u32) -> Option<&[u8]> {
        self.held.symbol(index)
    }

    /// The block, when every source symbol is known.
    pub fn into_block(self) -> Option<Vec<u8>> {
        self.held.into_block()
    }
}
