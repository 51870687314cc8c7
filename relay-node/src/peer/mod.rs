//! Runs one node against the world: relay, WebRTC, store, HTTP. The relay's own peer and `peeredge get` are both this.

mod connect;
mod driver;
mod http;
mod link;

pub use connect::{Endpoint, EndpointError};
pub use driver::{Driver, Handle, Parts};
pub use http::HttpSource;
pub use link::RelayLink;
