use crate::object::object;
use js_sys::{Array, Uint8Array};
use peeredge_node::{ActiveBlock, ContentStats, PeerStats, Stats};
use wasm_bindgen::prelude::*;

fn peer(peer: PeerStats) -> JsValue {
    object! {
        "peer": peer.peer.to_string(),
        "isRelay": peer.is_relay,
        "open": peer.open,
        "throughRelay": peer.through_relay,
        "connections": peer.connections,
        "receivedBytes": peer.received_bytes as f64,
        "sentBytes": peer.sent_bytes as f64,
        "downBytesPerSecond": peer.down_bytes_per_s as f64,
        "upBytesPerSecond": peer.up_bytes_per_s as f64,
    }
}

fn content(content: ContentStats) -> JsValue {
    object! {
        "content": content.content.to_string(),
        "name": content.name,
        "type": content.media_type,
        "length": content.length as f64,
        "heldBytes": content.held_bytes as f64,
        "blocks": bytes(&content.blocks),
        "active": content.active.into_iter().map(active).collect::<Array>(),
        "requests": content.requests,
    }
}

fn active(active: ActiveBlock) -> JsValue {
    object! {
        "block": active.block,
        "symbols": active.symbols,
        "held": bytes(&active.held),
        "quarantined": active.quarantined,
    }
}

fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// Names as `js/src/types.ts` has them.
pub(crate) fn to_js(stats: Stats) -> JsValue {
    object! {
        "relayConnected": stats.relay_connected,
        "fromPeersBytes": stats.from_peers_bytes as f64,
        "fromRelayBytes": stats.from_relay_bytes as f64,
        "fromHttpBytes": stats.from_http_bytes as f64,
        "fromOriginBytes": stats.from_origin_bytes as f64,
        "sentBytes": stats.sent_bytes as f64,
        "duplicateBytes": stats.duplicate_bytes as f64,
        "rejectedBytes": stats.rejected_bytes as f64,
        "throughRelayBytes": stats.through_relay_bytes as f64,
        "connectionsMade": stats.connections_made,
        "peers": stats.peers.into_iter().map(peer).collect::<Array>(),
        "contents": stats.contents.into_iter().map(content).collect::<Array>(),
    }
}
