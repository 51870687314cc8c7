//! Settings of the market: money, publishers, whose a content is, and what peers' networks cost.

use super::value::{Setting, quote};
use peeredge_wire::ContentId;
use std::net::IpAddr;

/// An amount in the operator's own currency, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub u64);

impl Money {
    /// The amount.
    pub fn amount(self) -> f32 {
        (self.0 as f64 / 1e6) as f32
    }
}

impl Setting for Money {
    const KIND: &'static str = "amount";
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{} is no amount, such as 0.05", quote(text));
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(refused());
        }
        let whole: u64 = whole.parse().map_err(|_| refused())?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| refused())?;
        whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(part)).map(Money).ok_or_else(refused)
    }
    fn show(&self) -> String {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let short = text.trim_end_matches('0');
        format!("{short}{}", if short.ends_with('.') { "0" } else { "" })
    }
}

/// What a publisher pays: `NAME=VALUE`, or `NAME=VALUE/BUDGET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherValue {
    /// As in `owners`.
    pub name: String,
    /// For a GB that arrives.
    pub value_per_gb: Money,
    /// What the relay's own peer may cost for it in a day; no bound without.
    pub budget_per_day: Option<Money>,
}

impl Setting for PublisherValue {
    const KIND: &'static str = "NAME=VALUE or NAME=VALUE/BUDGET";
    fn parse(text: &str) -> Result<Self, String> {
        let refused =
            || format!("{} is not NAME=VALUE or NAME=VALUE/BUDGET, such as \"alice=2.5/10\"", quote(text));
        let (name, amounts) = text.split_once('=').filter(|(name, _)| is_name(name)).ok_or_else(refused)?;
        let (value, budget) = match amounts.split_once('/') {
            Some((value, budget)) => (value, Some(Money::parse(budget)?)),
            None => (amounts, None),
        };
        Ok(PublisherValue { name: name.into(), value_per_gb: Money::parse(value)?, budget_per_day: budget })
    }
    fn show(&self) -> String {
        let budget = self.budget_per_day.map(|budget| format!("/{}", budget.show())).unwrap_or_default();
        quote(&format!("{}={}{budget}", self.name, self.value_per_gb.show()))
    }
}

/// Names end up in labels of metrics.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whose a content is: `CONTENT=NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Which content.
    pub content: ContentId,
    /// One of `publishers`.
    pub name: String,
}

impl Setting for Owned {
    const KIND: &'static str = "CONTENT=NAME";
    fn parse(text: &str) -> Result<Self, String> {
        let (content, name) = text
            .split_once('=')
            .ok_or_else(|| format!("{} is not CONTENT=NAME, a content's id and a publisher", quote(text)))?;
        let content =
            content.parse().map_err(|error| format!("{} is no content: {error}", quote(content)))?;
        Ok(Owned { content, name: name.into() })
    }
    fn show(&self) -> String {
        quote(&format!("{}={}", self.content, self.name))
    }
}

/// What a GB from peers of one network costs: `ADDRESS/BITS=COST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkCost {
    network: IpAddr,
    bits: u8,
    /// For a GB that they send.
    pub cost_per_gb: Money,
}

impl NetworkCost {
    /// Whether this address belongs to it.
    pub fn holds(&self, ip: IpAddr) -> bool {
        prefix(ip.to_canonical(), self.bits) == prefix(self.network, self.bits)
    }
}

/// The family and the first bits of an address.
fn prefix(ip: IpAddr, bits: u8) -> (bool, u128) {
    let (value, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    (ip.is_ipv4(), value.checked_shr(width - u32::from(bits).min(width)).unwrap_or(0))
}

impl Setting for NetworkCost {
    const KIND: &'static str = "ADDRESS/BITS=COST";
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{} is not ADDRESS/BITS=COST, such as \"10.0.0.0/8=0.02\"", quote(text));
        let (network, cost) = text.split_once('=').ok_or_else(refused)?;
        let (address, bits) = network.split_once('/').ok_or_else(refused)?;
        let network: IpAddr = address.parse().map_err(|_| refused())?;
        let bits: u8 = bits.parse().map_err(|_| refused())?;
        if u32::from(bits) > if network.is_ipv4() { 32 } else { 128 } {
            return Err(refused());
        }
        Ok(NetworkCost { network, bits, cost_per_gb: Money::parse(cost)? })
    }
    fn show(&self) -> String {
        quote(&format!("{}/{}={}", self.network, self.bits, self.cost_per_gb.show()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_read_back() {
        for (text, millionths, shown) in [
            ("0", 0, "0.0"),
            ("0.05", 50_000, "0.05"),
            ("12", 12_000_000, "12.0"),
            ("1.000001", 1_000_001, "1.000001"),
        ] {
            assert_eq!(Money::parse(text).map(|m| (m.0, m.show())), Ok((millionths, shown.to_owned())));
        }
        for text in ["", ".5", "-1", "1e3", "1.0000001", "NaN", "99999999999999999999"] {
            assert!(Money::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_publisher_has_a_value_and_perhaps_a_budget() {
        let read =
            |text: &str| PublisherValue::parse(text).map(|p| (p.name, p.value_per_gb.0, p.budget_per_day));
        assert_eq!(read("alice=2.5"), Ok(("alice".into(), 2_500_000, None)));
        assert_eq!(read("bob=0/10"), Ok(("bob".into(), 0, Some(Money(10_000_000)))));
        for text in ["alice", "=1", "a\"b=1", "alice=1/", "alice=x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses() {
        let network = |text: &str| NetworkCost::parse(text).expect("well formed");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(
            network("10.0.0.0/8=1").holds(ip("10.200.0.1")) && !network("10.0.0.0/8=1").holds(ip("11.0.0.1"))
        );
        assert!(network("0.0.0.0/0=1").holds(ip("192.0.2.1")) && !network("0.0.0.0/0=1").holds(ip("::2")));
        assert!(network("2001:db8::/32=1").holds(ip("2001:db8:5::1")));
        assert!(network("10.0.0.0/8=1").holds(ip("::ffff:10.1.1.1")));
        assert!(NetworkCost::parse("10.0.0.0/33=1").is_err() && NetworkCost::parse("10.0.0.0=1").is_err());
    }
}
