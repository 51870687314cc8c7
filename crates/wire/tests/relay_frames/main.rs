//! The frames between peer and relay, as they are on the wire.

mod carry;
mod live;
mod receipts;
#[path = "../support/mod.rs"]
mod support;

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

const LIMITS: TaskLimits =
    TaskLimits { gas: 1 << 40, memory_pages: 1024, output_bytes: 65_536, checkpoint_steps: 8 };

#[test]
fn offer_and_cancel() {
    to_relay(
        ToRelay::Task(TaskToRelay::Offer { slots: 2, memory_pages: 1024, whose: TaskOf::Anybody }),
        "20         # tag
         02         # slots
         00040000   # memory_pages
         01         # whose: anybody's; 0 for the own site's",
    );
    to_relay(ToRelay::Task(TaskToRelay::Cancel { request: 5 }), "22 05000000");
    to_relay(ToRelay::Task(TaskToRelay::Untrue { request: 5 }), "27 05000000");
}

#[test]
fn submit() {
    to_relay(
        ToRelay::Task(TaskToRelay::Submit(TaskRequest {
            request: 5,
            module: CONTENT,
            input: Blob::Inline(b"abc".to_vec()),
            limits: LIMITS,
            assurance: TaskAssurance::Replicas(2),
            value: 7,
        })),
        "21                 # tag
         05000000           # request
         cc*32              # module
         00 0300 616263     # input, inline: length, bytes
         0000000000010000   # gas
         00040000           # memory_pages
         00000100           # output_bytes
         08000000           # checkpoint_steps
         02                 # assurance: replicas; 254 is cheap, 255 strict
         07000000           # value",
    );
}

#[test]
fn beat_commit_reveal_and_trouble() {
    to_relay(ToRelay::Task(TaskToRelay::Beat { lease: 9, mark: None }), "23 0900000000000000 00");
    to_relay(
        ToRelay::Task(TaskToRelay::Beat { lease: 9, mark: Some(TaskMark { checkpoint: CONTENT, gas: 3 }) }),
        "23                 # tag
         0900000000000000   # lease
         01 cc*32           # mark: checkpoint
         0300000000000000   # gas until there",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Commit { lease: 9, commitment: [0x77; 32] }),
        "24 0900000000000000 77*32",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Reveal {
            lease: 9,
            end: 0,
            gas: 3,
            digest: [0x11; 32],
            nonce: [0x22; 32],
            signature: [0x33; 64],
            output: Blob::Content(CONTENT),
        }),
        "25                 # tag
         0900000000000000   # lease
         00                 # end
         0300000000000000   # gas
         11*32              # digest
         22*32              # nonce
         33*64              # signature
         01 cc*32           # output, a content",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Trouble { lease: 9, detail: "no".into() }),
        "26 0900000000000000 0200 6e6f",
    );
}

#[test]
fn lease_revoke_and_ask_reveal() {
    from_relay(
        FromRelay::Task(TaskFromRelay::Lease {
            lease: 9,
            beat_ms: 5000,
            module: CONTENT,
            input: Blob::Content(CONTENT),
            limits: LIMITS,
            resume: None,
        }),
        "a0                 # tag
         0900000000000000   # lease
         88130000           # beat_ms
         cc*32              # module
         01 cc*32           # input, a content
         0000000000010000   # gas
         00040000           # memory_pages
         00000100           # output_bytes
         08000000           # checkpoint_steps
         00                 # no mark",
    );
    from_relay(FromRelay::Task(TaskFromRelay::Revoke { lease: 9 }), "a1 0900000000000000");
    from_relay(FromRelay::Task(TaskFromRelay::AskReveal { lease: 9 }), "a2 0900000000000000");
}

