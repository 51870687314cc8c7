//! What waits for a node that is slower than its tracker. Signals are strangers' and may be lost, so each network may have only so
//! many waiting, and they take turns; everything else is the tracker's own word and stays in order before them.

use crate::owner::Owner;
use peeredge_wire::PeerId;
use std::collections::{BTreeMap, VecDeque};

/// Signals of one network that wait. A connection needs one or two, a page makes up to eight connections at once.
const SIGNALS_PER_OWNER_MAX: usize = 64;
/// Signals that wait in all, of at most 16 KiB each.
const SIGNALS_MAX: usize = 1024;
/// `FromRelay::Signal`: tag, sender 32, session, blob.
const SIGNAL: u8 = 0x84;

/// Bytes of the tracker's own words that wait. It says more only to a node that stands still.
const WORD_BYTES_MAX: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    words: VecDeque<Vec<u8>>,
    words_bytes: usize,
    signals: BTreeMap<Option<Owner>, VecDeque<Vec<u8>>>,
    signals_count: usize,
    /// Whose turn it is not yet again.
    last: Option<Option<Owner>>,
    /// Signals that were not kept.
    pub(super) dropped: u64,
}

impl Waiting {
    /// False when more waits than a node that goes on would let wait.
    pub(super) fn push(&mut self, frame: Vec<u8>, owner: impl FnOnce(PeerId) -> Option<Owner>) -> bool {
        let sender = match frame.split_first() {
            Some((&SIGNAL, rest)) => rest.first_chunk::<32>(),
            _ => None,
        };
        let Some(sender) = sender else {
            self.words_bytes += frame.len();
            self.words.push_back(frame);
            return self.words_bytes <= WORD_BYTES_MAX;
        };
        let owner = owner(PeerId(*sender));
        let here = self.signals.get(&owner).map_or(0, VecDeque::len);
        if here >= SIGNALS_PER_OWNER_MAX || self.signals_count >= SIGNALS_MAX {
            self.dropped += 1;
            return true;
        }
        self.signals.entry(owner).or_default().push_back(frame);
        self.signals_count += 1;
        true
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        if let Some(frame) = self.words.pop_front() {
            self.words_bytes -= frame.len();
            return Some(frame);
        }
        let behind = self.last.and_then(|last| {
            self.signals.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next()
        });
        let owner = *behind.or_else(|| self.signals.first_key_value())?.0;
        let queue = self.signals.get_mut(&owner).expect("the key was just found");
        let frame = queue.pop_front();
        if queue.is_empty() {
            self.signals.remove(&owner);
        }
        self.signals_count -= 1;
        self.last = Some(owner);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn signal(from: u8, n: u8) -> Vec<u8> {
        let mut frame = vec![SIGNAL];
        frame.extend([from; 32]);
        frame.extend([0; 8]);
        frame.push(n);
        frame
    }

    fn owner(peer: PeerId) -> Option<Owner> {
        Some(Owner::of(Ipv4Addr::new(10, 0, peer.0[0], 1).into()))
    }

    #[test]
    fn one_network_fills_only_its_own_share_and_networks_take_turns() {
        let mut waiting = Waiting::default();
        assert!((0..200).all(|n| waiting.push(signal(1, n), owner)));
        assert!(waiting.push(signal(2, 7), owner) && waiting.push(vec![0x83; 66], owner));
        assert_eq!(waiting.dropped, 200 - SIGNALS_PER_OWNER_MAX as u64);
        assert_eq!(waiting.pop(), Some(vec![0x83; 66]), "the tracker's word comes first");
        let next: Vec<_> = (0..3).filter_map(|_| waiting.pop()).map(|frame| frame[1]).collect();
        assert_eq!(next, [1, 2, 1]);
        let rest = std::iter::from_fn(|| waiting.pop()).count();
        assert_eq!(rest, SIGNALS_PER_OWNER_MAX - 2);
    }
}
