//! A tab that closes and comes back goes on from its store.

mod support;

use peeredge_sim::{Action, Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

#[test]
fn mid_transfer_it_resumes_with_what_it_had() {
    for seed in 1..=5 {
        let mut scenario = Scenario::new(seed);
        let content = scenario.content(LENGTH, false, false);
        scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
        let tab = scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
        // At 2.5 MB/s from 0.6 s on, more than half is there.
        scenario.at_ms(2_200, Action::Leave(tab));
        scenario.at_ms(3_000, Action::Return(tab));
        let report = run(scenario);
        sane(&report);
        done(&report, tab);
        let second_life = report.peers[tab].stats.from_peers_bytes;
        assert!(
            second_life < LENGTH * 3 / 4,
            "seed {seed}: {second_life} bytes came again {:?}",
            Summary(&report)
        );
    }
}

#[test]
fn what_was_received_before_is_served_after() {
    let mut scenario = Scenario::new(9);
    let content = scenario.content(LENGTH, false, false);
    let seeder = scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    let tab = scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario.at_ms(8_000, Action::Leave(seeder));
    scenario.at_ms(8_000, Action::Leave(tab));
    scenario.at_ms(9_000, Action::Return(tab));
    let late = scenario.peer(PeerSpec::new(Link::HOME).wanting(content).joining_at_ms(10_000));
    let report = run(scenario);
    sane(&report);
    done(&report, tab);
    done(&report, late);
    assert!(report.peers[tab].stats.sent_bytes >= LENGTH, "{:?}", Summary(&report));
}
