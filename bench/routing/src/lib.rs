//! PeerRouting measured on real traces, beside the simple methods. Each part is a module with one function,
//! `pub fn run(setting: &Setting) -> Report`, named in [`PARTS`].

pub mod channels;
pub mod data;
pub mod deploy;
pub mod dice;
pub mod handshake;
pub mod heap;
pub mod links;
pub mod matching;
pub mod online;
pub mod perception;
pub mod report;
pub mod sim;
pub mod tracker;

use report::Report;

/// What a run was asked for.
pub struct Setting {
    /// The seed of everything drawn at random.
    pub seed: u64,
    /// Fewer and smaller cases, for a first look.
    pub quick: bool,
    /// The long cases too.
    pub long: bool,
}

/// A part of the benchmark: its name on the command line, what it shows, and the function that measures it.
pub type Part = (&'static str, &'static str, fn(&Setting) -> Report);

/// All parts, in the order in which they run.
pub const PARTS: &[Part] = &[
    ("perception", "a channel's next rate, from what it has carried", perception::run),
    ("channels", "four mobile links at once, against the fluid bound", channels::run),
    ("handshake", "introductions in the order that was learned", handshake::run),
    ("matching", "prices for demands and nodes, beside simple rules", matching::run),
    ("deploy", "replicas placed ahead of demand", deploy::run),
    ("sim", "a hundred thousand peers and more", sim::run),
    ("online", "budgets that must last, demands one by one", online::run),
    ("tracker", "announces that one tracker takes", tracker::run),
    ("links", "which sender to choose, on real WebRTC links", links::run),
];
