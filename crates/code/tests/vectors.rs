//! Frozen coded symbols and parities: if one of these changes, old and new peers no longer understand each other.

use peeredge_code::{CodedId, DENSITY_CLASSES, Encoder, Geometry};

/// FNV-1a, 64 bits: a fingerprint that any implementation can repeat.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Byte i of the block is the top byte of (i + 1) * 0x9e3779b97f4a7c15.
fn block_of(len: usize) -> Vec<u8> {
    (1..=len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// (K, symbol length, bytes that the last symbol is short of, fingerprint of the parity, fingerprints of the coded symbols
/// of each density class with seed 1000 + class).
const VECTORS: [(u64, u32, u64, u64, [u64; DENSITY_CLASSES as usize]); 0] = [];

fn fingerprints(k: u64, symbol_len: u32, short: u64) -> (u64, Vec<u64>) {
    let geometry = Geometry::new(k * u64::from(symbol_len) - short, symbol_len).expect("in range");
    let block = block_of(geometry.block_len() as usize);
    let encoder = Encoder::new(geometry, &block).expect("the block fits");
    let mut out = vec![0; symbol_len as usize];
    let coded = (0..DENSITY_CLASSES).map(|density| {
        let id = CodedId { density, seed: 1000 + u64::from(density) };
        encoder.write_coded(id, &mut out).expect("a valid id");
        fnv(&out)
    });
    (fnv(encoder.parity()), coded.collect())
}

#[test]
fn parities_and_coded_symbols_stay_what_they_were() {
    for (k, symbol_len, short, parity, coded) in VECTORS {
        let found = fingerprints(k, symbol_len, short);
        assert_eq!(found, (parity, coded.to_vec()), "K = {k}: found {found:#x?}");
    }
}
