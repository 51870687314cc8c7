use super::carry;
use super::receipt::{RECEIPT, Receipt};
use super::tasks::TaskToRelay;
use crate::limits::{
    ANNOUNCES_PER_FRAME_MAX, CARRIED_PIECE_BYTES_MAX, LIVE_HEAD_BYTES_MAX, NAME_BYTES_MAX,
    RELAY_FRAME_BYTES_MAX, SIGNAL_BYTES_MAX,
};
use crate::{ContentId, DecodeError, PROTOCOL_VERSION, PeerId, Reader, Writer};

/// What happened since the last report, as the peer itself sees it: a claim, until receivers' receipts bear it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Payload bytes sent to other peers.
    pub sent_bytes: u64,
    /// Verified payload bytes received from peers, without the relay's own.
    pub from_peers_bytes: u64,
    /// Verified payload bytes received over the relay's data channel.
    pub from_relay_bytes: u64,
    /// Verified payload bytes received by HTTP.
    pub from_http_bytes: u64,
    /// Bytes received that were thrown away: duplicates, and what failed verification.
    pub wasted_bytes: u64,
    /// Open data channels.
    pub channels: u16,
}

/// "I hold this share of this content" and, if `wants`, "introduce me to others who do". Neither is a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which content.
    pub content: ContentId,
    /// Share of the content held, in thousandths.
    pub have_permille: u16,
    /// How many introductions the peer can still use; 0 for none.
    pub wants: u8,
}

impl Holding {
    const BYTES: usize = 35;

    fn write(&self, writer: Writer) -> Writer {
        writer.raw(&self.content.0).u16(self.have_permille).u8(self.wants)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (content, have_permille) = (ContentId(r.array()?), r.u16()?);
        if have_permille > 1000 {
            return Err(DecodeError::Value { field: "have_permille" });
        }
        Ok(Holding { content, have_permille, wants: r.u8()? })
    }
}

/// A message from a peer to its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToRelay {
    /// Proves the key: a signature over [`super::hello_payload`].
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the peer.
        version: u16,
        /// The peer's public key.
        peer: PeerId,
        /// Ed25519 signature of [`super::hello_payload`].
        signature: [u8; 64],
        /// `host[:port]` of the address that the peer connected to, lower case, without the scheme's own port.
        authority: String,
    },
    /// "I hold this share of this content" and, if `wants`, "introduce me to others who do".
    Announce {
        /// Which content.
        content: ContentId,
        /// Share of the content held, in thousandths.
        have_permille: u16,
        /// How many introductions the peer can still use; 0 for none.
        wants: u8,
    },
    /// The same of many contents, 1 to [`ANNOUNCES_PER_FRAME_MAX`]: see [`ToRelay::cost`].
    Announces(Vec<Holding>),
    /// "I neither hold nor want this content any more."
    Withdraw {
        /// Which content.
        content: ContentId,
    },
    /// An offer, answer or candidate, which the relay carries unread.
    Signal {
        /// To whom.
        to: PeerId,
        /// The offerer's random number of this connection, the same in every signal of both directions.
        session: u64,
        /// The session description or candidate, in a form that only the two shells know.
        signal: Vec<u8>,
    },
    /// What happened since the last report.
    Report(Report),
    /// "This peer sent me a symbol that contradicts the manifest."
    Blame {
        /// Who sent it.
        accused: PeerId,
        /// Of which content.
        content: ContentId,
        /// In which block.
        block: u32,
    },
    /// "I give no more than this, and it is no cheaper than that": the relay counts on less and on dearer bytes, never the reverse.
    Capacity {
        /// Payload bytes a second to all peers together.
        up_bytes_per_s: u64,
        /// Which of the operator's classes of cost the peer belongs to at least; 0 for whichever the operator says.
        cost_class: u8,
    },
    /// What became of an introduction, told by whoever offered.
    Met {
        /// With whom.
        peer: PeerId,
        /// Milliseconds until messages passed directly; none when they never did.
        opened_after_ms: Option<u32>,
    },
    /// What a peer has sent.
    Receipt(Receipt),
    /// "My visitor agreed to hold contents ahead of demand, and nothing else keeps me busy": the relay may answer with
    /// [`super::FromRelay::Prefetch`]. Without storage, no longer.
    Spare {
        /// Bytes that may be held for others, those held already included.
        storage_bytes: u64,
        /// Bytes a second that may be given to others.
        up_bytes_per_s: u64,
    },
    /// "This content has so many bytes." The relay believes its own node only.
    Length {
        /// Which content.
        content: ContentId,
        /// Its length.
        bytes: u64,
    },
    /// "I sent so many bytes of this content since the last time." The relay believes its own node only: what publishers pay for is
    /// counted by who paid for the line, and not by who received.
    Gave {
        /// Of which content.
        content: ContentId,
        /// Payload bytes.
        bytes: u64,
    },
    /// About tasks.
    Task(TaskToRelay),
    /// "Let our messages pass through the relay": asks the other peer, who answers with credit or closes.
    CarryOpen {
        /// Whom.
        to: PeerId,
        /// The random number of this connection, as in its signals.
        session: u64,
        /// Bytes of pieces that the other side may send at once.
        credit_bytes: u32,
    },
    /// A piece of a message to a peer that gave credit.
    Carry {
        /// To whom.
        to: PeerId,
        /// The connection's number.
        session: u64,
        /// Whether the message ends with this piece.
        last: bool,
        /// At most [`CARRIED_PIECE_BYTES_MAX`] bytes.
        piece: Vec<u8>,
    },
    /// The other side may send so many more bytes. The first one takes the session.
    CarryCredit {
        /// Who may.
        to: PeerId,
        /// The connection's number.
        session: u64,
        /// How many more.
        bytes: u32,
    },
    /// No more pieces in either direction.
    CarryClose {
        /// With whom.
        to: PeerId,
        /// The connection's number.
        session: u64,
    },
    /// "My live content of this name has grown": tell those who follow it. Only the publisher's own connection may.
    Head {
        /// The live content's name.
        name: String,
        /// The signed head, which the relay carries unread.
        head: Vec<u8>,
    },
    /// "Tell me how this live content grows."
    Follow {
        /// Who publishes it.
        publisher: PeerId,
        /// Its name.
        name: String,
    },
    /// "No more of this live content."
    Unfollow {
        /// Who publishes it.
        publisher: PeerId,
        /// Its name.
        name: String,
    },
}

