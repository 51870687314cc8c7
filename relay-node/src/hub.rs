//! The tracker's shell: one task that owns it, and a mailbox for every connection, in process or on a WebSocket.

use crate::clock;
use crate::pulse::{BEAT_EVERY, Pulse};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput, TrackerOutput, TrackerStats};
use peeredge_wire::relay::ErrorCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc, oneshot};

/// Frames from all connections that may wait for the tracker; senders beyond wait their turn, in order.
const WAITING_FRAMES_MAX: usize = 1024;
/// What a queued frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;
/// Parts of a mailbox that may be filled with what other peers say: all of them together, and those of one owner. The rest is the
/// relay's own words and what was let in by credit, so no stranger can push a slow reader out.
const OTHERS_PART: usize = 2;
const OWNER_PART: usize = 4;

/// What the tracker wants to reach one connection.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this frame.
    Frame {
        /// The message.
        frame: Vec<u8>,
        /// The owner of the peer whose words these are; none for the relay's own.
        of: Option<u64>,
    },
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
    queued: Mutex<Queued>,
    bytes_max: usize,
    overflow: Notify,
}

/// Bytes that wait in a mailbox.
#[derive(Debug, Default)]
struct Queued {
    all: usize,
    others: usize,
    by_owner: BTreeMap<u64, usize>,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Queued,
    /// Its owner's part is full.
    Dropped,
    /// The reader is too slow for the relay's own words.
    Overflow,
}

impl Shared {
    fn new(bytes_max: usize) -> Self {
        Shared { queued: Mutex::default(), bytes_max, overflow: Notify::new() }
    }

    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().expect("no holder panics")
    }

    fn enter(&self, frame_bytes: usize, of: Option<u64>) -> Room {
        let bytes = frame_bytes + FRAME_OVERHEAD_BYTES;
        let mut queued = self.queued();
        if let Some(owner) = of {
            let owners = queued.by_owner.get(&owner).copied().unwrap_or_default();
            if owners + bytes > self.bytes_max / OWNER_PART
                || queued.others + bytes > self.bytes_max / OTHERS_PART
            {
                return Room::Dropped;
            }
            queued.by_owner.insert(owner, owners + bytes);
            queued.others += bytes;
        }
        queued.all += bytes;
        if queued.all > self.bytes_max { Room::Overflow } else { Room::Queued }
    }

    fn leave(&self, frame_bytes: usize, of: Option<u64>) {
        let bytes = frame_bytes + FRAME_OVERHEAD_BYTES;
        let mut queued = self.queued();
        queued.all -= bytes;
        if let Some(owner) = of {
            queued.others -= bytes;
            match queued.by_owner.get_mut(&owner) {
                Some(owners) if *owners > bytes => *owners -= bytes,
                _ => _ = queued.by_owner.remove(&owner),
            }
        }
    }
}

impl Mailbox {
    /// The next thing to send; `None` once the hub is gone.
    pub async fn next(&mut self) -> Option<Outgoing> {
        let item = self.frames.recv().await;
        if let Some(Outgoing::Frame { frame, of }) = &item {
            self.shared.leave(frame.len(), *of);
        }
        item
    }

    /// Resolves when more waits here than may: the connection does not read, and is to be dropped.
    pub fn overflow(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move { shared.overflow.notified().await }
    }
}

/// Who is at the other end of a connection, as far as the shell can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whoever stands behind it: a number for its network. None: its key stands for itself.
    pub owner: Option<u64>,
    /// Whether every key of that owner counts for itself where receipts and votes are judged: for trying out on one machine.
    pub alone: bool,
    /// What its bytes cost: a place in the tracker's classes.
    pub cost_class: u8,
    /// The relay's own addresses, one of which it must have connected to.
    pub authorities: Vec<String>,
    /// The site whose page it is, as a number for its origin; none for a native peer.
    pub site: Option<u64>,
    /// Whether it may hand tasks in.
    pub may_submit: bool,
}

#[derive(Debug)]
enum Message {
    Connected { conn: ConnId, caller: Caller, frames: mpsc::UnboundedSender<Outgoing>, shared: Arc<Shared> },
    Frame { conn: ConnId, frame: Vec<u8> },
    Closed { conn: ConnId },
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

    /// A new connection, whose mailbox holds at most `bytes_max` bytes. `None` once the hub is gone.
    pub async fn connect(&self, bytes_max: usize, caller: Caller) -> Option<(Connection, Mailbox)> {
        let conn = ConnId(self.next.fetch_add(1, Ordering::Relaxed));
        let (frames, frames_out) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(bytes_max));
        let connection = Connection { conn, messages: self.messages.clone() };
        self.messages.send(Message::Connected { conn, caller, frames, shared: shared.clone() }).await.ok()?;
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
            Some(Message::Connected { conn, caller, frames, shared }) => {
                outboxes.insert(conn, Outbox { frames, shared });
                let Caller { owner, alone, cost_class, authorities, site, may_submit } = caller;
                tracker.handle(clock::now(), TrackerInput::Connected { conn, authorities });
                if let Some(owner) = owner {
                    tracker.handle(clock::now(), TrackerInput::Owner { conn, owner });
                }
                tracker.handle(clock::now(), TrackerInput::Site { conn, site, may_submit });
                if alone {
                    tracker.handle(clock::now(), TrackerInput::Alone { conn });
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
        TrackerOutput::Send { conn, frame, of } => {
            let Some(outbox) = outboxes.get(&conn) else { return };
            match outbox.shared.enter(frame.len(), of) {
                Room::Queued => _ = outbox.frames.send(Outgoing::Frame { frame, of }),
                Room::Dropped => {}
                Room::Overflow => outbox.shared.overflow.notify_one(),
            }
        }
        TrackerOutput::Close { conn, code } => {
            // Its outbox goes, so nothing can follow; the socket task ends by itself behind what is queued.
            if let Some(outbox) = outboxes.remove(&conn) {
                let _ = outbox.frames.send(Outgoing::Close(code));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_fills_its_part_of_a_mailbox_and_no_owner_the_relays() {
        let shared = Shared::new(4096);
        let bytes = 256 - FRAME_OVERHEAD_BYTES;
        let taken = |of, n| (0..n).filter(|_| shared.enter(bytes, of) == Room::Queued).count();
        assert_eq!(taken(Some(1), 200), 4, "a quarter");
        assert_eq!(taken(Some(2), 200), 4);
        assert_eq!(taken(Some(3), 200), 0, "half is the relay's own");
        assert_eq!(taken(None, 8), 8);
        assert_eq!(shared.enter(bytes, Some(1)), Room::Dropped, "a stranger's word never makes it overflow");
        assert_eq!(shared.enter(bytes, None), Room::Overflow);
        shared.leave(bytes, None);
        shared.leave(bytes, Some(1));
        assert_eq!(taken(Some(1), 200), 1);
    }
}
