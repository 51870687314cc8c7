//! One relay's mind as a pure machine: it proves keys, keeps the registry, introduces peers, carries their signals unread, and
//! remembers blames. WebSockets, clocks and the byte-moving node belong to the shell around it.
//!
//! Trust: a peer is its proved key and nothing more. What it announces and reports is its claim. Signals go only between two that
//! were introduced, never to an address. One peer's flood, garbage or silence costs only itself: what can be taken has a bound per
//! connection and one per owner, and inputs are handled one at a time in time bounded by the limits in [`TrackerConfig`].
#![forbid(unsafe_code)]

mod ahead;
mod blame;
mod bucket;
mod carry;
mod config;
mod io;
mod live;
mod meetings;
mod owners;
mod purse;
mod standing;
mod stats;
mod tasks;
mod tracker;

pub use ahead::{AheadSettings, AheadStats};
pub use config::{CarrySettings, OwnerSettings, SignalSettings, TrackerConfig, TrustSettings};
pub use io::{ConnId, TrackerInput, TrackerOutput};
pub use peeredge_hvm::{DispatchSettings, DispatchStats};
pub use peeredge_routing::matching::{MarketPicture, MatchSettings, Terms};
pub use purse::{Publisher, PurseStats};
pub use stats::TrackerStats;
pub use tasks::TaskQuotas;
pub use tracker::Tracker;
