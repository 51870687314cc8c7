//! Who runs what, and which results are believed, as one machine: [`Dispatch::handle`], [`Dispatch::poll`],
//! [`Dispatch::deadline`]. It joins the policies ([`crate::schedule`], [`crate::audit`]) and the state (pool, queue, leases)
//! and knows neither sockets nor modules: an answer is a hash and its gas.
//!
//! A task gets its first run by its submitter's turn. Its worker commits, then shows its answer, which the relay keeps to
//! itself; only then is it drawn whether and by whom the task is run again, so nobody can know with whom it votes.

mod gas;
mod giving;
mod hearing;
mod io;
mod judging;
mod settings;
mod task;
mod timing;

pub use io::{Believed, DispatchInput, DispatchOutput, GivenUp, Submission};
pub use settings::DispatchSettings;

use crate::by_owner::ByOwner;
use crate::evidence::Evidence;
use crate::lease::{Lease, Stage as LeaseStage};
use crate::returning::ReturnRate;
use crate::schedule::Need;
use crate::{Answer, LeaseId, Owner, Pool, Queue, TaskId, WorkerId};
use gas::Gas;
use peeredge_wire::{PeerId, SplitMix64, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use task::Task;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Lease(LeaseId),
    Task(TaskId),
    Worker(WorkerId),
}

