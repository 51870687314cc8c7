//! Any sequence of inputs to a node; what must hold is in the model, which the tests run, too.
#![no_main]

#[path = "../../../crates/node/tests/attacks/sequence.rs"]
mod sequence;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sequence::run(bytes));
