//! Contents held ahead of demand: a relay that foresees it asks, and a visitor who agreed lends storage and upload.
//!
//! What is fetched ahead is a request like the page's, but nobody reads it: it takes no HTTP, and rests while the page wants anything.

use crate::Node;
use crate::fetch::Request;
use crate::input::RangeSpec;
use peeredge_wire::relay::ToRelay;
use peeredge_wire::{ContentId, RequestId};
use std::collections::BTreeMap;

/// Contents that a relay may ask one peer to hold.
const CONTENTS_MAX: usize = 64;

/// What is held ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The request that fetches it; it may be over.
    contents: BTreeMap<ContentId, RequestId>,
    /// Storage and rate as last told to the relay.
    told: Option<(u64, u64)>,
    /// The request that began last, counted from the highest number down: the page counts up.
    requests: u32,
}

impl Node {
    /// The relay asks to hold a content. Nothing happens without the visitor's agreement.
    pub(crate) fn prefetch(&mut self, id: ContentId) {
        let caps = &self.config.caps;
        let agreed = caps.prefetch_bytes_max > 0 && caps.upload_allowed && !self.closing;
        if !agreed || self.ahead.contents.len() >= CONTENTS_MAX || self.ahead.contents.contains_key(&id) {
            return;
        }
        let request = RequestId(u32::MAX - self.ahead.requests);
        self.ahead.requests = self.ahead.requests.wrapping_add(1) % (1 << 24);
        self.ahead.contents.insert(id, request);
        self.fetch(request, id, RangeSpec::Whole);
    }

    /// The relay no longer needs a content to be held: the fetch ends, and what is there goes when room is needed.
    pub(crate) fn release(&mut self, id: ContentId) {
        if let Some(request) = self.ahead.contents.remove(&id) {
            self.abort(request);
        }
    }

    /// Whether this request fetches ahead.
    pub(crate) fn is_ahead(&self, request: RequestId) -> bool {
        self.ahead.contents.values().any(|ahead| *ahead == request)
    }

    /// The request that fetches this content ahead; it may be over.
    pub(crate) fn ahead_request(&self, id: ContentId) -> Option<RequestId> {
        self.ahead.contents.get(&id).copied()
    }

    /// Whether the page wants something: then nothing is fetched ahead.
    pub(crate) fn page_is_busy(&self) -> bool {
        self.requests.keys().any(|request| !self.is_ahead(*request))
    }

    /// The caps, the relay or the page's requests changed: what is agreed to is kept, what is not is ended, and the relay hears.
    pub(crate) fn settle_ahead(&mut self) {
        let caps = &self.config.caps;
        let (room, rate) =
            (caps.prefetch_bytes_max.min(self.config.store_bytes_max), caps.upload_bytes_per_s_max);
        let agreed = room > 0 && caps.upload_allowed && !self.closing;
        if !agreed {
            for id in self.ahead.contents.keys().copied().collect::<Vec<_>>() {
                self.release(id);
            }
        }
        self.keep_ahead_within(if agreed { room } else { 0 });
        let spare = (if agreed && !self.page_is_busy() { room } else { 0 }, rate);
        let told = self.ahead.told.unwrap_or((0, rate));
        if self.relay.is_ready() && told != spare {
            self.ahead.told = Some(spare);
            self.relay_send(ToRelay::Spare { storage_bytes: spare.0, up_bytes_per_s: spare.1 });
        }
    }

    /// The relay knows nothing yet.
    pub(crate) fn ahead_untold(&mut self) {
        self.ahead.told = None;
    }

    /// Lets go of what would exceed the room: lengths are known with the manifests only.
    fn keep_ahead_within(&mut self, room: u64) {
        let length =
            |id: &ContentId| self.contents.get(id).and_then(|c| c.layout()).map_or(0, |l| l.length());
        let mut sum = 0u64;
        let over: Vec<ContentId> = self
            .ahead
            .contents
            .keys()
            .filter(|id| {
                let with = sum.saturating_add(length(id));
                let fits = with <= room;
                sum = if fits { with } else { sum };
                !fits
            })
            .copied()
            .collect();
        over.into_iter().for_each(|id| self.release(id));
    }

    /// Puts the readers of what is fetched ahead at the first byte that is missing; the page's busy times have none.
    pub(crate) fn move_ahead(&mut self, id: ContentId) {
        let Some(request) = self.ahead.contents.get(&id) else { return };
        let Some(content) = self.contents.get(&id) else { return };
        let (Some(layout), Some(Request { range: Some(range), .. })) =
            (content.layout(), self.requests.get(request))
        else {
            return;
        };
        let missing = (0..layout.blocks()).find(|&block| !content.has_block(block));
        let at = missing.map_or(range.end, |block| layout.block_range(block).start);
        self.requests.get_mut(request).expect("looked up above").at = at;
    }
}
