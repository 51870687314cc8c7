//! Seats that are taken and not used.

use super::*;
use peeredge_attacks::{Attack, Figure};
use peeredge_wire::relay::{CarryEnd, ErrorCode, Holding};

/// As the relay sets it: 512 KiB/s each, 16 MiB/s in all, which is 16 sessions.
fn carrying() -> Place {
    Place::with(|c| {
        c.carry.bytes_per_s_max = 512 << 10;
        c.carry.bytes_per_s_all_max = 16 << 20;
    })
}

fn open(place: &mut Place, a: &Peer, b: &Peer, session: u64) {
    let to = peer_id(b.n);
    place.say(a.conn, &ToRelay::CarryOpen { to, session, credit_bytes: 65_536 });
}

fn take(place: &mut Place, b: &Peer, a: &Peer, session: u64) {
    place.say(b.conn, &ToRelay::CarryCredit { to: peer_id(a.n), session, bytes: 65_536 });
}

/// Whether an honest pair gets a session at once.
fn pair_passes(place: &mut Place, n: u32) -> bool {
    let (a, b) = (join(place, n, u64::from(n)), join(place, n + 1, u64::from(n) + 1));
    place.introduce(a.conn, b.conn);
    open(place, &a, &b, 1 << 16);
    let asked = place.read(b.conn).iter().any(|frame| matches!(frame, FromRelay::CarryOpen { .. }));
    take(place, &b, &a, 1 << 16);
    let taken = place.read(a.conn).iter().any(|frame| matches!(frame, FromRelay::CarryCredit { .. }));
    place.leave(a.conn);
    place.leave(b.conn);
    asked && taken
}

#[test]
fn sixteen_sessions_that_nobody_takes() {
    let mut place = carrying();
    let strangers: Vec<Peer> = (0..8).map(|n| join(&mut place, n, STRANGER)).collect();
    for pair in strangers.chunks(2) {
        place.introduce(pair[0].conn, pair[1].conn);
        (1..=4).for_each(|session| open(&mut place, &pair[0], &pair[1], session << 16));
    }
    let held = place.tracker.stats().carry_sessions;
    let honest = pair_passes(&mut place, 100);
    place.pass(5_001);
    let left = place.tracker.stats().carry_sessions;
    Attack::new("tracker", "seats", "all sessions through the relay are opened and not taken")
        .spent(format!("8 keys, 16 frames, {held} sessions"))
        .lost(format!("nothing: an honest pair passes {honest}, {left} sessions are left after 5 s"))
        .end(honest && left == 0);
}

#[test]
fn sessions_that_are_taken_and_rest() {
    let mut place = carrying();
    let strangers: Vec<Peer> = (0..10).map(|n| join(&mut place, n, STRANGER + u64::from(n))).collect();
    for pair in strangers.chunks(2) {
        place.introduce(pair[0].conn, pair[1].conn);
        for session in 1..=4 {
            open(&mut place, &pair[0], &pair[1], session << 16);
            take(&mut place, &pair[1], &pair[0], session << 16);
        }
    }
    let held = place.tracker.stats().carry_sessions;
    place.pass(10_001);
    let honest = (0..4).filter(|n| pair_passes(&mut place, 100 + 2 * n)).count();
    Attack::new("tracker", "seats", "ten networks take all sessions and let nothing pass")
        .spent(format!("10 networks, {held} sessions"))
        .lost(format!("nothing: {honest} of 4 honest pairs pass after 10 s"))
        .end(held == 16 && honest == 4);
}

#[test]
fn a_victim_is_asked_for_more_sessions_than_it_has() {
    let mut place = carrying();
    let victim = join(&mut place, 100, 1);
    for n in 0..4 {
        let stranger = join(&mut place, n, STRANGER);
        place.introduce(stranger.conn, victim.conn);
        (1..=4).for_each(|session| open(&mut place, &stranger, &victim, session << 16));
    }
    let asked = place.read(victim.conn).len();
    let friend = join(&mut place, 101, 2);
    place.introduce(victim.conn, friend.conn);
    open(&mut place, &victim, &friend, 9 << 16);
    let reached = !place.read(friend.conn).is_empty();
    Attack::new("tracker", "seats", "four keys of one network ask one peer for sixteen sessions")
        .spent("4 keys, 16 frames")
        .lost(format!("{asked} questions reach the victim, which opens one of its own: {reached}"))
        .end(asked <= 2 && reached);
}

