//! `cargo +nightly fuzz run sizes` in `crates/code`: lies about lengths, K and density to everything that takes them.
#![no_main]

use peeredge_code::{CodedId, Decoder, Encoder, Encoding, Geometry};

libfuzzer_sys::fuzz_target!(|input: (u64, u32, u32, u8, u64, Vec<u8>)| {
    let (block_len, symbol_len, index, density, seed, bytes) = input;
    let Ok(geometry) = Geometry::new(block_len, symbol_len) else { return };
    let range = geometry.symbol_range(index);
    assert!(range.start <= range.end && range.end as u64 <= block_len);
    // What follows holds a block in memory.
    if block_len > 1 << 20 {
        return;
    }
    let id = CodedId { density, seed };
    let mut out = vec![0; bytes.len()];
    assert_eq!(Encoder::new(geometry, &bytes).is_ok(), bytes.len() as u64 == block_len);
    let _ = Encoder::with_parity(geometry, &bytes, &bytes);
    if let Ok(mut encoding) = Encoding::new(geometry, &[id]) {
        let _ = encoding.step(&bytes, &mut out, 1);
        let _ = encoding.parts(&bytes, &mut out, index as usize % 9).map(|parts| parts.into_iter().for_each(|p| p.run()));
    }
    let mut decoder = Decoder::new(geometry);
    let _ = decoder.add_source(index, &bytes);
    let _ = decoder.add_coded(id, &bytes);
    let _ = decoder.add_coded_owned(id, bytes);
    let _ = decoder.step(index as usize);
    assert!(decoder.missing() + 2 >= geometry.source_symbols());
});
