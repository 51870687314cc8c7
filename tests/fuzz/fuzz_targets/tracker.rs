//! Any sequence of frames of many peers to a tracker; what must hold is in the model, which the tests run, too.
#![no_main]
#![allow(dead_code, unused_imports, reason = "of the model's neighbours only what it needs is used")]

#[path = "../../../crates/tracker/tests/attacks/main.rs"]
mod attacks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attacks::sequences::run(bytes));
