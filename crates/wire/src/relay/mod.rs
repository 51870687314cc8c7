//! What a peer and its relay say over one WebSocket, each message one binary WebSocket message.
//!
//! The relay opens with [`FromRelay::Challenge`]; the peer proves its key with [`ToRelay::Hello`]; from
//! [`FromRelay::Welcome`] on, either side speaks when it has something to say. Anything before that, but for the hello, is an error.
//!
//! Where two peers find no path, their messages may pass through the relay, cut into pieces: one opens a session
//! ([`ToRelay::CarryOpen`]), the other takes it by giving credit ([`ToRelay::CarryCredit`]), and either sends no more pieces than
//! it has credit for. The relay carries them unread between two peer ids, never to an address, meters them and caps them.

mod carry;
mod from_relay;
mod receipt;
mod tasks;
mod to_relay;

pub use carry::CarryEnd;
pub use from_relay::{ErrorCode, FromRelay};
pub use receipt::Receipt;
pub use tasks::{
    Blob, TaskAssurance, TaskFromRelay, TaskLimits, TaskMark, TaskRefusal, TaskRequest, TaskToRelay,
};
pub use to_relay::{Report, ToRelay};

use crate::PeerId;

/// The bytes that a peer signs with its Ed25519 key (RFC 8032) to prove it: bound to this relay and this challenge.
pub fn hello_payload(nonce: &[u8; 32], relay: &PeerId) -> Vec<u8> {
    [b"peeredge hello v1".as_slice(), nonce, &relay.0].concat()
}
