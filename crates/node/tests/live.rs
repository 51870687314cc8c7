//! A content that grows is followed across a relay, and its parts come like any content.

mod world;

use ed25519_dalek::SigningKey;
use peeredge_attacks::Attack;
use peeredge_dts::LiveWriter;
use peeredge_node::{Event, Input, LiveEntry, LiveInput, RangeSpec};
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ContentId, PeerId, RequestId};
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

/// A second list under the key of one of the world's peers.
fn second_list(world: &World, publisher: usize, epoch_ms: u64) -> LiveWriter {
    let key = SigningKey::from_bytes(&[publisher as u8 + 1; 32]);
    assert_eq!(PeerId(key.verifying_key().to_bytes()), world.peers[publisher].node.id());
    LiveWriter::new(key, &name(), epoch_ms).expect("a name")
}

fn made_up(n: u8) -> LiveEntry {
    LiveEntry { content: ContentId([n; 32]), length: 1, duration_ms: 1 }
}

fn show(world: &mut World, peer: usize, publisher: usize, head: Vec<u8>) {
    let publisher = world.peers[publisher].node.id();
    world.input(peer, Input::RelayMessage(FromRelay::Head { publisher, name: name(), head }.encode()));
}

fn forks(world: &World, peer: usize) -> usize {
    let is_fork = |event: &&Event| **event == Event::LiveForked { follow: FOLLOW };
    world.peers[peer].events.iter().filter(is_fork).count()
}

/// A publisher shows a follower one list, and then another, which differs in what the follower knows.
#[test]
fn a_publisher_that_signs_two_lists_is_found_out_or_its_second_one_is_no_continuation() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    follow(&mut world, b, a);
    let entries: Vec<_> = (1..4).map(|seed| append(&mut world, a, seed)).collect();
    world.run_until(1, |_| false);
    assert_eq!(told(&world, b), entries);
    let mut second = second_list(&world, a, 1000);
    (0..3 + 64).for_each(|n| second.append(made_up(n)));
    world.relay_alive = false;
    // Twice: the page is told once.
    (0..2).for_each(|_| show(&mut world, b, a, second.head(2000)));
    let (refused, found) = (told(&world, b) == entries, forks(&world, b));
    // One entry more, and no head ties the two any longer.
    second.append(made_up(67));
    show(&mut world, b, a, second.head(2000));
    let (_, news) = world.peers[b].lives.last().expect("told").clone();
    Attack::new("node", "live", "signs two lists and shows a follower first the one and then the other")
        .spent("the publisher's own key, and 68 parts")
        .lost(format!(
            "nothing; {found} word to the page, and a gap from {:?} to {}",
            news.gap_from, news.first
        ))
        .end(refused && found == 1 && (news.gap_from, news.first) == (Some(3), 4));
}

/// Whoever carries heads has those that were signed and no key: it shows them in any order, cut, joined and changed.
#[test]
fn who_carries_heads_cannot_hide_a_gap_or_make_one() {
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.run_until(1, |_| false);
    world.input(a, Input::Live(LiveInput::Begin { name: name(), epoch_ms: 1000 }));
    follow(&mut world, b, a);
    let entry = append(&mut world, a, 1);
    world.run_until(1, |_| false);
    world.relay_alive = false;
    let mut list = second_list(&world, a, 1000);
    list.append(entry);
    let heads: Vec<Vec<u8>> = (1..200)
        .map(|n| {
            list.append(made_up(n));
            list.head(2000)
        })
        .collect();
    // The one after 100 more, with the entries or the hash of another.
    let mut changed = Vec::new();
    for other in [&heads[98], &heads[10], &heads[150]] {
        // Behind what is the same in all of them: so it is changed, and no other.
        for at in (63..heads[100].len()).step_by(7) {
            let mut head = heads[100].clone();
            head[at..].copy_from_slice(&[other.as_slice(), &[0; 4096]].concat()[at..heads[100].len()]);
            changed.push(head);
        }
    }
    let changes = changed.len();
    changed.into_iter().filter(|head| *head != heads[100]).for_each(|head| show(&mut world, b, a, head));
    let fooled = told(&world, b).len() != 1;
    show(&mut world, b, a, heads[100].clone());
    let gap = world.peers[b].lives.last().map(|(_, news)| (news.gap_from, news.first));
    // What is older than that is no news.
    heads[..100].iter().for_each(|head| show(&mut world, b, a, head.clone()));
    let last = world.peers[b].lives.last().map(|(_, news)| (news.gap_from, news.first));
    show(&mut world, b, a, heads[101].clone());
    let next = world.peers[b].lives.last().map(|(_, news)| (news.gap_from, news.first, news.entries.len()));
    Attack::new("node", "live", "carries heads, holds them back, changes them and shows old ones")
        .spent(format!("{} heads, {changes} of them changed", heads.len() + changes))
        .lost("the parts that it held back, of which the page is told")
        .end(
            !fooled
                && (gap, last) == (Some((Some(1), 38)), gap)
                && next == Some((None, 102, 1))
                && forks(&world, b) == 0,
        );
}
