//! What a stranger can make large or fast has a bound, and costs only the stranger.

mod support;

use peeredge_tracker::TrackerInput;
use peeredge_wire::limits::{RELAY_FRAME_BYTES_MAX, SIGNAL_BYTES_MAX};
use peeredge_wire::relay::{ErrorCode, FromRelay, ToRelay};
use support::{Place, RELAY_KEY, content, id};

#[test]
fn garbage_is_malformed_and_closes() {
    for frame in [vec![], vec![0x7f], vec![0x03, 1, 2], [0x02; 200].to_vec()] {
        let mut place = Place::new();
        let (conn, bystander) = (place.join(1), place.join(2));
        place.input(TrackerInput::Frame { conn, frame });
        assert_eq!(place.error(conn), ErrorCode::Malformed);
        assert_eq!(place.closed(conn), Some(ErrorCode::Malformed));
        assert_eq!(place.closed(bystander), None);
    }
}

#[test]
fn a_frame_or_signal_over_its_limit_is_too_large_and_closes() {
    let signal = ToRelay::Signal { to: id(2), session: 1, signal: vec![0; SIGNAL_BYTES_MAX + 1] }.encode();
    for frame in [vec![0x04; RELAY_FRAME_BYTES_MAX + 1], signal] {
        let mut place = Place::new();
        let conn = place.join(1);
        place.input(TrackerInput::Frame { conn, frame });
        assert_eq!(place.error(conn), ErrorCode::TooLarge);
        assert_eq!(place.closed(conn), Some(ErrorCode::TooLarge));
    }
}

#[test]
fn a_flood_is_dropped_with_one_reminder_a_second_and_others_go_on() {
    let mut place = Place::with(|config| (config.frames_per_s_max, config.frames_burst_max) = (10, 20));
    let (flooder, victim, bystander) = (place.join(1), place.join(2), place.join(3));
    for conn in [flooder, bystander] {
        place.introduce(conn, victim);
    }
    place.pass(2_000);
    for _ in 0..1000 {
        place.say(flooder, &ToRelay::Signal { to: id(2), session: 1, signal: vec![1] });
    }
    assert_eq!(place.read(victim).len(), 20);
    assert_eq!(place.error(flooder), ErrorCode::TooFast);
    assert_eq!(place.closed(flooder), None);
    place.say(bystander, &ToRelay::Signal { to: id(2), session: 1, signal: vec![1] });
    assert_eq!(place.read(victim).len(), 1);
    place.pass(1000);
    for _ in 0..1000 {
        place.say(flooder, &ToRelay::Signal { to: id(2), session: 1, signal: vec![1] });
    }
    assert_eq!(place.read(victim).len(), 10);
    assert_eq!(place.tracker.stats().errors(ErrorCode::TooFast), 2);
}

#[test]
fn large_frames_count_for_more() {
    let mut place = Place::with(|config| (config.frames_per_s_max, config.frames_burst_max) = (1, 40));
    let (a, b) = (place.join(1), place.join(2));
    place.introduce(a, b);
    place.pass(60_000);
    for _ in 0..10 {
        place.say(a, &ToRelay::Signal { to: id(2), session: 1, signal: vec![0; 16_000] });
    }
    assert_eq!(place.read(b).len(), 2);
}

#[test]
fn the_relays_own_node_is_bound_by_no_rate() {
    let mut place = Place::with(|config| (config.frames_per_s_max, config.frames_burst_max) = (1, 1));
    let (relay, peer) = (place.join(RELAY_KEY), place.join(1));
    for _ in 0..1000 {
        place.say(relay, &ToRelay::Signal { to: id(1), session: 1, signal: vec![1] });
    }
    assert_eq!(place.read(peer).len(), 1000);
}

#[test]
fn too_many_contents_are_refused_and_the_earlier_ones_stay() {
    let mut place = Place::with(|config| config.contents_per_peer_max = 2);
    let conn = place.join(1);
    place.announce(conn, content(1), 1000, 0);
    place.announce(conn, content(2), 1000, 0);
    assert_eq!(place.read(conn), []);
    place.announce(conn, content(3), 1000, 0);
    let refused = FromRelay::AnnounceRefused {
        code: ErrorCode::TooMany,
        retry_after_ms: 60_000,
        contents: vec![content(3)],
    };
    assert_eq!(place.read(conn), [refused]);
    assert_eq!(place.tracker.stats().errors(ErrorCode::TooMany), 1);
    assert_eq!(place.closed(conn), None);
    place.announce(conn, content(2), 500, 1);
    assert_eq!(place.read(conn), [], "an announce in place of an earlier one needs no room");
    assert_eq!(place.tracker.stats().announces, 2);
}

#[test]
fn a_closed_connection_that_still_talks_is_not_heard() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.input(TrackerInput::Frame { conn: a, frame: vec![0xff] });
    place.read(a);
    place.say(a, &ToRelay::Signal { to: id(2), session: 1, signal: vec![1] });
    place.announce(a, content(1), 1000, 0);
    assert_eq!((place.read(a), place.read(b)), (vec![], vec![]));
    assert_eq!(place.tracker.stats().announces, 0);
}

#[test]
fn a_relay_that_goes_down_tells_everyone_and_takes_no_one() {
    let mut place = Place::new();
    let (peer, unproved) = (place.join(1), place.open().0);
    place.input(TrackerInput::Shutdown);
    for conn in [peer, unproved] {
        assert_eq!(place.error(conn), ErrorCode::ShuttingDown);
        assert_eq!(place.closed(conn), Some(ErrorCode::ShuttingDown));
    }
    let late = peeredge_tracker::ConnId(77);
    place.input(TrackerInput::Connected { conn: late, authorities: Vec::new() });
    assert!(matches!(place.read(late)[..], [FromRelay::Error { code: ErrorCode::ShuttingDown, .. }]));
    assert_eq!((place.tracker.stats().connections, place.tracker.deadline()), (0, None));
}
