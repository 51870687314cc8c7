//! Where no direct path opens in time, or one side shows its address to nobody, messages pass through the relay.

mod world;

use core::time::Duration;
use peeredge_node::{Input, RangeSpec};
use peeredge_wire::limits::CARRIED_WINDOW_BYTES_MAX;
use peeredge_wire::relay::{CarryEnd, FromRelay};
use peeredge_wire::{PeerId, RequestId};
use world::{World, bytes, publish};

const RATE: u32 = 4_000_000;

fn without_paths() -> World {
    let mut world = World::new();
    world.direct_paths = false;
    world.carried_bytes_per_s = RATE;
    world
}

#[test]
fn without_a_direct_path_a_content_comes_whole_through_the_relay() {
    let data = bytes(5_000_123, 1);
    let (content, stored) = publish(&data);
    let mut world = without_paths();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(!world.run_until(4, |w| w.carried_bytes > 0), "the direct path has its time");
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    assert!(world.got(b, 1) == data);
    let stats = world.peers[b].node.stats();
    assert_eq!((stats.from_peers_bytes, stats.rejected_bytes), (data.len() as u64, 0));
    assert!(stats.through_relay_bytes > data.len() as u64);
    assert!(stats.peers.iter().all(|peer| peer.open && peer.through_relay));
    assert_eq!(world.peers[a].sent_bytes, 0, "nothing left over a channel");
}

#[test]
fn a_direct_path_is_not_left_for_the_relay() {
    let data = bytes(1_000_000, 1);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    world.carried_bytes_per_s = RATE;
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    world.run_until(20, |_| false);
    assert_eq!(world.carried_bytes, 0);
    assert!(world.peers[b].node.stats().peers.iter().all(|peer| !peer.through_relay));
}

#[test]
fn a_peer_that_shows_its_address_to_nobody_makes_no_signal_and_gets_it_all() {
    let data = bytes(3_000_000, 2);
    let (content, stored) = publish(&data);
    for hidden in [[true, false], [false, true], [true, true]] {
        let mut world = World::new();
        world.carried_bytes_per_s = RATE;
        let [a, b] = hidden.map(|hidden| world.add(|config| config.direct = !hidden));
        world.hold(a, content, &stored);
        world.fetch(b, 1, content, RangeSpec::Whole);
        assert!(world.run_until(30, |w| w.finished(b, 1)), "hidden: {hidden:?}");
        assert!(world.got(b, 1) == data);
        for (peer, hidden) in [a, b].into_iter().zip(hidden) {
            assert!(!hidden || world.peers[peer].signals == 0, "a signal of a hidden peer");
            assert_eq!(world.peers[peer].sent_bytes, 0);
        }
    }
}

#[test]
fn a_hidden_peer_whose_relay_carries_nothing_connects_to_nobody() {
    let (content, stored) = publish(&bytes(100_000, 2));
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|config| config.direct = false));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(60, |w| w.finished(b, 1)));
    assert_eq!(world.peers[b].ended[&RequestId(1)], Err("unavailable"));
    assert_eq!((world.peers[b].signals, world.peers[b].node.stats().connections_made), (0, 0));
}

#[test]
fn what_leaves_keeps_to_the_relays_pace() {
    let (content, stored) = publish(&bytes(8 << 20, 3));
    let mut world = without_paths();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.carried_bytes > 100_000));
    let (before, began) = (world.carried_bytes, world.now);
    world.run_until(1, |_| false);
    let rate = (world.carried_bytes - before) as f64 / world.now.since(began).as_secs_f64();
    assert!(rate < 1.15 * f64::from(RATE), "{rate} bytes a second");
    assert!(rate > 0.5 * f64::from(RATE), "{rate} bytes a second");
    assert!(world.now.since(began) <= Duration::from_secs(1));
}

#[test]
fn when_the_relay_goes_so_do_the_paths_through_it() {
    let (content, stored) = publish(&bytes(8 << 20, 4));
    let mut world = without_paths();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.carried_bytes > 1_000_000));
    world.kill_relay();
    for peer in [a, b] {
        assert_eq!(world.peers[peer].node.stats().peers, []);
    }
}

#[test]
fn a_capped_session_ends_alone() {
    let (content, stored) = publish(&bytes(8 << 20, 4));
    let mut world = without_paths();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.carried_bytes > 1_000_000));
    let sessions: Vec<u64> = (0..64).collect();
    // Of sessions that do not exist nothing comes.
    for session in sessions {
        let (peer, end) = (world.peers[a].node.id(), CarryEnd::Capped);
        let closed = FromRelay::CarryClosed { peer, session, end };
        world.input(b, Input::RelayMessage(closed.encode()));
    }
    assert!(world.peers[b].node.stats().peers.iter().any(|peer| peer.open));
}

#[test]
fn a_stranger_that_carries_nonsense_costs_its_session() {
    let (content, stored) = publish(&bytes(100_000, 4));
    let mut world = without_paths();
    let a = world.add(|_| {});
    world.hold(a, content, &stored);
    world.run_until(1, |_| false);
    let from = PeerId([9; 32]);
    let say = |world: &mut World, message: FromRelay| world.input(a, Input::RelayMessage(message.encode()));
    let open = |session| FromRelay::CarryOpen { from, session, credit_bytes: u32::MAX };
    // A piece, and credit, for no session.
    say(&mut world, FromRelay::Carried { from, session: 1, last: true, piece: vec![0; 9] });
    say(&mut world, FromRelay::CarryCredit { from, session: 1, bytes: u32::MAX });
    assert_eq!(world.peers[a].node.stats().peers, []);
    // More than was granted.
    say(&mut world, open(2));
    let piece = vec![0; 16 << 10];
    for _ in 0..CARRIED_WINDOW_BYTES_MAX / (16 << 10) * 8 {
        say(&mut world, FromRelay::Carried { from, session: 2, last: false, piece: piece.clone() });
    }
    assert!(world.peers[a].node.stats().peers.is_empty(), "a message without end");
    // No message at all, and an empty one.
    for (session, piece) in [(3, vec![0xee; 50]), (4, vec![])] {
        say(&mut world, open(session));
        assert_eq!(world.peers[a].node.stats().peers.len(), 1);
        say(&mut world, FromRelay::Carried { from, session, last: true, piece });
        say(&mut world, FromRelay::CarryClosed { peer: from, session, end: CarryEnd::Gone });
        assert_eq!(world.peers[a].node.stats().peers, []);
    }
    // The same session twice, and credit beyond every number.
    say(&mut world, open(5));
    say(&mut world, open(5));
    for _ in 0..3 {
        say(&mut world, FromRelay::CarryCredit { from, session: 5, bytes: u32::MAX });
    }
    assert_eq!(world.peers[a].node.stats().peers.len(), 1);
}
