//! Checkpoints that are almost right: no panic, no more memory than was allowed, and what is taken is written again as it came.

use peeredge_attacks::fuzz::fuzz;
use peeredge_hvm::Checkpoint;

#[test]
fn checkpoints() {
    let checkpoint = |pages: usize, globals: usize| {
        let mut memory = vec![0; pages * 65536];
        memory.iter_mut().skip(70).take(3).for_each(|byte| *byte = 9);
        Checkpoint { steps: 3, gas: 1 << 40, globals: vec![5; globals], memory }.encode()
    };
    let valid = [checkpoint(0, 0), checkpoint(1, 3), checkpoint(3, 1)];
    fuzz(31, 4_000, &valid, |bytes| {
        if let Ok(checkpoint) = Checkpoint::decode(bytes, 4) {
            assert!(checkpoint.memory.len() <= 4 * 65536);
            assert_eq!(checkpoint.encode(), bytes);
        }
    });
}