/// An answer that the referee came to, for hidden checks.
#[derive(Clone, Debug)]
struct Known {
    task: TaskId,
    module: [u8; 32],
    input: [u8; 32],
    need: Need,
    answer: Answer,
    /// Owners that ran it: none gets it twice.
    seen: BTreeSet<Owner>,
    site: Option<u64>,
    /// Who handed it in, and who stands behind that.
    submitter: PeerId,
    owner: Owner,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchStats {
    /// Runs given to workers, hidden checks included.
    pub leases: u64,
    /// Hidden checks among them.
    pub spots: u64,
    /// Runs asked of the referee.
    pub refereed: u64,
    /// Results believed.
    pub believed: u64,
    /// Leases that were not answered.
    pub lost: u64,
    /// Runs given because another took too long.
    pub hedges: u64,
    /// Checkpoints that came to outlive their workers.
    pub kept: u64,
    /// Runs that went on from one.
    pub resumed: u64,
    /// Workers proved to lie.
    pub exposed: u64,
    /// Receipts that were not taken.
    pub refused: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Dispatch {
    settings: DispatchSettings,
    now: Time,
    dice: SplitMix64,
    pool: Pool,
    queue: Queue,
    begun: Vec<TaskId>,
    /// Tasks that nobody idle could take when they were drawn: they keep no others waiting.
    aside: ByOwner<TaskId>,
    /// Results that wait for their workers to become trusted.
    waiting: BTreeSet<TaskId>,
    tasks: BTreeMap<TaskId, Task>,
    leases: BTreeMap<LeaseId, Lease>,
    due: BTreeSet<(Time, Due)>,
    known: VecDeque<Known>,
    /// Tasks that the referee runs ahead, for hidden checks.
    precomputing: BTreeSet<TaskId>,
    evidence: Evidence,
    strangers: ReturnRate,
    /// Gas that runs of a module used, newest weighing most; bounded by forgetting the first.
    typical: BTreeMap<[u8; 32], Gas>,
    next_lease: u64,
    /// When a run was last given.
    given_at: Time,
    out: VecDeque<DispatchOutput>,
    stats: DispatchStats,
}

impl Dispatch {
    /// A dispatch without workers or tasks.
    pub fn new(settings: DispatchSettings) -> Self {
        Dispatch {
            now: Time::ZERO,
            dice: SplitMix64::new(settings.seed),
            pool: Pool::new(settings.remembered_max, settings.stranger_leases_per_owner_max),
            queue: Queue::default(),
            begun: Vec::new(),
            aside: ByOwner::default(),
            waiting: BTreeSet::new(),
            tasks: BTreeMap::new(),
            leases: BTreeMap::new(),
            due: BTreeSet::new(),
            known: VecDeque::new(),
            precomputing: BTreeSet::new(),
            evidence: Evidence::new(settings.evidence),
            strangers: ReturnRate::default(),
            typical: BTreeMap::new(),
            next_lease: 0,
            given_at: Time::ZERO,
            out: VecDeque::new(),
            stats: DispatchStats::default(),
            settings,
        }
    }

    /// Takes one input. Call [`Dispatch::poll`] until it gives `None` afterwards.
    pub fn handle(&mut self, now: Time, input: DispatchInput) {
        self.now = now.max(self.now);
        match input {
            DispatchInput::Offer { worker, owner, slots, memory_bytes, for_site } => {
                self.pool.offer(self.now, worker, owner, slots, memory_bytes, for_site);
            }
            DispatchInput::Gone { worker } => self.gone(&worker),
            DispatchInput::Submit(submission) => self.submit(submission),
            DispatchInput::SubmitterGone { submitter } => self.forget_known_of(&submitter),
            DispatchInput::Expose { worker, task } => {
                if let Some(worker) = self.pool.id(&worker) {
                    self.expose(worker, task);
                }
            }
            DispatchInput::Cancel { task } => self.close_task(task),
            DispatchInput::Beat { lease } => self.beat(lease),
            DispatchInput::Kept { lease, mark } => self.kept(lease, mark),
            DispatchInput::Commit { lease, commitment } => self.commit(lease, commitment),
            DispatchInput::Reveal { lease, claim, nonce } => {
                if self.reveal(lease, &claim, &nonce).is_err() {
                    self.stats.refused += 1;
                    self.lose(lease);
                }
            }
            DispatchInput::Refuse { lease } => {
                self.stats.refused += 1;
                self.lose(lease);
            }
            DispatchInput::Referee { ready } => self.settings.referee = ready,
            DispatchInput::Trouble { lease } => self.trouble(lease),
            DispatchInput::Refereed { task, answer } => self.refereed(task, answer),
            DispatchInput::Wake => {}
        }
        self.run_due();
        self.match_up();
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<DispatchOutput> {
        self.out.pop_front()
    }

    /// When to call `handle(now, Wake)` at the latest, if nothing else happens before.
    pub fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The workers.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Tasks without a result.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// Whether another task is taken.
    pub fn has_room(&self) -> bool {
        self.tasks.len() < self.settings.tasks_max
    }

    /// Tasks that nobody has begun.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Counts since the start.
    pub fn stats(&self) -> DispatchStats {
        self.stats
    }

    /// The worker and task of a lease that is not yet answered.
    pub fn lease(&self, lease: LeaseId) -> Option<(PeerId, TaskId)> {
        let lease = self.leases.get(&lease)?;
        Some((self.pool.get(lease.worker)?.peer, lease.task))
    }

    /// A run is over: its worker has a place free again.
    fn let_go(&mut self, lease: &Lease) {
        let was_committed = matches!(lease.stage, LeaseStage::Committed { .. });
        self.pool.release(self.now, lease.worker, lease.stranger, was_committed);
    }

    fn forget_known_of(&mut self, submitter: &PeerId) {
        for at in (0..self.known.len()).rev() {
            if self.known[at].submitter == *submitter
                && let Some(known) = self.known.remove(at)
            {
                self.out.push_back(DispatchOutput::Forget { task: known.task });
            }
        }
    }

    fn submit(&mut self, what: Submission) {
        if self.tasks.contains_key(&what.task) || !self.has_room() {
            return self.out.push_back(DispatchOutput::GivenUp { task: what.task, why: GivenUp::NoWorker });
        }
        let (id, gas) = (what.task, what.need.gas);
        self.queue.push(id, what.owner, what.value, gas);
        self.due.insert((self.now + self.settings.patience, Due::Task(id)));
        self.tasks.insert(id, Task::new(self.now, what));
    }
}

/// Whether something happens that happens so often in a thousand.
fn happens(dice: &mut SplitMix64, permille: u16) -> bool {
    dice.below(1000) < usize::from(permille)
}
