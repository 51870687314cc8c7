//! Everything that the relay's port answers.

mod api;
mod body;
mod content;
mod headers;
mod range;
mod statics;
mod ws;

pub use api::link;
pub use ws::SocketLimits;

use crate::config::Config;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::store::Store;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use hyper::{HeaderMap, Method, StatusCode};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// What every handler shares.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The contents.
    pub store: Arc<Store>,
    /// The tracker.
    pub hub: Hub,
    /// WebSockets by address.
    pub limits: Arc<SocketLimits>,
    /// What the relay's own peer last said of itself.
    pub node: RwLock<peeredge_node::Stats>,
    /// Whether the relay's own peer is up: store, WebRTC and tracker.
    pub ready: AtomicBool,
    /// Becomes true when the process is to end.
    pub stopping: watch::Receiver<bool>,
    /// The folder of static files, resolved.
    pub demo: Option<PathBuf>,
}

impl App {
    /// Whether a newcomer should be sent here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !*self.stopping.borrow()
    }

    /// Resolves when the process is to end.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopping = self.stopping.clone();
        async move { _ = stopping.wait_for(|stop| *stop).await }
    }
}

/// Whom a request came from, put beside it by the listener.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address of the other end of the TCP connection.
    pub ip: IpAddr,
    /// The connection's place among all; a WebSocket keeps it when it outlives its request.
    pub place: Arc<OwnedSemaphorePermit>,
}

/// The client's address: the last one of X-Forwarded-For, when the settings trust it, for nearer ones are the proxy's own.
fn client_ip(config: &Config, client: &Client, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()?
            .to_str()
            .ok()?
            .rsplit(',')
            .next()?
            .trim()
            .parse()
            .ok()
    };
    if config.trust_forwarded { forwarded().unwrap_or(client.ip) } else { client.ip }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let content = get(content::bytes).options(content::preflight);
    Router::new()
        .route("/ws", get(ws::upgrade))
        .route("/c/{id}", content.clone())
        .route("/c/{id}/{name}", content)
        .route("/m/{id}", get(content::manifest).options(content::preflight))
        .route("/r/{id}", get(content::records).options(content::preflight))
        .route("/api/contents", get(api::contents).options(content::preflight))
        .route("/livez", get(api::live))
        .route("/readyz", get(api::ready))
        .route("/metrics", get(api::metrics))
        .route("/operator", get(api::operator))
        .fallback(fallback)
        .with_state(app)
}

/// The first part of a path, as metrics know it.
pub fn route_name(path: &str) -> &'static str {
    match path.split('/').nth(1).unwrap_or_default() {
        "ws" => "ws",
        "c" => "content",
        "m" => "manifest",
        "r" => "records",
        "api" => "api",
        "livez" | "readyz" | "metrics" | "operator" => "health",
        _ => "static",
    }
}

async fn fallback(State(app): State<Arc<App>>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return headers::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
    }
    statics::serve(&app, request).await
}

/// Adds what every answer carries.
pub fn finish(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert("x-content-type-options", headers::value("nosniff"));
    response
}
