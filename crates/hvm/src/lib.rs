//! PeerHVM: tasks that give the same output and the same gas on every host, and the [`Units`] in which every device is described.
//!
//! | module | what it owns |
//! |---|---|
//! | [`task`] | what a task may use, how it can end, what it is between two steps |
//! | [`rewrite`] | the deterministic rewrite of a module that counts gas and bounds the rest |
//! | `units` | the standard units of a device |
//! | `meter` | how fast a device computes, from verified work |
//! | `duty` | what a visitor gives of a device, and when it pauses |
//! | `receipt` | what a worker signs for |
//! | `record` | what a worker's past is worth |
//! | `returning` | how often strangers return what they take |
//! | `evidence` | policy: how much a verified result adds to it |
//! | [`audit`] | policy: when a result is believed |
//! | [`schedule`] | policy: who takes a run |
//! | `by_owner` | things of many owners, drawn by owner |
//! | `pool`, `queue`, `lease` | state: the workers, the tasks that wait, the runs that were given |
//! | [`dispatch`] | the machine that joins them |
#![forbid(unsafe_code)]

pub mod audit;
mod by_owner;
pub mod dispatch;
mod duty;
mod evidence;
mod lease;
mod meter;
mod pool;
mod queue;
mod receipt;
mod record;
mod returning;
pub mod rewrite;
pub mod schedule;
pub mod task;
mod units;

pub use audit::Assurance;
pub use dispatch::{
    Believed, Dispatch, DispatchInput, DispatchOutput, DispatchSettings, DispatchStats, GivenUp, Submission,
};
pub use duty::{Conditions, Duty, Pause};
pub use evidence::EvidenceSettings;
pub use lease::{LeaseId, Mark};
pub use meter::Meter;
pub use pool::{Owner, Pool, Worker, WorkerId};
pub use queue::{Queue, TaskId};
pub use receipt::{Answer, Claim, Receipt, ReceiptError, name_of_input};
pub use record::Record;
pub use rewrite::{Refused, Rewritten, instrument};
pub use schedule::{Candidate, Need};
pub use task::{Checkpoint, End, Limits, Outcome};
pub use units::{Availability, BytesPerS, GasPerS, Units};
