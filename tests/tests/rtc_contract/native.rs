//! What the native stack must do besides, when its caller, its peer or the network misbehaves.

use std::time::Duration;

use peeredge_relay::rtc::{
    CloseReason, ConnectionId, Role, RtcCommand, RtcConfig, RtcEvent, SignalError, spawn,
};

use crate::link::{End, Link, loopback, pattern};

async fn echo_works(link: &mut Link) {
    let id = link.id;
    link.offerer.send(id, b"still here".to_vec()).await;
    assert_eq!(link.answerer.receive().await, b"still here");
}

#[tokio::test]
async fn the_first_credit_is_the_configured_one_and_all_of_it_comes_back() {
    let config = RtcConfig { send_credit_bytes: 300_000, ..loopback() };
    let mut link = Link::join(End::native(config), End::webrtc_rs()).await;
    assert_eq!(link.offerer.credit_bytes, 300_000);
    let id = link.id;
    for _ in 0..3 {
        link.offerer.send(id, vec![1; 100_000]).await;
    }
    while link.offerer.credit_bytes < 300_000 {
        link.offerer.step().await;
    }
    assert_eq!(link.offerer.credit_bytes, 300_000);
}

#[tokio::test]
async fn sending_beyond_the_credit_ends_only_that_connection() {
    let mut link = Link::join(End::native(loopback()), End::webrtc_rs()).await;
    let (bad, id) = (ConnectionId(2), link.id);
    link.offerer.end.open(bad, Role::Offerer).await;
    link.offerer.end.send(bad, vec![0; 5]).await;
    let reason = CloseReason::CreditExceeded { credit_bytes: 0, message_bytes: 5 };
    assert_eq!(link.offerer.end.closed().await, (bad, reason));
    echo_works(&mut link).await;

    // Messages so short of acknowledgement that the credit cannot have come back in between.
    let credit_bytes = link.offerer.credit_bytes;
    for _ in 0..credit_bytes / 262_144 * 8 {
        link.offerer.end.send(id, vec![0; 262_144]).await;
    }
    let reason = link.offerer.until_closed().await;
    assert!(matches!(reason, CloseReason::CreditExceeded { message_bytes: 262_144, .. }), "{reason}");
    assert_eq!(link.answerer.until_closed().await, CloseReason::Remote);
}

#[tokio::test]
async fn messages_outside_the_limits_are_refused() {
    for message_bytes in [0, 262_145] {
        let mut link = Link::join(End::native(loopback()), End::native(loopback())).await;
        link.answerer.end.send(link.id, vec![0; message_bytes as usize]).await;
        let reason = CloseReason::MessageSize { message_bytes, bytes_max: 262_144 };
        assert_eq!(link.answerer.until_closed().await, reason);
        assert_eq!(link.offerer.until_closed().await, CloseReason::Remote);
    }
}

#[tokio::test]
async fn unusable_signals_end_their_connection_with_a_reason() {
    let mut link = Link::join(End::native(loopback()), End::native(loopback())).await;
    let long = format!("{{\"type\":\"offer\",\"sdp\":\"{}\"}}", "x".repeat(20_000));
    let session = "v=0\\r\\no=- 1 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\n";
    let no_media = format!("{{\"type\":\"offer\",\"sdp\":\"{session}\"}}");
    let no_fingerprint = format!(
        "{{\"type\":\"offer\",\"sdp\":\"{session}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\\r\\n\
         c=IN IP4 0.0.0.0\\r\\na=mid:0\\r\\na=ice-ufrag:abcd\\r\\na=ice-pwd:0123456789012345678901\\r\\n\
         a=setup:actpass\\r\\na=sctp-port:5000\\r\\n\"}}"
    );
    let signals: [&[u8]; 10] = [
        b"",
        b"\xff\xfe\x00",
        b"{\"type\":\"offer\"",
        b"{\"type\":\"hello\"}",
        b"{\"type\":\"offer\",\"sdp\":\"\"}",
        b"{\"type\":\"offer\",\"sdp\":\"v=0\\r\\nnonsense\"}",
        b"{\"type\":\"candidate\",\"candidate\":\"candidate:x\"}",
        long.as_bytes(),
        no_media.as_bytes(),
        no_fingerprint.as_bytes(),
    ];
    for (number, signal) in (10..).zip(signals) {
        let connection = ConnectionId(number);
        link.answerer.end.open(connection, Role::Answerer).await;
        link.answerer.end.signal(connection, signal).await;
        let (closed, reason) = link.answerer.end.closed().await;
        assert_eq!(closed, connection);
        assert!(matches!(reason, CloseReason::Signal(_)), "{reason}: {:?}", String::from_utf8_lossy(signal));
    }
    echo_works(&mut link).await;
}

