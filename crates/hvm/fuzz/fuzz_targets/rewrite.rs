//! `cargo +nightly fuzz run rewrite` in `crates/hvm`: any bytes, and any module that wasm-smith makes of them. The rewrite never panics, is
//! the same each time, and what it makes is valid and of bounded size.
#![no_main]

use libfuzzer_sys::arbitrary::Unstructured;
use peeredge_hvm::rewrite::rewrite;
use peeredge_hvm::{Limits, instrument};
use wasm_smith::{Config, Module};

/// Bytes that come out for one that goes in, at most, and besides those of an empty module.
const GROWTH_MAX: usize = 128;
const EMPTY_BYTES_MAX: usize = 1_024;

fn check(bytes: &[u8]) {
    let limits = Limits::default();
    for rewritten in [rewrite(bytes, &limits), instrument(bytes, &limits)].into_iter().flatten() {
        wasmparser::Validator::new().validate_all(&rewritten.bytes).expect("what comes out is valid");
        assert!(rewritten.bytes.len() <= GROWTH_MAX * bytes.len() + EMPTY_BYTES_MAX);
    }
    assert_eq!(rewrite(bytes, &limits), rewrite(bytes, &limits));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let config = Config {
        allow_start_export: bytes.len() % 2 == 0,
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        max_memories: 1,
        max_tables: 2,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: bytes.len() % 3 == 0,
        tail_call_enabled: false,
        threads_enabled: false,
        ..Config::default()
    };
    if let Ok(module) = Module::new(config, &mut Unstructured::new(bytes)) {
        check(&module.to_bytes());
    }
});
