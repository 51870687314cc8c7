//! How fast is this channel? An estimate with an interval, from nothing but fragments: so many bytes arrived, now.
//!
//! A browser shows a page neither packets nor queues, so the estimator sees only when messages arrive. It gathers them into
//! bins of at least [`BIN_MICROS_MIN`], and predicts the next bin's rate by a bank of simple experts: the last bin, moving averages
//! of several lengths, medians, and blends of the last bin with a median, which believe a jump by half. Each counts by how well it
//! did of late (exponential weights with discounted losses: Herbster and Warmuth, Tracking the Best Expert, 1998; Cesa-Bianchi and
//! Lugosi, Prediction, Learning, and Games, 2006). No loss runs further ahead of the best than [`LEAD_MAX`], so after a change of
//! regime another expert takes over within a few bins. The loss of an error is e / (e + c): a hopeless prediction is no worse than a
//! bad one, or one outage would decide for minutes.
//!
//! The ends of the interval are the prediction times recent errors, each times a factor of its own that a miss pushes out and a hit
//! pulls in, in the proportion that makes 10 % misses at either end (adaptive conformal inference: Gibbs and Candès, 2021,
//! arXiv:2106.00170). It assumes nothing about the shape of the errors.
//!
//! Only +, -, *, / and `libm`'s software functions are used: results are equal bit for bit in wasm and natively.

use core::time::Duration;
use peeredge_wire::Time;

/// A bin is closed by the first fragment after so many microseconds: shorter ones measure bursts rather than the channel.
pub const BIN_MICROS_MIN: u64 = 100_000;
/// A longer pause under load counts as this long: a sleeping tab must not teach that its channels are dead.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A bin in which nothing came counts as this rate, in bytes a second: nothing has no logarithm.
const RATE_MIN: f64 = 125.0;

/// How much the newest bin counts in each moving average.
const GAINS: [f64; 6] = [0.8, 0.6, 0.4, 0.2, 0.08, 0.02];
/// Bins that medians look at.
const RECENT: usize = 5;
const EXPERTS: usize = 5 + GAINS.len();
/// What an expert is behind before anything was seen: the quick ones are right in most channels.
const HANDICAPS: [f64; EXPERTS] = [0.0, 0.0, 0.45, 1.5, 3.0, 4.5, 4.5, 0.9, 1.5, 0.3, 0.75];
/// The error whose loss is a half.
const LOSS_HALF: f64 = 0.12;
/// How much of an expert's past losses remains after a bin.
const LOSS_KEPT: f64 = 0.95;
/// No expert's loss is further behind the best than this.
const LEAD_MAX: f64 = 1.6;
/// A loss of one more makes an expert's weight this power of e smaller.
const SHARPNESS: f64 = 6.0;
/// Too high a prediction costs more than too low a one, relative to what comes: in channels whose typical error is above the
/// first, the prediction is lowered by the second times the excess.
const CAUTION: (f64, f64) = (0.2, 0.1);

/// How much the newest error counts.
const ERROR_GAIN: f64 = 0.25;
/// The error before anything was seen, in the logarithmic domain.
const ERROR_PRIOR: f64 = 0.15;
/// An error counts at most so much: an outage tells nothing of the time after it.
const ERROR_MAX: f64 = 0.5;
const ERROR_MIN: f64 = 0.002;
/// Step of the interval's factors; a miss moves one by 0.9 of this, a hit by 0.1 the other way.
const FACTOR_STEP: f64 = 0.3;
const FACTOR_PRIOR: f64 = 1.75;
const FACTOR_RANGE: (f64, f64) = (0.0, 8.0);

/// A rate and the interval in which it is expected to lie four times out of five.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Expected payload bytes a second.
    pub bytes_per_s: f64,
    /// Lower end of the 80 % interval.
    pub low: f64,
    /// Upper end of the 80 % interval.
    pub high: f64,
}

/// Estimates one channel's rate in about 300 bytes.
#[derive(Clone, Debug)]
pub struct RateEstimator {
    last: Option<Time>,
    bin_busy: Duration,
    bin_bytes: u64,
    bins: u32,
    /// The newest bins' rates, newest first.
    recent: [f64; RECENT],
    averages: [f64; GAINS.len()],
    losses: [f64; EXPERTS],
    /// The prediction for the next bin.
    level: f64,
    /// Recent absolute error of the prediction, in the logarithmic domain.
    error: f64,
    /// Errors below and above the prediction that the interval spans, in units of `error`.
    factors: (f64, f64),
}

impl Default for RateEstimator {
    fn default() -> Self {
        RateEstimator::new()
    }
}

impl RateEstimator {
    /// An estimator that has seen nothing.
    pub fn new() -> Self {
        RateEstimator {
            last: None,
            bin_busy: Duration::ZERO,
            bin_bytes: 0,
            bins: 0,
            recent: [0.0; RECENT],
            averages: [0.0; GAINS.len()],
            losses: HANDICAPS,
            level: 0.0,
            error: ERROR_PRIOR,
            factors: (FACTOR_PRIOR, FACTOR_PRIOR),
        }
    }

