//! One sum of a few symbols that lie anywhere in memory.

use crate::gf256;

/// Adds symbols to `out`, in place. Symbols shorter than `out` count as padded with zeros.
pub struct Accumulator<'o> {
    out: &'o mut [u8],
}

impl<'o> Accumulator<'o> {
    /// Begins with what `out` holds.
    pub fn new(out: &'o mut [u8]) -> Self {
        Self { out }
    }

    /// `out += symbol`.
    pub fn add(&mut self, symbol: &[u8]) {
        // Equal lengths let the compiler use vectors.
        let n = self.out.len().min(symbol.len());
        self.out[..n].iter_mut().zip(&symbol[..n]).for_each(|(o, s)| *o ^= s);
    }

    /// `out += coefficient * symbol`.
    pub fn add_scaled(&mut self, coefficient: u8, symbol: &[u8]) {
        if coefficient == 0 {
            return;
        }
        let mut table = [0; 256];
        for (v, t) in table.iter_mut().enumerate() {
            *t = gf256::mul(coefficient, v as u8);
        }
        self.out.iter_mut().zip(symbol).for_each(|(o, s)| *o ^= table[*s as usize]);
    }
}
