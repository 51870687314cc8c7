use super::Pick;
use crate::limits::{BLOCK_SYMBOLS_MAX, BLOCKS_MAX, PEER_FRAME_BYTES_MAX, SYMBOL_BYTES_MAX, WANT_PICKS_MAX};
use crate::{ContentId, DecodeError, Reader, Writer};

/// Which symbol a payload is: enough to verify it, use it or make it again without knowing why it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marker {
    /// A source symbol of the block.
    Source(u32),
    /// A coded symbol of the block.
    Coded {
        /// Density class of the code.
        density: u8,
        /// Seed of the combination.
        seed: u64,
    },
}

/// Why a holder does not answer a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefuseReason {
    /// It does not hold what was asked for.
    NotHeld = 1,
    /// Its queue for this receiver is full.
    Busy = 2,
    /// The visitor's caps allow no more upload.
    Capped = 3,
    /// As many contents are subscribed to as one connection may: with no picks, of a subscription, which is worth trying again
    /// when another one has ended.
    Full = 4,
}

/// A message between two peers. Payloads borrow from the frame, so that receiving a symbol copies it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage<'a> {
    /// The first message of each side.
    Greet {
        /// [`crate::PROTOCOL_VERSION`].
        version: u16,
    },
    /// "Tell me what you hold of this content, now and when it changes."
    Subscribe {
        /// Which content.
        content: ContentId,
    },
    /// "I no longer need to hear of this content."
    Unsubscribe {
        /// Which content.
        content: ContentId,
    },
    /// "I hold nothing of this content", the answer to a subscription that leads nowhere.
    HaveNone {
        /// Which content.
        content: ContentId,
    },
    /// "I hold these blocks whole, and the manifest and their records."
    HaveBlocks {
        /// Which content.
        content: ContentId,
        /// Block that bit 0 of the first byte stands for.
        first: u32,
        /// One bit a block, least significant first.
        bits: &'a [u8],
    },
    /// "I hold these source symbols of these blocks, one after the other, and the records of blocks of which I hold any."
    HaveSymbols {
        /// Which content.
        content: ContentId,
        /// The block that the first byte stands for.
        first: u32,
        /// One bit a source symbol from index 0, least significant first; each block begins with a byte of its own.
        bits: &'a [u8],
    },
    /// "Send me the manifest."
    AskManifest {
        /// Which content.
        content: ContentId,
    },
    /// The canonical manifest, whose hash is the content id.
    Manifest {
        /// Which content.
        content: ContentId,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// "Send me the record of this block."
    AskRecord {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
    },
    /// The hashes of a block's source symbols.
    Record {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
        /// 32 bytes a source symbol.
        bytes: &'a [u8],
    },
    /// "Send me these symbols."
    Want {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
        /// Worthless after so many milliseconds from arrival: the holder drops what it has not sent by then.
        deadline_ms: u32,
        /// Needed in so many milliseconds from arrival: a holder whose uplink is full sends first what is needed first.
        due_ms: u32,
        /// Which symbols, in the order in which they are needed.
        picks: Vec<Pick>,
    },
    /// One symbol behind its marker.
    Symbol {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
        /// Which symbol.
        marker: Marker,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// "I will not send these symbols."
    Refuse {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
        /// Why.
        reason: RefuseReason,
        /// Which symbols.
        picks: Vec<Pick>,
    },
    /// "I no longer need anything of this block that you have not yet sent."
    Cancel {
        /// Which content.
        content: ContentId,
        /// Which block.
        block: u32,
    },
}

const GREET: u8 = 0x01;
const SUBSCRIBE: u8 = 0x02;
const UNSUBSCRIBE: u8 = 0x03;
const HAVE_NONE: u8 = 0x04;
const HAVE_BLOCKS: u8 = 0x05;
const HAVE_SYMBOLS: u8 = 0x06;
const ASK_MANIFEST: u8 = 0x07;
const MANIFEST: u8 = 0x08;
const ASK_RECORD: u8 = 0x09;
const RECORD: u8 = 0x0a;
const WANT: u8 = 0x0b;
const SYMBOL: u8 = 0x0c;
const REFUSE: u8 = 0x0d;
const CANCEL: u8 = 0x0e;

impl PeerMessage<'_> {
    /// The message as one frame.
    pub fn encode(&self) -> Vec<u8> {
        let of = |tag, content: &ContentId, room| Writer::new(tag, 33 + room).raw(&content.0);
        match self {
            PeerMessage::Greet { version } => Writer::new(GREET, 3).u16(*version),
            PeerMessage::Subscribe { content } => of(SUBSCRIBE, content, 0),
            PeerMessage::Unsubscribe { content } => of(UNSUBSCRIBE, content, 0),
            PeerMessage::HaveNone { content } => of(HAVE_NONE, content, 0),
            PeerMessage::HaveBlocks { content, first, bits } => {
                of(HAVE_BLOCKS, content, 4 + bits.len()).u32(*first).raw(bits)
            }
            PeerMessage::HaveSymbols { content, first, bits } => {
                of(HAVE_SYMBOLS, content, 4 + bits.len()).u32(*first).raw(bits)
            }
            PeerMessage::AskManifest { content } => of(ASK_MANIFEST, content, 0),
            PeerMessage::Manifest { content, bytes } => of(MANIFEST, content, bytes.len()).raw(bytes),
            PeerMessage::AskRecord { content, block } => of(ASK_RECORD, content, 4).u32(*block),
            PeerMessage::Record { content, block, bytes } => {
                of(RECORD, content, 4 + bytes.len()).u32(*block).raw(bytes)
            }
            PeerMessage::Want { content, block, deadline_ms, due_ms, picks } => {
                let w = of(WANT, content, 12 + 10 * picks.len()).u32(*block).u32(*deadline_ms).u32(*due_ms);
                picks.iter().fold(w, |w, pick| pick.encode(w))
            }
            PeerMessage::Symbol { content, block, marker, payload } => {
                let w = of(SYMBOL, content, 14 + payload.len()).u32(*block);
                let w = match *marker {
                    Marker::Source(index) => w.u8(0).u32(index),
                    Marker::Coded { density, seed } => w.u8(1).u8(density).u64(seed),
                };
                w.raw(payload)
            }
            PeerMessage::Refuse { content, block, reason, picks } => {
                let w = of(REFUSE, content, 5 + 10 * picks.len()).u32(*block).u8(*reason as u8);
                picks.iter().fold(w, |w, pick| pick.encode(w))
            }
            PeerMessage::Cancel { content, block } => of(CANCEL, content, 4).u32(*block),
        }
        .finish()
    }
}

