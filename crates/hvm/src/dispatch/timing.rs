//! What happens when nobody says anything: hedges, lost leases, ends of patience.

use super::task::{Stage, Task};
use super::{Dispatch, Due};
use crate::lease::{Lease, Stage as LeaseStage};
use crate::schedule::{hedge_after, hedge_idle_after, lost_after};
use crate::{LeaseId, TaskId};
use core::time::Duration;
use peeredge_wire::Time;

/// How often a run that is late is looked at again, in case somebody is idle by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The share of its time that a stranger has at least, however few return what they take.
const PATIENCE_MIN: f64 = 0.25;

impl Dispatch {
    pub(super) fn run_due(&mut self) {
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
        let Some(lease) = self.leases.get(&id) else { return };
        let (idle_at, hedge_at) = (self.hedge_idle_at(lease), self.hedge_at(lease));
        let spare = self.pool.is_any_idle() && self.queue.is_empty() && self.begun.is_empty();
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let over_at = lease.given + lost_after(lease.expected);
        let lost_at = match lease.stage {
            LeaseStage::Running => lease.heard + self.settings.silence,
            LeaseStage::Committed { asked: Some(since), .. } => since + self.settings.reveal_within,
            // It waits for others, who have their own times.
            LeaseStage::Committed { asked: None, .. } => return,
        };
        if lost_at <= self.now {
            return self.lose(id);
        }
        if over_at <= self.now && lease.running() {
            return self.fail(id);
        }
        let (task, mut next) = (lease.task, if lease.running() { lost_at.min(over_at) } else { lost_at });
        if !lease.hedged && lease.running() {
            if hedge_at <= self.now || (spare && idle_at <= self.now) {
                // Whoever comes first counts, and the other is the second vote.
                lease.hedged = true;
                self.stats.hedges += 1;
                let mut copies = 1;
                if lease.stranger.is_some() {
                    lease.missing = true;
                    self.strangers.missing();
                    copies = self.strangers.copies();
                }
                self.ask_reveals(task, None);
                self.ask_for(task, copies);
            } else {
                next = next.min(hedge_at).min(idle_at.max(self.now + LOOK_AGAIN));
            }
        }
        self.due.insert((next, Due::Lease(id)));
    }

    /// When somebody else is asked, too.
    fn hedge_at(&self, lease: &Lease) -> Time {
        let after = hedge_after(lease.expected);
        let stranger = lease.unknown && self.pool.get(lease.worker).is_some_and(|w| w.record.is_stranger());
        lease.given + if stranger { after.min(self.settings.stranger_hedge) } else { after }
    }

    /// The same while somebody is idle anyway.
    pub(super) fn hedge_idle_at(&self, lease: &Lease) -> Time {
        // Where strangers rarely return what they take, the next one is not waited for as long.
        let patience = if lease.stranger.is_some() { self.strangers.rate().max(PATIENCE_MIN) } else { 1.0 };
        let after = hedge_idle_after(lease.expected, patience);
        let unknown = self.settings.unknown_hedge.mul_f64(patience);
        let after = if lease.unknown { after.min(unknown) } else { after };
        self.hedge_at(lease).min(lease.given + after)
    }

    /// How long a task waits for another vote.
    pub(super) fn patience_with(&self, task: &Task) -> Duration {
        let differ = task.votes.windows(2).any(|two| two[0].answer != two[1].answer);
        let is_decided_here = differ && self.settings.referee && !task.unrefereed;
        let patience = self.settings.patience;
        if is_decided_here { patience.min(self.settings.dispute_patience) } else { patience }
    }

    fn task_due(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        match task.stage {
            Stage::Waiting(until) | Stage::Settling(until) if until <= self.now => self.look(id),
            Stage::Open if task.straggler_until.is_some_and(|until| until <= self.now) => self.look(id),
            Stage::Open if task.leases.is_empty() => {
                // In a long line it is the line that takes time: as long as runs are given there is somebody.
                let since = match task.begun_at {
                    Some(_) => task.queued_since,
                    None if task.votes.is_empty() => task.queued_since.max(self.given_at),
                    None => return,
                };
                let end = since + self.patience_with(task);
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
