//! The estimator on channels whose true rate is known.

use core::time::Duration;
use peeredge_routing::perception::{Rate, RateEstimator};
use peeredge_wire::Time;
use proptest::prelude::*;

const SYMBOL_BYTES: u64 = 16_384;

/// A channel that delivers symbols back to back at a rate that the test sets.
struct Channel {
    now: Time,
    estimator: RateEstimator,
    dice: u64,
}

impl Channel {
    fn new() -> Self {
        let mut channel = Channel { now: Time::from_millis(5), estimator: RateEstimator::new(), dice: 7 };
        channel.estimator.fragment(channel.now, SYMBOL_BYTES, false);
        channel
    }

    /// Between 0.5 and 1.5, uniformly.
    fn noise(&mut self) -> f64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        0.5 + (self.dice >> 11) as f64 / (1u64 << 53) as f64
    }

    fn symbol(&mut self, bytes_per_s: f64) {
        self.now = self.now + Duration::from_secs_f64(SYMBOL_BYTES as f64 / bytes_per_s);
        self.estimator.fragment(self.now, SYMBOL_BYTES, true);
    }

    fn run(&mut self, seconds: u64, bytes_per_s: f64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.symbol(bytes_per_s);
        }
    }

    fn idle(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.estimator.fragment(self.now, SYMBOL_BYTES, false);
    }

    fn rate(&self) -> Rate {
        self.estimator.rate().expect("the channel has carried a bin")
    }
}

fn off(rate: f64, truth: f64) -> f64 {
    (rate - truth).abs() / truth
}

#[test]
fn nothing_is_claimed_before_the_first_bin() {
    let mut channel = Channel::new();
    assert_eq!(channel.estimator.rate(), None);
    channel.symbol(10e6);
    assert_eq!(channel.estimator.rate(), None, "one symbol of 1.6 ms is a burst, not a rate");
    channel.run(1, 10e6);
    assert!(off(channel.rate().bytes_per_s, 10e6) < 0.02);
}

#[test]
fn a_steady_channel_is_known_closely_over_five_orders_of_magnitude() {
    for truth in [1e3, 1e5, 2e6, 1e8] {
        let mut channel = Channel::new();
        channel.run(200, truth);
        let rate = channel.rate();
        assert!(off(rate.bytes_per_s, truth) < 0.02, "{truth}: {rate:?}");
        assert!(rate.high / rate.low < 1.2, "{truth}: {rate:?} is too unsure of a constant");
    }
}

#[test]
fn an_idle_channel_is_not_a_slow_one() {
    let mut channel = Channel::new();
    channel.run(5, 2e6);
    let before = channel.rate();
    for _ in 0..20 {
        channel.idle(30);
    }
    assert_eq!(channel.rate(), before);
}

#[test]
fn a_stall_under_load_is_a_slow_channel() {
    let mut channel = Channel::new();
    channel.run(5, 2e6);
    channel.symbol(SYMBOL_BYTES as f64 / 8.0);
    channel.symbol(SYMBOL_BYTES as f64 / 8.0);
    channel.symbol(SYMBOL_BYTES as f64 / 8.0);
    assert!(channel.rate().bytes_per_s < 1e6, "{:?}", channel.rate());
}

#[test]
fn a_new_regime_is_learned_within_two_seconds_and_the_interval_opens_meanwhile() {
    for (old, new) in [(4e6, 4e5), (4e5, 4e6)] {
        let mut channel = Channel::new();
        channel.run(60, old);
        let calm = channel.rate();
        channel.run(1, new);
        let shaken = channel.rate();
        assert!(shaken.high / shaken.low > calm.high / calm.low, "{shaken:?} after {calm:?}");
        channel.run(1, new);
        assert!(off(channel.rate().bytes_per_s, new) < 0.15, "{old} -> {new}: {:?}", channel.rate());
    }
}

#[test]
fn on_a_noisy_channel_the_interval_holds_four_of_five_bins() {
    let mut channel = Channel::new();
    channel.run(5, 2e6);
    let (mut hits, mut error, mut last_error, mut last) = (0u32, 0.0, 0.0, 2e6);
    let rounds = 4000;
    for _ in 0..rounds {
        let truth = 2e6 * channel.noise();
        let rate = channel.rate();
        hits += u32::from((rate.low..=rate.high).contains(&truth));
        error += off(rate.bytes_per_s, truth);
        last_error += off(last, truth);
        last = truth;
        // One bin of exactly this rate: 100 ms.
        channel.now = channel.now + Duration::from_millis(100);
        channel.estimator.fragment(channel.now, (truth / 10.0) as u64, true);
    }
    let share = f64::from(hits) / f64::from(rounds);
    assert!((0.76..0.84).contains(&share), "{share}");
    assert!(
        error < 0.85 * last_error,
        "smoothing must beat the last bin on pure noise: {error} against {last_error}"
    );
}

proptest! {
    #[test]
    fn any_fragments_leave_a_finite_ordered_interval(
        fragments in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 1..200)
    ) {
        let mut estimator = RateEstimator::new();
        for (micros, bytes, busy) in fragments {
            estimator.fragment(Time::from_micros(micros), bytes, busy);
            if let Some(rate) = estimator.rate() {
                prop_assert!(rate.low > 0.0 && rate.low <= rate.bytes_per_s && rate.bytes_per_s <= rate.high, "{:?}", rate);
                prop_assert!(rate.high.is_finite() || rate.bytes_per_s > 1e12);
            }
        }
    }
}
