//! Announce, and be told whom to offer to.

mod support;

use peeredge_wire::relay::{FromRelay, ToRelay};
use support::{Place, RELAY_KEY, content, id};

#[test]
fn who_wants_is_told_of_who_has() {
    let mut place = Place::new();
    let (seeder, receiver) = (place.join(1), place.join(2));
    place.announce(seeder, content(1), 1000, 0);
    place.announce(receiver, content(1), 0, 4);
    assert_eq!(
        place.read(receiver),
        [FromRelay::Introduce { content: content(1), peer: id(1), have_permille: 1000 }]
    );
    assert_eq!(place.read(seeder), [], "the announcer offers, so the holder hears nothing yet");
    assert_eq!(place.tracker.stats().introductions, 1);
}

#[test]
fn who_waits_is_told_when_a_holder_comes() {
    let mut place = Place::new();
    let (receiver, seeder) = (place.join(1), place.join(2));
    place.announce(receiver, content(1), 0, 4);
    assert_eq!(place.introduced(receiver), []);
    place.announce(seeder, content(1), 1000, 0);
    assert_eq!(place.introduced(receiver), [id(2)]);
    assert_eq!(place.introduced(seeder), []);
}

#[test]
fn downloaders_meet_before_they_hold_anything() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.announce(a, content(1), 0, 4);
    place.announce(b, content(1), 0, 4);
    assert_eq!(place.introduced(b), [id(1)]);
    assert_eq!(place.introduced(a), [], "b makes the offer");
    place.announce(a, content(1), 100, 4);
    assert_eq!(place.introduced(a), [], "they have met");
}

#[test]
fn another_content_is_no_reason_to_meet() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    place.announce(a, content(1), 1000, 0);
    place.announce(b, content(2), 0, 4);
    assert_eq!(place.introduced(b), []);
}

#[test]
fn nobody_is_told_of_who_left_or_withdrew() {
    let mut place = Place::new();
    let (gone, withdrawn, receiver) = (place.join(1), place.join(2), place.join(3));
    place.announce(gone, content(1), 1000, 0);
    place.announce(withdrawn, content(1), 1000, 0);
    place.leave(gone);
    place.say(withdrawn, &ToRelay::Withdraw { content: content(1) });
    place.announce(receiver, content(1), 0, 8);
    assert_eq!(place.introduced(receiver), []);
    assert_eq!(place.tracker.stats().contents, 1);
}

#[test]
fn after_a_reconnect_the_same_two_are_introduced_again() {
    let mut place = Place::new();
    let seeder = place.join(1);
    place.announce(seeder, content(1), 1000, 0);
    for _ in 0..3 {
        let receiver = place.join(2);
        place.announce(receiver, content(1), 0, 4);
        assert_eq!(place.introduced(receiver), [id(1)]);
        place.leave(receiver);
    }
}

#[test]
fn the_relays_own_node_is_a_source_among_few() {
    let mut place = Place::new();
    let relay = place.join(RELAY_KEY);
    assert!(place.tracker.stats().relay_node);
    place.announce(relay, content(1), 1000, 0);
    let first = place.join(1);
    place.announce(first, content(1), 0, 4);
    assert_eq!(place.introduced(first), [id(RELAY_KEY)]);
    let seeders = [2, 3].map(|n| {
        let seeder = place.join(n);
        place.announce(seeder, content(1), 1000, 0);
        seeder
    });
    let told = |place: &mut Place, n: u8| {
        let late = place.join(n);
        place.announce(late, content(1), 0, 4);
        let told = place.introduced(late);
        place.leave(late);
        told
    };
    assert!(told(&mut place, 4).contains(&id(RELAY_KEY)), "what the others claim is borne out by nobody");
    for seeder in seeders {
        place.takes(10, seeder, content(1), 1_000_000);
    }
    let late = told(&mut place, 5);
    assert!(!late.contains(&id(RELAY_KEY)) && late.len() >= 3, "{late:?}");
}

#[test]
fn one_announce_is_answered_by_a_bounded_number() {
    let mut place = Place::with(|config| config.introductions_per_announce_max = 3);
    for n in 1..=20 {
        let seeder = place.join(n);
        place.announce(seeder, content(1), 1000, 0);
    }
    let receiver = place.join(100);
    place.announce(receiver, content(1), 0, 255);
    assert_eq!(place.introduced(receiver).len(), 3);
}

#[test]
fn a_market_that_one_change_left_behind_is_worked_on_until_it_is_settled() {
    let mut place = Place::with(|config| {
        config.matching.unknown.places = 60;
        config.owners.addresses_per_h = 1000;
    });
    let (first, second) = (place.join(1), place.join(2));
    place.announce(first, content(1), 1000, 0);
    place.announce(second, content(1), 1000, 0);
    for n in 10..70 {
        let taker = place.join(n);
        place.announce(taker, content(1), 0, 2);
    }
    let is_due = |place: &Place| {
        let soon = place.now + core::time::Duration::from_millis(20);
        place.tracker.deadline().is_some_and(|at| at <= soon)
    };
    (0..100).for_each(|_| place.pass(20));
    assert!(!is_due(&place), "nothing happens, and nothing is left to do");
    // One change, which takes a place from everybody.
    place.leave(first);
    assert!(is_due(&place));
    let wakes = (0..1000).find(|_| {
        place.pass(20);
        !is_due(&place)
    });
    assert!(wakes.is_some(), "it settles");
    let market = place.tracker.stats().market;
    assert!(market.served >= 60 && market.gap < 0.1, "{market:?}");
}
