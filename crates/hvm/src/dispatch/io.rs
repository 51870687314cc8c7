use crate::{Answer, Assurance, Claim, LeaseId, Mark, Need, Owner, TaskId};
use peeredge_wire::PeerId;

/// A task as it is handed in. What module and input are, the dispatch does not know: only their hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// Chosen by whoever submits, never used for two.
    pub task: TaskId,
    /// Who hands it in.
    pub submitter: PeerId,
    /// Who stands behind the submitter: whose turn it counts as, and whose workers gain nothing by it.
    pub owner: Owner,
    /// The site whose page it is; none for a native submitter.
    pub site: Option<u64>,
    /// BLAKE3 of the module.
    pub module: [u8; 32],
    /// BLAKE3 of the input.
    pub input: [u8; 32],
    /// What it needs; its gas is an estimate and need not be exact.
    pub need: Need,
    /// How sure the submitter wants to be.
    pub assurance: Assurance,
    /// Goes first among the submitter's own: the higher, the earlier.
    pub value: u32,
}

/// Everything that a shell can tell a dispatch.
#[derive(Clone, Debug, PartialEq)]
pub enum DispatchInput {
    /// A worker offers slots, or changes its offer; without slots it pauses, and what it runs goes on.
    Offer {
        /// Who.
        worker: PeerId,
        /// Who stands behind it.
        owner: Owner,
        /// Tasks that it takes at once.
        slots: u8,
        /// Memory that a task may have there.
        memory_bytes: u64,
        /// Takes only tasks that pages of this site hand in; none for anybody's.
        for_site: Option<u64>,
    },
    /// A worker is gone.
    Gone {
        /// Who.
        worker: PeerId,
    },
    /// A task is handed in.
    Submit(Submission),
    /// A submitter is gone: what it shared can no longer be run, not even as a hidden check.
    SubmitterGone {
        /// Who.
        submitter: PeerId,
    },
    /// Nobody wants the task any more.
    Cancel {
        /// Which.
        task: TaskId,
    },
    /// A worker is still at it.
    Beat {
        /// At what.
        lease: LeaseId,
    },
    /// Somebody beside the worker holds a checkpoint of its run: from there the task can go on without it.
    Kept {
        /// Whose run it is of.
        lease: LeaseId,
        /// Where the task would go on.
        mark: Mark,
    },
    /// A worker is done and binds itself to its answer: [`Claim::commitment`].
    Commit {
        /// With what.
        lease: LeaseId,
        /// The commitment.
        commitment: [u8; 32],
    },
    /// A worker shows what it committed to. The shell has verified the receipt's signature.
    Reveal {
        /// Under which lease it was handed in.
        lease: LeaseId,
        /// What the receipt states.
        claim: Claim,
        /// What the commitment was made with.
        nonce: [u8; 32],
    },
    /// What a worker handed in is no receipt of its own: it counts as a lease that was not answered.
    Refuse {
        /// Under which lease.
        lease: LeaseId,
    },
    /// Whether the relay can run tasks itself.
    Referee {
        /// Whether it can now.
        ready: bool,
    },
    /// A worker could not run the task, for reasons of its own.
    Trouble {
        /// Under which lease.
        lease: LeaseId,
    },
    /// A worker is proved to lie by something that only the shell can see: what it showed does not hash to its answer.
    Expose {
        /// Who.
        worker: PeerId,
        /// On which task.
        task: TaskId,
    },
    /// The referee's answer; none when it cannot run the task.
    Refereed {
        /// Of which task.
        task: TaskId,
        /// What came out.
        answer: Option<Answer>,
    },
    /// The deadline that [`crate::Dispatch::deadline`] gave has come.
    Wake,
}

/// Why a task gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Too many workers could not run it.
    Trouble,
    /// The votes contradict each other and there is no referee.
    Disputed,
    /// Nobody took it in time.
    NoWorker,
}

/// A result that is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Believed {
    /// Of which task.
    pub task: TaskId,
    /// The result.
    pub answer: Answer,
    /// Whose votes it is.
    pub voters: Vec<PeerId>,
    /// How likely it is wrong, by the voters' records; 0 when the referee ran it.
    pub doubt: f64,
    /// Runs given for it, those that failed and the referee's included.
    pub runs: u16,
    /// Whether the referee ran it.
    pub refereed: bool,
}

/// Everything that a dispatch asks of its shell.
#[derive(Clone, Debug, PartialEq)]
pub enum DispatchOutput {
    /// Give this run to this worker.
    Lease {
        /// Its number.
        lease: LeaseId,
        /// To whom.
        worker: PeerId,
        /// What to run.
        task: TaskId,
        /// Where to go on, if somebody came so far.
        resume: Option<Mark>,
    },
    /// The worker need not go on.
    Revoke {
        /// With what.
        lease: LeaseId,
        /// Who.
        worker: PeerId,
    },
    /// The worker shall show what it committed to.
    AskReveal {
        /// Of which lease.
        lease: LeaseId,
        /// Who.
        worker: PeerId,
    },
    /// Run this task natively and answer with [`DispatchInput::Refereed`].
    Referee {
        /// Which.
        task: TaskId,
    },
    /// A result is believed, for good.
    Believed(Believed),
    /// A task gave no result.
    GivenUp {
        /// Which.
        task: TaskId,
        /// Why.
        why: GivenUp,
    },
    /// The referee need not go on.
    RefereeStop {
        /// With which task.
        task: TaskId,
    },
    /// A worker was proved to lie. It gets nothing any more.
    Exposed {
        /// Who.
        worker: PeerId,
        /// On which task.
        task: TaskId,
    },
    /// The task is over, whatever came of it: so much gas was used for it, by those who answered and those who were still at it.
    Spent {
        /// Which.
        task: TaskId,
        /// By all its runs.
        gas: u64,
    },
    /// Nothing about this task will be asked any more: its module and input can go.
    Forget {
        /// Which.
        task: TaskId,
    },
}
