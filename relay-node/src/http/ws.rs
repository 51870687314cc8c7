//! `/ws`: one WebSocket a peer. Reads and writes go on beside each other, so that a peer that does not read stalls nobody.

use super::meter::{Metered, is_noise};
use super::{App, Caller, Client, caller, headers};
use crate::hub::{self, Connection, Mailbox, Outgoing};
use crate::owner::Owner;
use crate::serve::seats::Seat;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use peeredge_wire::PeerId;
use peeredge_wire::limits::RELAY_FRAME_BYTES_MAX;
use peeredge_wire::relay::{ErrorCode, FromRelay, ToRelay};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// What an idle socket keeps for reading. The library's 128 KiB would make ten thousand idle peers cost 1.3 GB.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// How long a closed socket may still send us what it had under way, so that it gets to read why it was closed.
const LINGER: Duration = Duration::from_secs(2);

/// After so long a peer that found no place may try again.
const FULL_FOR_MS: u32 = 30_000;

/// Answers the handshake (RFC 6455, section 4.2) and hands the connection to a task of its own.
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Extension(caller): Extension<Caller>,
    mut request: Request,
) -> Response {
    let accept = match check(&app, request.headers()) {
        Ok(accept) => accept,
        Err(response) => return *response,
    };
    let (uri, headers) = (request.uri(), request.headers());
    let named = caller::authorities(&app.config, client.local, uri, request.version(), headers);
    let who = hub::Caller {
        owner: Some(caller.owner().number()),
        alone: caller.is_here(),
        cost_class: app.config.cost_class(caller.ip),
        // The request was let in under one of them.
        authorities: named.unwrap_or_default(),
        site: headers::site(request.headers()),
        may_submit: match app.config.tasks.as_str() {
            "open" => true,
            "origins" => headers::is_of_operator(&app.config.origins, request.headers(), caller.is_here()),
            _ => false,
        },
    };
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = match tokio::time::timeout(app.config.header_timeout_ms.duration(), upgrading).await {
            Ok(Ok(upgraded)) => upgraded,
            _ => return,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(RELAY_FRAME_BYTES_MAX))
            .max_frame_size(Some(RELAY_FRAME_BYTES_MAX));
        let socket = WebSocketStream::from_raw_socket(
            Metered::new(TokioIo::new(upgraded)),
            Role::Server,
            Some(config),
        );
        let socket = socket.await;
        app.metrics.sockets.add(1);
        let reason = run(&app, socket, caller, who).await;
        app.metrics.sockets.sub(1);
        app.metrics.sockets_closed.add(reason, 1);
        tracing::debug!(ip = %caller.ip, reason, "socket closed");
        drop(client);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, headers::value("upgrade"));
    out.insert(header::UPGRADE, headers::value("websocket"));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn check(app: &App, request: &HeaderMap) -> Result<HeaderValue, Box<Response>> {
    let has = |name: header::HeaderName, word: &str| {
        let values = request.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let refuse = |status, text: &str| Err(Box::new(headers::plain(status, text)));
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return refuse(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket\n");
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return refuse(StatusCode::BAD_REQUEST, "only WebSocket version 13 is spoken here\n");
    }
    if !headers::is_allowed(&app.config.origins, request) {
        return refuse(StatusCode::FORBIDDEN, "this relay does not serve pages of that origin\n");
    }
    let Some(key) = request.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24) else {
        return refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong\n");
    };
    Ok(HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base64 is ASCII"))
}

/// A peer that has proved its key, for as long as its connection lasts.
struct Proved<'a> {
    app: &'a App,
    peer: PeerId,
    owner: Owner,
}

impl Drop for Proved<'_> {
    fn drop(&mut self) {
        self.app.owners.left(self.peer, self.owner);
    }
}

/// What both halves of a connection know of its other end.
struct Other {
    owner: Owner,
    seat: Seat,
    /// The key that its first message claims. The tracker answers with a welcome only if it is proved.
    claimed: OnceLock<PeerId>,
    heard: Heard,
}

/// Carries frames both ways until one side ends it; tells why it ended.
async fn run(app: &Arc<App>, socket: Socket, caller: Caller, who: hub::Caller) -> &'static str {
    let (mut sink, stream) = socket.split();
    let seat = app.sockets.take(caller.owner());
    let connected = match &seat {
        Some(_) => {
            let bytes_max = app.config.peer_queue_bytes_max.0 as usize;
            app.hub.connect(bytes_max, who).await
        }
        None => None,
    };
    let (Some(seat), Some((connection, mailbox))) = (seat, connected) else {
        app.metrics.sockets_refused.add(1);
        let detail = "this relay has as many peers as it takes, in all or from one network".to_owned();
        let frame = FromRelay::Error { code: ErrorCode::Full, retry_after_ms: FULL_FOR_MS, detail }.encode();
        let _ = tokio::time::timeout(LINGER, async {
            sink.send(Message::Binary(frame.into())).await?;
            close(&mut sink, ErrorCode::Full).await
        })
        .await;
        linger(sink, stream).await;
        return "full";
    };
    let heard = Heard(AtomicU64::new(0), Instant::now());
    let other = Other { owner: caller.owner(), seat, claimed: OnceLock::new(), heard };
    let (overflow, mut stream) = (mailbox.overflow(), stream);
    let grace = app.config.shutdown_grace_ms.duration();
    let reason = tokio::select! {
        reason = read(app, &mut stream, &connection, &other) => reason,
        reason = write(app, &mut sink, mailbox, &other) => reason,
        () = other.seat.gone() => "displaced",
        () = overflow => "overflow",
        () = async { app.stopped().await; tokio::time::sleep(grace).await } => "shutdown",
    };
    drop(connection);
    if reason == "displaced" {
        let _ = tokio::time::timeout(LINGER, close(&mut sink, ErrorCode::Full)).await;
    }
    if !matches!(reason, "left" | "lost" | "overflow" | "noise") {
        linger(sink, stream).await;
    }
    reason
}

