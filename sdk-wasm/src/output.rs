use js_sys::{Array, Uint8Array};
use peeredge_node::{Area, Event, FetchError, LiveEntry, Output, Resource, Role, Server};
use peeredge_wire::relay::{Blob, TaskFromRelay, TaskLimits};
use peeredge_wire::{ConnectionId, RequestId, Token};
use wasm_bindgen::JsValue;

/// What an output becomes: its kind, then its fields. `js/src/engine/slot.ts` types every shape made here.
macro_rules! array {
    ($($field:expr),+ $(,)?) => {
        [$(JsValue::from($field)),+].iter().collect()
    };
}

fn bytes(bytes: Vec<u8>) -> Uint8Array {
    Uint8Array::from(bytes.as_slice())
}

fn area(area: Area) -> &'static str {
    match area {
        Area::Data => "data",
        Area::Records => "records",
    }
}

/// The path's first letter at the relay, and the range (NaN without one).
fn resource(resource: Resource) -> (&'static str, f64, f64) {
    match resource {
        Resource::Manifest => ("m", f64::NAN, f64::NAN),
        Resource::Records { start, end } => ("r", start as f64, end as f64),
        Resource::Bytes { start, end } => ("c", start as f64, end as f64),
    }
}

pub(crate) fn to_array(output: Output) -> Array {
    match output {
        Output::RelayConnect => array!["relayConnect"],
        Output::RelaySend(frame) => array!["relaySend", bytes(frame)],
        Output::RelayClose => array!["relayClose"],
        Output::Stun { port } => array!["stun", port.get()],
        Output::Open { connection: ConnectionId(connection), peer, role } => {
            array!["open", connection, peer.to_string(), role == Role::Offerer]
        }
        Output::Signal { connection: ConnectionId(connection), signal } => {
            array!["signal", connection, bytes(signal)]
        }
        Output::Send { connection: ConnectionId(connection), message } => {
            array!["send", connection, bytes(message)]
        }
        Output::Close { connection: ConnectionId(connection) } => array!["close", connection],
        Output::StoreRead { token: Token(token), content, area: of, offset, len } => {
            array!["storeRead", token, content.to_string(), area(of), offset as f64, len]
        }
        Output::StoreWrite { content, area: of, offset, bytes: data } => {
            array!["storeWrite", content.to_string(), area(of), offset as f64, bytes(data)]
        }
        Output::StoreState { content, state } => array!["storeState", content.to_string(), bytes(state)],
        Output::StoreRemove { content } => array!["storeRemove", content.to_string()],
        Output::HttpGet { token: Token(token), content, resource: of, server, timeout_ms } => {
            let (path, start, end) = resource(of);
            let path = if server == Server::Origin { "o" } else { path };
            array!["httpGet", token, content.to_string(), path, start, end, timeout_ms]
        }
        Output::HttpCancel { token: Token(token) } => array!["httpCancel", token],
        Output::Head { request: RequestId(request), start, end, length, name, media_type } => {
            array!["head", request, start as f64, end as f64, length as f64, name, media_type]
        }
        Output::Data { request: RequestId(request), bytes: data } => array!["data", request, bytes(data)],
        Output::Done { request: RequestId(request) } => array!["done", request],
        Output::Failed { request: RequestId(request), error } => {
            let length = match error {
                FetchError::RangeNotSatisfiable { length } => length as f64,
                _ => f64::NAN,
            };
            array!["failed", request, error.code(), error.to_string(), length]
        }
        Output::Task(task) => to_task(task),
        Output::Live { follow: RequestId(follow), news } => {
            let part = |entry: LiveEntry| -> Array {
                array![entry.content.to_string(), entry.length as f64, entry.duration_ms]
            };
            let parts: Array = news.entries.into_iter().map(part).collect();
            let gap_from = news.gap_from.map_or(f64::NAN, |from| from as f64);
            array!["live", follow, news.first as f64, gap_from, news.is_new_broadcast, news.ended, parts]
        }
        Output::Event(event) => to_event(event),
    }
}

/// Inline bytes, or a content's id as a text.
fn blob(blob: Blob) -> JsValue {
    match blob {
        Blob::Inline(inline) => bytes(inline).into(),
        Blob::Content(id) => id.to_string().into(),
    }
}

fn to_task(task: TaskFromRelay) -> Array {
    match task {
        TaskFromRelay::Lease { lease, beat_ms, module, input, limits, resume } => {
            let (checkpoint, gas) = match resume {
                Some(mark) => (JsValue::from(mark.checkpoint.to_string()), mark.gas),
                None => (JsValue::UNDEFINED, 0),
            };
            let TaskLimits { gas: gas_max, memory_pages, output_bytes, checkpoint_steps } = limits;
            array![
                "lease",
                lease as f64,
                beat_ms,
                module.to_string(),
                blob(input),
                gas_max,
                memory_pages,
                output_bytes,
                checkpoint_steps,
                checkpoint,
                gas,
            ]
        }
        TaskFromRelay::Revoke { lease } => array!["revoke", lease as f64],
        TaskFromRelay::Result {
            request,
            end,
            gas,
            digest,
            runs,
            refereed,
            voters,
            doubt_ppm,
            output,
            others,
        } => {
            let others: Array = others.iter().map(|other| JsValue::from(other.to_string())).collect();
            let voters: Array = voters.iter().map(|voter| JsValue::from(voter.to_string())).collect();
            array![
                "result",
                request,
                end,
                gas,
                runs,
                refereed,
                voters,
                blob(output),
                bytes(digest.to_vec()),
                doubt_ppm,
                others
            ]
        }
        TaskFromRelay::Progress { request, runs, worker } => {
            array!["taskProgress", request, runs, worker.to_string()]
        }
        TaskFromRelay::Marked { request, mark } => array!["marked", request, mark.checkpoint.to_string()],
        TaskFromRelay::Refused { request, why } => array!["refused", request, why.name()],
        // The node answers these itself.
        TaskFromRelay::AskReveal { .. } => array!["revoke", f64::NAN],
    }
}

fn to_event(event: Event) -> Array {
    match event {
        Event::RelayReady { relay } => array!["relayReady", relay.to_string()],
        Event::RelayLost => array!["relayLost"],
        Event::RelayRefused { code, detail } => array!["relayRefused", code, detail],
        Event::PeerOpened { peer } => array!["peerOpened", peer.to_string()],
        Event::PeerClosed { peer } => array!["peerClosed", peer.to_string()],
        Event::PeerBlamed { peer, content, block, coded } => {
            array!["peerBlamed", peer.to_string(), content.to_string(), block, coded]
        }
        Event::PeerLetGo { peer } => array!["peerLetGo", peer.to_string()],
        Event::LiveForked { follow: RequestId(follow) } => array!["liveForked", follow],
        Event::Complete { content } => array!["complete", content.to_string()],
    }
}
