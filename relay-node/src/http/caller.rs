//! Who asks, and by which name: proxies in between, and whether the relay is who the request thinks it is.

use super::{App, Client};
use crate::config::{Config, ForwardedHeader};
use crate::owner::Owner;
use forwarded_header_value::{ForwardedHeaderValue, Identifier};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Uri, Version};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

/// Headers that only a proxy has a reason to add, besides those that are told by a part of their name.
const OF_PROXIES: [&str; 13] = [
    "via",
    "cdn-loop",
    "cf-ray",
    "cf-visitor",
    "true-client-ip",
    "x-amzn-trace-id",
    "x-azure-clientip",
    "x-client-ip",
    "x-envoy-external-address",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-varnish",
];
/// What of the client's a proxy tells: its address, its name for the server, its port and so on.
const FORWARDED: &str = "forwarded";
/// How names end that tell an address of the client's, and how those begin that proxies of one make add.
const ADDRESSES: [&str; 4] = ["-ip", "-clientip", "-remote-addr", "-client-address"];
const MAKES: [&str; 10] = [
    "cf-connecting",
    "fastly-",
    "fly-",
    "x-amz-cf-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-cloud-trace-",
    "x-envoy-",
    "x-nf-",
];

/// Whether somebody passed it on.
fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.keys().map(HeaderName::as_str).any(|name| {
        name.contains(FORWARDED)
            || OF_PROXIES.contains(&name)
            || ADDRESSES.iter().any(|end| name.ends_with(end))
            || MAKES.iter().any(|make| name.starts_with(make))
    })
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address, as far as it can be told: else its proxy's.
    pub ip: IpAddr,
    /// Whether somebody passed the request on. An operator at the machine comes directly.
    pub is_proxied: bool,
}

impl Caller {
    /// The network that pays for the request.
    pub fn owner(&self) -> Owner {
        Owner::of(self.ip)
    }

    /// Whether it comes from this machine, and from nobody else through it.
    pub fn is_here(&self) -> bool {
        self.ip.to_canonical().is_loopback() && !self.is_proxied
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerError {
    /// A trusted proxy's word about its client cannot be read.
    Forwarded,
    /// No host, more than one, or one that no URL can have.
    Host,
    /// A host that this relay is not.
    ForeignHost,
}

/// The client behind a connection from `from`.
pub(super) fn caller(config: &Config, from: IpAddr, headers: &HeaderMap) -> Result<Caller, CallerError> {
    let is_proxied = is_passed_on(headers);
    let is_trusted = |ip: IpAddr| config.trusted_proxies.iter().any(|network| network.holds(ip));
    if !is_trusted(from) {
        warn_once(config, is_proxied, from);
        return Ok(Caller { ip: from, is_proxied });
    }
    let hops = match config.forwarded_header {
        ForwardedHeader::XForwardedFor => x_forwarded_for(headers)?,
        ForwardedHeader::Forwarded => forwarded(headers)?,
    };
    // Each proxy adds who asked it, so the nearest is last: the client is the first that no proxy of ours can be.
    let mut ip = from;
    for hop in hops.iter().rev() {
        ip = hop.map_err(|()| CallerError::Forwarded)?;
        if !is_trusted(ip) {
            break;
        }
    }
    // A trusted proxy that says nothing passed a request on all the same.
    Ok(Caller { ip, is_proxied: true })
}

type Hop = Result<IpAddr, ()>;

fn x_forwarded_for(headers: &HeaderMap) -> Result<Vec<Hop>, CallerError> {
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        let text = value.to_str().map_err(|_| CallerError::Forwarded)?;
        hops.extend(text.split(',').map(|hop| hop.trim().parse().map_err(|_| ())));
    }
    Ok(hops)
}

fn forwarded(headers: &HeaderMap) -> Result<Vec<Hop>, CallerError> {
    let mut hops = Vec::new();
    for value in headers.get_all("forwarded") {
        let text = value.to_str().map_err(|_| CallerError::Forwarded)?;
        let read = ForwardedHeaderValue::from_forwarded(text).map_err(|_| CallerError::Forwarded)?;
        hops.extend(read.iter().map(|hop| match hop.forwarded_for {
            Some(Identifier::IpAddr(ip)) => Ok(ip),
            Some(Identifier::SocketAddr(address)) => Ok(address.ip()),
            _ => Err(()),
        }));
    }
    Ok(hops)
}

/// Says once what an operator behind a proxy has to set.
fn warn_once(config: &Config, is_proxied: bool, from: IpAddr) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if is_proxied && !SAID.swap(true, Ordering::Relaxed) {
        let hint = match config.trusted_proxies.is_empty() {
            true => "set trusted_proxies if this is a proxy of yours",
            false => "it is none of trusted_proxies",
        };
        tracing::warn!(%from, "a request has a proxy's headers: {hint}; until then all its clients count as one network");
    }
}

