//! The loop that runs a program, once for every kind of vector.

#[cfg(target_arch = "aarch64")]
pub mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod wasm;
#[cfg(target_arch = "x86_64")]
pub mod x86;

use super::program::{Piece, Place, SCALED, Strip};
use crate::gf256;

/// Products of each coefficient with the 16 low nibbles, then with the 16 high nibbles.
static NIBBLES: [[u8; 32]; 256] = nibbles();

const fn nibbles() -> [[u8; 32]; 256] {
    let mut all = [[0u8; 32]; 256];
    let mut c = 0;
    while c < 256 {
        let mut n = 0;
        while n < 16 {
            all[c][n] = gf256::mul_const(c as u8, n as u8);
            all[c][16 + n] = gf256::mul_const(c as u8, (n << 4) as u8);
            n += 1;
        }
        c += 1;
    }
    all
}

/// A vector of bytes.
pub trait Vector: Copy {
    /// Its width in bytes; divides 64.
    const WIDTH: usize;
    /// A coefficient made ready for [`Vector::mul`].
    type Coefficient: Copy;
    /// # Safety
    /// The machine has this vector's instructions.
    unsafe fn zero() -> Self;
    /// # Safety
    /// Also: `WIDTH` bytes at `at` can be read.
    unsafe fn load(at: *const u8) -> Self;
    /// # Safety
    /// Also: `WIDTH` bytes at `at` can be written.
    unsafe fn store(self, at: *mut u8);
    /// # Safety
    /// The machine has this vector's instructions.
    unsafe fn xor(self, other: Self) -> Self;
    /// # Safety
    /// The machine has this vector's instructions.
    unsafe fn coefficient(c: u8) -> Self::Coefficient;
    /// # Safety
    /// The machine has this vector's instructions.
    unsafe fn mul(self, c: Self::Coefficient) -> Self;
    /// Stores past the caches, where the machine can.
    ///
    /// # Safety
    /// As [`Vector::store`], and `at` is a multiple of `WIDTH`.
    #[inline(always)]
    unsafe fn stream(self, at: *mut u8) {
        // SAFETY: as promised.
        unsafe { self.store(at) }
    }
    /// Asks for the cache line at `at`, where the machine can; any address will do.
    #[inline(always)]
    fn prefetch(_at: *const u8) {}
    /// Ends streaming.
    #[inline(always)]
    fn fence() {}
}

/// The slots of a tile: slot s has `len` bytes, and room up to `stride`, from `base + s * stride`.
#[derive(Clone, Copy)]
pub struct Slots {
    pub base: *mut u8,
    pub stride: usize,
    pub len: usize,
}

impl Slots {
    /// # Safety
    /// The slot and `at` lie within the tile.
    #[inline(always)]
    unsafe fn at(self, slot: u32, at: usize) -> *mut u8 {
        // SAFETY: as promised.
        unsafe { self.base.add(slot as usize * self.stride + at) }
    }
}

