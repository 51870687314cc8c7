//! Whatever a stranger sends, in whatever order: no panic, no wrong byte, and others are served meanwhile.

mod world;

use peeredge_node::{Input, RangeSpec};
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PeerId};
use proptest::prelude::*;
use world::{World, bytes, publish};

/// Numbers near the edges of what a content has, and far beyond.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..5, 12u32..20, Just(u32::MAX), Just(u32::MAX - 1), any::<u32>()]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        (number(), 1..u32::MAX)
            .prop_map(|(first, count)| Pick::Sources { first: first.min(u32::MAX - count), count }),
        (number(), 1u32..9)
            .prop_map(|(first, count)| Pick::Sources { first: first.min(u32::MAX - count), count }),
        (any::<u8>(), any::<u64>()).prop_map(|(density, seed)| Pick::Coded { density, seed }),
    ]
}

fn marker() -> impl Strategy<Value = Marker> {
    prop_oneof![
        number().prop_map(Marker::Source),
        (any::<u8>(), any::<u64>()).prop_map(|(density, seed)| Marker::Coded { density, seed }),
    ]
}

fn frame(content: ContentId) -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![9 => Just(content), 1 => any::<[u8; 32]>().prop_map(ContentId)];
    let some = || prop::collection::vec(any::<u8>(), 0..80);
    let picks = || prop::collection::vec(pick(), 0..4);
    (content, 0..14usize, number(), some(), picks(), marker(), any::<bool>()).prop_map(
        |(content, kind, block, bytes, picks, marker, full)| {
            let payload = if full { vec![5; 16384] } else { bytes.clone() };
            match kind {
                0 => PeerMessage::Subscribe { content },
                1 => PeerMessage::Unsubscribe { content },
                2 => PeerMessage::HaveNone { content },
                3 => PeerMessage::HaveBlocks { content, first: block, bits: &bytes },
                4 => PeerMessage::HaveSymbols { content, first: block, bits: &bytes },
                5 => PeerMessage::AskManifest { content },
                6 => PeerMessage::Manifest { content, bytes: &bytes },
                7 => PeerMessage::AskRecord { content, block },
                8 => PeerMessage::Record { content, block, bytes: &bytes },
                9 => PeerMessage::Want { content, block, deadline_ms: block, due_ms: block, picks },
                10 => PeerMessage::Symbol { content, block, marker, payload: &payload },
                11 => PeerMessage::Refuse { content, block, reason: RefuseReason::NotHeld, picks },
                12 => PeerMessage::Cancel { content, block },
                _ => return bytes,
            }
            .encode()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stranger_disturbs_nobody(
        frames in prop::collection::vec(frame(publish(&bytes(1_000_000, 21)).0), 1..120),
        relay_frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        fetches_from_victim in any::<bool>(),
    ) {
        let data = bytes(1_000_000, 21);
        let (content, stored) = publish(&data);
        let mut world = World::new();
        let (victim, honest) = (world.add(|_| {}), world.add(|_| {}));
        // Half of the cases attack a seeder, half a receiver.
        let (seeder, receiver) = if fetches_from_victim { (victim, honest) } else { (honest, victim) };
        world.hold(seeder, content, &stored);
        world.fetch(receiver, 1, content, RangeSpec::Whole);
        let stranger = PeerId([99; 32]);
        let offer = FromRelay::Signal { from: stranger, session: 1, signal: b"offer".to_vec() };
        world.run_until(1, |w| w.peers[victim].node.stats().relay_connected);
        world.input(victim, Input::RelayMessage(offer.encode()));
        let connection = ConnectionId(world.peers[victim].node.stats().connections_made);
        world.input(victim, Input::Opened { connection, credit_bytes: 1 << 20 });
        world.input(victim, Input::Message { connection, message: PeerMessage::Greet { version: peeredge_wire::PROTOCOL_VERSION }.encode() });
        let greeted = world.peers[victim].node.stats().peers.iter().any(|p| p.peer == stranger && p.open);
        prop_assert!(greeted, "the stranger was let in");
        for message in frames {
            world.input(victim, Input::Message { connection, message });
            // A few events of the honest transfer between two frames of the stranger.
            let mut events = 0;
            world.run_until(60, |_| {
                events += 1;
                events > 20
            });
        }
        for frame in relay_frames {
            world.input(victim, Input::RelayMessage(frame));
        }
        prop_assert!(world.run_until(120, |w| w.finished(receiver, 1)));
        prop_assert!(world.got(receiver, 1) == data);
    }
}
