use crate::scenario::Action;
use peeredge_node::HttpFailure;
use peeredge_tracker::ConnId;
use peeredge_wire::{ConnectionId, Time, Token};

/// One life of one peer: what is on its way to a tab that closed must not reach the tab that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) peer: usize,
    pub(crate) number: u64,
}

/// One end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) life: Life,
    pub(crate) connection: ConnectionId,
}

/// What can happen in a world.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A peer arrives for the first time.
    Join(usize),
    /// Something happens from outside.
    Act(Action),
    /// A page asks for one of the things that it wants.
    Ask { life: Life, want: usize },
    /// A page can take more.
    Pull { life: Life, want: usize },
    /// A node's deadline.
    Wake { life: Life, at: Time },
    /// The tracker's deadline.
    TrackerWake { at: Time },
    /// The attempt to open a socket to the relay ends.
    SocketTried { life: Life },
    /// A frame reaches the tracker.
    ToTracker { conn: ConnId, frame: Vec<u8> },
    /// A peer's end of its socket reaches the tracker.
    SocketLeft { conn: ConnId },
    /// A frame of the tracker reaches a peer.
    FromTracker { life: Life, conn: ConnId, frame: Vec<u8> },
    /// The end of a socket reaches a peer.
    SocketLost { life: Life, conn: ConnId },
    /// The local WebRTC stack has made a signal.
    LocalSignal { end: End, signal: Vec<u8> },
    /// Both ends have what they need, and the handshake is over.
    ChannelUp { ends: [End; 2] },
    /// The channel's buffer has let go of a message.
    Credit { end: End, bytes: u64 },
    /// A message reaches its receiver's downlink.
    Reached { from: End, to: End, message: Vec<u8> },
    /// A message has passed it.
    Delivered { from: End, to: End, message: Vec<u8> },
    /// An end hears that the other end is gone.
    ChannelDown { from: End, to: End },
    /// The store's answer.
    Read { life: Life, token: Token, bytes: Option<Vec<u8>> },
    /// An HTTP request reaches the server.
    HttpAsked { life: Life, token: Token },
    /// The server sends the next piece of a body.
    HttpServe { life: Life, token: Token, body: Vec<u8>, sent: usize },
    /// A piece reaches the peer's downlink; the last one brings the body with it.
    HttpReached { life: Life, token: Token, bytes: usize, body: Option<Vec<u8>> },
    /// A request is over.
    HttpEnded { life: Life, token: Token, result: Result<Vec<u8>, HttpFailure> },
}

const OFFER: u8 = b'o';
const ANSWER: u8 = b'a';

/// What the simulated WebRTC stacks say to each other: who and where they are.
pub(crate) fn signal(is_offer: bool, end: End) -> Vec<u8> {
    let kind = if is_offer { OFFER } else { ANSWER };
    let mut blob = vec![kind];
    blob.extend_from_slice(&(end.life.peer as u64).to_le_bytes());
    blob.extend_from_slice(&end.life.number.to_le_bytes());
    blob.extend_from_slice(&end.connection.0.to_le_bytes());
    blob
}

/// Reads [`signal`]: whether it is an offer, and from which end.
pub(crate) fn read_signal(blob: &[u8]) -> Option<(bool, End)> {
    let (kind, rest) = blob.split_first()?;
    let (peer, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let connection = ConnectionId(u32::from_le_bytes(rest.try_into().ok()?));
    let life = Life { peer: u64::from_le_bytes(*peer) as usize, number: u64::from_le_bytes(*number) };
    match *kind {
        OFFER => Some((true, End { life, connection })),
        ANSWER => Some((false, End { life, connection })),
        _ => None,
    }
}
