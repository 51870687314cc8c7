//! The native WebRTC stack behind one small interface: commands go in, events come out.
//!
//! One driver thread serves every connection over the configured UDP sockets. A connection is one peer
//! connection with one data channel (label `peeredge`, negotiated id 0, ordered, reliable, binary), named by
//! an id that the caller chooses. What the two ends tell each other before the channel opens travels as
//! opaque **signal** blobs, carried by someone else; their format is in [`signal`].
//!
//! Backpressure is credit. [`RtcEvent::Opened`] is followed by a first [`RtcEvent::Credit`]; a message spends
//! its length, and the bytes come back as the remote end acknowledges them. A caller that spends more than it
//! has loses the connection ([`CloseReason::CreditExceeded`]), so no queue grows without bound. In the other
//! direction the driver stops reading its sockets while the caller does not drain its events.
//!
//! What is absent: this module does not know what a message means, who the peer is, or how signals travel.

mod config;
mod connection;
mod driver;
mod flow;
mod handle;
pub mod signal;
mod socket;
pub mod stun;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use config::{RtcConfig, RtcConfigError, RtcSocket, outbound_address};
pub use handle::{RtcCommandError, RtcEvents, RtcHandle, RtcSpawnError, spawn};
pub use signal::SignalError;
pub use stun::{StunLimits, StunServer};

/// Label of the one data channel of a connection.
pub const CHANNEL_LABEL: &str = "peeredge";
/// Negotiated stream id of that channel, at both ends.
pub const CHANNEL_ID: u16 = 0;

/// Names one connection. Chosen by the caller, never reused while the driver lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Which end writes the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Writes the offer as soon as the connection is opened.
    Offerer,
    /// Waits for the offer, then answers.
    Answerer,
}

/// What the caller asks for. Commands that name an unknown (so: already closed) connection do nothing, since
/// the event that tells of its end may still be on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcCommand {
    /// Starts a connection. It ends in [`RtcEvent::Opened`] or [`RtcEvent::Closed`], within
    /// [`RtcConfig::connect_timeout`].
    Open {
        /// A fresh id.
        connection: ConnectionId,
        /// Who writes the offer.
        role: Role,
    },
    /// Hands over a signal from the remote end.
    Signal {
        /// The connection that it is for.
        connection: ConnectionId,
        /// The blob, as the remote end made it.
        signal: Vec<u8>,
    },
    /// Sends one binary message, 1 to [`RtcConfig::message_bytes_max`] bytes long, and spends its length in credit.
    Send {
        /// The connection to send on.
        connection: ConnectionId,
        /// The message.
        message: Vec<u8>,
    },
    /// Ends a connection at once. Messages that the remote end has not acknowledged may be lost: whoever wants
    /// them delivered waits until all credit has come back.
    Close {
        /// The connection to end.
        connection: ConnectionId,
    },
    /// From now on asks this STUN server under which addresses the sockets are seen, and offers those to remote ends, too.
    Stun {
        /// The server.
        server: SocketAddr,
    },
}

/// What happened, in order for any one connection. [`RtcEvent::Closed`] is always the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcEvent {
    /// A signal for the remote end: carry it there unread.
    Signal {
        /// The connection that it is from.
        connection: ConnectionId,
        /// The blob.
        signal: Vec<u8>,
    },
    /// The channel is open; credit follows.
    Opened {
        /// Which one.
        connection: ConnectionId,
    },
    /// One whole message from the remote end, in the order it was sent.
    Message {
        /// Where it came from.
        connection: ConnectionId,
        /// Its bytes, at most [`RtcConfig::message_bytes_max`].
        message: Vec<u8>,
    },
    /// The caller may send `bytes` more. The first grant is [`RtcConfig::send_credit_bytes`]; later ones say
    /// how much the remote end has acknowledged since.
    Credit {
        /// On which connection.
        connection: ConnectionId,
        /// How many bytes more.
        bytes: u64,
    },
    /// How long a connectivity check took there and back lately: a packet's time on the path, without waiting behind the data of
    /// this connection. About once a second while the channel is open.
    RoundTrip {
        /// On which connection.
        connection: ConnectionId,
        /// How long.
        time: Duration,
    },
    /// The connection is over and its id forgotten.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The caller closed it.
    Local,
    /// The remote end closed it.
    Remote,
    /// The channel did not open within [`RtcConfig::connect_timeout`].
    ConnectTimeout,
    /// The remote end fell silent for [`RtcConfig::silence_max`], or its consent to be sent to ran out.
    Lost,
    /// A signal could not be used.
    Signal(SignalError),
    /// The caller sent more than it had credit for.
    CreditExceeded {
        /// What was left to spend.
        credit_bytes: u64,
        /// The length of the message.
        message_bytes: u64,
    },
    /// The caller sent an empty message, or one above the limit.
    MessageSize {
        /// Its length.
        message_bytes: u64,
        /// [`RtcConfig::message_bytes_max`].
        bytes_max: u64,
    },
    /// The remote end sent text, where only binary messages are spoken.
    TextMessage,
    /// The remote end used a channel other than the agreed one.
    ForeignChannel,
    /// [`RtcConfig::connections_max`] connections are open already.
    TooManyConnections {
        /// The limit.
        connections_max: usize,
    },
    /// The caller opened an id that was in use: the older connection ends too.
    DuplicateId,
    /// Its remote end's address is that of another open connection.
    SharedAddress {
        /// The address.
        address: SocketAddr,
    },
    /// The stack failed: DTLS, SCTP or an internal error, told in its own words for the log.
    Stack(String),
    /// The driver is shutting down.
    Shutdown,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => write!(f, "closed here"),
            Self::Remote => write!(f, "closed by the remote end"),
            Self::ConnectTimeout => write!(f, "the channel did not open in time"),
            Self::Lost => write!(f, "the remote end fell silent"),
            Self::Signal(error) => write!(f, "unusable signal: {error}"),
            Self::CreditExceeded { credit_bytes, message_bytes } => {
                write!(f, "a message of {message_bytes} bytes with a credit of {credit_bytes}")
            }
            Self::MessageSize { message_bytes, bytes_max } => {
                write!(f, "a message of {message_bytes} bytes, not 1 to {bytes_max}")
            }
            Self::TextMessage => write!(f, "the remote end sent a text message"),
            Self::ForeignChannel => write!(f, "the remote end used another channel"),
            Self::TooManyConnections { connections_max } => {
                write!(f, "already {connections_max} connections")
            }
            Self::DuplicateId => write!(f, "opened an id in use"),
            Self::SharedAddress { address } => write!(f, "{address} has another connection that is open"),
            Self::Stack(error) => write!(f, "stack failure: {error}"),
            Self::Shutdown => write!(f, "shutting down"),
        }
    }
}
