//! What this node gives to others: holdings, manifests, records, and the frames of symbols. All of it leaves through the same queue, and
//! so within the caps, and at the pace at which the other side reads.

use crate::Node;
use crate::blocks::Fetched;
use core::time::Duration;
use peeredge_dts::{Answer, Bitmap, CodedId, Due};
use peeredge_wire::limits::SUBSCRIPTIONS_MAX;
use peeredge_wire::peer::{Marker, PeerMessage, RefuseReason};
use peeredge_wire::{ConnectionId, ContentId, Time};

/// Blocks whose bitmaps are so near each other are told of in one message.
const NEAR_BYTES: usize = 64;
/// A manifest or record that was sent over a connection is not sent again for so long: the channel loses nothing, and a receiver asks
/// for it again after three seconds at the earliest.
const TOLD_FOR: Duration = Duration::from_millis(2500);
/// Manifests and records remembered as sent, of one connection.
const TOLD_MAX: usize = 2048;
/// Among them, when the other side let a content go: what was told before is told again. No content has that many blocks.
const LET_GO: Answer = Answer::Record(u32::MAX);

impl Node {
    pub(crate) fn subscribed(&mut self, id: ConnectionId, content: ContentId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let Some(c) = self.contents.get_mut(&content) else {
            return self.send(id, &PeerMessage::HaveNone { content });
        };
        let has_place =
            connection.subscriber_of.len() < SUBSCRIPTIONS_MAX || connection.subscriber_of.contains(&content);
        if !has_place {
            return self.refuse(id, content, 0, RefuseReason::Full);
        }
        let is_new = connection.subscriber_of.insert(content);
        c.subscribers.insert(id);
        c.last_used = self.uses;
        if c.state.is_none() {
            return;
        }
        if !self.may_supply() {
            self.send(id, &PeerMessage::HaveNone { content });
        } else if is_new {
            self.give_answer(id, content, Answer::Holdings);
        } else {
            // Whoever is subscribed hears all news: to say all again for each of its questions would be much for little.
            self.asked_once(id, content, Answer::Holdings);
        }
        // Who asks of this content may have what is missing here.
        if self.requests.values().any(|r| r.content == content)
            && self.connections.all.get(&id).is_some_and(|c| !c.subscribed.contains(&content))
        {
            self.subscribe(id, content);
        }
    }

    pub(crate) fn unsubscribed(&mut self, id: ConnectionId, content: ContentId) {
        if let Some(connection) = self.connections.all.get_mut(&id) {
            // It may be fetched once more, when what was told is gone there: to be silent then costs seconds for each record.
            // But once in a while only: who comes and goes would have the uplink save for a long answer that is taken back each time.
            let is_recent = |&at: &Time| self.now.since(at) < TOLD_FOR;
            let told = &mut connection.told;
            if connection.subscriber_of.remove(&content)
                && told.len() < TOLD_MAX
                && !told.get(&(content, LET_GO)).is_some_and(is_recent)
            {
                told.insert((content, LET_GO), self.now);
            }
            connection.serve.cancel_content(&content);
        }
        if let Some(c) = self.contents.get_mut(&content) {
            c.subscribers.remove(&id);
        }
    }

    /// Refuses what is no symbol.
    fn refuse(&mut self, id: ConnectionId, content: ContentId, block: u32, reason: RefuseReason) {
        self.send(id, &PeerMessage::Refuse { content, block, reason, picks: Vec::new() });
    }

