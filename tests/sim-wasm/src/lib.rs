//! The simulated world behind a C ABI without any import, so that bare Node can run it: `check.mjs` compares the traces.

use peeredge_sim::{Scenario, run};

/// Plays the mixed scenario with the seed `high * 2^32 + low`. Gives the address of its trace hash, 32 bytes that stay there
/// for good.
// SAFETY: no other symbol of this name is linked into the module.
#[unsafe(no_mangle)]
pub extern "C" fn trace_hash(low: u32, high: u32) -> *const u8 {
    let seed = u64::from(high) << 32 | u64::from(low);
    let hash: &'static [u8; 32] = Box::leak(Box::new(run(Scenario::mixed(seed)).trace_hash));
    hash.as_ptr()
}
