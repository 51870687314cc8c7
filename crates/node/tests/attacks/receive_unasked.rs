//! Bytes that nobody asked for: they count against their sender, by whichever connection they come, and end what it may do here. Honest
//! peers send none, however late they are.

use crate::lone::{Lone, source};
use crate::world::{World, bytes, publish};
use core::time::Duration;
use peeredge_attacks::Attack;
use peeredge_node::{Event, Input, Output, RangeSpec};
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PeerId, RequestId};

const SESSION: u64 = 1 << 16;
const MIB: u64 = 1 << 20;
/// What a stranger tries to push, and what it may: a mebibyte and the frame that exceeds it.
const TRIED: u64 = 64 * MIB;
const MAY: u64 = MIB + (256 << 10);

/// Sends frames until the connection is gone, or `TRIED` bytes have passed. Gives how many bytes and frames that took.
fn push(
    lone: &mut Lone,
    n: u8,
    connection: ConnectionId,
    mut frame: impl FnMut(u32) -> Vec<u8>,
) -> (u64, u32) {
    let (mut sent, mut frames) = (0, 0);
    while sent < TRIED && frames < 400_000 && lone.is_open(n) {
        let message = frame(frames);
        sent += message.len() as u64;
        frames += 1;
        // At 10 MB/s.
        lone.now = lone.now + Duration::from_micros(message.len() as u64 / 10);
        lone.input(Input::Message { connection, message });
        lone.outs.retain(|output| matches!(output, Output::Event(_) | Output::RelaySend(_)));
    }
    (sent, frames)
}

fn end(name: &'static str, lone: &mut Lone, n: u8, spent: (u64, u32)) {
    let let_go = lone.let_go() == 1;
    ended(name, lone, n, spent, let_go);
}

/// As [`end`], of frames that the bound on frames a second may end before the bound on useless bytes does.
fn ended(name: &'static str, lone: &mut Lone, n: u8, (sent, frames): (u64, u32), let_go: bool) {
    let let_go = let_go && !lone.is_open(n);
    let comes_back = lone.offer(n, 2 * SESSION).is_some();
    Attack::new("node", "unasked", name)
        .spent(format!("one key, {frames} frames of {} bytes", sent / u64::from(frames.max(1))))
        .lost(format!("{} KiB of the downlink", sent >> 10))
        .end(sent <= MAY && let_go && !comes_back);
    assert!(lone.named().is_empty() && lone.accused().is_empty(), "that is no proof");
}

#[test]
fn symbols_of_contents_that_nobody_wants() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let payload = vec![5; 65536];
    let spent = push(&mut lone, 9, connection, |n| {
        let content = ContentId([n as u8; 32]);
        PeerMessage::Symbol { content, block: n, marker: Marker::Source(n), payload: &payload }.encode()
    });
    end("pushes symbols of contents that nobody wants", &mut lone, 9, spent);
}

#[test]
fn symbols_without_a_byte_in_them() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let spent = push(&mut lone, 9, connection, |n| {
        let marker = Marker::Coded { density: 3, seed: u64::from(n) };
        PeerMessage::Symbol { content: ContentId([1; 32]), block: 0, marker, payload: &[] }.encode()
    });
    end("pushes symbols without a payload, which only cost time", &mut lone, 9, spent);
}

#[test]
fn manifests_that_nobody_asked_for() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let bytes = vec![1; 250_000];
    let spent = push(&mut lone, 9, connection, |n| {
        PeerMessage::Manifest { content: ContentId([n as u8; 32]), bytes: &bytes }.encode()
    });
    end("pushes manifests", &mut lone, 9, spent);
}

#[test]
fn records_that_nobody_asked_for() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let bytes = vec![1; 250_000];
    let spent = push(&mut lone, 9, connection, |block| {
        PeerMessage::Record { content: ContentId([1; 32]), block, bytes: &bytes }.encode()
    });
    end("pushes records", &mut lone, 9, spent);
}

/// A page reads a content that a stranger truly holds, and gives as far as block 0.
fn receiving(length: usize) -> (Lone, ConnectionId, ContentId, crate::world::Stored) {
    let (content, stored) = publish(&bytes(length, 3));
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    lone.outs.clear();
    lone.fetch(1, content);
    lone.opens_up(connection, content, &stored, 32);
    (lone, connection, content, stored)
}

