//! Published contents, their manifests and records: what any HTTP client, and any peer's fallback, can fetch.

use super::range::{Wanted, wanted};
use super::{App, body, headers};
use crate::names::safe_file_name;
use crate::store::ReadError;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use peeredge_node::Area;
use peeredge_wire::ContentId;
use std::io;
use std::sync::Arc;

/// A content never changes under its id, so any copy of it may be kept for ever.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// What a browser may do with a content that it shows as a page of its own: nothing, for strangers wrote it.
const SANDBOX: &str =
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";

/// Media types with one of these words are run by browsers, or change what others do. The page's `js/src/media-type.ts` has the same, and
/// `tests/media-types.json` is tested on both.
const ACTIVE: [&str; 21] = [
    "html",
    "xml",
    "svg",
    "script",
    "css",
    "wasm",
    "pdf",
    "multipart",
    "message",
    "manifest",
    "importmap",
    "speculationrules",
    "signed-exchange",
    "webbundle",
    "xsl",
    "flash",
    "java",
    "extension",
    "xpinstall",
    "x-server-cgi",
    "x-shockwave",
];
const TYPE_TOKEN_BYTES_MAX: usize = 64;

const DAMAGED: &str = "this relay's copy of that content is damaged; it is not served\n";

pub(super) async fn preflight(State(app): State<Arc<App>>, request: Request) -> Response {
    headers::preflight(&app.config.origins, &request)
}

/// `/c/ID` and `/c/ID/NAME`.
pub(super) async fn bytes(
    State(app): State<Arc<App>>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let request = request.into_parts().0;
    let id = path.first().map(|(_, id)| id.as_str()).unwrap_or_default();
    let content = match published(&app, id, &request) {
        Ok(content) => content,
        Err(response) => return *response,
    };
    let Some(entry) = app.store.entry(content) else { return not_here(&app, &request, content) };
    let mut response = part(&app, &request, content, Area::Data, entry.length, "content").await;
    if response.status().is_server_error() {
        return response;
    }
    let out = response.headers_mut();
    let (media_type, inline) = safe_media_type(&entry.media_type);
    out.insert(header::CONTENT_TYPE, media_type);
    out.insert(header::CONTENT_DISPOSITION, disposition(inline, &entry.name));
    out.insert(header::CONTENT_SECURITY_POLICY, headers::value(SANDBOX));
    response
}

/// `/r/ID`.
pub(super) async fn records(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let request = request.into_parts().0;
    let content = match published(&app, &id, &request) {
        Ok(content) => content,
        Err(response) => return *response,
    };
    let Some(entry) = app.store.entry(content) else { return not_here(&app, &request, content) };
    let mut response = part(&app, &request, content, Area::Records, entry.records_bytes, "records").await;
    if response.status().is_server_error() {
        return response;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, headers::value("application/octet-stream"));
    response
}

/// `/m/ID`.
pub(super) async fn manifest(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let request = request.into_parts().0;
    let content = match published(&app, &id, &request) {
        Ok(content) => content,
        Err(response) => return *response,
    };
    if app.store.entry(content).is_none() {
        return not_here(&app, &request, content);
    }
    let store = app.store.clone();
    let manifest = tokio::task::spawn_blocking(move || store.manifest(content)).await;
    let manifest = manifest.unwrap_or_else(|_| Err(ReadError::Io(io::Error::other("the read panicked"))));
    let bytes = match manifest {
        Ok(manifest) => manifest.encode(),
        Err(error) => return not_readable(&app, &request, content, &error),
    };
    app.metrics.http_bytes.add("manifest", bytes.len() as u64);
    let mut response = Response::new(Body::from(bytes));
    describe(&app, &request, content, response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, headers::value("application/octet-stream"));
    response
}

/// Reads the id, and answers what needs no look at the content.
fn published(app: &App, id: &str, request: &Parts) -> Result<ContentId, Box<Response>> {
    let content: ContentId = id.parse().map_err(|error| {
        let mut response = headers::plain(StatusCode::BAD_REQUEST, format!("{error}\n"));
        headers::allow_origin(&app.config.origins, &request.headers, response.headers_mut());
        Box::new(response)
    })?;
    if headers::none_match(&request.headers, &etag(content)) && app.store.entry(content).is_some() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(app, request, content, response.headers_mut());
        return Err(Box::new(response));
    }
    Ok(content)
}

fn not_here(app: &App, request: &Parts, content: ContentId) -> Response {
    let mut response = match app.store.damage(content) {
        Some(_) => headers::plain(StatusCode::SERVICE_UNAVAILABLE, DAMAGED),
        None => headers::plain(StatusCode::NOT_FOUND, "this relay does not publish that content\n"),
    };
    headers::allow_origin(&app.config.origins, &request.headers, response.headers_mut());
    response
}