/// Runs the words of a program.
///
/// # Safety
/// The machine has the instructions of `V`; `words` is a whole [`super::Program`]; every slot it names is there, nobody
/// else uses it, and its `len` is a multiple of 64.
#[inline(always)]
pub unsafe fn run<V: Vector>(words: &[u32], slots: Slots) {
    let mut at = 0;
    while at < words.len() {
        let (head, n) = (words[at], words[at + 1] as usize);
        // SAFETY: as promised by the caller, slot by slot.
        unsafe {
            if head & SCALED == 0 {
                sum::<V>(&words[at + 2..at + 2 + n], head, slots);
                at += 2 + n;
            } else {
                scaled_sum::<V>(&words[at + 2..at + 2 + 2 * n], head & !SCALED, slots);
                at += 2 + 2 * n;
            }
        }
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn sum<V: Vector>(operands: &[u32], dst: u32, slots: Slots) {
    let mut done = 0;
    // SAFETY: `done` stays below `len`, whose bytes every slot has.
    unsafe {
        while done + 8 * V::WIDTH <= slots.len {
            sum_part::<V, 8>(operands, dst, slots, done);
            done += 8 * V::WIDTH;
        }
        while done + 4 * V::WIDTH <= slots.len {
            sum_part::<V, 4>(operands, dst, slots, done);
            done += 4 * V::WIDTH;
        }
        while done + 2 * V::WIDTH <= slots.len {
            sum_part::<V, 2>(operands, dst, slots, done);
            done += 2 * V::WIDTH;
        }
        while done < slots.len {
            sum_part::<V, 1>(operands, dst, slots, done);
            done += V::WIDTH;
        }
    }
}

/// # Safety
/// As [`run`], and `done + N * WIDTH` is at most `len`.
#[inline(always)]
unsafe fn sum_part<V: Vector, const N: usize>(operands: &[u32], dst: u32, slots: Slots, done: usize) {
    // SAFETY: every slot has `len` bytes, and `done + N * WIDTH <= len`.
    unsafe {
        let mut acc = [V::zero(); N];
        for &slot in operands {
            let from = slots.at(slot, done);
            for (i, a) in acc.iter_mut().enumerate() {
                *a = a.xor(V::load(from.add(i * V::WIDTH)));
            }
        }
        let to = slots.at(dst, done);
        for (i, a) in acc.iter().enumerate() {
            a.store(to.add(i * V::WIDTH));
        }
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn scaled_sum<V: Vector>(pairs: &[u32], dst: u32, slots: Slots) {
    let mut done = 0;
    // SAFETY: `done` stays below `len`, whose bytes every slot has.
    unsafe {
        while done + 4 * V::WIDTH <= slots.len {
            scaled_part::<V, 4>(pairs, dst, slots, done);
            done += 4 * V::WIDTH;
        }
        while done < slots.len {
            scaled_part::<V, 1>(pairs, dst, slots, done);
            done += V::WIDTH;
        }
    }
}

/// # Safety
/// As [`run`], and `done + N * WIDTH` is at most `len`.
#[inline(always)]
unsafe fn scaled_part<V: Vector, const N: usize>(pairs: &[u32], dst: u32, slots: Slots, done: usize) {
    // SAFETY: every slot has `len` bytes, and `done + N * WIDTH <= len`.
    unsafe {
        let mut acc = [V::zero(); N];
        for pair in pairs.chunks_exact(2) {
            let from = slots.at(pair[0], done);
            let c = V::coefficient(pair[1] as u8);
            for (i, a) in acc.iter_mut().enumerate() {
                *a = a.xor(V::load(from.add(i * V::WIDTH)).mul(c));
            }
        }
        let to = slots.at(dst, done);
        for (i, a) in acc.iter().enumerate() {
            a.store(to.add(i * V::WIDTH));
        }
    }
}

/// How many places ahead memory is asked for: its latency over the time of a copy.
const AHEAD: usize = 8;

/// # Safety
/// The machine has the instructions of `V`; every place has its slot, and its symbol lies in the memory at `from`.
#[inline(always)]
pub unsafe fn load<V: Vector>(slots: Slots, from: *const u8, places: &[Place], strip: Strip) {
    for (i, place) in places.iter().enumerate() {
        // SAFETY: as promised, for this place and for the one ahead, which is only a hint.
        unsafe {
            if let Some(next) = places.get(i + AHEAD) {
                let at = from.add(next.symbol as usize * strip.symbol_len + strip.offset);
                (0..strip.len).step_by(64).for_each(|line| V::prefetch(at.add(line)));
            }
            let at = from.add(place.symbol as usize * strip.symbol_len + strip.offset);
            copy::<V>(at, slots.at(place.slot, 0), strip.len);
        }
    }
}

/// # Safety
/// The machine has the instructions of `V`; every piece has its slot, and holds the columns of the strip.
#[inline(always)]
pub unsafe fn load_pieces<V: Vector>(slots: Slots, pieces: &[Piece<'_>], strip: Strip) {
    for (i, piece) in pieces.iter().enumerate() {
        // SAFETY: as promised, for this piece and for the one ahead, which is only a hint.
        unsafe {
            if let Some(next) = pieces.get(i + AHEAD) {
                let at = next.bytes.as_ptr().add(strip.offset);
                (0..strip.len).step_by(64).for_each(|line| V::prefetch(at.add(line)));
            }
            copy::<V>(piece.bytes.as_ptr().add(strip.offset), slots.at(piece.slot, 0), strip.len);
        }
    }
}

/// # Safety
/// The machine has the instructions of `V`; `len` bytes at `from` can be read, and at `to` written, which are apart.
#[inline(always)]
unsafe fn copy<V: Vector>(from: *const u8, to: *mut u8, len: usize) {
    let mut done = 0;
    // SAFETY: as promised; `done` stays below `len`.
    unsafe {
        while done + V::WIDTH <= len {
            V::load(from.add(done)).store(to.add(done));
            done += V::WIDTH;
        }
        while done < len {
            *to.add(done) = *from.add(done);
            done += 1;
        }
    }
}

/// # Safety
/// As [`load`], and nobody else uses the memory at `to`.
#[inline(always)]
pub unsafe fn store<V: Vector>(slots: Slots, to: *mut u8, places: &[Place], strip: Strip, stream: bool) {
    for place in places {
        // SAFETY: as promised, for this place; streaming only where the address is a multiple of the width.
        unsafe {
            let at = to.add(place.symbol as usize * strip.symbol_len + strip.offset);
            let from = slots.at(place.slot, 0);
            let mut done = 0;
            if stream && at.addr().is_multiple_of(V::WIDTH) {
                while done + V::WIDTH <= strip.len {
                    V::load(from.add(done)).stream(at.add(done));
                    done += V::WIDTH;
                }
            }
            copy::<V>(from.add(done), at.add(done), strip.len - done);
        }
    }
    V::fence();
}

/// Eight bytes in a word.
#[derive(Clone, Copy)]
pub struct Portable(u64);

impl Vector for Portable {
    const WIDTH: usize = 8;
    type Coefficient = u8;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self(0)
    }
    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: eight bytes can be read, as the trait asks.
        Self(unsafe { at.cast::<u64>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut u8) {
        // SAFETY: eight bytes can be written, as the trait asks.
        unsafe { at.cast::<u64>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
    #[inline(always)]
    unsafe fn coefficient(c: u8) -> u8 {
        c
    }
    #[inline(always)]
    unsafe fn mul(self, c: u8) -> Self {
        let table = &NIBBLES[c as usize];
        let product = |b: u8| table[(b & 15) as usize] ^ table[16 + (b >> 4) as usize];
        Self(u64::from_ne_bytes(self.0.to_ne_bytes().map(product)))
    }
}
