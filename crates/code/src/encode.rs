//! Making coded symbols from a block.

use crate::encoding::{Batch, Encoding};
use crate::geometry::Geometry;
use crate::structure::{CodedId, DENSITY_CLASSES, Structure};
use alloc::borrow::Cow;
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
        let mut encoding = Encoding::new(geometry, ids)?;
        encoding.step(block, out, usize::MAX)?;
        let parity = encoding.into_parity().expect("a step without a bound ends it");
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

    /// How many symbols coded symbol `id` sums: what it costs to make one, for whoever lets strangers choose it.
    pub fn symbols_summed(geometry: Geometry, id: CodedId) -> u32 {
        let code = Structure::new(geometry.source_symbols());
        match (code.is_small(), code.is_dense(id)) {
            (true, _) => geometry.source_symbols(),
            (false, true) => code.staircase,
            (false, false) => code.draw(id).degree + 3,
        }
    }

    /// Whether coded symbol `id` multiplies what it sums, rather than XORs it.
    pub fn multiplies(geometry: Geometry, id: CodedId) -> bool {
        Structure::new(geometry.source_symbols()).is_dense(id)
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
        Batch::of_coded(&code, self.geometry, ids).run(self.block, &self.parity, out);
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

pub(crate) fn check_ids(geometry: Geometry, ids: &[CodedId], out: &[u8]) -> Result<(), EncodeError> {
    if let Some(id) = ids.iter().find(|id| !id.is_valid()) {
        return Err(EncodeError::Density { density: id.density });
    }
    let expected = ids.len().saturating_mul(geometry.symbol_len() as usize);
    if out.len() != expected {
        return Err(EncodeError::OutputLen { expected, got: out.len() });
    }
    Ok(())
}

pub(crate) fn check_block(geometry: Geometry, block: &[u8]) -> Result<(), EncodeError> {
    if block.len() as u64 != geometry.block_len() {
        return Err(EncodeError::BlockLen { expected: geometry.block_len(), got: block.len() as u64 });
    }
    Ok(())
}
