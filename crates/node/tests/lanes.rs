//! Several connections to one peer: opened where they gain something, and only there.

mod world;

use peeredge_node::{Config, RangeSpec};
use peeredge_wire::ContentId;
use world::{World, bytes, publish};

const LENGTH: usize = 24 << 20;
const ROUND_TRIP_MICROS: u64 = 40_000;

/// A seeder and a receiver that fetches from it.
struct Pair {
    world: World,
    seeder: usize,
    receiver: usize,
    data: Vec<u8>,
    /// The most connections to the seeder seen at any time.
    most: u16,
}

impl Pair {
    fn new(change: impl FnOnce(&mut Config)) -> Pair {
        let data = bytes(LENGTH, 1);
        let (content, stored) = publish(&data);
        let mut world = World::new();
        let (seeder, receiver) = (world.add(|_| {}), world.add(change));
        world.hold(seeder, content, &stored);
        Pair::fetch(&mut world, receiver, content);
        Pair { world, seeder, receiver, data, most: 0 }
    }

    fn fetch(world: &mut World, receiver: usize, content: ContentId) {
        world.fetch(receiver, 1, content, RangeSpec::Whole);
    }

    fn connections(&self) -> u16 {
        self.world.peers[self.receiver].node.stats().peers.first().map_or(0, |peer| peer.connections)
    }

    /// Runs for so long with these round trips, or until all has arrived.
    fn run(&mut self, tenths: u64, round_trip_micros: Option<u64>) {
        for _ in 0..tenths {
            if let Some(micros) = round_trip_micros {
                self.world.round_trips(self.receiver, micros);
            }
            let until = self.world.now + core::time::Duration::from_millis(100);
            self.world.run_until(1, |world| world.now >= until);
            self.most = self.most.max(self.connections());
        }
    }

    fn is_done(&self) -> bool {
        self.world.finished(self.receiver, 1)
    }
}

#[test]
fn where_each_connection_is_slow_eight_carry_what_eight_can() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 300_000;
    // One alone would take 84 s.
    pair.run(160, Some(ROUND_TRIP_MICROS));
    assert!(pair.is_done());
    assert_eq!(pair.most, 8);
    assert!(pair.world.got(pair.receiver, 1) == pair.data);
}

#[test]
fn where_the_uplink_is_the_limit_more_connections_are_tried_once_and_closed() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].uplink_bytes_per_s = 600_000;
    pair.run(40, Some(ROUND_TRIP_MICROS));
    assert_eq!((pair.most, pair.connections()), (8, 1));
    pair.most = 0;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.most, 1);
}

#[test]
fn where_a_queue_grows_none_are_opened_and_open_ones_are_closed() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 100_000;
    pair.run(5, Some(ROUND_TRIP_MICROS));
    pair.run(40, Some(3 * ROUND_TRIP_MICROS));
    assert_eq!(pair.most, 1);

    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 100_000;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.connections(), 8);
    pair.run(40, Some(3 * ROUND_TRIP_MICROS));
    assert!(pair.connections() <= 2, "{}", pair.connections());
}

#[test]
fn a_thin_path_is_not_filled_with_handshakes() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 10_000;
    pair.run(30, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.most, 1);
}

#[test]
fn a_rate_that_collapses_without_a_queue_is_not_left_to_one_connection() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].uplink_bytes_per_s = 600_000;
    pair.run(40, Some(ROUND_TRIP_MICROS));
    // Eight gained nothing, and would rest for ten seconds.
    assert_eq!((pair.most, pair.connections()), (8, 1));
    pair.world.peers[pair.seeder].connection_bytes_per_s = 60_000;
    // The last round trip measured will do.
    pair.run(30, None);
    assert_eq!(pair.connections(), 8);
}

#[test]
fn without_a_measured_round_trip_there_is_one_connection() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 300_000;
    pair.run(60, None);
    assert_eq!(pair.most, 1);
}

#[test]
fn where_the_receivers_own_downlink_is_the_limit_one_to_each_peer_is_enough_once_that_is_known() {
    let data = bytes(LENGTH, 1);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let seeders = [0; 3].map(|_| world.add(|_| {}));
    let receiver = world.add(|_| {});
    for seeder in seeders {
        world.peers[seeder].uplink_bytes_per_s = 900_000;
        world.hold(seeder, content, &stored);
    }
    world.peers[receiver].downlink_bytes_per_s = 600_000;
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    let most = |world: &mut World, tenths: u64| {
        let mut most = 0;
        for _ in 0..tenths {
            world.round_trips(receiver, ROUND_TRIP_MICROS);
            let until = world.now + core::time::Duration::from_millis(100);
            world.run_until(1, |world| world.now >= until);
            let peers = world.peers[receiver].node.stats().peers;
            most = most.max(peers.iter().map(|peer| peer.connections).max().unwrap_or(0));
        }
        most
    };
    // At first one peer's gain hides that it is the others' loss.
    assert!(most(&mut world, 60) >= 4);
    most(&mut world, 140);
    assert_eq!(most(&mut world, 120), 1);
    assert!(!world.finished(receiver, 1), "it is not the end that stopped it");
}

#[test]
fn a_fast_connection_stays_alone() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].uplink_bytes_per_s = 5_000_000;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert!(pair.is_done());
    assert_eq!(pair.most, 1);
}

#[test]
fn the_caps_bound_them() {
    let mut pair = Pair::new(|config| config.caps.connections_max = 3);
    pair.world.peers[pair.seeder].connection_bytes_per_s = 300_000;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.most, 3);

    let mut pair = Pair::new(|config| config.caps.connections_made_max = 8);
    pair.world.peers[pair.seeder].connection_bytes_per_s = 300_000;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.most, 4);
}

#[test]
fn all_end_with_the_first() {
    let mut pair = Pair::new(|_| {});
    pair.world.peers[pair.seeder].connection_bytes_per_s = 300_000;
    pair.run(60, Some(ROUND_TRIP_MICROS));
    assert_eq!(pair.connections(), 8);
    pair.world.kill(pair.seeder);
    pair.world.run_until(1, |_| false);
    assert_eq!(pair.connections(), 0);
    let events = &pair.world.peers[pair.receiver].events;
    let of_peers = |opened: bool| {
        events
            .iter()
            .filter(|event| match event {
                peeredge_node::Event::PeerOpened { .. } => opened,
                peeredge_node::Event::PeerClosed { .. } => !opened,
                _ => false,
            })
            .count()
    };
    assert_eq!((of_peers(true), of_peers(false)), (1, 1));
}