#[tokio::test]
async fn descriptions_out_of_order_are_refused() {
    let mut end = End::native(loopback());
    let (offering, answering) = (ConnectionId(1), ConnectionId(2));
    end.open(offering, Role::Offerer).await;
    let RtcEvent::Signal { signal: offer, .. } = end.next().await else {
        panic!("an offerer starts with its offer");
    };
    end.signal(offering, &offer).await;
    let refused = CloseReason::Signal(SignalError::OutOfOrder);
    assert_eq!(end.closed().await, (offering, refused.clone()));

    end.open(answering, Role::Answerer).await;
    end.signal(answering, b"{\"type\":\"answer\",\"sdp\":\"v=0\\r\\n\"}").await;
    assert_eq!(end.closed().await, (answering, refused.clone()));

    let twice = ConnectionId(3);
    end.open(twice, Role::Answerer).await;
    end.signal(twice, &offer).await;
    end.signal(twice, &offer).await;
    assert_eq!(end.closed().await, (twice, refused));
}

#[tokio::test]
async fn candidates_may_overtake_the_description_and_end_with_an_empty_one() {
    let (mut one, mut two) = (End::native(loopback()), End::native(loopback()));
    let id = ConnectionId(9);
    let End::Native(handle, _) = &one else { unreachable!("made above") };
    let address = handle.addresses()[0];
    let candidate = format!(
        "{{\"type\":\"candidate\",\"candidate\":\"candidate:1 1 udp 2130706431 {} {} typ host\",\"mid\":\"0\"}}",
        address.ip(),
        address.port()
    );
    two.open(id, Role::Answerer).await;
    two.signal(id, candidate.as_bytes()).await;
    two.signal(id, b"{\"type\":\"candidate\",\"candidate\":\"\"}").await;
    one.open(id, Role::Offerer).await;
    let RtcEvent::Signal { signal: offer, .. } = one.next().await else { panic!("the offer comes first") };
    // Take the candidate out of the offer, so that only the trickled one is left.
    let offer = String::from_utf8(offer).expect("signals are JSON");
    let start = offer.find("a=candidate").expect("the offer names its address");
    let end = start + offer[start..].find("\\r\\n").expect("the line ends") + 4;
    let stripped = format!("{}{}", &offer[..start], &offer[end..]);
    two.signal(id, stripped.as_bytes()).await;
    let RtcEvent::Signal { signal: answer, .. } = two.next().await else { panic!("the answer comes first") };
    one.signal(id, &answer).await;
    assert_eq!(one.next().await, RtcEvent::Opened { connection: id });
    assert_eq!(two.next().await, RtcEvent::Opened { connection: id });
}

#[tokio::test]
async fn an_unanswered_connection_runs_out() {
    let mut end = End::native(RtcConfig { connect_timeout: Duration::from_millis(50), ..loopback() });
    for (number, role) in [(1, Role::Offerer), (2, Role::Answerer)] {
        end.open(ConnectionId(number), role).await;
        assert_eq!(end.closed().await, (ConnectionId(number), CloseReason::ConnectTimeout));
    }
}

