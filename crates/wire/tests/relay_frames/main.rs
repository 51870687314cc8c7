//! The frames between peer and relay, as they are on the wire.

mod any;
mod carry;
mod live;
mod receipts;
#[path = "../support/mod.rs"]
mod support;
mod tasks;

use peeredge_wire::limits::{ANNOUNCES_PER_FRAME_MAX, RELAY_FRAME_BYTES_MAX, SIGNAL_BYTES_MAX};
use peeredge_wire::relay::{
    Blob, ErrorCode, FromRelay, Holding, Receipt, Report, SignalRefusal, TaskAssurance, TaskFromRelay,
    TaskLimits, TaskMark, TaskOf, TaskRefusal, TaskRequest, TaskToRelay, ToRelay, hello_payload,
};
use peeredge_wire::{ContentId, DecodeError, PROTOCOL_VERSION, PeerId};
use proptest::prelude::*;
use support::{bytes, hex};

const PEER: PeerId = PeerId([0xaa; 32]);
const CONTENT: ContentId = ContentId([0xcc; 32]);

#[track_caller]
fn to_relay(message: ToRelay, frame: &str) {
    assert_eq!(hex(&message.encode()), hex(&bytes(frame)));
    assert_eq!(ToRelay::decode(&bytes(frame)), Ok(message));
}

#[track_caller]
fn from_relay(message: FromRelay, frame: &str) {
    assert_eq!(hex(&message.encode()), hex(&bytes(frame)));
    assert_eq!(FromRelay::decode(&bytes(frame)), Ok(message));
}

#[test]
fn hello() {
    to_relay(
        ToRelay::Hello {
            version: 3,
            peer: PEER,
            signature: [0x55; 64],
            authority: "relay.example:8080".into(),
        },
        "01         # tag
         0300       # version
         aa*32      # peer
         55*64      # signature
         12         # length of authority in bytes
         72656c61792e6578616d706c653a38303830   # authority",
    );
}

#[test]
fn a_hello_of_another_version_says_which() {
    let older = ToRelay::decode(&bytes("01 0200 aa*32 55*64"));
    assert_eq!(older, Err(DecodeError::Version(2)));
    assert_eq!(ToRelay::decode(&bytes("01 ffff")), Err(DecodeError::Version(0xffff)));
}

#[test]
fn what_a_hello_signs() {
    let expected = "7065657265646765 2068656c6c6f 207632   # 'peeredge hello v2'
         11*32                                             # nonce
         bb*32                                             # the relay's key
         03                                                # length of authority in bytes
         612e62                                            # authority";
    assert_eq!(hex(&hello_payload(&[0x11; 32], &PeerId([0xbb; 32]), "a.b")), hex(&bytes(expected)));
}

#[test]
fn announce() {
    to_relay(
        ToRelay::Announce { content: CONTENT, have_permille: 1000, wants: 8 },
        "02         # tag
         cc*32      # content
         e803       # have_permille
         08         # wants",
    );
}

#[test]
fn announces() {
    let held = Holding { content: CONTENT, have_permille: 1000, wants: 0 };
    let asked = Holding { content: ContentId([0xdd; 32]), have_permille: 0, wants: 8 };
    to_relay(
        ToRelay::Announces(vec![held, asked]),
        "07         # tag
         cc*32      # content
         e803       # have_permille
         00         # wants
         dd*32      # content
         0000       # have_permille
         08         # wants",
    );
    let many = |n| ToRelay::Announces(vec![held; n]).encode();
    assert!(ToRelay::decode(&many(ANNOUNCES_PER_FRAME_MAX)).is_ok());
    assert_eq!(
        ToRelay::decode(&many(ANNOUNCES_PER_FRAME_MAX + 1)),
        Err(DecodeError::TooLong { field: "announces", max: ANNOUNCES_PER_FRAME_MAX })
    );
}