#[test]
fn result_progress_and_refusal() {
    from_relay(
        FromRelay::Task(TaskFromRelay::Result {
            request: 5,
            end: 0,
            gas: 3,
            digest: [0x11; 32],
            runs: 2,
            refereed: true,
            voters: vec![PEER],
            doubt_ppm: 40_000,
            output: Blob::Inline(Vec::new()),
            others: vec![CONTENT],
        }),
        "a3                 # tag
         05000000           # request
         00                 # end
         0300000000000000   # gas
         11*32              # digest
         0200               # runs
         01                 # refereed
         01 aa*32           # voters: count, keys
         409c0000           # doubt_ppm
         01 cc*32           # others: count, contents
         00 0000            # output, inline and empty",
    );
    from_relay(
        FromRelay::Task(TaskFromRelay::Progress { request: 5, runs: 1, worker: PEER }),
        "a4 05000000 0100 aa*32",
    );
    from_relay(
        FromRelay::Task(TaskFromRelay::Refused { request: 5, why: TaskRefusal::NoWorker }),
        "a5 05000000 03",
    );
}

#[test]
fn wrong_task_frames_name_the_field() {
    let decode = |text: &str| ToRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("20 01 01000100 00"), DecodeError::Value { field: "memory_pages" });
    assert_eq!(decode("21 05000000 cc*32 02"), DecodeError::Value { field: "input" });
    let long = DecodeError::TooLong { field: "input", max: 16 * 1024 };
    assert_eq!(decode("21 05000000 cc*32 00 0140 00*16385"), long);
    assert_eq!(decode("21 05000000 cc*32 00 0000 00*8"), DecodeError::Short { needed: 4, left: 0 });
    assert_eq!(decode("21 05000000 cc*32 00 0000 00*8 00*12 01 00*4"), DecodeError::Value { field: "gas" });
    assert_eq!(
        decode("21 05000000 cc*32 00 0000 01 00*7 00*12 00 00*4"),
        DecodeError::Value { field: "assurance" }
    );
    let decode = |text: &str| FromRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("a5 05000000 0a"), DecodeError::Value { field: "why" });
    let many = DecodeError::TooLong { field: "voters", max: 32 };
    assert_eq!(decode("a3 00*4 00 00*8 00*32 0000 00 21"), many);
}

fn blob() -> impl Strategy<Value = Blob> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Blob::Inline),
        any::<[u8; 32]>().prop_map(|id| Blob::Content(ContentId(id))),
    ]
}

fn limits() -> impl Strategy<Value = TaskLimits> {
    (1..=1u64 << 62, 0..=65_536u32, any::<u32>(), any::<u32>()).prop_map(
        |(gas, memory_pages, output_bytes, checkpoint_steps)| TaskLimits {
            gas,
            memory_pages,
            output_bytes,
            checkpoint_steps,
        },
    )
}

fn mark() -> impl Strategy<Value = Option<TaskMark>> {
    prop::option::of(
        any::<([u8; 32], u64)>().prop_map(|(id, gas)| TaskMark { checkpoint: ContentId(id), gas }),
    )
}

fn any_task_to_relay() -> impl Strategy<Value = TaskToRelay> {
    let assurance = prop_oneof![
        (1..=32u8).prop_map(TaskAssurance::Replicas),
        Just(TaskAssurance::Cheap),
        Just(TaskAssurance::Strict)
    ];
    prop_oneof![
        (any::<u8>(), 0..=65_536u32, any::<bool>()).prop_map(|(slots, memory_pages, anybody)| {
            let whose = if anybody { TaskOf::Anybody } else { TaskOf::OwnSite };
            TaskToRelay::Offer { slots, memory_pages, whose }
        }),
        any::<u32>().prop_map(|request| TaskToRelay::Untrue { request }),
        (any::<(u32, [u8; 32], u32)>(), blob(), limits(), assurance).prop_map(
            |((request, module, value), input, limits, assurance)| TaskToRelay::Submit(TaskRequest {
                request,
                module: ContentId(module),
                input,
                limits,
                assurance,
                value,
            })
        ),
        (any::<u64>(), mark()).prop_map(|(lease, mark)| TaskToRelay::Beat { lease, mark }),
        (any::<(u64, u8, u64)>(), any::<[[u8; 32]; 4]>(), blob()).prop_map(
            |((lease, end, gas), [a, b, c, d], output)| {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&c);
                signature[32..].copy_from_slice(&d);
                TaskToRelay::Reveal { lease, end, gas, digest: a, nonce: b, signature, output }
            }
        ),
    ]
}