/// A host and, where one is given, its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Authority> {
        let text = text.trim().to_ascii_lowercase();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return None;
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text.as_str(), None),
            },
        };
        let port = port.map(str::parse).transpose().ok()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        (!host.is_empty()).then(|| Authority { host: host.into(), port })
    }

    fn is_port(&self, port: Option<u16>) -> bool {
        port.is_none() || self.port == port || matches!((self.port, port), (None, Some(80 | 443)))
    }

    /// As `host[:port]`, a usual port left out.
    fn shown(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            None | Some(80 | 443) => host,
            Some(port) => format!("{host}:{port}"),
        }
    }
}

/// By which name the relay is asked.
fn asked(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<Authority>, CallerError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let read = |text: &str| Authority::parse(text).ok_or(CallerError::Host);
    let host =
        hosts.next().map(|host| host.to_str().map_err(|_| CallerError::Host).and_then(read)).transpose()?;
    if hosts.next().is_some() {
        return Err(CallerError::Host);
    }
    match (uri.authority(), host) {
        // A target in absolute form counts, and not the header (RFC 9112, section 3.2.2).
        (Some(authority), _) => read(authority.as_str()).map(Some),
        (None, None) if version > Version::HTTP_10 => Err(CallerError::Host),
        (None, host) => Ok(host),
    }
}

/// Whether the relay may be reached at `local` by this name. A page of another name that points to this machine is none of ours.
fn is_own(config: &Config, asked: &Authority, local: SocketAddr) -> bool {
    let local = local.ip().to_canonical();
    if let Ok(ip) = asked.host.parse::<IpAddr>()
        && (ip == local || local.is_loopback() && ip.is_loopback())
    {
        return true;
    }
    if local.is_loopback() && (asked.host == "localhost" || asked.host.ends_with(".localhost")) {
        return true;
    }
    config.names().iter().any(|name| {
        name == "*"
            || Authority::parse(name).is_some_and(|own| own.host == asked.host && asked.is_port(own.port))
    })
}

