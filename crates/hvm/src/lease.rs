//! State: who runs what until when.

use crate::{Answer, GasPerS, Owner, TaskId, WorkerId};
use core::time::Duration;
use peeredge_wire::Time;

/// One run given to one worker; counted up, never used for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Where a task in steps can go on, as a worker that left it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Names the checkpoint: whoever goes on from it must hold it.
    pub checkpoint: [u8; 32],
    /// Gas used until there.
    pub gas: u64,
}

/// How far a lease has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Running,
    /// The worker is bound to its answer; it is asked to show it when nobody else runs the task any more.
    Committed {
        commitment: [u8; 32],
        took: Duration,
        /// Since when it is asked.
        asked: Option<Time>,
    },
}

/// A run that was given and is not yet answered.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) task: TaskId,
    pub(crate) worker: WorkerId,
    pub(crate) given: Time,
    pub(crate) heard: Time,
    pub(crate) expected: Duration,
    pub(crate) rate: GasPerS,
    pub(crate) hedged: bool,
    /// Given beside others because strangers rarely return what they take: nobody waits for it.
    pub(crate) copy: bool,
    /// Whether it was counted as late, or lost, of a stranger.
    pub(crate) missing: bool,
    /// Whether nothing is known of what the module uses.
    pub(crate) unknown: bool,
    /// Its worker's owner, if the worker never returned a run before.
    pub(crate) stranger: Option<Owner>,
    /// Who stands behind the submitter.
    pub(crate) submitter: Owner,
    /// Whether it was drawn among several owners.
    pub(crate) drawn: bool,
    pub(crate) stage: Stage,
    /// Whose steps this run goes on from.
    pub(crate) lineage: Vec<WorkerId>,
    /// Gas that was used before this run went on.
    pub(crate) from_gas: u64,
    /// The newest checkpoint that somebody else holds; before its own first one, that from which it went on.
    pub(crate) mark: Option<Mark>,
    /// What the answer must be: the run is a hidden check.
    pub(crate) known: Option<Answer>,
    pub(crate) module: [u8; 32],
    pub(crate) input: [u8; 32],
}

impl Lease {
    pub(crate) fn running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Whether others wait for it before they show their answers, and before votes are judged.
    pub(crate) fn is_awaited(&self) -> bool {
        !(self.copy || self.running() && self.hedged)
    }

    /// Whether nothing of its own would be gone on from.
    pub(crate) fn stands_where_it_began(&self) -> bool {
        self.mark.is_none_or(|mark| mark.gas <= self.from_gas)
    }
}
