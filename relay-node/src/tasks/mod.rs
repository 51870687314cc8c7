//! Tasks on a native node: as the relay's referee, as `peeredge work`, and handed in by `peeredge run`.

mod desk;
mod marks;
mod peer;

pub use desk::{Computed, Desk, Ran, Request, RunError};
pub use peer::{NativePeer, PeerError};