/// Peers of these networks open sessions with a victim that takes all of them, as a tab does.
fn hold_all(place: &mut Place, victim: &Peer, networks: u32) -> Vec<(Peer, u64)> {
    let mut held = Vec::new();
    for n in 0..4 {
        let stranger = join(place, n, STRANGER + u64::from(n % networks));
        place.introduce(stranger.conn, victim.conn);
        let session = u64::from(n + 1) << 16;
        open(place, &stranger, victim, session);
        take(place, victim, &stranger, session);
        held.push((stranger, session));
    }
    held
}

/// Whether one more peer, that the victim was introduced to, gets a session with it, begun by either.
fn is_reached(place: &mut Place, victim: &Peer, by: u32, victim_opens: bool) -> bool {
    let friend = join(place, by, u64::from(by));
    place.introduce(friend.conn, victim.conn);
    let (a, b) = if victim_opens { (*victim, friend) } else { (friend, *victim) };
    open(place, &a, &b, 99 << 16);
    take(place, &b, &a, 99 << 16);
    let frames = place.read(a.conn);
    place.read(b.conn);
    frames.iter().any(|f| matches!(f, FromRelay::CarryCredit { session, .. } if *session == 99 << 16))
}

#[test]
fn all_sessions_of_one_peer_are_taken_and_used() {
    for victim_opens in [false, true] {
        let mut place = carrying();
        let victim = join(&mut place, 100, 1);
        let held = hold_all(&mut place, &victim, 1);
        for second in 0..12 {
            for (stranger, session) in &held {
                let piece = vec![second; 8 << 10];
                let (to, last) = (peer_id(victim.n), true);
                place.say(stranger.conn, &ToRelay::Carry { to, session: *session, last, piece });
                take(&mut place, &victim, stranger, *session);
            }
            place.pass(1_000);
        }
        let reached = is_reached(&mut place, &victim, 200, victim_opens);
        Attack::new("tracker", "seats", "four keys of one network use all sessions of one peer")
            .spent("4 keys, 4 sessions")
            .lost(format!("one of four: another peer has a session with it: {reached}"))
            .end(reached && place.tracker.stats().carry_sessions == 4);
    }
}

#[test]
fn all_sessions_of_one_peer_are_held_by_a_byte_now_and_then() {
    for victim_opens in [false, true] {
        let mut place = carrying();
        let victim = join(&mut place, 100, 1);
        let held = hold_all(&mut place, &victim, 4);
        for _ in 0..12 {
            for (stranger, session) in &held {
                let (to, last, piece) = (peer_id(victim.n), true, vec![0]);
                place.say(stranger.conn, &ToRelay::Carry { to, session: *session, last, piece });
            }
            place.pass(1_000);
        }
        let reached = is_reached(&mut place, &victim, 200, victim_opens);
        Attack::new("tracker", "seats", "four networks hold all sessions of one peer with a byte a second")
            .spent("4 networks, 4 sessions")
            .lost(format!("nothing: another peer has a session with it: {reached}"))
            .end(reached);
    }
}

#[test]
fn all_sessions_are_held_by_a_byte_now_and_then() {
    let mut place = carrying();
    let strangers: Vec<Peer> = (0..32).map(|n| join(&mut place, n, STRANGER + u64::from(n))).collect();
    for pair in strangers.chunks(2) {
        place.introduce(pair[0].conn, pair[1].conn);
        open(&mut place, &pair[0], &pair[1], 1 << 16);
        take(&mut place, &pair[1], &pair[0], 1 << 16);
    }
    let held = place.tracker.stats().carry_sessions;
    for _ in 0..12 {
        for pair in strangers.chunks(2) {
            let (to, last, piece) = (peer_id(pair[1].n), true, vec![0]);
            place.say(pair[0].conn, &ToRelay::Carry { to, session: 1 << 16, last, piece });
        }
        place.pass(1_000);
    }
    let honest = (0..4).filter(|n| pair_passes(&mut place, 100 + 2 * n)).count();
    Attack::new("tracker", "seats", "sixteen pairs hold all sessions with a byte a second")
        .spent(format!("32 networks, {held} sessions"))
        .lost(format!("nothing: {honest} of 4 honest pairs pass"))
        .end(held == 16 && honest == 4);
}

