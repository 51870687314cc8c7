//! A part of a published content as an answer's body: read and verified in chunks, as fast as the client takes them.

use super::App;
use crate::store::ReadError;
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

async fn read(app: &Arc<App>, content: ContentId, area: Area, range: Range<u64>) -> Result<Bytes, ReadError> {
    let store = app.store.clone();
    let read = tokio::task::spawn_blocking(move || store.read_verified(content, area, range)).await;
    read.unwrap_or_else(|_| Err(ReadError::Io(io::Error::other("the read panicked")))).map(Bytes::from)
}

/// The first bytes of `range`: known before the answer's head is sent, so that it can say that they are not to be had.
pub(super) async fn first(
    app: &Arc<App>,
    content: ContentId,
    area: Area,
    range: &Range<u64>,
) -> Result<Bytes, ReadError> {
    if area == Area::Data && app.store.damage(content).is_some() {
        let (store, range) = (app.store.clone(), range.clone());
        let looked = tokio::task::spawn_blocking(move || store.look_again(content, &range)).await;
        looked.unwrap_or_else(|_| Err(ReadError::Io(io::Error::other("the read panicked"))))?;
    }
    read(app, content, area, range.start..range.end.min(range.start + CHUNK_BYTES)).await
}

/// The bytes `range` of an area, of which the first have been read. Where others turn out to be wrong the connection ends.
pub(super) fn stored(
    app: &Arc<App>,
    content: ContentId,
    area: Area,
    range: Range<u64>,
    first: Bytes,
    route: &'static str,
) -> Body {
    let left = range.end - range.start;
    app.metrics.http_bytes.add(route, first.len() as u64);
    let mut at = range.start + first.len() as u64;
    if at == range.end {
        return Body::from(first);
    }
    let (chunks, chunks_out) = mpsc::channel(1);
    let app = app.clone();
    tokio::spawn(async move {
        if chunks.send(Ok(first)).await.is_err() {
            return;
        }
        while at < range.end {
            let end = range.end.min(at + CHUNK_BYTES);
            let bytes = read(&app, content, area, at..end).await;
            if let Err(error) = &bytes {
                tracing::warn!(%content, ?area, at, %error, "an answer ends early");
            }
            let is_err = bytes.is_err();
            // Fails when the connection is gone, which the listener sees to when the client takes nothing.
            let taken = chunks.send(bytes.map_err(|error| io::Error::other(error.to_string()))).await.is_ok();
            if !taken || is_err {
                return;
            }
            app.metrics.http_bytes.add(route, end - at);
            at = end;
        }
    });
    Body::new(Stored { chunks: chunks_out, left })
}
