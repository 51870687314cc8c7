//! What every WebRTC stack that a PeerEdge connection runs on must do, shown on the native stack against itself
//! and against webrtc-rs, an independent implementation, with either side making the offer. The browser's side
//! of the same contract is `tests/interop/rtc_contract.mjs`.

mod link;
mod native;
mod path;

use link::{End, Link, loopback, pattern};
use peeredge_relay::rtc::CloseReason;

/// Runs a case on every pair of stacks.
macro_rules! on_every_pair {
    ($($case:ident),+ $(,)?) => {
        mod native_to_native {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::End::native(super::loopback()), super::End::native(super::loopback())).await;
            })+
        }
        mod native_to_webrtc_rs {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::End::native(super::loopback()), super::End::webrtc_rs()).await;
            })+
        }
        mod webrtc_rs_to_native {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::End::webrtc_rs(), super::End::native(super::loopback())).await;
            })+
        }
    };
}

on_every_pair!(
    messages_of_every_size_come_back_as_sent,
    small_messages_keep_their_order,
    megabytes_arrive_intact_both_ways,
    the_offerer_closes,
    the_answerer_closes,
);

async fn messages_of_every_size_come_back_as_sent(offerer: End, answerer: End) {
    let mut link = Link::join(offerer, answerer).await;
    let sizes = [1, 2, 1071, 1072, 1200, 16_384, 65_535, 65_536, 65_537, 262_143, 262_144];
    for (index, size) in sizes.into_iter().enumerate() {
        let id = link.id;
        let (one, two) = link.sides(index % 2 == 0);
        let message = pattern(index as u64, size);
        one.send(id, message.clone()).await;
        let arrived = two.receive().await;
        assert!(arrived == message, "{size} bytes changed on their way there");
        two.send(id, arrived).await;
        assert!(one.receive().await == message, "{size} bytes changed on their way back");
    }
}

async fn small_messages_keep_their_order(offerer: End, answerer: End) {
    let mut link = Link::join(offerer, answerer).await;
    let id = link.id;
    let (one, two) = link.sides(true);
    for number in 0..5000_u32 {
        let mut message = number.to_be_bytes().to_vec();
        message.resize(4 + number as usize % 40, 7);
        one.send(id, message).await;
    }
    for number in 0..5000_u32 {
        let message = two.receive().await;
        assert_eq!(message.len(), 4 + number as usize % 40);
        assert_eq!(message[..4], number.to_be_bytes());
    }
}

async fn megabytes_arrive_intact_both_ways(offerer: End, answerer: End) {
    const BYTES: u64 = 64 << 20;
    let mut link = Link::join(offerer, answerer).await;
    let id = link.id;
    for from_offerer in [true, false] {
        let (one, two) = link.sides(from_offerer);
        let sending = async {
            let mut sent = 0;
            while sent < BYTES {
                let bytes = (16_384 + sent % 1000).min(BYTES - sent);
                one.send(id, pattern(sent, bytes as usize)).await;
                sent += bytes;
            }
        };
        let receiving = async {
            let mut arrived = 0;
            while arrived < BYTES {
                let message = two.receive().await;
                assert!(message == pattern(arrived, message.len()), "changed after {arrived} bytes");
                arrived += message.len() as u64;
            }
            assert_eq!(arrived, BYTES);
        };
        tokio::join!(sending, receiving);
    }
}

async fn the_offerer_closes(offerer: End, answerer: End) {
    close_from(Link::join(offerer, answerer).await, true).await;
}

async fn the_answerer_closes(offerer: End, answerer: End) {
    close_from(Link::join(offerer, answerer).await, false).await;
}

async fn close_from(mut link: Link, from_offerer: bool) {
    let id = link.id;
    let (one, two) = link.sides(from_offerer);
    one.send(id, b"the last word".to_vec()).await;
    assert_eq!(two.receive().await, b"the last word");
    one.end.close(id).await;
    assert_eq!(one.until_closed().await, CloseReason::Local);
    assert_eq!(two.until_closed().await, CloseReason::Remote);
}
