//! What is spent of others' by signalling them.

use super::*;
use peeredge_attacks::Attack;
use peeredge_wire::relay::SignalRefusal;

fn signals(place: &mut Place, victim: ConnId) -> usize {
    place.read(victim).iter().filter(|frame| matches!(frame, FromRelay::Signal { .. })).count()
}

#[test]
fn four_hundred_signals_from_somebody_never_met() {
    let mut place = Place::new();
    let (victim, stranger) = (join(&mut place, 100, 1), join(&mut place, 1, STRANGER));
    for session in 1..=400 {
        place.signal(stranger.conn, victim.conn, session << 16);
        if session % 100 == 0 {
            place.pass(2_000);
        }
    }
    let passed = signals(&mut place, victim.conn);
    Attack::new("tracker", "spending", "four hundred signals to somebody never met")
        .spent("1 key, 400 frames")
        .lost(format!("{passed} signals reached the victim"))
        .end(passed == 0);
}

#[test]
fn signals_long_after_an_introduction_that_nobody_took_up() {
    let mut place = Place::new();
    let (victim, stranger) = (join(&mut place, 100, 1), join(&mut place, 1, STRANGER));
    place.introduce(stranger.conn, victim.conn);
    place.pass(601_000);
    (1..=50).for_each(|session| place.signal(stranger.conn, victim.conn, session << 16));
    let passed = signals(&mut place, victim.conn);
    Attack::new("tracker", "spending", "signals eleven minutes after an introduction")
        .spent("1 introduction, 50 frames")
        .lost(format!("{passed} signals reached the victim"))
        .end(passed == 0);
}

#[test]
fn twenty_keys_of_one_network_begin_connections_without_end() {
    let mut place = Place::new();
    let victim = join(&mut place, 100, 1);
    let strangers: Vec<Peer> = (0..20).map(|n| join(&mut place, n, STRANGER)).collect();
    for stranger in &strangers {
        place.introduce(stranger.conn, victim.conn);
    }
    let mut session = 0u64;
    for _ in 0..60 {
        for stranger in &strangers {
            for _ in 0..40 {
                session += 1;
                place.signal(stranger.conn, victim.conn, session << 16);
            }
        }
        place.pass(1_000);
    }
    let passed = signals(&mut place, victim.conn);
    Attack::new(
        "tracker",
        "spending",
        "twenty keys of one network begin 48,000 connections with one peer in a minute",
    )
    .spent("20 keys, 48,000 frames")
    .lost(format!("{passed} first signals reached the victim"))
    .end(passed <= 128 + 61);
}

#[test]
fn twenty_keys_of_one_network_repeat_signals_of_one_connection() {
    let mut place = Place::new();
    let victim = join(&mut place, 100, 1);
    let strangers: Vec<Peer> = (0..20).map(|n| join(&mut place, n, STRANGER)).collect();
    strangers.iter().for_each(|stranger| place.introduce(stranger.conn, victim.conn));
    for stranger in &strangers {
        (0..390).for_each(|_| place.signal(stranger.conn, victim.conn, 1 << 16));
    }
    let passed = signals(&mut place, victim.conn);
    let bystander = join(&mut place, 200, 2);
    place.introduce(bystander.conn, victim.conn);
    place.signal(bystander.conn, victim.conn, 1 << 16);
    let others = signals(&mut place, victim.conn);
    Attack::new("tracker", "spending", "twenty keys of one network send one peer 7,800 signals at once")
        .spent("20 keys, 7,800 frames")
        .lost(format!("{passed} signals reached the victim, and another network's at once"))
        .end(passed <= 512 && others == 1);
}

#[test]
fn a_refusal_does_not_tell_whether_somebody_is_here() {
    let mut place = Place::new();
    let stranger = join(&mut place, 1, STRANGER);
    join(&mut place, 100, 1);
    let mut answers = Vec::new();
    for n in [100, 101] {
        let (to, session) = (peer_id(n), 5);
        place.say(stranger.conn, &ToRelay::Signal { to, session, signal: vec![1] });
        place.say(stranger.conn, &ToRelay::CarryOpen { to, session, credit_bytes: 1 });
        answers.push(place.read(stranger.conn).into_iter().map(|frame| match frame {
            FromRelay::Unreachable { why, .. } => why as u8,
            FromRelay::CarryClosed { end, .. } => end as u8,
            other => panic!("{other:?}"),
        }));
    }
    let answers: Vec<Vec<u8>> = answers.into_iter().map(Iterator::collect).collect();
    let [here, absent] = <[Vec<u8>; 2]>::try_from(answers).expect("two");
    Attack::new("tracker", "spending", "signals and sessions ask who is here")
        .spent("1 key, 4 frames")
        .lost("nothing: both are answered alike")
        .end(here == absent && here[0] == SignalRefusal::Unknown as u8);
}
