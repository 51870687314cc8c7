//! The ports: accept connections, bound them by network, and drain them when the relay stops.

use super::patient::Patient;
use super::seats::Seats;
use crate::config::Config;
use crate::http::{self, App, Client};
use crate::owner::Owner;
use crate::pulse::BEAT_EVERY;
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower_service::Service;

/// Request line and headers of one request; browsers stay far below.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Idle connections that give way when there are no descriptors left.
const SHED: usize = 16;
/// How often a lack of descriptors is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Takes the port now, so that a taken one is reported before anything else starts. All addresses of IPv6 are all addresses.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What the accepting loops share.
pub(super) struct Door {
    pub(super) app: Arc<App>,
    pub(super) seats: Arc<Seats>,
    pub(super) router: Router,
    /// Whether this is the port that the watchdog looks at.
    pub(super) is_watched: bool,
    /// Whether requests wait for their network's turn.
    pub(super) is_paced: bool,
}

/// Accepts until the relay stops, then waits for running answers as long as the settings allow.
pub(super) async fn run(listener: TcpListener, door: Door) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the port cannot be used"),
    };
    let Door { app, seats, router, is_watched, is_paced } = door;
    // Every connection holds a sender; when all are gone, so are the connections.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut scarcity = Scarcity::new();
    let mut stopped = pin!(app.stopped());
    loop {
        if is_watched {
            app.pulses.port.beat();
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tokio::time::sleep(BEAT_EVERY) => continue,
            () = &mut stopped => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_scarce(&error) => {
                // Contents are opened again when they are read again.
                let gave_way = app.store.let_go() + seats.shed(SHED);
                scarcity.met(&error, gave_way, &listener).await;
                app.metrics.connections_refused.add(1);
                continue;
            }
            // A connection that was gone before it was taken.
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                continue;
            }
        };
        match seats.take(payer(&app.config, from.ip())) {
            Some(seat) => {
                // Fails when the other end is gone already, of which the first read tells.
                let local = stream.local_addr().unwrap_or(app.config.bind);
                let client = Client { ip: from.ip(), local, seat: Arc::new(seat), is_paced };
                converse(stream, client, &router, &app, alive.clone());
            }
            None => app.metrics.connections_refused.add(1),
        }
    }
    if is_watched {
        app.pulses.port.rest();
    }
    drop((listener, alive));
    let grace = app.config.shutdown_grace_ms.duration();
    if tokio::time::timeout(grace, all_gone.recv()).await.is_err() {
        tracing::warn!("answers were still running when the grace was over");
    }
}

/// Whose place a connection takes. A trusted proxy's are its clients', of whom each request tells; they count one by one.
fn payer(config: &Config, ip: IpAddr) -> Owner {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    match config.trusted_proxies.iter().any(|network| network.holds(ip)) {
        true => Owner::of_none(NEXT.fetch_add(1, Ordering::Relaxed)),
        false => Owner::of(ip),
    }
}

fn is_scarce(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM: these stay until something is given back; all others concern one connection.
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// What is done when descriptors run out: a spare one lets newcomers be told at once, instead of leaving them in the queue.
struct Scarcity {
    spare: Option<File>,
    told: Option<Instant>,
    met: u64,
}

impl Scarcity {
    fn new() -> Scarcity {
        Scarcity { spare: File::open("/dev/null").ok(), told: None, met: 0 }
    }

    async fn met(&mut self, error: &io::Error, shed: usize, listener: &tokio::net::TcpListener) {
        self.met += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(
                %error, times = self.met, gave_way = shed,
                "connections cannot be accepted: raise the limit of open files (ulimit -n) or lower connections_max"
            );
            (self.told, self.met) = (Some(Instant::now()), 0);
        }
        if shed == 0 && self.spare.take().is_some() {
            let _ = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
    }
}

fn converse(stream: TcpStream, client: Client, router: &Router, app: &Arc<App>, alive: mpsc::Sender<()>) {
    // Small answers and signals must not wait for each other.
    let _ = stream.set_nodelay(true);
    let (from, seat) = (client.ip, client.seat.clone());
    let (router, shared) = (router.clone(), app.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut router, app, client) = (router.clone(), shared.clone(), client.clone());
        async move { Ok::<_, Infallible>(answer(&mut router, &app, client, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout_ms.duration())
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, app.config.write_timeout_ms.duration())), service)
        .with_upgrades();
    let app = app.clone();
    tokio::spawn(async move {
        app.metrics.connections.add(1);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = seat.gone() => {
                app.metrics.connections_displaced.add(1);
                Ok(())
            }
            () = app.stopped() => {
                // Idle connections end now, busy ones behind their answer.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "connection ended");
        }
        app.metrics.connections.sub(1);
        drop(alive);
    });
}

async fn answer(
    router: &mut Router,
    app: &App,
    client: Client,
    mut request: Request<Incoming>,
) -> axum::response::Response {
    let seat = client.seat.clone();
    seat.busy();
    let route = http::route_name(request.uri().path());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match http::admit(app, client, &mut request).await {
        Ok(admitted) => match router.call(request.map(Body::new)).await {
            Ok(response) => http::finish(response, (seat, admitted)),
            Err(never) => match never {},
        },
        Err(response) => http::finish(*response, seat),
    };
    let status = response.status().as_u16();
    app.metrics.http_responses.add((route, status), 1);
    tracing::debug!(%method, path, status, "answered");
    response
}
