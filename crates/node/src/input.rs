use crate::caps::Caps;
use crate::live::LiveInput;
use crate::tasks::TaskInput;
use peeredge_wire::{ConnectionId, ContentId, RequestId, Token};

/// Everything that a shell can tell a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The socket to the relay is open.
    RelayOpened,
    /// The relay sent this frame.
    RelayMessage(Vec<u8>),
    /// The socket to the relay is closed or could not be opened. The node asks for a new one when it wants one.
    RelayClosed,

    /// The local WebRTC stack made this offer, answer or candidate: it is carried to the other end unread.
    Signal {
        /// Of which connection.
        connection: ConnectionId,
        /// The blob; at most [`peeredge_wire::limits::SIGNAL_BYTES_MAX`].
        signal: Vec<u8>,
    },
    /// The connection's data channel is open and takes `credit_bytes` at once.
    Opened {
        /// Which connection.
        connection: ConnectionId,
        /// Bytes that may be sent before more credit is given.
        credit_bytes: u64,
    },
    /// A message arrived on the connection's data channel.
    Message {
        /// On which connection.
        connection: ConnectionId,
        /// The frame.
        message: Vec<u8>,
    },
    /// The channel's buffer drained: so many more bytes may be sent.
    Credit {
        /// Of which connection.
        connection: ConnectionId,
        /// How many more.
        bytes: u64,
    },
    /// The connection is gone, or could not be made.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// The shell has made room for more connections: it recycled what the browser counts, or it was asked for one
    /// ([`crate::Output::Open`]) and made nothing, as what came for it was no description.
    ConnectionBudget {
        /// How many it may be asked for while the node lives, those that it was asked for so far included. A lower number than
        /// before changes nothing.
        made_max: u32,
    },
    /// The shell measured how long a packet takes there and back on this connection's path, without waiting behind its data.
    RoundTrip {
        /// Of which connection.
        connection: ConnectionId,
        /// How long, in microseconds.
        micros: u64,
    },

    /// Whoever stands behind the other end of this connection, as far as the shell can tell: a number for its network. An uplink with a
    /// cap is shared by owner first; a connection without one stands for itself.
    Owner {
        /// Of which connection.
        connection: ConnectionId,
        /// The number.
        owner: u64,
    },

    /// The store holds this content: sent once a content at the start, and after a publish has written one.
    Stored {
        /// Which content.
        content: ContentId,
        /// What [`crate::Output::StoreState`] last wrote for it, or what a publisher made.
        state: Vec<u8>,
    },
    /// Answer to [`crate::Output::StoreRead`]. `None` when the bytes cannot be read.
    Read {
        /// The read's token.
        token: Token,
        /// The bytes, as many as were asked for.
        bytes: Option<Vec<u8>>,
    },
    /// A store write failed (no room, no right): the node goes on without the store for this content.
    StoreFailed {
        /// Which content.
        content: ContentId,
    },

    /// Answer to [`crate::Output::HttpGet`].
    Http {
        /// The request's token.
        token: Token,
        /// The body, whole.
        result: Result<Vec<u8>, HttpFailure>,
    },

    /// The page wants a content, or a range of it.
    Fetch {
        /// The page's number for this request.
        request: RequestId,
        /// Which content.
        content: ContentId,
        /// Which bytes.
        range: RangeSpec,
    },
    /// The shell knows an address at which the site's own server has this content's bytes. After [`Input::Fetch`].
    Origin {
        /// Which content.
        content: ContentId,
    },
    /// Which of the site's servers that address names. Otherwise all that are not named count as one: who gives wrong bytes of three
    /// contents within ten minutes is asked for none for two minutes, and for longer each time. Before or after [`Input::Origin`].
    OriginHost {
        /// Which content.
        content: ContentId,
        /// The shell's number for the server, the same for all that it serves.
        host: u32,
    },
    /// The page plays this request's bytes at such a rate, so each has a deadline. After [`Input::Fetch`].
    Pace {
        /// Which request.
        request: RequestId,
        /// How fast.
        bytes_per_s: u64,
    },
    /// The page can take so many more bytes of this request.
    Pull {
        /// Which request.
        request: RequestId,
        /// How many more.
        bytes: u64,
    },
    /// The page no longer wants this request.
    Abort {
        /// Which.
        request: RequestId,
    },
    /// The user no longer shares this content: it is withdrawn and removed from the store.
    Remove {
        /// Which content.
        content: ContentId,
    },
    /// The visitor's caps, or the conditions they depend on, changed.
    Caps(Caps),
    /// The page or the shell says something about tasks.
    Task(TaskInput),
    /// The page publishes or follows a content that grows.
    Live(LiveInput),
    /// The deadline that [`crate::Node::deadline`] gave has come, or nothing in particular happened.
    Wake,
    /// Say goodbye: the node closes the relay socket and every connection, and then wants nothing more.
    Close,
}

/// Which bytes of a content, as in an HTTP range header (RFC 9110, section 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// All of it.
    Whole,
    /// From `start` to `end`, both inclusive; to the content's end without `end`.
    From {
        /// First byte.
        start: u64,
        /// Last byte.
        end: Option<u64>,
    },
    /// The last so many bytes.
    Last(u64),
}

/// Why a plain HTTP request gave no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    /// The server answered with this status, other than 200 and 206.
    Status(u16),
    /// No answer: connection refused, reset, or timed out.
    Network,
}
