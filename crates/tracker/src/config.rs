use crate::ahead::AheadSettings;
use crate::purse::Publisher;
use core::fmt;
use core::time::Duration;
use peeredge_hvm::DispatchSettings;
use peeredge_routing::matching::MatchSettings;
use peeredge_wire::PeerId;
use peeredge_wire::limits::ANNOUNCED_CONTENTS_MAX;

/// How a tracker behaves. Every bound holds per connection unless it says otherwise.
#[derive(Clone, PartialEq)]
pub struct TrackerConfig {
    /// The relay's own key: the node that proves it is the operator's, serves as last resort and is bound by no rate.
    pub relay: PeerId,
    /// Secret and fresh at every start: challenges and draws follow from it. Whoever knows it can foresee challenges.
    pub seed: [u8; 32],
    /// Connections in all; further ones are refused with `full`. Each costs about 1 KiB here before its announces. Default 50,000.
    pub peers_max: usize,
    /// Contents that one peer may announce. Default 1024.
    pub contents_per_peer_max: usize,
    /// Announced contents of all peers together, each about 200 bytes to 1 KiB. Default 1,000,000.
    pub announces_max: usize,
    /// Frames a second that are taken in the long run; a frame counts once for each KiB begun. Default 50.
    pub frames_per_s_max: u32,
    /// Frames that are taken at once after a quiet time: a tab that joins sends an offer and candidates for each source.
    /// Default 400.
    pub frames_burst_max: u32,
    /// Introductions that answer one announce, however many are wanted. Default 16.
    pub introductions_per_announce_max: u8,
    /// Waiting peers that are told when somebody has something new to give. Default 4.
    pub takers_per_announce_max: u8,
    /// Milliseconds in which a new connection must prove its key. Default 10,000.
    pub hello_timeout_ms: u32,
    /// Seconds between two reports that peers are asked for. Default 30.
    pub report_every_s: u16,
    /// Distinct accusers after which a peer is no longer introduced; at least 2, or one stranger could shut out another.
    /// Keys cost nothing, so this guards against error and malice of one, not of many. Default 2.
    pub accusers_min: u8,
    /// Seconds for which a blame counts. Default 600.
    pub blame_for_s: u32,
    /// Peers of which blames are kept, in all; the least recently blamed goes first. Default 4096.
    pub accused_max: usize,
    /// How introductions are chosen.
    pub matching: MatchSettings,
    /// How much receivers' words count.
    pub trust: TrustSettings,
    /// What a GB from peers of each class costs the operator, in the currency of all values; class 0 is everybody's at first.
    /// Default: one class, free of cost.
    pub cost_classes: Vec<f32>,
    /// Publishers whose contents have values of their own. Default: none.
    pub publishers: Vec<Publisher>,
    /// How replicas are placed ahead of demand.
    pub ahead: AheadSettings,
    /// How tasks are given out and their results believed; none refuses them. Its referee is the relay's own node, once that
    /// offers slots. Default: on.
    pub tasks: Option<DispatchSettings>,
    /// Tasks without a result that one peer may have handed in, each up to 17 KiB. Default 1024.
    pub tasks_per_peer_max: usize,
    /// Live contents that one connection may publish or follow. Each keeps one head of at most 4 KiB here. Default 64.
    pub live_contents_max: usize,
    /// UDP port at which the relay answers STUN, told to every peer; 0 for none. Default 0.
    pub stun_port: u16,
    /// What is carried between peers that find no path. Default: nothing.
    pub carry: CarrySettings,
}

/// How much receivers' words count for what peers can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// Bytes a second of one place with a peer. Default 65,536.
    pub place_bytes_per_s: u32,
    /// Places with one peer, whatever is borne out. Default 256.
    pub places_max: u32,
    /// Bytes a second that the receivers of one owner can bear out together. Default 262,144.
    pub witness_bytes_per_s_max: u32,
    /// Seconds after which the receivers of one owner say anew how fast a sender is. Default 600.
    pub rate_again_s: u32,
    /// Seconds from the opening of a connection after which something should have come. Default 45.
    pub came_within_s: u32,
    /// Senders that are remembered, each up to 2 KiB; the one heard of least recently goes first. Default 20,000.
    pub senders_max: usize,
}