#[test]
fn many_networks_ask_one_peer_for_sessions() {
    for victim_opens in [false, true] {
        let mut place = carrying();
        let victim = join(&mut place, 100, 1);
        for n in 0..8 {
            let stranger = join(&mut place, n, STRANGER + u64::from(n / 2));
            place.introduce(stranger.conn, victim.conn);
            open(&mut place, &stranger, &victim, u64::from(n + 1) << 16);
        }
        let asked = place.tracker.stats().carry_sessions;
        let reached = is_reached(&mut place, &victim, 200, victim_opens);
        Attack::new("tracker", "seats", "four networks ask one peer for as many sessions as it is asked for")
            .spent(format!("8 keys of 4 networks, {asked} sessions"))
            .lost(format!("nothing: another peer has a session with it: {reached}"))
            .end(asked == 8 && reached);
    }
}

#[test]
fn sessions_are_asked_of_those_never_met() {
    let mut place = carrying();
    let honest = holders(&mut place, 20, content(1));
    let stranger = join(&mut place, 1, STRANGER);
    honest.iter().for_each(|peer| open(&mut place, &stranger, peer, 1 << 16));
    let reached = honest.iter().filter(|peer| !place.read(peer.conn).is_empty()).count();
    let refused = place.read(stranger.conn);
    let all = refused.iter().all(|f| matches!(f, FromRelay::CarryClosed { end: CarryEnd::Refused, .. }));
    Attack::new("tracker", "seats", "sessions through the relay are asked of those never met")
        .spent("1 key, 20 frames")
        .lost(format!("{reached} peers were asked"))
        .end(reached == 0 && refused.len() == 20 && all);
}

#[test]
fn pieces_of_no_session_are_metered_like_any_frame() {
    let mut place = carrying();
    let (a, b) = (join(&mut place, 1, STRANGER), join(&mut place, 2, STRANGER));
    place.introduce(a.conn, b.conn);
    open(&mut place, &a, &b, 1 << 16);
    let before = place.tracker.stats().frames;
    for session in [1 << 16, 99] {
        for _ in 0..10_000 {
            let piece = vec![0; 20 << 10];
            place.say(a.conn, &ToRelay::Carry { to: peer_id(b.n), session, last: true, piece });
        }
    }
    let handled = place.tracker.stats().frames - before;
    Attack::new("tracker", "amplifying", "20,000 pieces of sessions that nobody took")
        .spent("2 keys, 400 MB")
        .lost(format!("{handled} frames were looked at"))
        .end(handled <= 20);
}

#[test]
fn tiny_pieces_do_not_fill_a_slow_readers_mailbox() {
    let mut place = carrying();
    let (a, b) = (join(&mut place, 1, STRANGER), join(&mut place, 2, 2));
    place.introduce(a.conn, b.conn);
    open(&mut place, &a, &b, 1 << 16);
    take(&mut place, &b, &a, 1 << 16);
    place.read(b.conn);
    for _ in 0..2_000 {
        let piece = vec![0];
        place.say(a.conn, &ToRelay::Carry { to: peer_id(b.n), session: 1 << 16, last: true, piece });
        place.pass(10);
    }
    let passed = place.read(b.conn).iter().filter(|frame| matches!(frame, FromRelay::Carried { .. })).count();
    Attack::new("tracker", "seats", "pieces of one byte to a peer that does not read")
        .spent("1 key, 2,000 frames")
        .lost(format!("{passed} pieces wait for the victim, of the bytes of its credit"))
        .end(passed <= 512);
}

