//! PeerRouting: who should serve whom.
//!
//! - [`perception`] learns how wide a channel is from what flows through it; a [`Pipe`] bounds what is under way on one.
//! - [`chain`] tells what bounds a channel: the receiver's downlink, a sender's uplink, or its own path.
//! - [`handshake`] learns whose connections open.
//! - [`deploy`] places replicas before they are asked for.
//! - [`forecast`] foresees how much of a content will be asked for.
//! - [`links`] learns how fast a sender will be for a receiver, from links that have ended.
//! - [`prior`] says what to expect of a channel that has carried nothing yet.
//! - [`registry`] knows who announced what.
//! - [`matching`] chooses whom to introduce to whom.
//!
//! Absent on purpose: this crate knows no sockets, no message formats and no content bytes; a member is a number to it.
#![forbid(unsafe_code)]

pub mod chain;
pub mod deploy;
mod errors;
pub mod forecast;
pub mod handshake;
pub mod links;
mod load;
pub mod matching;
pub mod perception;
mod pipe;
pub mod prior;
pub mod registry;

pub use chain::{Chain, Limit};
pub use perception::{Rate, RateEstimator};
pub use pipe::Pipe;
pub use prior::Prior;
