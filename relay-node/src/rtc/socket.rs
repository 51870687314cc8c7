//! A UDP socket that sends and receives in batches.
//!
//! One system call a datagram is what a busy relay spends most of its time on, so equal-sized datagrams to one
//! destination leave together (segmentation offload) and arrivals are taken several at a time, where the system
//! can do so; `quinn-udp` knows where.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams that wait while the system's buffer is full; further ones are dropped, as a network would.
const WAITING_MAX: usize = 4096;
/// Datagrams handed on before the other sockets and the commands get their turn.
const DATAGRAMS_A_TURN: usize = 16;
/// System calls for arrivals before those there are get their turn: a flood of what nobody wants must not keep the loop here.
const BATCHES_A_TURN: usize = 32;
/// What one receive buffer holds: a coalesced run of datagrams cannot be longer.
const RUN_BYTES_MAX: usize = 65_536;
/// Receive buffers offered to one system call.
const RUNS_MAX: usize = if BATCH_SIZE < 8 { BATCH_SIZE } else { 8 };

/// Binds a port of one family: what peers are told is of the same, and a socket of IPv4 may have the port, too.
pub fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Equal-sized datagrams to one destination, end to end; the last may be shorter and ends the run.
struct Run {
    destination: SocketAddr,
    segment_bytes: usize,
    ended: bool,
    bytes: Vec<u8>,
}

pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    /// The address that remote ends know this socket by, and that str0m calls it.
    pub address: SocketAddr,
    waiting: VecDeque<Run>,
    /// Buffers of runs that are gone, for the next ones.
    spare: Vec<Vec<u8>>,
    /// Where the system puts a batch.
    batch: Vec<u8>,
    /// Arrivals taken off the system's hands. Its own buffer is small (208 KiB by default on Linux) and a
    /// browser sends faster than datagrams are decrypted.
    arrived: VecDeque<(SocketAddr, Box<[u8]>)>,
    arrived_bytes: usize,
    arrived_bytes_max: usize,
    blocked: bool,
}

impl Socket {
    /// Takes over a bound, non-blocking socket. Must run inside the driver's tokio runtime.
    pub fn new(
        socket: std::net::UdpSocket,
        advertised: Option<SocketAddr>,
        buffer_bytes: usize,
    ) -> io::Result<Socket> {
        let bound = socket.local_addr()?;
        let io = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        // The system caps these where it wants to; less only costs speed.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&io), buffer_bytes);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&io), buffer_bytes);
        let mut address = advertised.unwrap_or(bound);
        if address.port() == 0 {
            address.set_port(bound.port());
        }
        Ok(Socket {
            io,
            state,
            address,
            waiting: VecDeque::new(),
            spare: Vec::new(),
            batch: vec![0; RUN_BYTES_MAX * RUNS_MAX],
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            arrived_bytes_max: buffer_bytes,
            blocked: false,
        })
    }

    /// Takes a datagram for sending; it leaves with [`Socket::flush`].
    pub fn queue(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let segments_max = self.state.max_gso_segments();
        if let Some(run) = self.waiting.back_mut() {
            let joins = !run.ended
                && run.destination == destination
                && datagram.len() <= run.segment_bytes
                && run.bytes.len() + datagram.len() <= RUN_BYTES_MAX - 64
                && run.bytes.len() < run.segment_bytes * segments_max;
            if joins {
                run.ended = datagram.len() < run.segment_bytes;
                run.bytes.extend_from_slice(datagram);
                return;
            }
        }
        if self.waiting.len() >= WAITING_MAX {
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(datagram);
        self.waiting.push_back(Run { destination, segment_bytes: datagram.len(), ended: false, bytes });
    }

    /// Sends what waits, until the system's buffer is full.
    pub fn flush(&mut self) {
        self.blocked = false;
        while let Some(run) = self.waiting.front() {
            let transmit = quinn_udp::Transmit {
                destination: run.destination,
                ecn: None,
                contents: &run.bytes,
                segment_size: (run.bytes.len() > run.segment_bytes).then_some(run.segment_bytes),
                src_ip: None,
            };
            let sent = self
                .io
                .try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.io), &transmit));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return;
                }
                // Anything else concerns this destination only (unreachable, refused): the datagrams are lost,
                // as they might be on any path.
                Ok(()) | Err(_) => {
                    let mut run = self.waiting.pop_front().expect("the run just looked at");
                    if self.spare.len() < 64 {
                        run.bytes.clear();
                        self.spare.push(run.bytes);
                    }
                }
            }
        }
    }

    /// Takes in what has arrived of what is `wanted`, so that what is not takes no room.
    pub fn take_in(&mut self, wanted: impl Fn(SocketAddr, &[u8]) -> bool) {
        let mut batches = BATCHES_A_TURN;
        while batches > 0 && self.arrived_bytes < self.arrived_bytes_max && self.take_batch(&wanted) {
            batches -= 1;
        }
    }

    /// Hands on some of the datagrams that were taken in.
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) {
        for _ in 0..DATAGRAMS_A_TURN {
            let Some((source, datagram)) = self.arrived.pop_front() else {
                return;
            };
            self.arrived_bytes -= datagram.len();
            each(source, &datagram);
        }
    }

    /// Takes what one system call gives. False when that is nothing.
    fn take_batch(&mut self, wanted: impl Fn(SocketAddr, &[u8]) -> bool) -> bool {
        let mut metas = [RecvMeta::default(); RUNS_MAX];
        let mut buffers = self.batch.chunks_exact_mut(RUN_BYTES_MAX);
        let mut slices: [IoSliceMut<'_>; RUNS_MAX] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().expect("a buffer for each run")));
        let received = self.io.try_io(Interest::READABLE, || {
            self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas)
        });
        // An error other than emptiness reports an earlier datagram that could not be delivered: the socket goes
        // on, but later, should the error stay.
        let Ok(runs) = received else {
            return false;
        };
        for (slice, meta) in slices.iter().zip(&metas).take(runs) {
            for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                if !wanted(meta.addr, datagram) {
                    continue;
                }
                self.arrived_bytes += datagram.len();
                self.arrived.push_back((meta.addr, datagram.into()));
            }
        }
        true
    }

    /// Ready when something can be received or, with datagrams waiting, sent.
    pub fn poll_ready(&self, context: &mut Context<'_>, receiving: bool) -> Poll<()> {
        if receiving && (!self.arrived.is_empty() || self.io.poll_recv_ready(context).is_ready()) {
            return Poll::Ready(());
        }
        if self.blocked && self.io.poll_send_ready(context).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::bind;

    #[test]
    fn one_port_is_bound_for_both_families() {
        let Ok(six) = bind("[::]:0".parse().expect("an address")) else {
            return; // A machine without IPv6.
        };
        let port = six.local_addr().expect("it is bound").port();
        let four = bind(([0, 0, 0, 0], port).into());
        assert!(four.is_ok(), "{four:?}");
    }
}