#[test]
fn symbols_of_a_block_that_is_whole() {
    let (mut lone, connection, content, stored) = receiving(4 << 20);
    for index in 0..16 {
        let payload = source(&stored, 0, index);
        lone.say(
            connection,
            &PeerMessage::Symbol { content, block: 0, marker: Marker::Source(index), payload },
        );
    }
    assert!(lone.node.stats().contents[0].held_bytes >= 16 * 16384, "what is right and needed is taken");
    let spent = push(&mut lone, 9, connection, |n| {
        let marker = Marker::Source(n % 16);
        PeerMessage::Symbol { content, block: 0, marker, payload: source(&stored, 0, n % 16) }.encode()
    });
    end("sends a whole block again and again", &mut lone, 9, spent);
}

#[test]
fn wants_answered_with_what_is_held_already() {
    let (mut lone, connection, content, stored) = receiving(4 << 20);
    let payload = source(&stored, 0, 0).to_vec();
    let mut asked = 0;
    let (mut sent, mut frames) = (0u64, 0);
    // Each symbol that is asked for is answered with the first one.
    while sent < TRIED && lone.is_open(9) && frames < 10_000 {
        lone.wake(50);
        for message in lone.sent(connection) {
            if let Ok(PeerMessage::Want { picks, .. }) = PeerMessage::decode(&message) {
                asked += picks.iter().map(Pick::symbols).sum::<u32>();
            }
        }
        lone.outs.retain(|output| matches!(output, Output::Event(_) | Output::RelaySend(_)));
        if frames < asked {
            frames += 1;
            sent += payload.len() as u64;
            let symbol =
                PeerMessage::Symbol { content, block: 0, marker: Marker::Source(0), payload: &payload };
            lone.say(connection, &symbol);
        } else if lone.now > peeredge_wire::Time::from_millis(600_000) {
            break;
        }
    }
    // What was asked of it and given up is excused, so it is a silent source that also takes some of the downlink: the page's request
    // ends, or others bring what it wants.
    Attack::new("node", "unasked", "answers each want with what it has given already")
        .spent(format!("one key, {frames} frames of {} bytes", payload.len()))
        .lost(format!(
            "{} KiB of the downlink, of which it was asked for {} KiB",
            sent >> 10,
            u64::from(asked) << 4
        ))
        .end(sent <= MAY && frames <= asked && lone.named().is_empty());
}

#[test]
fn news_that_say_nothing_new() {
    let (mut lone, connection, content, _) = receiving(4 << 20);
    let spent = push(&mut lone, 9, connection, |_| {
        PeerMessage::HaveBlocks { content, first: 0, bits: &[255; 1000] }.encode()
    });
    ended("says the same of what it holds again and again", &mut lone, 9, spent, true);
}

#[test]
fn news_of_contents_that_were_not_subscribed_to() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let spent = push(&mut lone, 9, connection, |n| {
        let content = ContentId([n as u8; 32]);
        PeerMessage::HaveSymbols { content, first: n, bits: &[255; 1000] }.encode()
    });
    ended("tells what it holds of contents that nobody asked about", &mut lone, 9, spent, true);
}

#[test]
fn refusals_of_what_was_not_asked_for() {
    let (mut lone, connection, content, _) = receiving(4 << 20);
    let picks = vec![Pick::Coded { density: 0, seed: 1 }; 500];
    let spent = push(&mut lone, 9, connection, |_| {
        let reason = RefuseReason::Busy;
        PeerMessage::Refuse { content, block: u32::MAX, reason, picks: picks.clone() }.encode()
    });
    ended("refuses what it was not asked for", &mut lone, 9, spent, true);
}

#[test]
fn a_little_by_each_of_many_connections() {
    let mut lone = Lone::new(|_| {});
    let payload = vec![5; 65536];
    let (mut sent, mut connections) = (0u64, 0u64);
    while let Some(connection) = lone.offer(9, (connections + 1) * SESSION).filter(|_| sent < TRIED) {
        connections += 1;
        // A few symbols, and gone before anybody looks.
        for n in 0..8 {
            let content = ContentId([1; 32]);
            sent += if lone.is_open(9) { payload.len() as u64 } else { 0 };
            lone.say(
                connection,
                &PeerMessage::Symbol { content, block: n, marker: Marker::Source(0), payload: &payload },
            );
        }
        lone.input(Input::Closed { connection });
        lone.wake(1000);
    }
    Attack::new("node", "unasked", "pushes a little by each of many connections of one key")
        .spent(format!("one key, {connections} connections"))
        .lost(format!("{} KiB of the downlink", sent >> 10))
        .end(sent <= MAY && lone.let_go() == 1);
}

