//! Every decoder of contents, given what is almost right: no panic, and what is taken is written again as it came. Hashes, checksums and
//! signatures are made to fit, or nothing would come past them.

use ed25519_dalek::{Signer, SigningKey};
use peeredge_attacks::fuzz::{Dice, fuzz};
use peeredge_dts::{
    Bitmap, Holdings, Layout, LiveEntry, LiveReader, LiveWriter, Manifest, Publisher, Record, StoredState,
};
use peeredge_wire::limits::{BLOCK_BYTES_MAX, BLOCKS_MAX};
use peeredge_wire::{ContentId, PeerId};

fn id_of(bytes: &[u8]) -> ContentId {
    ContentId(*blake3::hash(bytes).as_bytes())
}

struct Published {
    content: ContentId,
    manifest: Vec<u8>,
    records: Vec<u8>,
    state: Vec<u8>,
}

fn published(length: usize, layout: Option<Layout>) -> Published {
    let layout = layout.unwrap_or_else(|| Layout::for_length(length as u64).expect("in range"));
    let mut publisher = Publisher::with_layout(layout, "a näme", "video/mp4");
    publisher.push(&vec![7; length]).expect("its length");
    let done = publisher.finish().expect("all of it");
    Published {
        content: done.content,
        manifest: done.manifest,
        records: publisher.take_records(),
        state: done.state,
    }
}

/// What a receiver asks of a layout, whatever the numbers in it.
fn ask_everything(layout: &Layout) {
    assert!(layout.blocks() <= BLOCKS_MAX && layout.block_len().min(layout.length()) <= BLOCK_BYTES_MAX);
    for block in [0, 1, layout.blocks().saturating_sub(1), layout.blocks(), u32::MAX - 1, u32::MAX] {
        let range = layout.block_range(block);
        assert!(range.end <= layout.length() && range.start <= range.end);
        assert_eq!(layout.geometry(block).is_some(), block < layout.blocks());
        let record = layout.record_range(block);
        assert!(record.start <= record.end);
        for index in [0, layout.symbols_of(block), u32::MAX] {
            let symbol = layout.symbol_range(block, index);
            assert!(symbol.start >= range.start && symbol.end <= range.end);
        }
    }
    for offset in [0, layout.length().saturating_sub(1), layout.length(), u64::MAX] {
        layout.locate(offset);
    }
    let mut holdings = Holdings::none(layout);
    for first in [0, 1, layout.blocks(), u32::MAX] {
        holdings.add_blocks(first, &[0xff; 3]);
        holdings.set_symbols(layout, first, &[0xff; 40], 4096);
    }
}

#[test]
fn manifests_and_layouts() {
    let small = Layout::new(300_000, 4096, 16).expect("in range");
    let manifests = [published(0, None), published(5_000_000, None), published(300_000, Some(small))];
    let manifests: Vec<Vec<u8>> = manifests.into_iter().map(|p| p.manifest).collect();
    let mut taken = 0;
    fuzz(11, 60_000, &manifests, |bytes| {
        if let Ok(manifest) = Manifest::decode(&id_of(bytes), bytes) {
            assert_eq!(manifest.encode(), bytes);
            ask_everything(manifest.layout());
            taken += 1;
        }
    });
    assert!(taken > 500, "{taken} were taken");
}

#[test]
fn layouts_of_any_numbers() {
    let mut dice = Dice::new(12);
    for _ in 0..40_000 {
        let length = dice.next() >> dice.below(64);
        let [symbol_len, block_symbols] = [17, 14].map(|bits| (dice.next() >> (64 - bits)) as u32);
        if let Ok(layout) = Layout::new(length, symbol_len, block_symbols) {
            ask_everything(&layout);
        }
    }
}

#[test]
fn records() {
    let of = published(300_000, Some(Layout::new(300_000, 4096, 16).expect("in range")));
    let manifest = Manifest::decode(&of.content, &of.manifest).expect("its own");
    let valid: Vec<Vec<u8>> = of.records.chunks(16 * 32).map(<[u8]>::to_vec).collect();
    fuzz(13, 20_000, &valid, |bytes| {
        for block in [0, 4, 5, u32::MAX] {
            if let Some(record) = Record::decode(&manifest, block, bytes) {
                assert_eq!(record.encode(), bytes);
                assert!(valid.iter().any(|valid| valid == bytes), "only what the manifest says");
                assert!(!record.verifies(u32::MAX, bytes));
            }
        }
    });
}

#[test]
fn stored_states() {
    let of = published(300_000, Some(Layout::new(300_000, 4096, 16).expect("in range")));
    let mut part = StoredState::decode(&of.content, &of.state).expect("its own");
    part.whole.remove(1);
    part.parts.insert(1, Bitmap::from_bytes(16, &[5, 1]));
    let bodies = [of.state.clone(), part.encode()].map(|state| state[..state.len() - 16].to_vec());
    let mut taken = 0;
    fuzz(14, 40_000, &bodies, |body| {
        let state = [body, &blake3::hash(body).as_bytes()[..16]].concat();
        StoredState::manifest_bytes(&state);
        if let Some(state) = StoredState::decode(&of.content, &state) {
            assert_eq!(StoredState::decode(&of.content, &state.encode()), Some(state));
            taken += 1;
        }
        assert_eq!(StoredState::decode(&of.content, body), None, "without its checksum");
    });
    assert!(taken > 100, "{taken} were taken");
}

#[test]
fn bitmaps() {
    fuzz(15, 40_000, &[vec![0xff; 40], vec![0; 3]], |bytes| {
        for len in [0, 1, 63, 64, 65, 320] {
            let bits = Bitmap::from_bytes(len, bytes);
            assert_eq!(bits.iter().count(), bits.count() as usize);
            assert_eq!(Bitmap::from_bytes(len, &bits.to_bytes()), bits);
        }
    });
}

#[test]
fn heads_of_live_contents() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let publisher = PeerId(key.verifying_key().to_bytes());
    let body = |count: u8| {
        let mut writer = LiveWriter::new(key.clone(), "match", 77).expect("a name");
        for n in 0..count {
            writer.append(LiveEntry { content: ContentId([n; 32]), length: u64::from(n), duration_ms: 9 });
        }
        let head = writer.head(1000);
        head[..head.len() - 64].to_vec()
    };
    let bodies = [body(0), body(1), body(3), body(70)];
    let mut reader = LiveReader::new(publisher, "match");
    fuzz(16, 6_000, &bodies, |body| {
        let signed = [b"peeredge live v2".as_slice(), body].concat();
        let head = [body, &key.sign(&signed).to_bytes()].concat();
        // One that knows nothing, and one that has seen whatever came before.
        let _ = LiveReader::new(publisher, "match").take(&head, Some(1000));
        let _ = reader.take(&head, Some(1000));
        assert!(LiveReader::new(publisher, "match").take(body, None).is_err(), "not signed");
    });
}
