use crate::dice::Dice;
use peeredge_node::{Config, RangeSpec};
use peeredge_tracker::AheadSettings;
use peeredge_wire::Time;

/// A world and what happens in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of everything that is drawn: keys, contents, losses, the nodes' and the tracker's own seeds.
    pub seed: u64,
    /// The contents that exist, named below by their place in this list.
    pub contents: Vec<ContentSpec>,
    /// The visitors, named below by their place in this list.
    pub peers: Vec<PeerSpec>,
    /// The relay.
    pub relay: RelaySpec,
    /// Pairs of visitors between whom no channel ever opens, as between some pairs of NATs.
    pub walls: Vec<(usize, usize)>,
    /// What happens from outside, and when.
    pub actions: Vec<(Time, Action)>,
    /// The world ends here even if somebody still waits.
    pub until: Time,
}

/// One content of random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentSpec {
    /// Its length in bytes.
    pub length: u64,
    /// Whether the relay's HTTP server has it.
    pub by_http: bool,
    /// Whether the relay's own node seeds it.
    pub by_relay: bool,
}

/// One visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerSpec {
    /// Its access link.
    pub link: Link,
    /// Its node's configuration; key and seed are drawn by the world.
    pub config: Config,
    /// When it arrives.
    pub joins: Time,
    /// Contents that it has published before it arrives.
    pub publishes: Vec<usize>,
    /// What it asks for, and how long after its arrival in milliseconds.
    pub wants: Vec<(u64, usize, RangeSpec)>,
    /// How it plays what it asks for; without, it takes all as soon as it comes.
    pub plays: Option<Playback>,
    /// How it cheats, if it does.
    pub pollutes: Option<Pollution>,
}

/// A page that plays what it asks for as it comes, and stands still when that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playback {
    /// Bytes that it plays in a second.
    pub bytes_per_s: u64,
    /// Bytes with which it begins.
    pub start_bytes: u64,
    /// Bytes that it asks for beyond what it has played, at most.
    pub ahead_bytes: u64,
}

impl PeerSpec {
    /// Arrives at once with the default configuration, has nothing and wants nothing.
    pub fn new(link: Link) -> Self {
        PeerSpec {
            link,
            config: Config::new([0; 32], 0),
            joins: Time::ZERO,
            publishes: Vec::new(),
            wants: Vec::new(),
            plays: None,
            pollutes: None,
        }
    }

    /// Has published this content.
    pub fn publishing(mut self, content: usize) -> Self {
        self.publishes.push(content);
        self
    }

    /// Asks for this content, whole, as soon as it arrives.
    pub fn wanting(mut self, content: usize) -> Self {
        self.wants.push((0, content, RangeSpec::Whole));
        self
    }

    /// Arrives after so many milliseconds.
    pub fn joining_at_ms(mut self, ms: u64) -> Self {
        self.joins = Time::from_millis(ms);
        self
    }
}

/// How a cheating peer changes what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pollution {
    /// It flips one bit of each source symbol.
    Source,
    /// It flips one bit of each coded symbol.
    Coded,
    /// It flips one bit of each manifest and record.
    Hashes,
    /// It sends source symbols under the numbers of others.
    Places,
    /// It sends each symbol a dozen times.
    Repeats,
    /// It sends others beside each symbol that it was asked for.
    Pushes,
    /// It sends no symbols.
    Withholds,
    /// It refuses all that it is asked for.
    Refuses,
    /// It says that it holds everything.
    Boasts,
    /// It flips a bit anywhere in some of its messages.
    Garbles,
}

impl Pollution {
    /// All of them.
    pub const ALL: [Pollution; 10] = [
        Pollution::Source,
        Pollution::Coded,
        Pollution::Hashes,
        Pollution::Places,
        Pollution::Repeats,
        Pollution::Pushes,
        Pollution::Withholds,
        Pollution::Refuses,
        Pollution::Boasts,
        Pollution::Garbles,
    ];
}

/// A peer's access to the network.
///
/// The model, message by message: a message waits for its sender's uplink (first come, first served over all of the
/// sender's connections), travels the two ends' latencies, and waits for its receiver's downlink. Channels are reliable and
/// ordered, so loss never loses a message: it shows as the rate to which a loss-driven congestion control falls (Mathis et al.,
/// CCR 27(3), 1997: 1.22 packets over round trip times root of loss), and as one round trip more for messages that lost a packet.
/// Credit comes back as a message leaves, and what arrives takes of its receiver's uplink what the acknowledgements need. What the
/// model leaves out: slow start, queues inside the network and what they drop, connectivity checks, sharing of an uplink packet by
/// packet, and cross traffic; HTTP and the relay's socket suffer latency and rates but no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Bytes a second to the network.
    pub up_bytes_per_s: u64,
    /// Bytes a second from the network.
    pub down_bytes_per_s: u64,
    /// Microseconds from here to the network's middle, one way.
    pub latency_micros: u64,
    /// Packets lost between here and the network's middle, per million.
    pub loss_ppm: u32,
}

