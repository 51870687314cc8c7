//! Strangers that say anything in any order: see `sequence.rs` for what must hold.

use crate::sequence;
use peeredge_attacks::Attack;
use peeredge_attacks::fuzz::Dice;

#[test]
fn anything_in_any_order() {
    let (scripts, steps) = (160, 900);
    for seed in 0..scripts {
        let mut dice = Dice::new(seed);
        let script: Vec<u8> = (0..steps * 5).map(|_| dice.next() as u8).collect();
        let named = Named(seed);
        sequence::run(&script);
        core::mem::forget(named);
    }
    Attack::new("node", "unasked", "three strangers say anything in any order")
        .spent(format!("{scripts} times about {steps} inputs"))
        .lost("nothing")
        .end(true);
}

/// Says which script it was when it is dropped by a panic.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!("the script of seed {}", self.0);
    }
}
