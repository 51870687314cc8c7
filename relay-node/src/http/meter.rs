//! Counts what a WebSocket's other end sends besides messages: pings, pongs, empty and tiny fragments. The library below handles
//! these by itself and tells of none, so a stranger could send them as fast as the machine reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames that carry no message, or a piece of one that is too small to be worth a frame, at once. Browsers send an answer to each
/// ping and cut only long messages.
const NOISE_BURST: u32 = 64;
/// And one more for each of these.
const NOISE_EVERY: Duration = Duration::from_millis(200);
/// A fragment of at least so many bytes is no noise.
const FRAGMENT_BYTES: u64 = 512;

/// Wraps the stream below a WebSocket; reading fails once there was too much noise.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    frames: Frames,
    bucket: Bucket,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S) -> Metered<S> {
        Metered { stream, frames: Frames::default(), bucket: Bucket { due: Instant::now() } }
    }
}

/// Whether an error is this meter's.
pub(super) fn is_noise(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Noise>())
}

#[derive(Debug)]
struct Noise;

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "too many frames without a message")
    }
}

impl std::error::Error for Noise {}

#[derive(Debug)]
struct Bucket {
    due: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        self.due = self.due.max(now) + NOISE_EVERY;
        self.due.saturating_duration_since(now) <= NOISE_EVERY * NOISE_BURST
    }
}

/// Follows the frames of a client (RFC 6455, section 5.2): only as far as is needed to know where the next one begins.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    payload_left: u64,
}

impl Frames {
    /// Takes bytes as they come; gives how many of the frames that begin in them are noise.
    fn take(&mut self, mut bytes: &[u8]) -> u32 {
        let mut noise = 0;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(length) = self.length() {
                noise += u32::from(self.is_noise(length));
                self.payload_left = length;
                self.header.clear();
            }
        }
        noise
    }

    /// The payload's length, once the header is whole.
    fn length(&self) -> Option<u64> {
        let (second, rest) = (*self.header.get(1)?, &self.header[2..]);
        let mask = if second & 0x80 != 0 { 4 } else { 0 };
        let (extended, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        if rest.len() < extended + mask {
            return None;
        }
        Some(rest[..extended].iter().fold(short, |length, byte| length << 8 | u64::from(*byte)))
    }

    fn is_noise(&self, length: u64) -> bool {
        let (is_last, kind) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        if kind >= 8 {
            return true;
        }
        let is_fragment = !is_last || kind == 0;
        length == 0 || is_fragment && length < FRAGMENT_BYTES
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let noise = self.frames.take(&buf.filled()[before..]);
        let now = Instant::now();
        if (0..noise).any(|_| !self.bucket.take(now)) {
            return Poll::Ready(Err(io::Error::other(Noise)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..0x1_0000 => frame.extend([0xfe, (length >> 8) as u8, length as u8]),
            _ => {
                frame.push(0xff);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![0x89; length]);
        frame
    }

    #[test]
    fn messages_are_no_noise_and_everything_else_is_in_whatever_pieces_it_comes() {
        for (first, length, expected) in [
            (0x82, 5, 0),
            (0x82, 300, 0),
            (0x82, 70_000, 0),
            (0x82, 0, 1),
            (0x89, 0, 1),
            (0x8a, 100, 1),
            (0x88, 2, 1),
            (0x02, 10, 1),
            (0x00, 0, 1),
            (0x80, 100, 1),
            (0x02, 4000, 0),
            (0x80, 4000, 0),
        ] {
            let bytes = [frame(first, length), frame(first, length)].concat();
            for piece in [1, 3, 7, bytes.len()] {
                let mut frames = Frames::default();
                let noise: u32 = bytes.chunks(piece).map(|piece| frames.take(piece)).sum();
                assert_eq!(noise, 2 * expected, "{first:x} {length} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_pong_now_and_then_is_free() {
        let now = Instant::now();
        let mut bucket = Bucket { due: now };
        let burst = (0..1000).take_while(|_| bucket.take(now)).count();
        assert_eq!(burst, NOISE_BURST as usize);
        let mut bucket = Bucket { due: now };
        assert!((1..1000).all(|n| bucket.take(now + NOISE_EVERY * n)));
    }
}
