//! Giving runs out: to whom, of which task, and when a run is a hidden check.

use super::gas::expected_gas;
use super::io::DispatchOutput;
use super::task::{Place, Stage, Task};
use super::{Dispatch, Due, Known, happens};
use crate::lease::{Lease, Stage as LeaseStage};
use crate::schedule::Need;
use crate::{LeaseId, Mark, Owner, TaskId, WorkerId};
use std::collections::BTreeMap;

/// Tasks that nobody idle could take before the idle are left alone until something changes.
const FAILED_MAX: usize = 16;
/// One turn of so many is of what nobody could take before.
const ASIDE_TURN: usize = 4;

const PRECOMPUTE_FROM: usize = 64;
/// How often a pair of candidates is drawn for a run before it is put aside.
const DRAWS: usize = 8;
/// The same while strangers rarely return what they take: as often as one known worker among so many would be found by.
const DRAWS_AMONG_STRANGERS: usize = 64;
/// Runs of a task that are given at once beside others, in all: whoever is idle is not there for one task alone.
const COPIES_MAX: u16 = 64;
/// Answers for hidden checks that the referee makes sure of, while so many tasks wait.
const KNOWN_MIN: usize = 8;

impl Dispatch {
    pub(super) fn match_up(&mut self) {
        self.precompute();
        let mut failed = Vec::new();
        while self.pool.is_any_idle() && failed.len() < FAILED_MAX {
            if happens(&mut self.dice, self.settings.spots_permille) && self.give_spot() {
                continue;
            }
            match self.next(failed.len()) {
                Some((task, is_fresh)) => match self.draw(task) {
                    Some(worker) => {
                        self.give(task, worker);
                        self.give_more(task);
                    }
                    None => failed.push((task, is_fresh)),
                },
                // Nothing else is to do: waiting would save nothing.
                None if self.hurry() => {}
                None => break,
            }
        }
        for (task, is_fresh) in failed {
            self.put_aside(task, is_fresh);
        }
    }

    /// The task that a run is given of next, and whether it comes out of its line.
    fn next(&mut self, failed: usize) -> Option<(TaskId, bool)> {
        // What nobody could take is tried now and then: however much of it there is, the others have their turns.
        if !self.aside.is_empty() && self.dice.below(ASIDE_TURN) == 0 {
            return self.take_aside();
        }
        // Some of those begun stay, so that a pair is drawn and does not just happen.
        if !self.begun.is_empty() && (self.queue.is_empty() || self.begun.len() > self.settings.mixing) {
            let id = self.begun[self.dice.below(self.begun.len())];
            self.take_out(id);
            return Some((id, false));
        }
        let fresh = self.queue.pop().map(|task| (task, true));
        fresh.or_else(|| if failed < FAILED_MAX / 2 { self.take_aside() } else { None })
    }

    fn take_aside(&mut self) -> Option<(TaskId, bool)> {
        let id = self.aside.draw(&mut self.dice)?;
        self.take_out(id);
        Some((id, false))
    }

    fn take_out(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get(&id)
            && let Some(place) = task.begun_at
        {
            self.unbegin(id, task.what.owner, place);
        }
    }

