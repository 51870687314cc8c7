//! Who serves whom.
//!
//! - [`introductions`] chooses whom a tracker introduces to whom.
//! - [`horizon`] makes budgets last when decisions cannot be taken back.
//! - [`market`] gives demands to nodes by prices, one change at a time, and says how far from the optimum it may be.

pub mod horizon;
pub mod introductions;
pub mod market;

pub use introductions::{Introduction, MatchSettings, Matcher};

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
