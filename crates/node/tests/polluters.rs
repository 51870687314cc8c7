//! Peers that lie: each is named, dropped, and costs a bounded number of bytes.

mod world;

use peeredge_node::{Event, RangeSpec};
use peeredge_wire::peer::{Marker, PeerMessage};
use world::{World, bytes, publish};

fn flip(frame: Vec<u8>, coded: bool) -> Vec<u8> {
    match PeerMessage::decode(&frame) {
        Ok(PeerMessage::Symbol { content, block, marker, payload })
            if matches!(marker, Marker::Coded { .. }) == coded =>
        {
            let mut payload = payload.to_vec();
            payload[17] ^= 4;
            PeerMessage::Symbol { content, block, marker, payload: &payload }.encode()
        }
        _ => frame,
    }
}

fn wrong_marker(frame: Vec<u8>) -> Vec<u8> {
    match PeerMessage::decode(&frame) {
        Ok(PeerMessage::Symbol { content, block, marker: Marker::Source(index), payload }) => {
            PeerMessage::Symbol { content, block, marker: Marker::Source(index ^ 1), payload }.encode()
        }
        _ => frame,
    }
}

fn silent(frame: Vec<u8>) -> Vec<u8> {
    match PeerMessage::decode(&frame) {
        // An unasked symbol of a block that does not exist says nothing: the wants run out.
        Ok(PeerMessage::Symbol { content, marker, .. }) => {
            PeerMessage::Symbol { content, block: u32::MAX, marker, payload: &[] }.encode()
        }
        _ => frame,
    }
}

/// An honest seeder and a liar; gives the world after the receiver has got everything.
fn with_liar(
    coded_permille: u16,
    mut tamper: impl FnMut(Vec<u8>) -> Vec<u8> + 'static,
) -> (World, usize, usize) {
    with_chatterer(coded_permille, move |frame| vec![tamper(frame)])
}

fn with_chatterer(
    coded_permille: u16,
    tamper: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static,
) -> (World, usize, usize) {
    let data = bytes(6 << 20, 11);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (honest, liar) = (world.add(|_| {}), world.add(|_| {}));
    let receiver = world.add(|c| c.coded_permille = coded_permille);
    world.hold(honest, content, &stored);
    world.hold(liar, content, &stored);
    world.peers[liar].tamper = Some(Box::new(tamper));
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    assert!(world.run_until(120, |w| w.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    (world, receiver, liar)
}

fn blamed(world: &World, receiver: usize) -> Vec<(peeredge_wire::PeerId, bool)> {
    let of = |e: &Event| match e {
        Event::PeerBlamed { peer, coded, .. } => Some((*peer, *coded)),
        _ => None,
    };
    world.peers[receiver].events.iter().filter_map(of).collect()
}

#[test]
fn flipped_bits_in_a_source_symbol_are_proof_at_once() {
    let (world, receiver, liar) = with_liar(0, |f| flip(f, false));
    assert_eq!(blamed(&world, receiver), [(world.peers[liar].node.id(), false)]);
    assert_eq!(world.peers[receiver].node.stats().rejected_bytes, 16384);
}

#[test]
fn flipped_bits_in_coded_symbols_are_proved_by_making_them_again() {
    let (world, receiver, liar) = with_liar(500, |f| flip(f, true));
    assert_eq!(blamed(&world, receiver), [(world.peers[liar].node.id(), true)]);
}

#[test]
fn everything_coded_is_bit_exact() {
    let (world, receiver, _) = with_liar(1000, |f| f);
    assert_eq!(blamed(&world, receiver), []);
}

#[test]
fn a_right_symbol_with_the_wrong_marker_is_a_lie() {
    let (world, receiver, liar) = with_liar(0, wrong_marker);
    assert_eq!(blamed(&world, receiver), [(world.peers[liar].node.id(), false)]);
}

#[test]
fn silence_costs_time_and_nothing_else() {
    let (world, receiver, _) = with_liar(0, silent);
    assert_eq!(blamed(&world, receiver), []);
    assert_eq!(world.peers[receiver].node.stats().rejected_bytes, 0);
}

#[test]
fn garbage_ends_the_connection_only() {
    let (world, receiver, _) = with_liar(0, |_| vec![0xff; 40]);
    assert_eq!(blamed(&world, receiver), []);
}

#[test]
fn replays_are_counted_and_nothing_else() {
    let mut before: Vec<Vec<u8>> = Vec::new();
    let (world, receiver, _) = with_chatterer(300, move |frame| {
        if !matches!(PeerMessage::decode(&frame), Ok(PeerMessage::Symbol { .. })) {
            return vec![frame];
        }
        before.push(frame.clone());
        vec![frame, before[before.len() / 2].clone()]
    });
    assert_eq!(blamed(&world, receiver), []);
    let stats = world.peers[receiver].node.stats();
    assert!(stats.duplicate_bytes > 0 && stats.rejected_bytes == 0, "{stats:?}");
}

#[test]
fn seeds_that_the_sender_chose_are_not_looked_at() {
    let mut seed = 0;
    let (world, receiver, liar) = with_chatterer(300, move |frame| match PeerMessage::decode(&frame) {
        Ok(PeerMessage::Symbol { content, block, marker: Marker::Coded { density, .. }, payload }) => {
            seed += 1;
            let marker = Marker::Coded { density, seed };
            vec![PeerMessage::Symbol { content, block, marker, payload }.encode()]
        }
        _ => vec![frame],
    });
    assert_eq!(blamed(&world, receiver), []);
    let stats = world.peers[receiver].node.stats();
    assert_eq!(stats.rejected_bytes, 0);
    let of_liar = stats.peers.iter().find(|p| p.peer == world.peers[liar].node.id());
    assert!(of_liar.is_none_or(|p| p.received_bytes < 6 << 20));
}
