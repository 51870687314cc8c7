//! The tracker's shell: one task that owns it, and a mailbox for every connection, in process or on a WebSocket.

use crate::clock;
use crate::pulse::{BEAT_EVERY, Pulse};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput, TrackerStats};
use peeredge_wire::relay::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc, oneshot};

/// Frames from all connections that may wait for the tracker; senders beyond wait their turn, in order.
const WAITING_FRAMES_MAX: usize = 1024;
/// What a queued frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// What the tracker wants to reach one connection.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this frame.
    Frame(Vec<u8>),
    /// Send nothing more and close.
    Close(ErrorCode),
}

/// Where one connection's outgoing frames wait; shared by the hub, which fills it, and the connection, which empties it.
#[derive(Debug)]
pub struct Mailbox {
    frames: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queued_bytes: AtomicUsize,
    bytes_max: usize,
    overflow: Notify,
}

impl Mailbox {
    /// The next thing to send; `None` once the hub is gone.
    pub async fn next(&mut self) -> Option<Outgoing> {
        let item = self.frames.recv().await;
        if let Some(Outgoing::Frame(frame)) = &item {
            self.shared.queued_bytes.fetch_sub(frame.len() + FRAME_OVERHEAD_BYTES, Ordering::Relaxed);
        }
        item
    }

    /// Resolves when more waits here than may: the connection does not read, and is to be dropped.
    pub fn overflow(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move { shared.overflow.notified().await }
    }
}

#[derive(Debug)]
enum Message {
    Connected {
        conn: ConnId,
        owner: Option<u64>,
        cost_class: u8,
        frames: mpsc::UnboundedSender<Outgoing>,
        shared: Arc<Shared>,
    },
    Frame {
        conn: ConnId,
        frame: Vec<u8>,
    },
    Closed {
        conn: ConnId,
    },
    Stats(oneshot::Sender<TrackerStats>),
    Shutdown(oneshot::Sender<()>),
}

/// Reaches the task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    messages: mpsc::Sender<Message>,
    next: Arc<AtomicU64>,
}

/// One connection to the tracker. Dropping it tells the tracker that it is closed.
#[derive(Debug)]
pub struct Connection {
    conn: ConnId,
    messages: mpsc::Sender<Message>,
}

impl Connection {
    /// Hands a frame to the tracker; waits while too many wait. False once the hub is gone.
    pub async fn send(&self, frame: Vec<u8>) -> bool {
        self.messages.send(Message::Frame { conn: self.conn, frame }).await.is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let closed = Message::Closed { conn: self.conn };
        if let Err(mpsc::error::TrySendError::Full(closed)) = self.messages.try_send(closed) {
            let messages = self.messages.clone();
            tokio::spawn(async move { messages.send(closed).await });
        }
    }
}

impl Hub {
    /// Starts the task.
    pub fn start(config: TrackerConfig, pulse: Arc<Pulse>) -> Hub {
        let (messages, inbox) = mpsc::channel(WAITING_FRAMES_MAX);
        tokio::spawn(run(Tracker::new(config), inbox, pulse));
        Hub { messages, next: Arc::default() }
    }

    /// A new connection, whose mailbox holds at most `bytes_max` bytes; `owner` is whoever stands behind it, where that can be
    /// told, and `cost_class` says what its bytes cost. `None` once the hub is gone.
    pub async fn connect(
        &self,
        bytes_max: usize,
        owner: Option<u64>,
        cost_class: u8,
    ) -> Option<(Connection, Mailbox)> {
        let conn = ConnId(self.next.fetch_add(1, Ordering::Relaxed));
        let (frames, frames_out) = mpsc::unbounded_channel();
        let shared =
            Arc::new(Shared { queued_bytes: AtomicUsize::new(0), bytes_max, overflow: Notify::new() });
        let connection = Connection { conn, messages: self.messages.clone() };
        self.messages
            .send(Message::Connected { conn, owner, cost_class, frames, shared: shared.clone() })
            .await
            .ok()?;
        Some((connection, Mailbox { frames: frames_out, shared }))
    }

    /// What the tracker counts. `None` once the hub is gone.
    pub async fn stats(&self) -> Option<TrackerStats> {
        let (answer, stats) = oneshot::channel();
        self.messages.send(Message::Stats(answer)).await.ok()?;
        stats.await.ok()
    }

    /// Says goodbye to every peer; returns when the goodbyes are queued.
    pub async fn shutdown(&self) {
        let (answer, done) = oneshot::channel();
        if self.messages.send(Message::Shutdown(answer)).await.is_ok() {
            let _ = done.await;
        }
    }
}

struct Outbox {
    frames: mpsc::UnboundedSender<Outgoing>,
    shared: Arc<Shared>,
}

async fn run(mut tracker: Tracker, mut inbox: mpsc::Receiver<Message>, pulse: Arc<Pulse>) {
    let mut outboxes: BTreeMap<ConnId, Outbox> = BTreeMap::new();
    loop {
        pulse.beat();
        let deadline = tracker.deadline().map(clock::instant);
        let wake = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            message = inbox.recv() => match message {
                Some(message) => Some(message),
                None => return pulse.rest(),
            },
            () = wake => None,
            () = tokio::time::sleep(BEAT_EVERY) => continue,
        };
        let mut after = None;
        match message {
            None => tracker.handle(clock::now(), TrackerInput::Wake),
            Some(Message::Connected { conn, owner, cost_class, frames, shared }) => {
                outboxes.insert(conn, Outbox { frames, shared });
                tracker.handle(clock::now(), TrackerInput::Connected { conn });
                if let Some(owner) = owner {
                    tracker.handle(clock::now(), TrackerInput::Owner { conn, owner });
                }
                if cost_class != 0 {
                    tracker.handle(clock::now(), TrackerInput::CostClass { conn, class: cost_class });
                }
            }
            Some(Message::Frame { conn, frame }) => {
                // Frames can still be under way when the tracker has closed their connection.
                if outboxes.contains_key(&conn) {
                    tracker.handle(clock::now(), TrackerInput::Frame { conn, frame });
                }
            }
            Some(Message::Closed { conn }) => {
                if outboxes.remove(&conn).is_some() {
                    tracker.handle(clock::now(), TrackerInput::Closed { conn });
                }
            }
            Some(Message::Stats(answer)) => {
                let _ = answer.send(tracker.stats());
            }
            Some(Message::Shutdown(answer)) => {
                tracker.handle(clock::now(), TrackerInput::Shutdown);
                after = Some(answer);
            }
        }
        while let Some(output) = tracker.poll() {
            deliver(output, &mut outboxes);
        }
        if let Some(answer) = after {
            let _ = answer.send(());
        }
    }
}

fn deliver(output: TrackerOutput, outboxes: &mut BTreeMap<ConnId, Outbox>) {
    match output {
        TrackerOutput::Send { conn, frame } => {
            let Some(outbox) = outboxes.get(&conn) else { return };
            let bytes = frame.len() + FRAME_OVERHEAD_BYTES;
            if outbox.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
                > outbox.shared.bytes_max
            {
                outbox.shared.overflow.notify_one();
                return;
            }
            let _ = outbox.frames.send(Outgoing::Frame(frame));
        }
        TrackerOutput::Close { conn, code } => {
            // Its outbox goes, so nothing can follow; the socket task ends by itself behind what is queued.
            if let Some(outbox) = outboxes.remove(&conn) {
                let _ = outbox.frames.send(Outgoing::Close(code));
            }
        }
    }
}
