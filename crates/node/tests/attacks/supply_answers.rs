//! Much for little: what one frame makes a holder read, compute and send.

use crate::supply_stage::Lone;
use crate::world::{World, bytes, publish};
use peeredge_attacks::{Attack, Figure};
use peeredge_dts::{CodedId, Encoder, Layout};
use peeredge_node::RangeSpec;
use peeredge_wire::ContentId;
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};

#[test]
fn a_record_is_read_without_its_block() {
    let (mut lone, content) = Lone::holding(64 << 20, |_| {});
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    let layout = Layout::for_length(64 << 20).expect("within the limits");
    for block in 0..layout.blocks() {
        lone.say(connection, &PeerMessage::AskRecord { content, block });
    }
    let records = layout.record_range(layout.blocks() - 1).end;
    let (read, sent) = (lone.read_bytes, lone.sent_bytes());
    Attack::new("node", "amplifying", "asks for every record, 37 bytes each")
        .spent(format!("1 key, {} bytes", layout.blocks() * 37))
        .lost(format!("{read} bytes read from the store, {sent} sent"))
        .end(read == records && sent >= records);
}

#[test]
fn a_manifest_or_a_record_is_sent_once() {
    // A manifest of 256 kB.
    let layout = Layout::new(8000 * 1024, 1024, 1).expect("within the limits");
    let mut lone = Lone::new(|_| {});
    let content = lone.hold_as(8000 * 1024, layout);
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    for _ in 0..1000 {
        lone.say(connection, &PeerMessage::AskManifest { content });
        lone.say(connection, &PeerMessage::AskRecord { content, block: 5 });
    }
    let sent = lone.sent_bytes();
    Attack::new("node", "amplifying", "asks for a manifest of 256 kB and a record a thousand times each")
        .spent("1 key, 70,000 bytes")
        .lost(format!("{sent} bytes"))
        .end(sent < 260_000);
}

#[test]
fn symbols_of_cold_blocks_are_read_at_a_bounded_rate() {
    const BLOCKS: u32 = 64;
    let layout = Layout::new(64 << 20, 16384, 64).expect("within the limits");
    let mut lone = Lone::new(|config| config.cache_bytes_max = 4 << 20);
    let content = lone.hold_as(64 << 20, layout);
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    // One symbol of each block, again and again: none is in the cache when it is asked for.
    let mut sent = 0;
    for round in 0..100u32 {
        for block in 0..BLOCKS {
            let picks = vec![Pick::Sources { first: round % 64, count: 1 }];
            let want = PeerMessage::Want { content, block, deadline_ms: 10_000, due_ms: 0, picks };
            lone.say(connection, &want);
        }
        lone.pass(100);
        sent += lone.sent_bytes();
    }
    let read = lone.read_bytes;
    let earned = sent * 32;
    Attack::new("node", "amplifying", "asks for one symbol of each of many blocks in turn, for ten seconds")
        .spent(format!("1 key, {} wants", 100 * BLOCKS))
        .lost(format!("{} MiB read for {} MiB sent", read >> 20, sent >> 20))
        .end(read <= earned + (64 << 20) + 10 * (33 << 20));
}

#[test]
fn what_is_on_its_way_from_the_store_is_bounded() {
    let layout = Layout::new(64 << 20, 16384, 256).expect("within the limits");
    let mut lone = Lone::new(|config| config.cache_bytes_max = 32 << 20);
    let content = lone.hold_as(64 << 20, layout);
    // The store does not answer.
    lone.store.clear();
    let mut most = 0;
    for n in 0..16u16 {
        let connection = lone.stranger(n, 1 << 16).expect("there is room");
        let before = lone.read_bytes;
        for block in [u32::from(n), u32::from(n) + 1] {
            let picks = vec![Pick::Sources { first: 0, count: 1 }];
            let want = PeerMessage::Want { content, block, deadline_ms: 10_000, due_ms: 0, picks };
            lone.say(connection, &want);
        }
        most = most.max(lone.read_bytes - before);
    }
    Attack::new("node", "amplifying", "16 ask for a symbol of two blocks each, all at once")
        .spent("16 keys")
        .lost(format!("{} MiB at most on their way for one of them", most >> 20))
        .end(most <= 9 << 20);
}

