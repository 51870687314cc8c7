//! Making all parities, and many coded symbols, in one pass over a block: in steps of bounded time, or in parts for several
//! threads.

use crate::encode::{EncodeError, check_block, check_ids};
use crate::geometry::Geometry;
use crate::kernel::{
    Level, Place, Places, Program, STREAM_FROM, Strip, Stripe, Tile, cut_columns, tile_len, tile_width,
};
use crate::knowns::{Chunk, KnownSums, chunk_slots};
use crate::part::Part;
use crate::solve::Budget;
use crate::structure::{CodedId, Structure};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Makes a block's parity, and coded symbols with it, bit by bit: what [`crate::Encoder::new_with_coded`] does in one go.
///
/// Memory: the parity, and a tile of at most 4 MiB (more for blocks from 64 MiB: a sixteenth, at most 32 MiB).
#[derive(Clone, Debug)]
pub struct Encoding {
    geometry: Geometry,
    ids: Vec<CodedId>,
    batch: Batch,
    parity: Vec<u8>,
    /// Columns that are not made yet.
    todo: Vec<Range<usize>>,
    room: Vec<u8>,
}

impl Encoding {
    /// Works out the sums: symbol bytes are not touched. `ids` are coded symbols to make along with the parity.
    ///
    /// # Errors
    /// [`EncodeError::Density`].
    pub fn new(geometry: Geometry, ids: &[CodedId]) -> Result<Self, EncodeError> {
        if let Some(id) = ids.iter().find(|id| !id.is_valid()) {
            return Err(EncodeError::Density { density: id.density });
        }
        let code = Structure::new(geometry.source_symbols());
        let batch = Batch::of_parity_and_coded(&code, geometry, ids);
        let columns = 0..if batch.is_empty() { 0 } else { geometry.symbol_len() as usize };
        Ok(Self {
            geometry,
            ids: ids.to_vec(),
            parity: vec![0; crate::Encoder::parity_len(geometry)],
            batch,
            todo: vec![columns],
            room: Vec::new(),
        })
    }

    /// Goes on for about `budget_bytes` of XORed bytes, at least for one strip of columns. True when everything is made;
    /// until then parity and `out` are not whole. `block` and `out`, which takes the coded symbols one after the other, are
    /// the same at every call.
    ///
    /// # Errors
    /// [`EncodeError::BlockLen`], [`EncodeError::OutputLen`].
    pub fn step(&mut self, block: &[u8], out: &mut [u8], budget_bytes: usize) -> Result<bool, EncodeError> {
        check_block(self.geometry, block)?;
        check_ids(self.geometry, &self.ids, out)?;
        let mut budget = Budget::new(budget_bytes);
        while !budget.is_spent() {
            self.todo.retain(|columns| !columns.is_empty());
            let Some(columns) = self.todo.first_mut() else { return Ok(true) };
            let parity = Parity::Made(Stripe::new(&mut self.parity, columns.clone()));
            let out = Stripe::new(out, columns.clone());
            Pass { batch: &self.batch, block, parity, out, columns }.run(&mut self.room, &mut budget);
        }
        Ok(self.todo.iter().all(Range::is_empty))
    }

    /// Cuts what is left into at most `n` parts, which can run on as many threads at once. What a part did not do stays
    /// to be done by [`Encoding::step`] or further parts. `block` and `out` as for [`Encoding::step`].
    ///
    /// # Errors
    /// [`EncodeError::BlockLen`], [`EncodeError::OutputLen`].
    pub fn parts<'p>(
        &'p mut self,
        block: &'p [u8],
        out: &'p mut [u8],
        n: usize,
    ) -> Result<Vec<Part<'p>>, EncodeError> {
        check_block(self.geometry, block)?;
        check_ids(self.geometry, &self.ids, out)?;
        let grain = self.batch.width;
        self.todo = self.todo.iter().flat_map(|columns| cut_columns(columns, n, grain)).collect();
        let parity = Stripe::cut(&mut self.parity, &self.todo);
        let out = Stripe::cut(out, &self.todo);
        let (batch, stripes) = (&self.batch, parity.into_iter().zip(out));
        let passes = self.todo.iter_mut().zip(stripes).map(|(columns, (parity, out))| Pass {
            batch,
            block,
            parity: Parity::Made(parity),
            out,
            columns,
        });
        Ok(passes.map(Part::of_encoding).collect())
    }

    /// The parity, to be stored beside the block; none while it is not whole.
    pub fn into_parity(self) -> Option<Vec<u8>> {
        self.todo.iter().all(Range::is_empty).then_some(self.parity)
    }
}

