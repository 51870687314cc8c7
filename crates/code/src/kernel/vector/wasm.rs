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
