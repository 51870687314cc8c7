//! What an operator sees, and who else may.
mod support;

use support::peer::Peer;
use support::{Folder, Relay, path_of, publish, run};

#[tokio::test]
async fn peers_bytes_and_statuses_are_counted() {
    let folder = Folder::new("metrics");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("a.bin", 50_000, 1));
    let relay = Relay::start(&data, &[]);
    let _peer = Peer::join(relay.address, 1).await;
    assert_eq!(relay.get(path_of(&link), &[("range", "bytes=0-999")]).status, 206);
    assert_eq!(relay.get("/c/nonsense", &[]).status, 400);
    for (name, value) in [
        ("peeredge_ready", 1.0),
        // The relay's own is one.
        ("peeredge_peers", 2.0),
        ("peeredge_sockets", 1.0),
        ("peeredge_contents_published", 1.0),
        ("peeredge_http_bytes_total{route=\"content\"}", 1000.0),
        ("peeredge_http_responses_total{route=\"content\",status=\"206\"}", 1.0),
        ("peeredge_http_responses_total{route=\"content\",status=\"400\"}", 1.0),
        ("peeredge_errors_total{code=\"malformed\"}", 0.0),
    ] {
        assert_eq!(relay.metric(name), Some(value), "{name}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "peeredge_store_bytes"] {
        assert!(relay.metric(name).is_some_and(|value| value > 0.0), "{name}");
    }
}

#[test]
fn bytes_over_data_channels_are_counted() {
    let folder = Folder::new("metrics");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("a.bin", 500_000, 2));
    let relay = Relay::start(&data, &[]);
    let link = format!("{}{}", relay.url(), path_of(&link));
    let out = folder.path("out");
    assert!(run(&["get", &link, "-o", out.to_str().unwrap(), "--no-http", "--quiet"]).status.success());
    support::wait_for("the bytes to be counted", || {
        relay.metric("peeredge_relay_sent_bytes_total").is_some_and(|sent| sent >= 500_000.0)
    });
}

#[test]
fn only_those_who_may_see_them() {
    let folder = Folder::new("metrics");
    let data = folder.path("data");
    let relay = Relay::start(&data, &["--rtc", "false", "--trust-forwarded", "true"]);
    assert_eq!(relay.get("/metrics", &[]).status, 200);
    let page = relay.get("/operator", &[]);
    assert_eq!(page.status, 200);
    assert!(String::from_utf8_lossy(&page.body).contains("fetch(\"/metrics\""), "it draws the metrics");
    assert_eq!(relay.get("/operator", &[("x-forwarded-for", "203.0.113.5")]).status, 403);
    assert_eq!(relay.get("/metrics", &[("x-forwarded-for", "127.0.0.1, 203.0.113.5")]).status, 403);
    drop(relay);
    let relay = Relay::start(&data, &["--rtc", "false", "--metrics", "off"]);
    assert_eq!(relay.get("/metrics", &[]).status, 403);
    assert_eq!(relay.get("/operator", &[]).status, 403);
}
