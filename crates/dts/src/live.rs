//! Content that grows: a list of contents that its publisher extends and signs.
//!
//! A live link names the publisher's Ed25519 key and a name. What is signed is a *head*: how many entries there are, the last
//! [`LIVE_ENTRIES_MAX`] of them, and a hash over all before; so a follower sees that every head only extends the one before, whoever
//! carried it. After a gap that is longer than a head it cannot see that, and is told so: it begins anew there. The entries are
//! ordinary contents, each verified by its own id.

use core::fmt;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use peeredge_wire::limits::{LIVE_ENTRIES_MAX, NAME_BYTES_MAX};
use peeredge_wire::{ContentId, DecodeError, PeerId, Reader, Writer};
use std::collections::VecDeque;

const VERSION: u8 = 2;
const SIGNATURE_BYTES: usize = 64;
const SIGNED_AS: &[u8] = b"peeredge live v2";

/// A broadcast that goes on signs its head anew at least so often, in milliseconds, and a follower refuses one that is older than the
/// other: visitors' clocks are minutes off, and whoever replays heads can hide the last parts for as long.
pub const LIVE_SIGN_EVERY_MS: u64 = 60_000;
/// See [`LIVE_SIGN_EVERY_MS`].
pub const LIVE_STALE_MS: u64 = 600_000;

/// One more part of a live content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveEntry {
    /// What it is.
    pub content: ContentId,
    /// Its length in bytes: the content's own manifest must say the same.
    pub length: u64,
    /// How long it plays, in milliseconds; 0 when it does not play.
    pub duration_ms: u32,
}

impl LiveEntry {
    const BYTES: usize = 44;

    fn encode(&self) -> [u8; LiveEntry::BYTES] {
        let mut out = [0; LiveEntry::BYTES];
        out[..32].copy_from_slice(&self.content.0);
        out[32..40].copy_from_slice(&self.length.to_le_bytes());
        out[40..].copy_from_slice(&self.duration_ms.to_le_bytes());
        out
    }
}

/// A hash over all entries up to a place.
type Chain = [u8; 32];

fn chain_start(publisher: &PeerId, name: &str, epoch: u64) -> Chain {
    let mut hasher = blake3::Hasher::new_derive_key("peeredge live chain v1");
    hasher.update(&publisher.0).update(&epoch.to_le_bytes()).update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

fn chain_next(chain: &Chain, entry: &LiveEntry) -> Chain {
    *blake3::Hasher::new_keyed(chain).update(&entry.encode()).finalize().as_bytes()
}

/// What one head says, still unjudged beyond its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    publisher: PeerId,
    name: String,
    /// Milliseconds since 1970 when the broadcast began, by the publisher's clock: a later one under the same name takes over.
    epoch: u64,
    /// Entries so far.
    count: u64,
    ended: bool,
    /// When it was signed, in milliseconds since 1970, by the publisher's clock.
    signed_ms: u64,
    /// The chain before the first entry below.
    before: Chain,
    /// The last entries.
    entries: Vec<LiveEntry>,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(VERSION, 148 + self.name.len() + self.entries.len() * LiveEntry::BYTES)
            .raw(&self.publisher.0)
            .text(&self.name)
            .u64(self.epoch)
            .u64(self.count)
            .u8(u8::from(self.ended))
            .u64(self.signed_ms)
            .raw(&self.before);
        for entry in &self.entries {
            out = out.raw(&entry.encode());
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Head, DecodeError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(DecodeError::Value { field: "version" });
        }
        let publisher = PeerId(r.array()?);
        let name = r.text("name", NAME_BYTES_MAX)?.to_owned();
        let (epoch, count) = (r.u64()?, r.u64()?);
        let ended = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Value { field: "ended" }),
        };
        let signed_ms = r.u64()?;
        let before = r.array()?;
        if r.left() > LIVE_ENTRIES_MAX * LiveEntry::BYTES {
            return Err(DecodeError::TooLong { field: "entries", max: LIVE_ENTRIES_MAX });
        }
        let mut entries = Vec::with_capacity(r.left() / LiveEntry::BYTES);
        while r.left() > 0 {
            entries.push(LiveEntry {
                content: ContentId(r.array()?),
                length: r.u64()?,
                duration_ms: r.u32()?,
            });
        }
        // A head that held fewer than it can would let its publisher choose what a follower is able to check.
        if entries.len() as u64 != count.min(LIVE_ENTRIES_MAX as u64) {
            return Err(DecodeError::Value { field: "count" });
        }
        Ok(Head { publisher, name, epoch, count, ended, signed_ms, before, entries })
    }
}

