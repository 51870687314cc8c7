//! Contents are held ahead of demand only where the visitor agreed, only in idle times, and within the room that was lent.

mod world;

use core::time::Duration;
use peeredge_node::{Caps, Input, RangeSpec};
use peeredge_wire::relay::FromRelay;
use world::{World, bytes, publish};

const LENGTH: usize = 3_000_000;

/// A world of a publisher and a peer that lends so many bytes; both know their relay.
fn lending(prefetch_bytes_max: u64) -> (World, usize, usize) {
    let mut world = World::new();
    let publisher = world.add(|_| {});
    let idle = world.add(|config| config.caps.prefetch_bytes_max = prefetch_bytes_max);
    (world, publisher, idle)
}

fn ask(world: &mut World, peer: usize, frame: FromRelay) {
    world.input(peer, Input::RelayMessage(frame.encode()));
}

fn pass(world: &mut World, seconds: u64) {
    let until = world.now + Duration::from_secs(seconds);
    world.run_until(seconds, |world| world.now >= until);
}

#[test]
fn what_the_relay_asks_for_is_fetched_whole_stored_and_served_on_and_the_page_sees_none_of_it() {
    let (mut world, publisher, idle) = lending(10_000_000);
    let data = bytes(LENGTH, 1);
    let (content, stored) = publish(&data);
    world.hold(publisher, content, &stored);
    pass(&mut world, 1);
    ask(&mut world, idle, FromRelay::Prefetch { content });
    pass(&mut world, 10);
    assert_eq!(world.peers[idle].store[&content].data, data);
    let peer = &world.peers[idle];
    assert!(
        peer.got.is_empty() && peer.heads.is_empty() && peer.ended.is_empty() && peer.http_gets.len() <= 1
    );
    // A newcomer has it from there alone.
    world.kill(publisher);
    let newcomer = world.add(|_| {});
    pass(&mut world, 1);
    world.fetch(newcomer, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |world| world.finished(newcomer, 1)));
    assert_eq!(world.got(newcomer, 1), data);
}

#[test]
fn without_the_visitors_agreement_nothing_is_fetched() {
    for caps in
        [Caps::default(), Caps { prefetch_bytes_max: 1 << 30, upload_allowed: false, ..Caps::default() }]
    {
        let (mut world, publisher, idle) = lending(0);
        let (content, stored) = publish(&bytes(LENGTH, 2));
        world.hold(publisher, content, &stored);
        world.input(idle, Input::Caps(caps));
        pass(&mut world, 1);
        ask(&mut world, idle, FromRelay::Prefetch { content });
        pass(&mut world, 10);
        assert!(world.peers[idle].store.is_empty());
        assert_eq!(world.peers[idle].node.stats().from_peers_bytes, 0);
    }
}

#[test]
fn what_does_not_fit_the_room_that_was_lent_is_let_go_as_soon_as_its_length_is_known() {
    let (mut world, publisher, idle) = lending(LENGTH as u64 + 100_000);
    let contents = [3, 4].map(|seed| publish(&bytes(LENGTH, seed)));
    for (content, stored) in &contents {
        world.hold(publisher, *content, stored);
    }
    pass(&mut world, 1);
    for (content, _) in &contents {
        ask(&mut world, idle, FromRelay::Prefetch { content: *content });
    }
    pass(&mut world, 20);
    let whole = contents.iter().filter(|(content, stored)| {
        world.peers[idle].store.get(content).is_some_and(|held| held.data == stored.data)
    });
    assert_eq!(whole.count(), 1);
    assert!(world.peers[idle].node.stats().from_peers_bytes < LENGTH as u64 * 3 / 2);
}

#[test]
fn what_is_fetched_ahead_rests_while_the_page_wants_something() {
    let (mut world, publisher, idle) = lending(10_000_000);
    let (ahead, ahead_stored) = publish(&bytes(LENGTH, 5));
    let (wanted, wanted_stored) = publish(&bytes(LENGTH, 6));
    world.hold(publisher, ahead, &ahead_stored);
    pass(&mut world, 1);
    // Nobody has yet what the page wants, so the page waits.
    world.fetch(idle, 1, wanted, RangeSpec::Whole);
    ask(&mut world, idle, FromRelay::Prefetch { content: ahead });
    pass(&mut world, 5);
    assert_eq!(world.peers[idle].node.stats().from_peers_bytes, 0);
    world.hold(publisher, wanted, &wanted_stored);
    assert!(world.run_until(40, |world| world.finished(idle, 1)));
    pass(&mut world, 15);
    assert_eq!(world.peers[idle].store[&ahead].data, ahead_stored.data);
}

#[test]
fn a_release_ends_the_fetch() {
    let (mut world, publisher, idle) = lending(10_000_000);
    let (content, stored) = publish(&bytes(LENGTH, 7));
    world.peers[publisher].uplink_bytes_per_s = 100_000;
    world.hold(publisher, content, &stored);
    pass(&mut world, 1);
    ask(&mut world, idle, FromRelay::Prefetch { content });
    pass(&mut world, 5);
    ask(&mut world, idle, FromRelay::Release { content });
    pass(&mut world, 2);
    let then = world.peers[idle].node.stats().from_peers_bytes;
    assert!(then > 0 && then < LENGTH as u64, "{then}");
    pass(&mut world, 20);
    assert!(
        world.peers[idle].node.stats().from_peers_bytes < then + 300_000,
        "what was under way may still come"
    );
}
