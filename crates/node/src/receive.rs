//! What other peers say: their holdings, their symbols, and what they ask.

use crate::Node;
use crate::connections::{key_of, source_of};
use crate::contents::insert_rising;
use crate::output::Event;
use crate::timers::{PERSIST_EVERY, Timer, tell_after};
use core::time::Duration;
use peeredge_dts::{Decoded, Holdings, Layout, Manifest, ManifestError, Received, Record, WholeBlock};
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION};

/// XORed bytes of one decoding step: a few milliseconds in a browser.
const DECODE_BUDGET_BYTES: usize = 32 << 20;
/// After all sources were looked at, news of one of them waits so long.
const STIR_AGAIN: Duration = Duration::from_millis(4);
/// Bytes that one peer's news may make this side hold, over all contents and lanes.
const HOLDINGS_BYTES_MAX: usize = 512 << 10;
/// Bytes of the shortest frames of their kinds.
const HAVE_NONE_BYTES: u64 = 33;
const REFUSE_BYTES: u64 = 38;

impl Node {
    pub(crate) fn peer_message(&mut self, id: ConnectionId, frame: &[u8]) {
        let Some(connection) = self.connections.all.get(&id) else { return };
        let Ok(message) = PeerMessage::decode(frame) else { return self.hang_up(id) };
        if !connection.greeted {
            return match message {
                PeerMessage::Greet { version: PROTOCOL_VERSION } => self.greeted(id),
                _ => self.hang_up(id),
            };
        }
        if !self.pays(id, &message) {
            return self.send_away(id);
        }
        let frame_bytes = frame.len() as u64;
        match message {
            PeerMessage::Greet { .. } => self.hang_up(id),
            PeerMessage::Symbol { content, block, marker, payload } => {
                self.symbol(id, content, block, marker, payload)
            }
            PeerMessage::HaveNone { content } => self.have_none(id, content),
            PeerMessage::HaveBlocks { content, first, bits } => {
                self.have(id, content, frame_bytes, |holdings, _, _| holdings.add_blocks(first, bits));
            }
            PeerMessage::HaveSymbols { content, first, bits } => {
                self.have(id, content, frame_bytes, |holdings, layout, bytes_max| {
                    holdings.set_symbols(layout, first, bits, bytes_max)
                });
            }
            PeerMessage::Manifest { content, bytes } => self.manifest_from(id, content, bytes),
            PeerMessage::Record { content, block, bytes } => self.record_from(id, content, block, bytes),
            PeerMessage::Refuse { content, block, reason, picks } => {
                self.refused(id, content, block, reason, &picks)
            }
            PeerMessage::Subscribe { content } => self.subscribed(id, content),
            PeerMessage::Unsubscribe { content } => self.unsubscribed(id, content),
            PeerMessage::AskManifest { content } => self.asked_manifest(id, content),
            PeerMessage::AskRecord { content, block } => self.asked_record(id, content, block),
            PeerMessage::Want { content, block, deadline_ms, due_ms, picks } => {
                let [until, due] =
                    [deadline_ms, due_ms].map(|ms| self.now + Duration::from_millis(u64::from(ms)));
                self.wanted(id, content, block, until, due, &picks);
            }
            PeerMessage::Cancel { content, block } => {
                if let Some(c) = self.connections.all.get_mut(&id) {
                    c.serve.cancel(&content, block);
                }
            }
        }
    }

    /// Whether a frame is within what its sender may say beside what it gives and takes. Symbols, manifests and records are judged by
    /// what was asked for.
    fn pays(&mut self, id: ConnectionId, message: &PeerMessage<'_>) -> bool {
        let frames = match message {
            PeerMessage::Symbol { .. } | PeerMessage::Manifest { .. } | PeerMessage::Record { .. } => 0,
            PeerMessage::HaveBlocks { bits, .. } | PeerMessage::HaveSymbols { bits, .. } => {
                1 + bits.len() as u64 / 64
            }
            PeerMessage::Want { picks, .. } | PeerMessage::Refuse { picks, .. } => {
                1 + picks.len() as u64 / 16
            }
            _ => 1,
        };
        self.connections.all.get_mut(&id).is_some_and(|c| c.frames.take(self.now, frames))
    }

