use crate::refused;
use peeredge_node::{ActiveBlock, ContentStats, PeerStats, Stats};
use serde::{Serialize, Serializer};
use wasm_bindgen::prelude::*;

/// Names as `js/src/types.ts` has them; bytes become `Uint8Array`s.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsStats {
    relay_connected: bool,
    from_peers_bytes: f64,
    from_relay_bytes: f64,
    from_http_bytes: f64,
    from_origin_bytes: f64,
    sent_bytes: f64,
    duplicate_bytes: f64,
    rejected_bytes: f64,
    through_relay_bytes: f64,
    connections_made: u32,
    peers: Vec<JsPeer>,
    contents: Vec<JsContent>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsPeer {
    peer: String,
    is_relay: bool,
    open: bool,
    through_relay: bool,
    connections: u16,
    received_bytes: f64,
    sent_bytes: f64,
    down_bytes_per_second: f64,
    up_bytes_per_second: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsContent {
    content: String,
    name: String,
    #[serde(rename = "type")]
    media_type: String,
    length: f64,
    held_bytes: f64,
    blocks: Bytes,
    active: Vec<JsActive>,
    requests: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsActive {
    block: u32,
    symbols: u32,
    held: Bytes,
    quarantined: u32,
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl From<PeerStats> for JsPeer {
    fn from(peer: PeerStats) -> Self {
        JsPeer {
            peer: peer.peer.to_string(),
            is_relay: peer.is_relay,
            open: peer.open,
            through_relay: peer.through_relay,
            connections: peer.connections,
            received_bytes: peer.received_bytes as f64,
            sent_bytes: peer.sent_bytes as f64,
            down_bytes_per_second: peer.down_bytes_per_s as f64,
            up_bytes_per_second: peer.up_bytes_per_s as f64,
        }
    }
}

impl From<ContentStats> for JsContent {
    fn from(content: ContentStats) -> Self {
        JsContent {
            content: content.content.to_string(),
            name: content.name,
            media_type: content.media_type,
            length: content.length as f64,
            held_bytes: content.held_bytes as f64,
            blocks: Bytes(content.blocks),
            active: content.active.into_iter().map(JsActive::from).collect(),
            requests: content.requests,
        }
    }
}

impl From<ActiveBlock> for JsActive {
    fn from(active: ActiveBlock) -> Self {
        JsActive {
            block: active.block,
            symbols: active.symbols,
            held: Bytes(active.held),
            quarantined: active.quarantined,
        }
    }
}

pub(crate) fn to_js(stats: Stats) -> Result<JsValue, JsError> {
    let stats = JsStats {
        relay_connected: stats.relay_connected,
        from_peers_bytes: stats.from_peers_bytes as f64,
        from_relay_bytes: stats.from_relay_bytes as f64,
        from_http_bytes: stats.from_http_bytes as f64,
        from_origin_bytes: stats.from_origin_bytes as f64,
        sent_bytes: stats.sent_bytes as f64,
        duplicate_bytes: stats.duplicate_bytes as f64,
        rejected_bytes: stats.rejected_bytes as f64,
        through_relay_bytes: stats.through_relay_bytes as f64,
        connections_made: stats.connections_made,
        peers: stats.peers.into_iter().map(JsPeer::from).collect(),
        contents: stats.contents.into_iter().map(JsContent::from).collect(),
    };
    serde_wasm_bindgen::to_value(&stats).map_err(refused)
}
