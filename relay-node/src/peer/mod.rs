//! Runs one node against the world: relay, WebRTC, store, HTTP. The relay's own peer and `peeredge get` are both this.

mod connect;
mod driver;
mod gate;
mod http;
mod link;
mod probe;
mod waiting;

pub use connect::{Endpoint, EndpointError};
pub use driver::{Driver, Handle, Parts};
pub use gate::{Gate, GateSettings};
pub use http::HttpSource;
pub use link::RelayLink;
pub use probe::{Probe, greet};
