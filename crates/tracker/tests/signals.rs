//! Offers and answers are carried unread, between live proved keys and nowhere else.

mod support;

use peeredge_wire::limits::SIGNAL_BYTES_MAX;
use peeredge_wire::relay::{FromRelay, ToRelay};
use support::{Place, id};

#[test]
fn the_relay_vouches_for_the_sender_and_changes_nothing() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    let signal: Vec<u8> = (0..SIGNAL_BYTES_MAX).map(|n| n as u8).collect();
    place.say(a, &ToRelay::Signal { to: id(2), session: u64::MAX, signal: signal.clone() });
    assert_eq!(place.read(b), [FromRelay::Signal { from: id(1), session: u64::MAX, signal }]);
    assert_eq!(place.read(a), []);
    assert_eq!(place.tracker.stats().signals, 1);
}

#[test]
fn an_absent_addressee_is_unreachable_and_so_is_oneself() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.leave(b);
    for to in [id(1), id(2), id(3)] {
        place.say(a, &ToRelay::Signal { to, session: 9, signal: vec![] });
        assert_eq!(place.read(a), [FromRelay::Unreachable { peer: to, session: 9 }]);
    }
    assert_eq!((place.tracker.stats().signals, place.tracker.stats().unreachable), (0, 3));
}

#[test]
fn a_connection_that_has_proved_nothing_is_sent_nothing() {
    let mut place = Place::new();
    let (unproved, _) = place.open();
    let a = place.join(1);
    place.say(a, &ToRelay::Signal { to: id(2), session: 9, signal: vec![1] });
    assert_eq!(place.read(unproved), []);
}
