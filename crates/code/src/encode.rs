//! Making coded symbols from a block.

use crate::geometry::Geometry;
use crate::kernel::{Level, Place, Places, Program, STREAM_FROM, Strip, Tile, tile_len, tile_width};
use crate::structure::{CodedId, DENSITY_CLASSES, Structure};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Makes coded symbols of one borrowed block. Beyond the block it holds the parity alone.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    geometry: Geometry,
    block: &'a [u8],
    parity: Cow<'a, [u8]>,
}

/// Why an encoder could not be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The block is not as long as the geometry says.
    BlockLen {
        /// Bytes that the geometry says.
        expected: u64,
        /// Bytes given.
        got: u64,
    },
    /// The parity is not [`Encoder::parity_len`] bytes.
    ParityLen {
        /// Bytes that the geometry says.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The output is not one symbol long.
    OutputLen {
        /// Symbol length, bytes.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// No such density class.
    Density {
        /// The class asked for.
        density: u8,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockLen { expected, got } => write!(f, "block of {got} bytes where {expected} were due"),
            Self::ParityLen { expected, got } => write!(f, "parity of {got} bytes where {expected} were due"),
            Self::OutputLen { expected, got } => {
                write!(f, "room for {got} bytes where a symbol has {expected}")
            }
            Self::Density { density } => {
                write!(f, "density class {density} is not one of 0 to {}", DENSITY_CLASSES - 1)
            }
        }
    }
}

impl core::error::Error for EncodeError {}

impl<'a> Encoder<'a> {
    /// Borrows `block` (exactly `geometry.block_len()` bytes) and makes its parity: one pass over the block.
    ///
    /// # Errors
    /// [`EncodeError::BlockLen`].
    pub fn new(geometry: Geometry, block: &'a [u8]) -> Result<Self, EncodeError> {
        Self::new_with_coded(geometry, block, &[], &mut [])
    }

    /// As [`Encoder::new`], and writes the coded symbols `ids` one after the other into `out` in the same pass over
    /// the block.
    ///
    /// # Errors
    /// [`EncodeError::BlockLen`], [`EncodeError::OutputLen`], [`EncodeError::Density`].
    pub fn new_with_coded(
        geometry: Geometry,
        block: &'a [u8],
        ids: &[CodedId],
        out: &mut [u8],
    ) -> Result<Self, EncodeError> {
        check_block(geometry, block)?;
        check_ids(geometry, ids, out)?;
        let code = Structure::new(geometry.source_symbols());
        let mut parity = vec![0; Self::parity_len(geometry)];
        let mut batch = Batch::new(geometry, ids.len());
        batch.add_parity(&code);
        batch.add_coded(&code, ids);
        if batch.program.operands() > 0 {
            batch.run(block, &mut parity, Parity::Made, out);
        }
        Ok(Self { geometry, block, parity: Cow::Owned(parity) })
    }

    /// Borrows a block and the parity that an earlier encoder of the same block gave. A parity of other
    /// content makes wrong coded symbols; it cannot be told from its bytes.
    ///
    /// # Errors
    /// [`EncodeError::BlockLen`], [`EncodeError::ParityLen`].
    pub fn with_parity(geometry: Geometry, block: &'a [u8], parity: &'a [u8]) -> Result<Self, EncodeError> {
        check_block(geometry, block)?;
        let expected = Self::parity_len(geometry);
        if parity.len() != expected {
            return Err(EncodeError::ParityLen { expected, got: parity.len() });
        }
        Ok(Self { geometry, block, parity: Cow::Borrowed(parity) })
    }

    /// The parity, to be stored beside the block; [`Encoder::parity_len`] bytes.
    pub fn parity(&self) -> &[u8] {
        &self.parity
    }

    /// Bytes of parity that an encoder of this geometry keeps: S + H symbols, none up to K = 64.
    pub fn parity_len(geometry: Geometry) -> usize {
        Structure::new(geometry.source_symbols()).parities() as usize * geometry.symbol_len() as usize
    }

    /// Writes coded symbol `id` into `out` (exactly one symbol long). A short last source symbol counts as padded
    /// with zeros.
    ///
    /// # Errors
    /// [`EncodeError::OutputLen`], [`EncodeError::Density`].
    pub fn write_coded(&self, id: CodedId, out: &mut [u8]) -> Result<(), EncodeError> {
        let code = Structure::new(self.geometry.source_symbols());
        if code.is_dense(id) || out.len() != self.geometry.symbol_len() as usize {
            return self.write_coded_batch(&[id], out);
        }
        check_ids(self.geometry, &[id], out)?;
        out.fill(0);
        let mut add = |symbol: &[u8]| {
            // Equal lengths let the compiler use vectors.
            let n = out.len().min(symbol.len());
            out[..n].iter_mut().zip(&symbol[..n]).for_each(|(o, s)| *o ^= s);
        };
        let draw = code.draw(id);
        code.neighbours(&draw, |i| add(self.source(i)));
        add(self.parity_symbol(draw.tail.staircase[0]));
        add(self.parity_symbol(draw.tail.staircase[1]));
        add(self.parity_symbol(code.staircase + draw.tail.heavy));
        Ok(())
    }

    /// Writes many coded symbols one after the other into `out`: faster than one by one, since each piece of the
    /// block is brought near once. Takes about a megabyte of working memory.
    ///
    /// # Errors
    /// [`EncodeError::OutputLen`], [`EncodeError::Density`].
    pub fn write_coded_batch(&self, ids: &[CodedId], out: &mut [u8]) -> Result<(), EncodeError> {
        check_ids(self.geometry, ids, out)?;
        let code = Structure::new(self.geometry.source_symbols());
        let mut batch = Batch::new(self.geometry, ids.len());
        batch.add_coded(&code, ids);
        batch.run(self.block, &mut [], Parity::Given(&self.parity), out);
        Ok(())
    }

