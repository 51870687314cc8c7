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
pub use from_relay::{ErrorCode, FromRelay, SignalRefusal};
pub use receipt::Receipt;
pub use tasks::{
    Blob, TaskAssurance, TaskFromRelay, TaskLimits, TaskMark, TaskOf, TaskRefusal, TaskRequest, TaskToRelay,
};
pub use to_relay::{Holding, Report, ToRelay};

use crate::{PeerId, Writer};

/// The bytes that a peer signs with its Ed25519 key (RFC 8032) to prove it: bound to this challenge, to this relay, and to the
/// address by which the peer reached it, so that a relay in between cannot pass the proof on as its own.
pub fn hello_payload(nonce: &[u8; 32], relay: &PeerId, authority: &str) -> Vec<u8> {
    // A tag is one byte; the text's first one stands for it.
    let (first, text) = b"peeredge hello v2".split_at(1);
    Writer::new(first[0], 96).raw(text).raw(nonce).raw(&relay.0).short_text(authority).finish()
}
