//! What every host and every judge of a task agrees on: how much it may use, how it can end, what it is between two steps.
mod checkpoint;
mod limits;
mod outcome;

pub use checkpoint::{CHECKPOINT_GLOBALS_MAX, Checkpoint, PAGE_BYTES, hash};
pub use limits::Limits;
pub use outcome::{End, Outcome};
