//! Who is named for what: by proof, by key and not by connection, each once, and nobody else.

use crate::lone::{Lone, layout_of, source, stranger};
use crate::world::{Stored, World, bytes, publish};
use peeredge_attacks::Attack;
use peeredge_dts::{CodedId, Encoder};
use peeredge_node::{Event, Input, RangeSpec};
use peeredge_wire::peer::{Marker, PeerMessage, Pick};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PeerId};
use std::collections::BTreeSet;

const SESSION: u64 = 1 << 16;

/// One block of 16 symbols, all of which the page wants as coded symbols where it may.
fn receiving() -> (Lone, ContentId, Stored) {
    let (content, stored) = publish(&bytes(16 * 16384, 3));
    let mut lone = Lone::new(|config| config.coded_permille = 1000);
    lone.fetch(1, content);
    (lone, content, stored)
}

/// The picks that the node asked of this connection and that were not looked at before.
fn asked(lone: &mut Lone, connection: ConnectionId) -> Vec<Pick> {
    let picks = lone.sent(connection).into_iter().flat_map(|message| match PeerMessage::decode(&message) {
        Ok(PeerMessage::Want { picks, .. }) => picks,
        _ => Vec::new(),
    });
    let picks = picks.collect();
    lone.outs.retain(|output| !matches!(output, peeredge_node::Output::Send { .. }));
    picks
}

fn coded(stored: &Stored, density: u8, seed: u64) -> Vec<u8> {
    let geometry = layout_of(stored).geometry(0).expect("block 0 exists");
    let mut out = vec![0; geometry.symbol_len() as usize];
    let encoder = Encoder::new(geometry, &stored.data).expect("it fits");
    encoder.write_coded(CodedId { density, seed }, &mut out).expect("a valid id");
    out
}

/// Answers what was asked; every coded symbol with a wrong bit if it `lies`. Gives how many coded ones that was.
fn answer(lone: &mut Lone, connection: ConnectionId, content: ContentId, stored: &Stored, lies: bool) -> u32 {
    let mut count = 0;
    for pick in asked(lone, connection) {
        let (markers, is_coded) = match pick {
            Pick::Sources { first, count } => {
                ((first..first + count).map(Marker::Source).collect::<Vec<_>>(), 0)
            }
            Pick::Coded { density, seed } => (vec![Marker::Coded { density, seed }], 1),
        };
        count += is_coded;
        for marker in markers {
            let mut payload = match marker {
                Marker::Source(index) => source(stored, 0, index).to_vec(),
                Marker::Coded { density, seed } => coded(stored, density, seed),
            };
            if lies && is_coded == 1 {
                payload[7] ^= 1;
            }
            lone.say(connection, &PeerMessage::Symbol { content, block: 0, marker, payload: &payload });
        }
    }
    count
}

/// Goes on until the block is whole or nothing is asked any more.
fn finish(lone: &mut Lone, connection: ConnectionId, content: ContentId, stored: &Stored) -> bool {
    for _ in 0..400 {
        lone.wake(100);
        answer(lone, connection, content, stored, false);
        if lone.node.stats().contents.iter().any(|c| c.content == content && c.blocks == [255]) {
            return true;
        }
    }
    false
}

fn is_let_in(lone: &mut Lone, n: u8, session: u64) -> bool {
    lone.offer(n, session).is_some()
}

#[test]
fn a_polluter_that_hangs_up_before_the_block_is_whole() {
    let (mut lone, content, stored) = receiving();
    let liar = lone.stranger(9, SESSION);
    lone.opens_up(liar, content, &stored, 1);
    lone.wake(100);
    let lies = answer(&mut lone, liar, content, &stored, true);
    assert!(lies > 0, "coded symbols were asked for");
    lone.input(Input::Closed { connection: liar });
    let honest = lone.stranger(8, SESSION);
    lone.opens_up(honest, content, &stored, 1);
    let whole = finish(&mut lone, honest, content, &stored);
    let (named, accused) = (lone.named(), lone.accused());
    let back = is_let_in(&mut lone, 9, 2 * SESSION);
    Attack::new("node", "accusing", "pollutes with coded symbols and hangs up before the block is whole")
        .spent(format!("one key, {lies} coded symbols"))
        .lost("the time of one block")
        .end(whole && named == [(stranger(9), (1, true))].into() && accused == [stranger(9)] && !back);
}

