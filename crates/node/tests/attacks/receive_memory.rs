//! What a link, or a peer that holds something, can make a receiver hold.

use crate::lone::{Lone, layout_of};
use crate::world::{World, bytes, publish_as};
use peeredge_attacks::memory::held_bytes;
use peeredge_attacks::{Attack, Figure};
use peeredge_dts::Layout;
use peeredge_node::{Input, Output, RangeSpec};
use peeredge_wire::limits::BLOCKS_MAX;
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::{ContentId, RequestId};

const SESSION: u64 = 1 << 16;
const MIB: i64 = 1 << 20;

/// A manifest of anything at all, and the link to it.
fn manifest(
    length: u64,
    symbol_len: u32,
    block_symbols: u32,
    blocks: u32,
    record: [u8; 32],
) -> (ContentId, Vec<u8>) {
    let mut bytes = vec![1u8];
    bytes.extend(length.to_le_bytes());
    bytes.extend(symbol_len.to_le_bytes());
    bytes.extend(block_symbols.to_le_bytes());
    bytes.extend([0, 0, 0, 0]);
    (0..blocks).for_each(|_| bytes.extend(record));
    (ContentId(*blake3::hash(&bytes).as_bytes()), bytes)
}

fn failures(lone: &Lone) -> Vec<&'static str> {
    let failed = |output: &Output| match output {
        Output::Failed { error, .. } => Some(error.code()),
        _ => None,
    };
    lone.outs.iter().filter_map(failed).collect()
}

#[test]
fn a_link_to_blocks_of_half_a_gigabyte() {
    let (symbol_len, block_symbols) = (65536, 8000);
    let record = vec![7; block_symbols as usize * 32];
    let (content, bytes) =
        manifest(8 * 8000 * 65536, symbol_len, block_symbols, 8, *blake3::hash(&record).as_bytes());
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    lone.outs.clear();
    let before = held_bytes();
    lone.fetch(1, content);
    lone.say(connection, &PeerMessage::Manifest { content, bytes: &bytes });
    lone.say(connection, &PeerMessage::HaveBlocks { content, first: 0, bits: &[255] });
    for block in 0..8 {
        lone.say(connection, &PeerMessage::Record { content, block, bytes: &record });
    }
    let failed = failures(&lone);
    lone.outs.clear();
    let held = held_bytes() - before;
    Attack::new("node", "caps", "has a page open a link whose blocks are half a gigabyte each")
        .spent(format!("one link, {} KiB of manifest and records", (bytes.len() + record.len()) >> 10))
        .lost(format!("{} KiB of memory", held >> 10))
        .figure(Figure::MemoryBytes, held.max(0) as f64)
        .end(failed == ["blocks_too_large"] && held < MIB && lone.named().is_empty());
}

#[test]
fn many_links_with_the_longest_manifests() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let before = held_bytes();
    for n in 0..200u32 {
        let mut record = [0; 32];
        record[..4].copy_from_slice(&n.to_le_bytes());
        let (content, bytes) = manifest(u64::from(BLOCKS_MAX) * 1024, 1024, 1, BLOCKS_MAX, record);
        lone.fetch(n, content);
        lone.say(connection, &PeerMessage::Manifest { content, bytes: &bytes });
        lone.input(Input::Abort { request: RequestId(n) });
        lone.wake(2000);
        lone.outs.clear();
    }
    let held = held_bytes() - before;
    let known = lone.node.stats().contents.len();
    Attack::new("node", "caps", "has a page open 200 links whose manifests are as long as they may be")
        .spent("200 links, 50 MB of manifests")
        .lost(format!("{} KiB of memory, {known} manifests kept", held >> 10))
        .end(held < 8 * MIB && known < 20 && lone.is_open(9));
}

#[test]
fn many_large_contents_at_once() {
    let (cache, contents) = (8u64 << 20, 24u32);
    let layout = Layout::new(4 << 20, 16384, 64).expect("blocks of a mebibyte");
    let mut world = World::new();
    let (receiver, holder) = (world.add(|config| config.cache_bytes_max = cache), world.add(|_| {}));
    let mut expected = Vec::new();
    for n in 0..contents {
        let data = bytes(4 << 20, u64::from(n));
        let (content, stored) = publish_as(&data, layout);
        world.hold(holder, content, &stored);
        expected.push((content, data));
    }
    for (n, (content, _)) in (0..).zip(&expected) {
        world.fetch(receiver, n, *content, RangeSpec::Whole);
    }
    let mut most = 0u64;
    let done = world.run_until(900, |w| {
        let stats = w.peers[receiver].node.stats();
        let filling = stats.contents.iter().map(|c| c.active.len() as u64).sum::<u64>() * layout.block_len();
        most = most.max(filling);
        (0..contents).all(|n| w.finished(receiver, n))
    });
    for (n, (_, data)) in (0..).zip(&expected) {
        assert!(world.got(receiver, n) == *data, "content {n}");
    }
    Attack::new("node", "caps", "has a page open 24 contents of 4 MiB at once with a cache of 8 MiB")
        .spent("24 links")
        .lost(format!("{} KiB of blocks being filled at most", most >> 10))
        .end(done && most <= cache / 2);
}

