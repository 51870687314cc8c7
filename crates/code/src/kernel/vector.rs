//! The loop that runs a program, once for every kind of vector.

use super::program::{Place, SCALED, Strip};
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
            let to = slots.at(place.slot, 0);
            let mut done = 0;
            while done + V::WIDTH <= strip.len {
                V::load(at.add(done)).store(to.add(done));
                done += V::WIDTH;
            }
            while done < strip.len {
                *to.add(done) = *at.add(done);
                done += 1;
            }
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
            while done + V::WIDTH <= strip.len {
                V::load(from.add(done)).store(at.add(done));
                done += V::WIDTH;
            }
            while done < strip.len {
                *at.add(done) = *from.add(done);
                done += 1;
            }
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

#[cfg(target_arch = "x86_64")]
pub mod x86 {
    //! AVX2, and AVX-512 with GFNI.

    use super::{NIBBLES, Vector};
    use crate::kernel::Level;
    use core::arch::x86_64::*;
    use core::sync::atomic::{AtomicU8, Ordering};

    /// 0 until the processor was asked, then the level's number. Asking is slow, above all in a virtual machine, which
    /// traps it; asking twice at once does no harm.
    static FOUND: AtomicU8 = AtomicU8::new(0);

    /// What the processor has.
    #[inline]
    pub fn detect() -> Level {
        match FOUND.load(Ordering::Relaxed) {
            1 => Level::Portable,
            2 => Level::Avx2,
            3 => Level::Avx512,
            _ => {
                let level = ask();
                let number = match level {
                    Level::Portable => 1,
                    Level::Avx2 => 2,
                    Level::Avx512 => 3,
                };
                FOUND.store(number, Ordering::Relaxed);
                level
            }
        }
    }

    /// Asks the processor, and whether the system saves the wide registers.
    #[cold]
    fn ask() -> Level {
        if __cpuid(0).eax < 7 {
            return Level::Portable;
        }
        let (one, seven) = (__cpuid(1), __cpuid_count(7, 0));
        let osxsave = one.ecx & (1 << 27) != 0;
        // SAFETY: XGETBV exists when OSXSAVE says so.
        let saved = if osxsave { unsafe { xgetbv() } } else { 0 };
        let avx2 = saved & 0x6 == 0x6 && one.ecx & (1 << 28) != 0 && seven.ebx & (1 << 5) != 0;
        let avx512 = saved & 0xe6 == 0xe6 && seven.ebx & (1 << 16) != 0 && seven.ebx & (1 << 30) != 0;
        let gfni = seven.ecx & (1 << 8) != 0;
        if avx2 && avx512 && gfni {
            Level::Avx512
        } else if avx2 {
            Level::Avx2
        } else {
            Level::Portable
        }
    }

    /// # Safety
    /// CPUID says OSXSAVE.
    #[target_feature(enable = "xsave")]
    unsafe fn xgetbv() -> u64 {
        // SAFETY: as the caller promises.
        unsafe { _xgetbv(0) }
    }

