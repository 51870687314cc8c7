//! Fifty visitors come and go on links good and bad.

mod support;

use peeredge_sim::{Churn, FetchEnd, Link, PeerSpec, Report, Scenario, run};
use support::{Summary, sane};

const LENGTH: u64 = 4_000_000;

fn churning(seed: u64, by_http: bool) -> Report {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, by_http, false);
    scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    let lossy = Link { loss_ppm: 5_000, ..Link::HOME };
    let churn = Churn { arrival_ms: 500, stay_ms: 40_000, vanish_one_in: 4 };
    scenario.churn(churn, 50, content, &[Link::HOME, Link::HOME, Link::MOBILE, lossy]);
    run(scenario)
}

fn finished(report: &Report) -> usize {
    report.peers[1..].iter().filter(|p| matches!(p.fetches[0].end, FetchEnd::Done(_))).count()
}

#[test]
fn whoever_stays_long_enough_receives_from_the_swarm_alone() {
    for seed in 1..=2 {
        let report = run_and_check(seed, false);
        // Visits last 20 to 60 s.
        assert!(finished(&report) >= 48, "seed {seed}: {} of 50\n{:?}", finished(&report), Summary(&report));
        let seeder = report.peers[0].stats.sent_bytes;
        assert!(seeder < 25 * LENGTH, "seed {seed}: the seeder sent {seeder}\n{:?}", Summary(&report));
    }
}

#[test]
fn with_http_beside_it_everyone_receives_and_half_comes_from_peers() {
    let report = run_and_check(3, true);
    assert_eq!(finished(&report), 50, "{:?}", Summary(&report));
    // The simulated relay's HTTP has 125 MB/s and HTTP works while it is faster than all peers: 0.48 of the bytes here.
    assert!(report.from_http_bytes() < 50 * LENGTH / 2, "{:?}", Summary(&report));
}

fn run_and_check(seed: u64, by_http: bool) -> Report {
    let report = churning(seed, by_http);
    sane(&report);
    assert!(report.blamed().is_empty(), "seed {seed}: nobody cheated {:?}", Summary(&report));
    report
}
