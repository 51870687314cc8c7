//! The estimator of rates behind a C ABI without any import, so that bare Node can run it: `wasm.mjs` measures it.

use peeredge_routing::RateEstimator;
use peeredge_wire::Time;

/// An estimator that has seen nothing; it stays for good.
// SAFETY: no other symbol of this name is linked into the module.
#[unsafe(no_mangle)]
pub extern "C" fn estimator() -> *mut RateEstimator {
    Box::into_raw(Box::new(RateEstimator::new()))
}

/// A fragment of so many bytes has come at this time. Gives the rate that is expected from then on; 0 for none.
///
/// # Safety
/// `estimator` must come from [`estimator`].
// SAFETY: no other symbol of this name is linked into the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fragment(estimator: *mut RateEstimator, now_ms: f64, bytes: f64) -> f64 {
    // SAFETY: it was leaked by `estimator` and the host runs one call at a time.
    let estimator = unsafe { &mut *estimator };
    estimator.fragment(Time::from_millis(now_ms as u64), bytes as u64, true);
    estimator.rate().map_or(0.0, |rate| rate.bytes_per_s)
}
