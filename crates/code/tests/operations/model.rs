//! Runs any sequence of operations on a decoder and checks what must hold whatever they are. Shared by the property
//! test beside it and by the fuzz target.

use peeredge_code::{CodedId, DecodeError, Decoder, Encoder, Geometry, Step};
use std::collections::{BTreeMap, BTreeSet};

/// Symbols that may be held beyond K.
const SPARE: u32 = 64;

/// Interprets `bytes`: a header that chooses K, the lengths and the share of lies, then one operation after the other.
/// Panics when an invariant is broken.
pub fn run(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut next = || bytes.next();
    let (Some(k), Some(t), Some(short), Some(lies)) = (next(), next(), next(), next()) else { return };
    let (k, t) = (u64::from(k) + 1, 64 + u32::from(t) % 80);
    let Ok(geometry) = Geometry::new(k * u64::from(t) - u64::from(short) % 64, t) else { return };
    let honest = lies < 128;
    let block: Vec<u8> =
        (0..geometry.block_len()).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
    let encoder = Encoder::new(geometry, &block).expect("the block fits its geometry");

    let mut decoder = Decoder::new(geometry);
    let mut known: BTreeSet<u32> = BTreeSet::new();
    let mut coded: BTreeMap<CodedId, bool> = BTreeMap::new();
    let mut given_away: BTreeMap<CodedId, Vec<u8>> = BTreeMap::new();
    let mut symbol = vec![0u8; t as usize];
    let mut running = false;
    while let (Some(operation), Some(a), Some(b)) = (next(), next(), next()) {
        let number = u64::from(a) << 8 | u64::from(b);
        match operation % 8 {
            // A source symbol, perhaps a false one, perhaps out of range or of a wrong length.
            0 | 1 => {
                let index = number as u32 % (k as u32 + 2);
                let mut bytes = block[geometry.symbol_range(index)].to_vec();
                if !honest && b % 4 == 0 {
                    bytes.iter_mut().for_each(|v| *v ^= a);
                }
                if operation & 128 != 0 {
                    bytes.push(0);
                }
                match decoder.add_source(index, &bytes) {
                    Ok(new) => {
                        assert!(!new || !known.contains(&index));
                        assert!(new || known.contains(&index) || running);
                        if new {
                            known.insert(index);
                        }
                    }
                    Err(DecodeError::Index { index, source_symbols }) => assert!(index >= source_symbols),
                    Err(DecodeError::SymbolLen { expected, got }) => assert_ne!(expected, got),
                    Err(other) => panic!("a source symbol gave {other:?}"),
                }
            }
            // A coded symbol of any class, again perhaps a lie.
            2..=4 => {
                let id = if operation & 64 == 0 {
                    CodedId { density: a % 16, seed: u64::from(b) }
                } else {
                    let Some(&id) = decoder.propose(1, number).first() else { continue };
                    id
                };
                if !id.is_valid() {
                    assert_eq!(
                        decoder.add_coded(id, &symbol),
                        Err(DecodeError::Density { density: id.density })
                    );
                    continue;
                }
                encoder.write_coded(id, &mut symbol).expect("a valid id");
                if !honest && b % 8 == 1 {
                    symbol.iter_mut().for_each(|v| *v ^= b);
                }
                let owned = operation & 32 != 0;
                let taken = match owned {
                    true => decoder.add_coded_owned(id, symbol.clone()),
                    false => decoder.add_coded(id, &symbol),
                };
                if taken == Ok(true) && owned {
                    given_away.insert(id, symbol.clone());
                }
                match taken {
                    Ok(true) => assert!(coded.insert(id, true).is_none(), "a duplicate was taken"),
                    Ok(false) => assert!(coded.contains_key(&id) || running || decoder.missing() == 0),
                    Err(DecodeError::Full { held }) => assert!(held <= k as u32 + SPARE),
                    Err(other) => panic!("a coded symbol gave {other:?}"),
                }
            }
            // Work, a little or a lot.
            5 | 6 => {
                let budget = if operation & 64 == 0 { 1 + number as usize } else { usize::MAX };
                let before = decoder.missing();
                // In parts, of which some are run; the step that follows does the rest.
                if operation & 32 != 0 {
                    match decoder.parts(1 + usize::from(a) % 5) {
                        Ok(parts) => {
                            let some = parts.into_iter().enumerate().filter(|(i, _)| b >> (i % 8) & 1 != 0);
                            some.for_each(|(_, part)| part.run());
                        }
                        Err(Step::NeedMore { coded }) => assert!(coded >= 1),
                        Err(step) => assert_eq!((step, decoder.missing()), (Step::Done, 0)),
                    }
                }
                match decoder.step(budget) {
                    Step::Done => {
                        assert_eq!(decoder.missing(), 0);
                        assert_eq!(decoder.coded_wanted(), 0);
                        known.extend(0..k as u32);
                    }
                    Step::NeedMore { coded } => {
                        assert!(coded >= 1);
                        assert_eq!(decoder.missing(), before);
                        running = false;
                    }
                    Step::Working => running = true,
                }
            }
            // Proposals are distinct and not held.
            _ => {
                let asked: Vec<CodedId> =
                    (0..operation >> 4).map(|seed| CodedId { density: 1, seed: u64::from(seed) }).collect();
                let ids = decoder.propose_beside(&asked, u32::from(a), u64::from(b));
                assert!(ids.iter().all(|id| !asked.contains(id)));
                let distinct: BTreeSet<CodedId> = ids.iter().copied().collect();
                assert_eq!(distinct.len(), ids.len());
                assert!(ids.len() <= usize::from(a));
                assert!(
                    ids.iter().all(|id| id.is_valid() && !coded.contains_key(id)) || decoder.missing() == 0
                );
            }
        }
        assert_eq!(decoder.missing() as usize, k as usize - known.len());
        for index in 0..k as u32 {
            assert_eq!(decoder.has(index), known.contains(&index));
            let len = geometry.symbol_range(index).len();
            assert_eq!(decoder.symbol(index).map(<[u8]>::len), known.contains(&index).then_some(len));
            if honest && let Some(bytes) = decoder.symbol(index) {
                assert_eq!(bytes, &block[geometry.symbol_range(index)], "wrong bytes from right symbols");
            }
        }
    }
    let whole = decoder.missing() == 0;
    let owned = decoder.take_owned();
    assert!(owned.len() <= given_away.len());
    for (id, bytes) in owned {
        assert_eq!(given_away.remove(&id), Some(bytes), "what was given away comes back as it was, once");
    }
    let result = decoder.into_block();
    assert_eq!(result.as_ref().map(Vec::len), whole.then_some(block.len()));
    assert!(!honest || !whole || result.as_deref() == Some(&block[..]));
}
