//! What a receiver misses changes while coded symbols are on their way: a block is still finished, in bounded memory.

use peeredge_code::{Decoder, Encoder, Geometry, Step};

/// Coded symbols that suit an empty receiver arrive where most source symbols came from elsewhere meanwhile: many say the
/// same. The decoder drops those and asks for others until the block is whole.
#[test]
fn symbols_asked_for_too_early_do_not_stop_a_block() {
    let geometry = Geometry::new(600 * 64, 64).expect("in range");
    let block: Vec<u8> = (0..geometry.block_len()).map(|i| ((i * i) >> 3) as u8).collect();
    let encoder = Encoder::new(geometry, &block).expect("the block fits");
    for seed in 0..20 {
        let mut decoder = Decoder::new(geometry);
        let early = decoder.propose(600, seed);
        for i in (0..600).filter(|i| (i * 7 + seed as u32) % 10 < 7) {
            decoder.add_source(i, &block[geometry.symbol_range(i)]).expect("a source symbol");
        }
        let mut symbol = vec![0; 64];
        for id in early.into_iter().take(decoder.missing() as usize + 20) {
            encoder.write_coded(id, &mut symbol).expect("a valid id");
            decoder.add_coded(id, &symbol).expect("there is room");
        }
        let mut rounds = 0;
        loop {
            match decoder.step(usize::MAX) {
                Step::Done => break,
                Step::Working => {}
                Step::NeedMore { coded } => {
                    rounds += 1;
                    assert!(rounds < 30, "no end in sight with seed {seed}");
                    for id in decoder.propose(coded, 1000 * seed + rounds) {
                        encoder.write_coded(id, &mut symbol).expect("a valid id");
                        decoder.add_coded(id, &symbol).expect("what says nothing was dropped");
                    }
                }
            }
        }
        assert_eq!(decoder.into_block().as_deref(), Some(&block[..]));
    }
}
