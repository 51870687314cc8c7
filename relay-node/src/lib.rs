//! Native shell of PeerEdge: sockets, files and clocks around the pure machines.
//!
//! | module | what it owns |
//! |---|---|
//! | [`cli`] | the command line: words to calls, calls to exit codes |
//! | [`config`] | every setting, once, and where its value came from |
//! | [`serve`] | the relay: starts and stops everything below |
//! | [`http`] | the port: contents, health, static files, WebSockets |
//! | [`hub`] | the tracker and a mailbox for each connection to it |
//! | [`store`] | records in redb, contents as sparse files |
//! | [`names`] | strangers' names as names of files |
//! | [`publish`] | a file becomes a content |
//! | [`pulse`] | whether every loop still turns |
//! | [`owner`] | who stands behind an address, and a pace for each |
//! | [`own_file`] | small files of its own, whatever else lies in their place |
//! | [`peer`] | one node against the world: relay, WebRTC, store, HTTP |
//! | [`get`] | `peeredge get`: one content into one file |
//! | [`rtc`] | WebRTC data channels |
//! | [`say`] | lines for whoever started the command |
//! | [`tasks`] | tasks: run for others, and handed in |
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod get;
pub mod http;
pub mod hub;
pub mod log;
pub mod metrics;
pub mod names;
pub mod own_file;
pub mod owner;
pub mod peer;
pub mod publish;
pub mod pulse;
pub mod rtc;
pub mod say;
pub mod serve;
pub mod store;
pub mod tasks;
