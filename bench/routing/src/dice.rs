//! Draws that follow from a seed.

use peeredge_wire::SplitMix64;

/// What the synthetic worlds of this benchmark draw.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

impl Dice {
    /// What follows from this seed.
    pub fn new(seed: u64) -> Self {
        Dice(SplitMix64::new(seed))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// Below `n`, evenly.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// Exponentially distributed, with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Of the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.unit().max(1e-300), self.unit());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}
