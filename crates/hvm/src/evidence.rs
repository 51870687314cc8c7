//! Policy and state: what a verified result is worth to its worker. A worker that could choose its work, or whose friends hand it
//! in, would buy its record; so only work that others chose counts, by what it cost, and within bounds for each owner.

use crate::Owner;
use core::time::Duration;
use peeredge_wire::Time;
use std::collections::BTreeMap;

/// How much a verified result counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidenceSettings {
    /// Gas from which a result counts whole; smaller ones count by their share. Default 100,000,000: half a second of a phone.
    pub gas_whole: u64,
    /// Time on the relay's clock from which a result counts whole. Default 250 ms.
    pub time_whole: Duration,
    /// Results of one submitter's owner that count for the workers of one owner in a day. Default 100.
    pub from_submitter_day_max: f64,
    /// Results that count for the workers of one owner in a day. Default 1000.
    pub of_owner_day_max: f64,
    /// Pairs of owners that are remembered, 40 bytes each; the oldest day goes first. Default 50,000.
    pub remembered_max: usize,
}

impl Default for EvidenceSettings {
    fn default() -> Self {
        EvidenceSettings {
            gas_whole: 100_000_000,
            time_whole: Duration::from_millis(250),
            from_submitter_day_max: 100.0,
            of_owner_day_max: 1000.0,
            remembered_max: 50_000,
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// What is known of the work that a result was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Who stands behind the submitter.
    pub submitter: Owner,
    /// Whether it was drawn among several owners: who could run it was not for the submitter to say.
    pub drawn: bool,
    /// Gas of the worker's own part.
    pub gas: u64,
    /// Time that it took on the relay's clock.
    pub took: Duration,
}

/// What was counted today, by the worker's owner, and by that and the submitter's.
#[derive(Debug, Default)]
pub struct Evidence {
    settings: EvidenceSettings,
    /// The day and what it has counted. A pair with itself is the owner's sum.
    counted: BTreeMap<(Owner, Owner), (u64, f64)>,
}

impl Evidence {
    /// Nothing counted yet.
    pub fn new(settings: EvidenceSettings) -> Self {
        Evidence { settings, counted: BTreeMap::new() }
    }

    /// How much of `weight` a verified result counts for a worker of `owner`, from 0 to `weight`; what counts is counted.
    pub fn count(&mut self, now: Time, owner: Owner, work: &Work, weight: f64) -> f64 {
        if !work.drawn || work.submitter == owner {
            return 0.0;
        }
        let EvidenceSettings { gas_whole, time_whole, from_submitter_day_max, of_owner_day_max, .. } =
            self.settings;
        let of = |part: f64, whole: f64| if whole > 0.0 { (part / whole).min(1.0) } else { 1.0 };
        let size =
            of(work.gas as f64, gas_whole as f64).min(of(work.took.as_secs_f64(), time_whole.as_secs_f64()));
        let day = now.as_micros() / DAY.as_micros() as u64;
        let left = |counted: &Self, pair, max: f64| match counted.counted.get(&pair) {
            Some((on, sum)) if *on == day => (max - sum).max(0.0),
            _ => max,
        };
        let counts = (weight.clamp(0.0, 1.0) * size)
            .min(left(self, (owner, work.submitter), from_submitter_day_max))
            .min(left(self, (owner, owner), of_owner_day_max));
        if counts > 0.0 {
            self.add(day, (owner, work.submitter), counts);
            self.add(day, (owner, owner), counts);
        }
        counts
    }

    fn add(&mut self, day: u64, pair: (Owner, Owner), counts: f64) {
        if self.counted.len() >= self.settings.remembered_max.max(2) && !self.counted.contains_key(&pair) {
            self.counted.retain(|_, (on, _)| *on == day);
            if self.counted.len() >= self.settings.remembered_max.max(2) {
                // So many networks in one day: one of them begins anew.
                self.counted.pop_first();
            }
        }
        let entry = self.counted.entry(pair).or_insert((day, 0.0));
        if entry.0 != day {
            *entry = (day, 0.0);
        }
        entry.1 += counts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work =
        Work { submitter: Owner(9), drawn: true, gas: 1_000_000_000, took: Duration::from_secs(1) };

    fn counted(evidence: &mut Evidence, owner: u64, work: Work, times: usize) -> f64 {
        (0..times).map(|_| evidence.count(Time::ZERO, Owner(owner), &work, 1.0)).sum()
    }

    #[test]
    fn only_work_that_others_chose_counts() {
        let mut evidence = Evidence::default();
        assert_eq!(counted(&mut evidence, 1, WORK, 1), 1.0);
        assert_eq!(counted(&mut evidence, 9, WORK, 1), 0.0, "its own task");
        assert_eq!(
            counted(&mut evidence, 1, Work { drawn: false, ..WORK }, 1),
            0.0,
            "nobody else could take it"
        );
    }

    #[test]
    fn small_work_counts_little() {
        let mut evidence = Evidence::default();
        assert!(counted(&mut evidence, 1, Work { gas: 1000, ..WORK }, 1) < 1e-4);
        assert!(counted(&mut evidence, 1, Work { took: Duration::from_millis(1), ..WORK }, 1) < 0.01);
    }

    #[test]
    fn one_submitter_and_one_owner_have_a_bound_a_day() {
        let mut evidence = Evidence::default();
        assert_eq!(counted(&mut evidence, 1, WORK, 1000), 100.0);
        let all: f64 = (0..100)
            .map(|n| counted(&mut evidence, 1, Work { submitter: Owner(100 + n), ..WORK }, 1000))
            .sum();
        assert!((all - 900.0).abs() < 1e-6, "{all}");
        let tomorrow = Time::ZERO + DAY;
        assert_eq!(evidence.count(tomorrow, Owner(1), &WORK, 1.0), 1.0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut evidence =
            Evidence::new(EvidenceSettings { remembered_max: 10, ..EvidenceSettings::default() });
        for owner in 0..1000 {
            counted(&mut evidence, 10 + owner, WORK, 1);
        }
        assert!(evidence.counted.len() <= 10);
    }
}
