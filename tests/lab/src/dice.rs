//! Seeded chance.

use peeredge_wire::SplitMix64;

/// A source of chance that a seed repeats exactly.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

impl Dice {
    /// Chance from a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(SplitMix64::new(seed))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// At least 0 and below 1.
    pub fn share(&mut self) -> f64 {
        self.0.unit()
    }

    /// Whether something of this probability happens. Rolls only for what can happen either way.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.share() < probability)
    }
}
