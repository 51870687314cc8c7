//! A polluting peer of each kind: it is named, nothing wrong is kept, and it costs a bounded number of bytes, once.

use super::*;
use crate::manifest::Manifest;
use crate::publisher::Publisher;

const T: u32 = 1024;
const K: u32 = 100;
const HONEST: SourceId = SourceId(1);
const LIAR: SourceId = SourceId(2);

struct Block {
    layout: Layout,
    record: Record,
    bytes: Vec<u8>,
}

impl Block {
    fn new() -> Self {
        let layout = Layout::new(u64::from(K * T) - 100, T, K).expect("in range");
        let bytes: Vec<u8> = (0..layout.length()).map(|i| ((i * i) >> 5) as u8).collect();
        let mut publisher = Publisher::with_layout(layout, "", "");
        publisher.push(&bytes).expect("its length");
        let published = publisher.finish().expect("all of it");
        let manifest = Manifest::decode(&published.content, &published.manifest).expect("its own");
        let record = Record::decode(&manifest, 0, &publisher.take_records()).expect("its own");
        Block { layout, record, bytes }
    }

    fn empty(&self) -> Assembly {
        Assembly::new(&self.layout, 0, self.record.clone()).expect("block 0 exists")
    }

    fn source(&self, index: u32) -> &[u8] {
        let range = self.layout.symbol_range(0, index);
        &self.bytes[range.start as usize..range.end as usize]
    }

    fn coded(&self, id: CodedId) -> Vec<u8> {
        let geometry = self.layout.geometry(0).expect("block 0 exists");
        let mut out = vec![0; T as usize];
        let encoder = Encoder::new(geometry, &self.bytes).expect("it fits");
        encoder.write_coded(id, &mut out).expect("a valid id");
        out
    }
}

/// Works to the end; what was recovered, whether anything was polluted, and in how many calls.
fn finish(assembly: &mut Assembly, budget: usize) -> (usize, bool, u32) {
    let (mut recovered, mut polluted) = (0, false);
    for calls in 1.. {
        match assembly.decode(budget) {
            Decoded::NotYet => return (recovered, polluted, calls),
            Decoded::Working => {}
            Decoded::Recovered(list) => recovered += list.len(),
            Decoded::Polluted(list) => {
                recovered += list.len();
                polluted = true;
            }
        }
    }
    unreachable!("it ends")
}

/// Two of three source symbols are there; the rest comes coded, every fifth of them from the liar, as `lie` makes it.
fn with_lies(block: &Block, mut lie: impl FnMut(CodedId, Vec<u8>) -> Vec<u8>) -> Assembly {
    let mut assembly = block.empty();
    for index in (0..K).filter(|i| i % 3 > 0) {
        assert_eq!(assembly.add_source(index, block.source(index)), Added::New);
    }
    for (n, id) in assembly.propose(&[], assembly.symbols_wanted(), 5).into_iter().enumerate() {
        let right = block.coded(id);
        let (sender, payload) = if n % 5 == 2 { (LIAR, lie(id, right)) } else { (HONEST, right) };
        assert_eq!(assembly.add_coded(sender, id, &payload), Added::New);
    }
    assembly
}

/// What is not right yet comes as source symbols; then the block is judged.
fn complete(block: &Block, assembly: &mut Assembly) -> Vec<SourceId> {
    for index in 0..K {
        let added = assembly.add_source(index, block.source(index));
        assert!(added == Added::New || assembly.symbol(index) == Some(block.source(index)));
    }
    finish(assembly, 1 << 20);
    assert!(assembly.is_judged() && assembly.bytes() == block.bytes);
    assembly.polluters().iter().map(|p| p.sender).collect()
}

#[test]
fn honest_coded_symbols_complete_a_block_and_nobody_is_named() {
    let block = Block::new();
    let mut assembly = with_lies(&block, |_, right| right);
    let (recovered, polluted, _) = finish(&mut assembly, 1 << 20);
    assert_eq!((recovered, polluted), (34, false));
    assert_eq!(complete(&block, &mut assembly), []);
}

