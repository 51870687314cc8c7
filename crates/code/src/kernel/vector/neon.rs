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
