use crate::bitmap::Bitmap;
use crate::layout::Layout;
use peeredge_wire::Time;
use std::collections::BTreeMap;

/// What one entry of a map costs beside its bits.
const PART_OVERHEAD_BYTES: usize = 96;
/// Blocks of which a source may say that it holds a part, if their bits have room.
const PARTS_MAX: usize = 64;

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

    /// Blocks from `first` on, one bit each. Bits past the content's end are ignored. False when that says nothing new.
    pub fn add_blocks(&mut self, first: u32, bits: &[u8]) -> bool {
        let len = self.whole.len().saturating_sub(first);
        let before = self.whole.count();
        for offset in Bitmap::from_bytes(len, bits).iter() {
            self.whole.insert(first + offset);
            self.parts.remove(&(first + offset));
        }
        self.whole.count() > before
    }

    /// Source symbols of blocks from `first` on, each beginning with a byte of its own. Replaces what was known of these blocks; what
    /// lies past the content's end is ignored. What is known of parts stays within `bytes_max`, or of two blocks: the lowest is forgotten
    /// first. False when that says nothing new.
    pub fn set_symbols(&mut self, layout: &Layout, first: u32, bits: &[u8], bytes_max: usize) -> bool {
        let parts_max = (bytes_max / (layout.block_bits_len() + PART_OVERHEAD_BYTES)).clamp(2, PARTS_MAX);
        let mut is_news = false;
        for (block, bits) in (first..layout.blocks()).zip(bits.chunks(layout.block_bits_len())) {
            let part = Bitmap::from_bytes(layout.symbols_of(block), bits);
            let known = self.parts.get(&block);
            // Most of what stands between two blocks of which something is held says that nothing is.
            if self.whole.contains(block) || known == Some(&part) || (known.is_none() && part.is_empty()) {
                continue;
            }
            // What is held grows: less than before is no news.
            let mut more = part.clone();
            if let Some(known) = known {
                more.remove_all(known);
            }
            is_news |= !more.is_empty();
            self.parts.insert(block, part);
            while self.parts.len() > parts_max
                && let Some(lowest) = self.parts.keys().copied().find(|&other| other != block)
            {
                self.parts.remove(&lowest);
            }
        }
        is_news
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
        holdings.set_symbols(&layout, 3, &[0b01], usize::MAX);
        holdings.set_symbols(&layout, 0, &[0b10, 0b1000, 0, 0, 0b100, 0xf0, 0b10, 0xff, 0xff], usize::MAX);
        let held = |block| (0..12).filter(|&index| holdings.has_symbol(block, index)).collect::<Vec<_>>();
        assert_eq!(held(0), [1, 11]);
        assert_eq!(held(1).len(), 12, "what is held as a whole stays so");
        assert_eq!(held(2), [2], "bits past a block's symbols are ignored");
        assert_eq!(
            held(3),
            [1],
            "as is what lies past the content, and what was told before of the same block"
        );
        assert!(!holdings.set_symbols(&layout, u32::MAX, &[0xff; 4], usize::MAX));
        assert!(!holdings.has_some(u32::MAX));
    }

    #[test]
    fn what_is_known_of_parts_stays_within_its_bytes_and_the_lowest_goes_first() {
        let layout = Layout::new(8000 * 1024 * 300, 1024, 8000).unwrap();
        let mut holdings = Holdings::none(&layout);
        for block in 0..300 {
            assert!(holdings.set_symbols(&layout, block, &[1], 16 << 10));
            assert!(!holdings.set_symbols(&layout, block, &[1], 16 << 10), "said twice");
        }
        let known: Vec<u32> = holdings.parts.keys().copied().collect();
        assert_eq!(known, (286..300).collect::<Vec<_>>(), "of 1000 bytes and an entry each");
        assert!(holdings.set_symbols(&layout, 3, &[1], 0), "two are always known");
        assert!(holdings.parts.contains_key(&3) && holdings.parts.len() == 2);
    }
}
