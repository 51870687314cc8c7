//! Much for little: what one connection can have sent, without an introduction and by those that it asked for.

use super::*;
use peeredge_attacks::{Attack, Figure};
use peeredge_wire::relay::{ErrorCode, Holding, Report};

/// One of each frame that a peer may send, as large as it is of use.
fn frames() -> Vec<ToRelay> {
    let (peer, session, all) = (peer_id(77), 1 << 16, u64::MAX);
    let held = |n| Holding { content: content(n), have_permille: 1000, wants: 0 };
    let wanted = |n| Holding { content: content(n), have_permille: 0, wants: 255 };
    let key = join(&mut Place::new(), 7, 7);
    vec![
        ToRelay::Announce { content: content(1), have_permille: 0, wants: 255 },
        ToRelay::Announces((0..256).map(held).collect()),
        ToRelay::Announces((0..256).map(wanted).collect()),
        ToRelay::Withdraw { content: content(1) },
        ToRelay::Signal { to: peer, session, signal: vec![1; 16] },
        ToRelay::Signal { to: peer, session, signal: vec![] },
        ToRelay::Report(Report { sent_bytes: all, ..Report::default() }),
        ToRelay::Blame { accused: peer, content: content(1), block: 0 },
        ToRelay::Capacity { up_bytes_per_s: 0, cost_class: 255 },
        ToRelay::Met { peer, opened_after_ms: None },
        receipt(&mut key.clone(), peer, content(1), all, u32::MAX),
        ToRelay::Spare { storage_bytes: all, up_bytes_per_s: all },
        ToRelay::Length { content: content(1), bytes: all },
        ToRelay::Gave { content: content(1), bytes: all },
        ToRelay::CarryOpen { to: peer, session, credit_bytes: u32::MAX },
        ToRelay::Carry { to: peer, session, last: true, piece: vec![] },
        ToRelay::CarryCredit { to: peer, session, bytes: u32::MAX },
        ToRelay::CarryClose { to: peer, session },
        ToRelay::Head { name: "n".into(), head: vec![1] },
        ToRelay::Follow { publisher: peer, name: "n".into() },
        ToRelay::Unfollow { publisher: peer, name: "n".into() },
    ]
}

