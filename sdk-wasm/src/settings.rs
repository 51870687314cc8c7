use crate::{refused, whole};
use peeredge_node::{Caps, Config};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

/// What the page settled when it made the engine.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    caps: CapsSettings,
    cache_bytes: f64,
    store_bytes: f64,
    http: bool,
    http_after_ms: u32,
    give_up_after_ms: u32,
    coded_permille: u16,
    direct: bool,
    through_relay_after_ms: u32,
}

/// Caps as they hold now: conditions such as a metered connection are already taken into account. `Infinity` is no cap.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapsSettings {
    upload: bool,
    upload_bytes_per_second: f64,
    upload_bytes: f64,
    connections: u16,
    prefetch_bytes: f64,
}

impl From<CapsSettings> for Caps {
    fn from(caps: CapsSettings) -> Self {
        Caps {
            upload_allowed: caps.upload,
            upload_bytes_per_s_max: whole(caps.upload_bytes_per_second),
            upload_bytes_max: whole(caps.upload_bytes),
            connections_max: caps.connections,
            prefetch_bytes_max: whole(caps.prefetch_bytes),
            ..Caps::default()
        }
    }
}

pub(crate) fn config(secret_key: &[u8], seed: u64, settings: JsValue) -> Result<Config, JsError> {
    let secret_key = secret_key.try_into().map_err(|_| refused("a secret key has 32 bytes"))?;
    let settings: Settings = serde_wasm_bindgen::from_value(settings).map_err(refused)?;
    Ok(Config {
        caps: settings.caps.into(),
        cache_bytes_max: whole(settings.cache_bytes),
        store_bytes_max: whole(settings.store_bytes),
        http: settings.http,
        http_after_ms: settings.http_after_ms,
        give_up_after_ms: settings.give_up_after_ms,
        coded_permille: settings.coded_permille,
        direct: settings.direct,
        carried_after_ms: settings.through_relay_after_ms,
        ..Config::new(secret_key, seed)
    })
}

pub(crate) fn caps(caps: JsValue) -> Result<Caps, JsError> {
    serde_wasm_bindgen::from_value::<CapsSettings>(caps).map(Caps::from).map_err(refused)
}
