//! The frames between two peers, as they are on the wire.

mod support;

use peeredge_wire::limits::{
    BLOCK_SYMBOLS_MAX, BLOCKS_MAX, PEER_FRAME_BYTES_MAX, SYMBOL_BYTES_MAX, WANT_PICKS_MAX,
};
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::{ContentId, DecodeError};
use proptest::prelude::*;
use support::{bytes, hex};

const CONTENT: ContentId = ContentId([0xcc; 32]);

#[track_caller]
fn wire(message: PeerMessage<'_>, frame: &str) {
    assert_eq!(hex(&message.encode()), hex(&bytes(frame)));
    assert_eq!(PeerMessage::decode(&bytes(frame)), Ok(message));
}

#[test]
fn greet() {
    wire(
        PeerMessage::Greet { version: 1 },
        "01         # tag
         0100       # version",
    );
}

#[test]
fn messages_that_only_name_a_content() {
    let content = CONTENT;
    wire(PeerMessage::Subscribe { content }, "02 cc*32  # tag, content");
    wire(PeerMessage::Unsubscribe { content }, "03 cc*32  # tag, content");
    wire(PeerMessage::HaveNone { content }, "04 cc*32  # tag, content");
    wire(PeerMessage::AskManifest { content }, "07 cc*32  # tag, content");
}

#[test]
fn have_blocks() {
    wire(
        PeerMessage::HaveBlocks { content: CONTENT, first: 64, bits: &[0b0000_0001, 0b1000_0000] },
        "05         # tag
         cc*32      # content
         40000000   # first: the block of bit 0
         01 80      # bits: blocks 64 and 79",
    );
}

#[test]
fn have_symbols() {
    wire(
        PeerMessage::HaveSymbols { content: CONTENT, first: 2, bits: &[0b0000_0110] },
        "06         # tag
         cc*32      # content
         02000000   # first
         06         # bits: symbols 1 and 2",
    );
}

#[test]
fn manifest() {
    wire(
        PeerMessage::Manifest { content: CONTENT, bytes: &[1, 2, 3] },
        "08         # tag
         cc*32      # content
         010203     # the manifest, to the frame's end",
    );
}

#[test]
fn ask_record() {
    wire(
        PeerMessage::AskRecord { content: CONTENT, block: 3 },
        "09         # tag
         cc*32      # content
         03000000   # block",
    );
}

#[test]
fn record() {
    wire(
        PeerMessage::Record { content: CONTENT, block: 3, bytes: &[0x77; 64] },
        "0a         # tag
         cc*32      # content
         03000000   # block
         77*64      # two hashes",
    );
}

#[test]
fn want() {
    wire(
        PeerMessage::Want {
            content: CONTENT,
            block: 3,
            deadline_ms: 1500,
            due_ms: 300,
            picks: vec![Pick::Sources { first: 8, count: 16 }, Pick::Coded { density: 2, seed: 9 }],
        },
        "0b                 # tag
         cc*32              # content
         03000000           # block
         dc050000           # deadline_ms
         2c010000           # due_ms
         00                 # pick: sources
         08000000           # first
         10000000           # count
         01                 # pick: coded
         02                 # density
         0900000000000000   # seed",
    );
}

#[test]
fn source_symbol() {
    wire(
        PeerMessage::Symbol { content: CONTENT, block: 3, marker: Marker::Source(5), payload: &[0xdd; 4] },
        "0c         # tag
         cc*32      # content
         03000000   # block
         00         # marker: source
         05000000   # index
         dddddddd   # payload, to the frame's end",
    );
}

#[test]
fn coded_symbol() {
    wire(
        PeerMessage::Symbol {
            content: CONTENT,
            block: 3,
            marker: Marker::Coded { density: 2, seed: 9 },
            payload: &[0xdd; 4],
        },
        "0c                 # tag
         cc*32              # content
         03000000           # block
         01                 # marker: coded
         02                 # density
         0900000000000000   # seed
         dddddddd           # payload, to the frame's end",
    );
}

