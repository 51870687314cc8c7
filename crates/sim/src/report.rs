use peeredge_node::{FetchError, Stats};
use peeredge_tracker::TrackerStats;
use peeredge_wire::{PeerId, Time};

/// How a world went.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// BLAKE3 over everything that happened, in order. Equal hashes mean equal runs.
    pub trace_hash: [u8; 32],
    /// How many events that was.
    pub events: u64,
    /// When nobody waited any more, or the world's end.
    pub ended: Time,
    /// The visitors, as in the scenario.
    pub peers: Vec<PeerReport>,
    /// The relay's own node, if it seeds anything.
    pub relay_node: Option<PeerReport>,
    /// The tracker as it last was; none while the relay is dead.
    pub tracker: Option<TrackerStats>,
    /// Body bytes that the HTTP server sent.
    pub http_bytes: u64,
    /// What the relay's uplink carried: its HTTP server's bodies and its node's messages, with the headers of their packets.
    pub relay_up_bytes: u64,
}

/// How one visitor fared.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerReport {
    /// Its id.
    pub id: PeerId,
    /// Whether it is here at the end.
    pub here: bool,
    /// What it asked for.
    pub fetches: Vec<FetchReport>,
    /// Its node as it last was.
    pub stats: Stats,
    /// Whom it blamed, in order.
    pub blamed: Vec<PeerId>,
    /// Whom it let go because of what they sent unasked, in order.
    pub let_go: Vec<PeerId>,
    /// Messages that it falsified, if it cheats.
    pub falsified: u64,
    /// Whether its node wrote bytes to the store that are not the content's.
    pub store_corrupt: bool,
}

/// How one request fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReport {
    /// Which content, by its place in the scenario.
    pub content: usize,
    /// When it was asked for.
    pub asked: Time,
    /// When its first byte came.
    pub first_byte: Option<Time>,
    /// How it ended, or that it has not.
    pub end: FetchEnd,
    /// Bytes that the page was given.
    pub bytes: u64,
    /// When it began to play, if it plays.
    pub played_from: Option<Time>,
    /// How often it stood still for more than a tenth of a second after that, and for how many microseconds in all.
    pub stalls: (u32, u64),
    /// Whether any of them was wrong, out of place, or more than the page had asked for.
    pub corrupt: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEnd {
    /// Not yet, or its visitor left before.
    Pending,
    /// All bytes came.
    Done(Time),
    /// The node gave up.
    Failed(Time, FetchError),
}

impl FetchReport {
    /// Whether all bytes came, each right.
    pub fn is_right(&self) -> bool {
        matches!(self.end, FetchEnd::Done(_)) && !self.corrupt
    }
}

impl Report {
    /// Verified bytes that all visitors together received from each other.
    pub fn from_peers_bytes(&self) -> u64 {
        self.peers.iter().map(|p| p.stats.from_peers_bytes).sum()
    }

    /// Verified bytes that all visitors together received from the relay's node.
    pub fn from_relay_bytes(&self) -> u64 {
        self.peers.iter().map(|p| p.stats.from_relay_bytes).sum()
    }

    /// Verified bytes that all visitors together received by HTTP.
    pub fn from_http_bytes(&self) -> u64 {
        self.peers.iter().map(|p| p.stats.from_http_bytes).sum()
    }

    /// Ids of everyone who was let go by anyone because of what it sent unasked.
    pub fn let_go(&self) -> std::collections::BTreeSet<PeerId> {
        self.peers.iter().flat_map(|p| p.let_go.iter().copied()).collect()
    }

    /// Ids of everyone who was blamed by anyone.
    pub fn blamed(&self) -> std::collections::BTreeSet<PeerId> {
        self.peers.iter().flat_map(|p| p.blamed.iter().copied()).collect()
    }
}
