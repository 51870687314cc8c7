//! PeerHVM: tasks that give the same output and the same gas on every host, and the [`Units`] in which every device is described.
//!
//! | module | what it owns |
//! |---|---|
//! | [`task`] | what a task may use, how it can end, what it is between two steps |
//! | `units` | the standard units of a device |
#![forbid(unsafe_code)]

pub mod task;
mod units;

pub use task::{Checkpoint, End, Limits, Outcome};
pub use units::{BytesPerS, Units};
