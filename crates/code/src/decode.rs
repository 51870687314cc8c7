//! Rebuilding a block from whatever arrives.

use crate::geometry::Geometry;
use crate::reference;
use crate::structure::{CodedId, DENSITY_CLASSES, Structure, mix};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Coded symbols that are kept beyond the missing ones; more are refused.
const SPARE: usize = 64;

/// Rebuilds one block from source and coded symbols in any order.
///
/// Memory: one block, at most 64 symbols beside it, and tables of at most about 200 bytes a source symbol.
/// It verifies nothing: symbols that contradict each other give some wrong block.
#[derive(Clone, Debug)]
pub struct Decoder {
    geometry: Geometry,
    sources: Vec<Option<Vec<u8>>>,
    coded: BTreeMap<CodedId, Vec<u8>>,
    missing: u32,
    lacking: u32,
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

impl Decoder {
    /// An empty decoder.
    pub fn new(geometry: Geometry) -> Self {
        let k = geometry.source_symbols();
        Self { geometry, sources: vec![None; k as usize], coded: BTreeMap::new(), missing: k, lacking: 0 }
    }

    /// Takes source symbol `index` (exactly the bytes of [`Geometry::symbol_range`]). `Ok(true)`: it was not
    /// known before.
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
        let place = &mut self.sources[index as usize];
        if place.is_some() {
            return Ok(false);
        }
        let mut padded = bytes.to_vec();
        padded.resize(self.geometry.symbol_len() as usize, 0);
        *place = Some(padded);
        self.missing -= 1;
        Ok(true)
    }

    /// Takes a coded symbol (one symbol length). `Ok(true)`: neither a duplicate nor needless.
    ///
    /// # Errors
    /// [`DecodeError::Density`], [`DecodeError::SymbolLen`], [`DecodeError::Full`].
    pub fn add_coded(&mut self, id: CodedId, bytes: &[u8]) -> Result<bool, DecodeError> {
        if !id.is_valid() {
            return Err(DecodeError::Density { density: id.density });
        }
        let expected = self.geometry.symbol_len() as usize;
        if bytes.len() != expected {
            return Err(DecodeError::SymbolLen { expected, got: bytes.len() });
        }
        if self.missing == 0 || self.coded.contains_key(&id) {
            return Ok(false);
        }
        if self.coded.len() >= self.missing as usize + SPARE {
            return Err(DecodeError::Full { held: self.coded.len() as u32 });
        }
        self.coded.insert(id, bytes.to_vec());
        self.lacking = self.lacking.saturating_sub(1);
        Ok(true)
    }

    /// Source symbols that are not known yet.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Whether source symbol `index` is known. False for an index of K or more.
    pub fn has(&self, index: u32) -> bool {
        self.sources.get(index as usize).is_some_and(Option::is_some)
    }

    /// How many further coded symbols would very probably complete the block; 0 when decoding can be tried.
    pub fn coded_wanted(&self) -> u32 {
        self.missing.saturating_sub(self.coded.len() as u32).max(self.lacking.min(self.missing))
    }

    /// Up to `count` coded symbols worth asking for: none is held, each touches what is missing, and their density
    /// fits the share missing. Another `salt` gives other ones, so that symbols in flight are not asked for twice.
    pub fn propose(&self, count: u32, salt: u64) -> Vec<CodedId> {
        let code = Structure::new(self.geometry.source_symbols());
        let mut proposed = Vec::new();
        if self.missing == 0 {
            return proposed;
        }
        if code.is_small() {
            let rows = 256 - code.source as u64;
            let start = mix(salt);
            let ids = (0..rows).map(|i| CodedId { density: 0, seed: (start % rows + i) % rows });
            proposed.extend(ids.filter(|id| !self.coded.contains_key(id)).take(count as usize));
            return proposed;
        }
        let mut density = 1;
        while density + 1 < DENSITY_CLASSES && (self.missing << (density / 2)) < code.source {
            density += 1;
        }
        let mut counter = 0u64;
        while proposed.len() < count as usize && counter < 64 * count as u64 {
            let id = CodedId { density, seed: mix(mix(salt).wrapping_add(counter)) };
            counter += 1;
            let mut touched = 0;
            code.neighbours(id, |i| touched += u32::from(!self.has(i)));
            if touched > 0 && !self.coded.contains_key(&id) {
                proposed.push(id);
            }
        }
        proposed
    }

    /// Works for about `budget_bytes` of XORed bytes, then returns; symbols may be added between calls.
    pub fn step(&mut self, budget_bytes: usize) -> Step {
        let _ = budget_bytes;
        if self.missing == 0 {
            return Step::Done;
        }
        if self.coded_wanted() > 0 {
            return Step::NeedMore { coded: self.coded_wanted() };
        }
        let coded: Vec<_> = self.coded.iter().map(|(id, bytes)| (*id, bytes.clone())).collect();
        match reference::decode(self.geometry, &self.sources, &coded) {
            Ok(mut block) => {
                let t = self.geometry.symbol_len() as usize;
                block.resize(self.sources.len() * t, 0);
                for (place, symbol) in self.sources.iter_mut().zip(block.chunks(t)) {
                    *place = Some(symbol.to_vec());
                }
                self.missing = 0;
                self.coded.clear();
                Step::Done
            }
            Err(lacking) => {
                self.lacking = lacking.max(1);
                Step::NeedMore { coded: self.coded_wanted().max(1) }
            }
        }
    }

    /// Source symbol `index`, when it is known: received or decoded.
    pub fn symbol(&self, index: u32) -> Option<&[u8]> {
        let len = self.geometry.symbol_range(index).len();
        self.sources.get(index as usize)?.as_ref().map(|padded| &padded[..len])
    }

    /// The block, when every source symbol is known.
    pub fn into_block(self) -> Option<Vec<u8>> {
        let symbols: Option<Vec<Vec<u8>>> = self.sources.into_iter().collect();
        let mut block = symbols?.concat();
        block.truncate(self.geometry.block_len() as usize);
        Some(block)
    }
}
