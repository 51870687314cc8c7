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
    /// Owners of workers that are remembered, and pairs of them with submitters' owners: so many each of late and as many of before, 50
    /// bytes each. Default 50,000.
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

/// What was counted of late by key, within a day. When it is full the older half is forgotten at once: nothing is searched, and
/// pushing an entry out takes as many newer ones.
#[derive(Debug)]
struct Counted<K> {
    max: usize,
    newer: BTreeMap<K, (u64, f64)>,
    older: BTreeMap<K, (u64, f64)>,
}

impl<K: Copy + Ord> Counted<K> {
    fn new(max: usize) -> Self {
        Counted { max: max.max(1), newer: BTreeMap::new(), older: BTreeMap::new() }
    }

    fn of(&self, day: u64, key: K) -> f64 {
        let found = self.newer.get(&key).or_else(|| self.older.get(&key));
        found.filter(|(on, _)| *on == day).map_or(0.0, |(_, sum)| *sum)
    }

    fn add(&mut self, day: u64, key: K, counts: f64) {
        let sum = self.of(day, key) + counts;
        if self.newer.len() >= self.max && !self.newer.contains_key(&key) {
            self.older = core::mem::take(&mut self.newer);
        }
        self.newer.insert(key, (day, sum));
    }
}

/// What was counted today, by the worker's owner, and by that and the submitter's.
#[derive(Debug)]
pub struct Evidence {
    settings: EvidenceSettings,
    /// Apart from the pairs, which are many and would push them out.
    owners: Counted<Owner>,
    pairs: Counted<(Owner, Owner)>,
}

impl Evidence {
    /// Nothing counted yet.
    pub fn new(settings: EvidenceSettings) -> Self {
        let max = settings.remembered_max;
        Evidence { settings, owners: Counted::new(max), pairs: Counted::new(max) }
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
        let pair = (owner, work.submitter);
        let counts = (weight.clamp(0.0, 1.0) * size)
            .min((from_submitter_day_max - self.pairs.of(day, pair)).max(0.0))
            .min((of_owner_day_max - self.owners.of(day, owner)).max(0.0));
        if counts > 0.0 {
            self.pairs.add(day, pair, counts);
            self.owners.add(day, owner, counts);
        }
        counts
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
        let mut evidence = Evidence::new(EvidenceSettings::default());
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
        let mut evidence = Evidence::new(EvidenceSettings::default());
        assert!(counted(&mut evidence, 1, Work { gas: 1000, ..WORK }, 1) < 1e-4);
        assert!(counted(&mut evidence, 1, Work { took: Duration::from_millis(1), ..WORK }, 1) < 0.01);
    }

    #[test]
    fn one_submitter_and_one_owner_have_a_bound_a_day() {
        let mut evidence = Evidence::new(EvidenceSettings::default());
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
        (0..1000).for_each(|owner| assert_eq!(counted(&mut evidence, 10 + owner, WORK, 1), 1.0));
        let Evidence { owners, pairs, .. } = evidence;
        for held in [owners.newer.len(), owners.older.len(), pairs.newer.len(), pairs.older.len()] {
            assert!(held <= 10, "{held}");
        }
    }

    #[test]
    fn many_submitters_do_not_push_out_what_was_counted_for_an_owner() {
        let mut evidence =
            Evidence::new(EvidenceSettings { remembered_max: 4, ..EvidenceSettings::default() });
        let all: f64 = (0..1000)
            .map(|n| counted(&mut evidence, 1, Work { submitter: Owner(100 + n), ..WORK }, 100))
            .sum();
        assert!((all - 1000.0).abs() < 1e-6, "{all}");
    }
}