impl Default for TrustSettings {
    fn default() -> Self {
        TrustSettings {
            place_bytes_per_s: 65_536,
            places_max: 256,
            witness_bytes_per_s_max: 262_144,
            rate_again_s: 600,
            came_within_s: 45,
            senders_max: 20_000,
        }
    }
}

/// What a relay carries between peers that find no path. All counts are bytes of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrySettings {
    /// From one connection to all others together, a second. 0 carries nothing. Default 0.
    pub bytes_per_s_max: u32,
    /// From one connection to all others together, while it lasts. Default 1 GiB.
    pub bytes_max: u64,
    /// Sessions of one connection at a time; each may have 64 KiB waiting in its queue here. Default 4.
    pub sessions_max: u8,
    /// All connections together, a second: further sessions are refused while those there are could fill it. Default 8 MiB.
    pub bytes_per_s_all_max: u64,
}

impl CarrySettings {
    /// Sessions at a time in all.
    pub(crate) fn sessions_all_max(&self) -> usize {
        // Either side of a session may send at the full rate.
        let session = u64::from(self.bytes_per_s_max) * 2;
        self.bytes_per_s_all_max.checked_div(session).map_or(0, |sessions| sessions.max(1) as usize)
    }
}

impl Default for CarrySettings {
    fn default() -> Self {
        CarrySettings {
            bytes_per_s_max: 0,
            bytes_max: 1 << 30,
            sessions_max: 4,
            bytes_per_s_all_max: 8 << 20,
        }
    }
}

impl TrackerConfig {
    /// The defaults, for this relay key and seed.
    pub fn new(relay: PeerId, seed: [u8; 32]) -> Self {
        TrackerConfig {
            relay,
            seed,
            peers_max: 50_000,
            contents_per_peer_max: ANNOUNCED_CONTENTS_MAX,
            announces_max: 1_000_000,
            frames_per_s_max: 50,
            frames_burst_max: 400,
            introductions_per_announce_max: 16,
            takers_per_announce_max: 4,
            hello_timeout_ms: 10_000,
            report_every_s: 30,
            accusers_min: 2,
            blame_for_s: 600,
            accused_max: 4096,
            matching: MatchSettings::default(),
            trust: TrustSettings::default(),
            cost_classes: vec![0.0],
            publishers: Vec::new(),
            ahead: AheadSettings::default(),
            tasks: Some(DispatchSettings {
                seed: u64::from_le_bytes(
                    blake3::derive_key("peeredge tracker tasks v1", &seed)[..8].try_into().expect("8 of 32"),
                ),
                tasks_max: 20_000,
                // A page waits for it.
                patience: Duration::from_secs(60),
                ..DispatchSettings::new(0)
            }),
            tasks_per_peer_max: 1024,
            live_contents_max: 64,
            stun_port: 0,
            carry: CarrySettings::default(),
        }
    }
}

impl fmt::Debug for TrackerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the seed: it is a secret and configurations end up in logs.
        f.debug_struct("TrackerConfig")
            .field("relay", &self.relay)
            .field("peers_max", &self.peers_max)
            .field("contents_per_peer_max", &self.contents_per_peer_max)
            .field("announces_max", &self.announces_max)
            .field("frames_per_s_max", &self.frames_per_s_max)
            .field("frames_burst_max", &self.frames_burst_max)
            .field("introductions_per_announce_max", &self.introductions_per_announce_max)
            .field("takers_per_announce_max", &self.takers_per_announce_max)
            .field("hello_timeout_ms", &self.hello_timeout_ms)
            .field("report_every_s", &self.report_every_s)
            .field("accusers_min", &self.accusers_min)
            .field("blame_for_s", &self.blame_for_s)
            .field("accused_max", &self.accused_max)
            .field("matching", &self.matching)
            .field("trust", &self.trust)
            .field("cost_classes", &self.cost_classes)
            .field("publishers", &self.publishers)
            .field("ahead", &self.ahead)
            .field("tasks", &self.tasks.is_some())
            .field("tasks_per_peer_max", &self.tasks_per_peer_max)
            .field("live_contents_max", &self.live_contents_max)
            .field("stun_port", &self.stun_port)
            .field("carry", &self.carry)
            .finish_non_exhaustive()
    }
}
