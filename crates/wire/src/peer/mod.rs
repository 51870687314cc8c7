//! What two peers say over one data channel, each message one binary frame of at most
//! [`PEER_FRAME_BYTES_MAX`](crate::limits::PEER_FRAME_BYTES_MAX) bytes.
//!
//! Both sides open with [`PeerMessage::Greet`]. A receiver subscribes to a content, is told what the other side holds of
//! it and hears of changes; it asks for the manifest, for records, and with wants for symbols. A sender keeps nothing about a
//! receiver but a bounded queue of wants, so a want may go to any holder, and to another one when the first has left.

mod message;
mod pick;

pub use message::{Marker, PeerMessage, RefuseReason};
pub use pick::Pick;
