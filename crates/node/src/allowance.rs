//! What somebody may use at once and over time.

use peeredge_wire::Time;

/// A token bucket. What it counts is its owner's matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// In millionths.
    left: u64,
    at: Time,
    burst: u64,
    per_s: u64,
}

const ONE: u64 = 1_000_000;

impl Allowance {
    /// A full one. Both bounds stay below 2^40, so that millionths fit.
    pub(crate) fn full(burst: u64, per_s: u64) -> Self {
        Allowance { left: burst * ONE, at: Time::ZERO, burst, per_s }
    }

    fn fill(&mut self, now: Time) {
        let micros = now.since(self.at).as_micros().min(1 << 40) as u64;
        self.at = now.max(self.at);
        self.left = self.left.saturating_add(micros.saturating_mul(self.per_s)).min(self.burst * ONE);
    }

    /// Takes `count`, if there are so many; all, if it is full and `count` is more than it can ever hold.
    pub(crate) fn take(&mut self, now: Time, count: u64) -> bool {
        self.fill(now);
        let Some(left) = self.left.checked_sub(count.min(self.burst) * ONE) else { return false };
        self.left = left;
        true
    }

    /// Gives `count` back, or what was earned.
    pub(crate) fn give(&mut self, count: u64) {
        self.left = self.left.saturating_add(count.saturating_mul(ONE)).min(self.burst * ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let at = Time::from_millis;
        let mut allowance = Allowance::full(4, 2);
        assert!(allowance.take(at(1000), 3) && !allowance.take(at(1000), 2));
        assert!(allowance.take(at(1500), 2) && !allowance.take(at(1500), 1));
        allowance.give(1);
        assert!(allowance.take(at(1500), 1));
        assert!(!allowance.take(at(3000), 9), "it is not full yet");
        assert!(allowance.take(at(4000), 9), "what is more than it can hold takes all");
        allowance.give(u64::MAX);
        assert!(allowance.take(at(4000), 4) && !allowance.take(at(4000), 1));
    }
}
