//! Servers that misbehave, as sources of the engine: each costs a second or two once, is asked a bounded number of times, and comes back.

mod world;

use core::time::Duration;
use peeredge_attacks::Attack;
use peeredge_node::{HttpFailure, Input, RangeSpec, Resource, Server};
use peeredge_wire::ContentId;
use std::cell::Cell;
use std::rc::Rc;
use world::{World, bytes, publish};

const LENGTH: usize = 8 << 20;
const HTTP_BYTES_PER_S: u64 = 4_000_000;
const ALONE_S: f64 = LENGTH as f64 / HTTP_BYTES_PER_S as f64;

type Result = core::result::Result<Vec<u8>, HttpFailure>;

struct Ran {
    world: World,
    content: ContentId,
    seconds: f64,
    asked: usize,
}

/// Fetches beside a site's server that answers so, after a wait.
fn run(waits: Duration, answer: impl Fn(Vec<u8>) -> Result + 'static) -> Ran {
    let data = bytes(LENGTH, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored);
    world.peers[receiver].http_bytes_per_s = HTTP_BYTES_PER_S;
    world.peers[receiver].origin = Some(Box::new(answer));
    world.peers[receiver].origin_waits = waits;
    world.run_until(1, |_| false);
    let began = world.now;
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    world.input(receiver, Input::Origin { content });
    assert!(world.run_until(120, |world| world.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    let seconds = world.now.since(began).as_secs_f64();
    let asked = asked(&world, Server::Origin);
    Ran { world, content, seconds, asked }
}

fn asked(world: &World, server: Server) -> usize {
    let of = |(asked, resource): &&(Server, Resource)| {
        *asked == server && matches!(resource, Resource::Bytes { .. })
    };
    world.peers[0].http_gets.iter().filter(of).count()
}

const SILENT: Duration = Duration::from_secs(3600);

#[test]
fn a_silent_one_costs_two_seconds_and_not_its_time_out() {
    let ran = run(SILENT, Ok);
    assert!(ran.seconds < ALONE_S + 2.0, "{}", ran.seconds);
    assert!(ran.asked <= 6, "{}", ran.asked);
}

#[test]
fn a_silent_one_costs_that_once_for_many_contents() {
    let Ran { mut world, .. } = run(SILENT, Ok);
    let began = world.now;
    for number in 0..4 {
        let data = bytes(LENGTH / 8, 10 + number);
        let (content, stored) = publish(&data);
        world.peers[0].http.insert(content, stored);
        let request = 2 + number as u32;
        world.fetch(0, request, content, RangeSpec::Whole);
        world.input(0, Input::Origin { content });
        assert!(world.run_until(60, |world| world.finished(0, request)));
        assert!(world.got(0, request) == data);
    }
    let seconds = world.now.since(began).as_secs_f64();
    assert!(seconds < ALONE_S / 2.0 + 1.0, "{seconds}");
}

#[test]
fn one_without_ranges_is_asked_no_more() {
    let ran = run(Duration::ZERO, |_| Err(HttpFailure::Status(200)));
    assert!(ran.seconds < ALONE_S + 1.0, "{}", ran.seconds);
    assert!(ran.asked <= 3, "{}", ran.asked);
    // Nor when the page says again where it is.
    let Ran { mut world, content, asked: before, .. } = ran;
    world.input(0, Input::Origin { content });
    world.run_until(1, |_| false);
    assert_eq!(asked(&world, Server::Origin), before);
}

#[test]
fn one_short_answer_is_no_lie() {
    let count = Cell::new(0);
    let ran = run(Duration::ZERO, move |mut bytes| {
        count.set(count.get() + 1);
        if count.get() == 1 {
            bytes.truncate(bytes.len() / 2 + 1);
        }
        Ok(bytes)
    });
    let stats = ran.world.peers[0].node.stats();
    assert_eq!(stats.rejected_bytes, 0);
    // What was whole of it counts, and it is asked again when it has rested.
    assert!(stats.from_origin_bytes > 0);
    assert!(ran.seconds < ALONE_S + 1.0, "{}", ran.seconds);
}

#[test]
fn one_that_is_short_each_time_rests_longer_each_time() {
    let ran = run(Duration::ZERO, |mut bytes| {
        bytes.truncate(bytes.len() - 1);
        Ok(bytes)
    });
    assert!(ran.asked <= 9, "{}", ran.asked);
    assert!(ran.seconds < ALONE_S + 1.0, "{}", ran.seconds);
}

#[test]
fn one_that_fails_comes_back() {
    // It has the only copy: the relay has the manifest and the records, and is slow to give bytes.
    let data = bytes(LENGTH, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored);
    world.peers[receiver].http_bytes_per_s = 500_000;
    let well = Rc::new(Cell::new(false));
    let is_well = well.clone();
    world.peers[receiver].origin =
        Some(Box::new(move |bytes| if is_well.get() { Ok(bytes) } else { Err(HttpFailure::Status(503)) }));
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    world.input(receiver, Input::Origin { content });
    world.run_until(3, |_| false);
    let failed = asked(&world, Server::Origin);
    assert!((1..=8).contains(&failed), "{failed}");
    well.set(true);
    assert!(world.run_until(60, |world| world.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
    assert!(world.peers[receiver].node.stats().from_origin_bytes > 0);
}

#[test]
fn one_that_is_slow_but_the_only_one_is_left_in_peace() {
    // 20 kB/s: a request takes seconds, and nothing is asked for twice.
    let data = bytes(256 << 10, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored);
    world.peers[receiver].http_bytes_per_s = 20_000;
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    assert!(world.run_until(60, |world| world.finished(receiver, 1)));
    let stats = world.peers[receiver].node.stats();
    assert_eq!(stats.duplicate_bytes, 0);
    assert!(asked(&world, Server::Relay) <= 6);
}

#[test]
fn a_manifest_that_was_cut_short_is_asked_for_again() {
    let data = bytes(LENGTH / 8, 3);
    let (content, mut stored) = publish(&data);
    let whole = stored.manifest.clone();
    stored.manifest.truncate(whole.len() - 1);
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http.insert(content, stored.clone());
    world.fetch(receiver, 1, content, RangeSpec::Whole);
    world.run_until(1, |_| false);
    stored.manifest = whole;
    world.peers[receiver].http.insert(content, stored);
    assert!(world.run_until(20, |world| world.finished(receiver, 1)));
    assert!(world.got(receiver, 1) == data);
}

/// A receiver whose relay is sound and whose site's server gives wrong bytes as long as `lies` is set.
fn beside_a_liar() -> (World, Rc<Cell<bool>>) {
    let mut world = World::new();
    let receiver = world.add(|config| config.http = true);
    world.peers[receiver].http_bytes_per_s = HTTP_BYTES_PER_S;
    let lies = Rc::new(Cell::new(true));
    let still = lies.clone();
    world.peers[receiver].origin = Some(Box::new(move |mut bytes| {
        bytes.iter_mut().filter(|_| still.get()).for_each(|byte| *byte ^= 1);
        Ok(bytes)
    }));
    world.run_until(1, |_| false);
    (world, lies)
}

fn pass(world: &mut World, seconds: u64) {
    world.now = world.now + Duration::from_secs(seconds);
}

/// Fetches one more content that this server has; gives how often it was asked for it.
fn one_more(world: &mut World, number: u32, host: Option<u32>) -> usize {
    let data = bytes(LENGTH / 8, u64::from(number) + 100);
    let (content, stored) = publish(&data);
    world.peers[0].http.insert(content, stored);
    let before = asked(world, Server::Origin);
    world.fetch(0, number, content, RangeSpec::Whole);
    if let Some(host) = host {
        world.input(0, Input::OriginHost { content, host });
    }
    world.input(0, Input::Origin { content });
    assert!(world.run_until(60, |world| world.finished(0, number)));
    assert!(world.got(0, number) == data);
    asked(world, Server::Origin) - before
}

#[test]
fn one_that_lies_about_three_contents_is_asked_for_no_other() {
    let (mut world, _) = beside_a_liar();
    let first: Vec<usize> = (0..3).map(|number| one_more(&mut world, number, None)).collect();
    let later: usize = (3..30).map(|number| one_more(&mut world, number, None)).sum();
    // Behind its rest one more lie is enough, and the next rest is longer.
    pass(&mut world, 120);
    let again = one_more(&mut world, 30, None);
    pass(&mut world, 130);
    let longer: usize = (31..40).map(|number| one_more(&mut world, number, None)).sum();
    let rejected = world.peers[0].node.stats().rejected_bytes;
    Attack::new("node", "servers", "gives wrong bytes of every content of a site")
        .spent("40 contents of 1 MiB")
        .lost(format!("{rejected} bytes; asked {first:?} times for the first three, {again} behind its rest"))
        .end(
            first.iter().all(|&asked| (1..=3).contains(&asked))
                && (later, longer) == (0, 0)
                && (1..=3).contains(&again)
                && world.peers[0].node.stats().from_origin_bytes == 0,
        );
}

#[test]
fn one_that_no_longer_lies_comes_back_behind_its_rest() {
    let (mut world, lies) = beside_a_liar();
    (0..3).for_each(|number| _ = one_more(&mut world, number, None));
    lies.set(false);
    assert_eq!(one_more(&mut world, 3, None), 0);
    pass(&mut world, 120);
    assert!(one_more(&mut world, 4, None) > 3);
    assert!(world.peers[0].node.stats().from_origin_bytes > 0);
}

#[test]
fn a_liar_takes_no_other_server_with_it_and_two_files_that_were_replaced_are_none() {
    let (mut world, lies) = beside_a_liar();
    (0..3).for_each(|number| _ = one_more(&mut world, number, Some(7)));
    // Two files of another server are no longer what the links say.
    (3..5).for_each(|number| assert!(one_more(&mut world, number, Some(8)) > 0));
    lies.set(false);
    assert_eq!(one_more(&mut world, 5, Some(7)), 0);
    assert!(one_more(&mut world, 6, Some(8)) > 3);
}
