//! The node's side of the store: one thread that reads and writes in order, and one that makes states durable behind it,
//! so that no read waits for a sync.

use super::{Change, Store};
use peeredge_node::{Area, Input};
use peeredge_wire::{ContentId, Token};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// Bytes of writes that may wait; whoever adds more waits instead.
const WAITING_BYTES_MAX: u32 = 16 << 20;
/// Least time between two commits of a relay: states that follow each other faster are committed together.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// So that waiting for the disk stays a small part of a download's time.
const COMMIT_REST: u32 = 10;

/// What the node asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreJob {
    /// Answered by [`Input::Read`].
    Read {
        /// Comes back.
        token: Token,
        /// Which content.
        content: ContentId,
        /// Which area.
        area: Area,
        /// First byte.
        offset: u64,
        /// How many.
        len: u32,
    },
    /// Answered only by [`Input::StoreFailed`].
    Write {
        /// Which content.
        content: ContentId,
        /// Which area.
        area: Area,
        /// First byte.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Replace the state after all earlier writes of the content.
    State {
        /// Which content.
        content: ContentId,
        /// The state.
        state: Vec<u8>,
    },
    /// Forget the content.
    Remove {
        /// Which content.
        content: ContentId,
    },
}

impl StoreJob {
    fn bytes(&self) -> u32 {
        let len = match self {
            StoreJob::Write { bytes, .. } => bytes.len(),
            StoreJob::State { state, .. } => state.len(),
            StoreJob::Read { .. } | StoreJob::Remove { .. } => 0,
        };
        u32::try_from(len).unwrap_or(u32::MAX).min(WAITING_BYTES_MAX)
    }
}

/// Takes jobs, gives answers as node inputs.
#[derive(Debug)]
pub struct StoreWorker {
    jobs: Option<mpsc::UnboundedSender<StoreJob>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl StoreWorker {
    /// Starts the two threads. Answers arrive on the receiver.
    pub fn start(store: Arc<Store>) -> std::io::Result<(StoreWorker, mpsc::UnboundedReceiver<Input>)> {
        StoreWorker::start_with(store, COMMIT_EVERY)
    }

    /// Starts them with commits that take their time where the disk does: each is followed by [`COMMIT_REST`] times as long as it took
    /// without one, at most `commit_every_max`. A power cut, or a kill, costs what was written since the last one.
    pub fn start_with(
        store: Arc<Store>,
        commit_every_max: Duration,
    ) -> std::io::Result<(StoreWorker, mpsc::UnboundedReceiver<Input>)> {
        let (jobs, jobs_out) = mpsc::unbounded_channel();
        let (answers, answers_out) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX as usize));
        let pending = Arc::new(Pending::default());
        let syncer = {
            let (store, pending, answers) = (store.clone(), pending.clone(), answers.clone());
            std::thread::Builder::new()
                .name("peeredge-sync".into())
                .spawn(move || sync(&store, &pending, &answers, commit_every_max))?
        };
        let thread = {
            let room = room.clone();
            std::thread::Builder::new().name("peeredge-store".into()).spawn(move || {
                work(&store, jobs_out, &pending, &answers, &room);
                pending.close();
                if syncer.join().is_err() {
                    tracing::error!("the store's sync thread panicked");
                }
            })?
        };
        Ok((StoreWorker { jobs: Some(jobs), room, thread: Some(thread) }, answers_out))
    }

    /// Queues a job; waits while too many bytes are queued.
    pub async fn run(&self, job: StoreJob) {
        let permits = self.room.acquire_many(job.bytes()).await.expect("the semaphore is never closed");
        permits.forget();
        if let Some(jobs) = &self.jobs {
            // Fails only when the thread is gone, which happens only by a panic that the log shows.
            let _ = jobs.send(job);
        }
    }

    /// Finishes all queued jobs and makes every state durable. Blocks.
    pub fn finish(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl Drop for StoreWorker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Changes that wait for the sync thread; a later change of a content replaces an earlier one.
#[derive(Debug, Default)]
struct Pending {
    inner: Mutex<(BTreeMap<ContentId, Change>, bool)>,
    changed: Condvar,
}

impl Pending {
    fn put(&self, content: ContentId, change: Change) {
        self.inner.lock().expect("no holder panics").0.insert(content, change);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.inner.lock().expect("no holder panics").1 = true;
        self.changed.notify_one();
    }

    /// Waits for changes; `None` once closed and empty.
    fn take(&self, commit_every: Duration) -> Option<BTreeMap<ContentId, Change>> {
        let inner = self.inner.lock().expect("no holder panics");
        let mut inner = self.changed.wait_while(inner, |i| i.0.is_empty() && !i.1).expect("no holder panics");
        if !inner.1 {
            inner =
                self.changed.wait_timeout_while(inner, commit_every, |i| !i.1).expect("no holder panics").0;
        }
        let changes = std::mem::take(&mut inner.0);
        (!changes.is_empty()).then_some(changes)
    }
}

fn work(
    store: &Store,
    mut jobs: mpsc::UnboundedReceiver<StoreJob>,
    pending: &Pending,
    answers: &mpsc::UnboundedSender<Input>,
    room: &Semaphore,
) {
    while let Some(job) = jobs.blocking_recv() {
        let bytes = job.bytes();
        match job {
            StoreJob::Read { token, content, area, offset, len } => {
                let bytes = store.read(content, area, offset, len as usize);
                if let Err(error) = &bytes {
                    tracing::warn!(%content, ?area, offset, len, %error, "store read failed");
                }
                let _ = answers.send(Input::Read { token, bytes: bytes.ok() });
            }
            StoreJob::Write { content, area, offset, bytes } => {
                if let Err(error) = store.write(content, area, offset, &bytes) {
                    tracing::warn!(%content, ?area, offset, %error, "store write failed");
                    store.note_failure(&format!("contents of {content} cannot be written: {error}"));
                    let _ = answers.send(Input::StoreFailed { content });
                }
            }
            StoreJob::State { content, state } => pending.put(content, Change::State(state)),
            StoreJob::Remove { content } => {
                store.remove_files(content);
                pending.put(content, Change::Remove);
            }
        }
        room.add_permits(bytes as usize);
    }
}

fn sync(
    store: &Store,
    pending: &Pending,
    answers: &mpsc::UnboundedSender<Input>,
    commit_every_max: Duration,
) {
    let mut commit_every = COMMIT_EVERY;
    while let Some(changes) = pending.take(commit_every) {
        let began = Instant::now();
        if let Err(error) = store.commit(&changes) {
            tracing::error!(%error, "store commit failed");
            store.note_failure(&error.to_string());
            for content in changes.into_keys() {
                let _ = answers.send(Input::StoreFailed { content });
            }
        }
        commit_every = (began.elapsed() * COMMIT_REST).clamp(COMMIT_EVERY, commit_every_max);
    }
}
