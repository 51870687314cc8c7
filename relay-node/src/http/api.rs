//! What tools ask: the list of contents, health, metrics.

use super::content::percent_encode;
use super::{App, Caller, headers};
use crate::config::MetricsAccess;
use crate::metrics::Page;
use crate::names::safe_file_name;
use crate::pulse::Pulse;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use peeredge_tracker::{PurseStats, TrackerStats};
use peeredge_wire::ContentId;
use peeredge_wire::relay::ErrorCode;
use std::sync::Arc;

/// Contents in one answer: some 250 kB, so that a short request does not have a long list made each time.
const LISTED_MAX: usize = 1_000;

/// `/api/contents`, and `/api/contents?after=ID` for those behind the last one of an answer. An answer that others follow names the next
/// address in `link` (RFC 8288).
pub(super) async fn contents(State(app): State<Arc<App>>, request: Request) -> Response {
    let after = match request.uri().query().map(after) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => {
            return headers::plain(StatusCode::BAD_REQUEST, "the query is after=ID, or there is none\n");
        }
    };
    let base = app.config.public_url();
    let mut entries = app.store.entries_after(after, LISTED_MAX + 1);
    let has_more = entries.len() > LISTED_MAX;
    entries.truncate(LISTED_MAX);
    let next = entries.last().filter(|_| has_more).map(|last| last.content.to_string());
    let list = entries.into_iter().map(|entry| {
        serde_json::json!({
            "id": entry.content.to_string(),
            "link": link(&base, &entry.content.to_string(), &entry.name),
            "name": entry.name,
            "media_type": entry.media_type,
            "length": entry.length,
        })
    });
    let mut response = Response::new(Body::from(serde_json::Value::Array(list.collect()).to_string()));
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, headers::value("application/json"));
    out.insert(header::CACHE_CONTROL, headers::value("no-cache"));
    let next = next.map(|next| HeaderValue::try_from(format!("</api/contents?after={next}>; rel=\"next\"")));
    if let Some(Ok(next)) = next {
        out.insert(header::LINK, next);
    }
    headers::allow_origin(&app.config.origins, request.headers(), out);
    response
}

fn after(query: &str) -> Option<ContentId> {
    query.strip_prefix("after=")?.parse().ok()
}

/// The link that any HTTP client can open.
pub fn link(base: &str, content: &str, name: &str) -> String {
    // A name such as `..` would lead a URL elsewhere.
    match safe_file_name(name) {
        None => format!("{base}/c/{content}"),
        Some(name) => format!("{base}/c/{content}/{}", percent_encode(&name)),
    }
}

/// `/livez`: the process answers.
pub(super) async fn live() -> Response {
    headers::plain(StatusCode::OK, "live\n")
}

