//! Some pairs can never connect, as behind some NATs.

mod support;

use peeredge_sim::{Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

/// A seeder, one receiver who reaches it, and one who does not.
fn scenario(seed: u64, by_http: bool) -> Scenario {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, by_http, false);
    let seeder = scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    let walled = scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario.walls.push((seeder, walled));
    scenario
}

#[test]
fn a_fellow_passes_on_what_the_seeder_cannot_bring() {
    for seed in 1..=5 {
        let report = run(scenario(seed, false));
        sane(&report);
        done(&report, 1);
        done(&report, 2);
        let fellow = report.peers[1].stats.sent_bytes;
        assert!(fellow >= LENGTH, "seed {seed}: {:?}", Summary(&report));
    }
}

#[test]
fn who_reaches_nobody_has_http() {
    let mut scenario = scenario(1, true);
    scenario.walls.push((1, 2));
    let report = run(scenario);
    sane(&report);
    done(&report, 1);
    done(&report, 2);
    assert_eq!(report.peers[2].stats.from_http_bytes, LENGTH, "{:?}", Summary(&report));
}
