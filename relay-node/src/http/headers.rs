//! Headers that more than one handler writes.

use axum::body::Body;
use axum::response::Response;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};

pub(super) fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// A short text.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, value("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, value("no-store"));
    response
}

/// Lets pages of the allowed origins read the answer, ranges included.
pub(super) fn allow_origin(origins: &[String], request: &HeaderMap, response: &mut HeaderMap) {
    if origins.iter().any(|allowed| allowed == "*") {
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value("*"));
    } else {
        response.append(header::VARY, value("origin"));
        if let Some(origin) = request.get(header::ORIGIN)
            && is_allowed(origins, request)
        {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
    let exposed = value("accept-ranges, content-disposition, content-length, content-range, etag, link");
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    // A page that isolates itself (COEP) may still embed a content.
    response.insert("cross-origin-resource-policy", value("cross-origin"));
}

/// Whether the request comes from an allowed origin, from the relay's own pages, or from no page at all.
pub(super) fn is_allowed(origins: &[String], request: &HeaderMap) -> bool {
    let Some(origin) = request.get(header::ORIGIN) else { return true };
    // An origin that cannot be read is of nobody that was named.
    let Ok(origin) = origin.to_str() else { return origins.iter().any(|allowed| allowed == "*") };
    let own = request.get(header::HOST).and_then(|host| host.to_str().ok());
    let of_own =
        own.is_some_and(|host| origin.split_once("://").is_some_and(|(_, authority)| authority == host));
    of_own || origins.iter().any(|allowed| allowed == "*" || allowed.trim_end_matches('/') == origin)
}

/// A number for the origin whose page sends the request; none if no page does.
pub(super) fn site(request: &HeaderMap) -> Option<u64> {
    let origin = request.get(header::ORIGIN)?.as_bytes().to_ascii_lowercase();
    blake3::hash(&origin).as_bytes().first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Whether the request comes from a page of the relay's own or one that its operator named, or from this machine. A script can state
/// any origin: what it hands in then is bounded by its network.
pub(super) fn is_of_operator(origins: &[String], request: &HeaderMap, is_here: bool) -> bool {
    let Some(origin) = request.get(header::ORIGIN) else { return is_here };
    let Ok(origin) = origin.to_str() else { return false };
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let own = request.get(header::HOST).and_then(|host| host.to_str().ok());
    own == Some(authority)
        || (is_here && ["127.0.0.1", "localhost", "[::1]"].contains(&host))
        || origins.iter().any(|allowed| allowed != "*" && allowed.trim_end_matches('/') == origin)
}

/// The answer to a page that asks beforehand whether it may ask (CORS preflight).
pub(super) fn preflight<B>(origins: &[String], request: &Request<B>) -> Response {
    debug_assert_eq!(request.method(), Method::OPTIONS);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_origin(origins, request.headers(), headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value("GET, HEAD"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value("range, if-range, if-none-match"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, value("86400"));
    response
}

/// Whether `If-None-Match` names this tag (weakly compared, RFC 9110 section 13.1.2).
pub(super) fn none_match(request: &HeaderMap, etag: &str) -> bool {
    let tags = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_start_matches("W/") == etag.trim_start_matches("W/")
    })
}
