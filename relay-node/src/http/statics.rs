//! The demo's files, from one folder and nowhere else.

use super::stream::streamed;
use super::{App, headers};
use crate::publish::guess_media_type;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Files larger than this are contents, not parts of a page.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Scripts and workers only from here, WebAssembly allowed; connections anywhere, since a link may name another relay.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
    connect-src 'self' http: https: ws: wss:; img-src 'self' blob: data: http: https:; \
    media-src 'self' blob: http: https:; style-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
const WELCOME: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>PeerEdge relay</title>\
    <body><h1>PeerEdge relay</h1>\
    <p>This relay brings visitors of a site together and serves what was published here: \
    <a href=/api/contents>the list</a>.</html>\n";

pub(super) async fn serve(app: &Arc<App>, request: Request) -> Response {
    let Some(root) = app.demo.clone() else {
        return match request.uri().path() {
            "/" => page(Body::from(WELCOME), "text/html; charset=utf-8"),
            _ => headers::plain(StatusCode::NOT_FOUND, "nothing here\n"),
        };
    };
    let path = request.uri().path().to_owned();
    let found = tokio::task::spawn_blocking(move || find(&root, &path)).await.ok().flatten();
    let Some(file) = found else { return headers::plain(StatusCode::NOT_FOUND, "nothing here\n") };
    if headers::none_match(request.headers(), &file.etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut response, &file);
        return response;
    }
    let path = file.path.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let opened = std::fs::File::open(path)?;
        let length = opened.metadata()?.len();
        std::io::Result::Ok((opened, length))
    });
    let Ok(Ok((opened, length))) = opened.await else {
        return headers::plain(StatusCode::NOT_FOUND, "nothing here\n");
    };
    let body = match request.method() {
        &Method::HEAD => Body::empty(),
        _ => {
            app.metrics.http_bytes.add("static", length);
            Body::new(streamed(opened, length))
        }
    };
    let mut response = page(body, file.media_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    describe(&mut response, &file);
    response
}

fn page(body: Body, media_type: &'static str) -> Response {
    let mut response = Response::new(body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, headers::value(media_type));
    out.insert(header::CONTENT_SECURITY_POLICY, headers::value(POLICY));
    out.insert(header::REFERRER_POLICY, headers::value("no-referrer"));
    response
}

struct Found {
    path: PathBuf,
    media_type: &'static str,
    etag: String,
    hashed: bool,
}

fn describe(response: &mut Response, file: &Found) {
    let out = response.headers_mut();
    // A name that carries a hash changes with its bytes; any other is asked for anew each time, which the tag makes cheap.
    let cache = if file.hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    out.insert(header::CACHE_CONTROL, headers::value(cache));
    out.insert(header::ETAG, HeaderValue::try_from(file.etag.as_str()).expect("hexadecimal"));
}

/// The file that a path names: below `root` once links are resolved, never hidden.
fn find(root: &Path, path: &str) -> Option<Found> {
    let decoded = percent_decode(path)?;
    let relative = Path::new(decoded.trim_start_matches('/'));
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    if decoded.contains('\\') || decoded.contains('\0') || !relative.components().all(plain) {
        return None;
    }
    let mut full = root.join(relative);
    if full.is_dir() {
        full = full.join("index.html");
    }
    let full = full.canonicalize().ok()?;
    let meta = std::fs::metadata(&full).ok()?;
    if !full.starts_with(root) || !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return None;
    }
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let name = full.file_name()?.to_str()?.to_owned();
    let etag = format!("\"{:x}-{modified:x}\"", meta.len());
    Some(Found { media_type: guess_media_type(&name), hashed: carries_hash(&name), path: full, etag })
}

/// `name-0123abcd.js`, `name.0123abcd.js`: eight or more hexadecimal digits, or base64url with a digit and a capital, before the
/// ending.
fn carries_hash(name: &str) -> bool {
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let Some((_, last)) = stem.rsplit_once(['-', '.']) else { return false };
    let hex = last.bytes().all(|c| c.is_ascii_hexdigit()) && last.bytes().any(|c| c.is_ascii_digit());
    let base64 = last.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && last.bytes().any(|c| c.is_ascii_digit())
        && last.bytes().any(|c| c.is_ascii_uppercase());
    last.len() >= 8 && (hex || base64)
}

fn percent_decode(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use peeredge_attacks::fuzz::fuzz;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for (name, expected) in [
            ("index-4f3a9c21.js", true),
            ("index.DkX93kP2.css", true),
            ("index.js", false),
            ("peeredge-deadline.js", false),
            ("peeredge_wasm_bg.wasm", false),
            ("a-12345678", false),
        ] {
            assert_eq!(carries_hash(name), expected, "{name}");
        }
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let root = std::env::temp_dir().join(format!("peeredge-statics-{}", std::process::id()));
        let inside = root.join("site");
        std::fs::create_dir_all(inside.join(".git")).unwrap();
        std::fs::write(inside.join("index.html"), "hello").unwrap();
        std::fs::write(inside.join(".git/config"), "secret").unwrap();
        std::fs::write(root.join("outside.txt"), "secret").unwrap();
        std::os::unix::fs::symlink(root.join("outside.txt"), inside.join("link.txt")).unwrap();
        let inside = inside.canonicalize().unwrap();
        assert!(find(&inside, "/").is_some());
        assert!(find(&inside, "/index.html").is_some());
        let paths = ["/index.html", "/%2e%2e/outside.txt", "/a/../link.txt", "//etc/passwd", "/.git/config"];
        let paths = paths.map(|path| path.as_bytes().to_vec());
        let mut found = 0;
        fuzz(46, 20_000, &paths, |path| {
            if let Some(file) = str::from_utf8(path).ok().and_then(|path| find(&inside, path)) {
                assert_eq!(file.path, inside.join("index.html"));
                found += 1;
            }
        });
        assert!(found > 100, "{found}");
        for path in [
            "/%+f",
            "/../outside.txt",
            "/%2e%2e/outside.txt",
            "/..%2foutside.txt",
            "/a/../../outside.txt",
            "/.git/config",
            "/link.txt",
            "//etc/passwd",
            "/%00",
            "/%zz",
            "/%f",
            "/..\\outside.txt",
            "/missing",
        ] {
            assert!(find(&inside, path).is_none(), "{path}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