    /// The loops compiled for one level; each asks what the loop it names asks.
    macro_rules! compiled {
        ($module:ident, $vector:ident, $features:literal) => {
            #[allow(
                clippy::missing_safety_doc,
                clippy::undocumented_unsafe_blocks,
                reason = "said above, once"
            )]
            pub mod $module {
                use super::super::{self as vector, Place, Slots, Strip};
                use super::$vector;

                #[target_feature(enable = $features)]
                pub unsafe fn run(words: &[u32], slots: Slots) {
                    unsafe { vector::run::<$vector>(words, slots) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn load(slots: Slots, from: *const u8, places: &[Place], strip: Strip) {
                    unsafe { vector::load::<$vector>(slots, from, places, strip) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn store(slots: Slots, to: *mut u8, places: &[Place], strip: Strip, stream: bool) {
                    unsafe { vector::store::<$vector>(slots, to, places, strip, stream) }
                }
            }
        };
    }

    compiled!(avx2, Avx2, "avx2");
    compiled!(avx512, Avx512, "avx512f,avx512bw,gfni");

    // SAFETY, for both: each intrinsic needs only what the trait's method already asks of its caller.

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256i);

    #[allow(clippy::undocumented_unsafe_blocks, reason = "said once above, for all of them")]
    impl Vector for Avx2 {
        const WIDTH: usize = 32;
        type Coefficient = (__m256i, __m256i);
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(unsafe { _mm256_setzero_si256() })
        }
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            Self(unsafe { _mm256_loadu_si256(at.cast()) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            unsafe { _mm256_storeu_si256(at.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn stream(self, at: *mut u8) {
            unsafe { _mm256_stream_si256(at.cast(), self.0) }
        }
        #[inline(always)]
        fn prefetch(at: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
        #[inline(always)]
        fn fence() {
            unsafe { _mm_sfence() }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            Self(unsafe { _mm256_xor_si256(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn coefficient(c: u8) -> Self::Coefficient {
            let table = &NIBBLES[c as usize];
            unsafe {
                let low = _mm_loadu_si128(table.as_ptr().cast());
                let high = _mm_loadu_si128(table.as_ptr().add(16).cast());
                (_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high))
            }
        }
        #[inline(always)]
        unsafe fn mul(self, (low, high): Self::Coefficient) -> Self {
            unsafe {
                let mask = _mm256_set1_epi8(15);
                let l = _mm256_and_si256(self.0, mask);
                let h = _mm256_and_si256(_mm256_srli_epi64(self.0, 4), mask);
                Self(_mm256_xor_si256(_mm256_shuffle_epi8(low, l), _mm256_shuffle_epi8(high, h)))
            }
        }
    }

    #[derive(Clone, Copy)]
    pub struct Avx512(__m512i);

    #[allow(clippy::undocumented_unsafe_blocks, reason = "said once above, for all of them")]
    impl Vector for Avx512 {
        const WIDTH: usize = 64;
        type Coefficient = __m512i;
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(unsafe { _mm512_setzero_si512() })
        }
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            Self(unsafe { _mm512_loadu_si512(at.cast()) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            unsafe { _mm512_storeu_si512(at.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn stream(self, at: *mut u8) {
            unsafe { _mm512_stream_si512(at.cast(), self.0) }
        }
        #[inline(always)]
        fn prefetch(at: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
        #[inline(always)]
        fn fence() {
            unsafe { _mm_sfence() }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            Self(unsafe { _mm512_xor_si512(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn coefficient(c: u8) -> __m512i {
            unsafe { _mm512_set1_epi8(c as i8) }
        }
        #[inline(always)]
        unsafe fn mul(self, c: __m512i) -> Self {
            Self(unsafe { _mm512_gf2p8mul_epi8(self.0, c) })
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub mod neon {
    //! NEON.

    use super::{NIBBLES, Vector};
    use core::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub struct Neon(uint8x16_t);

    // SAFETY of each block: every aarch64 has NEON; loads and stores are in bounds as the trait asks.
    #[allow(clippy::undocumented_unsafe_blocks, reason = "said once above, for all of them")]
    #[allow(unused_unsafe, reason = "which intrinsics are unsafe depends on the compiler's version")]
    impl Vector for Neon {
        const WIDTH: usize = 16;
        type Coefficient = (uint8x16_t, uint8x16_t);
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(unsafe { vdupq_n_u8(0) })
        }
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            Self(unsafe { vld1q_u8(at) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            unsafe { vst1q_u8(at, self.0) }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            Self(unsafe { veorq_u8(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn coefficient(c: u8) -> Self::Coefficient {
            let table = NIBBLES[c as usize].as_ptr();
            unsafe { (vld1q_u8(table), vld1q_u8(table.add(16))) }
        }
        #[inline(always)]
        unsafe fn mul(self, (low, high): Self::Coefficient) -> Self {
            unsafe {
                let l = vqtbl1q_u8(low, vandq_u8(self.0, vdupq_n_u8(15)));
                Self(veorq_u8(l, vqtbl1q_u8(high, vshrq_n_u8::<4>(self.0))))
            }
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod wasm {
    //! WebAssembly's fixed-width SIMD.

    use super::{NIBBLES, Vector};
    use core::arch::wasm32::*;

    #[derive(Clone, Copy)]
    pub struct Simd128(v128);

    impl Vector for Simd128 {
        const WIDTH: usize = 16;
        type Coefficient = (v128, v128);
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(u64x2_splat(0))
        }
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            // SAFETY: sixteen bytes can be read, as the trait asks.
            Self(unsafe { v128_load(at.cast()) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            // SAFETY: sixteen bytes can be written, as the trait asks.
            unsafe { v128_store(at.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            Self(v128_xor(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn coefficient(c: u8) -> Self::Coefficient {
            let table = NIBBLES[c as usize].as_ptr();
            // SAFETY: the table has 32 bytes.
            unsafe { (v128_load(table.cast()), v128_load(table.add(16).cast())) }
        }
        #[inline(always)]
        unsafe fn mul(self, (low, high): Self::Coefficient) -> Self {
            let l = i8x16_swizzle(low, v128_and(self.0, u8x16_splat(15)));
            Self(v128_xor(l, i8x16_swizzle(high, u8x16_shr(self.0, 4))))
        }
    }
}
