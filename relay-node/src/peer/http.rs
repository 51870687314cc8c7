//! Plain HTTP as one more source: whole answers, bounded in size and time, over a few kept connections.

use super::connect::{Endpoint, Stream, connect};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, RANGE, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use peeredge_node::{HttpFailure, Resource};
use peeredge_wire::ContentId;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A manifest: 32 bytes a block, of at most 8000, and the head.
const MANIFEST_BYTES_MAX: u64 = 512 << 10;
/// A server without ranges sends the whole content. So much of it is read to get at a part.
const WHOLE_BYTES_MAX: u64 = 16 << 20;
/// Idle connections kept for the next request.
const IDLE_MAX: usize = 8;

type Sender = SendRequest<Empty<Bytes>>;

/// One server.
#[derive(Clone, Debug)]
pub struct HttpSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    idle: Mutex<Vec<Sender>>,
}

impl HttpSource {
    /// The relay at this address.
    pub fn new(endpoint: Endpoint) -> HttpSource {
        HttpSource(Arc::new(Inner { endpoint, idle: Mutex::default() }))
    }

    /// Gets one resource, whole.
    pub async fn get(
        &self,
        content: ContentId,
        what: Resource,
        timeout: Duration,
    ) -> Result<Vec<u8>, HttpFailure> {
        match tokio::time::timeout(timeout, self.run(content, what)).await {
            Ok(result) => result,
            Err(_) => Err(HttpFailure::Network),
        }
    }

    async fn run(&self, content: ContentId, what: Resource) -> Result<Vec<u8>, HttpFailure> {
        let (path, range) = match what {
            Resource::Manifest => (format!("/m/{content}"), None),
            Resource::Records { start, end } => (format!("/r/{content}"), Some((start, end))),
            Resource::Bytes { start, end } => (format!("/c/{content}"), Some((start, end))),
        };
        if range.is_some_and(|(start, end)| start >= end) {
            return Ok(Vec::new());
        }
        let mut request = Request::get(path)
            .header(HOST, &self.0.endpoint.authority)
            .header(USER_AGENT, concat!("peeredge/", env!("CARGO_PKG_VERSION")));
        if let Some((start, end)) = range {
            request = request.header(RANGE, format!("bytes={start}-{}", end - 1));
        }
        let request = request.body(Empty::new()).expect("every part is ASCII");
        let (mut sender, fresh) = self.sender().await?;
        let response = match sender.send_request(request.clone()).await {
            Ok(response) => response,
            // A kept connection may have been closed by the server at this very moment.
            Err(_) if !fresh => {
                sender = self.open().await?;
                sender.send_request(request).await.map_err(|_| HttpFailure::Network)?
            }
            Err(_) => return Err(HttpFailure::Network),
        };
        let status = response.status();
        let (skip, take, limit) = match (status, range) {
            (StatusCode::OK, None) => (0, None, MANIFEST_BYTES_MAX),
            (StatusCode::PARTIAL_CONTENT, Some((start, end))) => (0, Some(end - start), end - start),
            (StatusCode::OK, Some((start, end))) => {
                (start, Some(end - start), WHOLE_BYTES_MAX.max(end - start))
            }
            _ => return Err(HttpFailure::Status(status.as_u16())),
        };
        let limit = usize::try_from(limit).map_err(|_| HttpFailure::Network)?;
        let body =
            Limited::new(response.into_body(), limit).collect().await.map_err(|_| HttpFailure::Network)?;
        self.keep(sender);
        let mut bytes = Vec::from(body.to_bytes());
        let Some(take) = take else { return Ok(bytes) };
        // What is shorter than asked for is no answer; the node checks what is of the right length.
        let end =
            skip.checked_add(take).filter(|end| *end <= bytes.len() as u64).ok_or(HttpFailure::Network)?;
        bytes.truncate(end as usize);
        bytes.drain(..skip as usize);
        Ok(bytes)
    }

    async fn sender(&self) -> Result<(Sender, bool), HttpFailure> {
        while let Some(sender) = self.pop() {
            if sender.is_ready() {
                return Ok((sender, false));
            }
        }
        Ok((self.open().await?, true))
    }

    fn pop(&self) -> Option<Sender> {
        self.0.idle.lock().expect("no holder panics").pop()
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.0.idle.lock().expect("no holder panics");
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn open(&self) -> Result<Sender, HttpFailure> {
        let failed = |error: String| {
            tracing::debug!(server = self.0.endpoint.authority, error, "no HTTP connection");
            HttpFailure::Network
        };
        let stream: Box<dyn Stream> =
            connect(&self.0.endpoint).await.map_err(|error| failed(error.to_string()))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP connection ended");
            }
        });
        Ok(sender)
    }
}