#[test]
fn what_a_frame_counts() {
    let cost = |message: ToRelay| ToRelay::cost(&message.encode());
    let said = |wants, n| vec![Holding { content: CONTENT, have_permille: 500, wants }; n];
    assert_eq!(ToRelay::cost(&[]), 1);
    assert_eq!(cost(ToRelay::Withdraw { content: CONTENT }), 1);
    assert_eq!(cost(ToRelay::Signal { to: PEER, session: 1, signal: vec![0; 2048] }), 3);
    assert_eq!(ToRelay::cost(&[0x12; 145]), 4, "a receipt");
    assert_eq!(cost(ToRelay::Announces(said(0, 1))), 1);
    assert_eq!(cost(ToRelay::Announces(said(0, 256))), 1 + 8 + 16);
    assert_eq!(cost(ToRelay::Announces(said(1, 256))), 1 + 8 + 256);
}

#[test]
fn refused_announces() {
    from_relay(
        FromRelay::AnnounceRefused {
            code: ErrorCode::TooMany,
            retry_after_ms: 60_000,
            contents: vec![CONTENT, ContentId([0xdd; 32])],
        },
        "87         # tag
         07         # code
         60ea0000   # retry_after_ms
         cc*32      # content
         dd*32      # content",
    );
    let decode = |text: &str| FromRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("87 07 00000000"), DecodeError::Short { needed: 32, left: 0 });
    assert_eq!(
        decode("87 07 00000000 cc*8224"),
        DecodeError::TooLong { field: "contents", max: ANNOUNCES_PER_FRAME_MAX }
    );
}

#[test]
fn withdraw() {
    to_relay(
        ToRelay::Withdraw { content: CONTENT },
        "03         # tag
         cc*32      # content",
    );
}

#[test]
fn signal_to_a_peer() {
    to_relay(
        ToRelay::Signal { to: PEER, session: 0x0102_0304_0506_0708, signal: b"sdp".to_vec() },
        "04                 # tag
         aa*32              # to
         0807060504030201   # session
         736470             # signal, to the frame's end",
    );
}

#[test]
fn report() {
    to_relay(
        ToRelay::Report(Report {
            sent_bytes: 1,
            from_peers_bytes: 2,
            from_relay_bytes: 3,
            from_http_bytes: 4,
            wasted_bytes: 5,
            channels: 6,
        }),
        "05                 # tag
         0100000000000000   # sent_bytes
         0200000000000000   # from_peers_bytes
         0300000000000000   # from_relay_bytes
         0400000000000000   # from_http_bytes
         0500000000000000   # wasted_bytes
         0600               # channels",
    );
}

#[test]
fn blame() {
    to_relay(
        ToRelay::Blame { accused: PEER, content: CONTENT, block: 258 },
        "06         # tag
         aa*32      # accused
         cc*32      # content
         02010000   # block",
    );
}

#[test]
fn spare_room() {
    to_relay(
        ToRelay::Spare { storage_bytes: 0x0102, up_bytes_per_s: u64::MAX },
        "18                 # tag
         0201000000000000   # storage_bytes
         ff*8               # up_bytes_per_s",
    );
}

#[test]
fn length() {
    to_relay(
        ToRelay::Length { content: CONTENT, bytes: 7 },
        "19                 # tag
         cc*32              # content
         0700000000000000   # bytes",
    );
}

#[test]
fn gave() {
    to_relay(
        ToRelay::Gave { content: CONTENT, bytes: 0x0102 },
        "1a                 # tag
         cc*32              # content
         0201000000000000   # bytes",
    );
}

#[test]
fn prefetch_and_release() {
    from_relay(
        FromRelay::Prefetch { content: CONTENT },
        "8c         # tag
         cc*32      # content",
    );
    from_relay(
        FromRelay::Release { content: CONTENT },
        "8d         # tag
         cc*32      # content",
    );
}

#[test]
fn challenge() {
    from_relay(
        FromRelay::Challenge { nonce: [0x11; 32], relay: PEER },
        "81         # tag
         11*32      # nonce
         aa*32      # relay",
    );
}

#[test]
fn welcome() {
    from_relay(
        FromRelay::Welcome { version: 1, report_every_s: 30, frames_per_s: 50, frames_burst: 400 },
        "82         # tag
         0100       # version
         1e00       # report_every_s
         3200       # frames_per_s
         9001       # frames_burst",
    );
}

