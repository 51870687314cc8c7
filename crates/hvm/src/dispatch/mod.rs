//! Who runs what, and which results are believed, as one machine: [`Dispatch::handle`], [`Dispatch::poll`],
//! [`Dispatch::deadline`]. It joins the policies ([`crate::schedule`], [`crate::audit`]) and the state (pool, queue, leases)
//! and knows neither sockets nor modules: an answer is a hash and its gas.
//!
//! A task gets its first run by its submitter's turn. Its worker commits, then shows its answer, which the relay keeps to
//! itself; only then is it drawn whether and by whom the task is run again, so nobody can know with whom it votes.

mod dice;
mod io;
mod settings;
mod task;

pub use io::{Believed, DispatchInput, DispatchOutput, GivenUp, Submission};
pub use settings::DispatchSettings;

use crate::audit::{Verdict, judge};
use crate::lease::{Lease, Stage as LeaseStage};
use crate::schedule::{Need, hedge_after, lost_after};
use crate::{Answer, Claim, LeaseId, Mark, Owner, Pool, Queue, ReceiptError, TaskId, WorkerId};
use core::time::Duration;
use dice::Dice;
use peeredge_wire::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use task::{Stage, Task, Vote, ballot};

/// Verified results from which a worker's own gas counts before somebody agrees to it.
const MEASURED_FROM: f64 = 3.0;
/// How often a pair of candidates is drawn for a run before it is put aside.
const DRAWS: usize = 8;
/// Runs put aside before the idle are left alone until something changes.
const ASIDE_MAX: usize = 16;
/// Evidence must have grown by this factor before a worker's open results are looked through again.
const LOOK_AGAIN: f64 = 1.1;
/// Leases lost with nothing returned in between after which a worker rests.
const REST_AFTER_LOST: f64 = 0.4;

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
    dice: Dice,
    pool: Pool,
    queue: Queue,
    begun: Vec<TaskId>,
    /// Results that wait for their workers to become trusted.
    waiting: BTreeSet<TaskId>,
    tasks: BTreeMap<TaskId, Task>,
    leases: BTreeMap<LeaseId, Lease>,
    due: BTreeSet<(Time, Due)>,
    known: VecDeque<Known>,
    precomputing: usize,
    /// Gas that runs of a module used, newest weighing most; bounded by forgetting the first.
    typical: BTreeMap<[u8; 32], Gas>,
    next_lease: u64,
    /// When a run was last given.
    given_at: Time,
    out: VecDeque<DispatchOutput>,
    stats: DispatchStats,
}

/// Answers for hidden checks that the referee makes sure of, while so many tasks wait.
const KNOWN_MIN: usize = 8;
const PRECOMPUTE_FROM: usize = 64;
/// Modules whose typical gas is remembered.
const TYPICAL_MAX: usize = 1024;

