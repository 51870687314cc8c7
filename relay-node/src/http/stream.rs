//! A file as an answer's body: each piece is read when the connection has taken the one before.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// What one connection holds of a file at a time.
const PIECE_BYTES: u64 = 64 << 10;

pub(super) struct Streamed {
    file: Option<File>,
    reading: Option<JoinHandle<io::Result<(File, Bytes)>>>,
    left: u64,
}

/// The first `length` bytes of the file.
pub(super) fn streamed(file: File, length: u64) -> Streamed {
    Streamed { file: Some(file), reading: None, left: length }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let len = self.left.min(PIECE_BYTES);
        if self.reading.is_none() {
            let Some(file) = self.file.take() else { return Poll::Ready(None) };
            self.reading = Some(tokio::task::spawn_blocking(move || piece(file, len)));
        }
        let reading = self.reading.as_mut().expect("it was just begun");
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        // A file that became shorter ends the connection: the length was promised.
        let read = read.unwrap_or_else(|_| Err(io::Error::other("the read panicked")));
        Poll::Ready(Some(read.map(|(file, bytes)| {
            self.left -= bytes.len() as u64;
            self.file = Some(file);
            Frame::data(bytes)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn piece(mut file: File, len: u64) -> io::Result<(File, Bytes)> {
    let mut bytes = vec![0; len as usize];
    file.read_exact(&mut bytes)?;
    Ok((file, bytes.into()))
}
