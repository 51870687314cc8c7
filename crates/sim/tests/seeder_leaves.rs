//! The seeder leaves mid-transfer.

mod support;

use peeredge_sim::{Action, Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

fn scenario(seed: u64, by_http: bool) -> (Scenario, usize) {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, by_http, false);
    let seeder = scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    for _ in 0..3 {
        scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    }
    (scenario, seeder)
}

#[test]
fn the_others_finish_from_each_other_when_they_together_hold_enough() {
    // A whole copy leaves the seeder's uplink within 2.4 s of the first byte at 0.6 s; by 3.6 s one and a quarter copy are out.
    for (action, seeds) in [(Action::Leave as fn(usize) -> Action, 1..=5), (Action::Vanish, 6..=10)] {
        for seed in seeds {
            let (mut scenario, seeder) = scenario(seed, false);
            scenario.at_ms(3_600, action(seeder));
            let report = run(scenario);
            sane(&report);
            let last = (1..=3).map(|peer| done(&report, peer)).max();
            assert!(
                last > Some(peeredge_wire::Time::from_millis(3_600)),
                "seed {seed}: it left too late to matter"
            );
            assert_eq!(report.from_http_bytes(), 0, "seed {seed}: {:?}", Summary(&report));
        }
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
