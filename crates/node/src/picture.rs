//! The picture of a node that the page and the metrics show.

use crate::contents::Content;
use crate::stats::{ActiveBlock, ContentStats, PeerStats, Stats};
use crate::{Node, connections};
use peeredge_wire::ContentId;

/// Bytes since the node began.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) from_peers_bytes: u64,
    pub(crate) from_relay_bytes: u64,
    pub(crate) from_http_bytes: u64,
    pub(crate) from_origin_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) control_bytes: u64,
    pub(crate) duplicate_bytes: u64,
    pub(crate) rejected_bytes: u64,
}

impl Node {
    /// A picture of the node at this moment.
    pub fn stats(&self) -> Stats {
        let t = &self.totals;
        Stats {
            relay_connected: self.relay.is_ready(),
            from_peers_bytes: t.from_peers_bytes,
            from_relay_bytes: t.from_relay_bytes,
            from_http_bytes: t.from_http_bytes,
            from_origin_bytes: t.from_origin_bytes,
            sent_bytes: t.sent_bytes,
            control_bytes: t.control_bytes,
            duplicate_bytes: t.duplicate_bytes,
            rejected_bytes: t.rejected_bytes,
            through_relay_bytes: self.paths.received_bytes,
            connections_made: self.connections.made,
            peers: self
                .connections
                .all
                .values()
                .filter(|c| c.is_first())
                .map(|c| self.peer_stats(c))
                .collect(),
            contents: self.contents.iter().map(|(id, c)| self.content_stats(*id, c)).collect(),
        }
    }

    /// One peer: its lanes together.
    fn peer_stats(&self, c: &connections::Connection) -> PeerStats {
        let lanes = || self.connections.all.values().filter(|lane| lane.peer == c.peer);
        let down = |lane: &connections::Connection| lane.rate.rate().map_or(0, |r| r.bytes_per_s as u64);
        PeerStats {
            peer: c.peer,
            is_relay: self.relay.relay == Some(c.peer),
            open: c.open && c.greeted,
            through_relay: c.is_carried(),
            connections: lanes().count() as u16,
            received_bytes: lanes().map(|lane| lane.received_bytes).sum(),
            sent_bytes: lanes().map(|lane| lane.sent_bytes).sum(),
            down_bytes_per_s: lanes().map(down).sum(),
            up_bytes_per_s: lanes().map(|lane| lane.up_bytes_per_s).sum(),
        }
    }

    fn content_stats(&self, id: ContentId, c: &Content) -> ContentStats {
        let layout = c.layout();
        let mut blocks = vec![0u8; layout.map_or(0, |l| l.blocks() as usize)];
        if let Some(held) = self.held_blocks(&id) {
            held.iter().for_each(|b| blocks[b as usize] = 255);
        }
        let mut active = Vec::new();
        if let (Some(transfer), Some(layout)) = (&c.transfer, layout) {
            for &block in transfer.blocks() {
                let Some(assembly) = transfer.assembly(block) else { continue };
                let symbols = layout.symbols_of(block);
                blocks[block as usize] =
                    (u64::from(assembly.have().count()) * 254 / u64::from(symbols.max(1))) as u8;
                active.push(ActiveBlock {
                    block,
                    symbols,
                    held: assembly.have().to_bytes(),
                    quarantined: assembly.quarantined(),
                });
            }
        }
        ContentStats {
            content: id,
            name: c.manifest().map_or(String::new(), |m| m.name().to_owned()),
            media_type: c.manifest().map_or(String::new(), |m| m.media_type().to_owned()),
            length: layout.map_or(0, |l| l.length()),
            held_bytes: c.held_bytes(),
            blocks,
            active,
            requests: self.requests.iter().filter(|(q, r)| r.content == id && !self.is_ahead(**q)).count()
                as u32,
        }
    }
}
