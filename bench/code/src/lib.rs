//! Every codec behind one trait, so that one program times them in turn; and the same for a wasm module.

pub mod codecs;
#[cfg(not(target_arch = "wasm32"))]
pub mod count;
pub mod ours;

use codecs::{RaptorQ, RsSimd};
use ours::Ours;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// All parity and 20 % repair symbols from a block in memory.
    Encode,
    /// The block from 80 % of its source symbols and repair symbols, all in memory.
    Decode20,
    /// The block from repair symbols alone.
    DecodeAll,
}

/// All of them, in the order of the wasm interface.
pub const WORKS: [Work; 3] = [Work::Encode, Work::Decode20, Work::DecodeAll];

/// One codec with its inputs for one block.
pub trait Codec {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// Whether it can do this work at this size.
    fn can(&self, work: Work) -> bool;
    /// Makes the inputs of the next run; not timed.
    fn prepare(&mut self, work: Work);
    /// The work; timed.
    fn run(&mut self, work: Work);
    /// Whether the last run gave the right bytes.
    fn check(&self, work: Work) -> bool;
}

/// One block and what is lost of it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Source symbols.
    pub k: usize,
    /// Symbol length, bytes.
    pub t: usize,
    /// The block.
    pub block: Vec<u8>,
    /// Which source symbols are missing in [`Work::Decode20`].
    pub missing: Vec<bool>,
    /// Repair symbols, a fifth of `k` rounded up: as many as are missing.
    pub repair: usize,
}

impl Input {
    /// A block of pseudo-random bytes, a fifth of its symbols lost, all from `seed`.
    pub fn new(k: usize, t: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let mut block = vec![0; k * t];
        for word in block.chunks_mut(8) {
            word.copy_from_slice(&next().to_le_bytes()[..word.len()]);
        }
        let repair = k.div_ceil(5);
        let mut order: Vec<usize> = (0..k).collect();
        for i in 0..repair {
            let j = i + (next() % (k - i) as u64) as usize;
            order.swap(i, j);
        }
        let mut missing = vec![false; k];
        order[..repair].iter().for_each(|&i| missing[i] = true);
        Self { k, t, block, missing, repair }
    }

    /// A source symbol.
    pub fn symbol(&self, index: usize) -> &[u8] {
        &self.block[index * self.t..][..self.t]
    }
}

/// Makes the codec of this number: 0 ours, 1 raptorq, 2 reed-solomon-simd.
pub fn codec(number: u32, input: &Input) -> Box<dyn Codec> {
    match number {
        0 => Box::new(Ours::new(input.clone())),
        1 => Box::new(RaptorQ::new(input.clone())),
        _ => Box::new(RsSimd::new(input.clone())),
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    //! A case is a leaked box; JavaScript holds its address and takes the time.

    use super::{Codec, Input, WORKS, codec};

    struct Case(Box<dyn Codec>);

    #[unsafe(no_mangle)]
    extern "C" fn case_new(number: u32, k: u32, t: u32, seed: u32) -> *mut Case {
        let input = Input::new(k as usize, t as usize, u64::from(seed));
        Box::into_raw(Box::new(Case(codec(number, &input))))
    }

    /// # Safety
    /// `case` came from `case_new` and was not dropped.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn case_can(case: *mut Case, work: usize) -> bool {
        // SAFETY: as promised; JavaScript calls one function at a time.
        unsafe { (*case).0.can(WORKS[work]) }
    }

    /// # Safety
    /// As [`case_can`].
    #[unsafe(no_mangle)]
    unsafe extern "C" fn case_prepare(case: *mut Case, work: usize) {
        // SAFETY: as promised.
        unsafe { (*case).0.prepare(WORKS[work]) }
    }

    /// # Safety
    /// As [`case_can`].
    #[unsafe(no_mangle)]
    unsafe extern "C" fn case_run(case: *mut Case, work: usize) {
        // SAFETY: as promised.
        unsafe { (*case).0.run(WORKS[work]) }
    }

    /// # Safety
    /// As [`case_can`].
    #[unsafe(no_mangle)]
    unsafe extern "C" fn case_check(case: *mut Case, work: usize) -> bool {
        // SAFETY: as promised.
        unsafe { (*case).0.check(WORKS[work]) }
    }

    /// # Safety
    /// As [`case_can`]; `case` is gone afterwards.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn case_drop(case: *mut Case) {
        // SAFETY: as promised.
        drop(unsafe { Box::from_raw(case) });
    }
}