#[test]
fn refuse() {
    use RefuseReason::{Busy, Capped, Full, NotHeld};
    for (number, reason) in (1..).zip([NotHeld, Busy, Capped, Full]) {
        wire(
            PeerMessage::Refuse {
                content: CONTENT,
                block: 3,
                reason,
                picks: vec![Pick::Sources { first: 0, count: 1 }],
            },
            &format!(
                "0d         # tag
                 cc*32      # content
                 03000000   # block
                 {number:02x}   # reason
                 00         # pick: sources
                 00000000   # first
                 01000000   # count"
            ),
        );
    }
}

#[test]
fn cancel() {
    wire(
        PeerMessage::Cancel { content: CONTENT, block: 3 },
        "0e         # tag
         cc*32      # content
         03000000   # block",
    );
}

#[test]
fn wrong_frames_name_the_field() {
    let decode = |text: &str| {
        let frame = bytes(text);
        PeerMessage::decode(&frame).map(|m| format!("{m:?}")).expect_err("this frame is wrong")
    };
    assert_eq!(decode(""), DecodeError::Short { needed: 1, left: 0 });
    assert_eq!(decode("00"), DecodeError::UnknownTag(0));
    assert_eq!(decode("0f cc*32"), DecodeError::UnknownTag(0x0f));
    assert_eq!(decode("01 0100 00"), DecodeError::Trailing { left: 1 });
    assert_eq!(decode("02 cc*33"), DecodeError::Trailing { left: 1 });
    assert_eq!(decode("0b cc*32 00*12 02"), DecodeError::Value { field: "pick" });
    assert_eq!(decode("0b cc*32 00*12 00 00*4 00*4"), DecodeError::Value { field: "count" });
    assert_eq!(decode("0b cc*32 00*12 00 ff*4 01000000"), DecodeError::Value { field: "count" });
    assert_eq!(decode("0c cc*32 00*4 02"), DecodeError::Value { field: "marker" });
    assert_eq!(decode("0d cc*32 00*4 00"), DecodeError::Value { field: "reason" });
    assert_eq!(decode("0d cc*32 00*4 05"), DecodeError::Value { field: "reason" });
}

#[test]
fn what_is_one_over_its_limit_is_refused_and_the_limit_itself_is_not() {
    let (content, block) = (CONTENT, 0);
    let over = |message: PeerMessage<'_>| PeerMessage::decode(&message.encode()).err();

    let max = SYMBOL_BYTES_MAX as usize;
    let payload = vec![0; max + 1];
    let symbol = |payload| PeerMessage::Symbol { content, block, marker: Marker::Source(0), payload };
    assert_eq!(over(symbol(&payload[..max])), None);
    assert_eq!(over(symbol(&payload)), Some(DecodeError::TooLong { field: "payload", max }));

    let max = (BLOCKS_MAX as usize).div_ceil(8);
    let bits = vec![0; max + 1];
    assert_eq!(over(PeerMessage::HaveBlocks { content, first: 0, bits: &bits[..max] }), None);
    let message = PeerMessage::HaveBlocks { content, first: 0, bits: &bits };
    assert_eq!(over(message), Some(DecodeError::TooLong { field: "bits", max }));

    let max = (BLOCK_SYMBOLS_MAX as usize).div_ceil(8);
    let bits = vec![0; max + 1];
    assert_eq!(over(PeerMessage::HaveSymbols { content, first: block, bits: &bits[..max] }), None);
    let message = PeerMessage::HaveSymbols { content, first: block, bits: &bits };
    assert_eq!(over(message), Some(DecodeError::TooLong { field: "bits", max }));

    let max = WANT_PICKS_MAX;
    let picks = vec![Pick::Sources { first: 0, count: 1 }; max + 1];
    let want = |picks| PeerMessage::Want { content, block, deadline_ms: 0, due_ms: 0, picks };
    assert_eq!(over(want(picks[..max].to_vec())), None);
    assert_eq!(over(want(picks)), Some(DecodeError::TooLong { field: "picks", max }));

    let max = PEER_FRAME_BYTES_MAX;
    let frame = vec![8; max + 1];
    assert!(PeerMessage::decode(&frame[..max]).is_ok());
    assert_eq!(PeerMessage::decode(&frame), Err(DecodeError::TooLong { field: "frame", max }));
}