/// The bytes that a publisher signs.
fn signed(head: &[u8]) -> Vec<u8> {
    [SIGNED_AS, head].concat()
}

/// A publisher's side: extends the list and signs it.
#[derive(Debug)]
pub struct LiveWriter {
    key: SigningKey,
    name: String,
    epoch: u64,
    count: u64,
    ended: bool,
    before: Chain,
    window: VecDeque<LiveEntry>,
}

impl LiveWriter {
    /// An empty list. `name` has at most [`NAME_BYTES_MAX`] bytes; `epoch` is the time in milliseconds since 1970, and must be
    /// later than that of any broadcast before under this key and name.
    pub fn new(key: SigningKey, name: &str, epoch: u64) -> Option<LiveWriter> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let before = chain_start(&PeerId(key.verifying_key().to_bytes()), name, epoch);
        Some(LiveWriter {
            key,
            name: name.into(),
            epoch,
            count: 0,
            ended: false,
            before,
            window: VecDeque::new(),
        })
    }

    /// Adds an entry; not behind the end.
    pub fn append(&mut self, entry: LiveEntry) {
        if self.ended {
            return;
        }
        if self.window.len() == LIVE_ENTRIES_MAX
            && let Some(oldest) = self.window.pop_front()
        {
            self.before = chain_next(&self.before, &oldest);
        }
        self.window.push_back(entry);
        self.count += 1;
    }

    /// Nothing more follows.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more follows.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The head as it is now, signed at this time, in milliseconds since 1970.
    pub fn head(&self, now_ms: u64) -> Vec<u8> {
        let head = Head {
            publisher: PeerId(self.key.verifying_key().to_bytes()),
            name: self.name.clone(),
            epoch: self.epoch,
            count: self.count,
            ended: self.ended,
            signed_ms: now_ms,
            before: self.before,
            entries: self.window.iter().copied().collect(),
        }
        .encode();
        let signature = self.key.sign(&signed(&head)).to_bytes();
        [head.as_slice(), &signature].concat()
    }
}

/// What a head told a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNews {
    /// Entries that the follower did not know, in order.
    pub entries: Vec<LiveEntry>,
    /// The number of the first of them.
    pub first: u64,
    /// More entries were missed than a head holds: those from this number up to `first`. Nothing ties what follows to what was known
    /// before but the publisher's signature: it may have signed another list meanwhile. None where every entry was given, and for a
    /// follower that begins.
    pub gap_from: Option<u64>,
    /// Whether this is another broadcast than the one followed so far: numbers begin anew.
    pub is_new_broadcast: bool,
    /// Whether nothing more follows.
    pub ended: bool,
    /// When the publisher signed that, in milliseconds since 1970, by its clock. The end of an earlier broadcast can be shown to
    /// whoever does not know of a later one: this says how old it is.
    pub signed_ms: u64,
}

/// Why a head was not taken. None of these says anything of who carried it but [`LiveError::Forked`], which is the publisher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// It cannot be read.
    Malformed(DecodeError),
    /// It is another publisher's, or has another name.
    Foreign,
    /// The signature is not the publisher's.
    Signature,
    /// It was signed so long ago that a broadcast that goes on has a later one.
    Stale,
    /// The publisher signed two lists of which neither extends the other.
    Forked,
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LiveError::Malformed(error) => write!(f, "no head of a live content: {error}"),
            LiveError::Foreign => write!(f, "the head of another live content"),
            LiveError::Signature => write!(f, "the head is not signed by its publisher"),
            LiveError::Stale => write!(f, "the head is from long ago"),
            LiveError::Forked => write!(f, "the publisher contradicts what it signed before"),
        }
    }
}

