//! Tasks on a native node: as the relay's referee, as `peeredge work`, and handed in by `peeredge run`.

mod asked;
pub(crate) mod compiler;
mod contents;
mod desk;
mod marks;
mod peer;

pub use asked::{Ran, Request, RunError};
pub use desk::{Computed, Desk};
pub use peer::{NativePeer, PeerError};
