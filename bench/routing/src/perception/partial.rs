//! A transfer's mean rate, foretold when a part of its data has come: when to stop a probe, and when a transfer will end.

use super::score::{Score, score};
use super::traces::{Step, Trace};
use core::time::Duration;
use peeredge_routing::RateEstimator;
use peeredge_wire::Time;

/// The steps in which the first `share` of a transfer's bytes came, the last one cut.
fn part(transfer: &Trace, share: f64) -> Trace {
    let mut left = share * transfer.iter().map(|step| step.bytes).sum::<f64>();
    let mut part = Vec::new();
    for step in transfer {
        let bytes = step.bytes.min(left);
        part.push(Step { seconds: step.seconds * bytes / step.bytes.max(1.0), bytes, ..*step });
        left -= bytes;
        if left <= 0.0 {
            break;
        }
    }
    part
}

fn total(steps: &[Step]) -> (f64, f64) {
    steps.iter().fold((0.0, 0.0), |(bytes, seconds), step| (bytes + step.bytes, seconds + step.seconds))
}

/// Everything that a method makes of the part: the rate of what is still to come.
pub type Method = fn(&[Step]) -> f64;

/// The simple methods, and ours.
pub const METHODS: &[(&str, Method)] = &[
    ("cumulative mean", |part| {
        let (bytes, seconds) = total(part);
        bytes / seconds
    }),
    ("first second dropped", |part| {
        let (bytes, seconds) = total(if part.len() > 1 { &part[1..] } else { part });
        bytes / seconds
    }),
    ("last second", |part| {
        let whole = part.len().saturating_sub(2);
        let (bytes, seconds) = total(&part[whole..]);
        bytes / seconds
    }),
    ("ours", ours),
];

fn ours(part: &[Step]) -> f64 {
    let mut estimator = RateEstimator::new();
    let mut now = Time::from_millis(1000);
    estimator.fragment(now, 0, false);
    for step in part {
        // In tenths, as fragments would come.
        let tenths = (step.seconds * 10.0).ceil().max(1.0);
        for _ in 0..tenths as u32 {
            now = now + Duration::from_secs_f64(step.seconds / tenths);
            estimator.fragment(now, (step.bytes / tenths) as u64, true);
        }
    }
    let (bytes, seconds) = total(part);
    estimator.rate().map_or(bytes / seconds, |rate| rate.bytes_per_s)
}

/// Error of the final mean when this share of the data has come.
pub fn foretold(transfers: &[Trace], share: f64, method: Method) -> Score {
    score(
        transfers
            .iter()
            .filter(|transfer| total(transfer).0 > 0.0)
            .map(|transfer| {
                let (all_bytes, all_s) = total(transfer);
                let part = part(transfer, share);
                let (bytes, seconds) = total(&part);
                // The size is known, so the mean follows from when the rest will have come.
                let mean = all_bytes / (seconds + (all_bytes - bytes) / method(&part).max(1.0));
                (mean - all_bytes / all_s).abs() * all_s / all_bytes
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_its_share_and_a_steady_transfer_is_foretold_exactly() {
        let transfer = vec![Step { idle_s: 0.0, seconds: 1.0, bytes: 1e6 }; 30];
        let part = part(&transfer, 0.15);
        assert_eq!((part.len(), total(&part)), (5, (4.5e6, 4.5)));
        for (name, method) in METHODS {
            assert!(foretold(std::slice::from_ref(&transfer), 0.15, *method).median < 1e-4, "{name}");
        }
    }
}
