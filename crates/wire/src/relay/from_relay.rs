use super::carry::{self, CarryEnd};
use super::tasks::TaskFromRelay;
use crate::limits::{
    ANNOUNCES_PER_FRAME_MAX, CARRIED_PIECE_BYTES_MAX, LIVE_HEAD_BYTES_MAX, NAME_BYTES_MAX,
    RELAY_FRAME_BYTES_MAX, SIGNAL_BYTES_MAX,
};
use crate::{ContentId, DecodeError, PeerId, Reader, Writer};
use core::fmt;

/// Why the relay refused a message. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorCode {
    /// A frame could not be read. The relay closes.
    Malformed = 1,
    /// A frame is longer than the limit. The relay closes.
    TooLarge = 2,
    /// The peer speaks another version of the protocol. The relay closes.
    Version = 3,
    /// The hello's signature does not prove the key. The relay closes.
    Unauthorised = 4,
    /// A message that is not allowed at this point, such as an announce before the hello. The relay closes.
    OutOfOrder = 5,
    /// The peer sends faster than the relay allows; the message was dropped.
    TooFast = 6,
    /// The peer announces more contents than allowed; the announce was dropped.
    TooMany = 7,
    /// The peer is connected elsewhere with the same key; the older connection is closed.
    Replaced = 8,
    /// The relay is going down.
    ShuttingDown = 9,
    /// The relay has as many peers as it was configured for, in all or of this network. The relay closes.
    Full = 10,
    /// The peer's network was introduced to as many others as an hour allows.
    Quota = 11,
}

impl ErrorCode {
    /// All codes, in order of their numbers.
    pub const ALL: [ErrorCode; 11] = [
        ErrorCode::Malformed,
        ErrorCode::TooLarge,
        ErrorCode::Version,
        ErrorCode::Unauthorised,
        ErrorCode::OutOfOrder,
        ErrorCode::TooFast,
        ErrorCode::TooMany,
        ErrorCode::Replaced,
        ErrorCode::ShuttingDown,
        ErrorCode::Full,
        ErrorCode::Quota,
    ];

