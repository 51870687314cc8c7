//! What the driver is told at its start, and the limits that bound its memory.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crate::pulse::Pulse;

/// One UDP socket of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtcSocket {
    /// Where to bind; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What remote ends are told instead of the bound address. Needed when `bind` is a wildcard or the machine
    /// sits behind a translator that forwards to it; port 0 means the bound port.
    pub advertised: Option<SocketAddr>,
}

impl RtcSocket {
    /// A socket that is reached under the address that it is bound to.
    pub fn bound(bind: SocketAddr) -> RtcSocket {
        RtcSocket { bind, advertised: None }
    }
}

/// Settings of the driver, with defaults from [`RtcConfig::new`].
///
/// Worst-case memory a connection, whatever the remote end does: about 1 MiB that its SCTP may hold for
/// reassembly, plus `send_credit_bytes` from the caller. Shared by all connections: `event_bytes_max`, and at
/// most `commands_max` messages in the command queue.
#[derive(Debug, Clone)]
pub struct RtcConfig {
    /// The sockets, each offered to every remote end as a host candidate. At least one.
    pub sockets: Vec<RtcSocket>,
    /// Answer connectivity checks but never start one (RFC 8445 section 2.5), so that no remote end can have
    /// this one send to addresses of its choice. For a machine that every peer can reach; the remote end must
    /// then be a full agent, as browsers are. Default: false.
    pub ice_lite: bool,
    /// Connections at once. Default: 1,024.
    pub connections_max: usize,
    /// Longest message, either way, in bytes. Default: 262,144, which is what browsers take.
    pub message_bytes_max: usize,
    /// What the caller may have unacknowledged on a connection, in bytes: queued here or in flight. At least
    /// `message_bytes_max`. Default: 524,288.
    pub send_credit_bytes: u64,
    /// What may always be in flight on a connection, in bytes. More than the remote end's UDP buffer holds is
    /// lost on a short path; a browser's holds this. A longer message goes nearly alone. Default: 65,536.
    pub in_flight_bytes_min: usize,
    /// What may be in flight when the path is long and fast enough to hold it, in bytes: this much a round trip
    /// is the most that a connection can carry. The stack's work for a packet grows with what is in flight.
    /// Default: 262,144.
    pub in_flight_bytes_max: usize,
    /// Longest signal, in bytes. Default: 16,384.
    pub signal_bytes_max: usize,
    /// Remote candidates tried for a connection; further ones are ignored. Default: 32.
    pub remote_candidates_max: usize,
    /// Time from opening a connection until its channel is open. Default: 15 s.
    pub connect_timeout: Duration,
    /// Silence after which an open connection counts as lost. Browsers check every 2 to 3 s. Default: 15 s.
    pub silence_max: Duration,
    /// Commands waiting for the driver. Default: 4,096.
    pub commands_max: usize,
    /// Events waiting for the caller. Default: 4,096.
    pub events_max: usize,
    /// Bytes of messages waiting for the caller. At least `message_bytes_max`. Default: 16 MiB.
    pub event_bytes_max: usize,
    /// What each socket asks the system to buffer, either way, in bytes, of which the system may grant less; and
    /// what the driver holds of arrivals itself. Default: 4 MiB.
    pub socket_buffer_bytes: usize,
    /// Beaten at each turn of the driver.
    pub pulse: Arc<Pulse>,
}

impl RtcConfig {
    /// The defaults, over these sockets.
    pub fn new(sockets: Vec<RtcSocket>) -> RtcConfig {
        RtcConfig {
            sockets,
            ice_lite: false,
            connections_max: 1024,
            message_bytes_max: 262_144,
            send_credit_bytes: 524_288,
            in_flight_bytes_min: 65_536,
            in_flight_bytes_max: 262_144,
            signal_bytes_max: 16_384,
            remote_candidates_max: 32,
            connect_timeout: Duration::from_secs(15),
            silence_max: Duration::from_secs(15),
            commands_max: 4096,
            events_max: 4096,
            event_bytes_max: 16 << 20,
            socket_buffer_bytes: 4 << 20,
            pulse: Pulse::new("rtc"),
        }
    }

