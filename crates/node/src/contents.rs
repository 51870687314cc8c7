//! What a node knows of one content.

use crate::http::TRIAL_WAIT_FIRST;
use crate::output::Server;
use core::time::Duration;
use peeredge_dts::{Bitmap, HASH_BYTES, Layout, Manifest, SourceId, StoredState, Transfer};
use peeredge_wire::{ConnectionId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// One content, held or wanted.
#[derive(Debug)]
pub(crate) struct Content {
    /// What is held, as soon as the manifest is known.
    pub(crate) state: Option<StoredState>,
    /// The receiving side, while the page wants something that is not held.
    pub(crate) transfer: Option<Transfer>,
    /// Whether the store takes this content.
    pub(crate) stored: bool,
    /// Whether the state differs from what the store has.
    pub(crate) unsaved: bool,
    /// Symbols of blocks being filled that the store has already.
    pub(crate) flushed: BTreeMap<u32, Bitmap>,
    /// Connections that asked to hear of changes.
    pub(crate) subscribers: BTreeSet<ConnectionId>,
    /// Blocks that became whole, and blocks that grew, both rising, since subscribers were last told.
    pub(crate) news: (Vec<u32>, Vec<u32>),
    pub(crate) manifest_asked: BTreeMap<ConnectionId, Time>,
    /// Whether somebody sent a manifest that contradicts the link.
    pub(crate) manifest_lied: bool,
    pub(crate) record_asked: BTreeMap<u32, (SourceId, Time)>,
    pub(crate) http: HttpUseOfContent,
    /// Share held and introductions wanted, as last announced.
    pub(crate) announced: Option<(u16, u8)>,
    pub(crate) announce_at: Time,
    pub(crate) announce_wait: Duration,
    /// Something changed that may let a source be asked for more.
    pub(crate) touched: bool,
    /// When all sources were last looked at for what they can be asked, and whether one has said something since.
    pub(crate) asked_all: Time,
    pub(crate) stirred: bool,
    /// The plan must be made again: a reader moved to another block, came or went, or a block became whole.
    pub(crate) replan: bool,
    /// Whether nothing of it was ever held but its manifest.
    pub(crate) is_bare: bool,
    /// Since which turn it waits for room to fill a block.
    pub(crate) waits_since: Option<u64>,
    /// When it last grew.
    pub(crate) progress: Time,
    /// Grows with every use of any content: the least is the least recently used.
    pub(crate) last_used: u64,
}

/// How plain HTTP serves this content.
#[derive(Debug)]
pub(crate) struct HttpUseOfContent {
    pub(crate) relay: ServerUse,
    pub(crate) origin: ServerUse,
    /// Which of the site's servers that is.
    pub(crate) origin_host: u32,
    /// Who has owed an answer for too long: the other one is asked, also for what is under way from it.
    pub(crate) late: Option<Server>,
    pub(crate) manifest_in_flight: bool,
    /// Bytes that HTTP has delivered.
    pub(crate) bytes: u64,
    /// What HTTP delivered at, in bytes a second, the last times; none until it has.
    pub(crate) rate: Option<f64>,
    /// Until when peers are tried without HTTP beside them, and from when on they may be tried again, after which wait then.
    pub(crate) trial_until: Time,
    pub(crate) trial_after: Time,
    pub(crate) trial_wait: Duration,
    /// Since when requests have been under way without a pause, and what they brought.
    pub(crate) busy: (Time, u64),
    /// When HTTP last helped a reader whom peers let starve, and how often in a row it had to.
    pub(crate) rescued: Time,
    pub(crate) streak: u32,
}

/// How one server serves a content.
#[derive(Debug)]
pub(crate) struct ServerUse {
    /// Not asked before this time: it did not have the content, or did not answer. `NEVER` for a site's server that is not known.
    pub(crate) rest_until: Time,
    /// How often in a row: each rest is twice as long.
    pub(crate) failures: u32,
    /// Not asked again at all: it sent wrong bytes, or knows no ranges.
    pub(crate) is_out: bool,
    /// Requests under way, the manifest's apart.
    pub(crate) in_flight: u32,
}

impl Default for ServerUse {
    fn default() -> Self {
        ServerUse { rest_until: Time::ZERO, failures: 0, is_out: false, in_flight: 0 }
    }
}

impl Content {
    pub(crate) fn new(last_used: u64) -> Self {
        Content {
            state: None,
            transfer: None,
            stored: true,
            unsaved: false,
            flushed: BTreeMap::new(),
            subscribers: BTreeSet::new(),
            news: Default::default(),
            manifest_asked: BTreeMap::new(),
            manifest_lied: false,
            record_asked: BTreeMap::new(),
            http: HttpUseOfContent {
                relay: ServerUse::default(),
                origin: ServerUse { rest_until: Time::NEVER, ..ServerUse::default() },
                origin_host: 0,
                late: None,
                manifest_in_flight: false,
                bytes: 0,
                rate: None,
                trial_until: Time::ZERO,
                trial_after: Time::ZERO,
                trial_wait: TRIAL_WAIT_FIRST,
                busy: (Time::ZERO, 0),
                rescued: Time::ZERO,
                streak: 0,
            },
            announced: None,
            announce_at: Time::ZERO,
            announce_wait: Duration::from_secs(1),
            touched: false,
            asked_all: Time::ZERO,
            stirred: false,
            replan: false,
            is_bare: false,
            waits_since: None,
            progress: Time::ZERO,
            last_used,
        }
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.state.as_ref().map(|s| &s.manifest)
    }

    pub(crate) fn layout(&self) -> Option<Layout> {
        self.manifest().map(|m| *m.layout())
    }

    /// Bytes that its manifest takes in memory and in the store, one with another.
    pub(crate) fn manifest_bytes(&self) -> u64 {
        self.layout().map_or(0, |layout| 512 + u64::from(layout.blocks()) * HASH_BYTES as u64)
    }

    /// Bytes that it takes in the store.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let Some(state) = &self.state else { return 0 };
        let parts: u64 = state.parts.values().map(|part| u64::from(part.count())).sum();
        self.held_bytes() + parts * u64::from(state.manifest.layout().symbol_len()) + self.manifest_bytes()
    }

    /// Whether every block is held.
    pub(crate) fn is_whole(&self) -> bool {
        self.state.as_ref().is_some_and(|s| s.whole.is_full())
    }

    pub(crate) fn has_block(&self, block: u32) -> bool {
        self.state.as_ref().is_some_and(|s| s.whole.contains(block))
    }

    /// Verified bytes held.
    pub(crate) fn held_bytes(&self) -> u64 {
        let Some(state) = &self.state else { return 0 };
        let layout = state.manifest.layout();
        let whole: u64 = state
            .whole
            .iter()
            .map(|b| {
                let r = layout.block_range(b);
                r.end - r.start
            })
            .sum();
        let active: u64 = self.transfer.as_ref().map_or(0, |t| {
            let held = |b: &u32| t.assembly(*b).map_or(0, |a| u64::from(a.have().count()));
            t.blocks().iter().map(held).sum::<u64>() * u64::from(layout.symbol_len())
        });
        (whole + active).min(layout.length())
    }

    /// Share of the content that is held, in thousandths; 1000 only when all of it is.
    pub(crate) fn have_permille(&self) -> u16 {
        match self.layout() {
            Some(_) if self.is_whole() => 1000,
            Some(layout) => (self.held_bytes() * 1000 / layout.length().max(1)).min(999) as u16,
            None => 0,
        }
    }
}

/// Adds a number to a short rising list, once.
pub(crate) fn insert_rising(list: &mut Vec<u32>, number: u32) {
    if let Err(at) = list.binary_search(&number) {
        list.insert(at, number);
    }
}