#[test]
fn coded_symbols_are_made_at_a_bounded_rate() {
    let mut lone = Lone::new(|_| {});
    let layout = Layout::new(16 << 20, 4096, 1024).expect("within the limits");
    let content = lone.hold_as(16 << 20, layout);
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    let (mut sent, mut summed) = (0, 0);
    let geometry = layout.geometry(0).expect("it has one");
    for second in 0..5u64 {
        for want in 0..8 {
            // The densest there are: half of the block each.
            let pick = |n| Pick::Coded { density: 13, seed: second << 32 | want << 16 | n };
            let picks = (0..500).map(pick).collect();
            let block = (want % 4) as u32;
            let want = PeerMessage::Want { content, block, deadline_ms: 1_000, due_ms: 0, picks };
            lone.say(connection, &want);
        }
        lone.pass(1_000);
        for frame in lone.sent() {
            sent += frame.len() as u64;
            if let Ok(PeerMessage::Symbol { marker: Marker::Coded { density, seed }, .. }) =
                PeerMessage::decode(&frame)
            {
                summed += 4096 * u64::from(Encoder::symbols_summed(geometry, CodedId { density, seed }));
            }
        }
    }
    let allowed = (64u64 << 20) + 5 * (33 << 20) + 32 * sent;
    Attack::new("node", "amplifying", "asks for the densest coded symbols, ten bytes each")
        .spent("1 key, 200 kB")
        .lost(format!("{} MiB summed for {} kB sent", summed >> 20, sent >> 10))
        .end(summed <= allowed && sent > 0);
}

#[test]
fn what_is_not_held_is_refused_in_one_frame() {
    let (mut lone, content) = Lone::holding(8 << 20, |_| {});
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    let picks: Vec<Pick> = (0..512).map(|n| Pick::Sources { first: 1000 + n, count: 1 }).collect();
    let coded: Vec<Pick> = (0..512).map(|seed| Pick::Coded { density: 200, seed }).collect();
    let (mut said, mut left, mut frames) = (0, 0, 0);
    for picks in [picks, coded] {
        for block in [0, 5000] {
            let picks = picks.clone();
            let want = PeerMessage::Want { content, block, deadline_ms: 10_000, due_ms: 0, picks };
            said += want.encode().len();
            lone.say(connection, &want);
            let sent = lone.sent();
            frames += sent.len();
            left += sent.iter().map(Vec::len).sum::<usize>();
        }
    }
    Attack::new("node", "amplifying", "wants 512 symbols that are not held, one by one")
        .spent(format!("1 key, {said} bytes"))
        .lost(format!("{left} bytes in {frames} frames"))
        .figure(Figure::ByteAmplification, left as f64 / said as f64)
        .end(left <= said && frames <= 8);
}

#[test]
fn one_more_subscription_than_there_is_place_for_is_refused_with_a_word() {
    let mut lone = Lone::new(|_| {});
    let contents: Vec<ContentId> = (0..257).map(|n| lone.hold(1000, 1000 + n)).collect();
    let connection = lone.stranger(1, 1 << 16).expect("there is room");
    lone.outs.clear();
    for &content in &contents {
        lone.say(connection, &PeerMessage::Subscribe { content });
    }
    let last = lone.sent().pop().expect("it is answered");
    let content = contents[256];
    let refused = PeerMessage::Refuse { content, block: 0, reason: RefuseReason::Full, picks: Vec::new() };
    lone.say(connection, &PeerMessage::Unsubscribe { content: contents[0] });
    lone.say(connection, &PeerMessage::Subscribe { content });
    let then = lone.sent().pop().expect("it is answered");
    Attack::new("node", "bursts", "subscribes to 257 contents over one connection")
        .spent("1 key")
        .lost("one is told to try again, and has its place when another one ends")
        .end(
            last == refused.encode()
                && matches!(PeerMessage::decode(&then), Ok(PeerMessage::HaveBlocks { .. })),
        );
}

#[test]
fn hundreds_of_contents_from_one_holder_all_come_and_once() {
    let mut world = World::new();
    let (holder, receiver) = (world.add(|_| {}), world.add(|_| {}));
    let contents: Vec<_> = (0..300).map(|n| publish(&bytes(93_000, 5000 + n))).collect();
    for (content, stored) in &contents {
        world.hold(holder, *content, stored);
    }
    world.run_until(5, |w| w.peers[holder].node.stats().relay_connected);
    for (n, (content, _)) in contents.iter().enumerate() {
        world.fetch(receiver, n as u32, *content, RangeSpec::Whole);
    }
    world.run_until(60, |w| (0..300).all(|n| w.finished(receiver, n)));
    let failed =
        (0..300).filter(|&n| world.peers[receiver].ended.get(&peeredge_wire::RequestId(n)) != Some(&Ok(())));
    let failed = failed.count();
    let stats = world.peers[receiver].node.stats();
    let (useful, twice) = (stats.from_peers_bytes, stats.duplicate_bytes);
    Attack::new("node", "bursts", "300 parallel fetches from one holder")
        .spent("300 contents of 93 kB")
        .lost(format!("{failed} fetches; {twice} bytes came twice beside {useful}"))
        .end(failed == 0 && useful == 300 * 93_000 && twice == 0);
}
