//! Plain HTTP as one more source: whole answers, bounded in size and time, over a few kept connections.

use super::connect::{CONNECT_TIMEOUT, Endpoint, connect};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_RANGE, HOST, RANGE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use peeredge_node::{HttpFailure, Resource};
use peeredge_wire::ContentId;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A manifest: 32 bytes a block, of at most 8000, and the head.
pub(super) const MANIFEST_BYTES_MAX: u64 = 512 << 10;
/// Idle connections kept for the next request.
const IDLE_MAX: usize = 8;
/// A server that sends nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// A server that has sent less than so many bytes after so long is given up, too.
const DRIP_AFTER: Duration = Duration::from_secs(5);
const DRIP_BYTES: usize = 16 << 10;
/// Room made for an answer before it comes.
const RESERVED_BYTES_MAX: usize = 2 << 20;
/// Bytes read from the socket at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// The last bytes of a whole answer that are kept: requests are made in order, and come to it in any.
const BEHIND_BYTES_MAX: usize = 8 << 20;

type Sender = SendRequest<Empty<Bytes>>;

/// One server.
#[derive(Clone, Debug)]
pub struct HttpSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    idle: Mutex<Vec<Sender>>,
    /// Whether it has answered with a part when asked for one.
    knows_ranges: AtomicBool,
    alone: tokio::sync::Mutex<()>,
    /// A whole content from a server that knows no ranges: requests take from it in turn, so that it is sent about once.
    whole: tokio::sync::Mutex<Option<Whole>>,
}

/// An answer that is read in the order in which it comes.
#[derive(Debug)]
struct Whole {
    content: ContentId,
    body: Incoming,
    /// The content's byte that comes next; what has come of the bytes from there on.
    at: u64,
    held: Bytes,
    /// The bytes before `at`, the last [`BEHIND_BYTES_MAX`] of them.
    behind: VecDeque<u8>,
}

impl HttpSource {
    /// The relay at this address.
    pub fn new(endpoint: Endpoint) -> HttpSource {
        HttpSource(Arc::new(Inner {
            endpoint,
            idle: Mutex::default(),
            knows_ranges: AtomicBool::new(false),
            alone: tokio::sync::Mutex::default(),
            whole: tokio::sync::Mutex::default(),
        }))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
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
            Resource::Records { start, end } => (format!("/r/{content}"), Some(start..end)),
            Resource::Bytes { start, end } => (format!("/c/{content}"), Some(start..end)),
        };
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(Vec::new());
        }
        let is_data = matches!(what, Resource::Bytes { .. });
        if let (true, Some(range)) = (is_data, &range)
            && let Some(bytes) = self.from_whole(content, range).await
        {
            return bytes;
        }
        // One request alone finds out whether the server knows ranges: many at once would have it send the whole many times.
        let knows_ranges = self.0.knows_ranges.load(Ordering::Relaxed);
        let alone = if is_data && !knows_ranges { Some(self.0.alone.lock().await) } else { None };
        if let (true, Some(range)) = (alone.is_some(), &range)
            && let Some(bytes) = self.from_whole(content, range).await
        {
            return bytes;
        }
        let sent = self.send(self.request(&path, range.as_ref())).await;
        let (sender, response) = sent.map_err(|_| HttpFailure::Network)?;
        let status = response.status();
        if is_data && status == StatusCode::PARTIAL_CONTENT {
            self.0.knows_ranges.store(true, Ordering::Relaxed);
            drop(alone);
        }
        match (status, range) {
            (StatusCode::OK, None) => {
                let bytes = read(response.into_body(), MANIFEST_BYTES_MAX).await?;
                self.keep(sender);
                Ok(bytes)
            }
            (StatusCode::PARTIAL_CONTENT, Some(range)) => {
                if starts_elsewhere(&response, &range) {
                    return Err(HttpFailure::Network);
                }
                let bytes = read(response.into_body(), range.end - range.start).await?;
                // What is shorter than asked for is no answer.
                if bytes.len() as u64 != range.end - range.start {
                    return Err(HttpFailure::Network);
                }
                self.keep(sender);
                Ok(bytes)
            }
            (StatusCode::OK, Some(range)) => {
                let body = response.into_body();
                let mut whole = Whole { content, body, at: 0, held: Bytes::new(), behind: VecDeque::new() };
                let bytes = whole.take(&range).await?;
                if is_data {
                    *self.0.whole.lock().await = Some(whole);
                }
                Ok(bytes)
            }
            _ => Err(HttpFailure::Status(status.as_u16())),
        }
    }

    /// From the answer of a server that knows no ranges, when these bytes are still to come there.
    #[allow(clippy::wrong_self_convention, reason = "bytes that come from there")]
    async fn from_whole(
        &self,
        content: ContentId,
        range: &Range<u64>,
    ) -> Option<Result<Vec<u8>, HttpFailure>> {
        let mut slot = self.0.whole.lock().await;
        // Taken out: a request that is cancelled in the middle leaves nothing of which nobody knows how far it is.
        let mut whole =
            slot.take().filter(|whole| whole.content == content && whole.begin() <= range.start)?;
        let bytes = whole.take(range).await;
        if bytes.is_ok() {
            *slot = Some(whole);
        }
        Some(bytes)
    }

    pub(super) fn request(&self, path: &str, range: Option<&Range<u64>>) -> Request<Empty<Bytes>> {
        let mut request = Request::get(path)
            .header(HOST, &self.0.endpoint.authority)
            .header(USER_AGENT, concat!("peeredge/", env!("CARGO_PKG_VERSION")));
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        request.body(Empty::new()).expect("every part is ASCII")
    }

    /// The answer's head, and the connection on which its body comes.
    pub(super) async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), SendError> {
        while let Some(mut sender) = self.pop() {
            // A kept connection may have been closed by the server at this very moment.
            if sender.is_ready()
                && let Ok(response) = sender.send_request(request.clone()).await
            {
                return Ok((sender, response));
            }
        }
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(SendError::Http)?;
        Ok((sender, response))
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

    async fn open(&self) -> Result<Sender, SendError> {
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connect(&self.0.endpoint)).await {
            Ok(stream) => stream.map_err(SendError::Connect)?,
            Err(_) => return Err(SendError::Connect(io::ErrorKind::TimedOut.into())),
        };
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::Http)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP connection ended");
            }
        });
        Ok(sender)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// No connection.
    Connect(io::Error),
    /// A connection, on which nothing came that is HTTP.
    Http(hyper::Error),
}