impl Link {
    /// A good home connection: 20 Mbit/s up, 100 down, 10 ms, no loss.
    pub const HOME: Link =
        Link { up_bytes_per_s: 2_500_000, down_bytes_per_s: 12_500_000, latency_micros: 10_000, loss_ppm: 0 };
    /// A mobile one: 4 Mbit/s up, 16 down, 30 ms, 0.1 % loss.
    pub const MOBILE: Link =
        Link { up_bytes_per_s: 500_000, down_bytes_per_s: 2_000_000, latency_micros: 30_000, loss_ppm: 1000 };
    /// A server's: 1 Gbit/s, 5 ms, no loss.
    pub const SERVER: Link = Link {
        up_bytes_per_s: 125_000_000,
        down_bytes_per_s: 125_000_000,
        latency_micros: 5_000,
        loss_ppm: 0,
    };
}

/// The relay: tracker, HTTP server and its own node behind one link.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaySpec {
    /// Its link.
    pub link: Link,
    /// Its node's configuration; key and seed are drawn by the world. Not used when no content is `by_relay`.
    pub config: Config,
    /// How its tracker places replicas ahead of demand.
    pub ahead: AheadSettings,
}

impl Default for RelaySpec {
    fn default() -> Self {
        RelaySpec { link: Link::SERVER, config: Config::new([0; 32], 0), ahead: AheadSettings::default() }
    }
}

/// Something that happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A visitor closes its tab: its channels end at once.
    Leave(usize),
    /// A visitor is gone without a word: the others notice five seconds later.
    Vanish(usize),
    /// A visitor vanishes as soon as others have received every source symbol of a content between them, each at least once.
    VanishOnceSpread {
        /// Who.
        peer: usize,
        /// Which content.
        content: usize,
    },
    /// A visitor who left comes back with its store and its key, and asks again for what it had not received.
    Return(usize),
    /// A visitor's link changes.
    Relink(usize, Link),
    /// The relay dies with its sockets, its HTTP server and its node; peers notice at once.
    RelayDies,
    /// The relay starts again, knowing nothing; its node and HTTP server too.
    RelayReturns,
}

/// Comings and goings of visitors who all want one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Churn {
    /// Mean milliseconds between two arrivals; each gap is drawn between half and one and a half of it.
    pub arrival_ms: u64,
    /// Mean milliseconds of a visit, drawn likewise.
    pub stay_ms: u64,
    /// One visitor of so many vanishes rather than leaves.
    pub vanish_one_in: u64,
}

impl Scenario {
    /// An empty world of five minutes.
    pub fn new(seed: u64) -> Self {
        Scenario {
            seed,
            contents: Vec::new(),
            peers: Vec::new(),
            relay: RelaySpec::default(),
            walls: Vec::new(),
            actions: Vec::new(),
            until: Time::from_millis(300_000),
        }
    }

    /// One more content; gives its place.
    pub fn content(&mut self, length: u64, by_http: bool, by_relay: bool) -> usize {
        self.contents.push(ContentSpec { length, by_http, by_relay });
        self.contents.len() - 1
    }

    /// One more visitor; gives its place.
    pub fn peer(&mut self, spec: PeerSpec) -> usize {
        self.peers.push(spec);
        self.peers.len() - 1
    }

    /// This happens after so many milliseconds.
    pub fn at_ms(&mut self, ms: u64, action: Action) {
        self.actions.push((Time::from_millis(ms), action));
    }

    /// `count` more visitors who want `content`, on links drawn from `links`, coming and going.
    pub fn churn(&mut self, churn: Churn, count: usize, content: usize, links: &[Link]) {
        let mut dice = Dice::new(self.seed ^ 0x6368_7572_6e00_0000);
        let mut now_ms = 0;
        for _ in 0..count {
            now_ms += dice.around(churn.arrival_ms);
            let link =
                links.get(dice.below(links.len().max(1) as u64) as usize).copied().unwrap_or(Link::HOME);
            let peer = self.peer(PeerSpec::new(link).wanting(content).joining_at_ms(now_ms));
            let vanishes = dice.below(churn.vanish_one_in.max(1)) == 0;
            let action = if vanishes { Action::Vanish(peer) } else { Action::Leave(peer) };
            self.at_ms(now_ms + dice.around(churn.stay_ms), action);
        }
    }

    /// A world in which a little of everything happens: the one whose trace is compared between native and wasm.
    pub fn mixed(seed: u64) -> Self {
        let mut scenario = Scenario::new(seed);
        let large = scenario.content(3_000_000, true, false);
        let small = scenario.content(700_001, true, true);
        let seeder = scenario.peer(PeerSpec::new(Link::HOME).publishing(large));
        scenario.peer(PeerSpec::new(Link::MOBILE).wanting(large).wanting(small));
        let mut polluter = PeerSpec::new(Link::HOME).publishing(large);
        polluter.pollutes = Some(Pollution::Source);
        scenario.peer(polluter);
        let lossy = Link { loss_ppm: 10_000, ..Link::HOME };
        scenario.churn(
            Churn { arrival_ms: 700, stay_ms: 20_000, vanish_one_in: 3 },
            8,
            large,
            &[Link::HOME, Link::MOBILE, lossy],
        );
        scenario.at_ms(2_500, Action::Relink(seeder, Link::MOBILE));
        scenario.at_ms(4_000, Action::RelayDies);
        scenario.at_ms(6_000, Action::RelayReturns);
        scenario.at_ms(9_000, Action::Leave(seeder));
        scenario
    }
}
