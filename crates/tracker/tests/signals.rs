//! Offers and answers are carried unread, between live proved keys and nowhere else.

mod support;

use peeredge_wire::limits::SIGNAL_BYTES_MAX;
use peeredge_wire::relay::{FromRelay, SignalRefusal, ToRelay};
use support::{Place, id};

#[test]
fn the_relay_vouches_for_the_sender_and_changes_nothing() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.introduce(a, b);
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
    place.introduce(a, b);
    place.leave(b);
    // Nobody learns of one it does not know whether it is here.
    let (gone, unknown) = (SignalRefusal::Gone, SignalRefusal::Unknown);
    for (to, why) in [(id(1), unknown), (id(2), gone), (id(3), unknown)] {
        place.say(a, &ToRelay::Signal { to, session: 9, signal: vec![] });
        assert_eq!(place.read(a), [FromRelay::Unreachable { peer: to, session: 9, why }]);
    }
    let stats = place.tracker.stats();
    assert_eq!((stats.signals, stats.unreachable, stats.signals_refused), (0, 1, [2, 0]));
}

#[test]
fn two_that_have_signalled_each_other_may_do_so_as_long_as_both_are_here() {
    let mut place = Place::new();
    let (a, b, c) = (place.join(1), place.join(2), place.join(3));
    place.contact(a, b);
    place.introduce(a, c);
    place.signal(a, c, 1 << 16);
    place.read(c);
    place.pass(86_400_000);
    place.signal(b, a, 2 << 16);
    assert_eq!(place.read(a).len(), 1);
    // The third never answered, so that introduction is over.
    place.signal(a, c, 3 << 16);
    assert_eq!((place.read(a).len(), place.read(c).len()), (1, 0));
    // Who comes back is known for a while after an introduction only.
    place.leave(b);
    let b = place.join(2);
    place.signal(b, a, 4 << 16);
    assert!(matches!(place.read(b)[..], [FromRelay::Unreachable { why: SignalRefusal::Unknown, .. }]));
}

#[test]
fn a_connection_that_has_proved_nothing_is_sent_nothing() {
    let mut place = Place::new();
    let (unproved, _) = place.open();
    let a = place.join(1);
    place.say(a, &ToRelay::Signal { to: id(2), session: 9, signal: vec![1] });
    assert_eq!(place.read(unproved), []);
}
