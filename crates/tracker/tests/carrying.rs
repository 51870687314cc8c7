//! Messages pass between two peers that both took a session, within credit, rate and total, and nowhere else.

mod support;

use peeredge_tracker::{CarrySettings, ConnId};
use peeredge_wire::relay::{CarryEnd, FromRelay, ToRelay};
use support::{Place, RELAY_KEY, id};

const SETTINGS: CarrySettings = CarrySettings {
    bytes_per_s_max: 100_000,
    bytes_max: 10_000_000,
    sessions_max: 2,
    bytes_per_s_all_max: 1 << 30,
    take_within_ms: 5_000,
    idle_after_ms: 10_000,
};

fn place(settings: CarrySettings) -> Place {
    Place::with(|config| config.carry = settings)
}

/// A connection that has proved key `n`, and what it was told of paths.
fn join(place: &mut Place, n: u8) -> (ConnId, FromRelay) {
    let (conn, nonce) = place.open();
    place.say(conn, &support::hello(n, &nonce));
    match place.read(conn).as_slice() {
        [FromRelay::Welcome { .. }, paths] => (conn, paths.clone()),
        other => panic!("no welcome with paths but {other:?}"),
    }
}

fn carry(to: u8, session: u64, len: usize) -> ToRelay {
    ToRelay::Carry { to: id(to), session, last: true, piece: vec![7; len] }
}

fn closed(peer: u8, session: u64, end: CarryEnd) -> FromRelay {
    FromRelay::CarryClosed { peer: id(peer), session, end }
}

/// Peers 1 and 2 with a session 9 between them, 64 KiB of credit either way.
fn pair(place: &mut Place) -> (ConnId, ConnId) {
    let ((a, _), (b, _)) = (join(place, 1), join(place, 2));
    place.introduce(a, b);
    place.say(a, &ToRelay::CarryOpen { to: id(2), session: 9, credit_bytes: 1 << 20 });
    let credit_bytes = 64 << 10;
    assert_eq!(place.read(b), [FromRelay::CarryOpen { from: id(1), session: 9, credit_bytes }]);
    place.say(b, &ToRelay::CarryCredit { to: id(1), session: 9, bytes: 1 << 20 });
    assert_eq!(place.read(a), [FromRelay::CarryCredit { from: id(2), session: 9, bytes: credit_bytes }]);
    (a, b)
}

#[test]
fn a_peer_is_told_what_is_carried_for_it() {
    let (_, paths) = join(&mut place(SETTINGS), 1);
    assert_eq!(paths, FromRelay::Paths { stun_port: 0, carried_bytes_per_s: 100_000 });
}

#[test]
fn pieces_pass_unread_in_both_directions() {
    let mut place = place(SETTINGS);
    let (a, b) = pair(&mut place);
    place.say(a, &carry(2, 9, 5));
    assert_eq!(
        place.read(b),
        [FromRelay::Carried { from: id(1), session: 9, last: true, piece: vec![7; 5] }]
    );
    place.say(b, &carry(1, 9, 6));
    assert_eq!(
        place.read(a),
        [FromRelay::Carried { from: id(2), session: 9, last: true, piece: vec![7; 6] }]
    );
    assert_eq!((place.tracker.stats().carried_bytes, place.tracker.stats().carry_sessions), (11, 1));
    place.say(a, &ToRelay::CarryClose { to: id(2), session: 9 });
    assert_eq!(place.read(b), [closed(1, 9, CarryEnd::Gone)]);
    place.say(b, &carry(1, 9, 6));
    assert_eq!(place.read(b), [closed(1, 9, CarryEnd::Gone)]);
    assert_eq!(place.read(a), []);
}

#[test]
fn nothing_passes_to_a_peer_that_did_not_take_the_session() {
    let mut place = place(SETTINGS);
    let ((a, _), (b, _)) = (join(&mut place, 1), join(&mut place, 2));
    place.introduce(a, b);
    place.say(a, &carry(2, 9, 5));
    assert_eq!((place.read(a), place.read(b)), (vec![closed(2, 9, CarryEnd::Gone)], vec![]));
    place.say(a, &ToRelay::CarryOpen { to: id(2), session: 9, credit_bytes: 100 });
    place.read(b);
    // Neither by sending nor by taking it for the other side.
    place.say(a, &carry(2, 9, 5));
    assert_eq!(place.read(a), [closed(2, 9, CarryEnd::Gone)]);
    assert_eq!(place.read(b), [closed(1, 9, CarryEnd::Gone)]);
    place.say(a, &ToRelay::CarryOpen { to: id(2), session: 10, credit_bytes: 100 });
    place.read(b);
    place.say(a, &ToRelay::CarryCredit { to: id(2), session: 10, bytes: 100 });
    assert_eq!(place.read(a), [closed(2, 10, CarryEnd::Refused)]);
    assert_eq!(place.read(b), [closed(1, 10, CarryEnd::Gone)]);
}

