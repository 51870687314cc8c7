//! Reports are summed as claims, and pooled in standard units while their peer is here.

mod support;

use peeredge_wire::relay::{Report, ToRelay};
use support::{Place, RELAY_KEY};

fn report(sent: u64, from_peers: u64) -> ToRelay {
    ToRelay::Report(Report {
        sent_bytes: sent,
        from_peers_bytes: from_peers,
        channels: 3,
        ..Report::default()
    })
}

#[test]
fn rates_are_pooled_over_the_peers_that_are_here() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.pass(2_000);
    place.say(a, &report(4_000, 1_000));
    place.say(b, &report(0, 3_000));
    let stats = place.tracker.stats();
    assert_eq!((stats.pooled.up.0, stats.pooled.down.0), (2_000, 2_000));
    assert_eq!(
        (stats.reported.sent_bytes, stats.reported.from_peers_bytes, stats.reported.channels),
        (4_000, 4_000, 6)
    );

    place.leave(a);
    let stats = place.tracker.stats();
    assert_eq!((stats.pooled.up.0, stats.pooled.down.0), (0, 1_500));
    assert_eq!((stats.reported.sent_bytes, stats.reported.channels), (4_000, 3), "sums stay, states go");
}

#[test]
fn an_absurd_claim_is_no_more_than_a_line_could_have_carried() {
    let mut place = Place::new();
    let conn = place.join(1);
    for _ in 0..3 {
        place.pass(1000);
        place.say(conn, &report(u64::MAX, u64::MAX));
    }
    assert_eq!(place.tracker.stats().reported.sent_bytes, 3 * 125_000_000);
    assert_eq!(place.tracker.stats().pooled.up.0, 125_000_000);
    assert_eq!(place.tracker.stats().reported.channels, 3);
}

#[test]
fn the_relays_own_report_is_not_its_visitors() {
    let mut place = Place::new();
    let relay = place.join(RELAY_KEY);
    place.pass(1_000);
    place.say(relay, &report(5, 5));
    assert_eq!(place.tracker.stats().reported, Report::default());
}
