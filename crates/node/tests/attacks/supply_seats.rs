//! A seat that is taken and not used ends when somebody else wants it.

use crate::supply_stage::Lone;
use peeredge_attacks::Attack;
use peeredge_node::Input;
use peeredge_wire::peer::{PeerMessage, Pick};
use peeredge_wire::{ConnectionId, ContentId};

const WANT_MS: u32 = 10_000;

/// Twenty strangers take every place; each is played every 100 ms. Meanwhile, 60 honest receivers come, one each two seconds,
/// each tries a few times, takes 200 kB at once and goes. Gives how many got it.
fn honest_among(
    lone: &mut Lone,
    content: ContentId,
    mut stranger: impl FnMut(&mut Lone, u16, u64, &mut Option<ConnectionId>),
) -> u32 {
    let mut strangers: [Option<ConnectionId>; 20] = [None; 20];
    let mut served = 0;
    let mut step = 0;
    let mut play = |lone: &mut Lone, strangers: &mut [Option<ConnectionId>; 20], step: u64| {
        for (n, connection) in strangers.iter_mut().enumerate() {
            if connection.is_some_and(|c| !lone.made.contains(&c)) {
                *connection = None;
            }
            stranger(lone, n as u16, step, connection);
        }
        lone.pass(100);
    };
    for _ in 0..100 {
        step += 1;
        play(lone, &mut strangers, step);
    }
    for honest in 0..60u16 {
        for _ in 0..6 {
            if let Some(connection) = lone.stranger(1000 + honest, step << 16) {
                lone.outs.clear();
                lone.say(connection, &PeerMessage::Subscribe { content });
                let picks = vec![Pick::Sources { first: 0, count: 13 }];
                let want = PeerMessage::Want { content, block: 0, deadline_ms: WANT_MS, due_ms: 0, picks };
                lone.say(connection, &want);
                lone.pass(20);
                served += u32::from(lone.sent_bytes() > 200_000);
                lone.input(Input::Closed { connection });
                break;
            }
            for _ in 0..10 {
                step += 1;
                play(lone, &mut strangers, step);
            }
        }
        for _ in 0..20 {
            step += 1;
            play(lone, &mut strangers, step);
        }
    }
    served
}

fn holder() -> (Lone, ContentId) {
    Lone::holding(4 << 20, |config| config.caps.connections_made_max = u32::MAX)
}

#[test]
fn silent_subscribers_do_not_shut_a_holder_off() {
    let (mut lone, content) = holder();
    let served = honest_among(&mut lone, content, |lone, n, step, connection| {
        if connection.is_none() {
            *connection = lone.stranger(n, step << 16);
            if let Some(connection) = connection {
                lone.say(*connection, &PeerMessage::Subscribe { content });
            }
        }
    });
    Attack::new(
        "node",
        "seats",
        "20 subscribe and ask for nothing, and come back as soon as they are sent away",
    )
    .spent("20 keys")
    .lost(format!("{} of 60 honest offers", 60 - served))
    .end(served == 60);
}

#[test]
fn a_trickle_does_not_keep_a_seat() {
    let (mut lone, content) = holder();
    let served = honest_among(&mut lone, content, |lone, n, step, connection| match connection {
        None => {
            *connection = lone.stranger(n, step << 16);
            if let Some(connection) = connection {
                lone.say(*connection, &PeerMessage::Subscribe { content });
            }
        }
        Some(connection) if step % 30 == 0 => {
            let picks = vec![Pick::Sources { first: 0, count: 1 }];
            let want = PeerMessage::Want { content, block: 0, deadline_ms: WANT_MS, due_ms: 0, picks };
            lone.say(*connection, &want);
        }
        Some(_) => {}
    });
    Attack::new("node", "seats", "20 ask for one symbol every three seconds")
        .spent("20 keys, 5 kB a second each")
        .lost(format!("{} of 60 honest offers", 60 - served))
        .end(served == 60);
}

#[test]
fn who_never_opens_or_never_greets_holds_no_place() {
    let (mut lone, content) = holder();
    let half_open = honest_among(&mut lone, content, |lone, n, step, connection| {
        if connection.is_none() {
            *connection = lone.offer(n, step << 16);
        }
    });
    let (mut lone, content) = holder();
    let silent = honest_among(&mut lone, content, |lone, n, step, connection| {
        if connection.is_none() {
            *connection = lone.offer(n, step << 16);
            if let Some(connection) = *connection {
                lone.input(Input::Opened { connection, credit_bytes: 1 << 20 });
            }
        }
    });
    Attack::new("node", "seats", "20 offer and never open, or open and never greet")
        .spent("20 keys")
        .lost(format!("{} and {} of 60 honest offers", 60 - half_open, 60 - silent))
        .end(half_open == 60 && silent == 60);
}

#[test]
fn one_who_does_not_read_gives_way() {
    let (mut lone, content) = holder();
    lone.reads = false;
    for n in 0..20 {
        let connection = lone.stranger(n, 1 << 16).expect("there is room");
        lone.say(connection, &PeerMessage::Subscribe { content });
        let picks = vec![Pick::Sources { first: 0, count: 256 }];
        let want = PeerMessage::Want { content, block: 0, deadline_ms: u32::MAX, due_ms: 0, picks };
        lone.say(connection, &want);
    }
    let full = lone.stranger(100, 1 << 16).is_none();
    lone.pass(6_000);
    let taken = (101..121).filter(|&n| lone.stranger(n, 1 << 16).is_some()).count();
    Attack::new("node", "seats", "20 ask for a megabyte each and read nothing")
        .spent("20 keys")
        .lost("their places are free six seconds later")
        .end(full && taken == 20);
}

#[test]
fn lanes_of_strangers_give_way_to_peers() {
    let (mut lone, _) = holder();
    for n in 0..5u16 {
        lone.stranger(n, 1 << 16).expect("there is room");
        for lane in 1..8 {
            if let Some(lane) = lone.offer(n, 1 << 16 | lane) {
                lone.open(lane);
            }
        }
    }
    let all = lone.made.len();
    let taken = (100..115).filter(|&n| lone.stranger(n, 1 << 16).is_some()).count();
    Attack::new("node", "seats", "5 peers take all 40 connections with lanes")
        .spent("5 keys, 40 handshakes")
        .lost(format!("{} of 15 honest offers", 15 - taken))
        .end(all == 40 && taken == 15);
}

#[test]
fn who_plays_slowly_keeps_its_seat() {
    // The other side of the coin: 20 honest ones at 128 kbit/s each, and a newcomer every second.
    let (mut lone, content) = holder();
    let honest: Vec<ConnectionId> =
        (0..20).map(|n| lone.stranger(n, 1 << 16).expect("there is room")).collect();
    for &connection in &honest {
        lone.say(connection, &PeerMessage::Subscribe { content });
    }
    let mut taken = 0;
    for second in 0..60u16 {
        for &connection in &honest {
            let picks = vec![Pick::Sources { first: u32::from(second) % 16, count: 1 }];
            let want = PeerMessage::Want { content, block: 0, deadline_ms: WANT_MS, due_ms: 0, picks };
            lone.say(connection, &want);
        }
        lone.pass(1_000);
        taken += u32::from(lone.stranger(100 + second, 1 << 16).is_some());
    }
    Attack::new("node", "seats", "a newcomer a second wants the places of 20 who use them")
        .spent("60 keys")
        .lost(format!("{taken} places"))
        .end(taken == 0);
}