    fn have(
        &mut self,
        id: ConnectionId,
        content: ContentId,
        frame_bytes: u64,
        add: impl Fn(&mut Holdings, &Layout, usize) -> bool,
    ) {
        // Only of what was subscribed: or a stranger could fill the memory with holdings.
        let Some(connection) = self.connections.all.get(&id).filter(|c| c.subscribed.contains(&content))
        else {
            return self.talked(id, frame_bytes);
        };
        let (peer, contents) = (connection.peer, connection.subscribed.len());
        let lanes = self.connections.to_peer(&peer);
        let open = |lane: &ConnectionId| self.connections.all.get(lane).is_some_and(|c| c.open && c.greeted);
        let lanes: Vec<ConnectionId> = lanes.into_iter().filter(|lane| *lane == id || open(lane)).collect();
        let key = key_of(&peer);
        let c = self.contents.get_mut(&content);
        let Some((layout, c)) = c.and_then(|c| Some((c.layout()?, c))) else {
            return self.talked(id, frame_bytes);
        };
        let Some(transfer) = &mut c.transfer else { return self.talked(id, frame_bytes) };
        let bytes_max = HOLDINGS_BYTES_MAX / (contents * lanes.len()).max(1);
        let mut is_news = false;
        for lane in lanes {
            is_news |= add(transfer.source(source_of(lane), key), &layout, bytes_max);
        }
        match is_news {
            true => self.stir(content),
            false => self.talked(id, frame_bytes),
        }
    }

    /// A source said something that may let it be asked for more. All sources are looked at, which costs more than what was said: at
    /// once, but not again at once.
    fn stir(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let at = content.asked_all + STIR_AGAIN;
        if at <= self.now {
            content.touched = true;
        } else {
            content.stirred = true;
            self.timers.by(Timer::Stir, at);
        }
    }

    pub(crate) fn stir_due(&mut self) {
        for content in self.contents.values_mut().filter(|content| content.stirred) {
            content.touched = true;
        }
    }

    /// News that say nothing new: some are to be expected, and the others count against their sender.
    fn talked(&mut self, id: ConnectionId, frame_bytes: u64) {
        if self.connections.all.get_mut(&id).is_some_and(|c| !c.excused.talk(frame_bytes)) {
            self.totals.duplicate_bytes += frame_bytes;
            self.counts_against(id, frame_bytes);
        }
    }

    fn have_none(&mut self, id: ConnectionId, content: ContentId) {
        self.talked(id, HAVE_NONE_BYTES);
        let Some(peer) = self.connections.all.get(&id).filter(|c| c.is_first()).map(|c| c.peer) else {
            return;
        };
        self.give_up_place(id, content);
        if let Some(transfer) = self.contents.get_mut(&content).and_then(|c| c.transfer.as_mut()) {
            self.connections
                .to_peer(&peer)
                .into_iter()
                .for_each(|lane| transfer.source_gone(source_of(lane)));
        }
    }

