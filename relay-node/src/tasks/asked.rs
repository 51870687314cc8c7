//! Tasks that this node hands in: what is shared for them, what the relay says of them, and what their outputs must be.

use super::contents::CONTENT_BYTES_MAX;
use super::desk::{Desk, rewrite};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use peeredge_hvm::task::PAGE_BYTES;
use peeredge_hvm::{Answer, End, Limits};
use peeredge_node::TaskInput;
use peeredge_wire::limits::TASK_INLINE_BYTES_MAX;
use peeredge_wire::relay::{Blob, TaskAssurance, TaskFromRelay, TaskLimits, TaskRefusal, TaskRequest};
use peeredge_wire::{ContentId, PeerId};
use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;

/// After so long the output that another voter shows is asked for, too.
const OUTPUT_LATE: Duration = Duration::from_secs(3);

/// A task to be run by others.
#[derive(Clone, Debug)]
pub struct Request {
    /// The module's bytes.
    pub module: Vec<u8>,
    /// Its input.
    pub input: Vec<u8>,
    /// What a run may use.
    pub limits: TaskLimits,
    /// How sure to be.
    pub assurance: TaskAssurance,
}

/// A task's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The output.
    pub output: Vec<u8>,
    /// Gas of one run.
    pub gas: u64,
    /// Runs given for it.
    pub runs: u16,
    /// Whether the relay ran it itself.
    pub refereed: bool,
    /// How likely the answer is wrong by the relay's reckoning, in millionths.
    pub doubt_ppm: u32,
    /// Whose answers agree.
    pub workers: Vec<PeerId>,
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// A limit that cannot hold, told before anything is done.
    Limits(String),
    /// The module is no task.
    Module(String),
    /// The task ended otherwise than done.
    Ended {
        /// How.
        end: End,
        /// After how much gas.
        gas: u64,
    },
    /// The relay has no result.
    Refused(TaskRefusal),
    /// Something could not be shared or fetched.
    Content(String),
    /// The peer ended.
    Closed,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Limits(why) => write!(f, "{why}"),
            RunError::Module(why) => write!(f, "the module is no task: {why}"),
            RunError::Ended { end, gas } => write!(f, "the task ended: {end}, after {gas} gas"),
            RunError::Refused(why) => write!(f, "no result: {}", why.name()),
            RunError::Content(why) => write!(f, "{why}"),
            RunError::Closed => write!(f, "the peer ended"),
        }
    }
}

impl std::error::Error for RunError {}

impl Desk {
    /// Has a task run by others.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(&self, task: Request, progress: impl FnMut(u16, PeerId)) -> Result<Ran, RunError> {
        let Request { module, input, limits, assurance } = task;
        check(&limits, input.len() as u64).map_err(RunError::Limits)?;
        // What is no task fails here, before anyone else sees it.
        rewrite(module.clone(), limits.memory_pages).await.map_err(RunError::Module)?;
        let module = self.share(module, "task.wasm").await.map_err(RunError::Content)?;
        let input = match input.len() <= TASK_INLINE_BYTES_MAX {
            true => Blob::Inline(input),
            false => Blob::Content(self.share(input, "input").await.map_err(RunError::Content)?),
        };
        let (request, words) = self.wait();
        self.say(TaskInput::Submit(TaskRequest { request, module, input, limits, assurance, value: 0 }));
        let (marked, marks) = mpsc::unbounded_channel();
        let result = tokio::select! {
            result = self.result(request, words, &marked, progress) => result,
            never = self.keep(marks) => match never {},
        };
        self.forget(request);
        result
    }

    /// What the relay says of a task, to its end.
    async fn result(
        &self,
        request: u32,
        mut words: mpsc::UnboundedReceiver<TaskFromRelay>,
        marked: &mpsc::UnboundedSender<ContentId>,
        mut progress: impl FnMut(u16, PeerId),
    ) -> Result<Ran, RunError> {
        let mut contested = false;
        loop {
            match words.recv().await {
                Some(TaskFromRelay::Progress { runs, worker, .. }) => progress(runs, worker),
                Some(TaskFromRelay::Marked { mark, .. }) => drop(marked.send(mark.checkpoint)),
                Some(TaskFromRelay::Refused { why, .. }) => return Err(RunError::Refused(why)),
                Some(TaskFromRelay::Result {
                    end,
                    gas,
                    digest,
                    runs,
                    refereed,
                    voters,
                    doubt_ppm,
                    output,
                    others,
                    ..
                }) => {
                    let is_elsewhere = matches!(output, Blob::Content(_));
                    let shown = core::iter::once(output).chain(others.into_iter().map(Blob::Content));
                    let Some(output) = self.output(shown, end, gas, &digest).await else {
                        // Only the relay can say who showed something else: it runs the task itself, once.
                        if is_elsewhere && !contested {
                            contested = true;
                            self.say(TaskInput::Untrue { request });
                            continue;
                        }
                        return Err(RunError::Refused(TaskRefusal::Disputed));
                    };
                    let end = End::from_number(end).unwrap_or(End::Trap);
                    if end != End::Done {
                        return Err(RunError::Ended { end, gas });
                    }
                    return Ok(Ran { output, gas, runs, refereed, doubt_ppm, workers: voters });
                }
                Some(_) => {}
                None => return Err(RunError::Closed),
            }
        }
    }

    /// The first of these outputs that is what the workers signed for, whoever delivered it. Each next one is begun when one before has
    /// ended or they are late: a voter may have left, or have shown what nobody has.
    async fn output(
        &self,
        mut shown: impl Iterator<Item = Blob>,
        end: u8,
        gas: u64,
        digest: &[u8; 32],
    ) -> Option<Vec<u8>> {
        let check = async |blob: Blob| {
            let bytes = match blob {
                Blob::Inline(bytes) => bytes,
                Blob::Content(content) => self.take(content, CONTENT_BYTES_MAX).await.ok()?,
            };
            Answer::parts(end, &bytes, gas).is_some_and(|answer| answer.digest == *digest).then_some(bytes)
        };
        let mut begun = FuturesUnordered::new();
        loop {
            match shown.next() {
                Some(blob) => begun.push(check(blob)),
                None if begun.is_empty() => return None,
                None => {}
            }
            tokio::select! {
                Some(found) = begun.next() => {
                    if found.is_some() {
                        return found;
                    }
                }
                () = tokio::time::sleep(OUTPUT_LATE) => {}
            }
        }
    }
}

/// Why these limits cannot hold, if they cannot.
fn check(limits: &TaskLimits, input_bytes: u64) -> Result<(), String> {
    if limits.gas == 0 || limits.gas > Limits::GAS_MAX {
        return Err(format!("gas must be from 1 to {}, not {}", Limits::GAS_MAX, limits.gas));
    }
    if limits.memory_pages > Limits::MEMORY_PAGES_MAX {
        return Err(format!("memory must be at most {} pages", Limits::MEMORY_PAGES_MAX));
    }
    if u64::from(limits.output_bytes) > CONTENT_BYTES_MAX {
        return Err(format!("an output has at most {CONTENT_BYTES_MAX} bytes, not {}", limits.output_bytes));
    }
    let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES as u64;
    if input_bytes > memory_bytes.min(CONTENT_BYTES_MAX) {
        return Err(format!("the input has {input_bytes} bytes, more than the memory: {memory_bytes}"));
    }
    Ok(())
}