    /// Refuses settings that could not work together.
    pub fn check(&self) -> Result<(), RtcConfigError> {
        if self.sockets.is_empty() {
            return Err(RtcConfigError::NoSocket);
        }
        for socket in &self.sockets {
            let told = socket.advertised.unwrap_or(socket.bind).ip();
            if told.is_unspecified() {
                return Err(RtcConfigError::WildcardNotAdvertised { bind: socket.bind });
            }
            if told.is_ipv4() != socket.bind.is_ipv4() {
                return Err(RtcConfigError::FamiliesDiffer { bind: socket.bind, advertised: told });
            }
        }
        let positive: [(&'static str, usize); 6] = [
            ("connections_max", self.connections_max),
            ("message_bytes_max", self.message_bytes_max),
            ("in_flight_bytes_min", self.in_flight_bytes_min),
            ("signal_bytes_max", self.signal_bytes_max),
            ("commands_max", self.commands_max),
            ("events_max", self.events_max),
        ];
        if let Some((setting, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(RtcConfigError::Zero { setting });
        }
        // SCTP carries the limit in 32 bits, and so does the semaphore that counts waiting bytes.
        let bytes_max = u32::MAX as usize;
        for (setting, value) in
            [("message_bytes_max", self.message_bytes_max), ("event_bytes_max", self.event_bytes_max)]
        {
            if value > bytes_max {
                return Err(RtcConfigError::TooLarge { setting, value_max: bytes_max });
            }
        }
        if self.in_flight_bytes_max < self.in_flight_bytes_min {
            return Err(RtcConfigError::Crossed { setting: "in_flight_bytes" });
        }
        if self.send_credit_bytes < self.message_bytes_max as u64 {
            return Err(RtcConfigError::BelowMessage { setting: "send_credit_bytes" });
        }
        if self.event_bytes_max < self.message_bytes_max {
            return Err(RtcConfigError::BelowMessage { setting: "event_bytes_max" });
        }
        Ok(())
    }
}

/// Settings that could not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcConfigError {
    /// No socket to serve on.
    NoSocket,
    /// Bound to a wildcard without saying how to be reached.
    WildcardNotAdvertised {
        /// The bound address.
        bind: SocketAddr,
    },
    /// One address is IPv4, the other IPv6.
    FamiliesDiffer {
        /// The bound address.
        bind: SocketAddr,
        /// The advertised one.
        advertised: IpAddr,
    },
    /// Must be at least 1.
    Zero {
        /// The setting's name.
        setting: &'static str,
    },
    /// Above what the protocol can carry.
    TooLarge {
        /// The setting's name.
        setting: &'static str,
        /// The largest value.
        value_max: usize,
    },
    /// The setting's `_max` is below its `_min`.
    Crossed {
        /// The common part of their names.
        setting: &'static str,
    },
    /// Must hold at least one message of `message_bytes_max`.
    BelowMessage {
        /// The setting's name.
        setting: &'static str,
    },
}

impl fmt::Display for RtcConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket => write!(f, "no UDP socket configured"),
            Self::WildcardNotAdvertised { bind } => {
                write!(f, "{bind} is a wildcard: say which address peers reach")
            }
            Self::FamiliesDiffer { bind, advertised } => {
                write!(f, "{bind} cannot be reached as {advertised}")
            }
            Self::Zero { setting } => write!(f, "{setting} must be at least 1"),
            Self::TooLarge { setting, value_max } => write!(f, "{setting} must be at most {value_max}"),
            Self::Crossed { setting } => write!(f, "{setting}_max must be at least {setting}_min"),
            Self::BelowMessage { setting } => write!(f, "{setting} must be at least message_bytes_max"),
        }
    }
}

impl std::error::Error for RtcConfigError {}

/// The local address from which packets to `toward` would leave. Sends nothing.
///
/// Errors when the system knows no route.
pub fn outbound_address(toward: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match toward {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(toward)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> RtcConfig {
        RtcConfig::new(vec![RtcSocket::bound("127.0.0.1:0".parse().expect("an address"))])
    }

    #[test]
    fn defaults_are_consistent() {
        assert_eq!(loopback().check(), Ok(()));
    }

    #[test]
    fn each_contradiction_is_named() {
        let mut config = loopback();
        config.sockets.clear();
        assert_eq!(config.check(), Err(RtcConfigError::NoSocket));

        let bind = "0.0.0.0:0".parse().expect("an address");
        let mut config = RtcConfig::new(vec![RtcSocket::bound(bind)]);
        assert_eq!(config.check(), Err(RtcConfigError::WildcardNotAdvertised { bind }));
        config.sockets[0].advertised = Some("192.0.2.1:0".parse().expect("an address"));
        assert_eq!(config.check(), Ok(()));
        config.sockets[0].advertised = Some("[2001:db8::1]:0".parse().expect("an address"));
        assert!(matches!(config.check(), Err(RtcConfigError::FamiliesDiffer { .. })));

        let config = RtcConfig { events_max: 0, ..loopback() };
        assert_eq!(config.check(), Err(RtcConfigError::Zero { setting: "events_max" }));
        let config = RtcConfig { in_flight_bytes_max: 1000, ..loopback() };
        assert_eq!(config.check(), Err(RtcConfigError::Crossed { setting: "in_flight_bytes" }));
        let config = RtcConfig { send_credit_bytes: 1000, ..loopback() };
        assert_eq!(config.check(), Err(RtcConfigError::BelowMessage { setting: "send_credit_bytes" }));
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let address = outbound_address("127.0.0.1:9".parse().expect("an address"));
        assert!(address.expect("loopback has a route").is_loopback());
    }
}
