//! The page's requests: from a link and a range to bytes in order.

use crate::contents::Content;
use crate::input::RangeSpec;
use crate::output::Output;
use crate::timers::{CHECK_EVERY, Timer};
use crate::{FetchError, Node};
use core::ops::Range;
use core::time::Duration;
use peeredge_dts::{
    Layout, LayoutError, Manifest, ManifestError, Playing, Reader, StoredState, Transfer, block_cost, plan,
};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::{ContentId, RequestId, Time};

/// One piece of data to the page: large enough to be cheap, small enough to arrive soon.
const DATA_BYTES_MAX: u64 = 256 * 1024;
/// Blocks of one content filled at the same time, at most: every one costs memory for its bytes.
const BLOCKS_MAX: u64 = 32;
/// Bytes ahead of a reader that are fetched while it reads: twice what it took so far, within these bounds.
const AHEAD_BYTES_MAX: u64 = 256 << 20;
const AHEAD_BYTES_MIN: u64 = 4 << 20;
/// What is fetched ahead of all readers that stopped, together, but for as much as they asked for.
const AHEAD_OF_STOPPED_BYTES: u64 = 64 << 20;
/// A reader that takes nothing for so long has stopped. A page that is busy for a moment has not.
const STOPPED_AFTER: Duration = Duration::from_millis(300);
/// A page that plays begins about so long after it asked.
const START: Duration = Duration::from_secs(2);
/// A reader that has waited so long is served first.
const URGENT_AFTER: Duration = Duration::from_millis(150);

/// One whose holder gives other contents first is given up after so many times as long.
const TURN_PATIENCE: u32 = 10;

/// One request of the page.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) content: ContentId,
    spec: RangeSpec,
    /// Known with the manifest.
    pub(crate) range: Option<Range<u64>>,
    /// Next byte to deliver.
    pub(crate) at: u64,
    /// Bytes that the page has asked for and not got.
    pub(crate) credit: u64,
    pub(crate) since: Time,
    /// When the last byte was delivered, or the page began to wait.
    pub(crate) starving_since: Time,
    /// Since when the page has all that it asked for, and whether that is so long that its reader has stopped.
    full_since: Option<Time>,
    stopped: bool,
    /// Bytes a second that the page plays, if it said so.
    pub(crate) pace: Option<u64>,
    /// When the page plays the first byte, or would have if it never stood still.
    plays_at: Time,
}

impl Request {
    /// How the page plays, if it has a pace.
    pub(crate) fn playing(&self, now: Time) -> Option<Playing> {
        let (bytes_per_s, end, due) = (self.pace?, self.range.as_ref()?.end, self.due()?);
        let in_s = due.since(now).as_secs_f64() - now.since(due).as_secs_f64();
        Some(Playing { at: self.at, in_s, end, bytes_per_s })
    }

    /// When the page plays the next byte that it needs.
    fn due(&self) -> Option<Time> {
        let bytes = self.at - self.range.as_ref()?.start;
        Some(self.plays_at + Duration::from_secs_f64(bytes as f64 / self.pace? as f64))
    }

    /// The next bytes come now: if that is late, all that follows is played later.
    fn stood_still(&mut self, now: Time) {
        if let Some(due) = self.due() {
            self.plays_at = self.plays_at + now.since(due);
        }
    }

    /// How far the page's bytes are fetched now: what is not read is not fetched, but for a little.
    fn wanted_until(&self, range: &Range<u64>, readers: usize) -> u64 {
        let taken = self.at - range.start;
        let ahead = if self.stopped {
            (AHEAD_OF_STOPPED_BYTES / readers.max(1) as u64).min(AHEAD_BYTES_MIN)
        } else {
            taken.saturating_mul(2).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX)
        };
        range.end.min(self.at.saturating_add(self.credit.max(ahead)))
    }

    /// Whether the page waits for bytes.
    pub(crate) fn waits(&self) -> bool {
        self.range.as_ref().is_none_or(|r| self.credit > 0 && self.at < r.end)
    }
}

fn resolve(spec: RangeSpec, length: u64) -> Option<Range<u64>> {
    match spec {
        RangeSpec::Whole => Some(0..length),
        RangeSpec::From { start, end } => {
            let end = end.map_or(length, |e| e.saturating_add(1).min(length));
            (start < length && start < end).then_some(start..end)
        }
        RangeSpec::Last(count) => (count > 0 && length > 0).then(|| length - count.min(length)..length),
    }
}

