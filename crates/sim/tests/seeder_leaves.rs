//! The seeder leaves mid-transfer.

mod support;

use peeredge_sim::{Action, Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

fn scenario(seed: u64, by_http: bool) -> (Scenario, usize) {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, by_http, false);
    let seeder = scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    // They take in less than the seeder gives out, so that it has given all once before any of them has all.
    let link = Link { down_bytes_per_s: 1_200_000, ..Link::HOME };
    for _ in 0..3 {
        scenario.peer(PeerSpec::new(link).wanting(content));
    }
    (scenario, seeder)
}

#[test]
fn the_others_finish_from_each_other_when_they_together_hold_enough() {
    for seed in 1..=10 {
        let (mut scenario, seeder) = scenario(seed, false);
        scenario.at_ms(0, Action::VanishOnceSpread { peer: seeder, content: 0 });
        let report = run(scenario);
        sane(&report);
        (1..=3).for_each(|peer| {
            done(&report, peer);
        });
        assert!(!report.peers[seeder].here, "seed {seed}: it never left");
        let sent = report.peers[seeder].stats.sent_bytes;
        assert!(sent < 2 * LENGTH, "seed {seed}: {:?}", Summary(&report));
        let exchanged: u64 = (1..=3).map(|peer| report.peers[peer].stats.sent_bytes).sum();
        assert!(exchanged > LENGTH, "seed {seed}: {:?}", Summary(&report));
    }
}

#[test]
fn what_nobody_holds_comes_by_http() {
    for seed in 1..=3 {
        let (mut scenario, seeder) = scenario(seed, true);
        scenario.at_ms(1_200, Action::Vanish(seeder));
        let report = run(scenario);
        sane(&report);
        (1..=3).for_each(|peer| {
            done(&report, peer);
        });
        assert!(
            report.from_http_bytes() > 0 && report.from_peers_bytes() > 0,
            "seed {seed}: {:?}",
            Summary(&report)
        );
    }
}

#[test]
fn without_anyone_who_holds_it_the_request_fails_and_says_so() {
    let (mut scenario, seeder) = scenario(1, false);
    scenario.at_ms(1_200, Action::Leave(seeder));
    let report = run(scenario);
    sane(&report);
    for peer in 1..=3 {
        let end = report.peers[peer].fetches[0].end;
        assert!(matches!(end, peeredge_sim::FetchEnd::Failed(_, e) if e.code() == "unavailable"), "{end:?}");
    }
}
