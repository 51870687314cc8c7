use peeredge_wire::{ContentId, PeerId};

/// A picture of the node at one moment, for the page and for metrics. Bytes are payload bytes since the node began, and those that
/// leave are bytes of messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Whether the relay has accepted this peer.
    pub relay_connected: bool,
    /// Verified bytes from peers.
    pub from_peers_bytes: u64,
    /// Verified bytes from the relay's data channel.
    pub from_relay_bytes: u64,
    /// Verified bytes by HTTP.
    pub from_http_bytes: u64,
    /// Of these, from the site's own server.
    pub from_origin_bytes: u64,
    /// Bytes sent to supply peers: messages of symbols, records, manifests, and of what is held.
    pub sent_bytes: u64,
    /// Bytes of all other messages to peers: what this node asks for, and its refusals. They count in the caps on upload, too.
    pub control_bytes: u64,
    /// Bytes that arrived for nothing: duplicates.
    pub duplicate_bytes: u64,
    /// Bytes that failed verification.
    pub rejected_bytes: u64,
    /// Bytes of messages from peers that passed through the relay; the symbols among them count in `from_peers_bytes`, too.
    pub through_relay_bytes: u64,
    /// Peer connections made since the node began.
    pub connections_made: u32,
    /// Peers with a connection, open or opening.
    pub peers: Vec<PeerStats>,
    /// Contents held or wanted.
    pub contents: Vec<ContentStats>,
}

/// One peer in [`Stats`].
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStats {
    /// Who.
    pub peer: PeerId,
    /// Whether this is the relay's own seeding peer.
    pub is_relay: bool,
    /// Whether messages pass: its data channel is open, or the relay carries them.
    pub open: bool,
    /// Whether its messages pass through the relay.
    pub through_relay: bool,
    /// Connections to it, open or opening.
    pub connections: u16,
    /// Verified bytes received from it.
    pub received_bytes: u64,
    /// Bytes sent to supply it.
    pub sent_bytes: u64,
    /// Perceived rate from it, bytes a second.
    pub down_bytes_per_s: u64,
    /// Rate to it over the last second or so, bytes a second.
    pub up_bytes_per_s: u64,
}

/// One content in [`Stats`].
#[derive(Clone, Debug, PartialEq)]
pub struct ContentStats {
    /// Which.
    pub content: ContentId,
    /// Its name; empty while the manifest is unknown.
    pub name: String,
    /// Its media type; empty while the manifest is unknown.
    pub media_type: String,
    /// Length in bytes; 0 while the manifest is unknown.
    pub length: u64,
    /// Verified bytes held, in memory or in the store.
    pub held_bytes: u64,
    /// Share held of each block, 0 to 255.
    pub blocks: Vec<u8>,
    /// Source symbols of the block now being filled that are held, as a bitmap, with the block's number and symbol count.
    pub active: Vec<ActiveBlock>,
    /// Open requests of the page.
    pub requests: u32,
}

/// One block in memory that is being filled.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveBlock {
    /// Which block.
    pub block: u32,
    /// Its source symbols.
    pub symbols: u32,
    /// One bit a source symbol that is verified, least significant first.
    pub held: Vec<u8>,
    /// Coded symbols in quarantine.
    pub quarantined: u32,
}
