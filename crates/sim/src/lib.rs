//! A seeded world that runs the real [`peeredge_node::Node`] and [`peeredge_tracker::Tracker`] on simulated links.
//!
//! A [`Scenario`] says who is there, on which [`Link`], what they have and want, and what befalls them; [`run`] plays it and gives a
//! [`Report`]. All randomness comes from the scenario's seed and all arithmetic is exact, so that the same scenario gives the same
//! trace hash on every machine, in wasm too. Pages compare every byte that they are given with the content's.
//!
//! ```
//! use peeredge_sim::{Link, PeerSpec, Scenario, run};
//! let mut scenario = Scenario::new(1);
//! let content = scenario.content(100_000, false, false);
//! scenario.peer(PeerSpec::new(Link::HOME).publishing(content));
//! scenario.peer(PeerSpec::new(Link::HOME).wanting(content));
//! let report = run(scenario.clone());
//! assert_eq!(report.trace_hash, run(scenario).trace_hash);
//! ```
#![forbid(unsafe_code)]

pub mod crowd;
mod dice;
mod event;
mod library;
mod link;
#[cfg(test)]
mod narrow;
mod network;
mod page;
mod peer;
mod polluter;
mod report;
mod scenario;
mod trace;
mod world;

pub use peeredge_tracker::AheadSettings;
pub use report::{FetchEnd, FetchReport, PeerReport, Report};
pub use scenario::{Action, Churn, ContentSpec, Link, PeerSpec, Playback, Pollution, RelaySpec, Scenario};

/// Plays a scenario until nobody waits and nothing more is to happen from outside, or until its end.
///
/// # Panics
/// When the scenario names a content or a peer that it does not have, or a content larger than PeerEdge takes.
pub fn run(scenario: Scenario) -> Report {
    world::World::new(scenario).run()
}