/// Whether the request is for this relay. Gives every authority that a peer may have connected to it by.
pub(super) fn authorities(
    config: &Config,
    local: SocketAddr,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Result<Vec<String>, CallerError> {
    let mut own: Vec<String> =
        config.names().iter().filter_map(|name| Some(Authority::parse(name)?.shown())).collect();
    if let Some(asked) = asked(uri, version, headers)? {
        if !is_own(config, &asked, local) {
            return Err(CallerError::ForeignHost);
        }
        // A proof is for this port: at another one of this machine's there may be another relay.
        let is_here = asked.port.unwrap_or(80) == local.port() || config.hosts.iter().any(|host| host == "*");
        if is_here || !local.ip().to_canonical().is_loopback() {
            own.push(asked.shown());
        }
    }
    own.push(Authority { host: local.ip().to_canonical().to_string(), port: Some(local.port()) }.shown());
    own.sort();
    own.dedup();
    Ok(own)
}

/// Who a request is from and whether it is for this relay, put beside it by the listener.
pub(super) fn check<B>(
    app: &App,
    client: &Client,
    request: &hyper::Request<B>,
) -> Result<Caller, CallerError> {
    // Whatever asks for health may call this machine what it likes.
    if !matches!(request.uri().path(), "/livez" | "/readyz") {
        authorities(&app.config, client.local, request.uri(), request.version(), request.headers())?;
    }
    caller(&app.config, client.ip, request.headers())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, load};

    fn config(flags: &[(&str, &str)]) -> Config {
        let flag = |(name, value): &(&str, &str)| Flag { name: (*name).into(), value: (*value).into() };
        load(None, [], &flags.iter().map(flag).collect::<Vec<_>>()).expect("settings").config
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().expect("a header"));
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nobodys_word_is_taken_without_the_setting() {
        let config = config(&[]);
        let of = |pairs: &[_]| caller(&config, ip("127.0.0.1"), &headers(pairs));
        assert_eq!(of(&[]), Ok(Caller { ip: ip("127.0.0.1"), is_proxied: false }));
        assert!(of(&[]).unwrap().is_here());
        let forwarded = [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded",
            "x-original-forwarded-for",
            "x-http-forwarded-for",
            "x-vercel-forwarded-for",
            "x-cluster-client-ip",
            "x-appengine-user-ip",
            "x-originating-ip",
            "x-remote-ip",
            "x-remote-addr",
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "fastly-client-ip",
            "fastly-ff",
            "fly-client-ip",
            "do-connecting-ip",
            "wl-proxy-client-ip",
            "x-amz-cf-id",
            "x-arr-log-id",
            "x-envoy-expected-rq-timeout-ms",
            "x-nf-client-connection-ip",
        ];
        for name in OF_PROXIES.into_iter().chain(forwarded) {
            let told = of(&[(name, "203.0.113.9")]).unwrap();
            assert!(told.is_proxied && !told.is_here() && told.ip == ip("127.0.0.1"), "{name}");
        }
        // What browsers and people's tools send says nothing of the kind.
        for name in [
            "user-agent",
            "accept",
            "origin",
            "referer",
            "x-requested-with",
            "sec-fetch-site",
            "priority",
            "dnt",
        ] {
            assert!(of(&[(name, "x")]).unwrap().is_here(), "{name}");
        }
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy_of_ours() {
        let config = config(&[("trusted_proxies", "127.0.0.1"), ("trusted_proxies", "10.0.0.0/8")]);
        let of = |text: &str| {
            caller(&config, ip("127.0.0.1"), &headers(&[("x-forwarded-for", text)])).map(|c| c.ip)
        };
        assert_eq!(of("203.0.113.9"), Ok(ip("203.0.113.9")));
        assert_eq!(
            of("127.0.0.1, 203.0.113.9"),
            Ok(ip("203.0.113.9")),
            "what the client forged is further left"
        );
        assert_eq!(of("garbage, 203.0.113.9, 10.1.1.1"), Ok(ip("203.0.113.9")));
        assert_eq!(of("2001:db8::7"), Ok(ip("2001:db8::7")));
        for odd in [
            "",
            "203.0.113.9:4711",
            "unknown",
            "203.0.113.9,",
            "[2001:db8::7]",
            "203.0.113.9 10.0.0.1",
            "0x7f.1",
        ] {
            assert_eq!(of(odd), Err(CallerError::Forwarded), "{odd:?}");
        }
        let two = headers(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.4")]);
        assert_eq!(
            caller(&config, ip("127.0.0.1"), &two).unwrap().ip,
            ip("198.51.100.4"),
            "lines are one list"
        );
        let none = caller(&config, ip("127.0.0.1"), &headers(&[])).unwrap();
        assert!(none.is_proxied && !none.is_here(), "a proxy that says nothing is no operator");
        let all = caller(&config, ip("127.0.0.1"), &headers(&[("x-forwarded-for", "127.0.0.1")])).unwrap();
        assert!(!all.is_here(), "nor is one that says so");
        let other = caller(&config, ip("192.0.2.1"), &headers(&[("x-forwarded-for", "127.0.0.1")])).unwrap();
        assert_eq!((other.ip, other.is_here()), (ip("192.0.2.1"), false), "a stranger's word is no proxy's");
        let wrong = headers(&[("forwarded", "for=198.51.100.4"), ("x-forwarded-for", "203.0.113.9")]);
        assert_eq!(
            caller(&config, ip("127.0.0.1"), &wrong).unwrap().ip,
            ip("203.0.113.9"),
            "the other header is the client's"
        );
    }

    #[test]
    fn the_standard_header_is_read_when_it_is_the_one() {
        let config = config(&[("trusted_proxies", "127.0.0.1"), ("forwarded_header", "forwarded")]);
        let of =
            |text: &str| caller(&config, ip("127.0.0.1"), &headers(&[("forwarded", text)])).map(|c| c.ip);
        assert_eq!(of("for=203.0.113.9;proto=https"), Ok(ip("203.0.113.9")));
        assert_eq!(of("for=127.0.0.1, for=\"[2001:db8::7]:4711\""), Ok(ip("2001:db8::7")));
        for odd in ["for=unknown", "for=_hidden", "proto=https", "for=", "203.0.113.9"] {
            assert_eq!(of(odd), Err(CallerError::Forwarded), "{odd:?}");
        }
    }

    fn own(config: &Config, local: &str, host: &str) -> Result<Vec<String>, CallerError> {
        let local = local.parse().expect("an address");
        authorities(config, local, &Uri::from_static("/"), Version::HTTP_11, &headers(&[("host", host)]))
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
        let config = config(&[("public_url", "https://relay.example"), ("hosts", "other.example:8443")]);
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "127.0.0.9",
            "[::1]:80",
            "relay.example",
            "RELAY.example:443",
            "relay.example.",
            "other.example:8443",
            "a.localhost",
        ] {
            assert!(own(&config, "127.0.0.1:8080", host).is_ok(), "{host}");
        }
        for host in [
            "rebound.example",
            "relay.example.evil.example",
            "203.0.113.5",
            "other.example:1",
            "localhost.evil.example",
        ] {
            assert_eq!(own(&config, "127.0.0.1:8080", host), Err(CallerError::ForeignHost), "{host}");
        }
        for host in ["", "a b", "a@b", "a/b", "[::1", "x:99999", ":80"] {
            assert_eq!(own(&config, "127.0.0.1:8080", host), Err(CallerError::Host), "{host:?}");
        }
        assert_eq!(own(&config, "192.0.2.7:8080", "localhost:8080"), Err(CallerError::ForeignHost));
        assert!(own(&config, "192.0.2.7:8080", "192.0.2.7:8080").is_ok());
        assert!(own(&config, "[::ffff:192.0.2.7]:8080", "192.0.2.7:8080").is_ok());
    }

    #[test]
    fn what_a_peer_may_have_signed_is_what_it_may_have_connected_to() {
        let config = config(&[("public_url", "https://Relay.example"), ("hosts", "other.example:8443")]);
        let named = own(&config, "127.0.0.1:8080", "localhost:8080").unwrap();
        assert_eq!(named, ["127.0.0.1:8080", "localhost:8080", "other.example:8443", "relay.example"]);
        // At another port of this machine's there may be another relay, which passes the proof on.
        let elsewhere = own(&config, "127.0.0.1:8080", "localhost:9000").unwrap();
        assert_eq!(elsewhere, ["127.0.0.1:8080", "other.example:8443", "relay.example"]);
    }

    #[test]
    fn the_target_counts_before_the_header_and_two_hosts_are_none() {
        let config = config(&[]);
        let local = "127.0.0.1:8080".parse().unwrap();
        let absolute = Uri::from_static("http://rebound.example/");
        let host = headers(&[("host", "127.0.0.1:8080")]);
        let of = |uri: &Uri, headers: &HeaderMap| {
            authorities(&config, local, uri, Version::HTTP_11, headers).map(|_| ())
        };
        assert_eq!(of(&absolute, &host), Err(CallerError::ForeignHost));
        let two = headers(&[("host", "127.0.0.1:8080"), ("host", "127.0.0.1:8080")]);
        assert_eq!(of(&Uri::from_static("/"), &two), Err(CallerError::Host));
        assert_eq!(of(&Uri::from_static("/"), &headers(&[])), Err(CallerError::Host));
    }
}
