//! A range returns exactly its bytes, without fetching the rest.

mod support;

use peeredge_node::RangeSpec;
use peeredge_sim::{FetchEnd, Link, PeerSpec, Report, Scenario, run};
use support::{Summary, done, sane};

const LENGTH: u64 = 40_000_000;

fn fetch(seed: u64, range: RangeSpec, by_http: bool) -> Report {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content(LENGTH, by_http, false);
    let mut receiver = PeerSpec::new(Link::HOME);
    receiver.wants.push((0, content, range));
    scenario.peer(receiver);
    if !by_http {
        scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
    }
    run(scenario)
}

#[test]
fn from_a_peer_or_by_http_little_more_than_the_range_is_fetched() {
    for by_http in [false, true] {
        for (range, bytes) in [
            (RangeSpec::From { start: 20_000_001, end: Some(20_500_000) }, 500_000),
            (RangeSpec::From { start: 39_999_999, end: None }, 1),
            (RangeSpec::From { start: 0, end: Some(0) }, 1),
            (RangeSpec::Last(300_000), 300_000),
            (RangeSpec::From { start: 39_900_000, end: Some(u64::MAX) }, 100_000),
        ] {
            let report = fetch(1, range, by_http);
            sane(&report);
            done(&report, 0);
            assert_eq!(report.peers[0].fetches[0].bytes, bytes, "{range:?}");
            let fetched = report.from_peers_bytes() + report.from_http_bytes();
            assert!(fetched < bytes + 400_000, "{range:?}: {fetched} bytes fetched {:?}", Summary(&report));
        }
    }
}

#[test]
fn a_range_behind_the_end_is_refused_with_the_length() {
    let report = fetch(2, RangeSpec::From { start: LENGTH, end: None }, false);
    let FetchEnd::Failed(_, error) = report.peers[0].fetches[0].end else {
        panic!("{:?}", report.peers[0].fetches[0]);
    };
    assert_eq!(error, peeredge_node::FetchError::RangeNotSatisfiable { length: LENGTH });
}