#[test]
fn the_largest_record_and_manifest_fit_one_frame() {
    let record = vec![0; 32 * BLOCK_SYMBOLS_MAX as usize];
    assert!(
        PeerMessage::Record { content: CONTENT, block: 0, bytes: &record }.encode().len()
            <= PEER_FRAME_BYTES_MAX
    );
    // A manifest is its block hashes behind a header with a name and a media type.
    let manifest = vec![0; 32 * BLOCKS_MAX as usize + 1024];
    assert!(
        PeerMessage::Manifest { content: CONTENT, bytes: &manifest }.encode().len() <= PEER_FRAME_BYTES_MAX
    );
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        (0..u32::MAX, 1..u32::MAX)
            .prop_map(|(first, count)| Pick::Sources { first, count: count.min(u32::MAX - first) }),
        any::<(u8, u64)>().prop_map(|(density, seed)| Pick::Coded { density, seed }),
    ]
}

fn marker() -> impl Strategy<Value = Marker> {
    prop_oneof![
        any::<u32>().prop_map(Marker::Source),
        any::<(u8, u64)>().prop_map(|(density, seed)| Marker::Coded { density, seed }),
    ]
}

fn reason() -> impl Strategy<Value = RefuseReason> {
    use RefuseReason::{Busy, Capped, Full, NotHeld};
    prop_oneof![Just(NotHeld), Just(Busy), Just(Capped), Just(Full)]
}

/// One message of each kind from the same fields.
fn messages(
    content: ContentId,
    (version, a, b): (u16, u32, u32),
    bytes: &[u8],
    picks: Vec<Pick>,
    marker: Marker,
    reason: RefuseReason,
) -> [PeerMessage<'_>; 14] {
    [
        PeerMessage::Greet { version },
        PeerMessage::Subscribe { content },
        PeerMessage::Unsubscribe { content },
        PeerMessage::HaveNone { content },
        PeerMessage::HaveBlocks { content, first: a, bits: bytes },
        PeerMessage::HaveSymbols { content, first: a, bits: bytes },
        PeerMessage::AskManifest { content },
        PeerMessage::Manifest { content, bytes },
        PeerMessage::AskRecord { content, block: a },
        PeerMessage::Record { content, block: a, bytes },
        PeerMessage::Want { content, block: a, deadline_ms: b, due_ms: a, picks: picks.clone() },
        PeerMessage::Symbol { content, block: a, marker, payload: bytes },
        PeerMessage::Refuse { content, block: a, reason, picks },
        PeerMessage::Cancel { content, block: a },
    ]
}

proptest! {
    #[test]
    fn every_kind_round_trips(
        content: [u8; 32],
        numbers: (u16, u32, u32),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        picks in prop::collection::vec(pick(), 0..40),
        marker in marker(),
        reason in reason(),
    ) {
        for message in messages(ContentId(content), numbers, &bytes, picks, marker, reason) {
            let frame = message.encode();
            prop_assert_eq!(PeerMessage::decode(&frame), Ok(message));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(tag in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        for tag in [tag, tag % 16] {
            let frame = [vec![tag], rest.clone()].concat();
            if let Ok(message) = PeerMessage::decode(&frame) {
                prop_assert_eq!(message.encode(), frame);
            }
        }
    }

    #[test]
    fn small_numbers_in_every_byte_reach_the_inner_fields(
        tag in 0..16u8,
        rest in prop::collection::vec(0..3u8, 30..120),
    ) {
        let frame = [vec![tag], rest].concat();
        if let Ok(message) = PeerMessage::decode(&frame) {
            prop_assert_eq!(message.encode(), frame);
        }
    }
}