#[test]
fn introduce() {
    from_relay(
        FromRelay::Introduce { content: CONTENT, peer: PEER, have_permille: 500 },
        "83         # tag
         cc*32      # content
         aa*32      # peer
         f401       # have_permille",
    );
}

#[test]
fn signal_from_a_peer() {
    from_relay(
        FromRelay::Signal { from: PEER, session: 7, signal: vec![] },
        "84                 # tag
         aa*32              # from
         0700000000000000   # session
                            # signal, here empty",
    );
}

#[test]
fn unreachable_peer() {
    for (number, why) in (1..).zip(SignalRefusal::ALL) {
        from_relay(
            FromRelay::Unreachable { peer: PEER, session: 7, why },
            &format!(
                "85                 # tag
                 aa*32              # peer
                 0700000000000000   # session
                 {number:02x}       # why"
            ),
        );
    }
    let unknown = FromRelay::decode(&bytes("85 aa*32 0700000000000000 04"));
    assert_eq!(unknown, Err(DecodeError::Value { field: "why" }));
}

#[test]
fn every_error_code_has_its_number() {
    for (number, code) in (1..).zip(ErrorCode::ALL) {
        from_relay(
            FromRelay::Error { code, retry_after_ms: 258, detail: "é!".into() },
            &format!(
                "86         # tag
                 {number:02x}   # code
                 02010000   # retry_after_ms
                 0300       # length of detail in bytes
                 c3a921     # detail"
            ),
        );
    }
}

#[test]
fn a_long_detail_is_cut_between_characters() {
    let error = |detail: String| FromRelay::Error { code: ErrorCode::Full, retry_after_ms: 0, detail };
    let frame = error("é".repeat(150) + "x").encode();
    assert_eq!(FromRelay::decode(&frame), Ok(error("é".repeat(100))));
    let frame = error("x".to_owned() + &"é".repeat(150)).encode();
    assert_eq!(FromRelay::decode(&frame), Ok(error("x".to_owned() + &"é".repeat(99))));
}

#[test]
fn wrong_frames_name_the_field() {
    let decode = |text: &str| ToRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode(""), DecodeError::Short { needed: 1, left: 0 });
    assert_eq!(decode("08"), DecodeError::UnknownTag(8));
    assert_eq!(decode("81"), DecodeError::UnknownTag(0x81));
    assert_eq!(decode("03 cc*31"), DecodeError::Short { needed: 32, left: 31 });
    assert_eq!(decode("03 cc*33"), DecodeError::Trailing { left: 1 });
    assert_eq!(decode("02 cc*32 e903 00"), DecodeError::Value { field: "have_permille" });
    let signal = |len: usize| ToRelay::Signal { to: PEER, session: 1, signal: vec![0; len] }.encode();
    assert!(ToRelay::decode(&signal(SIGNAL_BYTES_MAX)).is_ok());
    assert_eq!(
        ToRelay::decode(&signal(SIGNAL_BYTES_MAX + 1)),
        Err(DecodeError::TooLong { field: "signal", max: SIGNAL_BYTES_MAX })
    );
    assert_eq!(
        ToRelay::decode(&vec![4; RELAY_FRAME_BYTES_MAX + 1]),
        Err(DecodeError::TooLong { field: "frame", max: RELAY_FRAME_BYTES_MAX })
    );

    let decode = |text: &str| FromRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("01"), DecodeError::UnknownTag(1));
    assert_eq!(decode("86 00 00000000 0000"), DecodeError::Value { field: "code" });
    assert_eq!(decode("86 0c 00000000 0000"), DecodeError::Value { field: "code" });
    assert_eq!(decode("86 01 00000000 c900 78*201"), DecodeError::TooLong { field: "detail", max: 200 });
    assert_eq!(decode("86 01 00000000 0100 ff"), DecodeError::Value { field: "detail" });
    assert_eq!(decode("86 01 00000000 0500 78"), DecodeError::Short { needed: 5, left: 1 });
}
