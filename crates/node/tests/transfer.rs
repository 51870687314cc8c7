//! A content crosses between nodes, whole and in ranges, from peers, from HTTP and from the store.

mod world;

use peeredge_dts::Layout;
use peeredge_node::{Caps, Event, Input, RangeSpec, Resource};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::{ContentId, RequestId};
use std::cell::RefCell;
use std::rc::Rc;
use world::{World, bytes, publish, publish_as};

#[test]
fn one_receiver_gets_it_all() {
    let data = bytes(5_000_123, 1);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    assert!(world.got(b, 1) == data);
    let stats = world.peers[b].node.stats();
    assert_eq!(
        (stats.from_peers_bytes, stats.duplicate_bytes, stats.rejected_bytes),
        (data.len() as u64, 0, 0)
    );
    world.run_until(3, |_| false);
    assert!(world.peers[b].store[&content].data == data);
    assert!(world.peers[b].events.contains(&Event::Complete { content }));
}

#[test]
fn receivers_exchange_what_they_have() {
    let data = bytes(16 << 20, 2);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.fetch(c, 1, content, RangeSpec::Whole);
    assert!(world.run_until(60, |w| w.finished(b, 1) && w.finished(c, 1)));
    assert!(world.got(b, 1) == data && world.got(c, 1) == data);
    let copies = world.peers[a].sent_bytes as f64 / data.len() as f64;
    assert!(copies < 1.6, "the seeder sent {copies} copies");
}

#[test]
fn a_range_fetches_its_symbols_only() {
    let data = bytes(8 << 20, 3);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::From { start: 4_000_001, end: Some(4_100_000) });
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    assert!(world.got(b, 1) == &data[4_000_001..=4_100_000]);
    assert_eq!(world.peers[b].heads[&RequestId(1)], (4_000_001, 4_100_001, 8 << 20));
    assert!(world.peers[b].node.stats().from_peers_bytes <= 100_000 + 2 * 16384);
    world.fetch(b, 2, content, RangeSpec::From { start: 8 << 20, end: None });
    assert!(world.run_until(5, |w| w.finished(b, 2)));
    assert_eq!(world.peers[b].ended[&RequestId(2)], Err("range_not_satisfiable"));
}

#[test]
fn the_relay_may_vanish_after_the_introductions() {
    let data = bytes(8 << 20, 4);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.fetch(c, 1, content, RangeSpec::Whole);
    assert!(
        world.run_until(20, |w| [b, c].iter().all(|&p| w.peers[p].node.stats().from_peers_bytes > 1 << 20))
    );
    world.kill_relay();
    assert!(world.run_until(60, |w| w.finished(b, 1) && w.finished(c, 1)));
    assert!(world.got(b, 1) == data && world.got(c, 1) == data);
}

#[test]
fn a_seeder_may_leave_when_the_others_hold_enough() {
    let data = bytes(8 << 20, 5);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.fetch(c, 1, content, RangeSpec::Whole);
    let half = |w: &World, p: usize| w.peers[p].node.stats().contents[0].held_bytes;
    assert!(world.run_until(20, |w| half(w, b).max(half(w, c)) >= 8 << 20));
    world.kill(a);
    assert!(world.run_until(60, |w| w.finished(b, 1) && w.finished(c, 1)));
    assert!(world.got(b, 1) == data && world.got(c, 1) == data);
}

#[test]
fn http_carries_everything_when_there_are_no_peers() {
    let data = bytes(5 << 20, 6);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let a = world.add(|c| c.http = true);
    world.peers[a].http.insert(content, stored);
    world.fetch(a, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(a, 1)));
    assert!(world.got(a, 1) == data);
    assert_eq!(world.peers[a].node.stats().from_http_bytes, data.len() as u64);
}

#[test]
fn http_that_lies_is_found_out() {
    let data = bytes(1 << 20, 7);
    let (content, mut stored) = publish(&data);
    stored.data[700_000] ^= 1;
    let mut world = World::new();
    let a = world.add(|c| {
        c.http = true;
        c.give_up_after_ms = 3000;
    });
    world.peers[a].http.insert(content, stored);
    world.fetch(a, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(a, 1)));
    assert_eq!(world.peers[a].ended[&RequestId(1)], Err("unavailable"));
    assert!(data.starts_with(&world.peers[a].got[&RequestId(1)]));
    assert_eq!(world.peers[a].node.stats().rejected_bytes, 16384);
}

