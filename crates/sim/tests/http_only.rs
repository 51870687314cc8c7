//! Nobody else is there, or nobody else is of use: plain HTTP carries the content.

mod support;

use peeredge_sim::{Link, PeerSpec, Scenario, run};
use support::{LENGTH, Summary, done, sane};

#[test]
fn a_lone_visitor_gets_everything_by_http() {
    let mut scenario = Scenario::new(1);
    let content = scenario.content(LENGTH, true, false);
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    let report = run(scenario);
    sane(&report);
    done(&report, 0);
    assert_eq!(report.from_http_bytes(), LENGTH, "{:?}", Summary(&report));
    assert!(report.http_bytes < LENGTH * 11 / 10, "the server sent {} bytes", report.http_bytes);
}

#[test]
fn a_seeder_far_too_slow_does_not_hold_a_reader_up() {
    let mut scenario = Scenario::new(2);
    let content = scenario.content(LENGTH, true, false);
    let slow = Link { up_bytes_per_s: 20_000, ..Link::HOME };
    scenario.peer(PeerSpec::new(slow).publishing(content));
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    let report = run(scenario);
    sane(&report);
    // 6 MB take half a second at the receiver's rate and five minutes at the seeder's.
    assert!(done(&report, 1).as_micros() < 10_000_000, "{:?}", Summary(&report));
    assert!(report.from_http_bytes() > LENGTH / 2, "{:?}", Summary(&report));
}

#[test]
fn a_node_that_may_not_use_http_does_not() {
    let mut scenario = Scenario::new(3);
    let content = scenario.content(LENGTH, true, false);
    let mut peer = PeerSpec::new(Link::HOME).wanting(content);
    peer.config.http = false;
    scenario.peer(peer);
    let report = run(scenario);
    assert_eq!((report.http_bytes, report.from_http_bytes()), (0, 0));
    let end = report.peers[0].fetches[0].end;
    assert!(matches!(end, peeredge_sim::FetchEnd::Failed(_, e) if e.code() == "unavailable"), "{end:?}");
}

#[test]
fn the_relays_own_node_serves_over_its_channel() {
    let mut scenario = Scenario::new(4);
    let content = scenario.content(LENGTH, false, true);
    scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    let report = run(scenario);
    sane(&report);
    done(&report, 0);
    assert_eq!(report.from_relay_bytes(), LENGTH, "{:?}", Summary(&report));
}