impl Dispatch {
    /// A dispatch without workers or tasks.
    pub fn new(settings: DispatchSettings) -> Self {
        Dispatch {
            now: Time::ZERO,
            dice: Dice::new(settings.seed),
            pool: Pool::new(settings.remembered_max),
            queue: Queue::default(),
            begun: Vec::new(),
            waiting: BTreeSet::new(),
            tasks: BTreeMap::new(),
            leases: BTreeMap::new(),
            due: BTreeSet::new(),
            known: VecDeque::new(),
            precomputing: 0,
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
            DispatchInput::Offer { worker, owner, slots, memory_bytes } => {
                self.pool.offer(self.now, worker, owner, slots, memory_bytes);
            }
            DispatchInput::Gone { worker } => self.gone(&worker),
            DispatchInput::Submit(submission) => self.submit(submission),
            DispatchInput::Cancel { task } => self.close_task(task),
            DispatchInput::Beat { lease, mark } => self.beat(lease, mark),
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

    fn submit(&mut self, what: Submission) {
        if self.tasks.contains_key(&what.task) || !self.has_room() {
            return self.out.push_back(DispatchOutput::GivenUp { task: what.task, why: GivenUp::NoWorker });
        }
        let (id, gas) = (what.task, what.need.gas);
        self.queue.push(id, what.submitter, what.value, gas);
        self.due.insert((self.now + self.settings.patience, Due::Task(id)));
        self.tasks.insert(id, Task::new(self.now, what));
    }

    // ---- giving runs out ----

    fn match_up(&mut self) {
        self.precompute();
        let mut aside = Vec::new();
        while !self.pool.idle().is_empty() && aside.len() < ASIDE_MAX {
            if self.dice.permille(self.settings.spots_permille) && self.give_spot() {
                continue;
            }
            // Some of those begun stay, so that a pair is drawn and does not just happen.
            let from_begun =
                !self.begun.is_empty() && (self.queue.is_empty() || self.begun.len() > self.settings.mixing);
            let task = if from_begun {
                let at = self.dice.below(self.begun.len());
                self.unbegin(at)
            } else {
                match self.queue.pop() {
                    Some(task) => task,
                    // Nothing else is to do: waiting would save nothing.
                    None if self.hurry() => continue,
                    None => break,
                }
            };
            match self.draw(task) {
                Some(worker) => self.give(task, worker),
                None => aside.push(task),
            }
        }
        aside.into_iter().for_each(|task| self.begin(task));
    }

    /// Asks for another vote for the first of those that wait.
    fn hurry(&mut self) -> bool {
        let waits = |tasks: &BTreeMap<TaskId, Task>, id| {
            tasks.get(&id).is_some_and(|task| matches!(task.stage, Stage::Waiting(_)))
        };
        while let Some(id) = self.waiting.pop_first() {
            if waits(&self.tasks, id) {
                self.another(id);
                return true;
            }
        }
        false
    }

    /// While there is much to do, the referee runs a few tasks itself, for hidden checks.
    fn precompute(&mut self) {
        let wanted = self.settings.referee && self.settings.spots_permille > 0;
        let short = self.known.len() + self.precomputing < KNOWN_MIN && self.queue.len() >= PRECOMPUTE_FROM;
        if wanted
            && short
            && let Some(task) = self.queue.pop()
        {
            self.precomputing += 1;
            self.referee(task);
        }
    }

    /// The better of two idle workers drawn at random, or none that may run this task.
    fn draw(&mut self, task: TaskId) -> Option<WorkerId> {
        let task = self.tasks.get(&task)?;
        let need = Need { gas: expected_gas(&self.typical, &task.what).mean, ..task.what.need };
        let mut owners = task.owners.clone();
        let leased = task.leases.iter().filter_map(|lease| self.leases.get(lease)).map(|lease| &lease.worker);
        let resumed = task.resume.iter().flat_map(|(_, lineage)| lineage);
        for worker in leased {
            owners.extend(self.pool.get(*worker).map(|worker| worker.owner));
        }
        let resumed: Vec<WorkerId> = resumed.copied().collect();
        let (mut best, mut found): (Option<(f64, WorkerId)>, _) = (None, 0);
        for _ in 0..DRAWS {
            let idle = self.pool.idle();
            let id = idle[self.dice.below(idle.len())];
            let worker = self.pool.get(id).expect("the idle are in the pool");
            if owners.contains(&worker.owner) || resumed.contains(&id) && self.pool.here() > 1 {
                continue;
            }
            let Some(candidate) = self.pool.candidate(self.now, id).filter(|c| c.fits(&need)) else {
                continue;
            };
            let score = candidate.score(&need);
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, id));
            }
            found += 1;
            if found == 2 {
                break;
            }
        }
        best.map(|(_, id)| id)
    }

    fn give(&mut self, id: TaskId, worker: WorkerId) {
        let rate = self.pool.rate(worker);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        self.next_lease += 1;
        let lease = LeaseId(self.next_lease);
        let gas = expected_gas(&self.typical, &task.what).high;
        let (mark, lineage) = task.resume.take().map_or((None, Vec::new()), |(mark, by)| (Some(mark), by));
        let expected = rate.time_for(gas);
        task.leases.push(lease);
        task.runs = task.runs.saturating_add(1);
        self.leases.insert(
            lease,
            Lease {
                task: id,
                worker,
                given: self.now,
                heard: self.now,
                expected,
                rate,
                hedged: false,
                stage: LeaseStage::Running,
                lineage,
                from_gas: mark.map_or(0, |mark| mark.gas),
                mark: None,
                known: None,
                module: task.what.module,
                input: task.what.input,
            },
        );
        self.lease_out(lease, id, worker, mark, expected);
    }

    /// Gives a run whose answer is known to somebody who cannot tell it from another.
    fn give_spot(&mut self) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let at = self.dice.below(self.known.len());
        let idle = self.pool.idle();
        let worker = idle[self.dice.below(idle.len())];
        let Some(candidate) = self.pool.candidate(self.now, worker) else { return false };
        let Some(owner) = self.pool.get(worker).map(|worker| worker.owner) else { return false };
        let known = &mut self.known[at];
        if !candidate.fits(&known.need) || !known.seen.insert(owner) {
            return false;
        }
        let Known { task, module, input, need, answer, .. } = known.clone();
        self.next_lease += 1;
        let (lease, rate) = (LeaseId(self.next_lease), candidate.rate);
        let expected = rate.time_for(need.gas);
        let (given, heard) = (self.now, self.now);
        let stage = LeaseStage::Running;
        let (lineage, mark, known) = (Vec::new(), None, Some(answer));
        self.leases.insert(
            lease,
            Lease {
                task,
                worker,
                given,
                heard,
                expected,
                rate,
                hedged: true,
                stage,
                lineage,
                from_gas: 0,
                mark,
                known,
                module,
                input,
            },
        );
        self.stats.spots += 1;
        self.lease_out(lease, task, worker, None, expected);
        true
    }

    fn lease_out(
        &mut self,
        lease: LeaseId,
        task: TaskId,
        worker: WorkerId,
        resume: Option<Mark>,
        expected: Duration,
    ) {
        self.stats.leases += 1;
        self.given_at = self.now;
        self.pool.take(self.now, worker);
        let look = hedge_after(expected).min(self.settings.silence);
        self.due.insert((self.now + look, Due::Lease(lease)));
        let worker = self.pool.get(worker).expect("it was drawn from the pool").peer;
        self.out.push_back(DispatchOutput::Lease { lease, worker, task, resume });
    }

    /// Puts a task among those that wait for another run.
    fn begin(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.begun_at.is_none() {
            task.begun_at = Some(self.begun.len());
            task.stage = Stage::Open;
            self.begun.push(id);
        }
    }

    /// From now on the task waits for another run, and not for ever.
    fn ask_again(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.begun_at.is_none() {
            task.queued_since = self.now;
            self.due.insert((self.now + self.settings.patience, Due::Task(id)));
        }
        self.begin(id);
    }

    fn unbegin(&mut self, at: usize) -> TaskId {
        let id = self.begun.swap_remove(at);
        if let Some(moved) = self.begun.get(at).and_then(|moved| self.tasks.get_mut(moved)) {
            moved.begun_at = Some(at);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.begun_at = None;
        }
        id
    }

    // ---- what workers say ----

    fn beat(&mut self, lease: LeaseId, mark: Option<Mark>) {
        let Some(lease) = self.leases.get_mut(&lease) else { return };
        lease.heard = self.now;
        if mark.is_some() {
            lease.mark = mark;
        }
    }

    fn commit(&mut self, id: LeaseId, commitment: [u8; 32]) {
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.running()) else { return };
        lease.heard = self.now;
        lease.stage = LeaseStage::Committed { commitment, took: self.now.since(lease.given), asked: false };
        let (task, worker) = (lease.task, lease.worker);
        self.pool.release(self.now, worker);
        self.ask_reveals(task, Some(id));
    }

    /// Nobody shows anything while somebody else still runs the task: what is not shown cannot be copied.
    fn ask_reveals(&mut self, task: TaskId, spot: Option<LeaseId>) {
        let mut ids = self.tasks.get(&task).map_or(Vec::new(), |task| task.leases.clone());
        if ids.iter().any(|id| self.leases.get(id).is_some_and(|lease| lease.running() && !lease.hedged)) {
            ids.clear();
        }
        ids.extend(spot.filter(|id| self.leases.get(id).is_some_and(|lease| lease.known.is_some())));
        for id in ids {
            let Some(lease) = self.leases.get_mut(&id) else { continue };
            if let LeaseStage::Committed { asked: asked @ false, .. } = &mut lease.stage {
                *asked = true;
                let worker = self.pool.get(lease.worker).expect("a lease's worker is in the pool").peer;
                self.out.push_back(DispatchOutput::AskReveal { lease: id, worker });
            }
        }
    }

    fn reveal(&mut self, id: LeaseId, claim: &Claim, nonce: &[u8; 32]) -> Result<(), ReceiptError> {
        // A lease that is over is nothing to refuse: its answer only came late.
        let Some(lease) = self.leases.get(&id) else { return Ok(()) };
        let LeaseStage::Committed { commitment, took, asked: true } = lease.stage else {
            return Err(ReceiptError::Commitment);
        };
        if claim.lease != id.0 {
            return Err(ReceiptError::Lease { named: claim.lease, expected: id.0 });
        }
        if self.pool.get(lease.worker).map(|worker| worker.peer) != Some(claim.worker) {
            return Err(ReceiptError::Worker);
        }
        if (claim.module, claim.input) != (lease.module, lease.input) {
            return Err(ReceiptError::Task);
        }
        if claim.commitment(nonce) != commitment {
            return Err(ReceiptError::Commitment);
        }
        let lease = self.leases.remove(&id).expect("it was just looked at");
        if let Some(worker) = self.pool.get_mut(lease.worker) {
            worker.record.returned();
            worker.record.regain();
        }
        if let Some(known) = lease.known {
            self.spot_answered(&lease, claim.answer == known, took);
            return Ok(());
        }
        let Some(task) = self.tasks.get_mut(&lease.task) else { return Ok(()) };
        task.leases.retain(|other| *other != id);
        let first = task.votes.is_empty();
        if let Some(voter) = self.pool.get_mut(lease.worker) {
            if voter.record.exposed() {
                self.look(lease.task);
                return Ok(());
            }
            voter.open.insert(lease.task);
            task.owners.push(voter.owner);
            if first {
                let share = task.what.assurance.check_permille(&voter.record);
                task.checked = self.dice.permille(share);
            }
        }
        let gas = claim.answer.gas.saturating_sub(lease.from_gas);
        for earlier in &lease.lineage {
            task.owners.extend(self.pool.get(*earlier).map(|worker| worker.owner));
        }
        task.votes.push(Vote {
            answer: claim.answer,
            worker: lease.worker,
            lineage: lease.lineage,
            gas,
            took,
        });
        self.agreed(lease.task);
        self.look(lease.task);
        Ok(())
    }

    /// The newest vote may bear out the others, and they it.
    fn agreed(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let Some((newest, earlier)) = task.votes.split_last() else { return };
        let (newest, module, answer) = (newest.clone(), task.what.module, newest.answer);
        let partners: Vec<Vote> = earlier.iter().filter(|vote| vote.answer == answer).cloned().collect();
        // A stranger's gas is its word until somebody agrees.
        let known =
            self.pool.get(newest.worker).is_some_and(|worker| worker.record.evidence() >= MEASURED_FROM);
        if known || !partners.is_empty() {
            self.pool.measured(newest.worker, newest.gas, newest.took);
        }
        let Some(first) = partners.first() else { return };
        if partners.len() == 1
            && !self.pool.get(first.worker).is_some_and(|w| w.record.evidence() >= MEASURED_FROM)
        {
            self.pool.measured(first.worker, first.gas, first.took);
        }
        let first = first.worker;
        self.learn_gas(module, answer.gas);
        let prior = self.settings.prior;
        let doubt = |pool: &Pool, id| pool.get(id).map_or(1.0, |worker| worker.record.doubt(prior));
        let (of_first, of_newest) = (doubt(&self.pool, first), doubt(&self.pool, newest.worker));
        self.verified(newest.worker, 1.0 - of_first, Some(first));
        if partners.len() == 1 {
            self.verified(first, 1.0 - of_newest, Some(newest.worker));
        }
        for worker in [first, newest.worker] {
            self.look_again(worker);
        }
    }

    fn verified(&mut self, id: WorkerId, weight: f64, by: Option<WorkerId>) {
        if let Some(worker) = self.pool.get_mut(id) {
            worker.record.verified(weight);
            if let Some(by) = by {
                worker.vouch(by);
            }
        }
    }

    /// A worker became more credible: what waits for that may be believed now.
    fn look_again(&mut self, id: WorkerId) {
        let Some(worker) = self.pool.get_mut(id) else { return };
        if worker.record.evidence() < worker.looked_at * LOOK_AGAIN + 1.0 {
            return;
        }
        worker.looked_at = worker.record.evidence();
        let open: Vec<TaskId> = worker.open.iter().copied().collect();
        for task in open {
            if self.tasks.get(&task).is_some_and(|task| matches!(task.stage, Stage::Waiting(_))) {
                self.look(task);
            }
        }
    }

    fn spot_answered(&mut self, lease: &Lease, right: bool, took: Duration) {
        let Some(known) = lease.known else { return };
        if right {
            self.pool.measured(lease.worker, known.gas, took);
            self.verified(lease.worker, 1.0, None);
            self.look_again(lease.worker);
        } else {
            self.expose(lease.worker, lease.task);
        }
    }

    fn trouble(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let (task, known) = (lease.task, lease.known.is_some());
        self.lose(id);
        if known {
            return;
        }
        let Some(task_state) = self.tasks.get_mut(&task) else { return };
        task_state.troubles += 1;
        if task_state.troubles >= 4 && task_state.votes.is_empty() && task_state.leases.is_empty() {
            self.out.push_back(DispatchOutput::GivenUp { task, why: GivenUp::Trouble });
            self.close_task(task);
        }
    }

    fn gone(&mut self, peer: &PeerId) {
        let Some(id) = self.pool.id(peer) else { return };
        let held: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.worker == id).map(|(id, _)| *id).collect();
        self.pool.gone(self.now, id);
        held.into_iter().for_each(|lease| self.drop_lease(lease));
        // Nobody who is gone becomes more credible: what waits only for that gets another vote.
        let open: Vec<TaskId> =
            self.pool.get(id).map_or(Vec::new(), |worker| worker.open.iter().copied().collect());
        for task in open {
            if self.tasks.get(&task).is_some_and(|task| matches!(task.stage, Stage::Waiting(_))) {
                self.look(task);
            }
        }
    }

    /// A lease that its worker lost by its own fault.
    fn lose(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let (worker, took) = (lease.worker, self.now.since(lease.given));
        let gas = lease.rate.0.saturating_mul(lease.expected.as_secs());
        self.stats.lost += 1;
        if let Some(state) = self.pool.get_mut(worker) {
            state.record.lost();
            state.meter.at_most(gas, took);
            if state.record.reliability() < REST_AFTER_LOST {
                state.rests_until = self.now + self.settings.patience;
                self.due.insert((state.rests_until, Due::Worker(worker)));
            }
        }
        let peer = self.pool.get(worker).map(|worker| worker.peer);
        if let Some(worker) = peer {
            self.out.push_back(DispatchOutput::Revoke { lease: id, worker });
        }
        self.drop_lease(id);
    }

    /// Takes a lease away; what it was for is given to somebody else, from where it had come to.
    fn drop_lease(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.remove(&id) else { return };
        if lease.running() {
            self.pool.release(self.now, lease.worker);
        }
        if lease.known.is_some() {
            return;
        }
        let Some(task) = self.tasks.get_mut(&lease.task) else { return };
        task.leases.retain(|other| *other != id);
        if let (Some(mark), None) = (lease.mark, &task.resume) {
            let mut lineage = lease.lineage;
            lineage.push(lease.worker);
            task.resume = Some((mark, lineage));
        }
        self.ask_reveals(lease.task, None);
        self.look(lease.task);
    }

    // ---- what is believed ----

    /// Decides what an open task needs now.
    fn look(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let leases = || task.leases.iter().filter_map(|lease| self.leases.get(lease));
        if task.stage == Stage::Refereeing || leases().any(|lease| !(lease.running() && lease.hedged)) {
            return;
        }
        let stragglers = leases().next().is_some();
        let prior = self.settings.prior;
        let of = |id| self.pool.get(id).map_or((1.0, 0.0), |w| (w.record.doubt(prior), w.record.evidence()));
        let ballots: Vec<_> = task.votes.iter().map(|vote| ballot(vote, of)).collect();
        let assurance = task.what.assurance;
        match judge(&ballots, task.checked, &assurance) {
            Verdict::Dispute if self.settings.referee => self.referee(id),
            Verdict::Dispute => self.outvote(id),
            // Whoever takes long is the second vote, if it comes.
            Verdict::Vote | Verdict::Wait if stragglers => {}
            Verdict::Vote => self.another(id),
            Verdict::Believe(answer, doubt) => {
                let drawn = !matches!(task.stage, Stage::Settling(_)) && self.settings.referee;
                if drawn && self.dice.permille(assurance.referee_permille) {
                    return self.referee(id);
                }
                self.settle(id, answer, doubt);
            }
            Verdict::Wait => {
                let until = match task.stage {
                    Stage::Waiting(until) => until,
                    _ => self.now + assurance.wait,
                };
                let hopeful = !self.queue.is_empty()
                    && task.votes.iter().any(|vote| {
                        self.pool.get(vote.worker).is_some_and(|worker| worker.here() && worker.slots > 0)
                    });
                if until > self.now && hopeful {
                    self.due.insert((until, Due::Task(id)));
                    self.tasks.get_mut(&id).expect("it is open").stage = Stage::Waiting(until);
                    self.waiting.insert(id);
                } else {
                    self.another(id);
                }
            }
        }
    }

    fn settle(&mut self, id: TaskId, answer: Answer, doubt: f64) {
        let task = self.tasks.get_mut(&id).expect("it is open");
        let until = match task.stage {
            Stage::Settling(until) => until,
            _ => self.now + task.what.assurance.settle,
        };
        if until > self.now {
            task.stage = Stage::Settling(until);
            self.due.insert((until, Due::Task(id)));
        } else {
            self.believe(id, answer, doubt, false);
        }
    }

    fn another(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("it is open");
        if task.runs >= self.settings.runs_max {
            return self.end_of_votes(id);
        }
        task.checked = task.checked || !task.votes.is_empty();
        self.ask_again(id);
    }

    /// No more runs: the referee decides, or nobody.
    fn end_of_votes(&mut self, id: TaskId) {
        if self.settings.referee {
            self.referee(id);
        } else {
            let none = self.tasks.get(&id).is_some_and(|task| task.votes.is_empty());
            let why = if none { GivenUp::NoWorker } else { GivenUp::Disputed };
            self.out.push_back(DispatchOutput::GivenUp { task: id, why });
            self.close_task(id);
        }
    }

    fn referee(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.stage = Stage::Refereeing;
        task.runs = task.runs.saturating_add(1);
        if let Some(at) = task.begun_at {
            self.unbegin(at);
        }
        self.queue.remove(id);
        self.stats.refereed += 1;
        self.out.push_back(DispatchOutput::Referee { task: id });
    }

    /// What the referee came to is beyond doubt: it exposes, and it serves as a hidden check of others.
    fn refereed(&mut self, id: TaskId, answer: Option<Answer>) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.stage == Stage::Refereeing) else { return };
        if task.votes.is_empty() {
            self.precomputing = self.precomputing.saturating_sub(1);
        }
        let Some(answer) = answer else {
            let stage = &mut self.tasks.get_mut(&id).expect("it is open").stage;
            *stage = Stage::Open;
            return self.outvote(id);
        };
        let votes = task.votes.clone();
        let seen = task.owners.iter().copied().collect();
        let Submission { module, input, need, .. } = task.what;
        let need = Need { gas: answer.gas, ..need };
        self.known.push_back(Known { task: id, module, input, need, answer, seen });
        self.learn_gas(module, answer.gas);
        for vote in votes {
            if vote.answer == answer {
                self.verified(vote.worker, 1.0, None);
                self.look_again(vote.worker);
            } else if vote.lineage.is_empty() {
                self.expose(vote.worker, id);
            } else {
                // One of several made it wrong; which one is not proved, so all are strangers again.
                for worker in vote.lineage.iter().chain([&vote.worker]) {
                    if let Some(worker) = self.pool.get_mut(*worker) {
                        worker.record.doubted();
                    }
                }
            }
        }
        self.believe(id, answer, 0.0, true);
        if self.known.len() > self.settings.known_max.max(1) {
            let old = self.known.pop_front().expect("it is longer than one");
            self.out.push_back(DispatchOutput::Forget { task: old.task });
        }
    }

    /// Without a referee the larger side is asked for more until it leads by two; then the others have lost their standing,
    /// but nothing is proved.
    fn outvote(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let mut sides: BTreeMap<Answer, Vec<WorkerId>> = BTreeMap::new();
        for vote in &task.votes {
            sides.entry(vote.answer).or_default().push(vote.worker);
        }
        let mut sides: Vec<_> = sides.into_iter().collect();
        sides.sort_by_key(|(_, voters)| core::cmp::Reverse(voters.len()));
        let lead = sides.first().map_or(0, |side| side.1.len()) - sides.get(1).map_or(0, |side| side.1.len());
        if lead < 2 {
            return self.another(id);
        }
        let answer = sides[0].0;
        for worker in sides[1..].iter().flat_map(|(_, voters)| voters) {
            if let Some(worker) = self.pool.get_mut(*worker) {
                worker.record.doubted();
            }
        }
        self.believe(id, answer, self.settings.prior.powi(sides[0].1.len() as i32), false);
    }

    fn believe(&mut self, id: TaskId, answer: Answer, doubt: f64, refereed: bool) {
        let Some(task) = self.tasks.get(&id) else { return };
        let of = |vote: &Vote| {
            (vote.answer == answer).then(|| self.pool.get(vote.worker).map(|worker| worker.peer))
        };
        let voters = task.votes.iter().filter_map(of).flatten().collect();
        let runs = task.runs;
        self.stats.believed += 1;
        self.out.push_back(DispatchOutput::Believed(Believed {
            task: id,
            answer,
            voters,
            doubt,
            runs,
            refereed,
        }));
        self.close_task(id);
    }

    /// A proven lie: the liar gets nothing any more, whoever agreed with it has verified nothing by that, and what it voted on
    /// and is still open is judged without it.
    fn expose(&mut self, id: WorkerId, task: TaskId) {
        let Some(worker) = self.pool.get_mut(id) else { return };
        if worker.record.exposed() {
            return;
        }
        worker.record.lied();
        let peer = worker.peer;
        let touched: Vec<TaskId> = core::mem::take(&mut worker.open).into_iter().collect();
        let vouched = core::mem::take(&mut worker.vouched);
        self.pool.settle_idle(self.now, id);
        self.stats.exposed += 1;
        self.out.push_back(DispatchOutput::Exposed { worker: peer, task });
        for partner in vouched {
            if let Some(partner) = self.pool.get_mut(partner) {
                partner.record.unverified();
            }
        }
        let held: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.worker == id).map(|(id, _)| *id).collect();
        held.into_iter().for_each(|lease| self.drop_lease(lease));
        for touched in touched.into_iter().filter(|touched| *touched != task) {
            let Some(task) = self.tasks.get_mut(&touched) else { continue };
            task.votes.retain(|vote| vote.worker != id && !vote.lineage.contains(&id));
            if task.stage != Stage::Refereeing {
                task.stage = Stage::Open;
                if task.begun_at.is_none() {
                    self.look(touched);
                }
            }
        }
    }

    fn close_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(at) = task.begun_at {
            // The task is out of the table already: only its place is left to close.
            self.unbegin(at);
        }
        self.queue.remove(id);
        self.waiting.remove(&id);
        for vote in &task.votes {
            if let Some(worker) = self.pool.get_mut(vote.worker) {
                worker.open.remove(&id);
            }
        }
        for lease in task.leases {
            if let Some(state) = self.leases.remove(&lease) {
                if state.running() {
                    self.pool.release(self.now, state.worker);
                }
                if let Some(worker) = self.pool.get(state.worker).filter(|worker| worker.here()) {
                    self.out.push_back(DispatchOutput::Revoke { lease, worker: worker.peer });
                }
            }
        }
        if !self.known.iter().any(|known| known.task == id) {
            self.out.push_back(DispatchOutput::Forget { task: id });
        }
    }

    fn learn_gas(&mut self, module: [u8; 32], gas: u64) {
        if self.typical.len() >= TYPICAL_MAX && !self.typical.contains_key(&module) {
            self.typical.pop_first();
        }
        let typical = self.typical.entry(module).or_insert(Gas { mean: gas, high: gas });
        typical.mean = ((u128::from(typical.mean) * 7 + u128::from(gas)) / 8) as u64;
        typical.high = gas.max(typical.high - typical.high / 32);
    }

    // ---- time ----

    fn run_due(&mut self) {
        while let Some(&(at, due)) = self.due.first().filter(|(at, _)| *at <= self.now) {
            self.due.remove(&(at, due));
            match due {
                Due::Lease(lease) => self.lease_due(lease),
                Due::Task(task) => self.task_due(task),
                Due::Worker(worker) => self.pool.settle_idle(self.now, worker),
            }
        }
    }

    fn lease_due(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let (hedge_at, lost_at) =
            (lease.given + hedge_after(lease.expected), lease.given + lost_after(lease.expected));
        let silent_at = lease.heard + self.settings.silence;
        if silent_at <= self.now || lost_at <= self.now {
            return self.lose(id);
        }
        let (task, mut next) = (lease.task, silent_at.min(lost_at));
        if !lease.hedged && lease.running() {
            if hedge_at <= self.now {
                // Whoever comes first counts, and the other is the second vote.
                lease.hedged = true;
                self.stats.hedges += 1;
                self.ask_reveals(task, None);
                self.ask_again(task);
            } else {
                next = next.min(hedge_at);
            }
        }
        self.due.insert((next, Due::Lease(id)));
    }

    fn task_due(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        match task.stage {
            Stage::Waiting(until) | Stage::Settling(until) if until <= self.now => self.look(id),
            Stage::Open if task.leases.is_empty() => {
                // In a long line it is the line that takes time: as long as runs are given there is somebody.
                let since = match task.begun_at {
                    Some(_) => task.queued_since,
                    None if task.votes.is_empty() => task.queued_since.max(self.given_at),
                    None => return,
                };
                let end = since + self.settings.patience;
                if end <= self.now {
                    self.end_of_votes(id);
                } else {
                    self.due.insert((end, Due::Task(id)));
                }
            }
            _ => {}
        }
    }
}

/// What runs of a module use.
#[derive(Clone, Copy, Debug)]
struct Gas {
    mean: u64,
    /// The most of late: tasks of one module may differ widely, and a long one is no straggler.
    high: u64,
}

fn expected_gas(typical: &BTreeMap<[u8; 32], Gas>, what: &Submission) -> Gas {
    let unknown = Gas { mean: what.need.gas, high: what.need.gas };
    typical.get(&what.module).copied().unwrap_or(unknown)
}
