//! What PeerEdge machines say to each other: ids, time, seeded randomness, limits, the codec, and two vocabularies of messages.
//!
//! - [`relay`] holds what a peer and its relay exchange over one WebSocket.
//! - [`peer`] holds what two peers exchange over one data channel.
//!
//! Every message is one binary frame: a tag byte, then fields of explicit width in little-endian order. Decoding never
//! panics and never allocates more than the frame itself holds.
#![forbid(unsafe_code)]

mod codec;
pub mod dice;
mod id;
pub mod limits;
mod link;
pub mod peer;
pub mod relay;
mod time;

pub use codec::{DecodeError, Reader, Writer};
pub use dice::SplitMix64;
pub use id::{ConnectionId, ContentId, IdError, PeerId, RequestId, Token};
pub use link::{Link, LinkError};
pub use time::Time;

/// Version of both vocabularies. Peers of different versions are not introduced to each other.
pub const PROTOCOL_VERSION: u16 = 3;