    /// Nobody idle could take it. Out of its line its own time begins.
    fn put_aside(&mut self, id: TaskId, is_fresh: bool) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        (task.stage, task.more) = (Stage::Open, 0);
        task.begun_at = Some(Place::Aside(self.aside.add(task.what.owner, id)));
        if is_fresh {
            task.queued_since = self.now;
            self.due.insert((self.now + self.settings.patience, Due::Task(id)));
        }
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
        let short =
            self.known.len() + self.precomputing.len() < KNOWN_MIN && self.queue.len() >= PRECOMPUTE_FROM;
        if wanted
            && short
            && let Some(task) = self.queue.pop()
        {
            self.precomputing.insert(task);
            self.referee(task);
        }
    }

    /// The better of two idle workers drawn at random, or none that may run this task.
    fn draw(&mut self, task: TaskId) -> Option<WorkerId> {
        let task = self.tasks.get(&task)?;
        let able = self.pool.owners_able(task.what.need.memory_bytes, task.what.site);
        let need = Need { gas: expected_gas(&self.typical, &task.what).mean, ..task.what.need };
        let mut owners = task.owners.clone();
        let leased = task.leases.iter().filter_map(|lease| self.leases.get(lease)).map(|lease| &lease.worker);
        let resumed = task.resume.iter().flat_map(|(_, lineage)| lineage);
        for worker in leased {
            owners.extend(self.pool.get(*worker).map(|worker| worker.owner));
        }
        let resumed: Vec<WorkerId> = resumed.copied().collect();
        let (mut best, mut found): (Option<(f64, WorkerId)>, _) = (None, 0);
        // Where strangers rarely return what they take, others are looked for among them.
        let returning = self.strangers.rate();
        let mut is_known = !self.strangers.are_rare();
        for _ in 0..if is_known { DRAWS } else { DRAWS_AMONG_STRANGERS } {
            if found >= 2 && is_known {
                break;
            }
            let id = self.pool.draw_idle(&mut self.dice)?;
            let worker = self.pool.get(id).expect("the idle are in the pool");
            if owners.contains(&worker.owner)
                || !worker.takes_of(task.what.site)
                || task.has_failed(worker.owner) && task.failed.len() < able
                || resumed.contains(&id) && self.pool.here() > 1
            {
                continue;
            }
            let is_stranger = worker.record.is_stranger();
            let Some(mut candidate) = self.pool.candidate(self.now, id).filter(|c| c.fits(&need)) else {
                continue;
            };
            if is_stranger {
                candidate.reliability *= returning;
            }
            is_known |= !is_stranger;
            let score = candidate.score(&need);
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, id));
            }
            found += 1;
        }
        best.map(|(_, id)| id)
    }

    fn give(&mut self, id: TaskId, worker: WorkerId) {
        let rate = self.pool.rate(worker);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        self.next_lease += 1;
        let lease = LeaseId(self.next_lease);
        let gas = expected_gas(&self.typical, &task.what).high;
        let unknown = !self.typical.contains_key(&task.what.module);
        let drawn = self.pool.is_open_to_many(task.what.need.memory_bytes, task.what.site);
        let (mark, lineage) = task.resume.take().map_or((None, Vec::new()), |(mark, by)| (Some(mark), by));
        let expected = rate.time_for(gas);
        let copy = !task.leases.is_empty() && self.strangers.are_rare();
        task.leases.push(lease);
        self.stats.resumed += u64::from(mark.is_some());
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
                copy,
                missing: false,
                unknown,
                stranger: None,
                submitter: task.what.owner,
                drawn,
                stage: LeaseStage::Running,
                lineage,
                from_gas: mark.map_or(0, |mark| mark.gas),
                mark,
                known: None,
                module: task.what.module,
                input: task.what.input,
            },
        );
        self.lease_out(lease, id, worker, mark);
    }

    /// Gives a run whose answer is known to somebody who cannot tell it from another.
    fn give_spot(&mut self) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let at = self.dice.below(self.known.len());
        let Some(worker) = self.pool.draw_idle(&mut self.dice) else { return false };
        let Some(candidate) = self.pool.candidate(self.now, worker) else { return false };
        let Some(owner) = self.pool.get(worker).map(|worker| worker.owner) else { return false };
        let site = self.known[at].site;
        if !self.pool.get(worker).is_some_and(|worker| worker.takes_of(site)) {
            return false;
        }
        let known = &mut self.known[at];
        if !candidate.fits(&known.need) || !known.seen.insert(owner) {
            return false;
        }
        let Known { task, module, input, need, answer, owner: submitter, .. } = known.clone();
        let drawn = self.pool.is_open_to_many(need.memory_bytes, site);
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
                missing: false,
                unknown: false,
                copy: false,
                stranger: None,
                submitter,
                drawn,
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
        self.lease_out(lease, task, worker, None);
        true
    }

    fn lease_out(&mut self, lease: LeaseId, task: TaskId, worker: WorkerId, resume: Option<Mark>) {
        self.stats.leases += 1;
        self.given_at = self.now;
        let stranger = self.pool.take(self.now, worker);
        if let Some(state) = self.leases.get_mut(&lease) {
            state.stranger = stranger;
        }
        if let Some(state) = self.leases.get(&lease) {
            let look = self.hedge_idle_at(state).min(self.now + self.settings.silence);
            self.due.insert((look, Due::Lease(lease)));
        }
        let worker = self.pool.get(worker).expect("it was drawn from the pool").peer;
        self.out.push_back(DispatchOutput::Lease { lease, worker, task, resume });
    }

    /// Puts a task among those that wait for another run.
    fn begin(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.begun_at.is_none() {
            task.begun_at = Some(Place::Mixed(self.begun.len()));
            task.stage = Stage::Open;
            self.begun.push(id);
        }
    }

    /// From now on the task waits for another run, and not for ever.
    pub(super) fn ask_again(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.begun_at.is_none() {
            task.queued_since = self.now;
            if let Some(task) = self.tasks.get(&id) {
                self.due.insert((self.now + self.patience_with(task), Due::Task(id)));
            }
        }
        self.begin(id);
    }

    /// So many others are asked at once.
    pub(super) fn ask_for(&mut self, id: TaskId, copies: u16) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.more = task.more.saturating_add(copies - u16::from(task.begun_at.is_none()));
        self.ask_again(id);
    }

    fn give_more(&mut self, id: TaskId) {
        let has_more = |task: &&mut Task| task.more > 0 && task.copies < COPIES_MAX;
        let Some(task) = self.tasks.get_mut(&id).filter(has_more) else { return };
        task.more -= 1;
        task.copies = task.copies.saturating_add(1);
        self.ask_again(id);
    }

    pub(super) fn unbegin(&mut self, id: TaskId, owner: Owner, place: Place) {
        let moved = match place {
            Place::Mixed(at) => {
                self.begun.swap_remove(at);
                self.begun.get(at).copied()
            }
            Place::Aside(at) => self.aside.remove(owner, at),
        };
        if let Some(moved) = moved.and_then(|moved| self.tasks.get_mut(&moved)) {
            moved.begun_at = Some(place);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.begun_at = None;
        }
    }
}