#[test]
fn flipped_bits_in_coded_symbols_are_traced_to_their_sender() {
    let block = Block::new();
    let mut flips = 0;
    let mut assembly = with_lies(&block, |_, mut right| {
        right[flips % T as usize] ^= 1 << (flips % 8);
        flips += 1;
        right
    });
    let (recovered, polluted, _) = finish(&mut assembly, 1 << 20);
    assert!(polluted && recovered < 34 && !assembly.takes_coded());
    // Whatever was kept of the decoding met its hash.
    for index in assembly.have().iter().collect::<Vec<_>>() {
        assert_eq!(assembly.symbol(index), Some(block.source(index)));
    }
    assert!(
        assembly.propose(&[], 10, 1).is_empty(),
        "from now on only what can be verified at once is asked for"
    );
    assert_eq!(complete(&block, &mut assembly), [LIAR]);
}

#[test]
fn flipped_bits_in_a_source_symbol_are_seen_at_once() {
    let block = Block::new();
    let mut assembly = block.empty();
    let mut wrong = block.source(3).to_vec();
    wrong[0] ^= 1;
    assert_eq!(assembly.add_source(3, &wrong), Added::Contradicts);
    assert_eq!(assembly.have().count(), 0);
}

#[test]
fn a_right_symbol_with_the_wrong_marker_is_a_lie_of_either_kind() {
    let block = Block::new();
    let mut assembly = block.empty();
    assert_eq!(assembly.add_source(4, block.source(5)), Added::Contradicts);
    // The right bytes of another seed, and a source symbol as a coded one.
    let other = |id: CodedId| CodedId { seed: id.seed ^ 1, ..id };
    let mut assembly = with_lies(&block, |id, _| block.coded(other(id)));
    assert!(finish(&mut assembly, 1 << 20).1);
    assert_eq!(complete(&block, &mut assembly), [LIAR]);
    let mut assembly = with_lies(&block, |_, _| block.source(7).to_vec());
    assert!(finish(&mut assembly, 1 << 20).1);
    assert_eq!(complete(&block, &mut assembly), [LIAR]);
}

#[test]
fn a_replayed_symbol_is_taken_once_under_the_first_sender_s_name() {
    let block = Block::new();
    let mut assembly = block.empty();
    let id = assembly.propose(&[], 1, 1)[0];
    let right = block.coded(id);
    assert_eq!(assembly.add_coded(HONEST, id, &right), Added::New);
    for _ in 0..1000 {
        assert_eq!(assembly.add_coded(LIAR, id, &right), Added::Duplicate);
        assert_eq!(assembly.add_coded(LIAR, id, &vec![9; T as usize]), Added::Duplicate);
    }
    assert_eq!(assembly.quarantined(), 1);
    assert_eq!(complete(&block, &mut assembly), []);
}

/// The polluter sends symbols that the block was completed without: they are judged all the same.
#[test]
fn a_lie_that_did_no_harm_is_still_a_lie() {
    let block = Block::new();
    let mut assembly = block.empty();
    let ids = assembly.propose(&[], 3, 1);
    assert_eq!(assembly.add_coded(HONEST, ids[0], &block.coded(ids[0])), Added::New);
    assert_eq!(assembly.add_coded(LIAR, ids[1], &block.coded(ids[2])), Added::New);
    assert_eq!(complete(&block, &mut assembly), [LIAR]);
}

/// However much is sent, no more is kept than a block and 64 symbols beside it.
#[test]
fn quarantine_is_bounded() {
    let block = Block::new();
    let mut assembly = block.empty();
    let mut kept = 0;
    for seed in 0..1000 {
        let id = CodedId { density: 1, seed };
        kept += u32::from(assembly.add_coded(LIAR, id, &vec![7; T as usize]) == Added::New);
    }
    assert_eq!((kept, assembly.quarantined()), (K + 64, K + 64));
    assert_eq!(complete(&block, &mut assembly), [LIAR]);
}

/// Decoding and judging both go in steps: no call does it all.
#[test]
fn decoding_and_judging_stop_at_their_budget() {
    let block = Block::new();
    let mut assembly = with_lies(&block, |_, mut right| {
        right[0] ^= 1;
        right
    });
    let (_, polluted, decoding) = finish(&mut assembly, 1);
    assert!(polluted && decoding >= 8, "{decoding} calls");
    for index in 0..K {
        assembly.add_source(index, block.source(index));
    }
    assert!(!assembly.is_judged());
    let (_, _, judging) = finish(&mut assembly, 1);
    // Four strips of parity, then one symbol a call.
    assert!(judging >= 34, "{judging} calls");
    assert_eq!(assembly.polluters().iter().map(|p| p.sender).collect::<Vec<_>>(), [LIAR]);
}
