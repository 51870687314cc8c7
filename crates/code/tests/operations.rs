//! Any sequence of operations, true or false symbols: no panic, nothing taken twice, nothing invented.

#[path = "operations/model.rs"]
mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_sequence_keeps_its_invariants(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        model::run(&bytes);
    }
}

/// Long runs of proposals and work, which random bytes seldom make: blocks are finished, with lies and without.
#[test]
fn blocks_are_finished_with_lies_and_without() {
    for k in [0u8, 9, 63, 64, 90, 255] {
        for lies in [0u8, 255] {
            let mut bytes = vec![k, 7, 13, lies];
            for i in 0..=u16::from(k) * 3 / 2 + 80 {
                let [a, b] = i.to_be_bytes();
                bytes.extend([2 | 64, a, b]);
                bytes.extend([5, 3, 0]);
            }
            bytes.extend([5 | 64, 0, 0].repeat(3));
            model::run(&bytes);
        }
    }
}
