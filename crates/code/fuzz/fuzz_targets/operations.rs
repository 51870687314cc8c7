//! `cargo +nightly fuzz run operations` in `crates/code`: any operations on a decoder.
#![no_main]

#[path = "../../tests/operations/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| model::run(bytes));
