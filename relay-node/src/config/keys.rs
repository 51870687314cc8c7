//! Every setting, once: its key, type, default and meaning. Files, environment, flags, `print-config` and `--help`
//! all read this table.

use super::market::{Money, NetworkCost, Owned, PublisherValue};
use super::network::{ForwardedHeader, Network};
use super::value::{Bytes, Millis, Setting};
use std::net::SocketAddr;
use std::path::PathBuf;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line a person can read.
    Text,
    /// One JSON object a line.
    Json,
}

/// Who may read `/metrics` and `/operator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Whoever reaches the admin listener.
    Admin,
    /// On the public port, too, clients on this machine that come to it directly.
    Loopback,
    /// On the public port, too, everyone.
    All,
    /// Nobody.
    Off,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it stands in the file; upper-cased behind `PEEREDGE_` in the environment, with dashes in a flag.
    pub name: &'static str,
    /// What a value looks like.
    pub kind: &'static str,
    /// What it means and which unit it has.
    pub doc: &'static str,
    /// Whether a flag may be given more than once, each adding an element.
    pub is_list: bool,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)+) => {
        /// The effective settings of one process.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($name: $default,)+ }
            }
        }

        /// Every setting, in the order in which they are shown.
        pub const KEYS: &[Key] = &[
            $(Key {
                name: stringify!($name),
                kind: <$type as Setting>::KIND,
                doc: concat!($($doc),+),
                is_list: <$type as Setting>::IS_LIST,
            },)+
        ];

        impl Config {
            /// Sets one key from texts (more than one only for lists). `Err` says what a value looks like.
            pub(super) fn set(&mut self, name: &str, texts: &[String]) -> Result<(), String> {
                match name {
                    $(stringify!($name) => { self.$name = <$type as Setting>::parse_all(texts)?; Ok(()) })+
                    _ => unreachable!("callers look keys up in KEYS first"),
                }
            }

            /// One key's value in TOML.
            pub fn show(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($name) => Some(self.$name.show()),)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Address and TCP port of HTTP and WebSocket. Anything but loopback opens the relay to others, so it must be said.
    bind: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
    /// Further addresses and TCP ports of the same.
    bind_more: Vec<SocketAddr> = Vec::new();
    /// Address and TCP port of /metrics and /operator. Empty: 127.0.0.1 and the port 10000 above `bind`'s, or any free one.
    admin_bind: String = String::new();
    /// Names under which pages and peers reach this relay besides `public_url` and its own addresses (relay.example or
    /// relay.example:8443); requests for other names are refused, or any page could speak for its visitors (DNS rebinding). `*` is any.
    hosts: Vec<String> = Vec::new();
    /// How peers reach this relay, as they type it (https://relay.example). Empty: http:// and `bind`.
    public_url: String = String::new();
    /// Folder of the relay's key, records and contents. Empty: $XDG_DATA_HOME/peeredge, else ~/.local/share/peeredge.
    data_dir: PathBuf = PathBuf::new();
    /// Folder of static files served at `/`. Empty: a plain page that says what this is.
    demo_dir: PathBuf = PathBuf::new();
    /// Files to publish when the relay starts.
    publish: Vec<PathBuf> = Vec::new();
    /// Bytes that published contents may take in `data_dir`; a publish that would exceed them is refused.
    store_bytes_max: Bytes = Bytes(1 << 40);
    /// Bytes of blocks that the relay's own peer keeps in memory.
    cache_bytes_max: Bytes = Bytes(256 << 20);
    /// Whether the relay seeds over WebRTC data channels as well as over HTTP.
    rtc: bool = true;
    /// Address and UDP port of WebRTC. Empty: `bind`'s address, and its port number.
    rtc_bind: String = String::new();
    /// Address that peers are told for WebRTC when it differs from `rtc_bind` (behind NAT), or two with a comma between: IPv4 and
    /// IPv6. Empty: `rtc_bind`'s own.
    rtc_public: String = String::new();
    /// Whether pages are told under which address they are seen (STUN), so that no third party has to.
    stun: bool = true;
    /// Address and UDP port of STUN. Empty: `rtc_bind`'s address and the port behind it, or any free one.
    stun_bind: String = String::new();
    /// WebRTC connections of the relay's own peer at a time.
    rtc_connections_max: u32 = 512;
    /// Payload bytes a second that the relay sends over WebRTC to all peers together. 0: no cap.
    upload_bytes_per_s_max: Bytes = Bytes(0);
    /// Tasks that the relay runs at once itself, to settle what workers disagree on, on threads of their own. 0: none are settled.
    task_slots: u32 = 1;
    /// Bytes of memory that a task may have here; one that may take more is not settled.
    task_memory_bytes_max: Bytes = Bytes(256 << 20);
    /// Milliseconds after which a task that is run here is given up.
    task_timeout_ms: Millis = Millis(600_000);
    /// Who may have tasks run by others: "off" nobody, "origins" pages of this relay and of the origins named in `origins`, and
    /// programs on this machine, "open" everybody.
    tasks: String = "origins".into();
    /// Web origins whose pages may use this relay (https://site.example). `*` is any.
    origins: Vec<String> = vec!["*".into()];
    /// TCP connections at a time, and no more than file descriptors allow.
    connections_max: u32 = 10_000;
    /// TCP connections at a time from one network (IPv4 /24, IPv6 /48); its idle ones give way.
    connections_per_owner_max: u32 = 1_024;
    /// WebSocket peers at a time.
    peers_max: u32 = 5_000;
    /// WebSocket peers at a time from one network (IPv4 /24, IPv6 /48).
    peers_per_owner_max: u32 = 512;
    /// HTTP requests and WebSocket messages a second from one network, after a burst of twice as many; more wait. 0: no bound.
    requests_per_owner_s_max: u32 = 1_000;
    /// Networks of your proxies (10.0.0.0/8, 127.0.0.1): a client's address is what they add to `forwarded_header`. Nobody else's
    /// word about addresses is taken.
    trusted_proxies: Vec<Network> = Vec::new();
    /// Header in which these proxies name who asked them: x-forwarded-for or forwarded (RFC 7239).
    forwarded_header: ForwardedHeader = ForwardedHeader::XForwardedFor;
    /// Peers in an hour that all peers of one network (IPv4 /24, IPv6 /48) together are introduced to: as many addresses may it learn.
    /// Those that it knows already are introduced again, and for bytes that other networks sign for there are more.
    addresses_per_hour_max: u32 = 60;
    /// Contents that all peers of one network together may announce, each counted once a peer.
    announces_per_network_max: u32 = 32_768;
    /// Bytes waiting to be sent to one WebSocket peer; one that does not read loses its connection beyond.
    peer_queue_bytes_max: Bytes = Bytes(512 << 10);
    /// Bytes a second that one peer may send to others through the relay where they find no direct path. 0: none.
    carry_bytes_per_s_max: Bytes = Bytes(512 << 10);
    /// Bytes that one peer may send so while it is connected; all peers of one network together four times as many an hour.
    carry_bytes_max: Bytes = Bytes(1 << 30);
    /// Bytes a second that pass so in all: no further pair of peers is taken while those there are could fill it.
    carry_bytes_per_s_all_max: Bytes = Bytes(16 << 20);
    /// Milliseconds between two pings to a WebSocket peer.
    ping_interval_ms: Millis = Millis(20_000);
    /// Milliseconds of silence after which a WebSocket peer is gone.
    idle_timeout_ms: Millis = Millis(60_000);
    /// Milliseconds that a client may take to send its request headers.
    header_timeout_ms: Millis = Millis(10_000);
    /// Milliseconds without progress after which an HTTP answer is given up.
    write_timeout_ms: Millis = Millis(30_000);
    /// Milliseconds that running answers get to finish when the relay stops.
    shutdown_grace_ms: Millis = Millis(5_000);
    /// Milliseconds in which demand is counted together, before idle peers whose visitors agreed are asked to hold contents ahead
    /// of it. 0: they are never asked.
    ahead_slot_ms: u32 = 900_000;
    /// What a GB is worth that arrives at a page, in any one currency.
    value_per_gb: Money = Money(1_000_000);
    /// What a GB from the relay's own peer costs, in the same currency. The nearer to the value, the more is left to peers.
    egress_cost_per_gb: Money = Money(800_000);
    /// What a GB from peers of some networks costs (ADDRESS/BITS=COST); the first that fits counts, all others are free.
    peer_costs: Vec<NetworkCost> = Vec::new();
    /// What a GB is worth to each publisher, and what the relay's own peer may cost for it in a day (NAME=VALUE or NAME=VALUE/BUDGET).
    publishers: Vec<PublisherValue> = Vec::new();
    /// Whose a content is, for publishers of other values (CONTENT=NAME).
    owners: Vec<Owned> = Vec::new();
    /// Milliseconds for which a part of the relay may stand still before it is started anew (where it is the tracker, the port or STUN:
    /// before the process ends); /readyz says so after a quarter of that.
    stall_ms: Millis = Millis(20_000);
    /// Who may read /metrics and the page /operator that draws them: admin (whoever reaches `admin_bind`), loopback or all (on
    /// `bind`, too), or off.
    metrics: MetricsAccess = MetricsAccess::Admin;
    /// Least severe log lines that are written: error, warn, info, debug or trace.
    log_level: String = "info".into();
    /// How log lines are written: text or json.
    log_format: LogFormat = LogFormat::Text;
}
