//! Sums over slots, and the memory that they work in.

use super::{Level, Portable, vector};
use alloc::vec;
use alloc::vec::Vec;

/// Bit of an operation's first word: the operands carry coefficients.
pub(super) const SCALED: u32 = 1 << 31;

/// Alignment of a tile, in bytes: one cache line.
const ALIGN: usize = 64;

/// Operations `dst = sum of operands` over slots, in order. Every slot named is below [`Program::slots`]: the
/// methods that add operations see to it, and the kernels rely on it.
///
/// In memory: words `dst`, `n`, then n slots; or `dst | SCALED`, `n`, then n pairs of slot and coefficient.
#[derive(Clone, Debug, Default)]
pub struct Program {
    words: Vec<u32>,
    slots: u32,
    /// Operands summed, which is what a run costs.
    operands: u64,
}

impl Program {
    /// An empty program over `slots` slots.
    pub fn new(slots: u32) -> Self {
        Self { words: Vec::new(), slots, operands: 0 }
    }

    /// Slots that a tile needs.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Operands that a run sums, products counted like plain ones.
    pub fn operands(&self) -> u64 {
        self.operands
    }

    /// Words, for bounding memory.
    pub fn words_len(&self) -> usize {
        self.words.len()
    }

    /// Makes room for `n` further slots and returns the first.
    pub fn add_slots(&mut self, n: u32) -> u32 {
        let first = self.slots;
        self.slots += n;
        assert!(self.slots < SCALED, "slots are numbered below 2^31");
        first
    }

    /// Begins `dst = ...`; operands follow by [`Sum::add`]. `dst` may be among its own operands.
    #[inline]
    pub fn sum(&mut self, dst: u32) -> Sum<'_> {
        assert!(dst < self.slots);
        let start = self.words.len();
        self.words.push(dst);
        self.words.push(0);
        Sum { program: self, start }
    }

    /// `dst = sum of coefficient * slot`.
    pub fn scaled_sum(&mut self, dst: u32, operands: impl IntoIterator<Item = (u32, u8)>) {
        assert!(dst < self.slots);
        let start = self.words.len();
        self.words.push(dst | SCALED);
        self.words.push(0);
        let mut n = 0;
        for (slot, coefficient) in operands {
            assert!(slot < self.slots);
            self.words.extend([slot, coefficient as u32]);
            n += 1;
        }
        self.words[start + 1] = n;
        self.operands += n as u64;
    }

    /// Runs over a tile.
    pub fn run(&self, level: Level, tile: &mut Tile) {
        assert!(tile.bytes.len() >= tile.start + self.slots as usize * tile.width);
        let base = tile.bytes[tile.start..].as_mut_ptr();
        let (words, width) = (&self.words[..], tile.width);
        // SAFETY: the tile holds `slots * width` bytes from `base` (asserted above), every slot in `words` is below
        // `slots` (asserted when it was added), `width` is a multiple of 64 (by `Tile`), and `Level::detect` gave a
        // level that this machine has.
        unsafe {
            match level {
                Level::Portable => vector::run::<Portable>(words, base, width),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => vector::x86::run_avx2(words, base, width),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => vector::x86::run_avx512(words, base, width),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => vector::run::<vector::neon::Neon>(words, base, width),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                Level::Simd128 => vector::run::<vector::wasm::Simd128>(words, base, width),
            }
        }
    }
}

/// Bytes that a tile should take: half of a common second-level cache.
const TILE_BYTES: usize = 1 << 20;

/// The width, in bytes, of a tile of `slots` slots for symbols of `symbol_len` bytes.
pub fn tile_width(slots: u32, symbol_len: usize) -> usize {
    let mut width = 512;
    while width > ALIGN && (width / 2 >= symbol_len || slots as usize * width > TILE_BYTES) {
        width /= 2;
    }
    width
}

/// One plain sum being written.
pub struct Sum<'p> {
    program: &'p mut Program,
    start: usize,
}

impl Sum<'_> {
    /// Adds an operand.
    #[inline]
    pub fn add(&mut self, slot: u32) {
        assert!(slot < self.program.slots);
        self.program.words.push(slot);
    }
}

impl Drop for Sum<'_> {
    fn drop(&mut self) {
        let words = &mut self.program.words;
        let n = words.len() - self.start - 2;
        if n == 1 && words[self.start] == words[self.start + 2] {
            // dst = dst
            words.truncate(self.start);
        } else {
            words[self.start + 1] = n as u32;
            self.program.operands += n as u64;
        }
    }
}