const HELLO: u8 = 0x01;
const ANNOUNCE: u8 = 0x02;
const WITHDRAW: u8 = 0x03;
const SIGNAL: u8 = 0x04;
const REPORT: u8 = 0x05;
const BLAME: u8 = 0x06;
const ANNOUNCES: u8 = 0x07;
const CAPACITY: u8 = 0x10;
const MET: u8 = 0x11;
const SPARE: u8 = 0x18;
const LENGTH: u8 = 0x19;
const GAVE: u8 = 0x1a;
const CARRY_OPEN: u8 = 0x30;
const CARRY: u8 = 0x31;
const CARRY_CREDIT: u8 = 0x32;
const CARRY_CLOSE: u8 = 0x33;
const HEAD: u8 = 0x34;
const FOLLOW: u8 = 0x35;
const UNFOLLOW: u8 = 0x36;
/// No connection takes so many milliseconds to open.
const NEVER_OPENED: u32 = u32::MAX;
/// A frame counts once more for each so many bytes.
const COST_BYTES: usize = 1024;
/// So many contents that are only held count once.
const HOLDINGS_PER_COST: usize = 16;
/// A receipt counts so often: its signature takes longer to check than another frame to be handled.
const RECEIPT_COST: usize = 4;

impl ToRelay {
    /// To whom, and in which session, a piece passes that this frame carries.
    pub fn carried_in(frame: &[u8]) -> Option<(PeerId, u64)> {
        let mut r = Reader::new(frame);
        match r.u8() {
            Ok(CARRY) => Some((PeerId(r.array().ok()?), r.u64().ok()?)),
            _ => None,
        }
    }

