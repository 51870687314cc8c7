//! What an operator sees, and who else may.
mod support;

use peeredge_wire::relay::ToRelay;
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
    // Whoever fetched it was told of the relay's own peer, and says that the connection opened.
    assert_eq!(relay.metric("peeredge_met_total{opened=\"true\"}"), Some(1.0));
}

#[test]
fn only_those_who_may_see_them() {
    let folder = Folder::new("metrics");
    let data = folder.path("data");
    let relay = Relay::start(&data, &["--rtc", "false"]);
    for path in ["/metrics", "/operator"] {
        assert_eq!(relay.get(path, &[]).status, 403, "{path} is not on the public port");
        assert_eq!(relay.operator(path, &[]).status, 200, "{path}");
        assert_eq!(relay.operator(path, &[("x-forwarded-for", "127.0.0.1")]).status, 403, "{path}");
        assert_eq!(relay.operator(path, &[("host", "rebound.example")]).status, 421, "{path}");
    }
    let page = relay.operator("/operator", &[]);
    assert!(String::from_utf8_lossy(&page.body).contains("fetch(\"/metrics\""), "it draws the metrics");
    drop(relay);
    let relay =
        Relay::start(&data, &["--rtc", "false", "--metrics", "loopback", "--trusted-proxies", "127.0.0.2"]);
    assert_eq!(relay.get("/metrics", &[]).status, 200);
    assert_eq!(relay.get("/operator", &[("x-forwarded-for", "203.0.113.5")]).status, 403);
    assert_eq!(relay.get("/metrics", &[("x-forwarded-for", "127.0.0.1")]).status, 403);
    assert_eq!(relay.get("/metrics", &[("via", "1.1 proxy")]).status, 403);
}

#[tokio::test]
async fn the_market_and_what_publishers_spent_are_shown() {
    let folder = Folder::new("metrics");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("a.bin", 50_000, 1));
    let content = path_of(&link).split('/').nth(2).expect("/c/ID/NAME").to_owned();
    let owners = format!("{content}=alice");
    let relay = Relay::start(&data, &["--publishers", "alice=2.5/10", "--owners", &owners]);
    let mut peer = Peer::join(relay.address, 1).await;
    let content = content.parse().expect("a content's id");
    peer.say(&ToRelay::Announce { content, have_permille: 0, wants: 4 }).await;
    support::wait_for("the want to be in the market", || {
        relay.metric("peeredge_market_places{state=\"given\"}") == Some(1.0)
    });
    for (name, value) in [
        ("peeredge_market_price{quantile=\"1\"}", 0.0),
        ("peeredge_publisher_open{publisher=\"alice\"}", 1.0),
        ("peeredge_publisher_spent_total{publisher=\"alice\"}", 0.0),
        ("peeredge_receipts_refused_total", 0.0),
    ] {
        assert_eq!(relay.metric(name), Some(value), "{name}");
    }
    assert!(relay.metric("peeredge_market_gap").is_some_and(|gap| gap < 1e-6));
    // Two places were asked for, and one source is there.
    assert_eq!(relay.metric("peeredge_market_worth").map(|worth| (worth * 10.0).round()), Some(17.0));
}
