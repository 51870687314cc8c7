//! Policy: which of two workers takes a run. Knows what a candidate is like; does not know queues, leases or votes.

use crate::GasPerS;
use core::time::Duration;

/// What a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Gas that it is expected to use: what runs of the same module used, or its limit.
    pub gas: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// A worker as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its measured rate; for a stranger, what strangers have.
    pub rate: GasPerS,
    /// Memory that a task may have there.
    pub memory_bytes: u64,
    /// How long it has been here.
    pub here_for: Duration,
    /// Share of its leases that came back, from 0 to 1.
    pub reliability: f64,
}

/// Visits have no typical length: whoever has been here for long stays for long, so the time to come is about the time so far.
const STAY_FIRST: Duration = Duration::from_secs(30);

impl Candidate {
    /// Whether it can take the run at all.
    pub fn fits(&self, need: &Need) -> bool {
        self.memory_bytes >= need.memory_bytes && self.rate.0 > 0
    }

    /// How likely it is still here after `time`.
    pub fn stays(&self, time: Duration) -> f64 {
        let so_far = (self.here_for + STAY_FIRST).as_secs_f64();
        so_far / (so_far + time.as_secs_f64())
    }

    /// Seconds until a result can be expected, failures and their repetition included. The lower, the better.
    pub fn score(&self, need: &Need) -> f64 {
        let time = self.rate.time_for(need.gas);
        time.as_secs_f64() / (self.stays(time) * self.reliability.max(0.01))
    }
}

/// How long a worker may take before somebody else is asked too: three times what its own rate lets expect.
pub fn hedge_after(expected: Duration) -> Duration {
    expected.saturating_mul(3) + Duration::from_secs(2)
}

/// The same while somebody is idle anyway: a copy costs nobody a turn. `patience`, from 0 to 1, is the share of a second that is allowed
/// beyond what is expected.
pub fn hedge_idle_after(expected: Duration, patience: f64) -> Duration {
    expected.saturating_mul(3) / 2 + Duration::from_secs(1).mul_f64(patience)
}

/// How long a worker may take at all.
pub fn lost_after(expected: Duration) -> Duration {
    expected.saturating_mul(8) + Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(rate: u64, here_s: u64) -> Candidate {
        Candidate {
            rate: GasPerS(rate),
            memory_bytes: 64 << 20,
            here_for: Duration::from_secs(here_s),
            reliability: 1.0,
        }
    }

    #[test]
    fn what_does_not_fit_is_not_scored() {
        let need = Need { gas: 1, memory_bytes: 65 << 20 };
        assert!(!worker(1, 1).fits(&need));
        assert!(!worker(0, 1).fits(&Need { memory_bytes: 0, ..need }));
        assert!(worker(1, 1).fits(&Need { memory_bytes: 64 << 20, ..need }));
    }

    #[test]
    fn long_tasks_go_to_long_stayers_and_short_ones_to_the_fast() {
        let (newcomer, old) = (worker(1_000_000, 5), worker(700_000, 3600));
        let long = Need { gas: 300_000_000, memory_bytes: 0 };
        let short = Need { gas: 1_000_000, memory_bytes: 0 };
        assert!(old.score(&long) < newcomer.score(&long));
        assert!(newcomer.score(&short) < old.score(&short));
    }

    #[test]
    fn whoever_does_not_return_leases_scores_as_if_slow() {
        let need = Need { gas: 1_000_000, memory_bytes: 0 };
        let unreliable = Candidate { reliability: 0.2, ..worker(2_000_000, 60) };
        assert!(worker(1_000_000, 60).score(&need) < unreliable.score(&need));
    }
}
