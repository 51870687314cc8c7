//! How a run is stopped from outside.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const GO: u8 = 0;
const AT_STEP: u8 = 1;
const NOW: u8 = 2;

/// A hand on a run; clones hold the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// A hand that has not stopped anything.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Ends the run within some hundredths of a second: [`End::Cancelled`](peeredge_hvm::End::Cancelled).
    pub fn now(&self) {
        self.0.store(NOW, Ordering::Relaxed);
    }

    /// Ends the run after the step that it is at, with a checkpoint: [`End::Paused`](peeredge_hvm::End::Paused). A task that cannot
    /// move goes on.
    pub fn at_step(&self) {
        self.0.fetch_max(AT_STEP, Ordering::Relaxed);
    }

    pub(crate) fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOW
    }

    pub(crate) fn is_at_step(&self) -> bool {
        self.0.load(Ordering::Relaxed) != GO
    }
}
