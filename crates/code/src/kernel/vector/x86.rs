//! AVX2, and AVX-512 with GFNI.

use super::{NIBBLES, Vector};
use crate::kernel::Level;
use core::arch::x86_64::*;
use core::sync::atomic::{AtomicU8, Ordering};

/// 0 until the processor was asked, then the level's number. Asking is slow, above all in a virtual machine, which
/// traps it; asking twice at once does no harm.
static FOUND: AtomicU8 = AtomicU8::new(0);

/// What the processor has.
#[cfg(not(miri))]
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
#[cfg(not(miri))]
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
#[cfg(not(miri))]
#[target_feature(enable = "xsave")]
unsafe fn xgetbv() -> u64 {
    // SAFETY: as the caller promises.
    unsafe { _xgetbv(0) }
}

/// The loops compiled for one level; each asks what the loop it names asks.
macro_rules! compiled {
    ($module:ident, $vector:ident, $features:literal) => {
        #[allow(clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks, reason = "said above, once")]
        pub mod $module {
            use super::super::{self as vector, Piece, Place, Slots, Strip};
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
            pub unsafe fn load_pieces(slots: Slots, pieces: &[Piece<'_>], strip: Strip) {
                unsafe { vector::load_pieces::<$vector>(slots, pieces, strip) }
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
        // Miri knows no stores past caches.
        unsafe { if cfg!(miri) { self.store(at) } else { _mm256_stream_si256(at.cast(), self.0) } }
    }
    #[inline(always)]
    fn prefetch(at: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    fn fence() {
        if !cfg!(miri) {
            unsafe { _mm_sfence() }
        }
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
        // Miri knows no stores past caches.
        unsafe { if cfg!(miri) { self.store(at) } else { _mm512_stream_si512(at.cast(), self.0) } }
    }
    #[inline(always)]
    fn prefetch(at: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    fn fence() {
        if !cfg!(miri) {
            unsafe { _mm_sfence() }
        }
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
