//! Drives a WebRTC stack by JSON lines: commands on standard input, events on standard output.
//!
//! The interop harness (`tests/interop/`) sets such a program against a browser. One object a line:
//!
//! ```text
//! > {"do":"open","connection":1,"role":"offerer","mode":"echo"}    or "answerer"; or "sink"
//! > {"do":"signal","connection":1,"signal":"{\"type\":...}"}
//! > {"do":"expect","connection":1,"bytes":67108864}                 report once a sink has received this many
//! > {"do":"flood","connection":1,"bytes":67108864,"message":16384}  send this many bytes in messages of this size
//! > {"do":"overspend","connection":1}                               send messages without credit for them
//! > {"do":"close","connection":1}
//! < {"event":"ready"}
//! < {"event":"signal","connection":1,"signal":"..."}
//! < {"event":"opened","connection":1}
//! < {"event":"received","connection":1,"bytes":...,"ms":...,"intact":true}   ms since the first message
//! < {"event":"flooded","connection":1,"bytes":...,"ms":...}                  all acknowledged
//! < {"event":"closed","connection":1,"reason":"..."}
//! ```
//!
//! Flooded bytes follow a pattern that depends on their offset, and a sink checks it. A peer is told of credit
//! and never sends more, except on request.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, Write};
use std::time::Instant;

use peeredge_relay::rtc::{ConnectionId, Role, RtcCommand, RtcEvent};
use serde_json::{Value, json};

#[derive(Default)]
struct Peer {
    echo: bool,
    credit_bytes: u64,
    waiting: VecDeque<Vec<u8>>,
    received_bytes: u64,
    expected_bytes: Option<u64>,
    first_at: Option<Instant>,
    damaged: bool,
    flood: Option<Flood>,
}

struct Flood {
    bytes: u64,
    sent_bytes: u64,
    back_bytes: u64,
    message_bytes: u64,
    started_at: Instant,
}

/// What a stack must offer to be driven.
pub trait Stack {
    /// Takes a command, waiting for room if it must.
    fn send(&self, command: RtcCommand) -> impl Future<Output = ()>;
    /// The next event; none when the stack has stopped.
    fn next(&mut self) -> impl Future<Output = Option<RtcEvent>>;
}

/// Runs until standard input ends or the stack stops.
pub fn run(mut stack: impl Stack) {
    say(json!({"event": "ready"}));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (lines_in, mut lines) = tokio::sync::mpsc::channel::<String>(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines_in.blocking_send(line).is_err() {
                return;
            }
        }
    });
    runtime.block_on(async {
        let mut peers = BTreeMap::new();
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => obey(&line, &mut peers, &stack).await,
                    None => return,
                },
                event = stack.next() => match event {
                    Some(event) => follow(event, &mut peers, &stack).await,
                    None => return,
                },
            }
        }
    });
}

fn say(line: Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the harness reads our output");
}

async fn obey(line: &str, peers: &mut BTreeMap<u64, Peer>, stack: &impl Stack) {
    let command: Value = serde_json::from_str(line).expect("the harness writes JSON lines");
    let id = command["connection"].as_u64().expect("each command names a connection");
    let connection = ConnectionId(id);
    let peer = peers.entry(id).or_default();
    let rtc = match command["do"].as_str() {
        Some("open") => {
            peer.echo = command["mode"] == "echo";
            let role = if command["role"] == "offerer" { Role::Offerer } else { Role::Answerer };
            RtcCommand::Open { connection, role }
        }
        Some("signal") => {
            let signal = command["signal"].as_str().expect("a signal is a string").into();
            RtcCommand::Signal { connection, signal }
        }
        Some("overspend") => {
            // More than any credit, faster than it can come back.
            let message = vec![0; 262_144];
            let command = RtcCommand::Send { connection, message };
            for _ in 0..16 {
                stack.send(command.clone()).await;
            }
            command
        }
        Some("close") => RtcCommand::Close { connection },
        Some("expect") => {
            peer.expected_bytes = command["bytes"].as_u64();
            return;
        }
        Some("flood") => {
            peer.flood = Some(Flood {
                bytes: command["bytes"].as_u64().expect("how much to send"),
                sent_bytes: 0,
                back_bytes: 0,
                message_bytes: command["message"].as_u64().expect("the size of a message"),
                started_at: Instant::now(),
            });
            return send_more(connection, peer, stack).await;
        }
        other => panic!("unknown command {other:?}"),
    };
    stack.send(rtc).await;
}

