//! A blame keeps accuser and accused apart; only accusers of several owners, who met it, shut a peer out, and only for a time.

mod support;

use peeredge_tracker::ConnId;
use peeredge_wire::PeerId;
use peeredge_wire::relay::ToRelay;
use support::{Place, RELAY_KEY, content, id};

const POLLUTER: u8 = 1;

/// Has the accuser meet the polluter, and blame it.
fn met_and_blames(place: &mut Place, accuser: ConnId, polluter: ConnId) {
    place.contact(accuser, polluter);
    blame(place, accuser, place.id_of(polluter));
}

fn blame(place: &mut Place, accuser: ConnId, accused: PeerId) {
    place.say(accuser, &ToRelay::Blame { accused, content: content(1), block: 3 });
}

/// A place with a seeder that pollutes.
fn polluted() -> (Place, ConnId) {
    let mut place = Place::new();
    let polluter = place.join(POLLUTER);
    place.announce(polluter, content(1), 1000, 0);
    (place, polluter)
}

fn newcomer_meets(place: &mut Place, n: u8, content_n: u8) -> Vec<PeerId> {
    let conn = place.join(n);
    place.announce(conn, content(content_n), 0, 8);
    let met = place.introduced(conn);
    place.leave(conn);
    met
}

#[test]
fn one_accuser_never_meets_the_accused_again_and_others_do() {
    let (mut place, polluter) = polluted();
    let accuser = place.join(2);
    met_and_blames(&mut place, accuser, polluter);
    place.announce(accuser, content(1), 0, 8);
    assert_eq!(place.introduced(accuser), []);
    assert!(newcomer_meets(&mut place, 3, 1).contains(&id(POLLUTER)));
}

#[test]
fn one_accuser_who_repeats_itself_is_still_one() {
    let (mut place, polluter) = polluted();
    let accuser = place.join(2);
    met_and_blames(&mut place, accuser, polluter);
    (0..10).for_each(|_| blame(&mut place, accuser, id(POLLUTER)));
    place.leave(accuser);
    let again = place.join(2);
    blame(&mut place, again, id(POLLUTER));
    assert_eq!(place.tracker.stats().barred, 0);
    assert_eq!(newcomer_meets(&mut place, 3, 1), [id(POLLUTER)]);
}

#[test]
fn two_accusers_shut_the_accused_out_until_the_blames_are_old() {
    let (mut place, polluter) = polluted();
    for n in [2, 3] {
        let accuser = place.join(n);
        met_and_blames(&mut place, accuser, polluter);
        place.leave(accuser);
    }
    assert_eq!(place.tracker.stats().barred, 1);
    assert_eq!(newcomer_meets(&mut place, 4, 1), []);
    // Neither a new connection nor wanting instead of giving leads around it.
    place.leave(polluter);
    let again = place.join(POLLUTER);
    let seeder = place.join(5);
    place.announce(seeder, content(2), 1000, 0);
    place.announce(again, content(2), 0, 8);
    assert_eq!(place.introduced(again), []);

    place.pass(601_000);
    assert_eq!(place.tracker.stats().barred, 0);
    place.announce(again, content(2), 0, 8);
    assert_eq!(place.introduced(again), [id(5)]);
}

#[test]
fn the_absent_the_accuser_itself_and_the_relay_cannot_be_shut_out() {
    let mut place = Place::new();
    let relay = place.join(RELAY_KEY);
    place.announce(relay, content(1), 1000, 0);
    for n in [2, 3, 4] {
        let accuser = place.join(n);
        for accused in [id(9), id(n), id(RELAY_KEY)] {
            blame(&mut place, accuser, accused);
        }
        place.leave(accuser);
    }
    let stats = place.tracker.stats();
    assert_eq!((stats.blames, stats.blames_refused, stats.barred), (0, 9, 0));
    assert_eq!(newcomer_meets(&mut place, 5, 1), [id(RELAY_KEY)]);
}

#[test]
fn a_configuration_of_one_accuser_is_raised_to_two() {
    let mut place = Place::with(|config| config.accusers_min = 1);
    let victim = place.join(POLLUTER);
    place.announce(victim, content(1), 1000, 0);
    let accuser = place.join(2);
    met_and_blames(&mut place, accuser, victim);
    assert_eq!((place.tracker.stats().blames, place.tracker.stats().barred), (1, 0));
}

#[test]
fn only_so_many_accused_are_remembered_and_the_latest_stay() {
    let mut place = Place::with(|config| config.accused_max = 2);
    let accusers = [place.join(101), place.join(102)];
    let accused = [1, 2, 3].map(|n| (place.join(n), n));
    for (conn, _) in accused {
        for accuser in accusers {
            met_and_blames(&mut place, accuser, conn);
        }
        place.pass(1000);
    }
    assert_eq!(place.tracker.stats().barred, 2);
    for (conn, _) in accused {
        place.announce(conn, content(1), 1000, 0);
    }
    assert_eq!(newcomer_meets(&mut place, 50, 1), [id(1)], "the first one's blames made room");
}
