//! One PeerEdge peer as a pure machine: [`Node::handle`] takes an [`Input`], [`Node::poll`] gives [`Output`]s until there are
//! none, and [`Node::deadline`] says when to wake it. The same node runs in browsers, in the relay, in `peeredge get` and in the
//! simulator; sockets, clocks and files belong to the shell around it.
#![forbid(unsafe_code)]

mod caps;
mod error;
mod input;
mod output;
mod stats;

pub use caps::Caps;
pub use error::FetchError;
pub use input::{HttpFailure, Input, RangeSpec};
pub use output::{Area, Event, Output, Resource, Role};
pub use stats::{ActiveBlock, ContentStats, PeerStats, Stats};

pub use peeredge_dts::{PublishError, Published, Publisher};

use peeredge_dts::StoredState;
use peeredge_wire::{PeerId, Time};

/// The manifest's bytes inside a stored state, for shells that serve it by HTTP; none when the bytes are no state.
pub fn manifest_of_state(state: &[u8]) -> Option<&[u8]> {
    StoredState::manifest_bytes(state)
}

/// How a node behaves; the defaults suit a browser tab.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Ed25519 secret key (RFC 8032, section 5.1.5): 32 random bytes that the shell keeps.
    pub secret_key: [u8; 32],
    /// Seed of all of the node's randomness.
    pub seed: u64,
    /// What the visitor allows.
    pub caps: Caps,
    /// Bytes of blocks kept in memory: those being filled and those being served. Default 64 MiB.
    pub cache_bytes_max: u64,
    /// Bytes in the store; beyond, the least recently used content that no request needs is removed. Default 1 GiB.
    pub store_bytes_max: u64,
    /// Whether plain HTTP may be used when peers cannot meet a deadline. Default true.
    pub http: bool,
    /// Milliseconds that a reader waits for bytes from peers before HTTP is asked as well. Default 400.
    pub http_after_ms: u32,
    /// Milliseconds without any progress after which a request fails. Default 30,000.
    pub give_up_after_ms: u32,
    /// Thousandths of a whole block that are asked as coded symbols from holders of the whole block, on top of what the
    /// tail of a block always does. Default 0: source symbols can be served on at once, coded ones after decoding.
    pub coded_permille: u16,
}

impl Config {
    /// The defaults, with this key and seed.
    pub fn new(secret_key: [u8; 32], seed: u64) -> Self {
        Config {
            secret_key,
            seed,
            caps: Caps::default(),
            cache_bytes_max: 64 << 20,
            store_bytes_max: 1 << 30,
            http: true,
            http_after_ms: 400,
            give_up_after_ms: 30_000,
            coded_permille: 0,
        }
    }
}

/// One peer.
#[derive(Debug)]
pub struct Node {
    id: PeerId,
}

impl Node {
    /// A node that has not yet asked for anything.
    pub fn new(config: Config) -> Self {
        let id = PeerId(ed25519_dalek::SigningKey::from_bytes(&config.secret_key).verifying_key().to_bytes());
        Node { id }
    }

    /// This peer's id: its public key.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Takes one input. Call [`Node::poll`] until it gives `None` afterwards.
    pub fn handle(&mut self, _now: Time, _input: Input) {}

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// When to call `handle(now, Input::Wake)` at the latest, if nothing else happens before.
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// A picture of the node.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
