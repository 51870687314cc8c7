//! What tests of made-up float programs have in common.
use wasmtime::Engine;

/// Draws that follow from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len() as u64) as usize]
    }
}

pub struct Engines {
    /// Makes every NaN that arithmetic gives canonical itself.
    pub canonical: Engine,
    /// Leaves NaNs as the processor makes them.
    pub plain: Engine,
}

impl Engines {
    pub fn new() -> Self {
        let mut settings = peeredge_task_runner::config();
        settings.cranelift_nan_canonicalization(true);
        let engine = |settings| Engine::new(&settings).expect("wasmtime knows this machine");
        Engines { canonical: engine(settings), plain: engine(peeredge_task_runner::config()) }
    }
}
