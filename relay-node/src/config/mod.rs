//! Settings: defaults, then a TOML file, then the environment, then flags. Each later source replaces a key as a whole.

mod keys;
mod layers;
mod market;
mod network;
mod suggest;
mod value;

pub use keys::{Config, KEYS, Key, LogFormat, MetricsAccess};
pub use layers::{ConfigError, Effective, Flag, Source, load};
pub use market::{Money, NetworkCost, Owned, PublisherValue};
pub use network::{ForwardedHeader, Network};
pub use suggest::nearest;
pub use value::{Bytes, Millis};

use peeredge_tracker::Publisher;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

impl Config {
    /// How peers reach this relay: `scheme://authority`, without a slash at the end.
    pub fn public_url(&self) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.bind),
            url => url.to_owned(),
        }
    }

    /// The folder that holds everything this process keeps.
    pub fn data_dir(&self) -> PathBuf {
        if !self.data_dir.as_os_str().is_empty() {
            return self.data_dir.clone();
        }
        // The same folder from any working directory, so that `publish` finds the relay that `serve` started elsewhere.
        let home = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        match (home("XDG_DATA_HOME"), home("HOME")) {
            (Some(data), _) if data.is_absolute() => data.join("peeredge"),
            (_, Some(home)) => home.join(".local/share/peeredge"),
            _ => PathBuf::from(".peeredge"),
        }
    }

    /// The names under which this relay is reached: those of `hosts`, and `public_url`'s. `host[:port]`, lower case.
    pub fn names(&self) -> Vec<String> {
        let public = self.public_url();
        let public = public.split_once("://").map_or("", |(_, authority)| authority);
        let names = self.hosts.iter().map(String::as_str).chain([public]);
        names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
    }

    /// Where operators look: the address, and whether any other free port does as well. None: nowhere.
    pub fn admin_bind(&self) -> Option<(SocketAddr, bool)> {
        if self.metrics == MetricsAccess::Off {
            return None;
        }
        if let Ok(address) = self.admin_bind.parse() {
            return Some((address, false));
        }
        let port = self.bind.port();
        // One of the two holds for every port.
        let port = port.checked_add(10_000).unwrap_or_else(|| port - 10_000);
        Some((SocketAddr::from(([127, 0, 0, 1], port)), true))
    }

    /// The addresses that peers are told for WebRTC. Empty: the sockets' own.
    pub fn rtc_public(&self) -> Vec<SocketAddr> {
        self.rtc_public.split(',').filter_map(|text| text.trim().parse().ok()).collect()
    }

    /// Where WebRTC listens.
    pub fn rtc_bind(&self) -> SocketAddr {
        self.rtc_bind.parse().unwrap_or(self.bind)
    }

    /// Where STUN is answered, and whether any other free port does as well.
    pub fn stun_bind(&self) -> (SocketAddr, bool) {
        match self.stun_bind.parse() {
            Ok(address) => (address, false),
            Err(_) => {
                let rtc = self.rtc_bind();
                (SocketAddr::new(rtc.ip(), rtc.port().checked_add(1).unwrap_or(0)), true)
            }
        }
    }

    /// What peers cost, by class: whoever fits none of `peer_costs` is of class 0, the others of the class behind their place.
    pub fn cost_classes(&self) -> Vec<f32> {
        [0.0].into_iter().chain(self.peer_costs.iter().map(|network| network.cost_per_gb.amount())).collect()
    }

    /// The class of a peer at this address.
    pub fn cost_class(&self, ip: IpAddr) -> u8 {
        self.peer_costs.iter().position(|network| network.holds(ip)).map_or(0, |at| at as u8 + 1)
    }

    /// Publishers with what they own.
    pub fn publishers(&self) -> Vec<Publisher> {
        let owned = |name: &str| {
            self.owners.iter().filter(|owned| owned.name == name).map(|owned| owned.content).collect()
        };
        let publisher = |publisher: &PublisherValue| Publisher {
            name: publisher.name.clone(),
            value_per_gb: publisher.value_per_gb.amount(),
            budget_per_day: publisher.budget_per_day.map(Money::amount),
            contents: owned(&publisher.name),
        };
        self.publishers.iter().map(publisher).collect()
    }

    /// Contradictions between settings, each with the key to change.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.bind.ip().is_unspecified() && self.public_url.is_empty() {
            let says = format!(
                "must be set when bind is \"{}\": links have to name an address that peers can reach, \
                 such as \"http://192.0.2.7:{}\" or \"https://relay.example\"",
                self.bind,
                self.bind.port()
            );
            return Err(("public_url", says));
        }
        if !["off", "origins", "open"].contains(&self.tasks.as_str()) {
            let says = format!("{} is none of \"off\", \"origins\", \"open\"", value::quote(&self.tasks));
            return Err(("tasks", says));
        }
        let url = self.public_url.trim_end_matches('/');
        let authority = url.strip_prefix("http://").or(url.strip_prefix("https://"));
        for host in &self.hosts {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
            if host != "*" && (host.is_empty() || !host.chars().all(is_name)) {
                let says = format!("{} is no name, such as \"relay.example\"", value::quote(host));
                return Err(("hosts", says));
            }
        }
        if !url.is_empty() && authority.is_none_or(|a| a.is_empty() || a.contains(['/', '?', '#', ' '])) {
            return Err(("public_url", format!("{} is not http://HOST or https://HOST", value::quote(url))));
        }
        let addresses = [
            ("rtc_bind", self.rtc_bind.as_str()),
            ("stun_bind", &self.stun_bind),
            ("admin_bind", &self.admin_bind),
        ];
        let told = self.rtc_public.split(',').map(|text| ("rtc_public", text.trim()));
        for (name, text) in addresses.into_iter().chain(told) {
            if !text.is_empty() && text.parse::<SocketAddr>().is_err() {
                return Err((
                    name,
                    format!("{} is no address and port, such as \"192.0.2.7:8080\"", value::quote(text)),
                ));
            }
        }
        if self.rtc && self.rtc_bind().ip().is_unspecified() && self.rtc_public.is_empty() {
            let says = "must be set when WebRTC listens on all addresses: peers have to be told one that they can \
                        reach, such as \"192.0.2.7:8080\" (or set rtc_bind to it, or rtc = false)";
            return Err(("rtc_public", says.into()));
        }
        if !["error", "warn", "info", "debug", "trace"].contains(&self.log_level.as_str()) {
            let says =
                format!("{} is none of error, warn, info, debug and trace", value::quote(&self.log_level));
            return Err(("log_level", says));
        }
        if self.peer_costs.len() > usize::from(u8::MAX) {
            return Err(("peer_costs", "at most 255 networks".into()));
        }
        for owned in &self.owners {
            if !self.publishers.iter().any(|publisher| publisher.name == owned.name) {
                return Err(("owners", format!("{} is none of publishers", value::quote(&owned.name))));
            }
        }
        if self.ping_interval_ms >= self.idle_timeout_ms {
            return Err((
                "ping_interval_ms",
                format!("must be below idle_timeout_ms, which is {}", self.idle_timeout_ms.0),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_one_for_its_operator() {
        for port in [0, 1, 80, 8080, 9_999, 10_000, 55_535, 55_536, 65_535] {
            let config = Config { bind: SocketAddr::from(([127, 0, 0, 1], port)), ..Config::default() };
            let (admin, or_any) = config.admin_bind().expect("metrics are on by default");
            assert!(or_any && admin.port().abs_diff(port) == 10_000, "{port}: {admin}");
        }
    }
}
