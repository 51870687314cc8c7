//! Everything that the relay's port answers.

mod api;
mod body;
mod caller;
mod content;
#[cfg(test)]
mod fuzz;
mod headers;
mod meter;
mod range;
mod statics;
mod stream;
mod ws;

pub use api::link;
pub use caller::{Caller, CallerError};

use crate::config::{Config, MetricsAccess};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::owner::{Owners, Pace};
use crate::pulse::Pulses;
use crate::serve::seats::{Seat, Seats};
use crate::store::Store;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{Method, StatusCode};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::watch;

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
    /// Places of WebSockets.
    pub sockets: Arc<Seats>,
    /// Places of requests that proxies passed on; others have their connection's.
    pub requests: Arc<Seats>,
    /// How fast each network may ask, and speak. None: as fast as it likes.
    pub pace: Option<Pace>,
    /// Networks of the connected peers.
    pub owners: Arc<Owners>,
    /// Whether everything turns.
    pub pulses: Pulses,
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
        self.unready().is_empty()
    }

    /// Why a newcomer should not be sent here.
    pub fn unready(&self) -> Vec<String> {
        let mut why = Vec::new();
        if *self.stopping.borrow() {
            why.push("the relay is going down".into());
        } else if !self.ready.load(Ordering::Acquire) {
            why.push("the relay's own peer is not up".into());
        }
        let stalled = self.pulses.all().into_iter().filter(|pulse| pulse.is_stalled());
        why.extend(stalled.map(|pulse| format!("{} stands still", pulse.name())));
        why.extend(self.store.complaints().unready);
        why
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
    /// Address at this end of it.
    pub local: SocketAddr,
    /// The connection's place among all; a WebSocket keeps it when it outlives its request.
    pub seat: Arc<Seat>,
    /// Whether requests wait for their network's turn: not on the operator's port.
    pub is_paced: bool,
}

/// Lets a request in that is for this relay, from somebody who can be told, and in its network's turn. Puts who that is beside
/// it. What it gives is kept as long as the answer runs.
pub async fn admit<B: http_body::Body>(
    app: &App,
    client: Client,
    request: &mut hyper::Request<B>,
) -> Result<Option<Seat>, Box<Response>> {
    let refuse = |status, text: String| Err(Box::new(headers::plain(status, text)));
    let caller = match caller::check(app, &client, request) {
        Ok(caller) => caller,
        Err(CallerError::Forwarded) => {
            let name = app.config.forwarded_header.name();
            return refuse(StatusCode::BAD_REQUEST, format!("{name} cannot be read\n"));
        }
        Err(CallerError::Host) => {
            return refuse(StatusCode::BAD_REQUEST, "no host, or no possible one\n".into());
        }
        Err(CallerError::ForeignHost) => {
            let text = "this relay has another name: its settings public_url and hosts say which\n";
            return refuse(StatusCode::MISDIRECTED_REQUEST, text.into());
        }
    };
    if !request.body().is_end_stream() {
        let mut response = headers::plain(StatusCode::PAYLOAD_TOO_LARGE, "requests have no body here\n");
        // What is still to come is not read.
        response.headers_mut().insert(hyper::header::CONNECTION, headers::value("close"));
        return Err(Box::new(response));
    }
    if let Some(pace) = app.pace.as_ref().filter(|_| client.is_paced) {
        app.metrics.requests_delayed.add(u64::from(pace.turn(caller.owner()).await));
    }
    let seat = match caller.is_proxied {
        true => match app.requests.take(caller.owner()) {
            Some(seat) => {
                seat.busy();
                Some(seat)
            }
            None => {
                let text = "too many requests of that network are under way\n".into();
                return refuse(StatusCode::SERVICE_UNAVAILABLE, text);
            }
        },
        false => None,
    };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(client);
    Ok(seat)
}

/// Everything that the public port answers.
pub fn router(app: Arc<App>) -> Router {
    let content = get(content::bytes).options(content::preflight);
    let router = match app.config.metrics {
        MetricsAccess::Loopback | MetricsAccess::All => {
            Router::new().route("/metrics", get(api::metrics)).route("/operator", get(api::operator))
        }
        MetricsAccess::Admin | MetricsAccess::Off => {
            Router::new().route("/metrics", get(api::elsewhere)).route("/operator", get(api::elsewhere))
        }
    };
    router
        .route("/ws", get(ws::upgrade))
        .route("/c/{id}", content.clone())
        .route("/c/{id}/{name}", content)
        .route("/m/{id}", get(content::manifest).options(content::preflight))
        .route("/r/{id}", get(content::records).options(content::preflight))
        .route("/api/contents", get(api::contents).options(content::preflight))
        .route("/livez", get(api::live))
        .route("/readyz", get(api::ready))
        .fallback(fallback)
        .with_state(app)
}

/// Everything that the operator's port answers.
pub fn admin_router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(api::admin_operator))
        .route("/operator", get(api::admin_operator))
        .route("/metrics", get(api::admin_metrics))
        .route("/livez", get(api::live))
        .route("/readyz", get(api::ready))
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

/// Adds what every answer carries, and lets go of `held` when its body is sent or given up.
pub fn finish<T: Held>(mut response: Response<Body>, held: T) -> Response<Body> {
    response.headers_mut().insert("x-content-type-options", headers::value("nosniff"));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // The connection goes on as a WebSocket, which has its place from now on.
        return response;
    }
    response.map(|body| Body::new(Holding { body, held }))
}

/// What an answer holds while it runs.
pub trait Held: Send + Unpin + 'static {
    /// The answer is sent or given up.
    fn let_go(&self);
}

impl Held for Arc<Seat> {
    fn let_go(&self) {
        self.idle();
    }
}

impl Held for (Arc<Seat>, Option<Seat>) {
    fn let_go(&self) {
        self.0.idle();
    }
}

struct Holding<T: Held> {
    body: Body,
    held: T,
}

impl<T: Held> http_body::Body for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<T: Held> Drop for Holding<T> {
    fn drop(&mut self) {
        self.held.let_go();
    }
}
