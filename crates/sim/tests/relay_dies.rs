//! The relay dies once it has introduced the peers: they need it no more.

mod support;

use peeredge_sim::{Action, FetchEnd, Link, PeerSpec, Scenario, run};
use peeredge_wire::Time;
use support::{LENGTH, Summary, done, sane};

fn scenario(seed: u64) -> Scenario {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, true, true);
    // Slow enough that nobody has finished when it dies.
    scenario.relay.link = Link { up_bytes_per_s: 500_000, ..Link::SERVER };
    scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    scenario
}

#[test]
fn mid_transfer_its_death_costs_nothing_but_what_it_would_have_served() {
    for seed in 1..=5 {
        let mut scenario = scenario(seed);
        scenario.at_ms(900, Action::RelayDies);
        let report = run(scenario);
        sane(&report);
        for peer in [1, 2] {
            assert!(done(&report, peer) > Time::from_millis(900), "seed {seed}: it died too late to matter");
        }
        assert!(report.from_peers_bytes() > LENGTH, "seed {seed}: {:?}", Summary(&report));
    }
}

#[test]
fn before_any_introduction_there_is_nobody_to_ask() {
    let mut scenario = scenario(1);
    scenario.at_ms(0, Action::RelayDies);
    let report = run(scenario);
    for peer in [1, 2] {
        let end = report.peers[peer].fetches[0].end;
        assert!(matches!(end, FetchEnd::Failed(_, error) if error.code() == "unavailable"), "{end:?}");
    }
}

#[test]
fn a_relay_that_returns_is_found_again() {
    let mut scenario = scenario(2);
    scenario.peers.iter_mut().for_each(|peer| peer.config.http = false);
    scenario.at_ms(0, Action::RelayDies);
    scenario.at_ms(5_000, Action::RelayReturns);
    let report = run(scenario);
    sane(&report);
    assert!(done(&report, 1) > Time::from_millis(5_000));
    done(&report, 2);
    assert_eq!(report.tracker.as_ref().map(|t| t.peers), Some(4), "three visitors and the relay's node");
}
