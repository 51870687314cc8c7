//! The fast engine gives what the plain reference gives: parities, coded symbols, blocks, and when it cannot.

use peeredge_code::{CodedId, DENSITY_CLASSES, Decoder, Encoder, Geometry, Step, reference};
use proptest::prelude::*;

/// A block of `len` bytes that depends on `seed` alone.
fn block_of(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn finish(decoder: &mut Decoder, budget: usize) -> Step {
    loop {
        match decoder.step(budget) {
            Step::Working => {}
            other => return other,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn encoding(k in 1u64..400, symbol_len in 64u32..700, short in 0u64..64, seed: u64) {
        let geometry = Geometry::new(k * u64::from(symbol_len) - short, symbol_len).expect("in range");
        let block = block_of(geometry.block_len() as usize, seed);
        let parity = reference::parity(geometry, &block);
        let ids: Vec<CodedId> =
            (0..DENSITY_CLASSES).map(|density| CodedId { density, seed: seed ^ u64::from(density) }).collect();
        let expected: Vec<Vec<u8>> = ids.iter().map(|id| reference::coded(geometry, &block, &parity, *id)).collect();

        let mut out = vec![0; ids.len() * symbol_len as usize];
        let encoder = Encoder::new_with_coded(geometry, &block, &ids, &mut out).expect("the block fits");
        prop_assert_eq!(encoder.parity(), &parity[..]);
        prop_assert_eq!(&out, &expected.concat());

        let stored = Encoder::with_parity(geometry, &block, &parity).expect("the parity fits");
        out.fill(0);
        stored.write_coded_batch(&ids, &mut out).expect("valid ids");
        prop_assert_eq!(&out, &expected.concat());
        for (id, expected) in ids.iter().zip(&expected) {
            let mut one = vec![0xff; symbol_len as usize];
            stored.write_coded(*id, &mut one).expect("a valid id");
            prop_assert_eq!(&one, expected);
        }
    }

    /// Any ids of any classes, more or fewer than enough.
    #[test]
    fn decoding(
        k in 1u32..140,
        symbol_len in 64u32..600,
        short in 0u64..64,
        seed: u64,
        lost in 1u64..=8,
        classes in 1u8..=DENSITY_CLASSES,
        extra in -2i32..4,
        budget in 1usize..200_000,
    ) {
        let geometry = Geometry::new(u64::from(k) * u64::from(symbol_len) - short, symbol_len).expect("in range");
        let block = block_of(geometry.block_len() as usize, seed);
        let parity = reference::parity(geometry, &block);
        let mut decoder = Decoder::new(geometry);
        let mut sources = vec![None; k as usize];
        for i in (0..k).filter(|&i| (u64::from(i).wrapping_mul(seed | 1) >> 7) % 8 >= lost) {
            let bytes = &block[geometry.symbol_range(i)];
            decoder.add_source(i, bytes).expect("in range");
            let mut padded = bytes.to_vec();
            padded.resize(symbol_len as usize, 0);
            sources[i as usize] = Some(padded);
        }
        let count = (decoder.missing() as i32 + extra).max(0) as u64;
        let mut coded = Vec::new();
        for n in 0..count {
            let id = CodedId { density: (n % u64::from(classes)) as u8, seed: seed.wrapping_add(n) };
            let bytes = reference::coded(geometry, &block, &parity, id);
            let taken = match seed % 3 {
                0 => decoder.add_coded(id, &bytes),
                1 => decoder.add_coded_owned(id, bytes.clone()),
                _ if n % 2 == 0 => decoder.add_coded_owned(id, bytes.clone()),
                _ => decoder.add_coded(id, &bytes),
            };
            if taken == Ok(true) {
                coded.push((id, bytes));
            }
        }
        let outcome = finish(&mut decoder, budget);
        match reference::decode(geometry, &sources, &coded) {
            Ok(whole) => {
                prop_assert_eq!(&whole, &block);
                prop_assert_eq!(outcome, Step::Done);
                prop_assert_eq!(decoder.into_block(), Some(whole));
            }
            Err(lacking) => {
                let asks = matches!(outcome, Step::NeedMore { coded } if coded >= 1);
                prop_assert!(asks && lacking >= 1);
                prop_assert_eq!(decoder.into_block(), None);
            }
        }
    }
}