/// Working memory of a program: `slots` strips of `width` bytes.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    bytes: Vec<u8>,
    start: usize,
    width: usize,
}

impl Tile {
    /// A tile of zeros; `width` (bytes) is a multiple of 64.
    pub fn new(slots: u32, width: usize) -> Self {
        assert!(width > 0 && width.is_multiple_of(ALIGN));
        let bytes = vec![0; slots as usize * width + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start, width }
    }

    /// Bytes of each slot.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The strip of one slot.
    #[inline]
    pub fn strip(&mut self, slot: u32) -> &mut [u8] {
        &mut self.bytes[self.start + slot as usize * self.width..][..self.width]
    }

    /// Copies `len` bytes (at most the width) at `from + offset` of `memory` into each listed slot. What lies behind
    /// `len` keeps its old value: columns never mix, so nobody reads it.
    #[inline]
    pub fn load(
        &mut self,
        memory: &[u8],
        places: impl Iterator<Item = (u32, usize)>,
        offset: usize,
        len: usize,
    ) {
        if len == 256 {
            for (slot, from) in places {
                let strip: &mut [u8; 256] = (&mut self.strip(slot)[..256]).try_into().expect("256 bytes");
                *strip = *<&[u8; 256]>::try_from(&memory[from + offset..][..256]).expect("256 bytes");
            }
        } else if len == 128 {
            for (slot, from) in places {
                let strip: &mut [u8; 128] = (&mut self.strip(slot)[..128]).try_into().expect("128 bytes");
                *strip = *<&[u8; 128]>::try_from(&memory[from + offset..][..128]).expect("128 bytes");
            }
        } else if len == 64 {
            for (slot, from) in places {
                let strip: &mut [u8; 64] = (&mut self.strip(slot)[..64]).try_into().expect("64 bytes");
                *strip = *<&[u8; 64]>::try_from(&memory[from + offset..][..64]).expect("64 bytes");
            }
        } else {
            for (slot, from) in places {
                self.strip(slot)[..len].copy_from_slice(&memory[from + offset..][..len]);
            }
        }
    }

    /// The inverse of [`Tile::load`].
    #[inline]
    pub fn store(
        &mut self,
        memory: &mut [u8],
        places: impl Iterator<Item = (u32, usize)>,
        offset: usize,
        len: usize,
    ) {
        if len == 256 {
            for (slot, to) in places {
                let out: &mut [u8; 256] = (&mut memory[to + offset..][..256]).try_into().expect("256 bytes");
                *out = *<&[u8; 256]>::try_from(&self.strip(slot)[..256]).expect("256 bytes");
            }
        } else {
            for (slot, to) in places {
                memory[to + offset..][..len].copy_from_slice(&self.strip(slot)[..len]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gf256;
    use crate::structure::mix;

    #[test]
    fn every_level_sums_like_the_field() {
        for level in Level::available() {
            for width in [64usize, 128, 192, 256, 320, 512, 1024] {
                let slots = 9u32;
                let mut tile = Tile::new(slots, width);
                let mut model = vec![vec![0u8; width]; slots as usize];
                for (s, strip) in model.iter_mut().enumerate() {
                    for (i, b) in strip.iter_mut().enumerate() {
                        *b = mix((s * 10_000 + i) as u64) as u8;
                    }
                    tile.strip(s as u32).copy_from_slice(strip);
                }
                let mut program = Program::new(slots);
                for step in 0..600u64 {
                    let r = mix(step);
                    let dst = (r % slots as u64) as u32;
                    let n = (r >> 8) % 8;
                    let operand = |i: u64| (mix(r ^ i) % slots as u64) as u32;
                    let mut out = vec![0u8; width];
                    if step % 3 == 0 {
                        let pairs: Vec<_> =
                            (0..n).map(|i| (operand(i), mix(r.wrapping_add(i)) as u8)).collect();
                        for (s, c) in &pairs {
                            for (o, b) in out.iter_mut().zip(&model[*s as usize]) {
                                *o ^= gf256::mul(*c, *b);
                            }
                        }
                        program.scaled_sum(dst, pairs);
                    } else {
                        let mut sum = program.sum(dst);
                        for i in 0..n {
                            sum.add(operand(i));
                            for (o, b) in out.iter_mut().zip(&model[operand(i) as usize]) {
                                *o ^= b;
                            }
                        }
                    }
                    model[dst as usize] = out;
                }
                program.run(level, &mut tile);
                for s in 0..slots {
                    assert_eq!(tile.strip(s), &model[s as usize][..], "{level:?} width {width} slot {s}");
                }
            }
        }
    }
}
