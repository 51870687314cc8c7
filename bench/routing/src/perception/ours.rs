//! The product's estimator, fed as a page feeds it: fragments with their times.

use super::score::{Score, score};
use super::traces::Set;
use core::time::Duration;
use peeredge_routing::RateEstimator;
use peeredge_wire::Time;

/// Error and coverage of a set.
pub struct Ours {
    /// Of the point.
    pub score: Score,
    /// Share of steps within the 80 % interval.
    pub covered: f64,
    /// Median of the interval's upper over its lower end.
    pub width: f64,
}

/// Scores the product's estimator one step ahead.
pub fn one_ahead(set: &Set) -> Ours {
    let (mut errors, mut widths) = (Vec::new(), Vec::new());
    let (mut inside, mut all) = (0u32, 0u32);
    for trace in &set.traces {
        let mut estimator = RateEstimator::new();
        let mut now = Time::from_millis(1000);
        for step in trace {
            let truth = step.rate();
            if truth > 0.0
                && let Some(rate) = estimator.rate()
            {
                errors.push((rate.bytes_per_s - truth).abs() / truth);
                widths.push(rate.high / rate.low);
                inside += u32::from(rate.low <= truth && truth <= rate.high);
                all += 1;
            }
            // Whatever was idle before: the asking begins now.
            now = now + Duration::from_secs_f64(step.idle_s);
            estimator.fragment(now, 0, step.idle_s == 0.0);
            now = now + Duration::from_secs_f64(step.seconds);
            estimator.fragment(now, step.bytes as u64, true);
        }
    }
    Ours { score: score(errors), covered: f64::from(inside) / f64::from(all), width: score(widths).median }
}
