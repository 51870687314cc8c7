//! Settings about who comes through whom.

use super::value::{Setting, quote};
use ipnet::IpNet;
use std::net::IpAddr;

/// A network: an address and how many of its bits count. An address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it. IPv4 addresses count as such where a socket shows them as IPv6.
    pub fn holds(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl Setting for Network {
    const KIND: &'static str = "ADDRESS or ADDRESS/BITS";
    fn parse(text: &str) -> Result<Self, String> {
        let one = |ip: IpAddr| IpNet::from(ip.to_canonical());
        let network = text.parse::<IpAddr>().map(one).ok().or_else(|| text.parse::<IpNet>().ok());
        network
            .map(|network| Network(network.trunc()))
            .ok_or_else(|| format!("{} is no network, such as \"10.0.0.0/8\" or \"127.0.0.1\"", quote(text)))
    }
    fn show(&self) -> String {
        quote(&self.0.to_string())
    }
}

/// The header in which proxies name their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, to whose end each proxy adds an address.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        }
    }
}

impl Setting for ForwardedHeader {
    const KIND: &'static str = "x-forwarded-for or forwarded";
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(ForwardedHeader::XForwardedFor),
            "forwarded" => Ok(ForwardedHeader::Forwarded),
            _ => Err(format!("{} is neither \"x-forwarded-for\" nor \"forwarded\"", quote(text))),
        }
    }
    fn show(&self) -> String {
        quote(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses_are_read_and_shown() {
        let read = |text: &str| Network::parse(text).map(|network| network.show());
        assert_eq!(read("10.1.2.3/8"), Ok("\"10.0.0.0/8\"".into()));
        assert_eq!(read("127.0.0.1"), Ok("\"127.0.0.1/32\"".into()));
        assert_eq!(read("2001:db8::/32"), Ok("\"2001:db8::/32\"".into()));
        assert!(read("10.0.0.0/33").is_err() && read("proxy.example").is_err() && read("").is_err());
        let holds = |network: &str, ip: &str| Network::parse(network).unwrap().holds(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.9.9.9") && holds("10.0.0.0/8", "::ffff:10.9.9.9"));
        assert!(holds("::ffff:10.0.0.1", "10.0.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
    }
}
