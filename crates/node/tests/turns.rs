//! Several receivers share an uplink with a cap.

mod world;

use peeredge_node::{Caps, Input, RangeSpec};
use peeredge_wire::peer::PeerMessage;
use world::{World, bytes, publish};

/// Two fetch a content each from one holder, and the second says of all that it wants that it is needed in so many milliseconds. Gives the
/// second one's share of what comes in 15 s, in which neither gets all.
fn share_of_who_says(due_ms: u32) -> f64 {
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    let contents = [3, 4].map(|seed| publish(&bytes(8 << 20, seed)));
    for (content, stored) in &contents {
        world.hold(a, *content, stored);
    }
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 400_000, ..Caps::default() }));
    world.peers[c].tamper = Some(Box::new(move |frame| {
        let changed = match PeerMessage::decode(&frame) {
            Ok(PeerMessage::Want { content, block, deadline_ms, picks, .. }) => {
                PeerMessage::Want { content, block, deadline_ms, due_ms, picks }.encode()
            }
            _ => frame,
        };
        vec![changed]
    }));
    world.fetch(b, 1, contents[0].0, RangeSpec::Whole);
    world.fetch(c, 1, contents[1].0, RangeSpec::Whole);
    world.run_until(15, |_| false);
    let [first, second] = [b, c].map(|peer| world.peers[peer].node.stats().from_peers_bytes as f64);
    assert!(first + second > 5e6, "{first} {second}");
    second / (first + second)
}

#[test]
fn who_calls_everything_urgent_gets_its_share_and_no_more() {
    let share = share_of_who_says(0);
    assert!((0.45..0.6).contains(&share), "{share}");
}

#[test]
fn what_is_needed_later_waits_for_what_others_need_sooner() {
    let share = share_of_who_says(60_000);
    assert!(share < 0.25, "{share}");
}

/// The share of what comes that one receiver gets beside so many keys of one owner, where the shell tells whose they are.
fn share_beside(keys: usize) -> f64 {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    let crowd: Vec<usize> = (0..keys).map(|_| world.add(|_| {})).collect();
    let contents: Vec<_> = (0..=keys).map(|n| publish(&bytes(8 << 20, 10 + n as u64))).collect();
    for (content, stored) in &contents {
        world.hold(a, *content, stored);
    }
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 1_000_000, ..Caps::default() }));
    // They want contents of their own, so that none helps another.
    for (n, peer) in [b].into_iter().chain(crowd.iter().copied()).enumerate() {
        world.fetch(peer, 1, contents[n].0, RangeSpec::Whole);
    }
    world.run_until(2, |w| w.peers[a].connections.len() > keys);
    let honest = world.peers[b].node.id();
    let connections: Vec<_> = world.peers[a].connections.iter().map(|(&c, &peer)| (c, peer)).collect();
    assert!(connections.len() > keys, "{}", connections.len());
    for (connection, peer) in connections {
        let owner = if peer == honest { 1 } else { 2 };
        world.input(a, Input::Owner { connection, owner });
    }
    let all: Vec<usize> = [b].into_iter().chain(crowd).collect();
    let arrived = |world: &World| -> Vec<u64> {
        all.iter().map(|&peer| world.peers[peer].node.stats().from_peers_bytes).collect()
    };
    let before = arrived(&world);
    world.run_until(12, |_| false);
    let came: Vec<u64> = arrived(&world).iter().zip(before).map(|(after, before)| after - before).collect();
    came[0] as f64 / came.iter().sum::<u64>() as f64
}

#[test]
fn whoever_has_many_keys_has_one_share() {
    let share = share_beside(8);
    assert!((0.4..0.62).contains(&share), "{share}");
}

#[test]
fn a_cap_of_nothing_refuses_everybody() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    let (content, stored) = publish(&bytes(1 << 20, 5));
    world.hold(a, content, &stored);
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 0, ..Caps::default() }));
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.run_until(5, |_| false);
    assert_eq!(world.peers[a].node.stats().sent_bytes, 0);
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 1_000_000, ..Caps::default() }));
    assert!(world.run_until(10, |w| w.finished(b, 1)), "asked again once the visitor allows it");
}
