//! What is believed: votes are judged, the referee decides, a proven lie is followed to all it touched.

use super::io::{Believed, DispatchOutput, GivenUp, Submission};
use super::task::{Stage, Vote, ballot};
use super::{Dispatch, Due, Known, happens};
use crate::audit::{Verdict, judge};
use crate::lease::Lease;
use crate::schedule::Need;
use crate::{Answer, LeaseId, TaskId, WorkerId};
use std::collections::BTreeMap;

impl Dispatch {
    /// Decides what an open task needs now.
    pub(super) fn look(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let leases = || task.leases.iter().filter_map(|lease| self.leases.get(lease));
        if task.stage == Stage::Refereeing || leases().any(Lease::is_awaited) {
            return;
        }
        let stragglers = leases().next().is_some();
        let prior = self.settings.prior;
        let of = |id| self.pool.get(id).map_or((1.0, 0.0), |w| (w.record.doubt(prior), w.record.evidence()));
        let ballots: Vec<_> = task.votes.iter().map(|vote| ballot(vote, of)).collect();
        let assurance = task.what.assurance;
        match judge(&ballots, task.checked, &assurance) {
            Verdict::Dispute if self.settings.referee && !task.unrefereed => self.referee(id),
            Verdict::Dispute => self.outvote(id),
            // Whoever takes long is the second vote, if it comes.
            Verdict::Vote | Verdict::Wait if stragglers => self.wait_for_straggler(id),
            Verdict::Vote => self.another(id),
            Verdict::Believe(answer, doubt) => {
                let is_settling = matches!(task.stage, Stage::Settling(_));
                let drawn = !is_settling && self.settings.referee && !task.unrefereed;
                if drawn && happens(&mut self.dice, assurance.referee_permille) {
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

    /// Others have answered: the slowest voter has a while longer, then somebody else votes in its place.
    fn wait_for_straggler(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match task.straggler_until {
            Some(until) if until <= self.now => {
                task.straggler_until = None;
                self.another(id);
            }
            Some(_) => {}
            None => {
                let took = task.votes.iter().map(|vote| vote.took).max().unwrap_or_default();
                let until = self.now + self.settings.straggler_grace + took;
                task.straggler_until = Some(until);
                self.due.insert((until, Due::Task(id)));
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

    pub(super) fn another(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("it is open");
        if task.runs - task.copies.min(task.runs) >= self.settings.runs_max {
            return self.end_of_votes(id);
        }
        task.checked = task.checked || !task.votes.is_empty();
        self.ask_again(id);
    }

    /// No more runs: the referee decides, or nobody.
    pub(super) fn end_of_votes(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        if self.settings.referee && !task.unrefereed {
            self.referee(id);
        } else {
            let none = task.votes.is_empty();
            let why = if none { GivenUp::NoWorker } else { GivenUp::Disputed };
            self.out.push_back(DispatchOutput::GivenUp { task: id, why });
            self.close_task(id);
        }
    }

    pub(super) fn referee(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.stage = Stage::Refereeing;
        task.runs = task.runs.saturating_add(1);
        if let Some(place) = task.begun_at {
            let owner = task.what.owner;
            self.unbegin(id, owner, place);
        }
        self.queue.remove(id);
        self.stats.refereed += 1;
        self.out.push_back(DispatchOutput::Referee { task: id });
    }

    /// What the referee came to is beyond doubt: it exposes, and it serves as a hidden check of others.
    pub(super) fn refereed(&mut self, id: TaskId, answer: Option<Answer>) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.stage == Stage::Refereeing) else {
            return;
        };
        self.precomputing.remove(&id);
        let Some(answer) = answer else {
            // It is not asked again: what it cannot run now it could not run then.
            let task = self.tasks.get_mut(&id).expect("it is open");
            (task.stage, task.unrefereed) = (Stage::Open, true);
            return self.look(id);
        };
        let votes = task.votes.clone();
        task.spent = task.spent.saturating_add(answer.gas);
        // Whoever still runs it knows it as well.
        let leased = task.leases.iter().filter_map(|lease| self.leases.get(lease));
        let running = leased.filter_map(|lease| self.pool.get(lease.worker)).map(|worker| worker.owner);
        let seen = task.owners.iter().copied().chain(running).collect();
        let Submission { module, input, need, submitter, owner, site, .. } = task.what;
        let need = Need { gas: answer.gas, ..need };
        self.known.push_back(Known { task: id, module, input, need, answer, seen, site, submitter, owner });
        self.learn_gas(module, answer.gas);
        for vote in votes {
            if vote.answer == answer {
                self.verified(vote.worker, &Dispatch::work(owner, &vote), 1.0, None);
                self.look_again(vote.worker);
            } else if vote.lineage.is_empty() {
                self.expose(vote.worker, id);
            } else {
                self.suspect(vote.lineage.iter().copied().chain([vote.worker]).collect());
            }
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            // The referee is done: there is nothing to stop.
            task.stage = Stage::Open;
        }
        self.believe(id, answer, 0.0, true);
        if self.known.len() > self.settings.known_max.max(1) {
            let old = self.known.pop_front().expect("it is longer than one");
            self.out.push_back(DispatchOutput::Forget { task: old.task });
        }
    }

    /// One of these made a result wrong, and which one is not proved. Each loses by how likely it was it: a stranger that hands on a wrong
    /// checkpoint costs a known worker that goes on from it next to nothing.
    fn suspect(&mut self, all: Vec<WorkerId>) {
        let prior = self.settings.prior;
        let doubt = |id: &WorkerId| self.pool.get(*id).map_or(prior, |worker| worker.record.doubt(prior));
        let doubts: Vec<f64> = all.iter().map(doubt).collect();
        let sum: f64 = doubts.iter().sum();
        for (id, doubt) in all.into_iter().zip(doubts) {
            if let Some(worker) = self.pool.get_mut(id) {
                worker.record.suspected(doubt / sum);
            }
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
        let voters: Vec<_> = task.votes.iter().filter_map(of).flatten().collect();
        let runs = task.runs;
        // Others could run it. One alone may be a friend of the submitter's, who gave nobody else its bytes.
        if refereed || voters.len() > 1 {
            for failed in task.failed.clone() {
                self.blame(failed.worker, failed.gas, failed.took);
            }
        }
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
    pub(super) fn expose(&mut self, id: WorkerId, task: TaskId) {
        let Some(worker) = self.pool.get_mut(id) else { return };
        if worker.record.exposed() {
            return;
        }
        worker.record.lied();
        let (peer, owner) = (worker.peer, worker.owner);
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
        for lease in held {
            // What it was about to answer goes to nobody of its owner.
            let of = self.leases.get(&lease).map(|lease| lease.task);
            if let Some(task) = of.and_then(|task| self.tasks.get_mut(&task)) {
                task.owners.push(owner);
            }
            self.drop_lease(lease);
        }
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

    pub(super) fn close_task(&mut self, id: TaskId) {
        let Some(gas) = self.tasks.get(&id).map(|task| self.spent(task)) else { return };
        let Some(task) = self.tasks.remove(&id) else { return };
        self.out.push_back(DispatchOutput::Spent { task: id, gas });
        if let Some(place) = task.begun_at {
            // The task is out of the table already: only its place is left to close.
            self.unbegin(id, task.what.owner, place);
        }
        self.queue.remove(id);
        self.waiting.remove(&id);
        self.precomputing.remove(&id);
        if task.stage == Stage::Refereeing {
            self.out.push_back(DispatchOutput::RefereeStop { task: id });
        }
        for vote in &task.votes {
            if let Some(worker) = self.pool.get_mut(vote.worker) {
                worker.open.remove(&id);
            }
        }
        for lease in task.leases {
            if let Some(state) = self.leases.remove(&lease) {
                self.let_go(&state);
                if let Some(worker) = self.pool.get(state.worker).filter(|worker| worker.here()) {
                    self.out.push_back(DispatchOutput::Revoke { lease, worker: worker.peer });
                }
            }
        }
        if !self.known.iter().any(|known| known.task == id) {
            self.out.push_back(DispatchOutput::Forget { task: id });
        }
    }
}
