//! What workers say of their runs, and what it says of them.

use super::io::{DispatchOutput, GivenUp};
use super::task::{Failed, Stage, Task, Vote};
use super::{Dispatch, Due, happens};
use crate::evidence::Work;
use crate::lease::{Lease, Stage as LeaseStage};
use crate::{Claim, LeaseId, Mark, Owner, Pool, ReceiptError, TaskId, WorkerId};
use core::time::Duration;
use peeredge_wire::PeerId;

/// Evidence must have grown by this factor before a worker's open results are looked through again.
const LOOK_AGAIN: f64 = 1.1;
/// Leases lost with nothing returned in between after which a worker rests.
const REST_AFTER_LOST: f64 = 0.4;
/// What it counts that a worker cannot run a task; four times ends it. A stranger's word that cost nobody anything counts 1.
pub(super) const TROUBLE: u16 = 16;
const TROUBLE_AFTER: Duration = Duration::from_secs(5);
/// Verified results from which a worker's own gas counts before somebody agrees to it.
const MEASURED_FROM: f64 = 3.0;

impl Dispatch {
    pub(super) fn beat(&mut self, lease: LeaseId) {
        if let Some(lease) = self.leases.get_mut(&lease) {
            lease.heard = self.now;
        }
    }

    /// Checkpoints may come to be kept in another order than they were taken in.
    pub(super) fn kept(&mut self, lease: LeaseId, mark: Mark) {
        let Some(lease) = self.leases.get_mut(&lease) else { return };
        if lease.mark.is_none_or(|newest| newest.gas < mark.gas) {
            lease.mark = Some(mark);
            self.stats.kept += 1;
        }
    }

