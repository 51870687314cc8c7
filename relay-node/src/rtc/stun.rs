//! Answers to those who ask under which address they are seen (RFC 8489, binding), so that pages need no third party for that.
//!
//! It has a UDP port of its own: Chromium takes whatever comes from a STUN server's address for an answer of that, so the relay's
//! own peer could not be reached there.
//!
//! One answer a request, to where the request came from, of at most 44 bytes: 1.6 times (IPv4) or 2.2 times (IPv6) the smallest
//! request's payload, and 1.25 times its packet. So whoever forges a sender's address gains next to nothing, and each network
//! and all together are limited.

use crate::owner::Owner;
use crate::pulse::{BEAT_EVERY, Pulse};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
/// Attributes up to this number have to be understood (RFC 8489, section 14).
const COMPREHENSION_REQUIRED_MAX: u16 = 0x7fff;
/// Networks that are told apart at a time. When there are more, those that asked longest ago are forgotten.
const NETWORKS_MAX: usize = 16_384;
/// How many of the answers for all are kept for networks that asked little of late.
const KEPT_SHARE: u32 = 2;
/// What a network may ask and still count as one that asks little.
const LITTLE: u32 = 4;
/// How often the answering side looks whether it was asked, at most: what comes in between waits in the system's buffer, and what
/// that does not hold is lost there, which costs least.
const TICK: Duration = Duration::from_millis(5);

/// How many answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StunLimits {
    /// Answers a second to all together. Who forges senders can have a network for each request, so this bounds processor time only:
    /// an answer costs a few microseconds. Default: 20,000.
    pub answers_per_s_max: u32,
    /// Answers a second to one network (IPv4 /24, IPv6 /48), after as many at once. Default: 100, for an office's tabs at once.
    pub answers_per_network_s_max: u32,
}

impl Default for StunLimits {
    fn default() -> Self {
        StunLimits { answers_per_s_max: 20_000, answers_per_network_s_max: 100 }
    }
}