fn any_task_from_relay() -> impl Strategy<Value = TaskFromRelay> {
    prop_oneof![
        (any::<(u64, u32, [u8; 32])>(), blob(), limits(), mark()).prop_map(
            |((lease, beat_ms, module), input, limits, resume)| TaskFromRelay::Lease {
                lease,
                beat_ms,
                module: ContentId(module),
                input,
                limits,
                resume,
            }
        ),
        (
            any::<(u32, u8, u64, [u8; 32], u16, bool)>(),
            prop::collection::vec(any::<[u8; 32]>(), 0..=32),
            prop::collection::vec(any::<[u8; 32]>(), 0..=32),
            (0..=1_000_000u32, blob())
        )
            .prop_map(
                |((request, end, gas, digest, runs, refereed), voters, others, (doubt_ppm, output))| {
                    TaskFromRelay::Result {
                        request,
                        end,
                        gas,
                        digest,
                        runs,
                        refereed,
                        voters: voters.into_iter().map(PeerId).collect(),
                        doubt_ppm,
                        output,
                        others: others.into_iter().map(ContentId).collect(),
                    }
                }
            ),
    ]
}

fn signal() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn any_to_relay() -> impl Strategy<Value = ToRelay> {
    let peer = || any::<[u8; 32]>().prop_map(PeerId);
    let content = || any::<[u8; 32]>().prop_map(ContentId);
    prop_oneof![
        (peer(), any::<[u8; 32]>(), any::<[u8; 32]>(), "[ -~]{0,255}").prop_map(|(peer, a, b, authority)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&a);
            signature[32..].copy_from_slice(&b);
            ToRelay::Hello { version: PROTOCOL_VERSION, peer, signature, authority }
        }),
        prop::collection::vec((content(), 0..=1000u16, any::<u8>()), 1..=ANNOUNCES_PER_FRAME_MAX).prop_map(
            |all| {
                let said = |(content, have_permille, wants)| Holding { content, have_permille, wants };
                ToRelay::Announces(all.into_iter().map(said).collect())
            }
        ),
        (content(), 0..=1000u16, any::<u8>()).prop_map(|(content, have_permille, wants)| ToRelay::Announce {
            content,
            have_permille,
            wants
        }),
        content().prop_map(|content| ToRelay::Withdraw { content }),
        (peer(), any::<u64>(), signal()).prop_map(|(to, session, signal)| ToRelay::Signal {
            to,
            session,
            signal
        }),
        any::<([u64; 5], u16)>().prop_map(|([a, b, c, d, e], channels)| ToRelay::Report(Report {
            sent_bytes: a,
            from_peers_bytes: b,
            from_relay_bytes: c,
            from_http_bytes: d,
            wasted_bytes: e,
            channels,
        })),
        (peer(), content(), any::<u32>()).prop_map(|(accused, content, block)| ToRelay::Blame {
            accused,
            content,
            block
        }),
        any::<(u64, u8)>()
            .prop_map(|(up_bytes_per_s, cost_class)| ToRelay::Capacity { up_bytes_per_s, cost_class }),
        (peer(), prop::option::of(0..u32::MAX))
            .prop_map(|(peer, opened_after_ms)| ToRelay::Met { peer, opened_after_ms }),
        (peer(), content(), any::<(u64, u32, u32)>(), any::<[u8; 32]>()).prop_map(
            |(sender, content, (bytes, bytes_per_s, epoch), half)| {
                let mut signature = [7; 64];
                signature[..32].copy_from_slice(&half);
                ToRelay::Receipt(Receipt { sender, content, bytes, bytes_per_s, epoch, signature })
            }
        ),
        any::<(u64, u64)>()
            .prop_map(|(storage_bytes, up_bytes_per_s)| ToRelay::Spare { storage_bytes, up_bytes_per_s }),
        (content(), any::<u64>()).prop_map(|(content, bytes)| ToRelay::Length { content, bytes }),
        (content(), any::<u64>()).prop_map(|(content, bytes)| ToRelay::Gave { content, bytes }),
        any_task_to_relay().prop_map(ToRelay::Task),
    ]
}

