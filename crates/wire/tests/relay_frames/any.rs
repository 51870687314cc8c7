//! Any frame is read as it was written, and none that is cut or changed ends the reader.

use super::*;

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
