use crate::error::FetchError;
use core::num::NonZeroU16;
use peeredge_dts::LiveNews;
use peeredge_wire::relay::TaskFromRelay;
use peeredge_wire::{ConnectionId, ContentId, PeerId, RequestId, Token};

/// Everything that a node asks of its shell, or tells the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open the socket to the relay. Answered by `RelayOpened` or `RelayClosed`.
    RelayConnect,
    /// Send this frame to the relay.
    RelaySend(Vec<u8>),
    /// Close the socket to the relay.
    RelayClose,

    /// The relay answers STUN (RFC 8489) at this UDP port of the host where it is reached: connections made from now on may ask
    /// there for their own address.
    Stun {
        /// The port.
        port: NonZeroU16,
    },
    /// Make a peer connection with one data channel (label `peeredge`, negotiated, id 0, ordered, reliable).
    Open {
        /// The node's number for it.
        connection: ConnectionId,
        /// Who is at the other end.
        peer: PeerId,
        /// Whether this side makes the offer.
        role: Role,
    },
    /// Give this offer, answer or candidate of the other end to the local WebRTC stack.
    Signal {
        /// Of which connection.
        connection: ConnectionId,
        /// The blob.
        signal: Vec<u8>,
    },
    /// Send this message on the connection's data channel. The node keeps to the credit it was given.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// The frame.
        message: Vec<u8>,
    },
    /// Close the connection. No `Closed` needs to follow.
    Close {
        /// Which.
        connection: ConnectionId,
    },

    /// Read bytes from the store. Answered by `Read`.
    StoreRead {
        /// Comes back with the answer.
        token: Token,
        /// Which content.
        content: ContentId,
        /// Which of the content's two byte areas.
        area: Area,
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
    /// Write bytes to the store. The shell keeps the order of writes and states of one content; only a failure is answered.
    StoreWrite {
        /// Which content.
        content: ContentId,
        /// Which area.
        area: Area,
        /// First byte.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Replace the content's state as a whole, after all earlier writes of this content have reached the disk.
    StoreState {
        /// Which content.
        content: ContentId,
        /// Comes back as `Stored` at the next start. At most about 1 MiB.
        state: Vec<u8>,
    },
    /// Forget this content.
    StoreRemove {
        /// Which content.
        content: ContentId,
    },

    /// Get bytes by plain HTTP. Answered by `Http`, whole.
    HttpGet {
        /// Comes back with the answer.
        token: Token,
        /// Which content.
        content: ContentId,
        /// What of it.
        resource: Resource,
        /// Of whom.
        server: Server,
        /// Give up after so many milliseconds.
        timeout_ms: u32,
    },
    /// The answer to this HTTP request is no longer needed. No `Http` needs to follow.
    HttpCancel {
        /// The request's token.
        token: Token,
    },

    /// What a request will deliver: comes before its data.
    Head {
        /// Which request.
        request: RequestId,
        /// First byte of the range.
        start: u64,
        /// First byte behind the range.
        end: u64,
        /// The content's length in bytes.
        length: u64,
        /// The content's name, as its publisher gave it.
        name: String,
        /// The content's media type, as its publisher gave it.
        media_type: String,
    },
    /// The next bytes of a request, verified.
    Data {
        /// Which request.
        request: RequestId,
        /// The bytes; never more than the page has asked for.
        bytes: Vec<u8>,
    },
    /// The request has delivered everything.
    Done {
        /// Which request.
        request: RequestId,
    },
    /// The request cannot be fulfilled.
    Failed {
        /// Which request.
        request: RequestId,
        /// Why.
        error: FetchError,
    },
    /// Something about tasks: a lease to run or drop, or what became of a task that was handed in.
    Task(TaskFromRelay),
    /// A live content that the page follows has grown, as its publisher signed.
    Live {
        /// The page's number for it.
        follow: RequestId,
        /// What is new.
        news: LiveNews,
    },
    /// Something happened that the page may want to show.
    Event(Event),
}

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side makes the offer.
    Offerer,
    /// This side answers; the offer follows as a signal.
    Answerer,
}

/// The byte areas of a stored content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The content itself, at its own offsets.
    Data,
    /// The records of all blocks, one behind the other.
    Records,
}

/// Who is asked by plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The relay, under the paths of [`Resource`].
    Relay,
    /// The site's own server: only ever asked for bytes, at the address that the shell knows of the content.
    Origin,
}

/// What can be had of a content by plain HTTP; the relay serves each at a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/m/ID`: the manifest.
    Manifest,
    /// `/r/ID`: the records of all blocks one behind the other; this range of them.
    Records {
        /// First byte.
        start: u64,
        /// First byte behind.
        end: u64,
    },
    /// `/c/ID`: the content; this range of it.
    Bytes {
        /// First byte.
        start: u64,
        /// First byte behind.
        end: u64,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The relay accepted this peer.
    RelayReady {
        /// The relay's own peer id.
        relay: PeerId,
    },
    /// The relay is gone; the node tries again by itself.
    RelayLost,
    /// The relay refused something.
    RelayRefused {
        /// The code's stable name.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// A peer's data channel is open.
    PeerOpened {
        /// Who.
        peer: PeerId,
    },
    /// A peer is gone.
    PeerClosed {
        /// Who.
        peer: PeerId,
    },
    /// A peer sent bytes that contradict the manifest; it is dropped and not spoken to again.
    PeerBlamed {
        /// Who.
        peer: PeerId,
        /// Of which content.
        content: ContentId,
        /// In which block.
        block: u32,
        /// Whether the symbol was a coded one, which was proved wrong by making it again.
        coded: bool,
    },
    /// A peer sent too much that nobody had asked it for; it is let go, and not spoken to for an hour.
    PeerLetGo {
        /// Who.
        peer: PeerId,
    },
    /// The publisher of a live content that the page follows signed two lists of which neither extends the other. Said once; heads that
    /// contradict are not taken.
    LiveForked {
        /// The page's number for it.
        follow: RequestId,
    },
    /// A content is held whole and shared.
    Complete {
        /// Which.
        content: ContentId,
    },
}
