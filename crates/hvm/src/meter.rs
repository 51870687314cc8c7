//! How fast a device computes, from work that was verified.

use crate::GasPerS;
use core::time::Duration;

/// The weight of the newest observation, in sixteenths: a change of rate is seen after about four tasks.
const NEWEST_OF_16: u64 = 4;
/// A recent rate below this share of the best, in thousandths, is a device that backs off: hot, throttled or busy.
const BACKING_OFF_PERMILLE: u64 = 700;
/// The best is forgotten by this share of the distance at each observation, in thousandths, so that one lucky task does not
/// make a device look throttled for ever.
const FORGET_PERMILLE: u64 = 20;

/// Measures one worker's gas a second over whole leases: gas that was agreed on, over time on the relay's clock. A worker
/// states neither, so a false claim of capacity has nowhere to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    recent: u64,
    best: u64,
    observed: u32,
}

impl Meter {
    /// Takes in one verified result.
    pub fn observe(&mut self, gas: u64, elapsed: Duration) {
        let rate = GasPerS::over(gas, elapsed).0;
        if rate == 0 {
            return;
        }
        let mix = |old: u64, new: u64, of_16: u64| {
            ((u128::from(old) * u128::from(16 - of_16) + u128::from(new) * u128::from(of_16)) / 16) as u64
        };
        self.recent = if self.observed == 0 { rate } else { mix(self.recent, rate, NEWEST_OF_16) };
        let sunk = self.best
            - (u128::from(self.best.saturating_sub(self.recent)) * u128::from(FORGET_PERMILLE) / 1000) as u64;
        self.best = sunk.max(self.recent);
        self.observed = self.observed.saturating_add(1);
    }

    /// A lease that was not answered after so long: the rate is no better than this.
    pub fn at_most(&mut self, gas: u64, elapsed: Duration) {
        self.recent = self.recent.min(GasPerS::over(gas, elapsed).0);
    }

    /// The rate to reckon with; none before anything was verified.
    pub fn rate(&self) -> Option<GasPerS> {
        (self.observed > 0).then_some(GasPerS(self.recent))
    }

    /// Whether the device computes clearly slower than it did: it is hot, throttled or busy with something else.
    pub fn backing_off(&self) -> bool {
        u128::from(self.recent) * 1000 < u128::from(self.best) * u128::from(BACKING_OFF_PERMILLE)
    }

    /// Verified results so far.
    pub fn observed(&self) -> u32 {
        self.observed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: u64 = 1_000_000_000;

    #[test]
    fn a_change_of_rate_is_followed_within_a_few_tasks() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(), None);
        (0..20).for_each(|_| meter.observe(TASK, Duration::from_secs(1)));
        assert_eq!(meter.rate(), Some(GasPerS(TASK)));
        (0..8).for_each(|_| meter.observe(TASK, Duration::from_secs(2)));
        assert!(meter.rate() < Some(GasPerS(TASK * 6 / 10)), "{meter:?}");
    }

    #[test]
    fn a_device_that_gets_hot_is_seen_to_back_off_and_to_recover() {
        let mut meter = Meter::default();
        (0..20).for_each(|_| meter.observe(TASK, Duration::from_secs(1)));
        assert!(!meter.backing_off());
        (0..6).for_each(|_| meter.observe(TASK, Duration::from_secs(2)));
        assert!(meter.backing_off());
        (0..8).for_each(|_| meter.observe(TASK, Duration::from_secs(1)));
        assert!(!meter.backing_off());
    }

    #[test]
    fn a_slower_device_for_good_is_in_the_end_simply_a_slower_device() {
        let mut meter = Meter::default();
        meter.observe(TASK, Duration::from_secs(1));
        (0..300).for_each(|_| meter.observe(TASK, Duration::from_secs(2)));
        assert!(!meter.backing_off());
    }

    #[test]
    fn a_lease_that_is_not_answered_lowers_the_rate() {
        let mut meter = Meter::default();
        meter.observe(TASK, Duration::from_secs(1));
        meter.at_most(TASK, Duration::from_secs(10));
        assert_eq!(meter.rate(), Some(GasPerS(TASK / 10)));
    }
}
