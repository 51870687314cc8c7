//! The visitor's caps hold, whatever others ask.

mod support;

use peeredge_node::Caps;
use peeredge_sim::{FetchEnd, Link, PeerSpec, Report, Scenario, run};
use support::{LENGTH, Summary, done, sane};

fn capped(caps: Caps, by_http: bool) -> Report {
    let mut scenario = Scenario::new(1);
    let content = scenario.content(LENGTH, by_http, false);
    let mut seeder = PeerSpec::new(Link::HOME).publishing(content);
    seeder.config.caps = caps;
    scenario.peer(seeder);
    for _ in 0..2 {
        scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
    }
    let report = run(scenario);
    sane(&report);
    report
}

#[test]
fn the_upload_rate_is_kept() {
    let report = capped(Caps { upload_bytes_per_s_max: 400_000, ..Caps::default() }, false);
    let last = done(&report, 1).max(done(&report, 2));
    let sent = report.peers[0].stats.sent_bytes;
    let seconds = last.as_micros() as f64 / 1e6;
    assert!(sent as f64 <= 400_000.0 * (seconds + 0.2), "{sent} bytes in {seconds} s {:?}", Summary(&report));
}

#[test]
fn the_bytes_of_a_session_are_kept_and_the_rest_comes_otherwise() {
    let report = capped(Caps { upload_bytes_max: 2_000_000, ..Caps::default() }, true);
    done(&report, 1);
    done(&report, 2);
    assert!(report.peers[0].stats.sent_bytes <= 2_000_000, "{:?}", Summary(&report));
    assert!(report.from_http_bytes() > LENGTH / 3);
}

#[test]
fn who_may_not_upload_sends_nothing() {
    let report = capped(Caps { upload_allowed: false, ..Caps::default() }, false);
    assert_eq!(report.peers[0].stats.sent_bytes, 0);
    for peer in [1, 2] {
        assert!(matches!(report.peers[peer].fetches[0].end, FetchEnd::Failed(..)));
    }
}

#[test]
fn connections_are_counted_and_bounded() {
    let mut scenario = Scenario::new(2);
    let content = scenario.content(LENGTH, true, false);
    let mut seeder = PeerSpec::new(Link::HOME).publishing(content);
    seeder.config.caps = Caps { connections_max: 2, connections_made_max: 3, ..Caps::default() };
    scenario.peer(seeder);
    for late_ms in 0..8 {
        scenario.peer(PeerSpec::new(Link::HOME).wanting(content).joining_at_ms(late_ms * 1_500));
    }
    let report = run(scenario);
    sane(&report);
    (1..=8).for_each(|peer| {
        done(&report, peer);
    });
    let made = report.peers[0].stats.connections_made;
    assert!((1..=3).contains(&made), "{made} connections {:?}", Summary(&report));
    assert!(report.peers[0].stats.peers.len() <= 2);
}