#[test]
fn a_manifest_that_lies_is_told_from_one_that_nobody_has() {
    let (content, mut stored) = publish(&bytes(1 << 20, 9));
    // Its length, low byte.
    stored.manifest[8] ^= 1;
    let mut world = World::new();
    let a = world.add(|c| {
        c.http = true;
        c.give_up_after_ms = 3000;
    });
    world.peers[a].http.insert(content, stored);
    world.fetch(a, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(a, 1)));
    assert_eq!(world.peers[a].ended[&RequestId(1)], Err("manifest_invalid"));
    assert!(world.peers[a].node.stats().rejected_bytes > 0);
}

#[test]
fn a_link_to_a_manifest_that_contradicts_itself_fails_at_once_and_nobody_is_blamed() {
    let (_, mut stored) = publish(&bytes(1 << 20, 9));
    // A length of which the record hashes cover nothing, behind a link that names just this.
    stored.manifest[3] ^= 1;
    let content = ContentId(*blake3::hash(&stored.manifest).as_bytes());
    let mut world = World::new();
    let a = world.add(|c| c.http = true);
    world.peers[a].http.insert(content, stored);
    world.fetch(a, 1, content, RangeSpec::Whole);
    assert!(world.run_until(2, |w| w.finished(a, 1)));
    assert_eq!(world.peers[a].ended[&RequestId(1)], Err("manifest_invalid"));
    assert_eq!(world.peers[a].node.stats().rejected_bytes, 0);
}

#[test]
fn nobody_has_it() {
    let mut world = World::new();
    let a = world.add(|c| c.http = true);
    world.fetch(a, 1, publish(b"x").0, RangeSpec::Whole);
    assert!(world.run_until(60, |w| w.finished(a, 1)));
    assert_eq!(world.peers[a].ended[&RequestId(1)], Err("unavailable"));
    assert_eq!(world.peers[a].http_gets[0].1, Resource::Manifest);
}

#[test]
fn an_empty_content_is_a_content() {
    let (content, stored) = publish(b"");
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    assert!(world.got(b, 1).is_empty());
}

#[test]
fn a_reload_resumes_from_the_store() {
    let data = bytes(8 << 20, 8);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.peers[b].node.stats().from_peers_bytes > 4 << 20));
    world.input(b, Input::Close);
    world.kill(b);
    let kept = world.peers[b].store[&content].clone();
    let c = world.add(|_| {});
    world.hold(c, content, &kept);
    world.fetch(c, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(c, 1)));
    assert!(world.got(c, 1) == data);
    let again = world.peers[c].node.stats().from_peers_bytes;
    assert!(again < 4 << 20, "{again} bytes were fetched again");
}

#[test]
fn a_damaged_store_costs_a_block_and_no_wrong_byte() {
    let data = bytes(4 << 20, 9);
    let (content, stored) = publish(&data);
    let mut damaged = stored.clone();
    damaged.data[1_000_000] ^= 0x80;
    damaged.records[40] ^= 1;
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.hold(b, content, &damaged);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(30, |w| w.finished(b, 1)));
    assert!(world.got(b, 1) == data);
    assert!((1..=4 << 19).contains(&world.peers[b].node.stats().from_peers_bytes));
}

#[test]
fn caps_that_close_and_open_again_only_cost_the_time() {
    let data = bytes(8 << 20, 12);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.peers[b].node.stats().from_peers_bytes > 1 << 20));
    world.input(a, Input::Caps(Caps { upload_allowed: false, ..Caps::default() }));
    let sent = |w: &World| w.peers[a].node.stats().sent_bytes;
    let then = sent(&world);
    world.run_until(10, |_| false);
    assert_eq!(sent(&world), then);
    world.input(a, Input::Caps(Caps { upload_bytes_per_s_max: 2_000_000, ..Caps::default() }));
    let opened = world.now;
    assert!(world.run_until(20, |w| w.finished(b, 1)));
    assert!(world.got(b, 1) == data);
    let rate = (sent(&world) - then) as f64 / world.now.since(opened).as_secs_f64();
    assert!(rate < 2_100_000.0, "{rate} bytes a second are more than the cap");
}

/// A block of 8 MiB takes three steps of parity before its first coded symbol: whoever waits is served then.
#[test]
fn coded_symbols_wait_for_parity_that_is_made_in_steps() {
    let data = bytes(8 << 20, 13);
    let (content, stored) = publish_as(&data, Layout::new(8 << 20, 4096, 2048).unwrap());
    let mut world = World::new();
    let (a, b, c) =
        (world.add(|_| {}), world.add(|c| c.coded_permille = 1000), world.add(|c| c.coded_permille = 1000));
    world.hold(a, content, &stored);
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.fetch(c, 1, content, RangeSpec::Whole);
    assert!(world.run_until(60, |w| w.finished(b, 1) && w.finished(c, 1)));
    assert!(world.got(b, 1) == data && world.got(c, 1) == data);
    assert_eq!(world.peers[b].node.stats().rejected_bytes, 0);
}