#[test]
fn a_pair_that_comes_again_for_more_to_be_carried() {
    let mut place = Place::with(|c| {
        (c.carry.bytes_per_s_max, c.carry.bytes_per_s_all_max) = (512 << 10, 16 << 20);
        c.carry.bytes_max = 1 << 20;
    });
    let mut carried_by = |connections: u32| {
        let mut carried = 0u64;
        for n in 0..connections {
            let (a, b) = (join(&mut place, 2 * n, STRANGER), join(&mut place, 2 * n + 1, STRANGER + 1));
            place.introduce(a.conn, b.conn);
            open(&mut place, &a, &b, 1);
            take(&mut place, &b, &a, 1);
            let before = place.tracker.stats().carried_bytes;
            for _ in 0..70 {
                let (to, session) = (peer_id(b.n), 1);
                place.say(a.conn, &ToRelay::Carry { to, session, last: true, piece: vec![7; 16 << 10] });
                let (to, bytes) = (peer_id(a.n), 64 << 10);
                place.say(b.conn, &ToRelay::CarryCredit { to, session, bytes });
                place.pass(100);
            }
            carried += place.tracker.stats().carried_bytes - before;
            place.leave(a.conn);
            place.leave(b.conn);
        }
        carried
    };
    let carried = carried_by(12);
    Attack::new("tracker", "seats", "a pair connects anew when the bytes of a connection are used up")
        .spent("24 keys, 12 connections of 1 MiB each")
        .lost(format!("{carried} bytes carried, of 4 MiB that one network has in an hour"))
        .end(carried <= 4 << 20 && carried > 3 << 20);
    place.pass(3_600_000);
    assert!(pair_passes(&mut place, 500), "others have their own");
    let (a, b) = (join(&mut place, 1000, STRANGER), join(&mut place, 1001, STRANGER + 1));
    place.introduce(a.conn, b.conn);
    open(&mut place, &a, &b, 1);
    assert_eq!(place.tracker.stats().carry_sessions, 1, "and an hour later the network has some again");
}

#[test]
fn connections_that_prove_nothing() {
    let mut place = Place::with(|config| config.peers_max = 1000);
    for _ in 0..2000 {
        let (conn, _) = place.open();
        place.input(TrackerInput::Owner { conn, owner: STRANGER });
    }
    let waiting = place.tracker.stats().connections;
    let honest = join(&mut place, 100, 1);
    let taken = place.tracker.stats().peers;
    place.pass(10_001);
    Attack::new("tracker", "seats", "two thousand connections of one network prove nothing")
        .spent("2,000 connections")
        .lost(format!("{waiting} seats for 10 s; an honest peer gets in"))
        .end(
            waiting <= 64
                && taken == 1
                && place.closed(honest.conn).is_none()
                && place.tracker.stats().connections == 1,
        );
}

fn announce_many(place: &mut Place, peer: &Peer, from: u32, count: u32) {
    let said = |n| Holding { content: content(n), have_permille: 1000, wants: 0 };
    let all: Vec<Holding> = (from..from + count).map(said).collect();
    for batch in all.chunks(256) {
        place.say(peer.conn, &ToRelay::Announces(batch.to_vec()));
    }
}

#[test]
fn one_network_fills_its_part_of_the_table_and_no_more() {
    let mut place = Place::with(|config| config.announces_max = 20_000);
    for n in 0..100 {
        let stranger = join(&mut place, n, STRANGER);
        announce_many(&mut place, &stranger, n * 1024, 1024);
    }
    let filled = place.tracker.stats().announces;
    let others = (0..10)
        .filter(|n| {
            let honest = join(&mut place, 1000 + n, u64::from(*n));
            announce_many(&mut place, &honest, 1_000_000 + n * 300, 300);
            place.read(honest.conn).is_empty()
        })
        .count();
    Attack::new("tracker", "seats", "a hundred keys of one network announce 1,024 contents each")
        .spent("100 keys, 400 frames, 3.6 MB")
        .lost(format!("{filled} of 20,000 entries; {others} of 10 others announce 300 contents each"))
        .end(filled <= 5_000 && others == 10);
}

#[test]
fn many_networks_leave_room_for_whoever_comes() {
    let mut place = Place::with(|config| config.announces_max = 20_000);
    for n in 0..60 {
        let stranger = join(&mut place, n, STRANGER + u64::from(n));
        announce_many(&mut place, &stranger, n * 1024, 1024);
    }
    let filled = place.tracker.stats().announces;
    let honest = join(&mut place, 1000, 1);
    announce_many(&mut place, &honest, 1_000_000, 16);
    let refused = place.read(honest.conn).len();
    Attack::new("tracker", "seats", "sixty networks announce 1,024 contents each")
        .spent("60 networks, 240 frames")
        .lost(format!("{filled} of 20,000 entries; another network still announces 16: {}", refused == 0))
        .end(refused == 0);
}