    pub(super) fn commit(&mut self, id: LeaseId, commitment: [u8; 32]) {
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.running()) else { return };
        lease.heard = self.now;
        lease.stage = LeaseStage::Committed { commitment, took: self.now.since(lease.given), asked: None };
        let (task, worker) = (lease.task, lease.worker);
        self.pool.committed(self.now, worker);
        self.ask_reveals(task, Some(id));
    }

    /// Nobody shows anything while somebody else still runs the task: what is not shown cannot be copied.
    pub(super) fn ask_reveals(&mut self, task: TaskId, spot: Option<LeaseId>) {
        let mut ids = self.tasks.get(&task).map_or(Vec::new(), |task| task.leases.clone());
        let awaited = |id| self.leases.get(id).is_some_and(|lease| lease.running() && lease.is_awaited());
        if ids.iter().any(awaited) {
            ids.clear();
        }
        ids.extend(spot.filter(|id| self.leases.get(id).is_some_and(|lease| lease.known.is_some())));
        for id in ids {
            let Some(lease) = self.leases.get_mut(&id) else { continue };
            if let LeaseStage::Committed { asked: asked @ None, .. } = &mut lease.stage {
                *asked = Some(self.now);
                self.due.insert((self.now + self.settings.reveal_within, Due::Lease(id)));
                let worker = self.pool.get(lease.worker).expect("a lease's worker is in the pool").peer;
                self.out.push_back(DispatchOutput::AskReveal { lease: id, worker });
            }
        }
    }

    pub(super) fn reveal(
        &mut self,
        id: LeaseId,
        claim: &Claim,
        nonce: &[u8; 32],
    ) -> Result<(), ReceiptError> {
        // A lease that is over is nothing to refuse: its answer only came late.
        let Some(lease) = self.leases.get(&id) else { return Ok(()) };
        let LeaseStage::Committed { commitment, took, asked: Some(_) } = lease.stage else {
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
        self.let_go(&lease);
        if lease.stranger.is_some() {
            self.strangers.returned(lease.missing);
        }
        if let Some(worker) = self.pool.get_mut(lease.worker) {
            worker.record.returned();
            worker.record.regain();
        }
        // It may hold more now.
        self.pool.returned(self.now, lease.worker);
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
                task.checked = happens(&mut self.dice, share);
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
            drawn: lease.drawn,
        });
        task.straggler_until = None;
        self.agreed(lease.task);
        self.look(lease.task);
        Ok(())
    }

    /// The newest vote may bear out the others, and they it.
    fn agreed(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let Some((newest, earlier)) = task.votes.split_last() else { return };
        let (newest, module, answer) = (newest.clone(), task.what.module, newest.answer);
        let submitter = task.what.owner;
        let partners: Vec<Vote> = earlier.iter().filter(|vote| vote.answer == answer).cloned().collect();
        // A stranger's gas is its word until somebody agrees.
        let known =
            self.pool.get(newest.worker).is_some_and(|worker| worker.record.evidence() >= MEASURED_FROM);
        if newest.drawn && (known || !partners.is_empty()) {
            self.pool.measured(newest.worker, newest.gas, newest.took);
        }
        let Some(first) = partners.first() else { return };
        if first.drawn
            && partners.len() == 1
            && !self.pool.get(first.worker).is_some_and(|w| w.record.evidence() >= MEASURED_FROM)
        {
            self.pool.measured(first.worker, first.gas, first.took);
        }
        let (first, first_work) = (first.worker, Dispatch::work(submitter, first));
        let newest_work = Dispatch::work(submitter, &newest);
        self.learn_gas(module, answer.gas);
        let prior = self.settings.prior;
        let doubt = |pool: &Pool, id| pool.get(id).map_or(1.0, |worker| worker.record.doubt(prior));
        let (of_first, of_newest) = (doubt(&self.pool, first), doubt(&self.pool, newest.worker));
        self.verified(newest.worker, &newest_work, 1.0 - of_first, Some(first));
        if partners.len() == 1 {
            self.verified(first, &first_work, 1.0 - of_newest, Some(newest.worker));
        }
        for worker in [first, newest.worker] {
            self.look_again(worker);
        }
    }

    /// What a vote on a task of this submitter's owner cost its worker.
    pub(super) fn work(submitter: Owner, vote: &Vote) -> Work {
        Work { submitter, drawn: vote.drawn, gas: vote.gas, took: vote.took }
    }

    pub(super) fn verified(&mut self, id: WorkerId, work: &Work, weight: f64, by: Option<WorkerId>) {
        let Some(worker) = self.pool.get_mut(id) else { return };
        let counts = self.evidence.count(self.now, worker.owner, work, weight);
        worker.record.verified(counts);
        if let Some(by) = by.filter(|_| counts > 0.0) {
            worker.vouch(by);
        }
    }

    /// A worker became more credible: what waits for that may be believed now.
    pub(super) fn look_again(&mut self, id: WorkerId) {
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
            let work = Work { submitter: lease.submitter, drawn: lease.drawn, gas: known.gas, took };
            if lease.drawn {
                self.pool.measured(lease.worker, known.gas, took);
            }
            self.verified(lease.worker, &work, 1.0, None);
            self.look_again(lease.worker);
        } else {
            self.expose(lease.worker, lease.task);
        }
    }

    pub(super) fn trouble(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let (task, known, took) = (lease.task, lease.known.is_some(), self.now.since(lease.given));
        let gas = self.gas_so_far(lease);
        let Some(owner) = self.pool.get(lease.worker).map(|worker| worker.owner) else { return };
        let is_word_of_stranger = lease.stranger.is_some() && took < TROUBLE_AFTER;
        if let Some(task) = self.tasks.get_mut(&task).filter(|_| !known) {
            let counts = if is_word_of_stranger && !task.has_failed(owner) { 1 } else { TROUBLE };
            task.trouble = task.trouble.saturating_add(counts);
            task.spent = task.spent.saturating_add(gas);
        }
        self.fail(id);
        let over =
            |task: &&Task| task.trouble > 3 * TROUBLE && task.votes.is_empty() && task.leases.is_empty();
        if !known && self.tasks.get(&task).filter(over).is_some() {
            self.out.push_back(DispatchOutput::GivenUp { task, why: GivenUp::Trouble });
            self.close_task(task);
        }
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
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
    pub(super) fn lose(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        if lease.stranger.is_some() && !core::mem::replace(&mut lease.missing, true) {
            self.strangers.missing();
        }
        let (worker, failed) = (lease.worker, self.failed(id));
        self.take_back(id);
        if let Some(failed) = failed {
            self.blame(worker, failed.gas, failed.took);
        }
    }

    /// A lease that came to nothing while its worker was at it: it may have been given what nobody can run, or fetch.
    pub(super) fn fail(&mut self, id: LeaseId) {
        let Some(failed) = self.failed(id) else { return };
        let lease = self.leases.get(&id).filter(|lease| lease.known.is_none());
        if let Some(task) = lease.and_then(|lease| self.tasks.get_mut(&lease.task)) {
            task.failed.push(failed);
        }
        self.take_back(id);
    }

    fn failed(&self, id: LeaseId) -> Option<Failed> {
        let lease = self.leases.get(&id)?;
        let (worker, took) = (lease.worker, self.now.since(lease.given));
        let gas = lease.rate.0.saturating_mul(lease.expected.as_secs());
        Some(Failed { worker, owner: self.pool.get(worker)?.owner, gas, took })
    }

    /// It was a worker's own fault that a run came to nothing.
    pub(super) fn blame(&mut self, id: WorkerId, gas: u64, took: Duration) {
        let Some(worker) = self.pool.get_mut(id) else { return };
        worker.record.lost();
        worker.meter.at_most(gas, took);
        if worker.record.reliability() < REST_AFTER_LOST {
            worker.rests_until = self.now + self.settings.patience;
            self.due.insert((worker.rests_until, Due::Worker(id)));
        }
        self.pool.settle_idle(self.now, id);
    }

    fn take_back(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        // It may be the checkpoint that could not be had: not from there again.
        if lease.stands_where_it_began() {
            lease.mark = None;
        }
        self.stats.lost += 1;
        if let Some(worker) = self.pool.get(lease.worker).map(|worker| worker.peer) {
            self.out.push_back(DispatchOutput::Revoke { lease: id, worker });
        }
        self.drop_lease(id);
    }

    /// Takes a lease away; what it was for is given to somebody else, from where it had come to.
    pub(super) fn drop_lease(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.remove(&id) else { return };
        self.let_go(&lease);
        if lease.known.is_some() {
            return;
        }
        let Some(task) = self.tasks.get_mut(&lease.task) else { return };
        task.leases.retain(|other| *other != id);
        if let (Some(mark), None) = (lease.mark, &task.resume) {
            let own = (!lease.stands_where_it_began()).then_some(lease.worker);
            let lineage = lease.lineage.into_iter().chain(own).collect();
            task.resume = Some((mark, lineage));
        }
        self.ask_reveals(lease.task, None);
        self.look(lease.task);
    }
}