/// The bytes cannot be had now. Nobody may keep this answer, nor take it for the content.
fn not_readable(app: &App, request: &Parts, content: ContentId, error: &ReadError) -> Response {
    let mut response = match error {
        ReadError::Damaged { .. } => headers::plain(StatusCode::SERVICE_UNAVAILABLE, DAMAGED),
        ReadError::Io(error) => {
            tracing::warn!(%content, %error, "a content could not be read");
            headers::plain(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read now\n")
        }
    };
    headers::allow_origin(&app.config.origins, &request.headers, response.headers_mut());
    response
}

fn etag(content: ContentId) -> String {
    format!("\"{content}\"")
}

fn describe(app: &App, request: &Parts, content: ContentId, out: &mut HeaderMap) {
    out.insert(header::CACHE_CONTROL, headers::value(IMMUTABLE));
    out.insert(header::ETAG, HeaderValue::try_from(etag(content)).expect("ids are ASCII"));
    headers::allow_origin(&app.config.origins, &request.headers, out);
}

/// An area, or the range of it that the request wants.
async fn part(
    app: &Arc<App>,
    request: &Parts,
    content: ContentId,
    area: Area,
    length: u64,
    route: &'static str,
) -> Response {
    let (status, range) = match wanted(&request.headers, length, &etag(content)) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start..end),
        Wanted::Unsatisfiable => {
            let mut response =
                headers::plain(StatusCode::RANGE_NOT_SATISFIABLE, "the content has no such bytes\n");
            let out = response.headers_mut();
            describe(app, request, content, out);
            out.insert(
                header::CONTENT_RANGE,
                HeaderValue::try_from(format!("bytes */{length}")).expect("ASCII"),
            );
            out.insert(header::CACHE_CONTROL, headers::value("no-store"));
            return response;
        }
    };
    let body = match request.method {
        Method::HEAD if app.store.damage(content).is_some() => {
            let error = ReadError::Damaged { why: "some of it".into() };
            return not_readable(app, request, content, &error);
        }
        Method::HEAD => Body::empty(),
        _ => match body::first(app, content, area, &range).await {
            Ok(first) => body::stored(app, content, area, range.clone(), first, route),
            Err(error) => return not_readable(app, request, content, &error),
        },
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let out = response.headers_mut();
    describe(app, request, content, out);
    out.insert(header::ACCEPT_RANGES, headers::value("bytes"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        out.insert(header::CONTENT_RANGE, HeaderValue::try_from(text).expect("ASCII"));
    }
    response
}

/// What the relay says a content is, and whether a browser may show it in place. Contents are strangers' bytes on the
/// relay's own origin: nothing that could run there keeps its type.
fn safe_media_type(media_type: &str) -> (HeaderValue, bool) {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token = |text: &str| {
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&c);
        (1..=TYPE_TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_token)
    };
    let well_formed = essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub));
    if !well_formed || ACTIVE.iter().any(|word| essence.contains(word)) {
        return (headers::value("application/octet-stream"), false);
    }
    let inline = ["video/", "audio/", "image/"].iter().any(|kind| essence.starts_with(kind))
        || essence == "text/plain";
    let shown = if essence == "text/plain" { "text/plain; charset=utf-8".to_owned() } else { essence };
    (HeaderValue::try_from(shown).expect("tokens are ASCII"), inline)
}

/// RFC 6266, with the name in UTF-8 (RFC 8187).
fn disposition(inline: bool, name: &str) -> HeaderValue {
    let mut text = String::from(if inline { "inline" } else { "attachment" });
    if let Some(name) = safe_file_name(name) {
        text.push_str("; filename*=UTF-8''");
        text.push_str(&percent_encode(&name));
    }
    HeaderValue::try_from(text).expect("percent-encoded text is ASCII")
}

/// Everything but unreserved characters (RFC 3986, section 2.3) as `%XX`.
pub(super) fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_run_keeps_its_type() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/media-types.json")).expect("a table");
        let of = |name: &str| table[name].as_array().expect("a list").clone();
        let words: Vec<_> =
            of("active").iter().map(|word| word.as_str().expect("a word").to_owned()).collect();
        assert_eq!(words, ACTIVE, "the page's words");
        for case in of("shown") {
            let (given, shown) = (case[0].as_str().expect("a type"), case[1].as_str().expect("a type"));
            let inline = case[2].as_bool().expect("a flag");
            assert_eq!(safe_media_type(given), (HeaderValue::try_from(shown).unwrap(), inline), "{given:?}");
        }
        let words = words.iter().map(|word| format!("application/x-{word}"));
        let plain = of("plain").into_iter().map(|given| given.as_str().expect("a type").to_owned());
        for given in plain.chain(words) {
            assert_eq!(
                safe_media_type(&given),
                (HeaderValue::from_static("application/octet-stream"), false),
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let header = disposition(true, "a\"\r\nb: ü.mp4");
        assert_eq!(header, "inline; filename*=UTF-8''a_b_%20%C3%BC.mp4");
        // Nor can it name another folder, a device, or read otherwise than it is.
        for (name, shown) in [("../../a", "a"), ("CON", "_CON"), ("gnp.\u{202e}exe", "gnp.exe")] {
            assert_eq!(disposition(false, name), format!("attachment; filename*=UTF-8''{shown}"));
        }
        assert_eq!(disposition(false, ".."), "attachment");
    }
}
