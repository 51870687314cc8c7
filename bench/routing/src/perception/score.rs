//! One step ahead: the prediction before each step, against what came.

use super::simple::{Estimator, Make};
use super::traces::Set;

/// How an estimator did on one set.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Median absolute error, as a share of what came.
    pub median: f64,
    /// Its 90th percentile.
    pub p90: f64,
}

/// Scores one estimator. A step in which nothing came has no relative error and is not scored, but it is seen.
pub fn one_ahead(set: &Set, make: Make) -> Score {
    let mut errors = Vec::new();
    for trace in &set.traces {
        let mut estimator: Box<dyn Estimator> = make();
        for step in trace {
            let truth = step.rate();
            if truth > 0.0
                && let Some(predicted) = estimator.predict()
            {
                errors.push((predicted - truth).abs() / truth);
            }
            estimator.observe(truth, step.seconds);
        }
    }
    score(errors)
}

/// Median and p90 of all errors of a set together.
pub fn score(mut errors: Vec<f64>) -> Score {
    errors.sort_by(f64::total_cmp);
    Score { median: percentile(&errors, 0.5), p90: percentile(&errors, 0.9) }
}

/// The value that this share of a sorted slice lies below; NaN of nothing.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
