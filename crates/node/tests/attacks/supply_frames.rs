//! Floods of frames: each costs its sender something, and none costs much more than an ordinary one of its length.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "what frames take is measured here")]

use crate::supply_stage::{CREDIT, Lone, peer};
use crate::world::{World, bytes, publish};
use peeredge_attacks::{Attack, Figure, measures};
use peeredge_dts::Layout;
use peeredge_node::{Config, Input, Node, Output, RangeSpec};
use peeredge_wire::peer::{PeerMessage, Pick, RefuseReason};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION, PeerId, RequestId, Time};
use std::time::{Duration, Instant};

#[test]
fn a_flood_of_control_frames_ends_and_others_are_served() {
    let content = ContentId([3; 32]);
    let picks = || vec![Pick::Sources { first: 0, count: 1 }];
    let kinds: [(&str, PeerMessage<'_>); 9] = [
        ("subscribe", PeerMessage::Subscribe { content }),
        ("unsubscribe", PeerMessage::Unsubscribe { content }),
        ("have none", PeerMessage::HaveNone { content }),
        ("have blocks", PeerMessage::HaveBlocks { content, first: 0, bits: &[1] }),
        ("have symbols", PeerMessage::HaveSymbols { content, first: 0, bits: &[1] }),
        ("ask manifest", PeerMessage::AskManifest { content }),
        ("ask record", PeerMessage::AskRecord { content, block: 0 }),
        ("cancel", PeerMessage::Cancel { content, block: 0 }),
        ("refuse", PeerMessage::Refuse { content, block: 0, reason: RefuseReason::Busy, picks: picks() }),
    ];
    for (name, message) in kinds {
        let data = bytes(1_000_000, 21);
        let (held, stored) = publish(&data);
        let mut world = World::new();
        let (victim, honest) = (world.add(|_| {}), world.add(|_| {}));
        world.hold(victim, held, &stored);
        world.run_until(1, |w| w.peers[victim].node.stats().relay_connected);
        let offer = FromRelay::Signal { from: PeerId([99; 32]), session: 1 << 16, signal: b"offer".to_vec() };
        world.input(victim, Input::RelayMessage(offer.encode()));
        let connection = ConnectionId(world.peers[victim].node.stats().connections_made);
        world.input(victim, Input::Opened { connection, credit_bytes: CREDIT });
        let greet = PeerMessage::Greet { version: PROTOCOL_VERSION };
        world.input(victim, Input::Message { connection, message: greet.encode() });
        world.fetch(honest, 1, held, RangeSpec::Whole);
        let is_there =
            |w: &World| w.peers[victim].node.stats().peers.iter().any(|p| p.peer == PeerId([99; 32]));
        let mut frames = 0;
        while frames < 20_000 && is_there(&world) {
            for _ in 0..100 {
                world.input(victim, Input::Message { connection, message: message.encode() });
                frames += 1;
            }
            world.now = world.now + Duration::from_millis(5);
            world.run_until(0, |_| false);
        }
        let done = world.run_until(20, |w| w.finished(honest, 1)) && world.got(honest, 1) == data;
        Attack::new("node", "spending", "says the same small thing without end")
            .spent(format!("1 key, {frames} frames of \"{name}\""))
            .lost(format!("the flood's connection; the honest fetch ends: {done}"))
            .end(done && frames < 20_000);
    }
}

#[test]
fn what_a_stranger_makes_one_hold_is_bounded() {
    let (mut lone, content) = Lone::holding(64 << 20, |_| {});
    lone.reads = false;
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    // Nothing is read, so all that can wait waits.
    let mut said = 0;
    for n in 0..20_000u32 {
        let picks = (0..100).map(|k| Pick::Sources { first: (n + 7 * k) % 256, count: 1 }).collect();
        let message = match n % 4 {
            0 => PeerMessage::Want { content, block: n % 16, deadline_ms: u32::MAX, due_ms: n, picks },
            1 => PeerMessage::AskRecord { content, block: n % 16 },
            2 => PeerMessage::AskManifest { content: ContentId([n as u8; 32]) },
            _ => PeerMessage::Subscribe { content: ContentId([n as u8; 32]) },
        };
        said += message.encode().len();
        lone.say(connection, &message);
        lone.now = lone.now + Duration::from_millis(10);
    }
    // Orders and answers by their bounds, and the outbox by its own, or the connection is gone.
    let orders = peeredge_dts::QUEUE_ORDERS_MAX * 100 + peeredge_dts::QUEUE_ANSWERS_MAX * 64;
    let held = orders + (256 << 10) + 2048 * 64;
    Attack::new("node", "amplifying", "asks for everything and reads nothing")
        .spent(format!("1 key, {said} bytes"))
        .lost(format!("at most {held} bytes, by the bounds of its queues; still there: {}", lone.is_open(1)))
        .figure(Figure::MemoryBytes, held as f64)
        .end(held < 1 << 20 && lone.sent_bytes() <= CREDIT);
}

#[test]
fn pieces_of_nothing_through_the_relay_end_the_session() {
    let mut lone = Lone::new(|_| {});
    let from = peer(1);
    lone.relay(FromRelay::CarryOpen { from, session: 1 << 16, credit_bytes: 1 << 16 });
    let taken = lone.node.stats().peers.len();
    let mut pieces = 0;
    while pieces < 1000 && !lone.node.stats().peers.is_empty() {
        lone.relay(FromRelay::Carried { from, session: 1 << 16, last: false, piece: Vec::new() });
        pieces += 1;
    }
    Attack::new("node", "spending", "sends empty pieces of a message that never ends")
        .spent("1 key")
        .lost(format!("{pieces} pieces, then the session"))
        .end(taken == 1 && pieces == 1);
}

/// A receiver of 64 MiB whose one source is a stranger.
fn receiving(layout: Layout) -> (Lone, ConnectionId, ContentId) {
    let mut other = Lone::new(|_| {});
    let content = other.hold_as(64 << 20, layout);
    let stored = other.store.remove(&content).expect("it was put there");
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.input(Input::Fetch { request: RequestId(1), content, range: RangeSpec::Whole });
    lone.input(Input::Pull { request: RequestId(1), bytes: 1 << 40 });
    lone.say(connection, &PeerMessage::Manifest { content, bytes: &stored.manifest });
    let all = vec![255; layout.blocks().div_ceil(8) as usize];
    lone.say(connection, &PeerMessage::HaveBlocks { content, first: 0, bits: &all });
    for _ in 0..6 {
        for frame in lone.sent() {
            if let Ok(PeerMessage::AskRecord { block, .. }) = PeerMessage::decode(&frame) {
                let range = layout.record_range(block);
                let record = &stored.records[range.start as usize..range.end as usize];
                lone.say(connection, &PeerMessage::Record { content, block, bytes: record });
            }
        }
        lone.pass(100);
    }
    (lone, connection, content)
}

/// How often a frame is said so that its time is known, and never so often that its sender is let go for what is of no use.
fn times(frame_bytes: usize) -> u32 {
    let most = if measures() { 100 } else { 3 };
    most.min((64 << 10) / frame_bytes.max(1) as u32)
}

/// Median time for one frame, where each comes when its sender may say another one.
fn cost(lone: &mut Lone, connection: ConnectionId, frame: &[u8], times: u32) -> Duration {
    let mut all = Vec::new();
    for _ in 0..times {
        let message = frame.to_vec();
        let now = lone.now;
        let began = Instant::now();
        lone.node.handle(now, Input::Message { connection, message });
        while let Some(output) = lone.node.poll() {
            lone.outs.push(output);
        }
        all.push(began.elapsed());
        let sent = lone.sent_bytes();
        lone.input(Input::Credit { connection, bytes: sent });
        lone.now = lone.now + Duration::from_millis(1);
    }
    assert!(lone.is_open(1), "it was let go, so this is not what a frame costs");
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn no_control_frame_costs_much_more_than_another_of_its_length() {
    let usual = Layout::for_length(64 << 20).expect("within the limits");
    let fine = Layout::new(64 << 20, 1024, 8000).expect("within the limits");
    for layout in [usual, fine] {
        let (mut lone, mut c, content) = receiving(layout);
        // What an ordinary frame of a length costs: one that is read, looked up, and answered with little.
        let stranger = ContentId([5; 32]);
        let ordinary = |lone: &mut Lone, c: ConnectionId, len: usize| {
            let bits = vec![0; len.saturating_sub(37).min(1000)];
            let picks =
                (0..(len / 9).min(512) as u32).map(|n| Pick::Sources { first: n % 64, count: 1 }).collect();
            let frames = [
                PeerMessage::HaveBlocks { content: stranger, first: 0, bits: &bits },
                PeerMessage::AskManifest { content: stranger },
                PeerMessage::Refuse { content, block: 0, reason: RefuseReason::Busy, picks },
            ];
            let of_len = frames.iter().map(PeerMessage::encode).filter(|frame| frame.len() <= len.max(38));
            of_len.map(|frame| cost(lone, c, &frame, times(len))).max().unwrap_or_default()
        };
        let all = Pick::Sources { first: 0, count: u32::MAX };
        let refused =
            |picks: Vec<Pick>| PeerMessage::Refuse { content, block: 0, reason: RefuseReason::Busy, picks };
        let frames = [
            ("have blocks, one bit", PeerMessage::HaveBlocks { content, first: 0, bits: &[1] }.encode()),
            ("have symbols, one byte", PeerMessage::HaveSymbols { content, first: 0, bits: &[255] }.encode()),
            ("refuse, one pick of all", refused(vec![all]).encode()),
            ("refuse, 512 picks of all", refused(vec![all; 512]).encode()),
            ("cancel", PeerMessage::Cancel { content, block: 0 }.encode()),
            ("ask manifest", PeerMessage::AskManifest { content }.encode()),
            ("ask record", PeerMessage::AskRecord { content, block: 0 }.encode()),
            ("subscribe", PeerMessage::Subscribe { content }.encode()),
            ("unsubscribe", PeerMessage::Unsubscribe { content }.encode()),
        ];
        for (name, frame) in frames {
            if measures() {
                // What is of no use adds up, and ends a connection that sends it long enough to be measured.
                (lone, c, _) = receiving(layout);
            }
            let usual = ordinary(&mut lone, c, frame.len());
            let each = cost(&mut lone, c, &frame, times(frame.len()));
            let ratio = each.as_secs_f64() / usual.as_secs_f64().max(1e-9);
            let attack = Attack::new("node", "amplifying", "sends the frame that costs most for its length")
                .spent(format!(
                    "1 key, \"{name}\", {} bytes, {} symbols a block",
                    frame.len(),
                    layout.block_symbols()
                ))
                .lost(format!("{each:?} where an ordinary frame takes {usual:?}"));
            if measures() {
                attack.figure(Figure::CpuAmplification, ratio).end(ratio <= 10.0);
            } else {
                attack.end(lone.is_open(1));
            }
        }
    }
}

#[test]
fn a_want_costs_no_more_than_what_it_queues() {
    // Wants into a full queue, wants that are cancelled, wants in an order that moves everything.
    let (mut lone, content) = Lone::holding(64 << 20, |_| {});
    lone.reads = false;
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    // A hundred wants of that length are nearly all that a connection may say at once.
    let times = 20;
    let want = |first: u32, due_ms: u32| {
        // Each symbol by itself: the longest list.
        let picks = (0..400).map(|n| Pick::Sources { first: (first + n) % 256, count: 1 }).collect();
        PeerMessage::Want { content, block: 0, deadline_ms: u32::MAX, due_ms, picks }.encode()
    };
    let cancel = PeerMessage::Cancel { content, block: 0 }.encode();
    // An ordinary want of that length is the only one, and is taken back before the next one comes.
    let mut ordinary = Duration::ZERO;
    for _ in 0..times {
        ordinary += cost(&mut lone, connection, &want(0, 60_000), 1);
        cost(&mut lone, connection, &cancel, 1);
    }
    ordinary /= times;
    // Four at a time into the same queue, each of which is needed before all that are queued.
    let mut worst = Duration::ZERO;
    for n in 0..times {
        for more in 0..4 {
            worst += cost(&mut lone, connection, &want(n, 60_000 - 4 * n - more), 1) / 4;
        }
        cost(&mut lone, connection, &cancel, 1);
    }
    worst /= times;
    let ratio = worst.as_secs_f64() / ordinary.as_secs_f64();
    let attack = Attack::new("node", "amplifying", "wants in the order that moves most of the queue")
        .spent("1 key, 4 kB a want")
        .lost(format!("{worst:?} each, where an ordinary one of that length takes {ordinary:?}"));
    if measures() {
        attack.figure(Figure::CpuAmplification, ratio).end(ratio <= 10.0);
    } else {
        attack.end(lone.is_open(1));
    }
}

#[test]
fn a_relay_that_asks_for_proofs_without_end_gets_one() {
    let mut node = Node::new(Config::new([1; 32], 1));
    let now = Time::from_millis(1);
    let mut hellos = 0;
    node.handle(now, Input::RelayOpened);
    for n in 0..100 {
        let challenge = FromRelay::Challenge { nonce: [n; 32], relay: PeerId([0; 32]) };
        node.handle(now, Input::RelayMessage(challenge.encode()));
        while let Some(output) = node.poll() {
            hellos += usize::from(matches!(output, Output::RelaySend(_)));
        }
    }
    assert_eq!(hellos, 1);
}
