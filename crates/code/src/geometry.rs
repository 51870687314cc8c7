//! How a block is cut into source symbols.

use core::fmt;
use core::ops::Range;

/// Most source symbols in a block.
pub const SOURCE_SYMBOLS_MAX: u32 = 65_536;
/// Shortest symbol, in bytes.
pub const SYMBOL_LEN_MIN: u32 = 64;
/// Longest symbol, in bytes.
pub const SYMBOL_LEN_MAX: u32 = 65_536;

/// The shape of one block: K source symbols of one length, of which the last may be short.
///
/// Both sides must use the same geometry; it comes from the (authenticated) manifest, never from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    block_len: u64,
    symbol_len: u32,
    source_symbols: u32,
}

/// Why two lengths are not a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// A block holds at least one byte.
    EmptyBlock,
    /// `symbol_len` (bytes) lies outside [`SYMBOL_LEN_MIN`]`..=`[`SYMBOL_LEN_MAX`].
    SymbolLen {
        /// The length asked for, in bytes.
        symbol_len: u32,
    },
    /// The block would need more than [`SOURCE_SYMBOLS_MAX`] source symbols.
    TooManySymbols {
        /// How many it would need.
        source_symbols: u64,
    },
    /// The block does not fit this machine's address space.
    TooLong {
        /// The length asked for, in bytes.
        block_len: u64,
    },
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyBlock => write!(f, "a block holds at least one byte"),
            Self::SymbolLen { symbol_len } => write!(
                f,
                "symbols of {symbol_len} bytes are outside {SYMBOL_LEN_MIN} to {SYMBOL_LEN_MAX} bytes"
            ),
            Self::TooManySymbols { source_symbols } => {
                write!(f, "{source_symbols} source symbols are more than {SOURCE_SYMBOLS_MAX}")
            }
            Self::TooLong { block_len } => write!(f, "a block of {block_len} bytes does not fit memory"),
        }
    }
}

impl core::error::Error for GeometryError {}

impl Geometry {
    /// Cuts `block_len` bytes into K = ceil(`block_len` / `symbol_len`) source symbols.
    ///
    /// # Errors
    /// See [`GeometryError`]; `symbol_len` is 64 to 65,536 bytes (odd lengths too), K is 1 to 65,536.
    pub const fn new(block_len: u64, symbol_len: u32) -> Result<Geometry, GeometryError> {
        if block_len == 0 {
            return Err(GeometryError::EmptyBlock);
        }
        if symbol_len < SYMBOL_LEN_MIN || symbol_len > SYMBOL_LEN_MAX {
            return Err(GeometryError::SymbolLen { symbol_len });
        }
        let source_symbols = block_len.div_ceil(symbol_len as u64);
        if source_symbols > SOURCE_SYMBOLS_MAX as u64 {
            return Err(GeometryError::TooManySymbols { source_symbols });
        }
        // Half the address space leaves room for the symbols that wait beside the block.
        if block_len > (isize::MAX as u64) / 2 {
            return Err(GeometryError::TooLong { block_len });
        }
        Ok(Geometry { block_len, symbol_len, source_symbols: source_symbols as u32 })
    }

    /// K, the number of source symbols: 1 to 65,536.
    pub const fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    /// Length of every symbol but the last source symbol, in bytes.
    pub const fn symbol_len(&self) -> u32 {
        self.symbol_len
    }

    /// Length of the block, in bytes.
    pub const fn block_len(&self) -> u64 {
        self.block_len
    }

    /// The bytes of source symbol `index` inside the block; the last symbol may be short, and an `index` of K
    /// or more gives an empty range at the block's end.
    pub fn symbol_range(&self, index: u32) -> Range<usize> {
        let len = self.block_len as usize;
        let symbol = self.symbol_len as usize;
        if index >= self.source_symbols {
            return len..len;
        }
        let start = index as usize * symbol;
        start..len.min(start + symbol)
    }
}
