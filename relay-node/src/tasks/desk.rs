//! What a node's word about tasks sets going: leases are fetched for, run on threads of their own, and answered.

use super::compiler;
use crate::publish::{Job as PublishJob, publish_into};
use crate::serve::key;
use crate::store::Store;
use peeredge_hvm::task::PAGE_BYTES;
use peeredge_hvm::{Checkpoint, End, Limits, instrument};
use peeredge_node::{Input, Output, RangeSpec, TaskInput};
use peeredge_task_runner::{From, Job, Stop, TaskRunner};
use peeredge_wire::limits::TASK_INLINE_BYTES_MAX;
use peeredge_wire::relay::{Blob, TaskFromRelay, TaskLimits, TaskMark, TaskOf};
use peeredge_wire::{ContentId, RequestId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A module, input, output or checkpoint has at most so many bytes.
pub(super) const CONTENT_BYTES_MAX: u64 = 1 << 30;
const MODULE_BYTES_MAX: u64 = 32 << 20;
/// No run takes longer, unless the operator says so.
const DEADLINE: Duration = Duration::from_secs(600);
/// Rewritten modules that are kept for the next run, and how many bytes of them.
const MODULES_MAX: usize = 16;
const MODULES_BYTES_MAX: usize = 64 << 20;
/// Bytes of outputs that are shared at a time; the oldest go first.
const OUTPUTS_BYTES_MAX: u64 = 1 << 30;
/// What a checkpoint has besides its pages.
const CHECKPOINT_BYTES: u64 = 1 << 20;
/// A large output is shared for so long after it was answered: whoever asked fetches it at once, and a stranger's bytes are not kept.
const OUTPUT_KEPT: Duration = Duration::from_secs(600);
/// The desk's own fetches are numbered from here, out of the way of others'.
const REQUESTS_FROM: u32 = 1 << 30;

/// What this node did for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Computed {
    /// Runs answered.
    pub tasks: u64,
    /// Gas of them.
    pub gas: u64,
}

struct Lease {
    stop: Stop,
}

#[derive(Clone)]
pub(super) struct Module {
    rewritten: Arc<[u8]>,
    is_movable: bool,
}

struct Inner {
    inputs: mpsc::UnboundedSender<Input>,
    store: Arc<Store>,
    runner: TaskRunner,
    next: AtomicU32,
    fetching: Mutex<BTreeMap<RequestId, mpsc::UnboundedSender<Output>>>,
    waiting: Mutex<BTreeMap<u32, mpsc::UnboundedSender<TaskFromRelay>>>,
    leases: Mutex<BTreeMap<u64, Lease>>,
    modules: Mutex<Vec<((ContentId, u32), Module)>>,
    /// Outputs that are shared, since when, and their bytes.
    outputs: Mutex<BTreeMap<ContentId, (Instant, u64)>>,
    /// Contents that are being fetched for a run, and for how many.
    taking: Mutex<BTreeMap<ContentId, usize>>,
    /// Pages that a task may have here, as offered last.
    memory_pages: AtomicU32,
    /// Milliseconds after which a run is given up.
    deadline_ms: AtomicU64,
    /// Thousandths of the time in which each thread computes.
    duty_permille: u16,
    tasks: AtomicU64,
    gas: AtomicU64,
}