#[test]
fn a_polluter_that_comes_back_with_the_same_key_meanwhile() {
    let (mut lone, content, stored) = receiving();
    let mut lies = 0;
    for n in 1..=3 {
        let liar = lone.stranger(9, n * SESSION);
        lone.opens_up(liar, content, &stored, 1);
        lone.wake(100);
        lies += answer(&mut lone, liar, content, &stored, true);
        lone.input(Input::Closed { connection: liar });
    }
    let again = lone.stranger(9, 7 * SESSION);
    let honest = lone.stranger(8, SESSION);
    lone.opens_up(honest, content, &stored, 1);
    let whole = finish(&mut lone, honest, content, &stored);
    let closed = !lone.is_open(9);
    lone.outs.retain(|output| matches!(output, peeredge_node::Output::Event(_)));
    let named = lone.named();
    lone.relay(FromRelay::Introduce { content, peer: stranger(9), have_permille: 1000 });
    let met = lone.node.stats().peers.iter().any(|p| p.peer == stranger(9));
    Attack::new(
        "node",
        "accusing",
        "pollutes, hangs up, and is there again under the same key when it is named",
    )
    .spent(format!("one key, four connections (the last {again:?}), {lies} coded symbols"))
    .lost("the time of one block")
    .end(whole && closed && !met && named == [(stranger(9), (1, true))].into());
}

#[test]
fn two_connections_of_one_polluter_are_one_liar() {
    let (mut lone, content, stored) = receiving();
    let first = lone.stranger(9, SESSION);
    let lane = lone.offer(9, SESSION | 0x8001).expect("a lane is taken");
    lone.opens_up(first, content, &stored, 1);
    lone.wake(100);
    let lies =
        answer(&mut lone, first, content, &stored, true) + answer(&mut lone, lane, content, &stored, true);
    let honest = lone.stranger(8, SESSION);
    lone.opens_up(honest, content, &stored, 1);
    let whole = finish(&mut lone, honest, content, &stored);
    Attack::new("node", "accusing", "pollutes by two connections at once")
        .spent(format!("one key, {lies} coded symbols"))
        .lost("the time of one block")
        .end(
            whole && lone.named() == [(stranger(9), (1, true))].into() && !lone.is_open(9) && lone.is_open(8),
        );
}

#[test]
fn the_last_block_is_judged_though_its_reader_has_gone() {
    // The source symbols that the reader waits for come before the block is judged: it has all it wants, and leaves.
    let (content, stored) = publish(&bytes(48 << 20, 3));
    let layout = layout_of(&stored);
    let last = layout.blocks() - 1;
    let mut lone = Lone::new(|config| config.coded_permille = 300);
    let start = layout.block_range(last).start;
    let request = peeredge_wire::RequestId(1);
    lone.input(Input::Fetch { request, content, range: RangeSpec::From { start, end: None } });
    lone.input(Input::Pull { request, bytes: 1 << 40 });
    let liar = lone.stranger(9, SESSION);
    lone.opens_up(liar, content, &stored, layout.blocks());
    let geometry = layout.geometry(last).expect("the last block exists");
    let of_block = layout.block_range(last);
    let block = &stored.data[of_block.start as usize..of_block.end as usize];
    let encoder = Encoder::new(geometry, block).expect("it fits");
    let mut lies = 0;
    for _ in 0..200 {
        lone.wake(50);
        lone.gives_records(liar, &stored);
        for pick in asked(&mut lone, liar) {
            let Pick::Coded { density, seed } = pick else { continue };
            let mut payload = vec![0; geometry.symbol_len() as usize];
            encoder.write_coded(CodedId { density, seed }, &mut payload).expect("a valid id");
            payload[3] ^= 1;
            lies += 1;
            let marker = Marker::Coded { density, seed };
            lone.say(liar, &PeerMessage::Symbol { content, block: last, marker, payload: &payload });
        }
        if lies > 3 {
            break;
        }
    }
    for index in 0..layout.symbols_of(last) {
        let payload = source(&stored, last, index);
        lone.say(liar, &PeerMessage::Symbol { content, block: last, marker: Marker::Source(index), payload });
    }
    for _ in 0..50 {
        lone.wake(10);
    }
    Attack::new(
        "node",
        "accusing",
        "pollutes the last block, whose reader needs no more than the source symbols",
    )
    .spent(format!("one key, {lies} coded symbols"))
    .lost("nothing")
    .end(lies > 0 && lone.named() == [(stranger(9), (1, true))].into());
}