/// `/readyz`: store, WebRTC and tracker are up, the store takes writes and holds what was published, and the relay is not about to
/// stop. What is wrong with the store follows, a line each.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let why = app.unready();
    let noted: String = app.store.complaints().noted.iter().map(|line| format!("{line}\n")).collect();
    match why.is_empty() {
        true => headers::plain(StatusCode::OK, format!("ready\n{noted}")),
        false => {
            let text = format!("not ready: {}\n{noted}", why.join(", "));
            headers::plain(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// Where the operator's pages used to be.
pub(super) async fn elsewhere() -> Response {
    headers::plain(StatusCode::FORBIDDEN, "not on this port: the setting admin_bind says where\n")
}

/// Why this client may not see what operators see on the public port.
fn refused(app: &App, caller: Caller) -> Option<Response> {
    let allowed = match app.config.metrics {
        MetricsAccess::All => true,
        MetricsAccess::Loopback => caller.is_here(),
        MetricsAccess::Admin | MetricsAccess::Off => false,
    };
    (!allowed).then(|| headers::plain(StatusCode::FORBIDDEN, "metrics are not for this address\n"))
}

/// `/operator`: the page that draws `/metrics`, for those who may read them.
pub(super) async fn operator(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    refused(&app, caller).unwrap_or_else(page)
}

/// `/operator` on the operator's own port. Whoever reaches that is the operator, unless a proxy brings others.
pub(super) async fn admin_operator(Extension(caller): Extension<Caller>) -> Response {
    proxied(caller).unwrap_or_else(page)
}

fn proxied(caller: Caller) -> Option<Response> {
    let text = "requests that a proxy passed on are not answered on this port\n";
    caller.is_proxied.then(|| headers::plain(StatusCode::FORBIDDEN, text))
}

fn page() -> Response {
    let mut response = Response::new(Body::from(include_str!("operator.html")));
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, headers::value("text/html; charset=utf-8"));
    out.insert(header::CACHE_CONTROL, headers::value("no-cache"));
    // The page holds its own style and script, and talks to nobody else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";
    out.insert(header::CONTENT_SECURITY_POLICY, headers::value(policy));
    response
}

/// `/metrics`.
pub(super) async fn metrics(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    match refused(&app, caller) {
        Some(response) => response,
        None => numbers(&app).await,
    }
}

/// `/metrics` on the operator's own port.
pub(super) async fn admin_metrics(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    match proxied(caller) {
        Some(response) => response,
        None => numbers(&app).await,
    }
}

async fn numbers(app: &App) -> Response {
    let mut page = Page::default();
    app.metrics.write(&mut page);
    write_tracker(app, &mut page).await;
    write_node(app, &mut page);
    write_pulses(app, &mut page);
    page.single("peeredge_ready", "gauge", "Whether /readyz says so.", f64::from(u8::from(app.is_ready())));
    let published = app.store.entries();
    page.single("peeredge_contents_published", "gauge", "Published contents.", published.len() as f64);
    let bytes = app.store.published_bytes() as f64;
    page.single(
        "peeredge_store_bytes",
        "gauge",
        "Bytes of published contents and of tasks, with their records.",
        bytes,
    );
    write_store(app, &mut page);
    let mut response = headers::plain(StatusCode::OK, page.finish());
    let kind = headers::value("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn write_store(app: &App, page: &mut Page) {
    let damaged = app.store.damaged();
    let blocks: usize = damaged.values().map(|damage| damage.blocks.len()).sum();
    for (name, help, value) in [
        ("peeredge_store_damaged_contents", "Published contents of which something is wrong.", damaged.len()),
        ("peeredge_store_damaged_blocks", "Blocks that are not what was published.", blocks),
        (
            "peeredge_store_orphans",
            "Contents that lie in the store without a record.",
            app.store.orphans().len(),
        ),
        (
            "peeredge_store_writable",
            "Whether the store takes writes.",
            usize::from(app.store.trouble().is_none()),
        ),
    ] {
        page.single(name, "gauge", help, value as f64);
    }
}

async fn write_tracker(app: &App, page: &mut Page) {
    let Some(stats) = app.hub.stats().await else { return };
    page.single(
        "peeredge_peers",
        "gauge",
        "Peers that have proved their key, the relay's own included.",
        stats.peers as f64,
    );
    page.single(
        "peeredge_announced_contents",
        "gauge",
        "Contents that somebody announces.",
        stats.contents as f64,
    );
    page.single(
        "peeredge_announces",
        "gauge",
        "Announced contents, once for each peer.",
        stats.announces as f64,
    );
    page.single(
        "peeredge_barred_peers",
        "gauge",
        "Peers not introduced because others blame them.",
        stats.barred as f64,
    );
    page.single("peeredge_task_workers", "gauge", "Peers that offer to run tasks.", stats.workers as f64);
    page.single("peeredge_tasks", "gauge", "Tasks without a result.", stats.tasks as f64);
    let gas = stats.computing.gas.0 as f64;
    page.single(
        "peeredge_task_gas_per_second",
        "gauge",
        "What the workers compute, by verified results.",
        gas,
    );
    for (name, help, value) in [
        ("peeredge_introductions_total", "Introductions made.", stats.introductions),
        ("peeredge_signals_total", "Offers, answers and candidates carried.", stats.signals),
        (
            "peeredge_carried_bytes_total",
            "Bytes of messages that passed between peers without another path.",
            stats.carried_bytes,
        ),
        ("peeredge_unreachable_total", "Signals whose addressee was not there.", stats.unreachable),
        (
            "peeredge_signals_unmet_total",
            "Signals between two that were not introduced.",
            stats.signals_refused[0],
        ),
        ("peeredge_signals_busy_total", "Signals beyond a network's part.", stats.signals_refused[1]),
        ("peeredge_announces_refused_total", "Announces that found no place.", stats.announces_refused),
        ("peeredge_quotas_total", "Networks told that they may meet nobody else for now.", stats.quotas),
        ("peeredge_blames_total", "Blames that count.", stats.blames),
        ("peeredge_blames_refused_total", "Blames that do not.", stats.blames_refused),
        ("peeredge_task_leases_total", "Runs of tasks given to workers.", stats.dispatched.leases),
        ("peeredge_task_checks_total", "Hidden checks among them.", stats.dispatched.spots),
        ("peeredge_task_leases_lost_total", "Runs that were not answered.", stats.dispatched.lost),
        ("peeredge_task_hedges_total", "Runs given because another took too long.", stats.dispatched.hedges),
        (
            "peeredge_task_checkpoints_kept_total",
            "Checkpoints that outlive their workers.",
            stats.dispatched.kept,
        ),
        ("peeredge_task_leases_resumed_total", "Runs that went on from one.", stats.dispatched.resumed),
        ("peeredge_tasks_refereed_total", "Tasks that the relay ran itself.", stats.dispatched.refereed),
        ("peeredge_tasks_believed_total", "Results given out.", stats.dispatched.believed),
        ("peeredge_task_receipts_refused_total", "Receipts that were not taken.", stats.dispatched.refused),
        ("peeredge_task_workers_exposed_total", "Workers proved to lie.", stats.dispatched.exposed),
    ] {
        page.single(name, "counter", help, value as f64);
    }
    let errors = ErrorCode::ALL.map(|code| (format!("{{code=\"{code}\"}}"), stats.errors(code) as f64));
    page.family("peeredge_errors_total", "counter", "Errors told to peers, by code.", &errors);
    let reported = stats.reported;
    let bytes = [
        ("{kind=\"peers\"}".to_owned(), reported.from_peers_bytes as f64),
        ("{kind=\"relay\"}".to_owned(), reported.from_relay_bytes as f64),
        ("{kind=\"http\"}".to_owned(), reported.from_http_bytes as f64),
        ("{kind=\"wasted\"}".to_owned(), reported.wasted_bytes as f64),
    ];
    page.family(
        "peeredge_reported_bytes_total",
        "counter",
        "Bytes that peers say they received, by source.",
        &bytes,
    );
    let all = reported.from_peers_bytes + reported.from_relay_bytes + reported.from_http_bytes;
    if all > 0 {
        page.single(
            "peeredge_offload_share",
            "gauge",
            "Share of what peers say they received that came from peers.",
            reported.from_peers_bytes as f64 / all as f64,
        );
    }
    let ahead = stats.ahead;
    page.single(
        "peeredge_ahead_use",
        "gauge",
        "Bytes that peers sent over what they could have sent while asked to hold content ahead of demand.",
        ahead.served_bytes as f64 / ahead.rented_bytes.max(1) as f64,
    );
    for (name, kind, help, value) in [
        ("peeredge_ahead_contents", "gauge", "Contents whose demand is foreseen.", ahead.contents as u64),
        (
            "peeredge_ahead_forecast",
            "gauge",
            "Those for which the forecast is followed.",
            ahead.forecast as u64,
        ),
        ("peeredge_ahead_peers", "gauge", "Peers that offer room.", ahead.nodes as u64),
        (
            "peeredge_ahead_rented_rate",
            "gauge",
            "Upload of peers asked to hold content, bytes/s.",
            ahead.rented_bytes_per_s,
        ),
        (
            "peeredge_ahead_rented_bytes_total",
            "counter",
            "What those peers could have sent.",
            ahead.rented_bytes,
        ),
        ("peeredge_ahead_served_bytes_total", "counter", "What they say they sent.", ahead.served_bytes),
        ("peeredge_ahead_fills_total", "counter", "Fills asked for.", ahead.fills),
        ("peeredge_ahead_fill_bytes_total", "counter", "Bytes of these fills.", ahead.fill_bytes),
    ] {
        page.single(name, kind, help, value as f64);
    }
    write_market(&stats, page);
    page.single(
        "peeredge_reported_channels",
        "gauge",
        "Data channels that peers say are open.",
        f64::from(reported.channels),
    );
}

fn write_market(stats: &TrackerStats, page: &mut Page) {
    let label = |name: &str, value: &str| format!("{{{name}=\"{value}\"}}");
    let market = &stats.market;
    let prices = [("0.5", 0), ("0.9", 1), ("1", 2)]
        .map(|(share, at)| (label("quantile", share), f64::from(market.prices[at])));
    page.family(
        "peeredge_market_price",
        "gauge",
        "What a GB from a peer costs others beyond its own cost.",
        &prices,
    );
    let places =
        [(label("state", "asked"), market.asked as f64), (label("state", "given"), market.served as f64)];
    page.family("peeredge_market_places", "gauge", "Places with sources that wants ask for.", &places);
    page.single(
        "peeredge_market_gap",
        "gauge",
        "Share of the best possible worth that may be missing, proved by the prices.",
        market.gap,
    );
    page.single(
        "peeredge_market_worth",
        "gauge",
        "Worth of the places given less cost, a GB each.",
        market.worth,
    );
    let receipted = [
        (label("source", "peers"), stats.receipted_bytes[0] as f64),
        (label("source", "relay"), stats.receipted_bytes[1] as f64),
    ];
    page.family("peeredge_receipted_bytes_total", "counter", "Bytes that receivers signed for.", &receipted);
    let met =
        [(label("opened", "true"), stats.met[0] as f64), (label("opened", "false"), stats.met[1] as f64)];
    page.family("peeredge_met_total", "counter", "Introductions, by what became of them.", &met);
    for (name, help, value) in [
        ("peeredge_receipts_total", "Receipts that count.", stats.receipts),
        ("peeredge_receipts_refused_total", "Receipts that do not.", stats.receipts_refused),
        ("peeredge_nothing_came_total", "Holders from whom nothing came.", stats.nothing_came),
    ] {
        page.single(name, "counter", help, value as f64);
    }
    let [within, beyond] = stats.rates_foretold.map(|count| count as f64);
    let foretold = [(label("within", "true"), within), (label("within", "false"), beyond)];
    page.family(
        "peeredge_rates_foretold_total",
        "counter",
        "Rates between two peers, by whether they were within the interval that was expected four times of five.",
        &foretold,
    );
    if !stats.purses.is_empty() {
        let of = |value: fn(&PurseStats) -> f64| -> Vec<_> {
            stats.purses.iter().map(|purse| (label("publisher", &purse.name), value(purse))).collect()
        };
        page.family(
            "peeredge_publisher_spent_total",
            "counter",
            "Cost of the relay's own bytes by receipts.",
            &of(|purse| purse.spent),
        );
        page.family(
            "peeredge_publisher_open",
            "gauge",
            "Whether the budget lets the relay's own peer serve.",
            &of(|purse| f64::from(u8::from(purse.open))),
        );
    }
}

fn write_pulses(app: &App, page: &mut Page) {
    let parts = app.pulses.all();
    let of = |value: fn(&Pulse) -> f64| -> Vec<_> {
        parts.iter().map(|pulse| (format!("{{part=\"{}\"}}", pulse.name()), value(pulse))).collect()
    };
    let stalled = of(|pulse| f64::from(u8::from(pulse.is_stalled())));
    page.family("peeredge_stalled", "gauge", "Whether a part of the relay stands still.", &stalled);
    let stalls = of(|pulse| pulse.stalls() as f64);
    page.family("peeredge_stalls_total", "counter", "How often it did.", &stalls);
    let restarts = of(|pulse| pulse.restarts() as f64);
    page.family("peeredge_restarts_total", "counter", "How often it was started anew.", &restarts);
}

fn write_node(app: &App, page: &mut Page) {
    let stats = app.node.read().expect("no holder panics").clone();
    let open = stats.peers.iter().filter(|peer| peer.open).count();
    page.single(
        "peeredge_relay_channels",
        "gauge",
        "Open data channels of the relay's own peer.",
        open as f64,
    );
    page.single(
        "peeredge_relay_sent_bytes_total",
        "counter",
        "Payload bytes sent over data channels.",
        stats.sent_bytes as f64,
    );
    let made = f64::from(stats.connections_made);
    page.single("peeredge_relay_connections_made_total", "counter", "WebRTC connections made.", made);
}