impl core::error::Error for LiveError {}

/// A follower's side: takes heads from anywhere, and gives what is new.
#[derive(Debug)]
pub struct LiveReader {
    publisher: PeerId,
    name: String,
    /// Epoch, entries known, the chain over them, and whether that was the end.
    known: Option<(u64, u64, Chain, bool)>,
}

impl LiveReader {
    /// A follower that knows nothing yet.
    pub fn new(publisher: PeerId, name: &str) -> LiveReader {
        LiveReader { publisher, name: name.into(), known: None }
    }

    /// Takes a head. `None` when it says nothing new. `now_ms` is this side's time in milliseconds since 1970, if it is known: a head
    /// older than [`LIVE_STALE_MS`] is refused, unless it says that the broadcast has ended.
    ///
    /// Whoever begins to follow gets the last [`LIVE_ENTRIES_MAX`] entries, and so does, with [`LiveNews::gap_from`], who missed more.
    pub fn take(&mut self, bytes: &[u8], now_ms: Option<u64>) -> Result<Option<LiveNews>, LiveError> {
        let too_short = DecodeError::Short { needed: SIGNATURE_BYTES, left: bytes.len() };
        let at = bytes.len().checked_sub(SIGNATURE_BYTES).ok_or(LiveError::Malformed(too_short))?;
        let (body, signature) = bytes.split_at(at);
        let head = Head::decode(body).map_err(LiveError::Malformed)?;
        if head.publisher != self.publisher || head.name != self.name {
            return Err(LiveError::Foreign);
        }
        let signature = Signature::from_slice(signature).map_err(|_| LiveError::Signature)?;
        VerifyingKey::from_bytes(&self.publisher.0)
            .and_then(|key| key.verify_strict(&signed(body), &signature))
            .map_err(|_| LiveError::Signature)?;
        let age_ms = now_ms.map_or(0, |now_ms| now_ms.saturating_sub(head.signed_ms));
        if !head.ended && age_ms > LIVE_STALE_MS {
            return Err(LiveError::Stale);
        }

        let first_here = head.count - head.entries.len() as u64;
        if first_here == 0 && head.before != chain_start(&head.publisher, &head.name, head.epoch) {
            return Err(LiveError::Forked);
        }
        // The chain at each place from the first entry here on.
        let mut chains = vec![head.before];
        for entry in &head.entries {
            let last = chains.last().expect("it begins with one");
            chains.push(chain_next(last, entry));
        }
        let end = *chains.last().expect("it begins with one");
        let (mut from, mut is_new_broadcast, mut gap_from) = (first_here, false, None);
        match self.known {
            Some((epoch, ..)) if head.epoch < epoch => return Ok(None),
            Some((epoch, count, chain, ended)) if head.epoch == epoch => {
                // A head from before is old news, as long as it does not contradict.
                let shared = count.min(head.count);
                if let Some(here) = shared.checked_sub(first_here).and_then(|at| chains.get(at as usize))
                    && shared == count
                    && *here != chain
                {
                    return Err(LiveError::Forked);
                }
                if head.count < count || (head.count == count && head.ended == ended) {
                    return Ok(None);
                }
                if ended {
                    return Err(LiveError::Forked);
                }
                gap_from = (first_here > count).then_some(count);
                from = from.max(count);
            }
            Some(_) => is_new_broadcast = true,
            None => {}
        }
        self.known = Some((head.epoch, head.count, end, head.ended));
        let entries = head.entries[(from - first_here) as usize..].to_vec();
        let signed_ms = head.signed_ms;
        Ok(Some(LiveNews { entries, first: from, gap_from, is_new_broadcast, ended: head.ended, signed_ms }))
    }
}
