use crate::ahead::AheadSettings;
use crate::purse::Publisher;
use crate::tasks::TaskQuotas;
use core::fmt;
use core::time::Duration;
use peeredge_hvm::DispatchSettings;
use peeredge_routing::matching::MatchSettings;
use peeredge_wire::PeerId;
use peeredge_wire::limits::ANNOUNCED_CONTENTS_MAX;

/// How a tracker behaves. Every bound holds per connection unless it says otherwise; [`OwnerSettings`] bounds what many connections
/// take together.
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
    /// Owners that blame a peer after which it is introduced to nobody but the relay's own node; at least 2, or one stranger could
    /// shut out another. Default 2.
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
    /// What the submitters of one owner may have.
    pub task_quotas: TaskQuotas,
    /// Live contents that one connection may publish or follow. Each keeps one head of at most 4 KiB here. Default 32.
    pub live_contents_max: usize,
    /// UDP port at which the relay answers STUN, told to every peer; 0 for none. Default 0.
    pub stun_port: u16,
    /// What is carried between peers that find no path. Default: nothing.
    pub carry: CarrySettings,
    /// What the peers of one owner may take together.
    pub owners: OwnerSettings,
    /// How much peers that were introduced may signal each other.
    pub signals: SignalSettings,
}

/// What the peers of one owner, a network, may take together, however many keys and connections it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerSettings {
    /// Peers in an hour, each counted once, that an owner's peers are introduced to: as many addresses may it learn. The relay's own
    /// node is not counted. Beyond, those that it knows already are introduced again. Default 60.
    pub addresses_per_h: u32,
    /// Of these, peers of one other owner, and no more than half of what it leaves. Default 20.
    pub addresses_per_h_of_one: u32,
    /// Further ones for each other owner whose receivers bore out [`OwnerSettings::earned_bytes`] in this hour. Default 4.
    pub addresses_earned: u32,
    /// Bytes that earn them. Default 1 MiB.
    pub earned_bytes: u64,
    /// Contents announced, each by each peer, about 200 bytes to 1 KiB; fewer as the relay's places run out. Default 32,768.
    pub announces_max: u32,
    /// Connections that have not proved a key. Default 64.
    pub hellos_max: u32,
    /// Live contents published and followed by all its peers, each up to 4 KiB. Default 1024.
    pub live_contents_max: u32,
    /// Bytes a second of heads of live contents to its peers; four times as many at once. Default 262,144.
    pub live_bytes_per_s_max: u32,
    /// Peers whose offers to hold contents ahead of demand count. Default 16.
    pub spares_max: u32,
    /// Peers that its peers may blame in an hour. Default 16.
    pub blames_per_h: u32,
    /// Peers of which its peers may say in an hour that no connection opened, or that nothing came. Default 64.
    pub doubts_per_h: u32,
    /// Owners remembered, each about 4 KiB at most before it earned something; they are forgotten an hour after they left.
    /// Default 50,000.
    pub owners_max: usize,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        OwnerSettings {
            addresses_per_h: 60,
            addresses_per_h_of_one: 20,
            addresses_earned: 4,
            earned_bytes: 1 << 20,
            announces_max: 32_768,
            hellos_max: 64,
            live_contents_max: 1024,
            live_bytes_per_s_max: 262_144,
            spares_max: 16,
            blames_per_h: 16,
            doubts_per_h: 64,
            owners_max: 50_000,
        }
    }
}

/// How much peers that were introduced may signal each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSettings {
    /// Milliseconds after an introduction in which the two may signal each other. Once both have, they may for as long as both are
    /// connected. Default 600,000: an introduction may have to wait for a free place.
    pub introduced_for_ms: u32,
    /// Signals a second from all peers of one owner to one other peer. Default 32.
    pub per_s: u32,
    /// The same at once, after a quiet time. Default 512.
    pub burst: u32,
    /// New connections a second that all peers of one owner may begin with one other peer. Default 1.
    pub sessions_per_s: u32,
    /// The same at once, after a quiet time. Default 128.
    pub sessions_burst: u32,
}

impl Default for SignalSettings {
    fn default() -> Self {
        SignalSettings {
            introduced_for_ms: 600_000,
            per_s: 32,
            burst: 512,
            sessions_per_s: 1,
            sessions_burst: 128,
        }
    }
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
    /// Bytes a second that one peer, and in the operator's sums all peers of one owner together, can be believed to have sent or
    /// received, whatever they or others say. Default 125,000,000.
    pub plausible_bytes_per_s_max: u64,
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
            plausible_bytes_per_s_max: 125_000_000,
            senders_max: 20_000,
        }
    }
}

/// What a relay carries between peers that find no path. All counts are bytes of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrySettings {
    /// From one connection to all others together, a second. 0 carries nothing. Default 0.
    pub bytes_per_s_max: u32,
    /// From one connection to all others together, while it lasts; from all of one owner four times as many an hour. Default 1 GiB.
    pub bytes_max: u64,
    /// Sessions of one connection at a time; each may have 64 KiB waiting in its queue here. Default 4.
    pub sessions_max: u8,
    /// All connections together, a second: further sessions are refused while those there are could fill it. Default 8 MiB.
    pub bytes_per_s_all_max: u64,
    /// Milliseconds in which the other side must take a session. Default 5,000.
    pub take_within_ms: u32,
    /// Milliseconds in which less than 16 KiB passes after which a session gives way to another one where there are no places left.
    /// Default 10,000.
    pub idle_after_ms: u32,
}

impl CarrySettings {
    /// From all connections of one owner to all others together, in an hour: connections and keys are free.
    pub(crate) fn owner_bytes_per_h_max(&self) -> u64 {
        self.bytes_max.saturating_mul(4)
    }

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
            take_within_ms: 5_000,
            idle_after_ms: 10_000,
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
                dispute_patience: Duration::from_secs(5),
                ..DispatchSettings::new(0)
            }),
            tasks_per_peer_max: 1024,
            task_quotas: TaskQuotas::default(),
            live_contents_max: 32,
            stun_port: 0,
            carry: CarrySettings::default(),
            owners: OwnerSettings::default(),
            signals: SignalSettings::default(),
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
            .field("task_quotas", &self.task_quotas)
            .field("live_contents_max", &self.live_contents_max)
            .field("stun_port", &self.stun_port)
            .field("carry", &self.carry)
            .field("owners", &self.owners)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}