fn any_from_relay() -> impl Strategy<Value = FromRelay> {
    let peer = || any::<[u8; 32]>().prop_map(PeerId);
    let content = || any::<[u8; 32]>().prop_map(ContentId);
    prop_oneof![
        (any::<[u8; 32]>(), peer()).prop_map(|(nonce, relay)| FromRelay::Challenge { nonce, relay }),
        any::<[u16; 4]>().prop_map(|[version, report_every_s, frames_per_s, frames_burst]| {
            FromRelay::Welcome { version, report_every_s, frames_per_s, frames_burst }
        }),
        (content(), peer(), any::<u16>()).prop_map(|(content, peer, have_permille)| FromRelay::Introduce {
            content,
            peer,
            have_permille
        }),
        (peer(), any::<u64>(), signal()).prop_map(|(from, session, signal)| FromRelay::Signal {
            from,
            session,
            signal
        }),
        (peer(), any::<u64>(), prop::sample::select(&SignalRefusal::ALL[..]))
            .prop_map(|(peer, session, why)| FromRelay::Unreachable { peer, session, why }),
        (prop::sample::select(&ErrorCode::ALL[..]), any::<u32>(), "[ -~]{0,200}")
            .prop_map(|(code, retry_after_ms, detail)| FromRelay::Error { code, retry_after_ms, detail }),
        (
            prop::sample::select(&ErrorCode::ALL[..]),
            any::<u32>(),
            prop::collection::vec(content(), 1..=ANNOUNCES_PER_FRAME_MAX)
        )
            .prop_map(|(code, retry_after_ms, contents)| FromRelay::AnnounceRefused {
                code,
                retry_after_ms,
                contents
            }),
        content().prop_map(|content| FromRelay::Prefetch { content }),
        content().prop_map(|content| FromRelay::Release { content }),
        any_task_from_relay().prop_map(FromRelay::Task),
    ]
}

proptest! {
    #[test]
    fn messages_to_the_relay_round_trip(message in any_to_relay()) {
        prop_assert_eq!(ToRelay::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn messages_from_the_relay_round_trip(message in any_from_relay()) {
        prop_assert_eq!(FromRelay::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(tag in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        for tag in [tag, tag % 32, 0x80 | (tag % 32), 0x20 | (tag % 8), 0xa0 | (tag % 8)] {
            let frame = [vec![tag], rest.clone()].concat();
            if let Ok(message) = ToRelay::decode(&frame) {
                prop_assert_eq!(message.encode(), frame.clone());
            }
            if let Ok(message) = FromRelay::decode(&frame) {
                prop_assert_eq!(message.encode(), frame);
            }
        }
    }

    #[test]
    fn a_frame_cut_short_is_refused_unless_its_end_is_open(message in any_to_relay(), cut in any::<prop::sample::Index>()) {
        let frame = message.encode();
        let cut = &frame[..cut.index(frame.len())];
        match ToRelay::decode(cut) {
            Err(_) => {}
            // A batch cut behind one of its contents is a shorter batch.
            Ok(ToRelay::Announces(_)) => {
                let open = matches!(message, ToRelay::Announces(_));
                prop_assert!(open, "announces from a part of {:?}", message);
            }
            Ok(ToRelay::Signal { .. }) => {
                let open = matches!(message, ToRelay::Signal { .. });
                prop_assert!(open, "a signal from a part of {:?}", message);
            }
            Ok(other) => return Err(TestCaseError::fail(format!("{other:?} from a part of {message:?}"))),
        }
    }
}
