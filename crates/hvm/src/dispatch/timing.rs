//! What happens when nobody says anything: hedges, lost leases, ends of patience.

use super::task::Stage;
use super::{Dispatch, Due};
use crate::lease::Lease;
use crate::schedule::{hedge_after, hedge_idle_after, lost_after};
use crate::{LeaseId, TaskId};
use core::time::Duration;
use peeredge_wire::Time;

/// How often a run that is late is looked at again, in case somebody is idle by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
        let lost_at = lease.given + lost_after(lease.expected);
        let silent_at = lease.heard + self.settings.silence;
        if silent_at <= self.now || lost_at <= self.now {
            return self.lose(id);
        }
        let (task, mut next) = (lease.task, silent_at.min(lost_at));
        if !lease.hedged && lease.running() {
            if hedge_at <= self.now || (spare && idle_at <= self.now) {
                // Whoever comes first counts, and the other is the second vote.
                lease.hedged = true;
                self.stats.hedges += 1;
                self.ask_reveals(task, None);
                self.ask_again(task);
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
        let after = hedge_idle_after(lease.expected);
        let after = if lease.unknown { after.min(self.settings.unknown_hedge) } else { after };
        self.hedge_at(lease).min(lease.given + after)
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