async fn follow(event: RtcEvent, peers: &mut BTreeMap<u64, Peer>, stack: &impl Stack) {
    match event {
        RtcEvent::Signal { connection, signal } => {
            let signal = String::from_utf8(signal).expect("signals are JSON");
            say(json!({"event": "signal", "connection": connection.0, "signal": signal}));
        }
        RtcEvent::RoundTrip { .. } => {}
        RtcEvent::Opened { connection } => say(json!({"event": "opened", "connection": connection.0})),
        RtcEvent::Closed { connection, reason } => {
            peers.remove(&connection.0);
            let reason = format!("{reason:?}");
            say(json!({"event": "closed", "connection": connection.0, "reason": reason}));
        }
        RtcEvent::Credit { connection, bytes } => {
            let peer = peers.entry(connection.0).or_default();
            peer.credit_bytes += bytes;
            if let Some(flood) = peer.flood.as_mut() {
                flood.back_bytes += bytes;
                if flood.back_bytes >= flood.bytes {
                    let ms = flood.started_at.elapsed().as_secs_f64() * 1e3;
                    say(
                        json!({"event": "flooded", "connection": connection.0, "bytes": flood.bytes, "ms": ms}),
                    );
                    peer.flood = None;
                }
            }
            send_more(connection, peer, stack).await;
        }
        RtcEvent::Message { connection, message } => {
            let peer = peers.entry(connection.0).or_default();
            if peer.echo {
                peer.waiting.push_back(message);
                return send_more(connection, peer, stack).await;
            }
            let first_at = *peer.first_at.get_or_insert_with(Instant::now);
            let offset = peer.received_bytes;
            peer.damaged |= !message.iter().zip(offset..).all(|(byte, at)| *byte == pattern(at));
            peer.received_bytes += message.len() as u64;
            if peer.expected_bytes.is_some_and(|bytes| peer.received_bytes >= bytes) {
                let ms = first_at.elapsed().as_secs_f64() * 1e3;
                let (bytes, intact) = (peer.received_bytes, !peer.damaged);
                say(json!({"event": "received", "connection": connection.0, "bytes": bytes, "ms": ms,
                    "intact": intact}));
                *peer = Peer { credit_bytes: peer.credit_bytes, ..Peer::default() };
            }
        }
    }
}

async fn send_more(connection: ConnectionId, peer: &mut Peer, stack: &impl Stack) {
    loop {
        let flooded = peer.flood.as_ref().filter(|flood| flood.sent_bytes < flood.bytes);
        let message_bytes = match (peer.waiting.front(), flooded) {
            (Some(message), _) => message.len() as u64,
            (None, Some(flood)) => flood.message_bytes.min(flood.bytes - flood.sent_bytes),
            (None, None) => return,
        };
        if message_bytes > peer.credit_bytes {
            return;
        }
        peer.credit_bytes -= message_bytes;
        let message = peer.waiting.pop_front().unwrap_or_else(|| {
            let flood = peer.flood.as_mut().expect("something is to be sent");
            let from = flood.sent_bytes;
            flood.sent_bytes += message_bytes;
            (from..flood.sent_bytes).map(pattern).collect()
        });
        stack.send(RtcCommand::Send { connection, message }).await;
    }
}

/// The byte that a flood has at this offset.
fn pattern(offset: u64) -> u8 {
    ((offset as u32).wrapping_mul(2_654_435_761) >> 13) as u8
}