impl Node {
    pub(crate) fn fetch(&mut self, request: RequestId, id: ContentId, spec: RangeSpec) {
        if self.requests.contains_key(&request) {
            return self.out.push_back(Output::Failed { request, error: FetchError::DuplicateRequest });
        }
        if self.closing {
            return self.out.push_back(Output::Failed { request, error: FetchError::Aborted });
        }
        let used = self.next_use();
        let content = self.contents.entry(id).or_insert_with(|| Content::new(used));
        content.last_used = used;
        let (now, known, whole) = (self.now, content.state.is_some(), content.is_whole());
        self.requests.insert(
            request,
            Request {
                content: id,
                spec,
                range: None,
                at: 0,
                credit: 0,
                since: now,
                starving_since: now,
                full_since: None,
                stopped: true,
                pace: None,
                plays_at: now + START,
            },
        );
        self.readers_changed(request);
        if known {
            self.begin(request);
        }
        if !whole {
            self.seek(id);
            self.ask_manifest(id);
        }
        self.check_soon();
    }

    /// Looks for sources of a content: at the relay, and among the peers that are connected anyway.
    fn seek(&mut self, id: ContentId) {
        self.announce_soon(id);
        for connection in self.connections.open_ids() {
            self.subscribe(connection, id);
        }
    }

    pub(crate) fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Looks for stalls and starving readers again soon.
    pub(crate) fn check_soon(&mut self) {
        self.timers.by(Timer::Check, self.now + CHECK_EVERY);
    }

    /// Asks for the manifest wherever it may be had: it is small, and nothing can begin without it.
    pub(crate) fn ask_manifest(&mut self, id: ContentId) {
        let now = self.now;
        let Some(content) = self.contents.get_mut(&id) else { return };
        if content.state.is_some() {
            return;
        }
        let mut ask = Vec::new();
        for (&connection, c) in &self.connections.all {
            let again = content
                .manifest_asked
                .get(&connection)
                .is_none_or(|&at| now.since(at) > Duration::from_secs(5));
            if c.subscribed.contains(&id) && again {
                content.manifest_asked.insert(connection, now);
                ask.push(connection);
            }
        }
        for connection in ask {
            if let Some(c) = self.connections.all.get_mut(&connection) {
                c.excused.asks_manifest();
            }
            self.send(connection, &PeerMessage::AskManifest { content: id });
        }
        self.http_manifest(id);
    }

