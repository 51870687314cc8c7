//! A seed is a world: the same one replays exactly, another one differs, and the mixed world is worth comparing.

mod support;

use peeredge_sim::{FetchEnd, Scenario, run};
use support::{Summary, sane};

#[test]
fn the_same_seed_replays_exactly() {
    let (first, again) = (run(Scenario::mixed(7)), run(Scenario::mixed(7)));
    assert_eq!(first, again);
    assert_ne!(first.trace_hash, run(Scenario::mixed(8)).trace_hash);
}

#[test]
fn a_little_of_everything_happens_in_the_mixed_world() {
    for seed in 1..=3 {
        let report = run(Scenario::mixed(seed));
        sane(&report);
        let done = report
            .peers
            .iter()
            .flat_map(|p| &p.fetches)
            .filter(|f| matches!(f.end, FetchEnd::Done(_)))
            .count();
        let happened = report.from_peers_bytes() > 0
            && report.from_http_bytes() > 0
            && report.peers.iter().any(|p| p.falsified > 0)
            && !report.blamed().is_empty()
            && done >= 5;
        assert!(happened, "seed {seed}: {done} done\n{:?}", Summary(&report));
    }
}
