//! PeerRouting: who should serve whom. [`perception`] learns how wide a channel is from what flows through it.
//!
//! Absent on purpose: this crate knows no sockets, no message formats and no content bytes.
#![forbid(unsafe_code)]

pub mod perception;