    /// Queues an answer: it leaves within the caps, and when the channel takes it.
    fn give_answer(&mut self, id: ConnectionId, content: ContentId, answer: Answer) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if connection.serve.answer(content, answer) {
            self.upload.waits(id);
            self.pump(id);
        }
    }

    /// The frames that tell of these blocks (rising), and of others between near ones: few, as each costs a packet, and its
    /// acknowledgement another one.
    fn parts_frames(&self, content: ContentId, mut blocks: &[u32]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let Some(c) = self.contents.get(&content) else { return frames };
        let (Some(layout), Some(transfer)) = (c.layout(), &c.transfer) else { return frames };
        while let Some(&first) = blocks.first() {
            let at = |block: u32| (block - first) as usize * layout.block_bits_len();
            let near = blocks.partition_point(|&block| at(block) <= NEAR_BYTES);
            let mut bits = Vec::new();
            for block in first..=blocks[near - 1] {
                bits.resize(at(block), 0);
                if let Some(assembly) = transfer.assembly(block) {
                    bits.extend(assembly.have().to_bytes());
                }
            }
            blocks = &blocks[near..];
            frames.push(PeerMessage::HaveSymbols { content, first, bits: &bits }.encode());
        }
        frames
    }

    /// The frames that tell all that is held of a content.
    fn holdings_frames(&self, content: ContentId) -> Vec<Vec<u8>> {
        let Some(c) = self.contents.get(&content) else { return Vec::new() };
        let Some(state) = &c.state else { return Vec::new() };
        let bits = state.whole.to_bytes();
        // Those of which something is here, not all there are: a question of 33 bytes must not cost a look-up for each block of a large content.
        let parts: Vec<u32> = c.transfer.iter().flat_map(|transfer| transfer.assembled()).collect();
        let mut frames = vec![PeerMessage::HaveBlocks { content, first: 0, bits: &bits }.encode()];
        frames.extend(self.parts_frames(content, &parts));
        frames
    }

    /// Tells subscribers what became held.
    pub(crate) fn tell_news(&mut self) {
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        for id in ids {
            let content = self.contents.get_mut(&id).expect("listed just now");
            let (whole, parts) = core::mem::take(&mut content.news);
            let subscribers: Vec<ConnectionId> = content.subscribers.iter().copied().collect();
            if subscribers.is_empty() || (whole.is_empty() && parts.is_empty()) {
                continue;
            }
            // Far apart as a rule: one message a block is shorter than a bitmap over the gaps.
            let block =
                |&block: &u32| PeerMessage::HaveBlocks { content: id, first: block, bits: &[1] }.encode();
            let mut frames: Vec<Vec<u8>> = whole.iter().map(block).collect();
            frames.extend(self.parts_frames(id, &parts));
            let bytes: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
            for connection in subscribers {
                let reads = self.connections.all.get(&connection).is_some_and(|c| c.can_send(bytes as usize));
                if reads && self.may_leave_now(bytes) {
                    frames.iter().for_each(|frame| self.send_supply(connection, frame.clone(), 0));
                } else if self.may_supply() {
                    // Whoever reads slowly, or waits for the cap, hears of all at once when there is room.
                    self.give_answer(connection, id, Answer::Holdings);
                }
            }
        }
    }

    /// The caps let something leave again: those who were told that there is nothing hear what there is.
    pub(crate) fn tell_all_again(&mut self) {
        if !self.may_supply() {
            return;
        }
        for id in self.connections.open_ids() {
            let contents = self.connections.all.get(&id).map(|c| c.subscriber_of.clone());
            for content in contents.unwrap_or_default() {
                self.give_answer(id, content, Answer::Holdings);
            }
        }
    }

    pub(crate) fn asked_manifest(&mut self, id: ConnectionId, content: ContentId) {
        if self.contents.get(&content).is_none_or(|c| c.state.is_none()) {
            return self.send(id, &PeerMessage::HaveNone { content });
        }
        self.asked_once(id, content, Answer::Manifest);
    }

    pub(crate) fn asked_record(&mut self, id: ConnectionId, content: ContentId, block: u32) {
        let holds = |c: &crate::contents::Content| {
            c.has_block(block) || c.transfer.as_ref().is_some_and(|t| t.assembly(block).is_some())
        };
        if !self.contents.get(&content).is_some_and(holds) {
            return self.refuse(id, content, block, RefuseReason::NotHeld);
        }
        self.asked_once(id, content, Answer::Record(block));
    }

    /// A manifest or a record was asked for.
    fn asked_once(&mut self, id: ConnectionId, content: ContentId, answer: Answer) {
        if !self.may_supply() {
            let block = if let Answer::Record(block) = answer { block } else { 0 };
            return self.refuse(id, content, block, RefuseReason::Capped);
        }
        let now = self.now;
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let told = &mut connection.told;
        let let_go = told.get(&(content, LET_GO)).copied();
        let is_known = |&at: &Time| now.since(at) < TOLD_FOR && let_go.is_none_or(|let_go| let_go <= at);
        if told.get(&(content, answer)).is_some_and(is_known) {
            return;
        }
        if told.len() >= TOLD_MAX {
            told.retain(|_, at| now.since(*at) < TOLD_FOR);
        }
        if told.len() < TOLD_MAX {
            told.insert((content, answer), now);
            self.give_answer(id, content, answer);
        }
    }

    /// The frames of what is due: several where all that is held is told.
    pub(crate) fn frames_of(&mut self, due: &Due) -> Fetched<Vec<Vec<u8>>> {
        match *due {
            Due::Symbol { content, block, marker } => match self.symbol_frame(content, block, marker) {
                Fetched::Here(frame) => Fetched::Here(vec![frame]),
                Fetched::Loading => Fetched::Loading,
                Fetched::NotHeld => Fetched::NotHeld,
            },
            Due::Answer { content, answer: Answer::Holdings } => Fetched::Here(self.holdings_frames(content)),
            Due::Answer { content, answer: Answer::Manifest } => {
                match self.contents.get(&content).and_then(|c| c.manifest()).map(|m| m.encode()) {
                    Some(bytes) => {
                        Fetched::Here(vec![PeerMessage::Manifest { content, bytes: &bytes }.encode()])
                    }
                    None => Fetched::NotHeld,
                }
            }
            Due::Answer { content, answer: Answer::Record(block) } => match self.record_of(content, block) {
                Fetched::Here(record) => {
                    let bytes = record.encode();
                    Fetched::Here(vec![PeerMessage::Record { content, block, bytes: &bytes }.encode()])
                }
                Fetched::Loading => Fetched::Loading,
                Fetched::NotHeld => Fetched::NotHeld,
            },
        }
    }

    /// The frame of a symbol that is due.
    fn symbol_frame(&mut self, content: ContentId, block: u32, marker: Marker) -> Fetched<Vec<u8>> {
        let frame = |payload: &[u8]| PeerMessage::Symbol { content, block, marker, payload }.encode();
        let Some(c) = self.contents.get(&content) else { return Fetched::NotHeld };
        let Some(layout) = c.layout() else { return Fetched::NotHeld };
        if !c.has_block(block) {
            // A block that is being filled is shared already, as far as it is verified.
            return match (marker, c.transfer.as_ref().and_then(|t| t.assembly(block))) {
                (Marker::Source(index), Some(assembly)) => {
                    assembly.symbol(index).map_or(Fetched::NotHeld, |bytes| Fetched::Here(frame(bytes)))
                }
                _ => Fetched::NotHeld,
            };
        }
        let found = match marker {
            Marker::Source(index) if index < layout.symbols_of(block) => {
                let (of_block, of_symbol) = (layout.block_range(block), layout.symbol_range(block, index));
                let bytes = self.held_block(content, block, index..index + 1);
                bytes.map(|bytes| {
                    let from = (of_symbol.start - of_block.start) as usize;
                    let to = (of_symbol.end - of_block.start) as usize;
                    frame(&bytes[from..to])
                })
            }
            Marker::Coded { density, seed } if (CodedId { density, seed }).is_valid() => {
                self.coded_symbol(content, block, CodedId { density, seed }).map(|bytes| frame(&bytes))
            }
            _ => return Fetched::NotHeld,
        };
        match found {
            Some(frame) => Fetched::Here(frame),
            // What the store gave may have turned out damaged.
            None if self.contents.get(&content).is_some_and(|c| c.has_block(block)) => Fetched::Loading,
            None => Fetched::NotHeld,
        }
    }

    /// Blocks held, as a bitmap, for tests of holdings and for the page.
    pub(crate) fn held_blocks(&self, content: &ContentId) -> Option<&Bitmap> {
        self.contents.get(content)?.state.as_ref().map(|s| &s.whole)
    }
}