/// The next bytes of a body, none at its end; who is silent for long has failed.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, HttpFailure> {
    loop {
        let frame =
            tokio::time::timeout(SILENCE_MAX, body.frame()).await.map_err(|_| HttpFailure::Network)?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(HttpFailure::Network),
            // Trailers say nothing here.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            },
        }
    }
}

/// A server that has sent so little after so long drips.
fn drips(began: Instant, bytes: usize) -> bool {
    began.elapsed() > DRIP_AFTER && bytes < DRIP_BYTES
}

/// A whole body of at most so many bytes; a longer one is refused.
async fn read(mut body: Incoming, bytes_max: u64) -> Result<Vec<u8>, HttpFailure> {
    let bytes_max = usize::try_from(bytes_max).map_err(|_| HttpFailure::Network)?;
    let mut out = Vec::with_capacity(bytes_max.min(RESERVED_BYTES_MAX));
    let began = Instant::now();
    while let Some(bytes) = next(&mut body).await? {
        if out.len() + bytes.len() > bytes_max || drips(began, out.len()) {
            return Err(HttpFailure::Network);
        }
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

/// Whether a partial answer says that it begins elsewhere than was asked.
fn starts_elsewhere(response: &Response<Incoming>, range: &Range<u64>) -> bool {
    let Some(said) = response.headers().get(CONTENT_RANGE).and_then(|said| said.to_str().ok()) else {
        return true;
    };
    let first = said.trim().strip_prefix("bytes").and_then(|rest| rest.trim_start().split('-').next());
    first.and_then(|first| first.trim().parse::<u64>().ok()) != Some(range.start)
}

impl Whole {
    /// The first byte that can still be had.
    fn begin(&self) -> u64 {
        self.at - self.behind.len() as u64
    }

    /// The bytes of a range that has not been forgotten; what comes before it is passed over.
    async fn take(&mut self, range: &Range<u64>) -> Result<Vec<u8>, HttpFailure> {
        let len = usize::try_from(range.end - range.start).map_err(|_| HttpFailure::Network)?;
        let mut out = Vec::with_capacity(len.min(RESERVED_BYTES_MAX));
        if range.start < self.at {
            let first = (range.start - self.begin()) as usize;
            let last = (first + len).min(self.behind.len());
            out.extend(self.behind.range(first..last));
        }
        while out.len() < len {
            if self.held.is_empty() {
                self.held = next(&mut self.body).await?.ok_or(HttpFailure::Network)?;
            }
            let skipped = (range.start - self.at.min(range.start)).min(self.held.len() as u64);
            let skipped = self.held.split_to(skipped as usize);
            self.pass(&skipped);
            if self.at >= range.start {
                let taken = self.held.split_to(self.held.len().min(len - out.len()));
                self.pass(&taken);
                out.extend_from_slice(&taken);
            }
        }
        Ok(out)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(BEHIND_BYTES_MAX)..];
        let forgotten = (self.behind.len() + kept.len()).saturating_sub(BEHIND_BYTES_MAX);
        self.behind.drain(..forgotten);
        self.behind.extend(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every request with all of `body`, on a connection each, and counts them.
    async fn without_ranges(body: Vec<u8>) -> (Endpoint, Arc<std::sync::atomic::AtomicUsize>) {
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listening.local_addr().unwrap().port();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listening.accept().await.unwrap();
                let (body, counted) = (body.clone(), counted.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(socket.read_u8().await?);
                    }
                    counted.fetch_add(1, Ordering::Relaxed);
                    let said = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    socket.write_all(said.as_bytes()).await?;
                    socket.write_all(&body).await
                });
            }
        });
        (format!("http://127.0.0.1:{port}").parse().unwrap(), asked)
    }

    #[tokio::test]
    async fn a_server_without_ranges_is_asked_once_in_whatever_order_the_ranges_come() {
        let body: Vec<u8> = (0..20 << 20).map(|at: u32| (at >> 7) as u8).collect();
        let (endpoint, asked) = without_ranges(body.clone()).await;
        let source = HttpSource::new(endpoint);
        let part = async |start: u64, end: u64| {
            let what = Resource::Bytes { start, end };
            let bytes = source.get(ContentId([1; 32]), what, Duration::from_secs(60)).await.unwrap();
            assert!(bytes == body[start as usize..end as usize], "{start}..{end}");
            asked.load(Ordering::Relaxed)
        };
        const MIB: u64 = 1 << 20;
        for (start, end) in
            [(MIB, 2 * MIB), (0, MIB), (3 * MIB, 4 * MIB), (2 * MIB + 5, 4 * MIB + 5), (9 * MIB, 10 * MIB)]
        {
            assert_eq!(part(start, end).await, 1);
        }
        assert_eq!(part(MIB, MIB + 1).await, 2, "what lies farther back is not kept");
    }
}
