//! Heads of live contents reach those who follow them, from nobody but their publisher.

mod support;

use peeredge_tracker::ConnId;
use peeredge_wire::relay::{ErrorCode, FromRelay, ToRelay};
use support::{Place, id};

fn publish(place: &mut Place, conn: ConnId, name: &str, head: &[u8]) {
    place.say(conn, &ToRelay::Head { name: name.into(), head: head.to_vec() });
}

fn follow(place: &mut Place, conn: ConnId, publisher: u8, name: &str) {
    place.say(conn, &ToRelay::Follow { publisher: id(publisher), name: name.into() });
}

fn head(publisher: u8, name: &str, head: &[u8]) -> FromRelay {
    FromRelay::Head { publisher: id(publisher), name: name.into(), head: head.to_vec() }
}

#[test]
fn a_follower_gets_the_latest_head_and_every_later_one() {
    let mut place = Place::new();
    let (a, b, c) = (place.join(1), place.join(2), place.join(3));
    follow(&mut place, b, 1, "match");
    assert_eq!(place.read(b), []);
    publish(&mut place, a, "match", b"one");
    publish(&mut place, a, "match", b"two");
    publish(&mut place, a, "other", b"three");
    assert_eq!(place.read(b), [head(1, "match", b"one"), head(1, "match", b"two")]);
    follow(&mut place, c, 1, "match");
    assert_eq!(place.read(c), [head(1, "match", b"two")]);
    place.say(b, &ToRelay::Unfollow { publisher: id(1), name: "match".into() });
    publish(&mut place, a, "match", b"four");
    assert_eq!((place.read(b), place.read(c)), (vec![], vec![head(1, "match", b"four")]));
    assert_eq!(place.read(a), []);
}

#[test]
fn nobody_speaks_in_anothers_name() {
    let mut place = Place::new();
    let (liar, b) = (place.join(1), place.join(2));
    follow(&mut place, b, 3, "match");
    publish(&mut place, liar, "match", b"false");
    assert_eq!(place.read(b), []);
}

#[test]
fn a_head_outlives_its_publisher_while_somebody_follows() {
    let mut place = Place::new();
    let (a, b) = (place.join(1), place.join(2));
    publish(&mut place, a, "match", b"one");
    follow(&mut place, b, 1, "match");
    place.leave(a);
    let c = place.join(3);
    follow(&mut place, c, 1, "match");
    assert_eq!(place.read(c), [head(1, "match", b"one")]);
    assert_eq!(place.tracker.stats().live_contents, 1);
    place.leave(b);
    place.leave(c);
    assert_eq!(place.tracker.stats().live_contents, 0);
}

#[test]
fn one_connection_follows_and_publishes_so_many_and_no_more() {
    let mut place = Place::with(|config| config.live_contents_max = 2);
    let a = place.join(1);
    publish(&mut place, a, "one", b"x");
    follow(&mut place, a, 2, "two");
    publish(&mut place, a, "three", b"x");
    assert_eq!(place.error(a), ErrorCode::TooMany);
    follow(&mut place, a, 2, "four");
    assert_eq!(place.error(a), ErrorCode::TooMany);
    publish(&mut place, a, "one", b"y");
    place.say(a, &ToRelay::Unfollow { publisher: id(2), name: "two".into() });
    follow(&mut place, a, 2, "four");
    assert_eq!(place.read(a), []);
}
