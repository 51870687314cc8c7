//! What a node's word about tasks sets going: leases are fetched for, run on threads of their own, and answered.

use super::compiler;
use super::contents::{CONTENT_BYTES_MAX, Unfetched};
use crate::store::Store;
use peeredge_hvm::task::PAGE_BYTES;
use peeredge_hvm::{Checkpoint, End, Limits, instrument};
use peeredge_node::{Input, Output, TaskInput};
use peeredge_task_runner::{From, Job, Spool, Stop, TaskRunner};
use peeredge_wire::limits::TASK_INLINE_BYTES_MAX;
use peeredge_wire::relay::{Blob, TaskFromRelay, TaskLimits, TaskMark, TaskOf};
use peeredge_wire::{ContentId, DecodeError, RequestId};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

const MODULE_BYTES_MAX: u64 = 32 << 20;
/// No run takes longer, unless the operator says so.
const DEADLINE: Duration = Duration::from_secs(600);
/// Rewritten modules that are kept for the next run, and how many bytes of them.
const MODULES_MAX: usize = 16;
const MODULES_BYTES_MAX: usize = 64 << 20;
/// What a checkpoint has besides its pages.
const CHECKPOINT_BYTES: u64 = 1 << 20;
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

pub(super) struct Inner {
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    pub(super) store: Arc<Store>,
    runner: TaskRunner,
    pub(super) next: AtomicU32,
    pub(super) fetching: Mutex<BTreeMap<RequestId, mpsc::UnboundedSender<Output>>>,
    waiting: Mutex<BTreeMap<u32, mpsc::UnboundedSender<TaskFromRelay>>>,
    leases: Mutex<BTreeMap<u64, Lease>>,
    modules: Mutex<Vec<((ContentId, u32), Module)>>,
    /// Outputs that are shared, since when, and their bytes.
    pub(super) outputs: Mutex<BTreeMap<ContentId, (Instant, u64)>>,
    /// Contents that are being fetched for a run, and for how many.
    pub(super) taking: Mutex<BTreeMap<ContentId, usize>>,
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
pub struct Desk(pub(super) Arc<Inner>);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        let host_bytes = host_pages as usize * PAGE_BYTES;
        let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES as u64;
        let Module { rewritten, is_movable } = self.module(module, limits.memory_pages).await?;
        let resumed = match resume {
            Some(mark) => self.checkpoint(mark, limits.memory_pages, host_pages).await?,
            None => None,
        };
        // Held until the run is over.
        let (input_scratch, output_scratch) = (self.scratch()?, self.scratch()?);
        let from = match (resumed, input) {
            (Some(checkpoint), _) => From::Checkpoint(Box::new(checkpoint)),
            (None, Blob::Inline(bytes)) => From::Input(bytes.into()),
            (None, Blob::Content(content)) => {
                let bytes_max = memory_bytes.min(CONTENT_BYTES_MAX);
                From::File(Arc::new(self.take_to(content, bytes_max, &input_scratch.path()).await?))
            }
        };
        let job = Job {
            rewritten,
            is_movable,
            from,
            limits: hvm_limits(&limits),
            deadline: Duration::from_millis(self.0.deadline_ms.load(Ordering::Relaxed)),
            checkpoint_every_steps: limits.checkpoint_steps,
            compiling_bytes: host_bytes as u64,
            spool: Some(Spool { above: TASK_INLINE_BYTES_MAX, path: output_scratch.path() }),
        };
        // One checkpoint at a time: another is taken when the last one was shared, and had time to be fetched.
        let (mark, mut marks) = mpsc::channel(1);
        let has_room = Arc::new(AtomicBool::new(true));
        let room = has_room.clone();
        // The task's memory, a copy of it and what that is encoded as are here at once.
        let wants_checkpoint =
            move |bytes: usize| 3 * bytes <= host_bytes && room.swap(false, Ordering::Relaxed);
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
        let ran = ran.map_err(|_| "the runner ended".to_owned())?;
        let outcome = ran.outcome;
        if !outcome.end.is_of_task() {
            return Err(format!("the run ended here: {}", outcome.end));
        }
        // A thread that has worked rests, so that its share of the time holds.
        let duty = u32::from(self.0.duty_permille);
        if duty < 1000 && outcome.end != End::Cancelled {
            tokio::time::sleep(began.elapsed() * (1000 - duty) / duty).await;
        }
        let (end, gas) = (outcome.end as u8, outcome.gas);
        let (output_hash, output) = match ran.spooled {
            None => (*blake3::hash(&outcome.output).as_bytes(), Blob::Inline(outcome.output)),
            Some(bytes) => {
                let hash = hash_of(output_scratch.path()).await?;
                (hash, Blob::Content(self.share_for_a_while(output_scratch, bytes).await?))
            }
        };
        self.0.tasks.fetch_add(1, Ordering::Relaxed);
        self.0.gas.fetch_add(gas, Ordering::Relaxed);
        self.say(TaskInput::Answer { lease, end, gas, output, output_hash });
        Ok(())
    }

    /// The checkpoint that a mark names; none when there is no room for it here, and the task begins anew.
    async fn checkpoint(
        &self,
        mark: TaskMark,
        memory_pages: u32,
        host_pages: u32,
    ) -> Result<Option<Checkpoint>, String> {
        // What it is encoded as and what that says are here at once, and then the latter and the task's memory.
        let pages = memory_pages.min(host_pages / 2);
        let bytes_max = u64::from(pages) * (PAGE_BYTES as u64 + 1) + CHECKPOINT_BYTES;
        let bytes = match self.take(mark.checkpoint, bytes_max).await {
            Ok(bytes) => bytes,
            Err(Unfetched::TooLarge { .. }) if pages < memory_pages => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match Checkpoint::decode(&bytes, pages) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(DecodeError::TooLong { field: "pages", .. }) if pages < memory_pages => Ok(None),
            Err(error) => Err(error.to_string()),
        }
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

/// The hash of a file, read away from the threads that carry messages.
async fn hash_of(path: PathBuf) -> Result<[u8; 32], String> {
    let hashed = tokio::task::spawn_blocking(move || {
        let (mut hasher, mut file) = (blake3::Hasher::new(), std::fs::File::open(&path)?);
        let mut piece = vec![0; 64 << 10];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok::<_, std::io::Error>(*hasher.finalize().as_bytes()),
                length => hasher.update(&piece[..length]),
            };
        }
    });
    hashed.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Rewriting reads every byte: away from the threads that carry messages.
pub(super) async fn rewrite(bytes: Vec<u8>, memory_pages: u32) -> Result<Module, String> {
    let limits = Limits { memory_pages, ..Limits::default() };
    let rewritten = tokio::task::spawn_blocking(move || instrument(&bytes, &limits)).await;
    let rewritten = rewritten.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())?;
    Ok(Module { rewritten: rewritten.bytes.into(), is_movable: rewritten.is_movable })
}
