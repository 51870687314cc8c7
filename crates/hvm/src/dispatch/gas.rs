//! What runs of a module use.

use super::Dispatch;
use super::io::Submission;
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
    pub(super) fn learn_gas(&mut self, module: [u8; 32], gas: u64) {
        if self.typical.len() >= TYPICAL_MAX && !self.typical.contains_key(&module) {
            self.typical.pop_first();
        }
        let typical = self.typical.entry(module).or_insert(Gas { mean: gas, high: gas });
        typical.mean = ((u128::from(typical.mean) * 7 + u128::from(gas)) / 8) as u64;
        typical.high = gas.max(typical.high - typical.high / 32);
    }
}
