//! A part of a stored content as an answer's body: read in chunks, as fast as the client takes them.

use super::App;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use peeredge_node::Area;
use peeredge_wire::ContentId;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Bytes read at a time; two of these wait for a client at most.
const CHUNK_BYTES: u64 = 128 << 10;

struct Stored {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl http_body::Body for Stored {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.chunks.poll_recv(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            // Ending early without an error would look like a whole answer to a careless client.
            Poll::Ready(None) if self.left > 0 => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The bytes `range` of an area that is known to hold them.
pub(super) fn stored(
    app: &Arc<App>,
    content: ContentId,
    area: Area,
    range: Range<u64>,
    route: &'static str,
) -> Body {
    let (chunks, chunks_out) = mpsc::channel(1);
    let left = range.end - range.start;
    let app = app.clone();
    tokio::spawn(async move {
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(CHUNK_BYTES);
            let store = app.store.clone();
            let read = tokio::task::spawn_blocking(move || store.read(content, area, at, len as usize)).await;
            let read = read.unwrap_or_else(|_| Err(io::Error::other("the read panicked")));
            let is_err = read.is_err();
            if let Err(error) = &read {
                tracing::warn!(%content, ?area, at, len, %error, "a content could not be read");
            }
            // Fails when the connection is gone, which the listener sees to when the client takes nothing.
            let taken = chunks.send(read.map(Bytes::from)).await.is_ok();
            if !taken || is_err {
                return;
            }
            app.metrics.http_bytes.add(route, len);
            at += len;
        }
    });
    Body::new(Stored { chunks: chunks_out, left })
}