/// When the peer was last heard, in milliseconds since the socket opened.
struct Heard(AtomicU64, Instant);

impl Heard {
    fn now(&self) {
        self.0.store(self.1.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        self.1.elapsed().saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

async fn read(
    app: &App,
    stream: &mut SplitStream<Socket>,
    connection: &Connection,
    other: &Other,
) -> &'static str {
    loop {
        let frame = match stream.next().await {
            Some(Ok(Message::Binary(frame))) => Vec::from(frame),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                other.heard.now();
                continue;
            }
            // The tracker answers what is no message with the error for it, and closes: a tag of zero is none.
            Some(Ok(Message::Text(_) | Message::Frame(_))) => vec![0],
            Some(Err(Error::Capacity(_))) => {
                // The rest of the message is still to come: nothing after this can be read.
                connection.send(vec![0; RELAY_FRAME_BYTES_MAX + 1]).await;
                return std::future::pending().await;
            }
            // A tab that was closed, or a network that is gone: nothing was wrong.
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => return "lost",
            Some(Err(Error::Io(error))) if is_noise(&error) => return "noise",
            Some(Err(Error::Protocol(_) | Error::Utf8(_) | Error::AttackAttempt)) => {
                connection.send(vec![0]).await;
                return std::future::pending().await;
            }
            Some(Ok(Message::Close(_))) | None => return "left",
            Some(Err(_)) => return "lost",
        };
        other.heard.now();
        if let Some(pace) = &app.pace {
            app.metrics.requests_delayed.add(u64::from(pace.turn(other.owner).await));
        }
        if other.claimed.get().is_none()
            && let Some(claimed) = claimed(&frame)
        {
            let _ = other.claimed.set(claimed);
        }
        app.metrics.frames_in.add(1);
        app.metrics.frame_bytes_in.add(frame.len() as u64);
        if !connection.send(frame).await {
            return "shutdown";
        }
    }
}

/// `FromRelay::Welcome`.
const WELCOME: u8 = 0x82;

/// The key in a hello.
fn claimed(frame: &[u8]) -> Option<PeerId> {
    match ToRelay::decode(frame) {
        Ok(ToRelay::Hello { peer, .. }) => Some(peer),
        _ => None,
    }
}

async fn write(
    app: &App,
    sink: &mut SplitSink<Socket, Message>,
    mut mailbox: Mailbox,
    other: &Other,
) -> &'static str {
    let patience = app.config.idle_timeout_ms.duration();
    let every = app.config.ping_interval_ms.duration();
    let mut ping = tokio::time::interval(every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut proved = None;
    loop {
        let message = tokio::select! {
            item = mailbox.next() => match item {
                Some(Outgoing::Frame { frame, .. }) => {
                    if proved.is_none()
                        && frame.first() == Some(&WELCOME)
                        && let Some(&peer) = other.claimed.get()
                    {
                        other.seat.busy();
                        app.owners.came(peer, other.owner);
                        proved = Some(Proved { app, peer, owner: other.owner });
                    }
                    app.metrics.frames_out.add(1);
                    app.metrics.frame_bytes_out.add(frame.len() as u64);
                    Message::Binary(frame.into())
                }
                Some(Outgoing::Close(code)) => {
                    let _ = tokio::time::timeout(LINGER, close(sink, code)).await;
                    return code.name();
                }
                None => return "shutdown",
            },
            // A relay that was stopped itself, with its machine, has heard nobody: all of them are asked once more.
            due = ping.tick() => match other.heard.silence() > patience && due.elapsed() < every {
                true => return "silent",
                false => Message::Ping(Bytes::new()),
            },
        };
        match tokio::time::timeout(patience, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "lost",
            Err(_) => return "stuck",
        }
    }
}

async fn close(sink: &mut SplitSink<Socket, Message>, code: ErrorCode) -> Result<(), Error> {
    let number = match code {
        ErrorCode::TooLarge => CloseCode::Size,
        ErrorCode::Full => CloseCode::Again,
        ErrorCode::ShuttingDown => CloseCode::Away,
        _ => CloseCode::Policy,
    };
    sink.send(Message::Close(Some(CloseFrame { code: number, reason: code.name().into() }))).await
}

/// Sends the end and throws away what the other side had under way: closing over unread bytes would reset the connection,
/// and the other side would never read why.
async fn linger(sink: SplitSink<Socket, Message>, stream: SplitStream<Socket>) {
    let Ok(mut socket) = stream.reunite(sink) else { return };
    let raw = socket.get_mut();
    let _ = tokio::time::timeout(LINGER, async {
        raw.shutdown().await?;
        let mut waste = [0; 4096];
        while raw.read(&mut waste).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