    /// What a frame counts against the rate of the welcome: once, once more for each KiB, in a batch of announces once for each
    /// content that asks for introductions and once for 16 others; a receipt counts four times. Both sides count alike, so a peer
    /// can keep below the rate.
    pub fn cost(frame: &[u8]) -> u32 {
        let size = 1 + frame.len() / COST_BYTES;
        let said = match frame.split_first() {
            Some((&ANNOUNCES, said)) => said,
            Some((&RECEIPT, _)) => return (size - 1 + RECEIPT_COST) as u32,
            _ => return size as u32,
        };
        let all = said.chunks_exact(Holding::BYTES);
        let (asking, held) = all.fold((0, 0), |(asking, held), said| match said[Holding::BYTES - 1] {
            0 => (asking, held + 1),
            _ => (asking + 1, held),
        });
        (size + asking + held / HOLDINGS_PER_COST) as u32
    }

    /// The message as one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            ToRelay::Hello { version, peer, signature, authority } => {
                Writer::new(HELLO, 100 + authority.len())
                    .u16(*version)
                    .raw(&peer.0)
                    .raw(signature)
                    .short_text(authority)
            }
            ToRelay::Announces(all) => {
                all.iter().fold(Writer::new(ANNOUNCES, 1 + Holding::BYTES * all.len()), |writer, said| {
                    said.write(writer)
                })
            }
            ToRelay::Announce { content, have_permille, wants } => {
                let said = Holding { content: *content, have_permille: *have_permille, wants: *wants };
                said.write(Writer::new(ANNOUNCE, 36))
            }
            ToRelay::Withdraw { content } => Writer::new(WITHDRAW, 33).raw(&content.0),
            ToRelay::Signal { to, session, signal } => {
                Writer::new(SIGNAL, 41 + signal.len()).raw(&to.0).u64(*session).raw(signal)
            }
            ToRelay::Report(r) => Writer::new(REPORT, 43)
                .u64(r.sent_bytes)
                .u64(r.from_peers_bytes)
                .u64(r.from_relay_bytes)
                .u64(r.from_http_bytes)
                .u64(r.wasted_bytes)
                .u16(r.channels),
            ToRelay::Blame { accused, content, block } => {
                Writer::new(BLAME, 69).raw(&accused.0).raw(&content.0).u32(*block)
            }
            ToRelay::Capacity { up_bytes_per_s, cost_class } => {
                Writer::new(CAPACITY, 10).u64(*up_bytes_per_s).u8(*cost_class)
            }
            ToRelay::Met { peer, opened_after_ms } => {
                Writer::new(MET, 37).raw(&peer.0).u32(opened_after_ms.unwrap_or(NEVER_OPENED))
            }
            ToRelay::Receipt(receipt) => receipt.signed().raw(&receipt.signature),
            ToRelay::Spare { storage_bytes, up_bytes_per_s } => {
                Writer::new(SPARE, 17).u64(*storage_bytes).u64(*up_bytes_per_s)
            }
            ToRelay::Length { content, bytes } => Writer::new(LENGTH, 41).raw(&content.0).u64(*bytes),
            ToRelay::Gave { content, bytes } => Writer::new(GAVE, 41).raw(&content.0).u64(*bytes),
            ToRelay::Task(message) => message.write(),
            ToRelay::CarryOpen { to, session, credit_bytes } => {
                Writer::new(CARRY_OPEN, 45).raw(&to.0).u64(*session).u32(*credit_bytes)
            }
            ToRelay::Carry { to, session, last, piece } => {
                Writer::new(CARRY, 42 + piece.len()).raw(&to.0).u64(*session).u8(u8::from(*last)).raw(piece)
            }
            ToRelay::CarryCredit { to, session, bytes } => {
                Writer::new(CARRY_CREDIT, 45).raw(&to.0).u64(*session).u32(*bytes)
            }
            ToRelay::CarryClose { to, session } => Writer::new(CARRY_CLOSE, 41).raw(&to.0).u64(*session),
            ToRelay::Head { name, head } => {
                Writer::new(HEAD, 3 + name.len() + head.len()).text(name).raw(head)
            }
            ToRelay::Follow { publisher, name } => {
                Writer::new(FOLLOW, 35 + name.len()).raw(&publisher.0).text(name)
            }
            ToRelay::Unfollow { publisher, name } => {
                Writer::new(UNFOLLOW, 35 + name.len()).raw(&publisher.0).text(name)
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
            HELLO => {
                let version = r.u16()?;
                if version != PROTOCOL_VERSION {
                    return Err(DecodeError::Version(version));
                }
                let (peer, signature) = (PeerId(r.array()?), r.array()?);
                let authority = r.short_text("authority")?.to_owned();
                ToRelay::Hello { version, peer, signature, authority }
            }
            ANNOUNCE => {
                let Holding { content, have_permille, wants } = Holding::read(&mut r)?;
                ToRelay::Announce { content, have_permille, wants }
            }
            ANNOUNCES => {
                let mut all = Vec::with_capacity((r.left() / Holding::BYTES).min(ANNOUNCES_PER_FRAME_MAX));
                while r.left() > 0 || all.is_empty() {
                    if all.len() == ANNOUNCES_PER_FRAME_MAX {
                        return Err(DecodeError::TooLong {
                            field: "announces",
                            max: ANNOUNCES_PER_FRAME_MAX,
                        });
                    }
                    all.push(Holding::read(&mut r)?);
                }
                ToRelay::Announces(all)
            }
            WITHDRAW => ToRelay::Withdraw { content: ContentId(r.array()?) },
            SIGNAL => {
                let (to, session) = (PeerId(r.array()?), r.u64()?);
                if r.left() > SIGNAL_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "signal", max: SIGNAL_BYTES_MAX });
                }
                ToRelay::Signal { to, session, signal: r.rest().to_vec() }
            }
            REPORT => ToRelay::Report(Report {
                sent_bytes: r.u64()?,
                from_peers_bytes: r.u64()?,
                from_relay_bytes: r.u64()?,
                from_http_bytes: r.u64()?,
                wasted_bytes: r.u64()?,
                channels: r.u16()?,
            }),
            BLAME => ToRelay::Blame {
                accused: PeerId(r.array()?),
                content: ContentId(r.array()?),
                block: r.u32()?,
            },
            CAPACITY => ToRelay::Capacity { up_bytes_per_s: r.u64()?, cost_class: r.u8()? },
            MET => {
                let (peer, after_ms) = (PeerId(r.array()?), r.u32()?);
                let opened_after_ms = (after_ms != NEVER_OPENED).then_some(after_ms);
                ToRelay::Met { peer, opened_after_ms }
            }
            RECEIPT => ToRelay::Receipt(Receipt {
                sender: PeerId(r.array()?),
                content: ContentId(r.array()?),
                bytes: r.u64()?,
                bytes_per_s: r.u32()?,
                epoch: r.u32()?,
                signature: r.array()?,
            }),
            SPARE => ToRelay::Spare { storage_bytes: r.u64()?, up_bytes_per_s: r.u64()? },
            LENGTH => ToRelay::Length { content: ContentId(r.array()?), bytes: r.u64()? },
            GAVE => ToRelay::Gave { content: ContentId(r.array()?), bytes: r.u64()? },
            CARRY_OPEN => {
                ToRelay::CarryOpen { to: PeerId(r.array()?), session: r.u64()?, credit_bytes: r.u32()? }
            }
            CARRY => {
                let (to, session, last) = (PeerId(r.array()?), r.u64()?, carry::last(r.u8()?)?);
                if r.left() > CARRIED_PIECE_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "piece", max: CARRIED_PIECE_BYTES_MAX });
                }
                ToRelay::Carry { to, session, last, piece: r.rest().to_vec() }
            }
            CARRY_CREDIT => {
                ToRelay::CarryCredit { to: PeerId(r.array()?), session: r.u64()?, bytes: r.u32()? }
            }
            CARRY_CLOSE => ToRelay::CarryClose { to: PeerId(r.array()?), session: r.u64()? },
            HEAD => {
                let name = r.text("name", NAME_BYTES_MAX)?.to_owned();
                if r.left() > LIVE_HEAD_BYTES_MAX {
                    return Err(DecodeError::TooLong { field: "head", max: LIVE_HEAD_BYTES_MAX });
                }
                ToRelay::Head { name, head: r.rest().to_vec() }
            }
            FOLLOW => ToRelay::Follow {
                publisher: PeerId(r.array()?),
                name: r.text("name", NAME_BYTES_MAX)?.to_owned(),
            },
            UNFOLLOW => ToRelay::Unfollow {
                publisher: PeerId(r.array()?),
                name: r.text("name", NAME_BYTES_MAX)?.to_owned(),
            },
            tag => ToRelay::Task(TaskToRelay::read(tag, &mut r)?),
        };
        r.end()?;
        Ok(message)
    }
}
