//! Answers to those who ask under which address they are seen (RFC 8489, binding), so that pages need no third party for that.
//!
//! It has a UDP port of its own: Chromium takes whatever comes from a STUN server's address for an answer of that, so the relay's
//! own peer could not be reached there.
//!
//! One answer a request, to where the request came from, of at most 44 bytes: 1.6 times (IPv4) or 2.2 times (IPv6) the smallest
//! request's payload, and 1.25 times its packet. So whoever forges a sender's address gains next to nothing, and each network
//! and all together are limited.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
/// Attributes up to this number have to be understood (RFC 8489, section 14).
const COMPREHENSION_REQUIRED_MAX: u16 = 0x7fff;
/// Networks whose answers are counted at a time. When there are more, counting starts anew: the limit for all still holds.
const NETWORKS_MAX: usize = 16_384;
const WINDOW: Duration = Duration::from_secs(1);

/// How many answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StunLimits {
    /// Answers a second to all together. Default: 2,000.
    pub answers_per_s_max: u32,
    /// Answers a second to one network: an IPv4 address, or 56 bits of IPv6. Default: 50, for a household's tabs at once.
    pub answers_per_network_s_max: u32,
}

impl Default for StunLimits {
    fn default() -> Self {
        StunLimits { answers_per_s_max: 2000, answers_per_network_s_max: 50 }
    }
}

/// The answering side, and its count of the current second.
#[derive(Debug)]
pub struct StunServer {
    limits: StunLimits,
    window: Instant,
    answered: u32,
    by_network: BTreeMap<u64, u32>,
}

impl StunServer {
    /// Has answered nobody yet.
    pub fn new(limits: StunLimits, now: Instant) -> StunServer {
        StunServer { limits, window: now, answered: 0, by_network: BTreeMap::new() }
    }

    /// The answer to a datagram, when it is a request that deserves one.
    pub fn answer(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let transaction = transaction_of_request(datagram)?;
        if now.duration_since(self.window) >= WINDOW || self.by_network.len() >= NETWORKS_MAX {
            if now.duration_since(self.window) >= WINDOW {
                (self.window, self.answered) = (now, 0);
            }
            self.by_network.clear();
        }
        let here = self.by_network.entry(network_of(source.ip())).or_default();
        if self.answered >= self.limits.answers_per_s_max || *here >= self.limits.answers_per_network_s_max {
            return None;
        }
        *here += 1;
        self.answered += 1;
        Some(success(transaction, source))
    }
}

/// The longest datagram that is looked at: a request with some software's name in it.
const REQUEST_BYTES_MAX: usize = 548;

/// Binds the answering socket: the wanted port, or any free one when `or_any`.
pub fn bind(wanted: SocketAddr, or_any: bool) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(wanted).or_else(|error| match or_any {
        true => std::net::UdpSocket::bind((wanted.ip(), 0)),
        false => Err(error),
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Answers until the task is dropped.
pub async fn answer_all(socket: std::net::UdpSocket, limits: StunLimits) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut server = StunServer::new(limits, Instant::now());
    let mut buffer = [0; REQUEST_BYTES_MAX + 1];
    loop {
        // An error reports an earlier answer that could not be delivered.
        let Ok((len, source)) = socket.recv_from(&mut buffer).await else { continue };
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

/// What shares one limit.
fn network_of(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        // No IPv4 address has a bit up there.
        IpAddr::V6(ip) => 1 << 63 | (u128::from(ip) >> 72) as u64,
    }
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

    #[test]
    fn a_network_and_all_together_are_limited_by_the_second() {
        let start = Instant::now();
        let limits = StunLimits { answers_per_s_max: 7, answers_per_network_s_max: 3 };
        let mut server = StunServer::new(limits, start);
        let mut answers = |seconds, source: &str| {
            let now = start + Duration::from_secs(seconds);
            (0..10).filter(|_| server.answer(now, address(source), &request(&[])).is_some()).count()
        };
        assert_eq!(answers(0, "192.0.2.1:9"), 3);
        assert_eq!(answers(0, "192.0.2.1:10"), 0);
        assert_eq!(answers(0, "[2001:db8::1]:9"), 3);
        assert_eq!(answers(0, "[2001:db8:0:ff::1]:9"), 0, "the same 56 bits");
        assert_eq!(answers(0, "192.0.2.2:9"), 1, "all together");
        assert_eq!(answers(1, "192.0.2.1:9"), 3);
    }
}