    /// A stable name for logs, metrics and the page's error codes.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::Malformed => "malformed",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::Version => "version",
            ErrorCode::Unauthorised => "unauthorised",
            ErrorCode::OutOfOrder => "out_of_order",
            ErrorCode::TooFast => "too_fast",
            ErrorCode::TooMany => "too_many",
            ErrorCode::Replaced => "replaced",
            ErrorCode::ShuttingDown => "shutting_down",
            ErrorCode::Full => "full",
            ErrorCode::Quota => "quota",
        }
    }

    /// Whether the relay closes the connection behind this error.
    pub const fn closes(self) -> bool {
        !matches!(self, ErrorCode::TooFast | ErrorCode::TooMany | ErrorCode::Quota)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a signal was not delivered. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SignalRefusal {
    /// The other peer is not connected here any more.
    Gone = 1,
    /// The two were not introduced to each other of late, whether the other one is here or not.
    Unknown = 2,
    /// The other peer was sent as many signals by this one's network as it takes in so short a time.
    Busy = 3,
}

impl SignalRefusal {
    /// All reasons, in order of their numbers.
    pub const ALL: [SignalRefusal; 3] = [SignalRefusal::Gone, SignalRefusal::Unknown, SignalRefusal::Busy];

    fn from_number(number: u8) -> Result<Self, DecodeError> {
        SignalRefusal::ALL
            .into_iter()
            .find(|why| *why as u8 == number)
            .ok_or(DecodeError::Value { field: "why" })
    }
}

/// A message from a relay to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromRelay {
    /// The first message: sign this.
    Challenge {
        /// Random, used once.
        nonce: [u8; 32],
        /// The relay's own key, which is also the peer id under which it seeds.
        relay: PeerId,
    },
    /// The key is proved.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`] of the relay.
        version: u16,
        /// Seconds between two reports that the relay would like to see.
        report_every_s: u16,
        /// Frames a second that the relay takes in the long run, each counted as [`super::ToRelay::cost`] says.
        frames_per_s: u16,
        /// Frames that it takes at once after a quiet time.
        frames_burst: u16,
    },
    /// "This peer holds something of this content: make it an offer."
    Introduce {
        /// Which content.
        content: ContentId,
        /// Whom to offer.
        peer: PeerId,
        /// Share of the content that it announced, in thousandths.
        have_permille: u16,
    },
    /// An offer, answer or candidate from another peer, carried unread.
    Signal {
        /// From whom: the relay vouches that it proved this key.
        from: PeerId,
        /// The offerer's random number of this connection.
        session: u64,
        /// The session description or candidate.
        signal: Vec<u8>,
    },
    /// A signal was not delivered.
    Unreachable {
        /// To whom.
        peer: PeerId,
        /// The session of the signal.
        session: u64,
        /// Why.
        why: SignalRefusal,
    },
    /// These announces were not taken, 1 to [`ANNOUNCES_PER_FRAME_MAX`]: say them again later.
    AnnounceRefused {
        /// Why: [`ErrorCode::TooMany`] contents of this peer's, or [`ErrorCode::Full`] where its network, or all, have as many as the
        /// relay takes.
        code: ErrorCode,
        /// Milliseconds after which it may be worth another try.
        retry_after_ms: u32,
        /// Of which contents.
        contents: Vec<ContentId>,
    },
    /// The relay refused something.
    Error {
        /// Why.
        code: ErrorCode,
        /// Milliseconds after which another try may do; 0 where that would change nothing. Behind [`ErrorCode::TooFast`] a peer is
        /// silent for so long, and says again what it had announced: any frame since the last moment of quiet may be lost.
        retry_after_ms: u32,
        /// For people; at most 200 bytes.
        detail: String,
    },
    /// "Fetch this content when nothing else keeps you busy, and hold it: it will be asked for." Only to who offered
    /// [`super::ToRelay::Spare`].
    Prefetch {
        /// Which content.
        content: ContentId,
    },
    /// "That content need not be held any longer."
    Release {
        /// Which content.
        content: ContentId,
    },
    /// About tasks.
    Task(TaskFromRelay),
    /// What else the relay does for paths; follows the welcome when there is something.
    Paths {
        /// UDP port at which the relay answers STUN, at the host where the peer reaches it; 0 for none.
        stun_port: u16,
        /// Bytes a second that the relay carries for this peer to others; 0 for none.
        carried_bytes_per_s: u32,
    },
    /// "Let our messages pass through the relay." Answered by credit, or a close.
    CarryOpen {
        /// Who asks: the relay vouches that it proved this key.
        from: PeerId,
        /// The random number of the connection.
        session: u64,
        /// Bytes of pieces that this side may send at once.
        credit_bytes: u32,
    },
    /// A piece of a message from a peer that was given credit.
    Carried {
        /// From whom.
        from: PeerId,
        /// The connection's number.
        session: u64,
        /// Whether the message ends with this piece.
        last: bool,
        /// At most [`CARRIED_PIECE_BYTES_MAX`] bytes.
        piece: Vec<u8>,
    },
    /// This side may send so many more bytes.
    CarryCredit {
        /// From whom.
        from: PeerId,
        /// The connection's number.
        session: u64,
        /// How many more.
        bytes: u32,
    },
    /// No more pieces in either direction.
    CarryClosed {
        /// Between this side and whom.
        peer: PeerId,
        /// The connection's number.
        session: u64,
        /// Why.
        end: CarryEnd,
    },
    /// A live content that this peer follows has grown.
    Head {
        /// Who publishes it.
        publisher: PeerId,
        /// Its name.
        name: String,
        /// The signed head, as the publisher made it: whoever reads it checks the signature.
        head: Vec<u8>,
    },
}

