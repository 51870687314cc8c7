//! What a worker's past is worth: evidence that grows one verified result at a time, and is lost at one proven lie.

/// A worker's standing. Only what was verified counts: agreement with workers of other owners, checks against known answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    evidence: f64,
    lies: u32,
    returned: u32,
    lost: u32,
}

impl Record {
    /// A result was verified; `weight` is how sure the verification itself is, from 0 to 1.
    pub fn verified(&mut self, weight: f64) {
        self.evidence += weight.clamp(0.0, 1.0);
    }

    /// A verification turns out to be worth nothing: whoever agreed was exposed.
    pub fn unverified(&mut self) {
        self.evidence = (self.evidence - 1.0).max(0.0);
    }

    /// It was on the wrong side, but nothing is proved: it is a stranger again.
    pub fn doubted(&mut self) {
        self.evidence = 0.0;
    }

    /// Somebody lied, with this likelihood, from 0 to 1, this one: so much of what was verified is lost.
    pub fn suspected(&mut self, likelihood: f64) {
        self.evidence *= 1.0 - likelihood.clamp(0.0, 1.0);
    }

    /// A lie was proved.
    pub fn lied(&mut self) {
        self.lies += 1;
        self.evidence = 0.0;
    }

    /// A lease was answered.
    pub fn returned(&mut self) {
        self.returned = self.returned.saturating_add(1);
    }

    /// A lease was not answered while the worker was there. The old weighs less with each new one.
    pub fn lost(&mut self) {
        self.returned = self.returned.min(24) / 2;
        self.lost = self.lost.saturating_add(1).min(24);
    }

    /// A lost lease is worked off by answered ones.
    pub fn regain(&mut self) {
        if self.returned >= 8 {
            self.lost = self.lost.saturating_sub(1);
        }
    }

    /// Runs that it may hold at once: one until it has returned one, then one more for each that came back of late.
    pub fn slots_earned(&self) -> u8 {
        self.returned.saturating_add(1).min(255) as u8
    }

    /// Whether no lease of it ever came back.
    pub fn is_stranger(&self) -> bool {
        self.returned == 0
    }

    /// Verified results.
    pub fn evidence(&self) -> f64 {
        self.evidence
    }

    /// Whether a lie was ever proved.
    pub fn exposed(&self) -> bool {
        self.lies > 0
    }

    /// How likely its next result is wrong. A worker that lies in a share `s` of its tasks survives `n` checks with probability
    /// `(1 - s)^n`, and whatever `s` it chooses, `s (1 - s)^n` is at most `1 / (1 + e n)`; `prior` is the share of liars among
    /// strangers (Sarmenta, "Sabotage-tolerance mechanisms for volunteer computing systems", 2002).
    pub fn doubt(&self, prior: f64) -> f64 {
        if self.exposed() { 1.0 } else { prior / (1.0 + core::f64::consts::E * self.evidence) }
    }

    /// The share of leases that come back, as far as is known; strangers get the benefit of the doubt.
    pub fn reliability(&self) -> f64 {
        f64::from(self.returned.min(24) + 3) / f64::from(self.returned.min(24) + 3 + 2 * self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credibility_grows_with_verified_work_and_is_lost_at_one_lie() {
        let mut record = Record::default();
        assert_eq!(record.doubt(0.2), 0.2);
        let mut before = 0.2;
        for _ in 0..100 {
            record.verified(1.0);
            assert!(record.doubt(0.2) < before);
            before = record.doubt(0.2);
        }
        assert!(before < 0.001);
        record.lied();
        (0..1000).for_each(|_| record.verified(1.0));
        assert_eq!(record.doubt(0.2), 1.0);
    }

    #[test]
    fn the_doubt_bounds_every_rate_of_lying() {
        for checks in [1u32, 3, 10, 40, 200] {
            let mut record = Record::default();
            (0..checks).for_each(|_| record.verified(1.0));
            for lies in 1..1000 {
                let share = f64::from(lies) / 1000.0;
                let wrong = 0.2 * share * (1.0 - share).powi(checks as i32);
                assert!(
                    wrong <= record.doubt(0.2) * 1.05,
                    "{checks} checks, lies in {share}: {wrong} of {}",
                    record.doubt(0.2)
                );
            }
        }
    }

    #[test]
    fn whoever_keeps_leases_to_itself_is_soon_trusted_with_few() {
        let mut record = Record::default();
        (0..20).for_each(|_| record.returned());
        assert_eq!(record.reliability(), 1.0);
        (0..3).for_each(|_| record.lost());
        assert!(record.reliability() < 0.6);
        for _ in 0..40 {
            record.returned();
            record.regain();
        }
        assert_eq!(record.reliability(), 1.0);
    }
}