#[test]
fn what_the_table_refuses_is_named_and_taken_later() {
    let mut place = Place::with(|config| config.contents_per_peer_max = 300);
    let peer = join(&mut place, 1, 1);
    announce_many(&mut place, &peer, 0, 400);
    let frames = place.read(peer.conn);
    let [FromRelay::AnnounceRefused { code: ErrorCode::TooMany, retry_after_ms, contents }] = &frames[..]
    else {
        panic!("{frames:?}")
    };
    let named: BTreeSet<ContentId> = contents.iter().copied().collect();
    let expected: BTreeSet<ContentId> = (300..400).map(content).collect();
    for n in 0..100 {
        place.say(peer.conn, &ToRelay::Withdraw { content: content(n) });
    }
    place.pass(u64::from(*retry_after_ms));
    announce_many(&mut place, &peer, 300, 100);
    let again = place.read(peer.conn).len();
    Attack::new("tracker", "bursts", "a peer announces more contents than it may")
        .spent("400 announces in 2 frames")
        .lost("nothing: the hundred that were refused are named, and taken a minute later")
        .end(named == expected && again == 0 && place.tracker.stats().announces == 300);
}

#[test]
fn a_tab_with_a_thousand_contents_says_all_at_once() {
    let mut place = Place::new();
    let peer = join(&mut place, 1, 1);
    announce_many(&mut place, &peer, 0, 1024);
    let refused = place.read(peer.conn).len();
    Attack::new("tracker", "bursts", "a tab with 1,024 contents that is loaded anew")
        .spent("4 frames")
        .lost("nothing")
        .end(refused == 0 && place.tracker.stats().announces == 1024);
}

#[test]
fn live_contents_that_nobody_follows() {
    let mut place = Place::new();
    for n in 0..100 {
        let stranger = join(&mut place, n, STRANGER);
        for name in 0..64 {
            let message = ToRelay::Head { name: format!("{name}"), head: vec![0; 4096] };
            place.say(stranger.conn, &message);
            place.pass(100);
        }
    }
    let held = place.tracker.stats().live_contents;
    let honest = join(&mut place, 1000, 1);
    place.say(honest.conn, &ToRelay::Follow { publisher: peer_id(5), name: "x".into() });
    Attack::new("tracker", "seats", "a hundred keys of one network publish 64 live contents each")
        .spent("100 keys, 6,400 frames, 26 MB")
        .lost(format!("{held} heads of 4 KiB are kept; another network follows one: yes"))
        .figure(Figure::MemoryBytes, held as f64 * 4400.0 / 100.0)
        .end(held <= 1024 && place.read(honest.conn).is_empty());
}

#[test]
fn offers_of_room_that_is_not_there() {
    let mut place = Place::with(|config| {
        config.ahead.slot_ms = 10_000;
        (config.ahead.day_slots, config.ahead.week_slots) = (6, 12);
    });
    let relay = relays_node(&mut place, &[content(1)]);
    place.say(relay, &ToRelay::Length { content: content(1), bytes: 1_000_000 });
    for n in 0..100 {
        let stranger = join(&mut place, n, STRANGER);
        let message = ToRelay::Spare { storage_bytes: u64::MAX, up_bytes_per_s: u64::MAX };
        (0..3).for_each(|_| place.say(stranger.conn, &message));
    }
    let counted = place.tracker.stats().ahead.nodes;
    for round in 0..6 {
        for n in 0..5 {
            newcomer(&mut place, 500 + 10 * round + n, content(1));
        }
        place.pass(10_000);
    }
    let rented = place.tracker.stats().ahead.rented_bytes_per_s;
    Attack::new("tracker", "seats", "a hundred keys of one network offer 2^64 bytes of room each")
        .spent("100 keys, 300 frames")
        .lost(format!("{counted} offers count; {rented} bytes a second are rented of them"))
        .end(counted <= 16 && rented <= 16 * 1_250_000);
}