#[test]
fn a_sender_past_its_credit_loses_the_session() {
    let mut place = place(CarrySettings { bytes_per_s_max: 1 << 30, ..SETTINGS });
    let (a, b) = pair(&mut place);
    for _ in 0..4 {
        place.say(a, &carry(2, 9, 16 << 10));
    }
    assert_eq!(place.read(b).len(), 4);
    place.say(a, &carry(2, 9, 1));
    assert_eq!(place.read(a), [closed(2, 9, CarryEnd::Capped)]);
    assert_eq!(place.read(b), [closed(1, 9, CarryEnd::Gone)]);
}

#[test]
fn a_sender_past_its_rate_or_its_total_is_capped() {
    let mut place = place(SETTINGS);
    let (a, b) = pair(&mut place);
    let mut passed = 0;
    // 256 KiB and half a second's worth at once.
    while place.read(a).is_empty() {
        place.say(b, &ToRelay::CarryCredit { to: id(1), session: 9, bytes: 1 << 20 });
        place.read(a);
        place.say(a, &carry(2, 9, 10_000));
        passed += 1;
        assert!(passed < 1000, "nothing caps it");
    }
    assert!((31..=32).contains(&passed), "{passed} pieces");

    let mut place = self::place(CarrySettings { bytes_max: 25_000, ..SETTINGS });
    let (a, b) = pair(&mut place);
    for _ in 0..3 {
        place.say(a, &carry(2, 9, 10_000));
    }
    assert_eq!(place.read(a), [closed(2, 9, CarryEnd::Capped)]);
    assert_eq!(place.read(b).len(), 3, "two pieces and the end");
}

#[test]
fn tiny_pieces_cost_as_much_as_larger_ones() {
    let mut place = place(SETTINGS);
    let (a, b) = pair(&mut place);
    for _ in 0..1000 {
        place.say(a, &carry(2, 9, 1));
    }
    let passed = place.read(b).iter().filter(|frame| matches!(frame, FromRelay::Carried { .. })).count();
    assert!((300..=310).contains(&passed), "{passed} pieces");
}

#[test]
fn sessions_are_limited_by_connection_and_in_all() {
    let mut place = place(SETTINGS);
    let ((a, _), (b, _)) = (join(&mut place, 1), join(&mut place, 2));
    place.introduce(a, b);
    for session in 1..=3 {
        place.say(a, &ToRelay::CarryOpen { to: id(2), session, credit_bytes: 100 });
    }
    assert_eq!(place.read(a), [closed(2, 3, CarryEnd::Refused)]);

    let mut place = self::place(CarrySettings { bytes_per_s_all_max: 200_000, ..SETTINGS });
    let (a, _) = pair(&mut place);
    let (c, _) = join(&mut place, 3);
    place.introduce(a, c);
    place.say(a, &ToRelay::CarryOpen { to: id(3), session: 1, credit_bytes: 100 });
    assert_eq!(place.read(a), [closed(3, 1, CarryEnd::Refused)]);
}

#[test]
fn who_is_not_there_is_gone_and_who_leaves_ends_its_sessions() {
    let mut place = place(SETTINGS);
    let (a, b) = pair(&mut place);
    let (c, _) = join(&mut place, 3);
    place.introduce(a, c);
    place.leave(c);
    // Of those that it was not introduced to, itself among them, a peer does not learn whether they are here.
    for (to, end) in [(1, CarryEnd::Refused), (3, CarryEnd::Gone), (4, CarryEnd::Refused)] {
        place.say(a, &ToRelay::CarryOpen { to: id(to), session: 1, credit_bytes: 100 });
        assert_eq!(place.read(a), [closed(to, 1, end)]);
    }
    place.leave(b);
    assert_eq!(place.read(a), [closed(2, 9, CarryEnd::Gone)]);
    assert_eq!(place.tracker.stats().carry_sessions, 0);
    // The relay's own peer is reached without a detour.
    join(&mut place, RELAY_KEY);
    place.say(a, &ToRelay::CarryOpen { to: id(RELAY_KEY), session: 1, credit_bytes: 100 });
    assert_eq!(place.read(a), [closed(RELAY_KEY, 1, CarryEnd::Refused)]);
}

#[test]
fn a_relay_that_carries_nothing_refuses() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.say(a, &ToRelay::CarryOpen { to: id(2), session: 1, credit_bytes: 100 });
    assert_eq!(place.read(a), [closed(2, 1, CarryEnd::Refused)]);
    assert_eq!(place.read(b), []);
}