const CHALLENGE: u8 = 0x81;
const WELCOME: u8 = 0x82;
const INTRODUCE: u8 = 0x83;
const SIGNAL: u8 = 0x84;
const UNREACHABLE: u8 = 0x85;
const ERROR: u8 = 0x86;
const ANNOUNCE_REFUSED: u8 = 0x87;
const PREFETCH: u8 = 0x8c;
const RELEASE: u8 = 0x8d;
const PATHS: u8 = 0xb0;
const CARRY_OPEN: u8 = 0xb1;
const CARRIED: u8 = 0xb2;
const CARRY_CREDIT: u8 = 0xb3;
const CARRY_CLOSED: u8 = 0xb4;
const HEAD: u8 = 0xb5;
const DETAIL_BYTES_MAX: usize = 200;

impl FromRelay {
    /// The message as one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            FromRelay::Challenge { nonce, relay } => Writer::new(CHALLENGE, 65).raw(nonce).raw(&relay.0),
            FromRelay::Welcome { version, report_every_s, frames_per_s, frames_burst } => {
                Writer::new(WELCOME, 9)
                    .u16(*version)
                    .u16(*report_every_s)
                    .u16(*frames_per_s)
                    .u16(*frames_burst)
            }
            FromRelay::Introduce { content, peer, have_permille } => {
                Writer::new(INTRODUCE, 67).raw(&content.0).raw(&peer.0).u16(*have_permille)
            }
            FromRelay::Signal { from, session, signal } => {
                Writer::new(SIGNAL, 41 + signal.len()).raw(&from.0).u64(*session).raw(signal)
            }
            FromRelay::Unreachable { peer, session, why } => {
                Writer::new(UNREACHABLE, 42).raw(&peer.0).u64(*session).u8(*why as u8)
            }
            FromRelay::AnnounceRefused { code, retry_after_ms, contents } => contents.iter().fold(
                Writer::new(ANNOUNCE_REFUSED, 6 + 32 * contents.len()).u8(*code as u8).u32(*retry_after_ms),
                |writer, content| writer.raw(&content.0),
            ),
            FromRelay::Error { code, retry_after_ms, detail } => {
                let end =
                    (0..=detail.len().min(DETAIL_BYTES_MAX)).rev().find(|&e| detail.is_char_boundary(e));
                Writer::new(ERROR, 8 + detail.len())
                    .u8(*code as u8)
                    .u32(*retry_after_ms)
                    .text(&detail[..end.unwrap_or(0)])
            }
            FromRelay::Prefetch { content } => Writer::new(PREFETCH, 33).raw(&content.0),
            FromRelay::Release { content } => Writer::new(RELEASE, 33).raw(&content.0),
            FromRelay::Task(message) => message.write(),
            FromRelay::Paths { stun_port, carried_bytes_per_s } => {
                Writer::new(PATHS, 7).u16(*stun_port).u32(*carried_bytes_per_s)
            }
            FromRelay::CarryOpen { from, session, credit_bytes } => {
                Writer::new(CARRY_OPEN, 45).raw(&from.0).u64(*session).u32(*credit_bytes)
            }
            FromRelay::Carried { from, session, last, piece } => Writer::new(CARRIED, 42 + piece.len())
                .raw(&from.0)
                .u64(*session)
                .u8(u8::from(*last))
                .raw(piece),
            FromRelay::CarryCredit { from, session, bytes } => {
                Writer::new(CARRY_CREDIT, 45).raw(&from.0).u64(*session).u32(*bytes)
            }
            FromRelay::CarryClosed { peer, session, end } => {
                Writer::new(CARRY_CLOSED, 42).raw(&peer.0).u64(*session).u8(*end as u8)
            }
            FromRelay::Head { publisher, name, head } => {
                Writer::new(HEAD, 35 + name.len() + head.len()).raw(&publisher.0).text(name).raw(head)
            }
        }
        .finish()
    }

    /// Reads one frame.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        if frame.len() > RELAY_FRAME_BYTES_MAX {
            return Err(DecodeError::TooLong { field: "frame", max: RELAY_FRAME_BYTES_MAX });
        }
        let mut r = Reader::new(frame);
        let message = match r.u8()? {
            CHALLENGE => FromRelay::Challenge { nonce: r.array()?, relay: PeerId(r.array()?) },
            WELCOME => FromRelay::Welcome {
                version: r.u16()?,
                report_every_s: r.u16()?,
                frames_per_s: r.u16()?,
                frames_burst: r.u16()?,
            },
            INTRODUCE => FromRelay::Introduce {
                content: ContentId(r.array()?),
                peer: PeerId(r.array()?),
                have_permille: r.u16()?,
            },
            SIGNAL => {
                let (from, session) = (PeerId(r.array()?), r.u64()?);
                if r.left() > SIGNAL_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "signal", max: SIGNAL_BYTES_MAX });
                }
                FromRelay::Signal { from, session, signal: r.rest().to_vec() }
            }
            UNREACHABLE => FromRelay::Unreachable {
                peer: PeerId(r.array()?),
                session: r.u64()?,
                why: SignalRefusal::from_number(r.u8()?)?,
            },
            ERROR => FromRelay::Error {
                code: code(r.u8()?)?,
                retry_after_ms: r.u32()?,
                detail: r.text("detail", DETAIL_BYTES_MAX)?.to_owned(),
            },
            ANNOUNCE_REFUSED => {
                let (code, retry_after_ms) = (code(r.u8()?)?, r.u32()?);
                let mut contents = Vec::with_capacity((r.left() / 32).min(ANNOUNCES_PER_FRAME_MAX));
                while r.left() > 0 || contents.is_empty() {
                    if contents.len() == ANNOUNCES_PER_FRAME_MAX {
                        return Err(DecodeError::TooLong { field: "contents", max: ANNOUNCES_PER_FRAME_MAX });
                    }
                    contents.push(ContentId(r.array()?));
                }
                FromRelay::AnnounceRefused { code, retry_after_ms, contents }
            }
            PREFETCH => FromRelay::Prefetch { content: ContentId(r.array()?) },
            RELEASE => FromRelay::Release { content: ContentId(r.array()?) },
            PATHS => FromRelay::Paths { stun_port: r.u16()?, carried_bytes_per_s: r.u32()? },
            CARRY_OPEN => {
                FromRelay::CarryOpen { from: PeerId(r.array()?), session: r.u64()?, credit_bytes: r.u32()? }
            }
            CARRIED => {
                let (from, session, last) = (PeerId(r.array()?), r.u64()?, carry::last(r.u8()?)?);
                if r.left() > CARRIED_PIECE_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "piece", max: CARRIED_PIECE_BYTES_MAX });
                }
                FromRelay::Carried { from, session, last, piece: r.rest().to_vec() }
            }
            CARRY_CREDIT => {
                FromRelay::CarryCredit { from: PeerId(r.array()?), session: r.u64()?, bytes: r.u32()? }
            }
            CARRY_CLOSED => FromRelay::CarryClosed {
                peer: PeerId(r.array()?),
                session: r.u64()?,
                end: CarryEnd::from_number(r.u8()?)?,
            },
            HEAD => {
                let (publisher, name) = (PeerId(r.array()?), r.text("name", NAME_BYTES_MAX)?.to_owned());
                if r.left() > LIVE_HEAD_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "head", max: LIVE_HEAD_BYTES_MAX });
                }
                FromRelay::Head { publisher, name, head: r.rest().to_vec() }
            }
            tag => FromRelay::Task(TaskFromRelay::read(tag, &mut r)?),
        };
        r.end()?;
        Ok(message)
    }
}

fn code(number: u8) -> Result<ErrorCode, DecodeError> {
    ErrorCode::ALL.into_iter().find(|c| *c as u8 == number).ok_or(DecodeError::Value { field: "code" })
}
