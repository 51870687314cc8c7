//! Candidates in what two WebRTC ends tell each other, whatever it is wrapped in: a session description, a trickled candidate, or
//! either of them inside JSON.
//!
//! A candidate reads `candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ …` (RFC 8839 section 5.1), with single
//! spaces; JSON changes none of these characters.

use std::net::{IpAddr, SocketAddr};

/// Gives every UDP candidate's address to `new_address`, and puts what it answers in its place. Candidates that it has no answer
/// for, TCP ones and those that name no address stay as they are.
pub fn rewrite_candidates(
    text: &str,
    mut new_address: impl FnMut(SocketAddr) -> Option<SocketAddr>,
) -> String {
    const MARK: &str = "candidate:";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, candidate) = rest.split_at(at);
        out.push_str(before);
        match parse(candidate) {
            Some(found) if found.udp => {
                out.push_str(&candidate[..found.address_at]);
                match new_address(found.address) {
                    Some(new) => out.push_str(&format!("{} {}", new.ip(), new.port())),
                    None => out.push_str(&candidate[found.address_at..found.end]),
                }
                rest = &candidate[found.end..];
            }
            _ => {
                out.push_str(MARK);
                rest = &candidate[MARK.len()..];
            }
        }
    }
    out.push_str(rest);
    out
}

struct Found {
    udp: bool,
    address: SocketAddr,
    address_at: usize,
    end: usize,
}

fn parse(candidate: &str) -> Option<Found> {
    let mut at = 0;
    let mut fields = candidate.split(' ').map(|field| {
        let begin = at;
        at += field.len() + 1;
        (begin, field)
    });
    let (_foundation, _component) = (fields.next()?, fields.next()?);
    let (_, transport) = fields.next()?;
    let _priority = fields.next()?;
    let (address_at, ip) = fields.next()?;
    let (port_at, port) = fields.next()?;
    let (_, typ) = fields.next()?;
    if typ != "typ" {
        return None;
    }
    let address = SocketAddr::new(ip.parse::<IpAddr>().ok()?, port.parse().ok()?);
    Some(Found { udp: transport.eq_ignore_ascii_case("udp"), address, address_at, end: port_at + port.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(text: &str) -> String {
        rewrite_candidates(text, |address| {
            (address.port() != 7).then(|| SocketAddr::new([127, 0, 0, 1].into(), address.port() + 1))
        })
    }

    #[test]
    fn every_udp_candidate_is_moved_and_nothing_else_changes() {
        let text = r#"{"sdp":"v=0\r\na=candidate:1 1 udp 2122 192.0.2.1 5000 typ host\r\na=candidate:2 1 UDP 5 2001:db8::1 6000 typ srflx raddr 192.0.2.1 rport 5000\r\na=candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n"}"#;
        let expected = r#"{"sdp":"v=0\r\na=candidate:1 1 udp 2122 127.0.0.1 5001 typ host\r\na=candidate:2 1 UDP 5 127.0.0.1 6001 typ srflx raddr 192.0.2.1 rport 5000\r\na=candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n"}"#;
        assert_eq!(moved(text), expected);
    }

    #[test]
    fn what_is_no_candidate_stays() {
        for text in [
            "",
            "candidate:",
            r#"{"type":"candidate","candidate":"","mid":"0"}"#,
            "candidate:1 1 udp 2122 some-name.local 5000 typ host",
            "candidate:1 1 udp 2122 192.0.2.1 5000",
            "candidate:1 1 udp 2122 192.0.2.1 99999 typ host",
            "candidate:1 1 udp 2122 192.0.2.1 7 typ host",
        ] {
            assert_eq!(moved(text), text);
        }
    }
}