#[test]
fn news_of_neighbouring_blocks_is_one_message() {
    let data = bytes(4 << 20, 12);
    // Eight symbols a block: a byte each in a bitmap.
    let (content, stored) = publish_as(&data, Layout::new(data.len() as u64, 16_384, 8).unwrap());
    let mut world = World::new();
    let (a, b, c) = (world.add(|_| {}), world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = told.clone();
    world.peers[b].tamper = Some(Box::new(move |frame| {
        if let Ok(PeerMessage::HaveSymbols { first, bits, .. }) = PeerMessage::decode(&frame) {
            tell.borrow_mut().push((first, bits.to_vec()));
        }
        vec![frame]
    }));
    world.fetch(b, 1, content, RangeSpec::Whole);
    world.fetch(c, 1, content, RangeSpec::Whole);
    assert!(world.run_until(20, |w| w.finished(b, 1) && w.finished(c, 1)));
    assert!(world.got(b, 1) == data && world.got(c, 1) == data);
    let blocks = |bits: &Vec<u8>| bits.iter().filter(|&&byte| byte != 0).count();
    let (messages, told_blocks) =
        (told.borrow().len(), told.borrow().iter().map(|(_, bits)| blocks(bits)).sum::<usize>());
    assert!(messages > 0 && told_blocks > 2 * messages, "{told_blocks} blocks in {messages} messages");
}

#[test]
fn a_tab_that_was_frozen_goes_on_where_it_was() {
    let data = bytes(4 << 20, 21);
    let (content, stored) = publish(&data);
    for with_http in [false, true] {
        let mut world = World::new();
        let (a, b) = (world.add(|_| {}), world.add(|c| c.http = with_http));
        world.hold(a, content, &stored);
        world.peers[b].downlink_bytes_per_s = 1_000_000;
        world.fetch(b, 1, content, RangeSpec::Whole);
        assert!(!world.run_until(1, |w| w.finished(b, 1)));
        // The page's timers and messages wait meanwhile, and the timers are first.
        world.now = world.now + core::time::Duration::from_secs(600);
        world.input(b, Input::Wake);
        assert!(!world.finished(b, 1), "nobody has been waited for");
        assert!(world.run_until(30, |w| w.finished(b, 1)));
        assert!(world.got(b, 1) == data);
    }
}

#[test]
fn what_was_removed_is_fetched_again_at_once_from_those_who_still_hold_it() {
    let data = bytes(8 << 20, 5);
    let (content, stored) = publish(&data);
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    world.hold(a, content, &stored);
    for request in 1..=4 {
        // Twice at once; who comes and goes all the time waits.
        if request == 3 {
            world.run_until(3, |_| false);
        }
        world.fetch(b, request, content, RangeSpec::Whole);
        let began = world.now;
        assert!(world.run_until(20, |w| w.finished(b, request)));
        let took = world.now.since(began);
        assert!(
            took < std::time::Duration::from_secs(2),
            "fetch {request} took {took:?} of the world's time"
        );
        assert!(world.got(b, request) == data);
        world.input(b, Input::Remove { content });
    }
}

#[test]
fn what_came_of_more_contents_than_a_report_has_receipts_is_signed_for_later() {
    const CONTENTS: u32 = 150;
    let mut world = World::new();
    let (a, b) = (world.add(|_| {}), world.add(|_| {}));
    for number in 1..=CONTENTS {
        let (content, stored) = publish(&bytes(20_000, u64::from(number)));
        world.hold(a, content, &stored);
        world.fetch(b, number, content, RangeSpec::Whole);
    }
    assert!(world.run_until(60, |w| (1..=CONTENTS).all(|number| w.finished(b, number))));
    // A report every ten seconds.
    world.run_until(50, |_| false);
    let receipts = &world.peers[b].receipts;
    let contents: std::collections::BTreeSet<_> = receipts.iter().map(|receipt| receipt.content).collect();
    assert_eq!(contents.len(), CONTENTS as usize);
    assert_eq!(receipts.iter().map(|receipt| receipt.bytes).sum::<u64>(), u64::from(CONTENTS) * 20_000);
}