/// Sums over a block, written down.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    geometry: Geometry,
    /// Sums of source symbols, then all others.
    chunks: Vec<Chunk>,
    program: Program,
    /// The slot of the last source symbol when it is short and some sum takes it: then it is loaded by itself.
    short: Option<u32>,
    parities: Places,
    coded: Places,
    slots: u32,
    width: usize,
}

/// The parity of a pass.
#[derive(Debug)]
pub(crate) enum Parity<'p> {
    /// The pass makes it.
    Made(Stripe<'p>),
    /// It is loaded.
    Given(&'p [u8]),
}

/// Where things lie in the tile: a chunk of source symbols, parities, coded symbols.
struct Writer<'c> {
    code: &'c Structure,
    sums: KnownSums,
    program: Program,
    parity_at: u32,
    coded_at: u32,
}

impl Batch {
    /// All parities, and the coded symbols `ids`.
    fn of_parity_and_coded(code: &Structure, geometry: Geometry, ids: &[CodedId]) -> Self {
        let mut writer = Writer::new(code, ids.len());
        writer.parity();
        writer.coded(ids);
        writer.finish(geometry, ids.len())
    }

    /// The coded symbols `ids` of a block whose parity is there.
    pub fn of_coded(code: &Structure, geometry: Geometry, ids: &[CodedId]) -> Self {
        let mut writer = Writer::new(code, ids.len());
        writer.coded(ids);
        writer.finish(geometry, ids.len())
    }

    fn is_empty(&self) -> bool {
        self.program.operands() == 0 && self.chunks.iter().all(|chunk| chunk.program.operands() == 0)
    }

    /// Makes the coded symbols in one go.
    pub fn run(&self, block: &[u8], parity: &[u8], out: &mut [u8]) {
        let mut columns = 0..self.geometry.symbol_len() as usize;
        let out = Stripe::new(out, columns.clone());
        let parity = Parity::Given(parity);
        Pass { batch: self, block, parity, out, columns: &mut columns }
            .run(&mut Vec::new(), &mut Budget::new(usize::MAX));
    }
}

impl<'c> Writer<'c> {
    fn new(code: &'c Structure, coded: usize) -> Self {
        let parity_at = chunk_slots(code.source);
        let coded_at = parity_at + code.parities();
        let program = Program::new(coded_at + coded as u32);
        Self { code, sums: KnownSums::default(), program, parity_at, coded_at }
    }

    fn parity(&mut self) {
        let (code, at) = (self.code, self.parity_at);
        for row in 0..code.staircase {
            self.sums.begin(at + row, false);
            code.stair(row, |source| self.sums.add(source));
        }
        for row in 1..code.staircase {
            self.program.sum(at + row, 2, |sum| {
                sum.add(at + row);
                sum.add(at + row - 1);
            });
        }
        for h in 0..code.heavy {
            let terms = (0..code.staircase).map(|j| (at + j, code.heavy_coefficient(h, j)));
            self.program.scaled_sum(at + code.staircase + h, terms);
        }
    }

