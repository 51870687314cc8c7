//! A block comes back from any sufficient mix of source and coded symbols.

use peeredge_code::{CodedId, Decoder, Encoder, Geometry, Step};
use proptest::prelude::*;

/// A block of `len` bytes that depends on `seed` alone.
fn block_of(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Gives every source symbol with `keep(index)`, then coded ones as proposed, until the block is whole.
/// Returns how many coded symbols beyond the missing ones it took.
fn transfer(geometry: Geometry, seed: u64, keep: impl Fn(u32) -> bool) -> u32 {
    let block = block_of(geometry.block_len() as usize, seed);
    let encoder = Encoder::new(geometry, &block).expect("the block fits its geometry");
    let mut decoder = Decoder::new(geometry);
    for i in (0..geometry.source_symbols()).filter(|&i| keep(i)) {
        assert_eq!(decoder.add_source(i, &block[geometry.symbol_range(i)]), Ok(true));
    }
    let missing = decoder.missing();
    let mut given = 0;
    let mut symbol = vec![0; geometry.symbol_len() as usize];
    for round in 0..50 {
        let wanted = decoder.coded_wanted();
        let ids: Vec<CodedId> = decoder.propose(wanted, seed ^ round);
        for id in ids {
            encoder.write_coded(id, &mut symbol).expect("a proposed id is valid");
            assert_eq!(decoder.add_coded(id, &symbol), Ok(true));
            given += 1;
        }
        let outcome = loop {
            match decoder.step(1 << 16) {
                Step::Working => {}
                other => break other,
            }
        };
        if outcome == Step::Done {
            for i in 0..geometry.source_symbols() {
                assert_eq!(decoder.symbol(i), Some(&block[geometry.symbol_range(i)]));
            }
            assert_eq!(decoder.into_block().as_deref(), Some(&block[..]));
            return given - missing;
        }
    }
    panic!("no block after 50 rounds: {geometry:?} seed {seed}");
}

#[test]
fn every_small_size_from_coded_symbols_alone() {
    for k in 1..=80u64 {
        let geometry = Geometry::new(k * 65 - 3, 65).expect("in range");
        let extra = transfer(geometry, k, |_| false);
        assert!(k > 64 || extra == 0, "Cauchy rows never need more than K symbols");
    }
}

#[test]
fn a_tenth_missing_at_three_hundred() {
    transfer(Geometry::new(300 * 64, 64).expect("in range"), 7, |i| i % 10 != 3);
}

#[test]
fn the_most_and_the_longest_symbols() {
    for (k, symbol_len, short, share) in [
        (65_536u64, 64, 63, 2),
        (40_000, 64, 0, 10),
        (3, 65_536, 65_535, 10),
        (70, 65_535, 1, 10),
        (64, 65_537 - 2, 7, 5),
    ] {
        let geometry = Geometry::new(k * symbol_len - short, symbol_len as u32).expect("in range");
        let extra = transfer(geometry, k, |i| i % 10 >= share);
        assert!(extra <= 2, "K={k}: {extra} symbols more than were missing");
    }
    assert!(Geometry::new(65_537 * 64, 64).is_err() && Geometry::new(1 << 20, 65_537).is_err());
    assert!(Geometry::new(1 << 20, 63).is_err() && Geometry::new(0, 64).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_mix_comes_back(k in 1u64..260, symbol_len in 64u32..200, short in 0u64..64, seed: u64, share in 0u64..=8) {
        let geometry = Geometry::new(k * u64::from(symbol_len) - short, symbol_len).expect("in range");
        transfer(geometry, seed, |i| (u64::from(i) ^ seed) % 8 >= share);
    }
}