/// Carries out what a node says about tasks. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Desk {
    /// A desk beside the node that takes `inputs` and keeps its contents in `store`, with so many threads for tasks.
    ///
    /// # Errors
    /// When this machine gives no threads.
    pub fn new(
        inputs: mpsc::UnboundedSender<Input>,
        store: Arc<Store>,
        threads: usize,
        duty_permille: u16,
    ) -> Result<Self, peeredge_task_runner::NoThreads> {
        Ok(Desk(Arc::new(Inner {
            inputs,
            store,
            runner: compiler::runner(threads)?,
            next: AtomicU32::new(REQUESTS_FROM),
            fetching: Mutex::default(),
            waiting: Mutex::default(),
            leases: Mutex::default(),
            modules: Mutex::default(),
            outputs: Mutex::default(),
            taking: Mutex::default(),
            memory_pages: AtomicU32::new(0),
            deadline_ms: AtomicU64::new(DEADLINE.as_millis() as u64),
            duty_permille: duty_permille.clamp(1, 1000),
            tasks: AtomicU64::new(0),
            gas: AtomicU64::new(0),
        })))
    }

    /// Offers so many tasks at once; 0 pauses.
    pub fn offer(&self, slots: u8, memory_pages: u32) {
        self.0.memory_pages.store(memory_pages, Ordering::Relaxed);
        // The operator of a machine chose the relay: whoever that lets hand in is served.
        let whose = TaskOf::Anybody;
        self.say(TaskInput::Offer { slots, memory_pages, whose });
    }

    /// After how long a run is given up. Default: ten minutes.
    pub fn set_deadline(&self, deadline: Duration) {
        self.0.deadline_ms.store(deadline.as_millis() as u64, Ordering::Relaxed);
    }

    /// What this node did for others.
    pub fn computed(&self) -> Computed {
        Computed { tasks: self.0.tasks.load(Ordering::Relaxed), gas: self.0.gas.load(Ordering::Relaxed) }
    }

    /// Takes an output of the node; gives it back when it is not about tasks or the desk's fetches.
    pub fn told(&self, output: Output) -> Option<Output> {
        let request = match &output {
            Output::Head { request, .. } | Output::Data { request, .. } => *request,
            Output::Done { request } | Output::Failed { request, .. } => *request,
            Output::Task(_) => {
                let Output::Task(task) = output else { unreachable!("it was just matched") };
                self.task(task);
                return None;
            }
            _ => return Some(output),
        };
        match lock(&self.0.fetching).get(&request) {
            Some(fetch) => {
                let _ = fetch.send(output);
                None
            }
            None => Some(output),
        }
    }

    /// A number for a task that is handed in, and what the relay will say of it, until it is [forgotten](Desk::forget).
    pub(super) fn wait(&self) -> (u32, mpsc::UnboundedReceiver<TaskFromRelay>) {
        let request = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (told, words) = mpsc::unbounded_channel();
        lock(&self.0.waiting).insert(request, told);
        (request, words)
    }

    pub(super) fn forget(&self, request: u32) {
        lock(&self.0.waiting).remove(&request);
    }

    pub(super) fn remove(&self, content: ContentId) {
        let _ = self.0.inputs.send(Input::Remove { content });
    }

    pub(super) fn say(&self, task: TaskInput) {
        let _ = self.0.inputs.send(Input::Task(task));
    }

    fn task(&self, task: TaskFromRelay) {
        match task {
            TaskFromRelay::Lease { lease, beat_ms, module, input, limits, resume } => {
                let desk = self.clone();
                let stop = Stop::new();
                lock(&self.0.leases).insert(lease, Lease { stop: stop.clone() });
                tokio::spawn(async move {
                    let beats = tokio::spawn(beat(desk.clone(), lease, beat_ms));
                    let ran = desk.work(lease, module, input, limits, resume, stop).await;
                    beats.abort();
                    lock(&desk.0.leases).remove(&lease);
                    if let Err(detail) = ran {
                        tracing::debug!(lease, detail, "a task could not be run");
                        desk.say(TaskInput::Trouble { lease, detail });
                    }
                });
            }
            TaskFromRelay::Revoke { lease } => {
                if let Some(lease) = lock(&self.0.leases).get(&lease) {
                    lease.stop.now();
                }
            }
            // The node shows its answers itself.
            TaskFromRelay::AskReveal { .. } => {}
            TaskFromRelay::Result { request, .. }
            | TaskFromRelay::Progress { request, .. }
            | TaskFromRelay::Marked { request, .. }
            | TaskFromRelay::Refused { request, .. } => {
                if let Some(waiting) = lock(&self.0.waiting).get(&request) {
                    let _ = waiting.send(task);
                }
            }
        }
    }

    async fn work(
        &self,
        lease: u64,
        module: ContentId,
        input: Blob,
        limits: TaskLimits,
        resume: Option<TaskMark>,
        stop: Stop,
    ) -> Result<(), String> {
        let host_pages = self.0.memory_pages.load(Ordering::Relaxed);
        if limits.memory_pages > host_pages {
            return Err(format!(
                "the task may take {} pages of memory, of {host_pages} here",
                limits.memory_pages
            ));
        }
        let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES as u64;
        let Module { rewritten, is_movable } = self.module(module, limits.memory_pages).await?;
        let from = match resume {
            Some(mark) => {
                let bytes_max = memory_bytes + u64::from(limits.memory_pages) + CHECKPOINT_BYTES;
                let bytes = self.take(mark.checkpoint, bytes_max).await?;
                let checkpoint = Checkpoint::decode(&bytes, limits.memory_pages);
                From::Checkpoint(Box::new(checkpoint.map_err(|error| error.to_string())?))
            }
            None => From::Input(match input {
                Blob::Inline(bytes) => bytes.into(),
                Blob::Content(content) => {
                    self.take(content, memory_bytes.min(CONTENT_BYTES_MAX)).await?.into()
                }
            }),
        };
        let job = Job {
            rewritten,
            is_movable,
            from,
            limits: hvm_limits(&limits),
            deadline: Duration::from_millis(self.0.deadline_ms.load(Ordering::Relaxed)),
            checkpoint_every_steps: limits.checkpoint_steps,
        };
        // One checkpoint at a time: another is taken when the last one was shared, and had time to be fetched.
        let (mark, mut marks) = mpsc::channel(1);
        let has_room = Arc::new(AtomicBool::new(true));
        let room = has_room.clone();
        let host_bytes = host_pages as usize * PAGE_BYTES;
        let wants_checkpoint =
            move |bytes: usize| 2 * bytes <= host_bytes && room.swap(false, Ordering::Relaxed);
        let (ended, end) = oneshot::channel();
        let began = Instant::now();
        let on_progress = move |progress: peeredge_task_runner::Progress| {
            if let Some(checkpoint) = progress.checkpoint {
                let _ = mark.try_send((checkpoint, progress.gas));
            }
        };
        let on_end = move |ran| drop(ended.send(ran));
        self.0.runner.submit_with(job, on_progress, wants_checkpoint, stop, on_end);
        let (ran, ()) = tokio::join!(end, self.mark(lease, &mut marks, &has_room));
        let outcome = ran.map_err(|_| "the runner ended".to_owned())?.outcome;
        if !outcome.end.is_of_task() {
            return Err(format!("the run ended here: {}", outcome.end));
        }
        // A thread that has worked rests, so that its share of the time holds.
        let duty = u32::from(self.0.duty_permille);
        if duty < 1000 && outcome.end != End::Cancelled {
            tokio::time::sleep(began.elapsed() * (1000 - duty) / duty).await;
        }
        let output_hash = *blake3::hash(&outcome.output).as_bytes();
        let (end, gas) = (outcome.end as u8, outcome.gas);
        let output = match outcome.output.len() <= TASK_INLINE_BYTES_MAX {
            true => Blob::Inline(outcome.output),
            false => Blob::Content(self.share_for_a_while(outcome.output).await?),
        };
        self.0.tasks.fetch_add(1, Ordering::Relaxed);
        self.0.gas.fetch_add(gas, Ordering::Relaxed);
        self.say(TaskInput::Answer { lease, end, gas, output, output_hash });
        Ok(())
    }

    async fn module(&self, content: ContentId, memory_pages: u32) -> Result<Module, String> {
        let key = (content, memory_pages);
        if let Some((_, module)) = lock(&self.0.modules).iter().find(|(known, _)| *known == key) {
            return Ok(module.clone());
        }
        let bytes = self.take(content, MODULE_BYTES_MAX).await?;
        let module = rewrite(bytes, memory_pages).await?;
        let mut modules = lock(&self.0.modules);
        modules.push((key, module.clone()));
        let bytes = |modules: &Vec<(_, Module)>| -> usize {
            modules.iter().map(|(_, module)| module.rewritten.len()).sum()
        };
        while modules.len() > 1 && (modules.len() > MODULES_MAX || bytes(&modules) > MODULES_BYTES_MAX) {
            modules.remove(0);
        }
        Ok(module)
    }

    /// All bytes of a content for a run: this node then no longer holds it, unless it shares it anyway.
    pub(super) async fn take(&self, content: ContentId, bytes_max: u64) -> Result<Vec<u8>, String> {
        *lock(&self.0.taking).entry(content).or_default() += 1;
        let _taken = Taken(self, content);
        self.fetch(content, bytes_max).await
    }

    /// All bytes of a content.
    pub(super) async fn fetch(&self, content: ContentId, bytes_max: u64) -> Result<Vec<u8>, String> {
        let request = RequestId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let (told, mut words) = mpsc::unbounded_channel();
        lock(&self.0.fetching).insert(request, told);
        let forget = Forget(self, request);
        let send = |input| self.0.inputs.send(input).map_err(|_| "the peer ended".to_owned());
        send(Input::Fetch { request, content, range: RangeSpec::Whole })?;
        send(Input::Pull { request, bytes: bytes_max })?;
        let mut bytes = Vec::new();
        loop {
            match words.recv().await {
                Some(Output::Head { length, .. }) if length > bytes_max => {
                    return Err(format!("a content of {length} bytes where at most {bytes_max} are allowed"));
                }
                Some(Output::Data { bytes: more, .. }) => bytes.extend_from_slice(&more),
                Some(Output::Done { .. }) => {
                    drop(forget);
                    return Ok(bytes);
                }
                Some(Output::Failed { error, .. }) => return Err(error.to_string()),
                Some(_) => {}
                None => return Err("the peer ended".into()),
            }
        }
    }

    /// Shares an output until [`OUTPUT_KEPT`] after it was last answered.
    async fn share_for_a_while(&self, output: Vec<u8>) -> Result<ContentId, String> {
        let bytes = output.len() as u64;
        let content = self.share(output, "output").await?;
        let since = Instant::now();
        let gone: Vec<ContentId> = {
            let mut outputs = lock(&self.0.outputs);
            outputs.insert(content, (since, bytes));
            let mut oldest: Vec<_> =
                outputs.iter().map(|(content, (since, bytes))| (*since, *content, *bytes)).collect();
            oldest.sort_unstable();
            let mut sum: u64 = oldest.iter().map(|(.., bytes)| bytes).sum();
            let goes = |(_, other, bytes): &(Instant, ContentId, u64)| {
                let goes = sum > OUTPUTS_BYTES_MAX && *other != content;
                sum -= if goes { *bytes } else { 0 };
                goes
            };
            let gone: Vec<ContentId> =
                oldest.into_iter().filter(goes).map(|(_, content, _)| content).collect();
            outputs.retain(|content, _| !gone.contains(content));
            gone
        };
        gone.into_iter().for_each(|content| self.let_go(content));
        let desk = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(OUTPUT_KEPT).await;
            let mut outputs = lock(&desk.0.outputs);
            // Another run may have answered the same since.
            if outputs.get(&content) == Some(&(since, bytes)) {
                outputs.remove(&content);
                drop(outputs);
                desk.let_go(content);
            }
        });
        Ok(content)
    }

    /// No longer shares a task's content; but one that somebody published, too.
    fn let_go(&self, content: ContentId) {
        if self.0.store.entry(content).is_some_and(|entry| entry.of_task) {
            self.remove(content);
        }
    }

    /// Makes a content of these bytes, which this node then shares.
    pub(super) async fn share(&self, bytes: Vec<u8>, name: &'static str) -> Result<ContentId, String> {
        let desk = self.clone();
        let shared = tokio::task::spawn_blocking(move || {
            let store = &desk.0.store;
            let path =
                store.root().join("tmp").join(format!("task-{:032x}", u128::from_le_bytes(key::random())));
            std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            let media_type = Some("application/octet-stream".to_owned());
            let job = PublishJob { path: path.clone(), name: Some(name.into()), media_type, of_task: true };
            let inputs = desk.0.inputs.clone();
            let mut imported = |imported: crate::store::Imported| {
                let content = imported.entry.content;
                let _ = inputs.send(Input::Stored { content, state: imported.state });
            };
            let outcome = publish_into(store, &job, u64::MAX, &mut |_, _| (), &mut imported);
            let _ = std::fs::remove_file(&path);
            outcome.map(|outcome| outcome.content).map_err(|error| error.to_string())
        });
        shared.await.map_err(|error| error.to_string())?
    }
}

