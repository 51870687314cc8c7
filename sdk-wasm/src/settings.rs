use crate::object::Fields;
use crate::{refused, whole};
use peeredge_node::{Caps, Config};
use wasm_bindgen::prelude::*;

/// What the page settled when it made the engine: `EngineSettings` in `js/src/peeredge.d.ts`.
pub(crate) fn config(secret_key: &[u8], seed: u64, settings: JsValue) -> Result<Config, JsError> {
    let secret_key = secret_key.try_into().map_err(|_| refused("a secret key has 32 bytes"))?;
    let settings: Fields = settings.unchecked_into();
    Ok(Config {
        caps: caps(settings.get("caps"))?,
        cache_bytes_max: whole(settings.number("cacheBytes")?),
        store_bytes_max: whole(settings.number("storeBytes")?),
        http: settings.flag("http")?,
        http_after_ms: settings.number("httpAfterMs")? as u32,
        give_up_after_ms: settings.number("giveUpAfterMs")? as u32,
        coded_permille: settings.number("codedPermille")? as u16,
        direct: settings.flag("direct")?,
        carried_after_ms: settings.number("throughRelayAfterMs")? as u32,
        relay_authority: settings.text("relayAuthority")?,
        ..Config::new(secret_key, seed)
    })
}

/// Caps as they hold now: conditions such as a metered connection are already taken into account. `Infinity` is no cap.
pub(crate) fn caps(caps: JsValue) -> Result<Caps, JsError> {
    if !caps.is_object() {
        return Err(refused("the caps are missing"));
    }
    let caps: Fields = caps.unchecked_into();
    Ok(Caps {
        upload_allowed: caps.flag("upload")?,
        upload_bytes_per_s_max: whole(caps.number("uploadBytesPerSecond")?),
        upload_bytes_max: whole(caps.number("uploadBytes")?),
        connections_max: caps.number("connections")? as u16,
        connections_made_max: caps.number("connectionsMade")? as u32,
        prefetch_bytes_max: whole(caps.number("prefetchBytes")?),
    })
}
