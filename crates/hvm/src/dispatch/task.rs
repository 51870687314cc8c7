use super::io::Submission;
use crate::audit::Ballot;
use crate::{Answer, LeaseId, Mark, Owner, WorkerId};
use core::time::Duration;
use peeredge_wire::Time;

/// A vote: an answer that was committed to, shown and signed.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    pub(super) answer: Answer,
    pub(super) worker: WorkerId,
    /// Those whose steps it went on from: they share its doubt.
    pub(super) lineage: Vec<WorkerId>,
    /// What it cost this worker.
    pub(super) gas: u64,
    /// Whether it was drawn among several owners.
    pub(super) drawn: bool,
    pub(super) took: Duration,
}

/// A run that its worker could not do, or not in time: whether that was its own fault shows when others have done it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) worker: WorkerId,
    pub(super) owner: Owner,
    /// What it was taken to do in the time that it had, and how long it took over it.
    pub(super) gas: u64,
    pub(super) took: Duration,
}

/// Where an open task stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Runs are queued or given.
    Open,
    /// Enough votes; waits until its voters are trusted, or until then.
    Waiting(Time),
    /// Believed; kept back until then.
    Settling(Time),
    /// The referee runs it.
    Refereeing,
}

/// Where a task that is out of its line waits for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Among those that are mixed.
    Mixed(usize),
    /// Among those of its owner that nobody idle could take.
    Aside(usize),
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) what: Submission,
    pub(super) stage: Stage,
    pub(super) votes: Vec<Vote>,
    /// All owners that ever voted, those included whose votes no longer count.
    pub(super) owners: Vec<Owner>,
    pub(super) leases: Vec<LeaseId>,
    /// Its place among those that wait for a run.
    pub(super) begun_at: Option<Place>,
    pub(super) queued_since: Time,
    pub(super) resume: Option<(Mark, Vec<WorkerId>)>,
    /// Until when its slowest voter is waited for.
    pub(super) straggler_until: Option<Time>,
    /// Whether its first vote was drawn for a second one.
    pub(super) checked: bool,
    pub(super) runs: u16,
    /// Others to ask at once, beside the next one, and how many were: runs that bound nothing.
    pub(super) more: u16,
    pub(super) copies: u16,
    /// How much trouble its workers had, by [`super::hearing::TROUBLE`], and whose runs came to nothing.
    pub(super) trouble: u16,
    pub(super) failed: Vec<Failed>,
    /// Whether the referee could not run it.
    pub(super) unrefereed: bool,
    /// Gas of runs that came to nothing and were the task's own fault, by its workers' rates.
    pub(super) spent: u64,
}

impl Task {
    pub(super) fn new(now: Time, what: Submission) -> Self {
        Task {
            what,
            stage: Stage::Open,
            votes: Vec::new(),
            owners: Vec::new(),
            leases: Vec::new(),
            begun_at: None,
            queued_since: now,
            resume: None,
            straggler_until: None,
            checked: false,
            runs: 0,
            more: 0,
            copies: 0,
            trouble: 0,
            failed: Vec::new(),
            unrefereed: false,
            spent: 0,
        }
    }
}

impl Task {
    /// Whether a worker of this owner could not run it.
    pub(super) fn has_failed(&self, owner: Owner) -> bool {
        self.failed.iter().any(|failed| failed.owner == owner)
    }
}

/// A vote's doubt: its worker's, and that of all whose steps it went on from.
pub(super) fn ballot(vote: &Vote, of: impl Fn(WorkerId) -> (f64, f64)) -> Ballot {
    let (mut doubt, mut evidence) = of(vote.worker);
    for earlier in &vote.lineage {
        let (more, fewer) = of(*earlier);
        doubt = (doubt + more).min(1.0);
        evidence = evidence.min(fewer);
    }
    Ballot { answer: vote.answer, doubt, evidence }
}
