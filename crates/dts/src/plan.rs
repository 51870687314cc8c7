use crate::bitmap::Bitmap;
use crate::layout::Layout;
use core::ops::Range;
use std::collections::BTreeMap;

/// Where a reader of the content stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Next byte that it has not been given.
    pub at: u64,
    /// First byte that it does not want.
    pub end: u64,
    /// Whether it waits for bytes now.
    pub waiting: bool,
}

/// What is needed of one block, in the order in which blocks are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which block.
    pub block: u32,
    /// Which source symbols, whether held already or not.
    pub symbols: Bitmap,
    /// The symbol at which a reader waits.
    pub urgent_from: Option<u32>,
}

/// Decides which blocks to work on: those that readers come to next, and no more than `blocks_max` at once nor further ahead
/// of a reader than `ahead_bytes_max`. `done(block, symbols)` tells whether these symbols are held already.
pub fn plan(
    layout: &Layout,
    readers: &[Reader],
    blocks_max: usize,
    ahead_bytes_max: u64,
    mut done: impl FnMut(u32, &Range<u32>) -> bool,
) -> Vec<Need> {
    let mut order: Vec<u32> = Vec::new();
    let mut needs: BTreeMap<u32, Need> = BTreeMap::new();
    // Readers take turns block by block, so that a second reader of the same content is not starved by the first.
    let (mut fronts, others): (Vec<(Reader, u64)>, Vec<_>) = readers
        .iter()
        .map(|r| (Reader { end: r.end.min(layout.length()), ..*r }, r.at))
        .filter(|(r, _)| r.at < r.end)
        .partition(|(r, _)| r.waiting);
    fronts.extend(others);
    while !fronts.is_empty() && order.len() < blocks_max {
        fronts.retain_mut(|(reader, front)| {
            while *front < reader.end && *front - reader.at <= ahead_bytes_max && order.len() < blocks_max {
                let (block, first) = layout.locate(*front);
                let range = layout.block_range(block);
                let last = layout.locate(range.end.min(reader.end) - 1).1;
                let symbols = first..last + 1;
                let at_reader = *front == reader.at;
                *front = range.end;
                if done(block, &symbols) {
                    continue;
                }
                let need = needs.entry(block).or_insert_with(|| {
                    order.push(block);
                    Need { block, symbols: Bitmap::new(layout.symbols_of(block)), urgent_from: None }
                });
                for index in symbols.clone() {
                    need.symbols.insert(index);
                }
                if at_reader && reader.waiting {
                    let from = need.urgent_from.get_or_insert(symbols.start);
                    *from = symbols.start.min(*from);
                }
                return true;
            }
            false
        });
    }
    order.into_iter().filter_map(|block| needs.remove(&block)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(10 * 16 * 4096 - 100, 4096, 16).unwrap()
    }

    #[test]
    fn a_range_needs_only_its_symbols() {
        let needs =
            plan(&layout(), &[Reader { at: 70_000, end: 70_010, waiting: true }], 8, u64::MAX, |_, _| false);
        assert_eq!(needs.len(), 1);
        assert_eq!((needs[0].block, needs[0].urgent_from), (1, Some(1)));
        assert_eq!(needs[0].symbols.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn blocks_come_in_reading_order_and_bounded() {
        let reader = Reader { at: 0, end: u64::MAX, waiting: false };
        let needs = plan(&layout(), &[reader], 4, u64::MAX, |block, _| block == 1);
        assert_eq!(needs.iter().map(|n| n.block).collect::<Vec<_>>(), [0, 2, 3, 4]);
        assert!(needs.iter().all(|n| n.symbols.is_full() && n.urgent_from.is_none()));
        let near = plan(&layout(), &[reader], 100, 65536, |_, _| false);
        assert_eq!(near.len(), 2);
        let all = plan(&layout(), &[reader], 100, u64::MAX, |_, _| false);
        assert_eq!(all.len(), 10);
        assert_eq!(all[9].symbols.len(), 16);
    }

    #[test]
    fn two_readers_take_turns_and_the_waiting_one_leads() {
        let far = Reader { at: 0, end: u64::MAX, waiting: false };
        let near = Reader { at: 5 * 65536, end: u64::MAX, waiting: true };
        let needs = plan(&layout(), &[far, near], 4, u64::MAX, |_, _| false);
        assert_eq!(needs.iter().map(|n| n.block).collect::<Vec<_>>(), [5, 0, 6, 1]);
    }
}
