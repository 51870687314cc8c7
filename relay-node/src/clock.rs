//! The process clock.

use peeredge_wire::Time;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machines' time: monotonic, from this process's first call on.
pub fn now() -> Time {
    Time::ZERO + ORIGIN.elapsed()
}

/// When a machine's deadline is, for the runtime's timers.
pub fn instant(time: Time) -> tokio::time::Instant {
    // A year is as good as never, and cannot overflow.
    let since = Duration::from_micros(time.as_micros()).min(Duration::from_secs(365 * 24 * 3600));
    (*ORIGIN + since).into()
}
