use peeredge_wire::SplitMix64;

/// What the simulated world draws.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix64);

impl Dice {
    /// What follows from this seed.
    pub fn new(seed: u64) -> Self {
        Dice(SplitMix64::new(seed))
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// A normal variate (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (core::f64::consts::TAU * self.unit()).cos()
    }
}
