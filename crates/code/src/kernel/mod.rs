//! The only loops over symbol bytes, and the only `unsafe` of the crate.
//!
//! A [`Program`] is a list of sums over slots. A tile gives every slot `width` bytes, next to each other, so that
//! all of a program's operands stay in a cache however far apart the symbols lie in memory; a block is worked off
//! tile by tile (Uezato, SC'21, shows why that is where the speed is).

mod program;
mod vector;

pub use program::{Piece, Place, Places, Program, Strip, Stripe, Tile, cut_columns, tile_len, tile_width};

/// Memory larger than this is written past the caches, in bytes.
pub const STREAM_FROM: usize = 8 << 20;

/// Which instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain Rust on 64-bit words.
    #[cfg_attr(
        any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")),
        allow(dead_code, reason = "these always have something wider")
    )]
    Portable,
    /// AVX2: 32-byte vectors, products by two byte shuffles.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with GFNI: 64-byte vectors, products in one instruction.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, part of every aarch64.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// WebAssembly's fixed-width SIMD, when compiled in: a module cannot ask for it at run time.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
}

impl Level {
    /// The widest that this machine has. Under Miri, where no processor can be asked, what it was compiled for.
    pub fn detect() -> Self {
        #[cfg(all(miri, target_arch = "x86_64", target_feature = "avx512bw", target_feature = "gfni"))]
        return Self::Avx512;
        #[cfg(all(
            miri,
            target_arch = "x86_64",
            target_feature = "avx2",
            not(target_feature = "avx512bw")
        ))]
        return Self::Avx2;
        #[cfg(all(miri, target_arch = "x86_64", not(target_feature = "avx2")))]
        return Self::Portable;
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        return vector::x86::detect();
        #[cfg(target_arch = "aarch64")]
        return Self::Neon;
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Self::Simd128;
        #[cfg(not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            all(target_arch = "wasm32", target_feature = "simd128")
        )))]
        return Self::Portable;
    }

    /// Every level that this machine can run, the portable one first.
    #[cfg(test)]
    pub fn available() -> alloc::vec::Vec<Self> {
        #[allow(unused_mut, reason = "only some machines have more than one")]
        let mut levels = alloc::vec![Self::Portable];
        let best = Self::detect();
        #[cfg(target_arch = "x86_64")]
        if best == Self::Avx512 {
            levels.push(Self::Avx2);
        }
        if best != Self::Portable {
            levels.push(best);
        }
        levels
    }
}
