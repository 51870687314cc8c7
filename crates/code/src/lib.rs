//! PeerDTS erasure code: rateless, systematic, linear in the block.
//!
//! A block is K source symbols. Any holder of the block makes any coded symbol from its id alone
//! ([`Encoder::write_coded`]); a receiver rebuilds the block from any mix of source and coded symbols whose count
//! is K, with a small chance of needing one more ([`Decoder`]). Nothing here verifies content: symbols that
//! contradict each other yield a wrong block, never a panic, and the caller checks the block against its hashes.
//!
//! `docs/erasure-code.md` describes the code well enough to implement it again.

#![no_std]

extern crate alloc;

mod decode;
mod encode;
mod encoding;
mod geometry;
mod gf256;
mod held;
mod kernel;
mod knowns;
mod part;
mod propose;
pub mod reference;
mod small;
mod solve;
mod structure;

pub use decode::{Cost, DecodeError, Decoder, Step};
pub use encode::{EncodeError, Encoder};
pub use encoding::Encoding;
pub use geometry::{Geometry, GeometryError, SOURCE_SYMBOLS_MAX, SYMBOL_LEN_MAX, SYMBOL_LEN_MIN};
pub use part::Part;
pub use structure::{CodedId, DENSITY_CLASSES};