#[test]
fn one_content_that_trickles_does_not_starve_the_others() {
    let layout = Layout::new(4 << 20, 16384, 64).expect("blocks of a mebibyte");
    let mut world = World::new();
    let receiver = world.add(|config| config.cache_bytes_max = 6 << 20);
    let (fast, trickling) = (world.add(|_| {}), world.add(|_| {}));
    world.peers[trickling].uplink_bytes_per_s = 20_000;
    let mut all = Vec::new();
    for n in 0..8u32 {
        let data = bytes(4 << 20, u64::from(n));
        let (content, stored) = publish_as(&data, layout);
        world.hold(if n < 2 { trickling } else { fast }, content, &stored);
        world.fetch(receiver, n, content, RangeSpec::Whole);
        all.push(data);
    }
    let done = world.run_until(400, |w| (2..8).all(|n| w.finished(receiver, n)));
    let right = done && (2..8).all(|n| world.got(receiver, n) == all[n as usize]);
    Attack::new("node", "caps", "trickles two contents of eight that a page reads at once")
        .spent("one key at 20 kB/s")
        .lost("time")
        .end(right);
}

#[test]
fn what_one_peer_says_that_it_holds_of_many_contents() {
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    let symbols = 8000;
    // Few, as each frame has all that are being fetched planned anew: in a debug build forty of this size take minutes.
    let contents: Vec<_> = (0..4u32)
        .map(|n| {
            let mut record = [0; 32];
            record[..4].copy_from_slice(&n.to_le_bytes());
            manifest(u64::from(BLOCKS_MAX) * symbols * 1024, 1024, symbols as u32, BLOCKS_MAX, record)
        })
        .collect();
    for (n, (content, bytes)) in (0..).zip(&contents) {
        lone.fetch(n, *content);
        lone.say(connection, &PeerMessage::Manifest { content: *content, bytes });
        lone.say(connection, &PeerMessage::HaveBlocks { content: *content, first: 0, bits: &[0; 1000] });
        lone.outs.clear();
    }
    lone.wake(100);
    lone.outs.clear();
    let before = held_bytes();
    let bits = vec![1; 1000];
    let mut frames = 0;
    for first in 0..BLOCKS_MAX {
        for (content, _) in &contents {
            if frames < 400 && lone.is_open(9) {
                frames += 1;
                lone.say(connection, &PeerMessage::HaveSymbols { content: *content, first, bits: &bits });
                lone.outs.clear();
            }
        }
    }
    let held = held_bytes() - before;
    Attack::new("node", "caps", "says of thousands of blocks that it holds a symbol")
        .spent(format!("one connection, {frames} frames of 1 KiB"))
        .lost(format!("{} KiB of memory", held >> 10))
        .figure(Figure::MemoryBytes, held.max(0) as f64)
        .end(held < MIB);
}

#[test]
fn a_block_of_the_largest_size_is_filled_alone() {
    // 64 MiB blocks: one may be filled whatever the cache is, and no second beside it.
    let layout = Layout::new(256 << 20, 65536, 1024).expect("64 MiB a block");
    let record = vec![7; 1024 * 32];
    let (content, bytes) = manifest(256 << 20, 65536, 1024, 4, *blake3::hash(&record).as_bytes());
    let mut lone = Lone::new(|_| {});
    let connection = lone.stranger(9, SESSION);
    lone.outs.clear();
    let before = held_bytes();
    lone.fetch(1, content);
    lone.say(connection, &PeerMessage::Manifest { content, bytes: &bytes });
    lone.say(connection, &PeerMessage::HaveBlocks { content, first: 0, bits: &[255] });
    for _ in 0..4 {
        for block in 0..4 {
            let asked = lone.sent(connection).iter().any(|message| {
                matches!(PeerMessage::decode(message), Ok(PeerMessage::AskRecord { block: b, .. }) if b == block)
            });
            if asked {
                lone.say(connection, &PeerMessage::Record { content, block, bytes: &record });
            }
        }
        lone.wake(500);
    }
    let filling = lone.node.stats().contents[0].active.len();
    let held = held_bytes() - before;
    Attack::new("node", "caps", "has a page fill blocks of 64 MiB")
        .spent("one link")
        .lost(format!("{} MiB of memory", held >> 20))
        .end(filling == 1 && held < 66 * MIB && layout.blocks() == 4);
    assert_eq!(layout_of(&crate::world::Stored { manifest: bytes, ..Default::default() }), layout);
}