    /// A manifest that met the link: its requests can begin.
    pub(crate) fn manifest_known(&mut self, id: ContentId, manifest: Manifest) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        if content.state.is_some() {
            return;
        }
        content.state = Some(StoredState::empty(manifest));
        (content.unsaved, content.is_bare) = (true, true);
        let waiting: Vec<RequestId> =
            self.requests.iter().filter(|(_, r)| r.content == id).map(|(&r, _)| r).collect();
        // The plan that follows subscribes again: what others hold could not be read before the sizes were known.
        waiting.into_iter().for_each(|r| self.begin(r));
    }

    /// What the link names is no manifest, or one whose sizes contradict each other: nobody can ever send a better one, and who
    /// sent this one did not lie.
    pub(crate) fn manifest_impossible(&mut self, id: ContentId, error: ManifestError) {
        let error = match error {
            ManifestError::Layout(LayoutError::BlockBytes(_)) => FetchError::BlocksTooLarge,
            _ => FetchError::ManifestInvalid,
        };
        let waiting: Vec<RequestId> =
            self.requests.iter().filter(|(_, r)| r.content == id).map(|(&r, _)| r).collect();
        waiting.into_iter().for_each(|r| self.fail(r, error));
    }

    fn begin(&mut self, request: RequestId) {
        let now = self.now;
        let Some(r) = self.requests.get_mut(&request) else { return };
        let content_id = r.content;
        let Some(content) = self.contents.get_mut(&content_id) else { return };
        let Some(state) = &content.state else { return };
        let layout = *state.manifest.layout();
        let Some(range) = resolve(r.spec, layout.length()) else {
            return self.fail(request, FetchError::RangeNotSatisfiable { length: layout.length() });
        };
        (r.range, r.at, r.starving_since) = (Some(range.clone()), range.start, now);
        content.replan = true;
        if self.is_ahead(request) {
            return self.settle_ahead();
        }
        let Some(manifest) = self.contents.get(&content_id).and_then(Content::manifest) else { return };
        self.out.push_back(Output::Head {
            request,
            start: range.start,
            end: range.end,
            length: layout.length(),
            name: manifest.name().to_owned(),
            media_type: manifest.media_type().to_owned(),
        });
    }

    /// The page plays at this rate.
    pub(crate) fn pace(&mut self, request: RequestId, bytes_per_s: u64) {
        if let Some(r) = self.requests.get_mut(&request) {
            r.pace = (bytes_per_s > 0).then_some(bytes_per_s);
        }
    }

    pub(crate) fn pull(&mut self, request: RequestId, bytes: u64) {
        let Some(r) = self.requests.get_mut(&request) else { return };
        if !r.waits() {
            r.starving_since = self.now;
        }
        r.credit = r.credit.saturating_add(bytes);
        (r.full_since, r.stopped) = (None, false);
        if let Some(content) = self.contents.get_mut(&r.content) {
            content.replan = true;
        }
        self.check_soon();
    }

    pub(crate) fn abort(&mut self, request: RequestId) {
        self.end_request(request);
    }

    pub(crate) fn fail(&mut self, request: RequestId, error: FetchError) {
        let ahead = self.is_ahead(request);
        if self.end_request(request) && !ahead {
            self.out.push_back(Output::Failed { request, error });
        }
    }

    fn end_request(&mut self, request: RequestId) -> bool {
        let Some(r) = self.requests.remove(&request) else { return false };
        if let Some(content) = self.contents.get_mut(&r.content) {
            content.replan = true;
            if content.state.is_none() && !self.requests.values().any(|other| other.content == r.content) {
                self.contents.remove(&r.content);
                self.http_forget(r.content);
            }
        }
        self.keep_bare_few();
        self.announce_soon(r.content);
        self.readers_changed(request);
        true
    }

    /// A request began or ended: what is fetched ahead rests or goes on.
    fn readers_changed(&mut self, request: RequestId) {
        if !self.is_ahead(request) {
            let ahead: Vec<ContentId> =
                self.requests.iter().filter(|(r, _)| self.is_ahead(**r)).map(|(_, r)| r.content).collect();
            for id in ahead {
                if let Some(content) = self.contents.get_mut(&id) {
                    content.replan = true;
                }
            }
            self.settle_ahead();
        }
    }

    /// Gives the page what is there, in order.
    pub(crate) fn deliver(&mut self, id: ContentId) {
        let ids: Vec<RequestId> =
            self.requests.iter().filter(|(_, r)| r.content == id).map(|(&r, _)| r).collect();
        for request in ids {
            self.deliver_to(request, id);
        }
    }

    fn deliver_to(&mut self, request: RequestId, id: ContentId) {
        loop {
            let Some(r) = self.requests.get(&request) else { return };
            let Some(range) = r.range.clone() else { return };
            let (at, credit) = (r.at, r.credit);
            if at == range.end {
                if !self.is_ahead(request) {
                    self.out.push_back(Output::Done { request });
                }
                self.end_request(request);
                return;
            }
            if credit == 0 {
                return;
            }
            let Some(bytes) = self.bytes_at(id, at, credit.min(range.end - at).min(DATA_BYTES_MAX)) else {
                return;
            };
            let Some(content) = self.contents.get_mut(&id) else { return };
            let Some(layout) = content.layout() else { return };
            let r = self.requests.get_mut(&request).expect("looked up above");
            let before = layout.locate(r.at).0;
            r.stood_still(self.now);
            r.at += bytes.len() as u64;
            r.credit -= bytes.len() as u64;
            r.starving_since = self.now;
            r.full_since = (r.credit == 0).then_some(self.now);
            // The reader's place decides what is urgent.
            content.replan |= r.at == range.end || layout.locate(r.at).0 != before;
            self.out.push_back(Output::Data { request, bytes });
        }
    }

    /// Verified bytes of the content from `at` on, at most `max`, within one block; none when they are not in memory. A block
    /// that is in the store only is loaded meanwhile.
    fn bytes_at(&mut self, id: ContentId, at: u64, max: u64) -> Option<Vec<u8>> {
        let content = self.contents.get(&id)?;
        let layout = content.layout()?;
        let (block, first) = layout.locate(at);
        let of_block = layout.block_range(block);
        if content.has_block(block) {
            let to = (at + max).min(of_block.end);
            let bytes = self.held_block(id, block, first..layout.locate(to - 1).1 + 1)?;
            return Some(bytes[(at - of_block.start) as usize..(to - of_block.start) as usize].to_vec());
        }
        let assembly = content.transfer.as_ref()?.assembly(block)?;
        let last = (first..layout.symbols_of(block)).take_while(|&i| assembly.have().contains(i)).last()?;
        let end = layout.symbol_range(block, last).end.min(at + max);
        Some(assembly.bytes()[(at - of_block.start) as usize..(end - of_block.start) as usize].to_vec())
    }

    /// Tells the transfer where readers play now.
    pub(crate) fn note_playing(&mut self, id: ContentId) {
        let now = self.now;
        let Some(transfer) = self.contents.get_mut(&id).and_then(|c| c.transfer.as_mut()) else { return };
        let mut playing = Vec::new();
        for request in self.requests.values().filter(|r| r.content == id) {
            match request.playing(now) {
                Some(plays) => playing.push(plays),
                // It takes everything as soon as it comes.
                None => return transfer.set_playing(Vec::new()),
            }
        }
        transfer.set_playing(playing);
    }

    /// Makes the plan again after readers or blocks changed.
    pub(crate) fn replan(&mut self, id: ContentId) {
        self.move_ahead(id);
        let ahead_request = self.ahead_request(id);
        let resting = if self.page_is_busy() { ahead_request } else { None };
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.replan = false;
        content.touched = true;
        let Some(layout) = content.layout() else { return };
        let readers: Vec<Reader> = self
            .requests
            .iter()
            .filter(|(request, r)| r.content == id && Some(**request) != resting)
            .filter_map(|(request, r)| {
                let range = r.range.as_ref()?;
                // One that reads faster than anything comes waits all the time: it is urgent when it waits long.
                let long = self.now.since(r.starving_since) > URGENT_AFTER || r.at == range.start;
                // What is held ahead of demand has no reader.
                let is_ahead = ahead_request == Some(*request);
                let end = if is_ahead { range.end } else { r.wanted_until(range, self.requests.len()) };
                Some(Reader { at: r.at, end, waiting: r.pace.is_none() && r.waits() && long })
            })
            .collect();
        if !readers.is_empty() && !content.is_whole() && content.transfer.is_none() {
            content.transfer =
                Some(Transfer::new(layout, crate::connections::key_of(&self.id), self.config.coded_permille));
            self.seek(id);
        }
        let blocks_max = self.room_for_blocks(id, &layout);
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(state), Some(transfer)) = (&content.state, &mut content.transfer) else { return };
        // Without a store, what is ahead of the readers has to fit the memory.
        let ahead = if content.stored { AHEAD_BYTES_MAX } else { self.config.cache_bytes_max / 2 };
        let mut needs = plan(&layout, &readers, blocks_max.max(1), ahead, |block, symbols| {
            state.whole.contains(block)
                || transfer.assembly(block).is_some_and(|a| symbols.clone().all(|i| a.have().contains(i)))
        });
        let waits = blocks_max == 0 && !needs.is_empty();
        needs.truncate(blocks_max);
        // What has come of a block that a reader is at, or comes to, is not thrown away because it has all that is wanted of it and the
        // reader pauses, or waits for another one: it would be fetched again.
        let is_read = |block: &u32| {
            let of_block = layout.block_range(*block);
            readers.iter().any(|reader| reader.at < of_block.end && of_block.start < reader.end)
        };
        let is_done = |block: &u32| needs.iter().all(|need| need.block != *block);
        let room = blocks_max.saturating_sub(needs.len());
        let in_use: Vec<u32> = transfer.assembled().filter(is_done).filter(is_read).take(room).collect();
        let before = transfer.filling_bytes();
        let dropped = transfer.set_plan(needs, &in_use);
        let shrinks = transfer.filling_bytes() < before;
        let idle = readers.is_empty() && transfer.is_idle();
        content.waits_since = waits.then_some(content.waits_since.unwrap_or(self.uses));
        self.uses += u64::from(waits);
        for (block, assembly) in dropped {
            self.put_away(id, block, &assembly);
        }
        if shrinks || idle {
            self.wake_waiting();
        }
        if idle {
            self.excuse_forgotten(id);
            if let Some(content) = self.contents.get_mut(&id) {
                content.transfer = None;
            }
            self.unsubscribe_all(id);
        }
    }

    /// How many blocks of a content may be filled now. All contents together have half of the cache, each its share of it, and where that
    /// is less than a block they take turns. A content alone can always go on.
    fn room_for_blocks(&self, id: ContentId, layout: &Layout) -> usize {
        let Some(content) = self.contents.get(&id) else { return 0 };
        let (cache, cost) = (self.config.cache_bytes_max, block_cost(layout).max(1));
        let own = content.transfer.as_ref().map_or(0, Transfer::filling_bytes) / cost;
        let (mut contents, mut others, mut before) = (1, 0u64, 0u64);
        for (other, c) in &self.contents {
            if let Some(transfer) = c.transfer.as_ref().filter(|_| *other != id) {
                contents += 1;
                others = others.saturating_add(transfer.filling_bytes());
                // Who has waited longer comes first.
                if c.waits_since.is_some_and(|since| content.waits_since.is_none_or(|own| since < own)) {
                    before = before.saturating_add(c.layout().map_or(0, |layout| block_cost(&layout)));
                }
            }
        }
        let room = (cache / 2).saturating_sub(others).saturating_sub(before);
        let share = (cache / 2 / contents).max(cost);
        let alone = match others + before {
            0 if 2 * cost <= cache => 2,
            0 => 1,
            _ => 0,
        };
        (room.min(share) / cost).max(own).max(alone).min(BLOCKS_MAX) as usize
    }

    /// There may be room for a block again.
    pub(crate) fn wake_waiting(&mut self) {
        for content in self.contents.values_mut() {
            content.replan |= content.waits_since.is_some();
        }
    }

    /// Ends requests that have waited too long for anything.
    pub(crate) fn check_requests(&mut self) {
        let limit = Duration::from_millis(u64::from(self.config.give_up_after_ms));
        let hopeless: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, r)| {
                let waited = self.now.since(r.starving_since.max(self.progress_of(r.content)));
                let has_its_turn = self.has_its_turn_later(&r.content)
                    || self.waits_for_room(r.content)
                    || self.waits_to_be_announced(r.content);
                let patience = if has_its_turn { TURN_PATIENCE } else { 1 };
                r.waits() && waited > limit * patience
            })
            .map(|(&r, _)| r)
            .collect();
        for r in self.requests.values_mut() {
            if !r.stopped && r.full_since.is_some_and(|since| self.now.since(since) >= STOPPED_AFTER) {
                r.stopped = true;
                if let Some(content) = self.contents.get_mut(&r.content) {
                    content.replan = true;
                }
            }
        }
        for request in hopeless {
            let content = self.requests.get(&request).and_then(|r| self.contents.get(&r.content));
            let lied = content.is_some_and(|c| c.state.is_none() && c.manifest_lied);
            self.fail(request, if lied { FetchError::ManifestInvalid } else { FetchError::Unavailable });
        }
        let wanted: Vec<ContentId> =
            self.requests.values().filter(|r| r.range.is_none()).map(|r| r.content).collect();
        wanted.into_iter().for_each(|c| self.ask_manifest(c));
    }

    /// Time passed without this node, as in a tab that was frozen or a machine that slept: nobody was waited for meanwhile.
    pub(crate) fn thaw(&mut self) {
        for request in self.requests.values_mut() {
            request.starving_since = self.now;
        }
    }

    fn waits_for_room(&self, content: ContentId) -> bool {
        self.contents.get(&content).is_some_and(|c| c.waits_since.is_some())
    }

    fn progress_of(&self, content: ContentId) -> Time {
        self.contents.get(&content).map_or(Time::ZERO, |c| c.progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_resolve_as_rfc_9110_says() {
        assert_eq!(resolve(RangeSpec::Whole, 0), Some(0..0));
        assert_eq!(resolve(RangeSpec::From { start: 5, end: None }, 10), Some(5..10));
        assert_eq!(resolve(RangeSpec::From { start: 5, end: Some(5) }, 10), Some(5..6));
        assert_eq!(resolve(RangeSpec::From { start: 5, end: Some(u64::MAX) }, 10), Some(5..10));
        assert_eq!(resolve(RangeSpec::From { start: 10, end: None }, 10), None);
        assert_eq!(resolve(RangeSpec::From { start: 6, end: Some(5) }, 10), None);
        assert_eq!(resolve(RangeSpec::Last(3), 10), Some(7..10));
        assert_eq!(resolve(RangeSpec::Last(30), 10), Some(0..10));
        assert_eq!(resolve(RangeSpec::Last(0), 10), None);
    }
}
