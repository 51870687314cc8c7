//! What a request says about itself, given what is almost right: no panic, no range beyond the body, nobody's word for a client's address.

use super::caller::{authorities, caller};
use super::range::{Wanted, wanted};
use super::{CallerError, headers};
use crate::config::{Config, Flag, load};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri, Version};
use peeredge_attacks::fuzz::{Dice, fuzz};
use std::net::{IpAddr, SocketAddr};

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn one(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
    Some(headers)
}

fn config(flags: &[(&str, &str)]) -> Config {
    let flag = |(name, value): &(&str, &str)| Flag { name: (*name).into(), value: (*value).into() };
    load(None, [], &flags.iter().map(flag).collect::<Vec<_>>()).expect("settings").config
}

#[test]
fn ranges() {
    let valid =
        texts(&["bytes=0-0", "bytes=500-", "bytes=-500", "bytes=0-99999999999999999999999", "bytes=0-1,5-6"]);
    let mut dice = Dice::new(41);
    let mut parts = 0;
    fuzz(42, 60_000, &valid, |range| {
        let length = dice.next() >> dice.below(64);
        let Some(headers) = one("range", range) else { return };
        if let Wanted::Part { start, end } = wanted(&headers, length, "\"tag\"") {
            assert!(start < end && end <= length, "{start}..{end} of {length}");
            parts += 1;
        }
    });
    assert!(parts > 1000, "{parts}");
}

#[test]
fn whose_request_it_is() {
    let from: IpAddr = "127.0.0.1".parse().expect("an address");
    let trusting = [("x-forwarded-for", "x-forwarded-for"), ("forwarded", "forwarded")];
    let valid = texts(&[
        "203.0.113.9",
        "127.0.0.1, 203.0.113.9 , 10.1.1.1",
        "2001:db8::7",
        "for=203.0.113.9;proto=https",
        "for=127.0.0.1, for=\"[2001:db8::7]:4711\"",
        "for=_hidden",
    ]);
    for (setting, name) in trusting {
        let config = config(&[("trusted-proxies", "127.0.0.1"), ("forwarded-header", setting)]);
        let untrusting = self::config(&[]);
        fuzz(43, 40_000, &valid, |value| {
            let Some(headers) = one(name, value) else { return };
            match caller(&config, from, &headers) {
                Ok(caller) => {
                    assert!(caller.is_proxied && !caller.is_here(), "a proxy's client is no operator")
                }
                Err(error) => assert_eq!(error, CallerError::Forwarded),
            }
            let caller = caller(&untrusting, from, &headers).expect("nobody's word is read");
            assert!(caller.ip == from && caller.is_proxied);
        });
    }
}

#[test]
fn by_which_name_it_is_asked() {
    let config = config(&[("public-url", "https://relay.example"), ("hosts", "other.example:8443")]);
    let valid = texts(&[
        "relay.example",
        "Relay.example.:443",
        "[2001:db8::7]:8080",
        "192.0.2.7",
        "other.example:8443",
    ]);
    let locals: [SocketAddr; 3] =
        ["127.0.0.1:8080", "192.0.2.7:80", "[2001:db8::7]:8080"].map(|a| a.parse().expect("an address"));
    let mut own = 0;
    fuzz(44, 40_000, &valid, |host| {
        let local = locals[host.len() % locals.len()];
        let headers = one("host", host);
        let uri = str::from_utf8(host).ok().and_then(|host| format!("http://{host}/c/x").parse::<Uri>().ok());
        for (uri, headers) in [(Some(Uri::from_static("/")), headers), (uri, Some(HeaderMap::new()))] {
            let (Some(uri), Some(headers)) = (uri, headers) else { continue };
            if let Ok(names) = authorities(&config, local, &uri, Version::HTTP_11, &headers) {
                // A stranger's text is among them only if it is the relay's own name.
                let known = [
                    "relay.example",
                    "other.example",
                    "localhost",
                    "127.0.0.1",
                    "192.0.2.7",
                    "[2001:db8::7]",
                ];
                let is_known = |name: &String| {
                    let port = name.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
                    let host = port.map_or(name.as_str(), |(host, _)| host);
                    known.contains(&host)
                        || host.ends_with(".localhost")
                        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
                        || host == "[::1]"
                };
                assert!(names.iter().all(is_known), "{names:?}");
                own += 1;
            }
        }
    });
    assert!(own > 1000, "{own}");
}

#[test]
fn origins_and_tags() {
    let origins = ["https://site.example/".to_owned()];
    let valid =
        texts(&["https://site.example", "http://relay.example:8080", "null", "\"tag\"", "W/\"tag\", *", "*"]);
    let mut allowed = 0;
    fuzz(45, 40_000, &valid, |value| {
        for name in ["origin", "host", "if-none-match"] {
            let Some(mut all) = one(name, value) else { continue };
            headers::site(&all);
            headers::none_match(&all, "\"tag\"");
            headers::is_of_operator(&origins, &all, value.len() % 2 == 0);
            if headers::is_allowed(&origins, &all) && name == "origin" {
                assert_eq!(value, b"https://site.example");
                allowed += 1;
            }
            all.insert("access-control-request-headers", HeaderValue::from_bytes(value).expect("as before"));
            let mut request = Request::new(());
            *request.method_mut() = Method::OPTIONS;
            *request.headers_mut() = all;
            headers::preflight(&origins, &request);
        }
    });
    assert!(allowed > 0);
}
