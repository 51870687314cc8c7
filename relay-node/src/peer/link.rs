//! A node's line to its relay: a WebSocket, or the tracker in the same process.

use super::connect::{Endpoint, connect};
use super::waiting::Waiting;
use crate::hub::{Caller, Hub, Outgoing};
use crate::owner::Owners;
use futures_util::{SinkExt, StreamExt};
use peeredge_node::Input;
use peeredge_wire::limits::RELAY_FRAME_BYTES_MAX;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Frames that wait for the node; a relay that has more waits.
const FRAMES_MAX: usize = 256;
/// Bytes that wait for the relay: above all that sessions which it carries may have under way.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Bytes that the tracker may have waiting for a node in the same process, until they are sorted.
const LOCAL_MAILBOX_BYTES: usize = 32 << 20;
/// What a node in the same process connects to, as its configuration says by default.
const LOCAL_AUTHORITY: &str = "localhost";
/// A relay pings more often than this; when it does not, it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Where the relay is.
#[derive(Clone, Debug)]
pub enum RelayLink {
    /// In this process, with what is known of its peers.
    Local(Hub, Arc<Owners>),
    /// At the other end of a WebSocket.
    Remote(Endpoint),
    /// Nowhere: only plain HTTP, or nothing, is left.
    None,
}

/// An open, or opening, line. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Line {
    out: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Bytes that wait to be sent.
    waiting_bytes: Arc<AtomicUsize>,
    inputs: mpsc::Receiver<Input>,
    task: AbortHandle,
}

/// The other end of what a line sends.
struct Out {
    frames: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Out {
    async fn recv(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.recv().await?;
        self.waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }
}

impl Line {
    /// Starts a task that connects and carries frames.
    pub(super) fn open(to: &RelayLink) -> Line {
        let (out, frames) = mpsc::unbounded_channel();
        let (inputs_end, inputs) = mpsc::channel(FRAMES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let (to, out_end) = (to.clone(), Out { frames, waiting_bytes: waiting_bytes.clone() });
        let task = tokio::spawn(async move {
            let inputs = inputs_end;
            match to {
                RelayLink::Local(hub, owners) => local(&hub, &owners, out_end, &inputs).await,
                RelayLink::Remote(endpoint) => remote(&endpoint, out_end, &inputs).await,
                RelayLink::None => {}
            }
            let _ = inputs.send(Input::RelayClosed).await;
        });
        Line { out: Some(out), waiting_bytes, inputs, task: task.abort_handle() }
    }

    /// Sends a frame; what a closing line no longer takes is lost, as on any line. Nobody waits here: a relay that takes nothing would
    /// keep the node from everything else, so the line to one that is far behind ends.
    pub(super) fn send(&mut self, frame: Vec<u8>) {
        let Some(out) = &self.out else { return };
        if self.waiting_bytes.fetch_add(frame.len(), Ordering::Relaxed) > WAITING_BYTES_MAX {
            tracing::warn!("the relay takes nothing: its line is cut");
            self.out = None;
            return self.task.abort();
        }
        let _ = out.send(frame);
    }

    /// Sends nothing more; what is queued still goes out, and then the line closes.
    pub(super) fn hang_up(&mut self) {
        self.out = None;
    }

    /// The next thing that the node is to hear.
    pub(super) async fn next(&mut self) -> Option<Input> {
        self.inputs.recv().await
    }
}

/// The tracker never waits for the node here, nor for a node that stands still: what it brings is sorted at once, and of
/// strangers' signals only so many are kept.
async fn local(hub: &Hub, owners: &Owners, mut out: Out, inputs: &mpsc::Sender<Input>) {
    let caller = Caller { authorities: vec![LOCAL_AUTHORITY.into()], may_submit: true, ..Caller::default() };
    let Some((connection, mut mailbox)) = hub.connect(LOCAL_MAILBOX_BYTES, caller).await else { return };
    if inputs.send(Input::RelayOpened).await.is_err() {
        return;
    }
    let outward = async {
        while let Some(frame) = out.recv().await {
            if !connection.send(frame).await {
                return;
            }
        }
    };
    let overflow = mailbox.overflow();
    let (waiting, came) = (Mutex::new(Waiting::default()), Notify::new());
    let sorting = async {
        while let Some(Outgoing::Frame { frame, .. }) = mailbox.next().await {
            if !waiting.lock().expect("no holder panics").push(frame, |peer| owners.of(peer)) {
                return tracing::error!("the relay's own peer did not keep up with the tracker");
            }
            came.notify_one();
        }
    };
    let inward = async {
        loop {
            let next = waiting.lock().expect("no holder panics").pop();
            match next {
                Some(frame) => {
                    if inputs.send(Input::RelayMessage(frame)).await.is_err() {
                        return;
                    }
                }
                None => came.notified().await,
            }
        }
    };
    tokio::select! {
        () = outward => {}
        () = sorting => {}
        () = inward => {}
        () = overflow => tracing::error!("the relay's own peer did not keep up with the tracker"),
    }
}

async fn remote(to: &Endpoint, mut out: Out, inputs: &mpsc::Sender<Input>) {
    let stream = match connect(to).await {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(relay = to.authority, %error, "cannot reach the relay"),
    };
    let url = format!("{}://{}/ws", if to.tls { "wss" } else { "ws" }, to.authority);
    let config = WebSocketConfig::default()
        .max_message_size(Some(RELAY_FRAME_BYTES_MAX))
        .max_frame_size(Some(RELAY_FRAME_BYTES_MAX));
    let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
    let socket = match tokio::time::timeout(SILENCE_MAX, opened).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(error)) => {
            return tracing::warn!(relay = to.authority, %error, "the relay does not speak WebSocket");
        }
        Err(_) => return tracing::warn!(relay = to.authority, "the relay does not answer"),
    };
    if inputs.send(Input::RelayOpened).await.is_err() {
        return;
    }
    let (mut sink, mut stream) = socket.split();
    let outward = async {
        while let Some(frame) = out.recv().await {
            if sink.send(Message::Binary(frame.into())).await.is_err() {
                return;
            }
        }
        // The node wants no more: say goodbye, but do not wait for an answer.
        let _ = sink.close().await;
    };
    let inward = async {
        loop {
            match tokio::time::timeout(SILENCE_MAX, stream.next()).await {
                Ok(Some(Ok(Message::Binary(frame)))) => {
                    if inputs.send(Input::RelayMessage(frame.into())).await.is_err() {
                        return std::future::pending().await;
                    }
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                _ => return,
            }
        }
    };
    tokio::select! {
        () = outward => {}
        () = inward => {}
    }
}