    fn source(&self, index: u32) -> &[u8] {
        &self.block[self.geometry.symbol_range(index)]
    }

    fn parity_symbol(&self, index: u32) -> &[u8] {
        let t = self.geometry.symbol_len() as usize;
        &self.parity[index as usize * t..][..t]
    }
}

/// A program over a whole block: slots are source symbols, parities, coded symbols.
struct Batch {
    geometry: Geometry,
    program: Program,
    /// Source symbols that the program sums.
    used: Vec<bool>,
    coded_at: u32,
    coded: u32,
}

enum Parity<'p> {
    /// The program makes it.
    Made,
    /// It is loaded.
    Given(&'p [u8]),
}

impl Batch {
    fn new(geometry: Geometry, coded: usize) -> Self {
        let code = Structure::new(geometry.source_symbols());
        let coded_at = code.source + code.parities();
        Self {
            geometry,
            program: Program::new(coded_at + coded as u32),
            used: vec![false; code.source as usize],
            coded_at,
            coded: coded as u32,
        }
    }

    fn add_parity(&mut self, code: &Structure) {
        let k = code.source;
        if !code.is_small() {
            self.used.fill(true);
        }
        for row in 0..code.staircase {
            self.program.sum(k + row, 1 + code.stair_most(), |sum| {
                if row > 0 {
                    sum.add(k + row - 1);
                }
                code.stair(row, |i| sum.add(i));
            });
        }
        for h in 0..code.heavy {
            let terms = (0..code.staircase).map(|j| (k + j, code.heavy_coefficient(h, j)));
            self.program.scaled_sum(k + code.staircase + h, terms);
        }
    }

    fn add_coded(&mut self, code: &Structure, ids: &[CodedId]) {
        let k = code.source;
        for (dst, &id) in (self.coded_at..).zip(ids) {
            if code.is_small() {
                self.used.fill(true);
                self.program.scaled_sum(dst, (0..k).map(|i| (i, code.dense_coefficient(id.seed, i))));
            } else if code.is_dense(id) {
                let terms = (0..code.staircase).map(|j| (k + j, code.dense_coefficient(id.seed, j)));
                self.program.scaled_sum(dst, terms);
            } else {
                let draw = code.draw(id);
                let used = &mut self.used;
                self.program.sum(dst, 3 + draw.degree as usize, |sum| {
                    code.neighbours(&draw, |i| {
                        used[i as usize] = true;
                        sum.add(i);
                    });
                    sum.add(k + draw.tail.staircase[0]);
                    sum.add(k + draw.tail.staircase[1]);
                    sum.add(k + code.staircase + draw.tail.heavy);
                });
            }
        }
    }

    fn run(&self, block: &[u8], made: &mut [u8], parity: Parity<'_>, out: &mut [u8]) {
        let t = self.geometry.symbol_len() as usize;
        let k = self.geometry.source_symbols();
        let level = Level::detect();
        let slots = self.program.slots();
        let width = tile_width(slots, k, t);
        let mut memory = vec![0; tile_len(slots, width)];
        let mut tile = Tile::new(&mut memory, width);
        let last = self.geometry.symbol_range(k - 1);
        // The last symbol is taken by itself when it is short.
        let whole = if last.len() < t { k - 1 } else { k };
        let places = |from: u32, to: u32| -> Places {
            (from..to).map(|slot| Place { slot, symbol: slot - from }).collect()
        };
        let used = (0..whole).filter(|&i| self.used[i as usize]);
        let sources: Places = used.map(|i| Place { slot: i, symbol: i }).collect();
        let parities = places(k, self.coded_at);
        let coded = places(self.coded_at, self.coded_at + self.coded);
        let stream = block.len() >= STREAM_FROM;
        let mut offset = 0;
        while offset < t {
            let target: &[u8] = if out.is_empty() { made } else { out };
            let strip = Strip::new(target, stream, t, offset, tile.width());
            tile.load(level, block, &sources, strip);
            if whole < k {
                let at = (last.start + offset).min(last.end);
                let have = (last.end - at).min(strip.len);
                let slot = tile.strip(k - 1);
                slot.fill(0);
                slot[..have].copy_from_slice(&block[at..at + have]);
            }
            if let Parity::Given(parity) = parity {
                tile.load(level, parity, &parities, strip);
            }
            self.program.run(level, &mut tile, strip.len);
            if let Parity::Made = parity {
                tile.store(level, made, &parities, strip, stream);
            }
            tile.store(level, out, &coded, strip, stream);
            offset += strip.len;
        }
    }
}

fn check_ids(geometry: Geometry, ids: &[CodedId], out: &[u8]) -> Result<(), EncodeError> {
    if let Some(id) = ids.iter().find(|id| !id.is_valid()) {
        return Err(EncodeError::Density { density: id.density });
    }
    let expected = ids.len().saturating_mul(geometry.symbol_len() as usize);
    if out.len() != expected {
        return Err(EncodeError::OutputLen { expected, got: out.len() });
    }
    Ok(())
}

fn check_block(geometry: Geometry, block: &[u8]) -> Result<(), EncodeError> {
    if block.len() as u64 != geometry.block_len() {
        return Err(EncodeError::BlockLen { expected: geometry.block_len(), got: block.len() as u64 });
    }
    Ok(())
}