impl<'a> PeerMessage<'a> {
    /// Reads one frame.
    pub fn decode(frame: &'a [u8]) -> Result<Self, DecodeError> {
        if frame.len() > PEER_FRAME_BYTES_MAX {
            return Err(DecodeError::TooLong { field: "frame", max: PEER_FRAME_BYTES_MAX });
        }
        let mut r = Reader::new(frame);
        let tag = r.u8()?;
        if tag == GREET {
            let version = r.u16()?;
            r.end()?;
            return Ok(PeerMessage::Greet { version });
        }
        if !(SUBSCRIBE..=CANCEL).contains(&tag) {
            return Err(DecodeError::UnknownTag(tag));
        }
        let content = ContentId(r.array()?);
        let message = match tag {
            SUBSCRIBE => PeerMessage::Subscribe { content },
            UNSUBSCRIBE => PeerMessage::Unsubscribe { content },
            HAVE_NONE => PeerMessage::HaveNone { content },
            HAVE_BLOCKS => {
                let first = r.u32()?;
                PeerMessage::HaveBlocks { content, first, bits: bitmap(&mut r, BLOCKS_MAX)? }
            }
            HAVE_SYMBOLS => {
                let first = r.u32()?;
                PeerMessage::HaveSymbols { content, first, bits: bitmap(&mut r, BLOCK_SYMBOLS_MAX)? }
            }
            ASK_MANIFEST => PeerMessage::AskManifest { content },
            MANIFEST => PeerMessage::Manifest { content, bytes: r.rest() },
            ASK_RECORD => PeerMessage::AskRecord { content, block: r.u32()? },
            RECORD => PeerMessage::Record { content, block: r.u32()?, bytes: r.rest() },
            WANT => {
                let (block, deadline_ms, due_ms) = (r.u32()?, r.u32()?, r.u32()?);
                PeerMessage::Want { content, block, deadline_ms, due_ms, picks: picks(&mut r)? }
            }
            SYMBOL => {
                let block = r.u32()?;
                let marker = match r.u8()? {
                    0 => Marker::Source(r.u32()?),
                    1 => Marker::Coded { density: r.u8()?, seed: r.u64()? },
                    _ => return Err(DecodeError::Value { field: "marker" }),
                };
                if r.left() > SYMBOL_BYTES_MAX as usize {
                    return Err(DecodeError::TooLong { field: "payload", max: SYMBOL_BYTES_MAX as usize });
                }
                PeerMessage::Symbol { content, block, marker, payload: r.rest() }
            }
            REFUSE => {
                let block = r.u32()?;
                let reason = match r.u8()? {
                    1 => RefuseReason::NotHeld,
                    2 => RefuseReason::Busy,
                    3 => RefuseReason::Capped,
                    4 => RefuseReason::Full,
                    _ => return Err(DecodeError::Value { field: "reason" }),
                };
                PeerMessage::Refuse { content, block, reason, picks: picks(&mut r)? }
            }
            _ => PeerMessage::Cancel { content, block: r.u32()? },
        };
        r.end()?;
        Ok(message)
    }
}

fn bitmap<'a>(r: &mut Reader<'a>, bits_max: u32) -> Result<&'a [u8], DecodeError> {
    let bytes_max = (bits_max as usize).div_ceil(8);
    if r.left() > bytes_max {
        return Err(DecodeError::TooLong { field: "bits", max: bytes_max });
    }
    Ok(r.rest())
}

fn picks(r: &mut Reader<'_>) -> Result<Vec<Pick>, DecodeError> {
    let mut picks = Vec::new();
    while r.left() > 0 {
        if picks.len() == WANT_PICKS_MAX {
            return Err(DecodeError::TooLong { field: "picks", max: WANT_PICKS_MAX });
        }
        picks.push(Pick::decode(r)?);
    }
    Ok(picks)
}
