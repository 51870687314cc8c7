//! PeerHVM: tasks that give the same output and the same gas on every host, and the [`Units`] in which every device is described.
//!
//! | module | what it owns |
//! |---|---|
//! | [`task`] | what a task may use, how it can end, what it is between two steps |
//! | `units` | the standard units of a device |
//! | `meter` | how fast a device computes, from verified work |
//! | `duty` | what a visitor gives of a device, and when it pauses |
//! | `receipt` | what a worker signs for |
#![forbid(unsafe_code)]

mod duty;
mod meter;
mod receipt;
pub mod task;
mod units;

pub use duty::{Conditions, Duty, Pause};
pub use meter::Meter;
pub use receipt::{Answer, Claim, Receipt, ReceiptError};
pub use task::{Checkpoint, End, Limits, Outcome};
pub use units::{Availability, BytesPerS, GasPerS, Units};