    fn coded(&mut self, ids: &[CodedId]) {
        let (code, at) = (self.code, self.parity_at);
        for (dst, &id) in (self.coded_at..).zip(ids) {
            if code.is_small() {
                // The chunk is the whole block: every symbol is in its slot.
                let terms = (0..code.source).map(|i| (i, code.dense_coefficient(id.seed, i)));
                self.program.scaled_sum(dst, terms);
            } else if code.is_dense(id) {
                let terms = (0..code.staircase).map(|j| (at + j, code.dense_coefficient(id.seed, j)));
                self.program.scaled_sum(dst, terms);
            } else {
                let draw = code.draw(id);
                self.sums.begin(dst, false);
                code.neighbours(&draw, |source| self.sums.add(source));
                self.program.sum(dst, 4, |sum| {
                    sum.add(dst);
                    sum.add(at + draw.tail.staircase[0]);
                    sum.add(at + draw.tail.staircase[1]);
                    sum.add(at + code.staircase + draw.tail.heavy);
                });
            }
        }
    }

    fn finish(self, geometry: Geometry, coded: usize) -> Batch {
        let (k, t) = (geometry.source_symbols(), geometry.symbol_len() as usize);
        let slots = self.program.slots();
        let places = |from: u32, to: u32| -> Places {
            (from..to).map(|slot| Place { slot, symbol: slot - from }).collect()
        };
        let mut chunks = if self.code.is_small() && coded > 0 {
            vec![Chunk { loads: places(0, k), program: Program::new(slots) }]
        } else {
            self.sums.cut(k, slots)
        };
        // Memory holds only part of a short symbol.
        let is_short = geometry.symbol_range(k - 1).len() < t;
        let short = chunks.last_mut().filter(|_| is_short).and_then(|chunk| chunk.loads.take(k - 1));
        Batch {
            geometry,
            chunks,
            program: self.program,
            short,
            parities: places(self.parity_at, self.coded_at),
            coded: places(self.coded_at, self.coded_at + coded as u32),
            slots,
            width: tile_width(slots, k, t),
        }
    }
}

/// Some columns of a batch.
#[derive(Debug)]
pub(crate) struct Pass<'p> {
    batch: &'p Batch,
    block: &'p [u8],
    parity: Parity<'p>,
    out: Stripe<'p>,
    columns: &'p mut Range<usize>,
}

impl Pass<'_> {
    /// Makes the columns, strip by strip, in `room`, until the budget is spent.
    pub fn run(mut self, room: &mut Vec<u8>, budget: &mut Budget) {
        let batch = self.batch;
        let t = batch.geometry.symbol_len() as usize;
        let level = Level::detect();
        let need = tile_len(batch.slots, batch.width);
        if room.len() < need {
            *room = vec![0; need];
        }
        let mut tile = Tile::new(room, batch.width);
        let last = batch.geometry.symbol_range(batch.geometry.source_symbols() - 1);
        let stream = self.block.len() >= STREAM_FROM;
        let addr = match &self.parity {
            Parity::Made(parity) if batch.coded.is_empty() => parity.addr(),
            _ => self.out.addr(),
        };
        while self.columns.start < self.columns.end && !budget.is_spent() {
            let strip = Strip::new(addr, stream, t, self.columns, batch.width);
            let mut operands = batch.program.operands();
            for (number, chunk) in batch.chunks.iter().enumerate() {
                tile.load(level, self.block, &chunk.loads, strip);
                if let Some(slot) = batch.short.filter(|_| number + 1 == batch.chunks.len()) {
                    let at = (last.start + strip.offset).min(last.end);
                    let have = (last.end - at).min(strip.len);
                    let slot = tile.strip(slot);
                    slot.fill(0);
                    slot[..have].copy_from_slice(&self.block[at..at + have]);
                }
                chunk.program.run(level, &mut tile, strip.len);
                operands += chunk.program.operands();
            }
            if let Parity::Given(parity) = &self.parity {
                tile.load(level, parity, &batch.parities, strip);
            }
            batch.program.run(level, &mut tile, strip.len);
            if let Parity::Made(parity) = &mut self.parity {
                tile.store(level, parity, &batch.parities, strip, stream);
            }
            tile.store(level, &mut self.out, &batch.coded, strip, stream);
            self.columns.start += strip.len;
            budget.spend_bytes(operands as usize * strip.len);
        }
    }
}
