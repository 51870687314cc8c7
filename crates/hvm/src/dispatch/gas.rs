//! What runs of a module use.

use super::Dispatch;
use super::io::Submission;
use super::task::Task;
use crate::lease::{Lease, Stage as LeaseStage};
use std::collections::BTreeMap;

/// Modules whose typical gas is remembered.
const TYPICAL_MAX: usize = 1024;
/// What runs of a module use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gas {
    pub(super) mean: u64,
    /// The most of late: tasks of one module may differ widely, and a long one is no straggler.
    pub(super) high: u64,
}

pub(super) fn expected_gas(typical: &BTreeMap<[u8; 32], Gas>, what: &Submission) -> Gas {
    let unknown = Gas { mean: what.need.gas, high: what.need.gas };
    typical.get(&what.module).copied().unwrap_or(unknown)
}

impl Dispatch {
    /// What a run has used by now, by its worker's rate.
    pub(super) fn gas_so_far(&self, lease: &Lease) -> u64 {
        let took = match lease.stage {
            LeaseStage::Committed { took, .. } => took,
            LeaseStage::Running => self.now.since(lease.given),
        };
        let limit = self.tasks.get(&lease.task).map_or(0, |task| task.what.need.gas);
        let gas = u128::from(lease.rate.0) * took.as_millis() / 1000;
        u64::try_from(gas).unwrap_or(u64::MAX).min(limit)
    }

    /// What all runs of a task used: what was answered, what is under way, and what came to nothing by its own fault. No claim counts
    /// more than the limit.
    pub(super) fn spent(&self, task: &Task) -> u64 {
        let answered = task.votes.iter().map(|vote| vote.gas.min(task.what.need.gas));
        let running =
            task.leases.iter().filter_map(|id| self.leases.get(id)).map(|lease| self.gas_so_far(lease));
        answered.chain(running).fold(task.spent, u64::saturating_add)
    }

    pub(super) fn learn_gas(&mut self, module: [u8; 32], gas: u64) {
        if self.typical.len() >= TYPICAL_MAX && !self.typical.contains_key(&module) {
            self.typical.pop_first();
        }
        let typical = self.typical.entry(module).or_insert(Gas { mean: gas, high: gas });
        typical.mean = ((u128::from(typical.mean) * 7 + u128::from(gas)) / 8) as u64;
        typical.high = gas.max(typical.high - typical.high / 32);
    }
}