#[test]
fn a_share_by_each_of_several_lanes() {
    let mut lone = Lone::new(|_| {});
    let first = lone.stranger(9, SESSION);
    let mut lanes = vec![first];
    for n in 1..4 {
        lanes.extend(lone.offer(9, SESSION | 0x8000 | n));
    }
    assert!(lanes.len() > 1, "lanes are taken");
    let payload = vec![5; 65536];
    let count = lanes.len();
    let mut at = 0;
    let mut sent = 0u64;
    while lone.is_open(9) && sent < TRIED {
        at += 1;
        let connection = lanes[at % count];
        let symbol = PeerMessage::Symbol {
            content: ContentId([1; 32]),
            block: 0,
            marker: Marker::Source(0),
            payload: &payload,
        };
        sent += payload.len() as u64;
        lone.say(connection, &symbol);
    }
    Attack::new("node", "unasked", "pushes by several connections at once")
        .spent(format!("one key, {count} connections"))
        .lost(format!("{} KiB of the downlink", sent >> 10))
        .end(sent <= MAY && lone.node.stats().peers.is_empty());
}

fn let_go(world: &World, peer: usize) -> usize {
    world.peers[peer].events.iter().filter(|e| matches!(e, Event::PeerLetGo { .. })).count()
}

#[test]
fn each_symbol_fifty_times() {
    let data = bytes(4 << 20, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (receiver, honest, liar) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    for peer in [honest, liar] {
        world.hold(peer, content, &stored);
        world.peers[peer].uplink_bytes_per_s = 1_000_000;
    }
    world.peers[liar].tamper = Some(Box::new(|frame| match PeerMessage::decode(&frame) {
        Ok(PeerMessage::Symbol { .. }) => vec![frame; 50],
        _ => vec![frame],
    }));
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    let done = world.run_until(200, |w| w.finished(receiver, 1));
    let stats = world.peers[receiver].node.stats();
    let named = world.peers[receiver].events.iter().any(|e| matches!(e, Event::PeerBlamed { .. }));
    Attack::new("node", "unasked", "sends each symbol fifty times")
        .spent("one key that holds the content")
        .lost(format!("{} KiB that came twice", stats.duplicate_bytes >> 10))
        .end(done && !named && let_go(&world, receiver) == 1 && stats.duplicate_bytes <= MAY);
    assert_eq!(world.got(receiver, 1), data);
}

/// Not an attack: what honest peers do that looks like one.
#[test]
fn nobody_honest_is_let_go_for_being_late_hedged_cancelled_or_asked_again() {
    let data = bytes(5 << 20, 5);
    let (content, stored) = publish(&data);
    for slow in [60_000, 500_000] {
        let mut world = World::new();
        let fast = world.add(|_| {});
        let slows: Vec<usize> = (0..4).map(|_| world.add(|_| {})).collect();
        let receivers: Vec<usize> = (0..3).map(|n| world.add(|c| c.coded_permille = n * 300)).collect();
        for &peer in slows.iter().chain([&fast]) {
            world.hold(peer, content, &stored);
        }
        for &peer in &slows {
            world.peers[peer].uplink_bytes_per_s = slow;
        }
        world.peers[fast].uplink_bytes_per_s = 3_000_000;
        for &receiver in &receivers {
            world.fetch(receiver, 1, content, RangeSpec::Whole);
            // One that seeks about and gives up, so that what is under way for it is of no use.
            for request in 2..6 {
                let start = u64::from(request) * 500_000;
                world.fetch(
                    receiver,
                    request,
                    content,
                    RangeSpec::From { start, end: Some(start + 900_000) },
                );
                world.run_until(1, |_| false);
                world.input(receiver, Input::Abort { request: RequestId(request) });
            }
        }
        assert!(world.run_until(900, |w| receivers.iter().all(|&r| w.finished(r, 1))));
        for peer in 0..world.peers.len() {
            let stats = world.peers[peer].node.stats();
            assert_eq!((let_go(&world, peer), stats.rejected_bytes), (0, 0), "{stats:?}");
        }
    }
}

#[test]
fn a_key_that_was_let_go_is_not_taken_back_by_introduction() {
    let (content, _) = publish(&bytes(100_000, 3));
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let payload = vec![5; 65536];
    let (_, frames) = push(&mut lone, 9, connection, |n| {
        PeerMessage::Symbol { content, block: n, marker: Marker::Source(n), payload: &payload }.encode()
    });
    lone.fetch(1, content);
    lone.outs.clear();
    let peer = PeerId([9; 32]);
    lone.relay(FromRelay::Introduce { content, peer, have_permille: 1000 });
    let met = lone.outs.iter().any(|output| matches!(output, Output::Open { .. }));
    lone.now = lone.now + Duration::from_secs(3601);
    lone.relay(FromRelay::Introduce { content, peer, have_permille: 1000 });
    let met_later = lone.outs.iter().any(|output| matches!(output, Output::Open { .. }));
    Attack::new("node", "unasked", "is introduced again after it was let go")
        .spent(format!("{frames} frames"))
        .lost("nothing")
        .end(!met && met_later);
}