    /// `bytes` arrived at `now`. `busy` says that requests were outstanding all the time since the fragment before: only
    /// then does the time that has passed say anything about the channel.
    pub fn fragment(&mut self, now: Time, bytes: u64, busy: bool) {
        let Some(last) = self.last.replace(now) else { return };
        if !busy {
            // When the sender began is unknown, so neither these bytes nor this time count.
            return;
        }
        self.bin_busy += now.since(last).min(PAUSE_MAX);
        self.bin_bytes = self.bin_bytes.saturating_add(bytes);
        if self.bin_busy >= Duration::from_micros(BIN_MICROS_MIN) {
            let seconds = self.bin_busy.as_micros() as f64 / 1e6;
            self.observe((self.bin_bytes as f64 / seconds).max(RATE_MIN));
            (self.bin_busy, self.bin_bytes) = (Duration::ZERO, 0);
        }
    }

    /// What is to be expected of the channel now; `None` before its first whole bin.
    pub fn rate(&self) -> Option<Rate> {
        (self.bins > 0).then(|| Rate {
            bytes_per_s: self.level,
            low: self.level * libm::exp(-self.factors.0 * self.error),
            high: self.level * libm::exp(self.factors.1 * self.error),
        })
    }

    /// Takes the rate of one finished bin, in bytes a second.
    fn observe(&mut self, seen: f64) {
        if self.bins == 0 {
            self.recent = [seen; RECENT];
            self.averages = [seen; GAINS.len()];
        } else {
            self.judge(seen);
            let first_bins = 1.0 / (f64::from(self.bins) + 1.0);
            for (average, gain) in self.averages.iter_mut().zip(GAINS) {
                // In its first bins an average takes all that it has seen alike, rather than clinging to the very first.
                *average += gain.max(first_bins) * (seen - *average);
            }
            self.recent.rotate_right(1);
            self.recent[0] = seen;
        }
        self.bins = self.bins.saturating_add(1);
        self.level = self.predict();
    }

    /// Charges the experts and the interval for what they said of a bin that turned out so.
    fn judge(&mut self, seen: f64) {
        let experts = self.experts();
        let mut least = f64::MAX;
        for (loss, said) in self.losses.iter_mut().zip(experts) {
            let off = (said - seen).abs() / seen;
            *loss = LOSS_KEPT * *loss + off / (off + LOSS_HALF);
            least = least.min(*loss);
        }
        for loss in &mut self.losses {
            *loss = loss.min(least + LEAD_MAX);
        }
        let off = libm::log(seen / self.level);
        let (below, above) = self.factors;
        let moved = |factor: f64, missed: bool| {
            let to = factor + FACTOR_STEP * if missed { 0.9 } else { -0.1 };
            to.clamp(FACTOR_RANGE.0, FACTOR_RANGE.1)
        };
        self.factors = (moved(below, off < -below * self.error), moved(above, off > above * self.error));
        let gain = ERROR_GAIN.max(1.0 / (f64::from(self.bins) + 3.0));
        self.error = (self.error + gain * (off.abs().min(ERROR_MAX) - self.error)).max(ERROR_MIN);
    }

    /// What each expert says of the next bin.
    fn experts(&self) -> [f64; EXPERTS] {
        let last = self.recent[0];
        let known = RECENT.min(self.bins as usize);
        let mid = median(&self.recent[..known]);
        let mut said = [0.0; EXPERTS];
        said[0] = last;
        said[1..=GAINS.len()].copy_from_slice(&self.averages);
        said[EXPERTS - 4..].copy_from_slice(&[
            median(&self.recent[..known.min(3)]),
            mid,
            0.7 * last + 0.3 * mid,
            0.4 * last + 0.6 * mid,
        ]);
        said
    }

    /// The experts' mean by their weights, lowered by caution.
    fn predict(&self) -> f64 {
        let least = self.losses.iter().copied().fold(f64::MAX, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (said, loss) in self.experts().into_iter().zip(self.losses) {
            let weight = libm::exp(-SHARPNESS * (loss - least));
            sum += weight * said;
            weights += weight;
        }
        let (tolerated, share) = CAUTION;
        sum / weights * (1.0 - share * (self.error - tolerated).max(0.0))
    }
}

/// The middle one, the lower of two; by counting, as these are few, and sorting them would be code for every visitor to download.
fn median(values: &[f64]) -> f64 {
    let middle = (values.len() - 1) / 2;
    let is_middle = |value: &f64| {
        let below = values.iter().filter(|&other| other < value).count();
        let equal = values.iter().filter(|&other| other == value).count();
        (below..below + equal).contains(&middle)
    };
    values.iter().copied().find(is_middle).unwrap_or(f64::MAX)
}
