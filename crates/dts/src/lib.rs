//! PeerDTS, the transmission: what a content is, how its symbols are chosen, asked for, verified, put together and served.
//!
//! This crate knows nothing of connections, prices or tasks. Sources are numbers, and how fast they are is told from outside.
#![forbid(unsafe_code)]

mod bitmap;
mod layout;
mod manifest;
mod publisher;
mod state;

pub use bitmap::Bitmap;
pub use layout::{HASH_BYTES, Layout, LayoutError};
pub use manifest::{Hash, Manifest, ManifestError, Record};
pub use publisher::{PublishError, Published, Publisher};
pub use state::StoredState;
