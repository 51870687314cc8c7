//! Prints the trace hash of the mixed scenario for each seed named on the command line, one a line.

use peeredge_sim::{Scenario, run};

fn main() {
    for seed in std::env::args().skip(1) {
        let seed: u64 = seed.parse().expect("a seed is a number");
        let hash = run(Scenario::mixed(seed)).trace_hash;
        println!("{seed} {}", hash.map(|byte| format!("{byte:02x}")).concat());
    }
}
