//! A content that grows is followed across a relay, and its parts come like any content.

mod world;

use ed25519_dalek::SigningKey;
use peeredge_attacks::Attack;
use peeredge_dts::LiveWriter;
use peeredge_node::{Input, LiveEntry, LiveInput, RangeSpec};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{PeerId, RequestId};
use world::{World, bytes, publish};

const FOLLOW: RequestId = RequestId(900);

fn name() -> String {
    "match".to_owned()
}

fn append(world: &mut World, publisher: usize, seed: u64) -> LiveEntry {
    let data = bytes(200_000 + seed as usize, seed);
    let (content, stored) = publish(&data);
    world.hold(publisher, content, &stored);
    let entry = LiveEntry { content, length: data.len() as u64, duration_ms: 2000 };
    world.input(publisher, Input::Live(LiveInput::Append { name: name(), entry }));
    entry
}

fn follow(world: &mut World, peer: usize, publisher: usize) {
    let publisher = world.peers[publisher].node.id();
    world.input(peer, Input::Live(LiveInput::Follow { follow: FOLLOW, publisher, name: name() }));
}

/// The entries that a peer's page was told of, in order.
fn told(world: &World, peer: usize) -> Vec<LiveEntry> {
    world.peers[peer].lives.iter().flat_map(|(_, news)| news.entries.clone()).collect()
}

#[test]
fn followers_learn_of_each_part_as_it_comes_and_fetch_it_from_the_publisher_and_each_other() {
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    follow(&mut world, b, a);
    let mut entries = vec![append(&mut world, a, 1)];
    world.run_until(1, |_| false);
    follow(&mut world, c, a);
    for seed in 2..6 {
        entries.push(append(&mut world, a, seed));
        world.run_until(1, |_| false);
        for peer in [b, c] {
            assert_eq!(told(&world, peer), entries);
            let entry = *entries.last().expect("just added");
            world.fetch(peer, seed as u32, entry.content, RangeSpec::Whole);
            assert!(world.run_until(20, |w| w.finished(peer, seed as u32)));
            assert_eq!(world.got(peer, seed as u32), bytes(entry.length as usize, seed));
        }
    }
    world.input(a, Input::Live(LiveInput::End { name: name() }));
    world.run_until(1, |_| false);
    assert!(world.peers[b].lives.last().expect("told").1.ended);
    assert_eq!(told(&world, b), entries);
}

#[test]
fn what_is_not_signed_by_the_links_key_reaches_no_page() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    append(&mut world, a, 1);
    let (honest, other) = (world.peers[a].node.id(), PeerId([9; 32]));
    world.input(b, Input::Live(LiveInput::Follow { follow: FOLLOW, publisher: other, name: name() }));
    world.input(
        b,
        Input::Live(LiveInput::Follow { follow: RequestId(901), publisher: honest, name: "another".into() }),
    );
    world.run_until(1, |_| false);
    // A relay that passes one publisher's head off as another's, or under another name, and noise.
    let head = world.head(a, &name());
    for (publisher, name) in [(other, name()), (honest, "another".to_owned())] {
        for head in [head.clone(), vec![], vec![0xee; 200]] {
            let message = FromRelay::Head { publisher, name: name.clone(), head };
            world.input(b, Input::RelayMessage(message.encode()));
        }
    }
    assert_eq!(world.peers[b].lives, []);
}

#[test]
fn an_extension_that_a_relay_changed_or_made_up_is_refused_and_the_true_one_taken() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    follow(&mut world, b, a);
    let first = append(&mut world, a, 1);
    world.run_until(1, |_| false);
    assert_eq!(told(&world, b), [first]);
    let publisher = world.peers[a].node.id();
    world.relay_alive = false;
    let second = append(&mut world, a, 2);
    let mut writer = LiveWriter::new(SigningKey::from_bytes(&[3; 32]), &name(), 2000).expect("a name");
    writer.append(second);
    let mut forged = vec![writer.head(2000)];
    let head = world.head(a, &name());
    forged.extend((0..head.len()).map(|at| {
        let mut head = head.clone();
        head[at] ^= 1;
        head
    }));
    for head in forged {
        let message = FromRelay::Head { publisher, name: name(), head };
        world.input(b, Input::RelayMessage(message.encode()));
    }
    assert_eq!(told(&world, b), [first]);
    world.relay_alive = true;
    let third = append(&mut world, a, 3);
    world.run_until(1, |_| false);
    assert_eq!(told(&world, b), [first, second, third]);
}

#[test]
fn a_follower_that_was_away_gets_what_it_missed_and_one_that_left_hears_nothing() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    follow(&mut world, b, a);
    let mut entries = vec![append(&mut world, a, 1)];
    world.run_until(1, |_| false);
    world.input(b, Input::RelayClosed);
    entries.push(append(&mut world, a, 2));
    entries.push(append(&mut world, a, 3));
    world.run_until(10, |_| false);
    assert_eq!(told(&world, b), entries);
    world.input(b, Input::Live(LiveInput::Unfollow { follow: FOLLOW }));
    append(&mut world, a, 4);
    world.run_until(1, |_| false);
    assert_eq!(told(&world, b), entries);
}

/// A relay, or whoever gets at one, keeps a head that was signed and shows it to those who begin to follow.
#[test]
fn an_old_head_is_shown_to_nobody_who_begins_to_follow() {
    const BEGAN_MS: u64 = 1_700_000_000_000;
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: BEGAN_MS }));
    let mut entries = vec![append(&mut world, a, 1)];
    let old = world.head(a, &name());
    entries.push(append(&mut world, a, 2));
    // Nothing is added for a quarter of an hour, and yet it can be told that it goes on.
    world.run_until(900, |_| false);
    let publisher = world.peers[a].node.id();
    world.input(b, Input::Live(LiveInput::Clock { unix_ms: BEGAN_MS + 900_000 }));
    world.relay_alive = false;
    world.input(b, Input::Live(LiveInput::Follow { follow: FOLLOW, publisher, name: name() }));
    world.input(b, Input::RelayMessage(FromRelay::Head { publisher, name: name(), head: old }.encode()));
    let fooled = !told(&world, b).is_empty();
    let fresh = world.head(a, &name());
    world.input(b, Input::RelayMessage(FromRelay::Head { publisher, name: name(), head: fresh }.encode()));
    Attack::new("node", "live", "shows an old head to one who begins to follow")
        .spent("one head of a quarter of an hour ago")
        .lost("nothing")
        .end(!fooled && told(&world, b) == entries);
}
