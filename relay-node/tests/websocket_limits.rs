//! What one peer does wrong ends in its typed error and costs the others nothing.
mod support;

use futures_util::{SinkExt, StreamExt};
use peeredge_wire::ContentId;
use peeredge_wire::relay::{ErrorCode, FromRelay, SignalRefusal, ToRelay};
use support::peer::{Heard, Peer};
use support::{Folder, PATIENCE, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

fn relay(folder: &Folder, flags: &[&str]) -> Relay {
    Relay::start(&folder.path("data"), &[&["--rtc", "false"], flags].concat())
}

/// A peer still gets what it asks for: a signal to nobody comes back as unreachable.
async fn is_served(peer: &mut Peer, session: u64) {
    let to = peeredge_wire::PeerId([9; 32]);
    peer.say(&ToRelay::Signal { to, session, signal: vec![1] }).await;
    loop {
        match peer.hear().await {
            // An earlier signal to somebody who has left meanwhile.
            Heard::Message(FromRelay::Unreachable { peer, .. }) if peer != to => {}
            heard => {
                let why = SignalRefusal::Unknown;
                return assert_eq!(heard, Heard::Message(FromRelay::Unreachable { peer: to, session, why }));
            }
        }
    }
}

async fn refused(peer: &mut Peer, expected: ErrorCode, close: u16) {
    let mut heard = peer.hear().await;
    if matches!(heard, Heard::Message(FromRelay::Challenge { .. })) {
        heard = peer.hear().await;
    }
    let Heard::Message(FromRelay::Error { code, .. }) = heard else { panic!("{expected}: {heard:?}") };
    assert_eq!(code, expected);
    assert_eq!(peer.hear().await, Heard::Closed(Some(close)), "{expected}");
}

#[tokio::test]
async fn a_frame_of_100_mb_is_refused_unread_and_others_go_on() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &[]);
    let mut other = Peer::join(relay.address, 1).await;
    let before = relay.metric("process_resident_memory_bytes").unwrap();
    let culprit = Peer::join(relay.address, 2).await;
    let (mut sink, mut stream) = culprit.socket.split();
    let sending = tokio::spawn(async move {
        // The relay closes while this is under way, so it may well fail.
        let _ = sink.send(Message::Binary(vec![7; 100 << 20].into())).await;
    });
    let mut heard = Vec::new();
    while let Some(Ok(message)) = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap() {
        match message {
            Message::Binary(frame) => heard.push(Heard::Message(FromRelay::decode(&frame).unwrap())),
            Message::Close(frame) => heard.push(Heard::Closed(frame.map(|f| f.code.into()))),
            _ => {}
        }
    }
    let Some(Heard::Message(FromRelay::Error { code: ErrorCode::TooLarge, .. })) = heard.first() else {
        panic!("{heard:?}")
    };
    assert_eq!(heard.get(1), Some(&Heard::Closed(Some(1009))));
    sending.abort();
    is_served(&mut other, 1).await;
    let grown = relay.metric("process_resident_memory_bytes").unwrap() - before;
    assert!(grown < 30e6, "the frame was not to be read: grew by {grown} bytes");
    assert_eq!(relay.metric("peeredge_errors_total{code=\"too_large\"}"), Some(1.0));
}

#[tokio::test]
async fn garbage_text_and_what_comes_too_early_have_errors_of_their_own() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &[]);
    let mut other = Peer::join(relay.address, 1).await;

    let mut peer = Peer::join(relay.address, 2).await;
    peer.socket.send(Message::Binary(vec![0xee; 40].into())).await.unwrap();
    refused(&mut peer, ErrorCode::Malformed, 1008).await;

    let mut peer = Peer::join(relay.address, 2).await;
    peer.socket.send(Message::Text("hello".into())).await.unwrap();
    refused(&mut peer, ErrorCode::Malformed, 1008).await;

    let mut peer = Peer::connect(relay.address, 2).await;
    peer.say(&ToRelay::Announce { content: ContentId([1; 32]), have_permille: 1000, wants: 0 }).await;
    refused(&mut peer, ErrorCode::OutOfOrder, 1008).await;

    let mut peer = Peer::connect(relay.address, 2).await;
    let (id, authority) = (peer.id, relay.address.to_string());
    let hello =
        |version| ToRelay::Hello { version, peer: id, signature: [3; 64], authority: authority.clone() };
    peer.say(&hello(peeredge_wire::PROTOCOL_VERSION)).await;
    refused(&mut peer, ErrorCode::Unauthorised, 1008).await;

    let mut peer = Peer::connect(relay.address, 2).await;
    peer.say(&hello(999)).await;
    refused(&mut peer, ErrorCode::Version, 1008).await;

    is_served(&mut other, 1).await;
}

#[tokio::test]
async fn bytes_that_are_no_websocket_frame_end_only_their_own_connection() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &[]);
    let mut other = Peer::join(relay.address, 1).await;
    for garbage in [vec![0xff; 64], vec![0x82, 0x05, 1, 2, 3, 4, 5], vec![0; 1000], vec![0x8f, 0xff]] {
        let mut peer = Peer::connect(relay.address, 2).await;
        assert!(matches!(peer.hear().await, Heard::Message(FromRelay::Challenge { .. })));
        let raw = peer.socket.get_mut();
        raw.write_all(&garbage).await.unwrap();
        let mut rest = Vec::new();
        // Whatever it says, it ends.
        let _ = tokio::time::timeout(PATIENCE, raw.read_to_end(&mut rest)).await.expect("the relay closes");
    }
    is_served(&mut other, 1).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_pushed_out_by_strangers() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &["--peer-queue-bytes-max", "65536"]);
    let deaf = Peer::join(relay.address, 1).await;
    // What strangers say to somebody they never met does not even wait for it.
    for seed in 2..10 {
        let mut talker = Peer::join(relay.address, seed).await;
        for session in 0..20 {
            talker.say(&ToRelay::Signal { to: deaf.id, session, signal: vec![0; 16_000] }).await;
        }
        is_served(&mut talker, 99).await;
    }
    assert!(relay.metric("peeredge_sockets_closed_total{reason=\"overflow\"}").is_none());
}

#[tokio::test]
async fn one_network_has_only_so_many_places() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &["--peers-per-owner-max", "2"]);
    let mut first = Peer::join(relay.address, 1).await;
    let second = Peer::join(relay.address, 2).await;
    let mut third = Peer::connect(relay.address, 3).await;
    refused(&mut third, ErrorCode::Full, 1013).await;
    is_served(&mut first, 1).await;
    drop(second);
    support::wait_for("the place to be free", || relay.metric("peeredge_sockets") == Some(1.0));
    Peer::join(relay.address, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_let_go_and_one_that_answers_pings_stays() {
    let folder = Folder::new("ws");
    let relay = relay(&folder, &["--ping-interval-ms", "100", "--idle-timeout-ms", "400"]);
    let silent = Peer::join(relay.address, 1).await;
    let mut awake = Peer::join(relay.address, 2).await;
    let (speak, spoken) = tokio::sync::oneshot::channel();
    let listening = tokio::spawn(async move {
        tokio::select! {
            // Reading answers the pings.
            heard = awake.hear() => panic!("{heard:?}"),
            _ = spoken => {}
        }
        is_served(&mut awake, 7).await;
    });
    support::wait_for("the silent peer to be let go", || {
        relay.metric("peeredge_sockets_closed_total{reason=\"silent\"}") == Some(1.0)
    });
    speak.send(()).unwrap();
    listening.await.unwrap();
    drop(silent);
}
