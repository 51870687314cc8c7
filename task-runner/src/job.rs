//! What is to be run, and what is told of it.
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peeredge_hvm::{Checkpoint, Limits, Outcome};

/// One run of a task.
#[derive(Clone, Debug)]
pub struct Job {
    /// The rewritten module: [`peeredge_hvm::Rewritten::bytes`].
    pub rewritten: Arc<[u8]>,
    /// Whether it can move: [`peeredge_hvm::Rewritten::is_movable`].
    pub is_movable: bool,
    /// Where it begins.
    pub from: From,
    /// What it may use. The memory's bound is already in the module.
    pub limits: Limits,
    /// How long it may take, compiling included; then it ends as cancelled.
    pub deadline: Duration,
    /// After how many steps a checkpoint is taken; 0 for never. Ignored for a module that cannot move.
    pub checkpoint_every_steps: u32,
    /// Bytes of memory that compiling it may take, beyond what the compiler has at rest. It holds where that is done by a process.
    pub compiling_bytes: u64,
    /// Where a large output goes, so that it is not held beside the task's memory; otherwise all outputs are.
    pub spool: Option<Spool>,
}

/// A file for an output.
#[derive(Clone, Debug)]
pub struct Spool {
    /// An output of more bytes than these is written there.
    pub above: usize,
    /// The file, which is made new.
    pub path: PathBuf,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub enum From {
    /// At the start, with this input.
    Input(Arc<[u8]>),
    /// At the start, with the bytes of this file as input, which are read into the task's memory and nowhere else.
    File(Arc<File>),
    /// Where another run was.
    Checkpoint(Box<Checkpoint>),
}

/// What is told after each step.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Ten-thousandths done, as the task says.
    pub permyriad: u32,
    /// Steps made, those before a checkpoint included.
    pub steps: u32,
    /// Gas used so far.
    pub gas: u64,
    /// The state, when it was its turn.
    pub checkpoint: Option<Checkpoint>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its outcome. Of an output that was spooled it has no bytes.
    pub outcome: Outcome,
    /// Bytes of the output in the job's [`Spool`].
    pub spooled: Option<u64>,
    /// Where to go on, when it was paused.
    pub checkpoint: Option<Checkpoint>,
    /// How long its module took to compile, of the time that the run took.
    pub compiling: Duration,
}
