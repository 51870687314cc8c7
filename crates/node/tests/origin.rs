//! The site's own server as one more source: ordinary ranges, found out when it lies.

mod world;

use peeredge_node::{HttpFailure, Input, RangeSpec, Server};
use world::{World, bytes, publish};

const LENGTH: usize = 4 << 20;

/// Fetches with an origin that gives what `answer` makes of the right bytes; gives the world, and how often the origin was asked.
fn fetch_beside(answer: impl Fn(Vec<u8>) -> Result<Vec<u8>, HttpFailure> + 'static) -> (World, Vec<u8>) {
    let data = bytes(LENGTH, 9);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored);
    world.peers[receiver].origin = Some(Box::new(answer));
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    world.input(receiver, Input::Origin { content });
    assert!(world.run_until(120, |world| world.finished(receiver, 1)));
    (world, data)
}

#[test]
fn an_honest_one_gives_all_the_bytes_and_the_relay_none() {
    let (world, data) = fetch_beside(Ok);
    assert!(world.got(0, 1) == data);
    let stats = world.peers[0].node.stats();
    assert_eq!((stats.from_origin_bytes, stats.rejected_bytes), (LENGTH as u64, 0));
    let relay_bytes = world.peers[0].http_gets.iter().any(|(server, resource)| {
        *server == Server::Relay && matches!(resource, peeredge_node::Resource::Bytes { .. })
    });
    assert!(!relay_bytes);
}

#[test]
fn a_lying_one_is_asked_no_more_and_nothing_of_it_is_delivered() {
    let (world, data) = fetch_beside(|mut bytes| {
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        Ok(bytes)
    });
    assert!(world.got(0, 1) == data);
    let stats = world.peers[0].node.stats();
    assert_eq!(stats.from_origin_bytes, 0);
    assert!(stats.rejected_bytes > 0);
    let asked = world.peers[0].http_gets.iter().filter(|(server, _)| *server == Server::Origin).count();
    assert!(asked <= 3, "{asked}");
}

#[test]
fn a_broken_one_rests_and_the_relay_stands_in() {
    for answer in [Err(HttpFailure::Network), Err(HttpFailure::Status(500)), Ok(Vec::new())] {
        let (world, data) = fetch_beside(move |_| answer.clone());
        assert!(world.got(0, 1) == data);
        assert_eq!(world.peers[0].node.stats().from_origin_bytes, 0);
    }
}

#[test]
fn whoever_loses_the_race_is_cancelled() {
    let data = bytes(LENGTH, 9);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let seeder = world.add(|_| {});
    world.hold(seeder, content, &stored);
    // The server gives next to nothing: at the end the peer is asked for what it owes.
    world.peers[seeder].uplink_bytes_per_s = 300_000;
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored);
    world.peers[receiver].http_bytes_per_s = 10_000;
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    assert!(world.run_until(60, |world| world.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    assert!(world.peers[receiver].http_cancelled > 0);
}
