use core::ops::Range;
use peeredge_code::Geometry;
use peeredge_wire::limits::{
    BLOCK_BYTES_MAX, BLOCK_SYMBOLS_MAX, BLOCKS_MAX, SYMBOL_BYTES_MAX, SYMBOL_BYTES_MIN,
};

/// Bytes of one BLAKE3 hash.
pub const HASH_BYTES: usize = 32;

/// How a content's bytes are cut: into blocks of `block_symbols` source symbols of `symbol_len` bytes. The last block may
/// have fewer symbols, and its last symbol fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    length: u64,
    symbol_len: u32,
    block_symbols: u32,
}

/// Why a content cannot be cut so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The symbol length is outside its limits.
    SymbolLen(u32),
    /// The number of symbols a block is outside its limits.
    BlockSymbols(u32),
    /// A block would have more bytes than a receiver is to hold.
    BlockBytes(u64),
    /// The content has more blocks than a manifest can name.
    Blocks(u64),
}

impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LayoutError::SymbolLen(n) => {
                write!(f, "symbols of {n} bytes are outside {SYMBOL_BYTES_MIN} to {SYMBOL_BYTES_MAX}")
            }
            LayoutError::BlockSymbols(n) => {
                write!(f, "{n} symbols a block are outside 1 to {BLOCK_SYMBOLS_MAX}")
            }
            LayoutError::BlockBytes(n) => write!(f, "blocks of {n} bytes are more than {BLOCK_BYTES_MAX}"),
            LayoutError::Blocks(n) => write!(f, "{n} blocks are more than {BLOCKS_MAX}"),
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// Checks the limits.
    pub fn new(length: u64, symbol_len: u32, block_symbols: u32) -> Result<Self, LayoutError> {
        if !(SYMBOL_BYTES_MIN..=SYMBOL_BYTES_MAX).contains(&symbol_len) {
            return Err(LayoutError::SymbolLen(symbol_len));
        }
        if !(1..=BLOCK_SYMBOLS_MAX).contains(&block_symbols) {
            return Err(LayoutError::BlockSymbols(block_symbols));
        }
        let block_len = u64::from(symbol_len) * u64::from(block_symbols);
        // A short content has one block, which is as long as the content.
        if block_len.min(length) > BLOCK_BYTES_MAX {
            return Err(LayoutError::BlockBytes(block_len));
        }
        let blocks = length.div_ceil(block_len);
        if blocks > u64::from(BLOCKS_MAX) {
            return Err(LayoutError::Blocks(blocks));
        }
        Ok(Layout { length, symbol_len, block_symbols })
    }

    /// The layout that a publisher uses for a content of `length` bytes: symbols of 16 KiB, and blocks that grow with the
    /// content from 256 KiB to 4 MiB, so that short contents still come from several sources at once, and past 32 GiB so that
    /// the manifest keeps its bound.
    pub fn for_length(length: u64) -> Result<Self, LayoutError> {
        const SYMBOL_LEN: u32 = 16 * 1024;
        let mut block_symbols = 16;
        while block_symbols < 256 && length > u64::from(SYMBOL_LEN * block_symbols) * 32 {
            block_symbols *= 2;
        }
        while block_symbols < 4096
            && length.div_ceil(u64::from(SYMBOL_LEN * block_symbols)) > u64::from(BLOCKS_MAX)
        {
            block_symbols *= 2;
        }
        Layout::new(length, SYMBOL_LEN, block_symbols)
    }

    /// Bytes of the content.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of a source symbol, but for the content's last.
    pub fn symbol_len(&self) -> u32 {
        self.symbol_len
    }

    /// Source symbols of a block, but for the content's last.
    pub fn block_symbols(&self) -> u32 {
        self.block_symbols
    }

    /// Bytes of a bitmap over the source symbols of a block, where blocks follow each other.
    pub fn block_bits_len(&self) -> usize {
        (self.block_symbols as usize).div_ceil(8)
    }

    /// Bytes of a block, but for the content's last.
    pub fn block_len(&self) -> u64 {
        u64::from(self.symbol_len) * u64::from(self.block_symbols)
    }

    /// How many blocks there are; 0 for an empty content.
    pub fn blocks(&self) -> u32 {
        self.length.div_ceil(self.block_len()) as u32
    }

    /// Bytes of the content that `block` covers; empty past the end.
    pub fn block_range(&self, block: u32) -> Range<u64> {
        let start = (u64::from(block) * self.block_len()).min(self.length);
        start..(start + self.block_len()).min(self.length)
    }

    /// Source symbols of `block`; 0 past the end.
    pub fn symbols_of(&self, block: u32) -> u32 {
        let range = self.block_range(block);
        (range.end - range.start).div_ceil(u64::from(self.symbol_len)) as u32
    }

    /// Bytes of the content that source symbol `index` of `block` covers; empty past the end.
    pub fn symbol_range(&self, block: u32, index: u32) -> Range<u64> {
        let of_block = self.block_range(block);
        let start = (of_block.start + u64::from(index) * u64::from(self.symbol_len)).min(of_block.end);
        start..(start + u64::from(self.symbol_len)).min(of_block.end)
    }

    /// The erasure code's geometry of `block`; none past the end.
    pub fn geometry(&self, block: u32) -> Option<Geometry> {
        let range = self.block_range(block);
        Geometry::new(range.end - range.start, self.symbol_len).ok()
    }

    /// Where the record of `block` lies when all records stand one behind the other.
    pub fn record_range(&self, block: u32) -> Range<u64> {
        let hash = HASH_BYTES as u64;
        let start = u64::from(block) * u64::from(self.block_symbols) * hash;
        start..start + u64::from(self.symbols_of(block)) * hash
    }

    /// Block and symbol that hold byte `offset`.
    pub fn locate(&self, offset: u64) -> (u32, u32) {
        let block = offset / self.block_len();
        (block as u32, ((offset - block * self.block_len()) / u64::from(self.symbol_len)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn symbols_cover_the_content_once(length in 0u64..3_000_000, symbol_len in 1024u32..9000, block_symbols in 1u32..70) {
            let layout = Layout::new(length, symbol_len, block_symbols).unwrap();
            let mut at = 0;
            for block in 0..layout.blocks() {
                for index in 0..layout.symbols_of(block) {
                    let range = layout.symbol_range(block, index);
                    prop_assert_eq!(range.start, at);
                    prop_assert!(range.end > range.start);
                    prop_assert_eq!(layout.locate(range.start), (block, index));
                    prop_assert_eq!(layout.locate(range.end - 1), (block, index));
                    at = range.end;
                }
            }
            prop_assert_eq!(at, length);
        }
    }

    #[test]
    fn a_manifest_stays_below_one_percent_from_a_kibibyte_per_hash_on() {
        for shift in 20..38 {
            let layout = Layout::for_length(1 << shift).unwrap();
            let hashes = u64::from(layout.blocks()) * 32 + layout.record_range(layout.blocks() - 1).end;
            assert!(hashes * 100 < layout.length(), "2^{shift}: {hashes}");
        }
        assert!(Layout::for_length(1 << 60).is_err());
    }

    #[test]
    fn no_block_is_larger_than_a_receiver_is_to_hold() {
        let at_most = Layout::new(u64::from(u32::MAX), 65536, 1024).expect("64 MiB a block");
        assert_eq!(at_most.block_len(), BLOCK_BYTES_MAX);
        assert_eq!(Layout::new(u64::MAX, 65536, 1025), Err(LayoutError::BlockBytes(1025 * 65536)));
        assert_eq!(Layout::new(8 << 29, 65536, 8000), Err(LayoutError::BlockBytes(8000 * 65536)));
        assert!(Layout::new(100_000, 65536, 8000).is_ok(), "its one block is short");
    }
}