/// So many at once, and so many a second from then on.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant, max: u32) -> Bucket {
        Bucket { left: f64::from(max), at: now }
    }

    /// `max` is both a second's worth and what fits in.
    fn refill(&mut self, now: Instant, max: u32) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * f64::from(max)).min(f64::from(max));
        self.at = now;
    }

    fn take(&mut self) -> bool {
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

/// The answering side, and what it has answered lately.
#[derive(Debug)]
pub struct StunServer {
    limits: StunLimits,
    all: Bucket,
    /// Networks in two halves: one that was heard of lately, and one that is forgotten when the other is full.
    young: BTreeMap<Owner, Bucket>,
    old: BTreeMap<Owner, Bucket>,
}

impl StunServer {
    /// Has answered nobody yet.
    pub fn new(limits: StunLimits, now: Instant) -> StunServer {
        let all = Bucket::full(now, limits.answers_per_s_max);
        StunServer { limits, all, young: BTreeMap::new(), old: BTreeMap::new() }
    }

    /// The answer to a datagram, when it is a request that deserves one.
    pub fn answer(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let transaction = transaction_of_request(datagram)?;
        let owner = Owner::of(source.ip());
        let per_network = self.limits.answers_per_network_s_max;
        let mut own = match self.young.get(&owner).or_else(|| self.old.get(&owner)) {
            Some(own) => *own,
            None => Bucket::full(now, per_network),
        };
        own.refill(now, per_network);
        self.all.refill(now, self.limits.answers_per_s_max);
        let asks_little = own.left + f64::from(LITTLE) > f64::from(per_network);
        let kept = if asks_little { 0 } else { self.limits.answers_per_s_max / KEPT_SHARE };
        let is_answered = self.all.left - 1.0 >= f64::from(kept) && own.take() && self.all.take();
        if self.young.len() >= NETWORKS_MAX / 2 && !self.young.contains_key(&owner) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(owner, own);
        is_answered.then(|| success(transaction, source))
    }
}

/// The longest datagram that is looked at: a request with some software's name in it.
const REQUEST_BYTES_MAX: usize = 548;

/// Binds the answering socket: the wanted port, or any free one when `or_any`. All addresses of IPv6 are all addresses.
pub fn bind(wanted: SocketAddr, or_any: bool) -> io::Result<std::net::UdpSocket> {
    let bound = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        io::Result::Ok(std::net::UdpSocket::from(socket))
    };
    let socket = bound(wanted).or_else(|error| match or_any {
        true => bound((wanted.ip(), 0).into()),
        false => Err(error),
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Answers until the task is dropped.
pub async fn answer_all(
    socket: std::net::UdpSocket,
    limits: StunLimits,
    pulse: Arc<Pulse>,
) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut server = StunServer::new(limits, Instant::now());
    let mut buffer = [0; REQUEST_BYTES_MAX + 1];
    // Twice what is answered may be looked at.
    let looks_a_tick = (u64::from(limits.answers_per_s_max) * 2 * TICK.as_millis() as u64 / 1000).max(16);
    let (mut tick, mut looked) = (Instant::now(), 0);
    pulse.beat();
    loop {
        let now = Instant::now();
        if now.duration_since(tick) >= TICK {
            (tick, looked) = (now, 0);
            pulse.beat();
        } else if looked >= looks_a_tick {
            tokio::time::sleep(TICK).await;
            continue;
        }
        looked += 1;
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = tokio::time::sleep(BEAT_EVERY) => continue,
        };
        // An error reports an earlier answer that could not be delivered.
        let Ok((len, source)) = received else { continue };
        if len <= REQUEST_BYTES_MAX
            && let Some(answer) = server.answer(Instant::now(), source, &buffer[..len])
        {
            // What does not fit the system's buffer is lost, as on any path.
            let _ = socket.try_send_to(&answer, source);
        }
    }
}

/// The asking side: under which addresses a server sees the sockets.
#[derive(Debug, Default)]
pub(super) struct StunClient {
    server: Option<SocketAddr>,
    /// Fresh for each client: nobody else knows which answer is awaited.
    transaction: [u8; 12],
    seen: BTreeMap<SocketAddr, SocketAddr>,
}

impl StunClient {
    pub fn set_server(&mut self, server: SocketAddr, transaction: [u8; 12]) {
        *self = StunClient { server: Some(server), transaction, seen: BTreeMap::new() };
    }

    /// What to send, and where to, to learn how `socket` is seen, or that it still is seen so.
    pub fn ask(&self, socket: SocketAddr) -> Option<(SocketAddr, Vec<u8>)> {
        let server = self.server.filter(|server| server.is_ipv4() == socket.is_ipv4())?;
        let mut request = Vec::with_capacity(HEADER_BYTES);
        request.extend(BINDING_REQUEST);
        request.extend([0, 0]);
        request.extend(MAGIC_COOKIE);
        request.extend(self.transaction);
        Some((server, request))
    }

    /// Takes an answer. None when it was none; else the address under which the socket is seen, when that is new.
    pub fn take(
        &mut self,
        socket: SocketAddr,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Option<Option<SocketAddr>> {
        if self.server != Some(source) {
            return None;
        }
        let seen = address_of_success(&self.transaction, datagram)?;
        // The socket's own address tells a remote end nothing.
        if seen == socket {
            self.seen.remove(&socket);
            return Some(None);
        }
        let before = self.seen.insert(socket, seen);
        Some((before != Some(seen)).then_some(seen))
    }

    /// Sockets that are seen under another address than their own, and that address.
    pub fn seen(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.seen.iter().map(|(socket, seen)| (*socket, *seen))
    }
}

/// The address in an answer to this transaction, if it is one.
fn address_of_success(transaction: &[u8; 12], datagram: &[u8]) -> Option<SocketAddr> {
    let (header, mut attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    if header[..2] != BINDING_SUCCESS || header[4..8] != MAGIC_COOKIE || header[8..] != transaction[..] {
        return None;
    }
    while let [kind_high, kind_low, length_high, length_low, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let value = rest.get(..length)?;
        if [*kind_high, *kind_low] == XOR_MAPPED_ADDRESS {
            let mask = &header[4..];
            let open = |bytes: &[u8]| -> Vec<u8> {
                bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
            };
            let port = u16::from_be_bytes(*open(value.get(2..4)?).first_chunk()?);
            let address = open(value.get(4..)?);
            let ip = match address.len() {
                4 => IpAddr::from(*address.first_chunk::<4>()?),
                16 => IpAddr::from(*address.first_chunk::<16>()?),
                _ => return None,
            };
            return Some(SocketAddr::new(ip, port));
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The transaction of a well-formed binding request without anything that asks for more: a connectivity check, which carries a
/// user name, is none.
fn transaction_of_request(datagram: &[u8]) -> Option<&[u8; 12]> {
    let (header, mut attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE || length != attributes.len() {
        return None;
    }
    while !attributes.is_empty() {
        let [kind_high, kind_low, length_high, length_low, rest @ ..] = attributes else { return None };
        if u16::from_be_bytes([*kind_high, *kind_low]) <= COMPREHENSION_REQUIRED_MAX {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    header[8..].first_chunk()
}

fn success(transaction: &[u8; 12], source: SocketAddr) -> Vec<u8> {
    let mask: Vec<u8> = MAGIC_COOKIE.iter().chain(transaction).copied().collect();
    let (family, address) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = source.port().to_be_bytes();
    let mut value = vec![0, family, port[0] ^ mask[0], port[1] ^ mask[1]];
    value.extend(address.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
    let value_bytes = value.len() as u16;
    let mut answer = Vec::with_capacity(HEADER_BYTES + 4 + value.len());
    answer.extend(BINDING_SUCCESS);
    answer.extend((4 + value_bytes).to_be_bytes());
    answer.extend(&mask);
    answer.extend(XOR_MAPPED_ADDRESS);
    answer.extend(value_bytes.to_be_bytes());
    answer.extend(value);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769, section 2.2: the sample's transaction and addresses.
    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut request = vec![0, 1, 0, attributes.len() as u8];
        request.extend(MAGIC_COOKIE);
        request.extend(TRANSACTION);
        request.extend(attributes);
        request
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_mapped_addresses_are_those_of_the_rfcs_samples() {
        let mut server = StunServer::new(StunLimits::default(), Instant::now());
        let mut ask =
            |source| server.answer(Instant::now(), address(source), &request(&[])).expect("an answer");
        let v4 = ask("192.0.2.1:32853");
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[8..20], TRANSACTION);
        assert_eq!(v4[20..], [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        // A dual-stack socket sees IPv4 so.
        assert_eq!(ask("[::ffff:192.0.2.1]:32853"), v4);
        let v6 = ask("[2001:db8:1234:5678:11:2233:4455:6677]:32853");
        let value = [
            0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5,
            0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(v6[24..], value);
        assert!(v6.len() <= 44);
    }

    #[test]
    fn only_plain_requests_are_answered() {
        let mut server = StunServer::new(StunLimits::default(), Instant::now());
        let mut is_answered =
            |datagram: &[u8]| server.answer(Instant::now(), address("192.0.2.1:9"), datagram).is_some();
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let user_name = [0, 6, 0, 4, b'a', b':', b'b', 0];
        assert!(is_answered(&request(&[])) && is_answered(&request(&software)));
        assert!(!is_answered(&request(&user_name)), "a connectivity check is a connection's");
        assert!(!is_answered(&request(&software[..6])), "cut short");
        for cut in 0..HEADER_BYTES {
            assert!(!is_answered(&request(&[])[..cut]));
        }
        for (at, what) in [(1, "an answer"), (3, "a wrong length"), (4, "no cookie")] {
            let mut wrong = request(&[]);
            wrong[at] ^= 0x04;
            assert!(!is_answered(&wrong), "{what}");
        }
        let answer = success(&TRANSACTION, address("192.0.2.1:9"));
        assert!(!is_answered(&answer), "two servers could talk without end");
    }

    #[test]
    fn a_client_learns_its_address_from_its_server_alone() {
        let (socket, server) = (address("10.0.0.2:40000"), address("192.0.2.9:8080"));
        let mut client = StunClient::default();
        assert_eq!(client.ask(socket), None);
        client.set_server(server, TRANSACTION);
        let (to, request) = client.ask(socket).expect("a server is set");
        assert_eq!(to, server);
        let seen = address("198.51.100.7:61000");
        let answer = StunServer::new(StunLimits::default(), Instant::now())
            .answer(Instant::now(), seen, &request)
            .expect("an answer");
        assert_eq!(client.take(socket, address("192.0.2.9:8081"), &answer), None);
        for cut in 0..answer.len() {
            assert_eq!(client.take(socket, server, &answer[..cut]), None);
        }
        assert_eq!(client.take(socket, server, &success(&[7; 12], seen)), None, "of another question");
        assert_eq!(client.seen().count(), 0);
        assert_eq!(client.take(socket, server, &answer), Some(Some(seen)));
        assert_eq!(client.take(socket, server, &answer), Some(None), "nothing new");
        assert_eq!(client.seen().collect::<Vec<_>>(), [(socket, seen)]);
        let own = success(&TRANSACTION, socket);
        assert_eq!(client.take(socket, server, &own), Some(None), "no translator any more");
        assert_eq!(client.seen().count(), 0);
        assert_eq!(client.ask(address("[2001:db8::1]:9")), None, "it has no such address");
    }

    fn answers(server: &mut StunServer, now: Instant, source: &str, asked: u32) -> usize {
        (0..asked).filter(|_| server.answer(now, address(source), &request(&[])).is_some()).count()
    }

    #[test]
    fn a_network_is_limited_by_the_second_and_has_many_addresses() {
        let start = Instant::now();
        let mut server =
            StunServer::new(StunLimits { answers_per_s_max: 1000, answers_per_network_s_max: 6 }, start);
        assert_eq!(answers(&mut server, start, "192.0.2.1:9", 10), 6);
        assert_eq!(answers(&mut server, start, "192.0.2.77:10", 10), 0, "the same /24");
        assert_eq!(answers(&mut server, start, "[2001:db8::1]:9", 10), 6);
        assert_eq!(answers(&mut server, start, "[2001:db8:0:ff::1]:9", 10), 0, "the same /48");
        assert_eq!(answers(&mut server, start + Duration::from_secs(1), "192.0.2.1:9", 10), 6);
    }

    #[test]
    fn a_few_greedy_networks_leave_something_for_all_others() {
        let start = Instant::now();
        let mut server =
            StunServer::new(StunLimits { answers_per_s_max: 100, answers_per_network_s_max: 50 }, start);
        let greedy: usize = (0..10).map(|n| answers(&mut server, start, &format!("10.0.{n}.1:9"), 200)).sum();
        assert!(greedy <= 50 + 10 * LITTLE as usize, "{greedy}");
        assert_eq!(answers(&mut server, start, "192.0.2.1:9", 1), 1);
    }

    #[test]
    fn many_forged_networks_are_forgotten_and_a_greedy_one_is_not_at_once() {
        let start = Instant::now();
        let mut server =
            StunServer::new(StunLimits { answers_per_s_max: 1_000_000, answers_per_network_s_max: 6 }, start);
        assert_eq!(answers(&mut server, start, "192.0.2.1:9", 10), 6);
        for n in 0..NETWORKS_MAX as u32 / 2 {
            answers(&mut server, start, &format!("10.{}.{}.1:9", n >> 8, n & 255), 1);
        }
        assert_eq!(answers(&mut server, start, "192.0.2.1:9", 10), 0);
        assert!(server.young.len() + server.old.len() <= NETWORKS_MAX);
    }
}
