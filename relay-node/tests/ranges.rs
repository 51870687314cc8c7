//! Contents over HTTP: ranges, caching, CORS, and strangers' bytes that stay harmless.
mod support;

use support::{Folder, Relay, id_of, path_of, publish};

const LEN: usize = 300_000;

#[test]
fn a_content_is_served_whole_in_part_and_not_beyond() {
    let folder = Folder::new("ranges");
    let data = folder.path("data");
    let file = folder.file("a film.mp4", LEN, 1);
    let bytes = std::fs::read(&file).unwrap();
    let link = publish(&data, &file);
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let path = path_of(&link);
    assert!(path.ends_with("/a%20film.mp4"), "{path}");
    let etag = format!("\"{}\"", id_of(&link));

    let whole = relay.get(path, &[]);
    assert_eq!((whole.status, whole.body.len()), (200, LEN));
    assert!(whole.body == bytes);
    assert_eq!(whole.header("etag"), etag);
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(whole.header("content-length"), LEN.to_string());
    assert!(whole.header("cache-control").contains("immutable"));
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-security-policy").starts_with("sandbox"));
    assert!(whole.header("content-disposition").starts_with("inline"));

    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-131071", 1000, 131_072),
        ("bytes=-10", LEN - 10, LEN),
        ("bytes=299999-", 299_999, LEN),
    ] {
        let part = relay.get(path, &[("range", range)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {start}-{}/{LEN}", end - 1), "{range}");
        assert!(part.body == bytes[start..end], "{range}");
    }
    let beyond = relay.get(path, &[("range", "bytes=300000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{LEN}").as_str()));
    let two = relay.get(path, &[("range", "bytes=0-1,5-6")]);
    assert_eq!((two.status, two.body.len()), (200, LEN));

    let same = relay.get(path, &[("range", "bytes=0-9"), ("if-range", &etag)]);
    assert_eq!(same.status, 206);
    let other = relay.get(path, &[("range", "bytes=0-9"), ("if-range", "\"else\"")]);
    assert_eq!(other.status, 200);
    let known = relay.get(path, &[("if-none-match", &etag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));

    let head = relay.request("HEAD", path, &[("range", "bytes=5-9")]);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (206, "5", 0));
    assert_eq!(relay.request("POST", path, &[]).status, 405);
}

#[test]
fn manifest_and_records_are_there_for_any_http_client() {
    let folder = Folder::new("ranges");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("a.bin", LEN, 2));
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let id = id_of(&link);
    let manifest = relay.get(&format!("/m/{id}"), &[]);
    assert_eq!(manifest.status, 200);
    let hash = blake3::hash(&manifest.body);
    assert_eq!(
        peeredge_wire::ContentId(*hash.as_bytes()).to_string(),
        id,
        "a link is the hash of its manifest"
    );
    let records = relay.get(&format!("/r/{id}"), &[]);
    assert_eq!((records.status, records.body.len() % 32), (200, 0));
    assert!(!records.body.is_empty());
    let part = relay.get(&format!("/r/{id}"), &[("range", "bytes=0-31")]);
    assert!(part.status == 206 && part.body == records.body[..32]);
}

#[test]
fn pages_of_other_origins_may_read_ranges_unless_the_operator_says_no() {
    let folder = Folder::new("ranges");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("a.bin", 1000, 3));
    let path = path_of(&link);
    let origin = [("origin", "https://site.example")];
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let open = relay.get(path, &origin);
    assert_eq!(open.header("access-control-allow-origin"), "*");
    assert!(open.header("access-control-expose-headers").contains("content-range"));
    let before = relay.request("OPTIONS", path, &[origin[0], ("access-control-request-headers", "range")]);
    assert_eq!(before.status, 204);
    assert!(before.header("access-control-allow-headers").contains("range"));
    drop(relay);

    let relay = Relay::start(&data, &["--rtc", "false", "--origins", "https://site.example"]);
    assert_eq!(relay.get(path, &origin).header("access-control-allow-origin"), "https://site.example");
    assert_eq!(
        relay.get(path, &[("origin", "https://else.example")]).header("access-control-allow-origin"),
        ""
    );
    let socket = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://else.example"),
    ];
    assert_eq!(relay.get("/ws", &socket).status, 403);
}

#[test]
fn a_page_published_as_content_cannot_run_on_the_relays_origin() {
    let folder = Folder::new("ranges");
    let data = folder.path("data");
    let page = folder.path("evil.html");
    std::fs::write(&page, "<script>alert(1)</script>").unwrap();
    let link = publish(&data, &page);
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let answer = relay.get(path_of(&link), &[]);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert!(answer.header("content-disposition").starts_with("attachment"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn wrong_and_unknown_ids_have_answers_of_their_own() {
    let folder = Folder::new("ranges");
    let relay = Relay::start(&folder.path("data"), &["--rtc", "false"]);
    assert_eq!(relay.get("/c/nonsense", &[]).status, 400);
    assert_eq!(relay.get(&format!("/c/{}", "a".repeat(52)), &[]).status, 404);
    assert_eq!(relay.get(&format!("/m/{}", "a".repeat(52)), &[]).status, 404);
    assert_eq!(relay.get("/../etc/passwd", &[]).status, 404);
    assert_eq!(relay.get("/livez", &[]).status, 200);
    assert_eq!(relay.get("/", &[]).status, 200);
}