#[test]
fn no_frame_makes_the_relay_say_more_than_it_heard() {
    let mut worst = (0.0f64, String::new());
    for message in frames() {
        let mut place = Place::with(|c| {
            (c.carry.bytes_per_s_max, c.announces_max) = (1 << 20, 100);
        });
        let (stranger, other) = (join(&mut place, 1, STRANGER), join(&mut place, 77, 7));
        let frame = message.encode();
        let (mut heard, mut said) = (0, 0);
        for _ in 0..600 {
            place.input(TrackerInput::Frame { conn: stranger.conn, frame: frame.clone() });
            heard += frame.len();
            for conn in [stranger.conn, other.conn] {
                said += place.read(conn).iter().map(|frame| frame.encode().len()).sum::<usize>();
            }
            place.pass(5);
        }
        let ratio = said as f64 / heard as f64;
        if ratio >= worst.0 {
            let name = format!("{message:?}");
            worst = (ratio, name.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
    }
    Attack::new("tracker", "amplifying", "each frame without an introduction, 600 times in three seconds")
        .spent("1 key, 600 frames of each kind")
        .lost(format!("{:.2} bytes for each byte of {}", worst.0, worst.1))
        .figure(Figure::ByteAmplification, worst.0)
        .end(worst.0 <= 2.0);
}

#[test]
fn a_publisher_and_followers_of_one_network() {
    let mut place = Place::new();
    let publisher = join(&mut place, 1, STRANGER);
    let followers: Vec<Peer> = (0..100).map(|n| join(&mut place, 10 + n, STRANGER)).collect();
    for follower in &followers {
        for name in 0..10 {
            place.say(follower.conn, &ToRelay::Follow { publisher: peer_id(1), name: format!("{name}") });
        }
    }
    let mut said = 0u64;
    for round in 0..600u32 {
        let name = format!("{}", round % 10);
        place.say(publisher.conn, &ToRelay::Head { name, head: vec![1; 4096] });
        place.pass(100);
        for follower in &followers {
            said += place.read(follower.conn).iter().map(|frame| frame.encode().len() as u64).sum::<u64>();
        }
    }
    let per_s = said / 60;
    Attack::new("tracker", "live", "a hundred followers of one network and a publisher that never rests")
        .spent("101 keys, 40 kB/s")
        .lost(format!("{per_s} bytes a second of the relay's line"))
        .end(per_s <= 262_144 + (1 << 20) / 60 + 4_200);
}

#[test]
fn followers_that_ask_for_the_head_again_and_again() {
    let mut place = Place::new();
    let publisher = join(&mut place, 1, 1);
    place.say(publisher.conn, &ToRelay::Head { name: "x".into(), head: vec![1; 4096] });
    let followers: Vec<Peer> = (0..50).map(|n| join(&mut place, 10 + n, STRANGER)).collect();
    let (follow, leave) = (
        ToRelay::Follow { publisher: peer_id(1), name: "x".into() },
        ToRelay::Unfollow { publisher: peer_id(1), name: "x".into() },
    );
    let (mut heard, mut said) = (0, 0);
    for _ in 0..600 {
        for follower in &followers {
            for word in [&follow, &follow, &leave] {
                place.say(follower.conn, word);
                heard += word.encode().len();
            }
            said += place.read(follower.conn).iter().map(|frame| frame.encode().len()).sum::<usize>();
        }
        place.pass(50);
    }
    // One that only came now, from elsewhere, is not concerned; one of this network has it a little later.
    let (other, late) = (join(&mut place, 2, 2), join(&mut place, 3, STRANGER));
    for peer in [&other, &late] {
        place.say(peer.conn, &follow);
    }
    let heads = |place: &mut Place, peer: &Peer| {
        place.read(peer.conn).iter().filter(|frame| matches!(frame, FromRelay::Head { .. })).count()
    };
    let at_once = heads(&mut place, &other);
    place.pass(2_000);
    let later = heads(&mut place, &late);
    let per_s = said / 30;
    Attack::new("tracker", "live", "fifty followers of one network ask for the head without end")
        .spent(format!("50 keys, {} bytes a second", heard / 30))
        .lost(format!("{per_s} bytes a second of the relay's line"))
        .end(per_s <= 262_144 + (1 << 20) / 30 + 4_200 && (at_once, later) == (1, 1));
}

#[test]
fn heads_that_come_too_soon_are_passed_on_as_the_latest() {
    let mut place = Place::new();
    let (publisher, follower) = (join(&mut place, 1, 1), join(&mut place, 2, 2));
    place.say(follower.conn, &ToRelay::Follow { publisher: peer_id(1), name: "x".into() });
    for n in 0..40u8 {
        place.say(publisher.conn, &ToRelay::Head { name: "x".into(), head: vec![n] });
    }
    let at_once = place.read(follower.conn).len();
    place.pass(1_000);
    let after = place.read(follower.conn);
    let latest = matches!(after.last(), Some(FromRelay::Head { head, .. }) if *head == [39]);
    Attack::new("tracker", "live", "forty heads in one moment")
        .spent("1 key, 40 frames")
        .lost(format!("{at_once} heads at once, then the latest"))
        .end(at_once <= 4 && after.len() == 1 && latest);
}

#[test]
fn who_sends_too_fast_is_told_for_how_long_to_be_silent() {
    let mut place = Place::new();
    let peer = join(&mut place, 1, 1);
    let burst = |place: &mut Place| {
        (0..600).for_each(|n| place.say(peer.conn, &ToRelay::Withdraw { content: content(n) }));
        place.read(peer.conn)
    };
    let told = burst(&mut place);
    let [FromRelay::Error { code: ErrorCode::TooFast, retry_after_ms, .. }] = told[..] else {
        panic!("{told:?}")
    };
    place.pass(u64::from(retry_after_ms));
    let before = place.tracker.stats().frames;
    (0..400).for_each(|n| place.say(peer.conn, &ToRelay::Withdraw { content: content(n) }));
    Attack::new("tracker", "bursts", "six hundred frames at once")
        .spent("600 frames")
        .lost(format!("nothing: silent for {retry_after_ms} ms, 400 are taken again"))
        .end(place.tracker.stats().frames - before == 400 && place.read(peer.conn).is_empty());
}

#[test]
fn frames_of_no_kind_end_only_their_own_connection() {
    let mut place = Place::new();
    let bystander = join(&mut place, 100, 1);
    let mut ended = 0;
    for tag in 0..=255u8 {
        let stranger = join(&mut place, 1, STRANGER);
        for len in [0, 1, 40, 200] {
            let mut frame = vec![0xff; len + 1];
            frame[0] = tag;
            place.input(TrackerInput::Frame { conn: stranger.conn, frame });
        }
        ended += usize::from(place.closed(stranger.conn).is_some());
        place.pass(10);
    }
    Attack::new("tracker", "lifecycle", "garbage behind every tag")
        .spent("256 connections, 1,024 frames")
        .lost(format!("nothing: {ended} of the stranger's connections ended"))
        .end(place.closed(bystander.conn).is_none() && ended >= 240);
}

#[test]
fn a_key_that_comes_back_again_and_again_leaves_nothing_behind() {
    let mut place = Place::new();
    let honest = holders(&mut place, 5, content(1));
    let before = place.tracker.stats();
    for n in 0..2_000 {
        let stranger = join(&mut place, n % 7, STRANGER);
        place.announce(stranger.conn, content(1), 500, 8);
        place.announce(stranger.conn, content(2), 0, 8);
        place.say(stranger.conn, &ToRelay::Follow { publisher: peer_id(1), name: "x".into() });
        if n % 2 == 0 {
            place.leave(stranger.conn);
        }
    }
    for n in 0..7 {
        let last = join(&mut place, n, STRANGER);
        place.leave(last.conn);
    }
    let after = place.tracker.stats();
    Attack::new("tracker", "lifecycle", "keys come and go two thousand times")
        .spent("7 keys, 2,000 connections")
        .lost("nothing is left behind")
        .end(
            (after.peers, after.announces, after.live_contents, after.connections)
                == (before.peers, before.announces, before.live_contents, before.connections)
                && honest.iter().all(|peer| place.closed(peer.conn).is_none()),
        );
}
