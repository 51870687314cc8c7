//! How fast is this channel? An estimate with an interval, from nothing but fragments: so many bytes arrived, now.
//!
//! A browser shows a page neither packets nor queues, so the estimator sees only when messages arrive. It gathers them into
//! bins of at least [`BIN_MICROS_MIN`], and predicts the next bin's rate from a small bank of smoothers in the logarithmic
//! domain (rates are off by factors, not by amounts), from one that believes only the last bin to one that
//! remembers half a minute. Each weighs by how well it predicted of late, so after a change of regime the quick ones take over
//! and in calm the slow ones do (the "follow the better expert" of Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, 2006).
//!
//! The interval is the recent error times a factor that grows after each miss and shrinks after each hit, in the
//! proportion that makes 80 % hits (adaptive conformal inference: Gibbs and Candès, 2021, arXiv:2106.00170). It
//! assumes nothing about the shape of the errors.
//!
//! Only +, -, *, / and `libm`'s software logarithms are used: results are equal bit for bit in wasm and natively.

use core::time::Duration;
use peeredge_wire::Time;

/// A bin is closed by the first fragment after so many microseconds: shorter ones measure bursts rather than the channel.
pub const BIN_MICROS_MIN: u64 = 100_000;
/// A longer pause under load counts as this long: a sleeping tab must not teach that its channels are dead.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Time constants of the bank, in seconds. 0 believes only the last bin.
const MEMORY_S: [f64; 5] = [0.0, 0.5, 2.0, 8.0, 30.0];
/// How much of an expert's past loss remains after a bin.
const LOSS_KEPT: f64 = 0.85;
/// Floor of an expert's loss: a perfect run must not make the others' weight vanish for ever.
const LOSS_MIN: f64 = 0.005;
/// Loss of every expert, and error, before anything was seen: a factor of about 1.6 either way.
const LOSS_PRIOR: f64 = 0.5;
/// Step of the interval's factor; a miss moves it by 0.8 of this, a hit by 0.2 the other way.
const FACTOR_STEP: f64 = 0.15;
/// The factor for Laplace-distributed errors: 80 % of them lie within 1.61 mean absolute errors.
const FACTOR_PRIOR: f64 = 1.61;
const FACTOR_RANGE: (f64, f64) = (0.8, 6.0);

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

/// Estimates one channel's rate in 144 bytes; natively a bin and a reading take 0.1 us together.
#[derive(Clone, Debug)]
pub struct RateEstimator {
    last: Option<Time>,
    bin_busy: Duration,
    bin_bytes: u64,
    /// Natural logarithm of each expert's rate; meaningless before the first bin.
    levels: [f64; MEMORY_S.len()],
    losses: [f64; MEMORY_S.len()],
    bins: u32,
    /// Recent absolute error of the combined prediction, in the logarithmic domain.
    error: f64,
    factor: f64,
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
            levels: [0.0; MEMORY_S.len()],
            losses: [LOSS_PRIOR; MEMORY_S.len()],
            bins: 0,
            error: LOSS_PRIOR,
            factor: FACTOR_PRIOR,
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
            self.observe(self.bin_bytes.max(1) as f64 / seconds, seconds);
            (self.bin_busy, self.bin_bytes) = (Duration::ZERO, 0);
        }
    }

    /// What is to be expected of the channel now; `None` before its first whole bin.
    pub fn rate(&self) -> Option<Rate> {
        if self.bins == 0 {
            return None;
        }
        let (level, reach) = (self.level(), self.factor * self.error);
        Some(Rate {
            bytes_per_s: libm::exp(level),
            low: libm::exp(level - reach),
            high: libm::exp(level + reach),
        })
    }

    /// Takes the rate of one finished bin.
    fn observe(&mut self, bytes_per_s: f64, seconds: f64) {
        let seen = libm::log(bytes_per_s);
        if self.bins == 0 {
            self.levels = [seen; MEMORY_S.len()];
        } else {
            let off = (seen - self.level()).abs();
            let missed = off > self.factor * self.error;
            self.factor += FACTOR_STEP * if missed { 0.8 } else { -0.2 };
            self.factor = self.factor.clamp(FACTOR_RANGE.0, FACTOR_RANGE.1);
            self.error = (LOSS_KEPT * self.error + (1.0 - LOSS_KEPT) * off).max(LOSS_MIN);
            for ((level, loss), memory_s) in self.levels.iter_mut().zip(&mut self.losses).zip(MEMORY_S) {
                let off = seen - *level;
                *loss = (LOSS_KEPT * *loss + (1.0 - LOSS_KEPT) * off.abs()).max(LOSS_MIN);
                // In its first bins an expert averages what it has seen rather than clinging to the very first.
                let gain = (seconds / (seconds + memory_s)).max(1.0 / (f64::from(self.bins) + 1.0));
                *level += gain * off;
            }
        }
        self.bins = self.bins.saturating_add(1);
    }

    /// The bank's prediction: each expert by the inverse fourth power of its recent loss.
    fn level(&self) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (level, loss) in self.levels.iter().zip(&self.losses) {
            let weight = 1.0 / (loss * loss * loss * loss);
            sum += weight * level;
            weights += weight;
        }
        sum / weights
    }
}
