//! Replicas placed before they are asked for.
//!
//! - [`target`] says how much upload a content should have, and when: from a forecast, or from what is asked for now, whichever
//!   has cost less of late.
//! - [`pack`] says which nodes hold it.
//!
//! What is to be large is U: useful bytes served in time over upload bytes rented, the time of fills included.
pub mod pack;
pub mod target;

pub use pack::{Need, Node, Order, Placement};
pub use target::{Capacity, Decision, TargetSettings, Targets};