#[tokio::test]
async fn connections_are_limited_and_their_ids_are_unique() {
    let mut end = End::native(RtcConfig { connections_max: 2, ..loopback() });
    for number in [1, 2, 3] {
        end.open(ConnectionId(number), Role::Answerer).await;
    }
    let full = CloseReason::TooManyConnections { connections_max: 2 };
    assert_eq!(end.closed().await, (ConnectionId(3), full));
    end.open(ConnectionId(1), Role::Answerer).await;
    assert_eq!(end.closed().await, (ConnectionId(1), CloseReason::DuplicateId));
    end.close(ConnectionId(2)).await;
    assert_eq!(end.closed().await, (ConnectionId(2), CloseReason::Local));
    // What names no connection does nothing.
    end.close(ConnectionId(2)).await;
    end.send(ConnectionId(2), vec![1]).await;
    end.signal(ConnectionId(2), b"nonsense").await;
    end.open(ConnectionId(4), Role::Offerer).await;
    assert!(matches!(end.next().await, RtcEvent::Signal { connection: ConnectionId(4), .. }));
}

#[tokio::test]
async fn a_peer_that_vanishes_is_noticed_and_stalls_nobody() {
    let config = RtcConfig { silence_max: Duration::from_secs(2), ..loopback() };
    let mut link = Link::join(End::native(config), End::webrtc_rs()).await;
    let id = link.id;
    let End::WebrtcRs(gone) = link.answerer.end else { unreachable!("made above") };
    gone.vanish();
    // All that the credit allows is stuck from here on.
    while link.offerer.credit_bytes >= 16_384 {
        link.offerer.send(id, vec![0; 16_384]).await;
    }

    let other = ConnectionId(2);
    let mut peer = End::native(loopback());
    link.offerer.end.open(other, Role::Offerer).await;
    peer.open(other, Role::Answerer).await;
    let mut greeted = false;
    let reason = loop {
        tokio::select! {
            event = link.offerer.end.next() => match event {
                RtcEvent::Signal { connection, signal } if connection == other => peer.signal(other, &signal).await,
                RtcEvent::Opened { .. } => link.offerer.end.send(other, b"hello".to_vec()).await,
                RtcEvent::Closed { connection, reason } if connection == id => break reason,
                RtcEvent::Closed { reason, .. } => panic!("the healthy connection ends: {reason}"),
                _ => {}
            },
            event = peer.next() => match event {
                RtcEvent::Signal { signal, .. } => link.offerer.end.signal(other, &signal).await,
                RtcEvent::Message { message, .. } => greeted = message == b"hello",
                _ => {}
            },
        }
    };
    assert_eq!(reason, CloseReason::Lost);
    while !greeted {
        if let RtcEvent::Message { message, .. } = peer.next().await {
            greeted = message == b"hello";
        }
    }
}

