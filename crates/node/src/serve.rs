//! What this node gives to others: holdings, manifests, records, and the frames of symbols.

use crate::Node;
use crate::blocks::Fetched;
use peeredge_dts::{Bitmap, CodedId, Due};
use peeredge_wire::peer::{Marker, PeerMessage, RefuseReason};
use peeredge_wire::{ConnectionId, ContentId};

/// Contents that one connection may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 256;
/// Blocks whose bitmaps are so near each other are told of in one message.
const NEAR_BYTES: usize = 64;

impl Node {
    pub(crate) fn subscribed(&mut self, id: ConnectionId, content: ContentId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let Some(c) = self.contents.get_mut(&content) else {
            return self.send(id, &PeerMessage::HaveNone { content });
        };
        if connection.subscriber_of.len() >= SUBSCRIPTIONS_MAX {
            return;
        }
        connection.subscriber_of.insert(content);
        c.subscribers.insert(id);
        c.last_used = self.uses;
        let Some(state) = &c.state else { return };
        let bits = state.whole.to_bytes();
        let has_part = |&block: &u32| c.transfer.as_ref().is_some_and(|t| t.assembly(block).is_some());
        let parts: Vec<u32> = (0..state.whole.len()).filter(has_part).collect();
        self.send(id, &PeerMessage::HaveBlocks { content, first: 0, bits: &bits });
        self.tell_parts(&[id], content, &parts);
        // Who asks of this content may have what is missing here.
        if self.requests.values().any(|r| r.content == content)
            && self.connections.all.get(&id).is_some_and(|c| !c.subscribed.contains(&content))
        {
            self.subscribe(id, content);
        }
    }

    pub(crate) fn unsubscribed(&mut self, id: ConnectionId, content: ContentId) {
        if let Some(connection) = self.connections.all.get_mut(&id) {
            connection.subscriber_of.remove(&content);
            connection.serve.cancel_content(&content);
        }
        if let Some(c) = self.contents.get_mut(&content) {
            c.subscribers.remove(&id);
        }
    }

    /// Tells what is held of these blocks (rising), and of others between near ones, in few messages: each costs a packet, and its
    /// acknowledgement another one.
    fn tell_parts(&mut self, to: &[ConnectionId], content: ContentId, mut blocks: &[u32]) {
        while let Some(&first) = blocks.first() {
            let Some(c) = self.contents.get(&content) else { return };
            let (Some(layout), Some(transfer)) = (c.layout(), &c.transfer) else { return };
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
            for &id in to {
                self.send(id, &PeerMessage::HaveSymbols { content, first, bits: &bits });
            }
        }
    }

    /// Tells subscribers what became held.
    pub(crate) fn tell_news(&mut self) {
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        for id in ids {
            let content = self.contents.get_mut(&id).expect("listed just now");
            let (whole, parts) = core::mem::take(&mut content.news);
            if whole.is_empty() && parts.is_empty() {
                continue;
            }
            let subscribers: Vec<ConnectionId> = content.subscribers.iter().copied().collect();
            for &connection in &subscribers {
                // Far apart as a rule: one message a block is shorter than a bitmap over the gaps.
                for &block in &whole {
                    self.send(connection, &PeerMessage::HaveBlocks { content: id, first: block, bits: &[1] });
                }
            }
            self.tell_parts(&subscribers, id, &parts);
        }
    }

    pub(crate) fn asked_manifest(&mut self, id: ConnectionId, content: ContentId) {
        match self.contents.get(&content).and_then(|c| c.manifest()).map(|m| m.encode()) {
            Some(bytes) => self.send(id, &PeerMessage::Manifest { content, bytes: &bytes }),
            None => self.send(id, &PeerMessage::HaveNone { content }),
        }
    }

    pub(crate) fn asked_record(&mut self, id: ConnectionId, content: ContentId, block: u32) {
        match self.record_of(content, block) {
            Fetched::Here(record) => {
                let bytes = record.encode();
                self.send(id, &PeerMessage::Record { content, block, bytes: &bytes });
            }
            // Sent when the block has been read.
            Fetched::Loading => _ = self.blocks.records_due.insert((id, content, block)),
            Fetched::NotHeld => {
                self.send(
                    id,
                    &PeerMessage::Refuse { content, block, reason: RefuseReason::NotHeld, picks: Vec::new() },
                );
            }
        }
    }

    /// The frame of a symbol that is due.
    pub(crate) fn symbol_frame(&mut self, due: &Due) -> Fetched<Vec<u8>> {
        let Due { content, block, marker } = *due;
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
        match marker {
            Marker::Source(index) if index < layout.symbols_of(block) => {
                match self.whole_block(content, block) {
                    Some(bytes) => {
                        let (of_block, of_symbol) =
                            (layout.block_range(block), layout.symbol_range(block, index));
                        let from = (of_symbol.start - of_block.start) as usize;
                        let to = (of_symbol.end - of_block.start) as usize;
                        Fetched::Here(frame(&bytes[from..to]))
                    }
                    None => Fetched::Loading,
                }
            }
            Marker::Coded { density, seed } if (CodedId { density, seed }).is_valid() => {
                match self.coded_symbol(content, block, CodedId { density, seed }) {
                    Some(bytes) => Fetched::Here(frame(&bytes)),
                    None => Fetched::Loading,
                }
            }
            _ => Fetched::NotHeld,
        }
    }

    /// Blocks held, as a bitmap, for tests of holdings and for the page.
    pub(crate) fn held_blocks(&self, content: &ContentId) -> Option<&Bitmap> {
        self.contents.get(content)?.state.as_ref().map(|s| &s.whole)
    }
}
