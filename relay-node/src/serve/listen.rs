//! The port: accepts connections, bounds them, and drains them when the relay stops.

use super::patient::Patient;
use crate::http::{self, App, Client};
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tower_service::Service;

/// Request line and headers of one request; browsers stay far below.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Takes the port now, so that a taken one is reported before anything else starts.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts until the relay stops, then waits for running answers as long as the settings allow.
pub(super) async fn run(listener: TcpListener, app: Arc<App>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the port cannot be used"),
    };
    let places = Arc::new(Semaphore::new(app.config.connections_max as usize));
    // Every connection holds a sender; when all are gone, so are the connections.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut stopped = pin!(app.stopped());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, or a connection that was gone before it was taken.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => converse(stream, from, place, &app, alive.clone()),
            Err(_) => app.metrics.connections_refused.add(1),
        }
    }
    drop((listener, alive));
    let grace = app.config.shutdown_grace_ms.duration();
    if tokio::time::timeout(grace, all_gone.recv()).await.is_err() {
        tracing::warn!("answers were still running when the grace was over");
    }
}

fn converse(
    stream: TcpStream,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
    app: &Arc<App>,
    alive: mpsc::Sender<()>,
) {
    // Small answers and signals must not wait for each other.
    let _ = stream.set_nodelay(true);
    let client = Client { ip: from.ip(), place: Arc::new(place) };
    let router = http::router(app.clone());
    let shared = app.clone();
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
    router: &mut axum::Router,
    app: &App,
    client: Client,
    mut request: Request<Incoming>,
) -> axum::response::Response {
    let route = http::route_name(request.uri().path());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(client);
    let response = match router.call(request.map(Body::new)).await {
        Ok(response) => http::finish(response),
        Err(never) => match never {},
    };
    let status = response.status().as_u16();
    app.metrics.http_responses.add((route, status), 1);
    tracing::debug!(%method, path, status, "answered");
    response
}