    fn manifest_from(&mut self, id: ConnectionId, content: ContentId, bytes: &[u8]) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        // One that was asked several has several answers.
        let (peer, answers) = (connection.peer, connection.excused.manifest());
        let wanted = self.contents.get_mut(&content).filter(|c| c.state.is_none());
        let Some(c) = wanted.filter(|_| answers) else {
            self.totals.duplicate_bytes += bytes.len() as u64;
            if !answers {
                self.counts_against(id, bytes.len() as u64);
            }
            return;
        };
        c.manifest_asked.remove(&id);
        match Manifest::decode(&content, bytes) {
            Ok(manifest) => self.manifest_known(content, manifest),
            // Only a liar sends a manifest that does not meet the link.
            Err(ManifestError::Hash) => {
                c.manifest_lied = true;
                self.totals.rejected_bytes += bytes.len() as u64;
                self.blame(peer, content, 0, false);
            }
            Err(error) => self.manifest_impossible(content, error),
        }
    }

    fn record_from(&mut self, id: ConnectionId, content: ContentId, block: u32, bytes: &[u8]) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let (peer, answers) = (connection.peer, connection.excused.record());
        if let Some(c) = self.contents.get_mut(&content) {
            if c.record_asked.get(&block).is_some_and(|(source, _)| *source == source_of(id)) {
                c.record_asked.remove(&block);
            }
            let waits = c.transfer.as_ref().is_some_and(|t| t.waits_for_record(block));
            if let Some(manifest) = c.manifest().filter(|_| waits) {
                return match Record::decode(manifest, block, bytes) {
                    Some(record) => self.record_known(content, block, record),
                    // Asked or not: only a liar sends one that contradicts the manifest.
                    None => {
                        self.totals.rejected_bytes += bytes.len() as u64;
                        self.blame(peer, content, block, false);
                    }
                };
            }
        }
        self.totals.duplicate_bytes += bytes.len() as u64;
        if !answers {
            self.counts_against(id, bytes.len() as u64);
        }
    }

    /// A block's record is known and checked: its symbols can be asked for and verified.
    pub(crate) fn record_known(&mut self, id: ContentId, block: u32, record: Record) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(transfer) = &mut content.transfer else { return };
        if transfer.open(block, record) {
            content.touched = true;
            content.record_asked.remove(&block);
            self.restore_parts(id, block);
        }
    }

    /// What is no longer waited for may come all the same: its senders could not know.
    pub(crate) fn excuse_forgotten(&mut self, id: ContentId) {
        if let Some(transfer) = self.contents.get_mut(&id).and_then(|c| c.transfer.as_mut()) {
            self.connections.excuse(self.now, transfer);
        }
    }

    fn symbol(&mut self, id: ConnectionId, content: ContentId, block: u32, marker: Marker, payload: &[u8]) {
        let bytes = payload.len() as u64;
        let mut is_rare = false;
        let mut late = None;
        let now = self.now;
        self.excuse_forgotten(content);
        let received = match self.contents.get_mut(&content).and_then(|c| c.transfer.as_mut()) {
            Some(transfer) => {
                is_rare = transfer.holdings(source_of(id)).is_some_and(Holdings::is_seed);
                late = transfer.comes_late(now, source_of(id), block, marker);
                transfer.receive(source_of(id), block, marker, payload)
            }
            // The request ended while this was under way, or it was never asked for.
            None => Received::Unasked,
        };
        let is_relay =
            self.relay.relay.is_some_and(|r| self.connections.all.get(&id).is_some_and(|c| c.peer == r));
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let received = match received {
            Received::Unasked if connection.excused.symbol(now) => Received::Duplicate,
            other => other,
        };
        if received != Received::Unasked {
            let was_known = connection.rate.rate().is_some();
            let was_busy = connection.pipe.arrived(now, bytes);
            connection.rate.fragment(now, bytes, was_busy);
            self.connections.chain.arrived(now, id.0, bytes, was_busy);
            connection.last_used = now;
            let peer = connection.peer;
            // A rate that is only supposed promises nothing.
            let late = late.filter(|_| was_known);
            self.lane_arrived(&peer, bytes, late);
        }
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        match received {
            Received::New => {
                connection.frames.give(bytes / 1024);
                connection.received_bytes += bytes;
                connection.gave = now;
                self.relay.came(connection.peer, content, bytes);
                if is_relay {
                    self.totals.from_relay_bytes += bytes;
                } else {
                    self.totals.from_peers_bytes += bytes;
                }
                if let Some(c) = self.contents.get_mut(&content) {
                    c.progress = now;
                }
                match marker {
                    Marker::Source(_) => self.symbol_held(content, block, is_rare),
                    Marker::Coded { .. } => {
                        connection.excused.sent_coded = true;
                        self.decode(content, block);
                    }
                }
            }
            Received::Duplicate => self.totals.duplicate_bytes += bytes,
            Received::Unasked => {
                self.totals.duplicate_bytes += bytes;
                self.counts_against(id, bytes);
            }
            Received::Contradicts => {
                let peer = connection.peer;
                self.totals.rejected_bytes += bytes;
                self.blame(peer, content, block, matches!(marker, Marker::Coded { .. }));
            }
        }
        self.ask(content, id);
    }

    /// A source symbol became held: others hear of it, and the block may be whole.
    pub(crate) fn symbol_held(&mut self, id: ContentId, block: u32, is_rare: bool) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        if !content.subscribers.is_empty() {
            insert_rising(&mut content.news.1, block);
            self.timers.by(Timer::Haves, self.now + tell_after(content.subscribers.len(), is_rare));
        }
        (content.unsaved, content.is_bare) = (true, false);
        self.timers.by(Timer::Persist, self.now + PERSIST_EVERY);
        // From now on this peer can give, too: the sooner fellows are met, the less the seeder sends twice.
        if content.announced.is_some_and(|(have, _)| have == 0) && content.have_permille() > 0 {
            content.announce_at = self.now;
            self.timers.by(Timer::Announce, self.now);
        }
        let Some(transfer) = &mut content.transfer else { return };
        if let Some(whole) = transfer.take_whole(block) {
            self.block_whole(id, block, whole);
        } else {
            if transfer.missing(block) == 0 {
                content.replan = true;
            }
            // A source symbol may be the last one that coded symbols in quarantine waited for.
            self.decode(id, block);
        }
        self.deliver(id);
    }

    pub(crate) fn decode(&mut self, id: ContentId, block: u32) {
        let Some(transfer) = self.contents.get_mut(&id).and_then(|c| c.transfer.as_mut()) else { return };
        match transfer.decode(block, DECODE_BUDGET_BYTES) {
            Decoded::NotYet => {}
            Decoded::Working => {
                self.decoding.insert((id, block));
                self.timers.by(Timer::Decode, self.now);
            }
            Decoded::Recovered(_) | Decoded::Polluted(_) => {
                if let Some(content) = self.contents.get_mut(&id) {
                    content.touched = true;
                }
                self.symbol_held(id, block, false);
            }
        }
    }

    pub(crate) fn decode_due(&mut self) {
        for (content, block) in core::mem::take(&mut self.decoding) {
            self.decode(content, block);
        }
    }

    fn block_whole(&mut self, id: ContentId, block: u32, whole: WholeBlock) {
        let WholeBlock { bytes, record, polluters, late } = whole;
        self.keep_whole(id, block, bytes, record);
        for source in late {
            self.send(ConnectionId(source.0), &PeerMessage::Cancel { content: id, block });
        }
        for polluter in polluters {
            let symbol_len = self.contents.get(&id).and_then(|c| c.layout()).map_or(0, |l| l.symbol_len());
            self.totals.rejected_bytes += u64::from(symbol_len);
            // One that hung up meanwhile is named all the same.
            if let Some(peer) = self.peer_of(polluter.sender) {
                self.blame(peer, id, block, true);
            }
        }
        self.wake_waiting();
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.replan = true;
        if content.is_whole() {
            self.out.push_back(crate::Output::Event(Event::Complete { content: id }));
            self.persist(id);
            self.announce_soon(id);
        }
    }

    fn refused(
        &mut self,
        id: ConnectionId,
        content: ContentId,
        block: u32,
        reason: RefuseReason,
        picks: &[Pick],
    ) {
        let rest = match reason {
            RefuseReason::NotHeld => Duration::ZERO,
            RefuseReason::Busy => Duration::from_secs(1),
            // A visitor may raise the caps at any moment, and asking costs a message.
            RefuseReason::Capped => Duration::from_secs(3),
            RefuseReason::Full => return self.subscription_refused(id, content),
        };
        self.excuse_forgotten(content);
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.rest_until = self.now + rest;
        let mut landed = false;
        if let Some(transfer) = self.contents.get_mut(&content).and_then(|c| c.transfer.as_mut()) {
            landed = transfer.refused(source_of(id), block, picks, reason == RefuseReason::NotHeld);
            self.stir(content);
        }
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        // A refusal of nothing answers a question for a record, or for the manifest.
        let answers = match picks.is_empty() {
            true => connection.excused.record() || connection.excused.manifest(),
            false => landed || connection.excused.symbol(self.now),
        };
        if !answers {
            self.talked(id, REFUSE_BYTES + 10 * picks.len() as u64);
        }
    }

    pub(crate) fn has_late_work(&self) -> bool {
        self.contents.values().any(|c| c.transfer.is_some())
            || !self.requests.is_empty()
            || self.connections.opening()
    }
}