fn lies_about(frame: Vec<u8>, lie: fn(PeerMessage<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
    PeerMessage::decode(&frame).ok().and_then(lie).unwrap_or(frame)
}

/// Two honest holders, each with its own rate, and one liar: who is named?
fn among_honest(coded_permille: u16, lie: fn(PeerMessage<'_>) -> Option<Vec<u8>>) -> (World, usize, usize) {
    let data = bytes(6 << 20, 11);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let holders: Vec<usize> = (0..3).map(|_| world.add(|_| {})).collect();
    for &holder in &holders {
        world.hold(holder, content, &stored);
        world.peers[holder].uplink_bytes_per_s = 800_000;
    }
    let receiver = world.add(|config| config.coded_permille = coded_permille);
    world.peers[holders[2]].tamper = Some(Box::new(move |frame| vec![lies_about(frame, lie)]));
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    assert!(world.run_until(300, |w| w.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    world.run_until(5, |_| false);
    (world, receiver, holders[2])
}

fn only_the_liar(name: &'static str, coded_permille: u16, lie: fn(PeerMessage<'_>) -> Option<Vec<u8>>) {
    let (world, receiver, liar) = among_honest(coded_permille, lie);
    let named: BTreeSet<PeerId> = world.peers[receiver]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::PeerBlamed { peer, .. } => Some(*peer),
            _ => None,
        })
        .collect();
    let stats = world.peers[receiver].node.stats();
    Attack::new("node", "accusing", name)
        .spent("one key beside two honest holders")
        .lost(format!("{} KiB that were wrong", stats.rejected_bytes >> 10))
        .end(named == [world.peers[liar].node.id()].into() && stats.rejected_bytes < 2 << 20);
}

#[test]
fn wrong_source_symbols_beside_honest_ones() {
    only_the_liar("sends wrong source symbols beside two honest holders", 0, |message| match message {
        PeerMessage::Symbol { content, block, marker: marker @ Marker::Source(_), payload } => {
            let mut payload = payload.to_vec();
            payload[17] ^= 4;
            Some(PeerMessage::Symbol { content, block, marker, payload: &payload }.encode())
        }
        _ => None,
    });
}

#[test]
fn wrong_coded_symbols_beside_honest_ones() {
    only_the_liar("sends wrong coded symbols beside two honest holders", 700, |message| match message {
        PeerMessage::Symbol { content, block, marker: marker @ Marker::Coded { .. }, payload } => {
            let mut payload = payload.to_vec();
            payload[17] ^= 4;
            Some(PeerMessage::Symbol { content, block, marker, payload: &payload }.encode())
        }
        _ => None,
    });
}

#[test]
fn wrong_records_asked_for_or_not() {
    for is_asked in [false, true] {
        let (content, stored) = publish(&bytes(16 * 16384, 3));
        let mut lone = Lone::new(|_| {});
        let (asked, other) = (lone.stranger(8, SESSION), lone.stranger(9, SESSION));
        lone.fetch(1, content);
        lone.outs.clear();
        lone.say(asked, &PeerMessage::Manifest { content, bytes: &stored.manifest });
        lone.say(asked, &PeerMessage::HaveBlocks { content, first: 0, bits: &[1] });
        let mut wrong = stored.records.clone();
        wrong[5] ^= 1;
        let (liar, n) = if is_asked { (asked, 8) } else { (other, 9) };
        lone.say(liar, &PeerMessage::Record { content, block: 0, bytes: &wrong });
        Attack::new("node", "accusing", "sends a record that contradicts the manifest")
            .spent(format!("one frame, asked for: {is_asked}"))
            .lost("nothing")
            .end(lone.named() == [(stranger(n), (1, false))].into() && !lone.is_open(n));
    }
}

#[test]
fn symbols_that_are_too_short() {
    only_the_liar("cuts its symbols short", 500, |message| match message {
        PeerMessage::Symbol { content, block, marker, payload } => Some(
            PeerMessage::Symbol { content, block, marker, payload: &payload[..payload.len() - 1] }.encode(),
        ),
        _ => None,
    });
}