#[tokio::test]
async fn a_caller_that_does_not_listen_slows_its_peer_and_loses_nothing() {
    const BYTES: u64 = 24 << 20;
    let config = RtcConfig { event_bytes_max: 1 << 20, socket_buffer_bytes: 1 << 20, ..loopback() };
    let mut link = Link::join(End::native(loopback()), End::native(config)).await;
    let id = link.id;
    let (one, two) = link.sides(true);
    let sending = async {
        let mut sent = 0;
        while sent < BYTES {
            one.send(id, pattern(sent, 16_384)).await;
            sent += 16_384;
        }
    };
    tokio::pin!(sending);
    // However long this lasts, the queues in between cannot hold it all.
    let early = tokio::time::timeout(Duration::from_secs(1), &mut sending).await;
    assert!(early.is_err(), "{BYTES} bytes were taken though nobody listened");
    let receiving = async {
        let mut arrived = 0;
        while arrived < BYTES {
            let message = two.receive().await;
            assert!(message == pattern(arrived, message.len()), "changed after {arrived} bytes");
            arrived += message.len() as u64;
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn an_ice_lite_end_answers_full_ends() {
    let lite = || End::native(RtcConfig { ice_lite: true, ..loopback() });
    let mut link = Link::join(End::native(loopback()), lite()).await;
    echo_works(&mut link).await;
    let mut link = Link::join(End::webrtc_rs(), lite()).await;
    echo_works(&mut link).await;
}

#[tokio::test]
async fn a_native_end_bound_to_a_wildcard_is_reached_as_advertised() {
    let mut config = loopback();
    config.sockets[0].bind = "0.0.0.0:0".parse().expect("an address");
    config.sockets[0].advertised = Some("127.0.0.1:0".parse().expect("an address"));
    let mut link = Link::join(End::native(config), End::webrtc_rs()).await;
    echo_works(&mut link).await;
}

#[tokio::test]
async fn stray_datagrams_change_nothing() {
    let mut link = Link::join(End::native(loopback()), End::webrtc_rs()).await;
    let End::Native(handle, _) = &link.offerer.end else { unreachable!("made above") };
    let address = handle.addresses()[0];
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("loopback can be bound");
    for number in 0..2000_usize {
        // Of every first byte and many lengths, among them headers of STUN, DTLS and RTP.
        let mut datagram = pattern(number as u64, number % 300);
        if let Some(first) = datagram.first_mut() {
            *first = number as u8;
        }
        if number % 5 == 0 && datagram.len() > 24 {
            let attributes_bytes = (datagram.len() - 20) as u8 & !3;
            datagram[..8].copy_from_slice(&[0, 1, 0, attributes_bytes, 0x21, 0x12, 0xa4, 0x42]);
        }
        stranger.send_to(&datagram, address).await.expect("loopback takes it");
    }
    echo_works(&mut link).await;
}

#[tokio::test]
async fn dropping_the_handle_says_goodbye_and_stops_the_driver() {
    let link = Link::join(End::native(loopback()), End::native(loopback())).await;
    let (End::Native(handle, mut events), mut two) = (link.offerer.end, link.answerer) else {
        unreachable!("made above")
    };
    drop(handle);
    assert_eq!(two.until_closed().await, CloseReason::Remote);
    let closed = RtcEvent::Closed { connection: link.id, reason: CloseReason::Shutdown };
    assert_eq!(events.recv().await, Some(closed));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_full_command_queue_gives_the_command_back() {
    let config = RtcConfig { commands_max: 1, ..loopback() };
    let (handle, _events) = spawn(config).expect("loopback can be bound");
    let command = RtcCommand::Close { connection: ConnectionId(1) };
    // The driver empties the queue as fast as it can, so only a burst finds it full.
    let full = (0..1_000_000).find_map(|_| handle.try_send(command.clone()).err());
    assert_eq!(full, Some(peeredge_relay::rtc::RtcCommandError::Full(command)));
}

#[tokio::test]
async fn a_second_connection_from_one_address_takes_nothing_from_the_first() {
    let mut link = Link::join(End::native(loopback()), End::native(loopback())).await;
    echo_works(&mut link).await;
    let second = ConnectionId(2);
    link.offerer.end.open(second, Role::Offerer).await;
    link.answerer.end.open(second, Role::Answerer).await;
    let reason = loop {
        tokio::select! {
            event = link.offerer.end.next() => match event {
                RtcEvent::Signal { signal, .. } => link.answerer.end.signal(second, &signal).await,
                RtcEvent::Closed { connection, reason } => break (connection, reason),
                _ => {}
            },
            event = link.answerer.end.next() => match event {
                RtcEvent::Signal { signal, .. } => link.offerer.end.signal(second, &signal).await,
                RtcEvent::Closed { connection, reason } => break (connection, reason),
                _ => {}
            },
        }
    };
    assert!(matches!(reason, (ConnectionId(2), CloseReason::SharedAddress { .. })), "{reason:?}");
    link.offerer.end.close(second).await;
    link.answerer.end.close(second).await;
    // Several checks of either connection later the first one still has its datagrams.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (one, other) = link.sides(true);
    one.end.send(ConnectionId(1), pattern(0, 100_000)).await;
    let received = loop {
        match other.end.next().await {
            RtcEvent::Message { connection: ConnectionId(1), message } => break message,
            RtcEvent::Closed { connection: ConnectionId(1), reason } => panic!("the first ended: {reason}"),
            _ => {}
        }
    };
    assert_eq!(received, pattern(0, 100_000));
}
