use crate::bitmap::Bitmap;
use crate::layout::Layout;
use peeredge_wire::Time;
use std::collections::BTreeMap;

/// A source of symbols: one peer, or plain HTTP. The node gives the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// One source of a content.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) key: u64,
    pub(crate) holdings: Holdings,
    pub(crate) in_flight_bytes: u64,
    /// Bytes that may be under way; 0 while the source is not to be asked.
    pub(crate) window_bytes: u64,
    pub(crate) rate_bytes_per_s: f64,
    /// Share of what was asked of it that came later than its rate promised.
    pub(crate) late_share: f64,
    /// When anything was last known to be under way from it.
    pub(crate) busy: Option<Time>,
}

/// What a source says it holds of one content.
#[derive(Clone, Debug)]
pub struct Holdings {
    whole: Bitmap,
    parts: BTreeMap<u32, Bitmap>,
}

impl Holdings {
    /// Nothing yet.
    pub fn none(layout: &Layout) -> Self {
        Holdings { whole: Bitmap::new(layout.blocks()), parts: BTreeMap::new() }
    }

    /// Blocks from `first` on, one bit each. Bits past the content's end are ignored.
    pub fn add_blocks(&mut self, first: u32, bits: &[u8]) {
        let len = self.whole.len().saturating_sub(first);
        for offset in Bitmap::from_bytes(len, bits).iter() {
            self.whole.insert(first + offset);
            self.parts.remove(&(first + offset));
        }
    }

    /// Source symbols of blocks from `first` on, each beginning with a byte of its own. Replaces what was known of these blocks; what
    /// lies past the content's end is ignored.
    pub fn set_symbols(&mut self, layout: &Layout, first: u32, bits: &[u8]) {
        for (block, bits) in (first..layout.blocks()).zip(bits.chunks(layout.block_bits_len())) {
            if !self.whole.contains(block) {
                self.parts.insert(block, Bitmap::from_bytes(layout.symbols_of(block), bits));
            }
        }
    }

    /// The source refused a symbol as not held: forget what it said of this block.
    pub fn forget(&mut self, block: u32) {
        self.whole.remove(block);
        self.parts.remove(&block);
    }

    /// Whether it holds the whole block, and so can make coded symbols of it.
    pub fn has_block(&self, block: u32) -> bool {
        self.whole.contains(block)
    }

    /// Whether it holds a source symbol.
    pub fn has_symbol(&self, block: u32, index: u32) -> bool {
        self.whole.contains(block) || self.parts.get(&block).is_some_and(|p| p.contains(index))
    }

    /// Leaves of these symbols of a block what it holds.
    pub(crate) fn retain(&self, block: u32, symbols: &mut Bitmap) {
        if !self.whole.contains(block) {
            match self.parts.get(&block) {
                Some(part) => symbols.retain_all(part),
                None => *symbols = Bitmap::new(symbols.len()),
            }
        }
    }

    /// Whether it holds anything of the block, and so its record.
    pub fn has_some(&self, block: u32) -> bool {
        self.whole.contains(block) || self.parts.get(&block).is_some_and(|p| !p.is_empty())
    }

    /// Whether it holds the whole content.
    pub fn is_seed(&self) -> bool {
        self.whole.is_full()
    }

    /// Blocks held as a whole.
    pub fn blocks(&self) -> u32 {
        self.whole.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_of_blocks_one_after_the_other() {
        // Three blocks of twelve symbols and one of two: two bytes each, the last one.
        let layout = Layout::new(38 * 1024, 1024, 12).unwrap();
        let mut holdings = Holdings::none(&layout);
        holdings.add_blocks(1, &[1]);
        holdings.set_symbols(&layout, 3, &[0b01]);
        holdings.set_symbols(&layout, 0, &[0b10, 0b1000, 0, 0, 0b100, 0xf0, 0b10, 0xff, 0xff]);
        let held = |block| (0..12).filter(|&index| holdings.has_symbol(block, index)).collect::<Vec<_>>();
        assert_eq!(held(0), [1, 11]);
        assert_eq!(held(1).len(), 12, "what is held as a whole stays so");
        assert_eq!(held(2), [2], "bits past a block's symbols are ignored");
        assert_eq!(
            held(3),
            [1],
            "as is what lies past the content, and what was told before of the same block"
        );
        holdings.set_symbols(&layout, u32::MAX, &[0xff; 4]);
        assert!(!holdings.has_some(u32::MAX));
    }
}