/// Takes a fetch's place away, however it ends, and ends it if nobody waits any more.
struct Forget<'a>(&'a Desk, RequestId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.fetching).remove(&self.1);
        let _ = self.0.0.inputs.send(Input::Abort { request: self.1 });
    }
}

/// Takes the note away that a content is being fetched, and the content itself if nobody else fetches or shares it.
struct Taken<'a>(&'a Desk, ContentId);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taking = lock(&self.0.0.taking);
        let Some(count) = taking.get_mut(&self.1) else { return };
        *count -= 1;
        if *count == 0 {
            taking.remove(&self.1);
            drop(taking);
            if self.0.0.store.entry(self.1).is_none() {
                self.0.remove(self.1);
            }
        }
    }
}

async fn beat(desk: Desk, lease: u64, beat_ms: u32) {
    let mut every = tokio::time::interval(Duration::from_millis(u64::from(beat_ms.max(100))));
    loop {
        every.tick().await;
        desk.say(TaskInput::Beat { lease, mark: None });
    }
}

fn hvm_limits(limits: &TaskLimits) -> Limits {
    Limits { gas: limits.gas, memory_pages: limits.memory_pages, output_bytes: limits.output_bytes }
}

/// Rewriting reads every byte: away from the threads that carry messages.
pub(super) async fn rewrite(bytes: Vec<u8>, memory_pages: u32) -> Result<Module, String> {
    let limits = Limits { memory_pages, ..Limits::default() };
    let rewritten = tokio::task::spawn_blocking(move || instrument(&bytes, &limits)).await;
    let rewritten = rewritten.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())?;
    Ok(Module { rewritten: rewritten.bytes.into(), is_movable: rewritten.is_movable })
}
