//! Any sequence of frames of many peers, read from bytes, with what must hold whatever they say. `TRACKER=0..10000` plays as many worlds;
//! a world that fails is named by its seed, and `TRACKER=N..N+1` plays it alone. The fuzz target `tracker` in `tests/fuzz` runs the same.

use super::*;
use peeredge_tracker::TrackerOutput;
use peeredge_wire::relay::{CarryEnd, Holding, Report, TaskFromRelay};
use peeredge_wire::{SplitMix64, Time};
use std::collections::BTreeMap;

const KEYS: u32 = 14;
const CONTENTS: u64 = 4;
const ADDRESSES: usize = 4;
/// About 600 steps.
const SCRIPT_BYTES: usize = 5000;

/// What an onlooker knows.
#[derive(Default)]
struct Onlooker {
    introduced: BTreeMap<(u32, u32), Time>,
    /// Whom each network was shown, and when last.
    learned: BTreeMap<(u64, u32), Time>,
}

struct World<'a> {
    /// Bytes as decisions; zeros when they are used up.
    script: &'a [u8],
    place: Place,
    peers: Vec<Peer>,
    seen: Onlooker,
}

/// Networks of the keys: the last one is the relay's own.
fn owner(n: u32) -> u64 {
    u64::from(n % 5)
}

impl World<'_> {
    fn new(script: &[u8]) -> World<'_> {
        let place = Place::with(|c| {
            c.peers_max = 10;
            (c.contents_per_peer_max, c.announces_max) = (3, 400);
            (c.frames_per_s_max, c.frames_burst_max) = (200, 400);
            let owners = &mut c.owners;
            (owners.addresses_per_h, owners.addresses_per_h_of_one) = (ADDRESSES as u32, 3);
            (owners.addresses_earned, owners.live_contents_max, owners.owners_max) = (0, 5, 6);
            c.live_contents_max = 3;
            (c.carry.bytes_per_s_max, c.carry.bytes_per_s_all_max) = (1000, 8000);
            (c.accused_max, c.trust.senders_max) = (4, 3);
            c.ahead.slot_ms = 10_000;
            (c.ahead.day_slots, c.ahead.week_slots) = (6, 12);
        });
        World { script, place, peers: Vec::new(), seen: Onlooker::default() }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (here, rest) = self.script.split_at(N.min(self.script.len()));
        taken[..here.len()].copy_from_slice(here);
        self.script = rest;
        taken
    }

    fn below(&mut self, bound: u64) -> u64 {
        match bound {
            0..=256 => u64::from(self.bytes::<1>()[0]) % bound,
            _ => u64::from(u16::from_le_bytes(self.bytes())) % bound,
        }
    }

    fn number(&mut self) -> u64 {
        match self.below(6) {
            few @ 0..=1 => few,
            2 => 1000,
            3 => u64::from(u32::from_le_bytes(self.bytes())) % 100_000,
            4 => u64::MAX,
            _ => u64::from_le_bytes(self.bytes()),
        }
    }

    fn peer_id(&mut self) -> PeerId {
        match self.below(u64::from(KEYS) + 1) as u32 {
            n if n == KEYS => id(RELAY_KEY),
            n => peer_id(n),
        }
    }

    fn holding(&mut self) -> Holding {
        let content = content(self.below(CONTENTS) as u32);
        let have_permille = [0, 1, 500, 1000][self.below(4) as usize];
        Holding { content, have_permille, wants: [0, 1, 8, 255][self.below(4) as usize] }
    }

    fn message(&mut self, at: usize) -> ToRelay {
        let (peer, number) = (self.peer_id(), self.number());
        let session = self.below(3) << 16;
        let content = content(self.below(CONTENTS) as u32);
        match self.below(24) {
            0..=4 => {
                let Holding { content, have_permille, wants } = self.holding();
                ToRelay::Announce { content, have_permille, wants }
            }
            5 => {
                let count = 1 + self.below(6);
                ToRelay::Announces((0..count).map(|_| self.holding()).collect())
            }
            6 => ToRelay::Withdraw { content },
            7..=9 => ToRelay::Signal { to: peer, session, signal: vec![7; self.below(40) as usize] },
            10 => ToRelay::Report(Report {
                sent_bytes: number,
                wasted_bytes: number,
                channels: number as u16,
                ..Report::default()
            }),
            11 => ToRelay::Blame { accused: peer, content, block: 0 },
            12 => ToRelay::Capacity { up_bytes_per_s: number, cost_class: number as u8 },
            13 => ToRelay::Met { peer, opened_after_ms: (number % 2 == 0).then_some(5) },
            14 => receipt(&mut self.peers[at], peer, content, number, number as u32),
            15 => ToRelay::Spare { storage_bytes: number, up_bytes_per_s: number },
            16 => ToRelay::Length { content, bytes: number },
            17 => ToRelay::Gave { content, bytes: number },
            18 => ToRelay::CarryOpen { to: peer, session, credit_bytes: number as u32 },
            19 => ToRelay::Carry { to: peer, session, last: true, piece: vec![1; self.below(600) as usize] },
            20 => ToRelay::CarryCredit { to: peer, session, bytes: number as u32 },
            21 => ToRelay::CarryClose { to: peer, session },
            22 => ToRelay::Head { name: format!("{}", number % 4), head: vec![1; self.below(50) as usize] },
            _ if number % 2 == 0 => ToRelay::Follow { publisher: peer, name: format!("{}", number % 4) },
            _ => ToRelay::Unfollow { publisher: peer, name: format!("{}", number % 4) },
        }
    }

    fn step(&mut self) {
        match self.below(40) {
            0..=2 => self.joins(),
            3 if !self.peers.is_empty() => {
                let at = self.below(self.peers.len() as u64) as usize;
                let gone = self.peers.swap_remove(at);
                self.place.leave(gone.conn);
            }
            4..=6 => {
                let ms = [1, 50, 1_000, 6_000, 30_000, 700_000, 3_700_000][self.below(7) as usize];
                self.place.pass(ms);
            }
            7 if !self.peers.is_empty() => {
                // A frame with a bit turned, or of chance.
                let at = self.below(self.peers.len() as u64) as usize;
                let mut frame = self.message(at).encode();
                let bit = self.below(frame.len() as u64 * 8) as usize;
                frame[bit / 8] ^= 1 << (bit % 8);
                let conn = self.peers[at].conn;
                self.place.input(TrackerInput::Frame { conn, frame });
            }
            _ if !self.peers.is_empty() => {
                let at = self.below(self.peers.len() as u64) as usize;
                let message = self.message(at);
                let conn = self.peers[at].conn;
                self.place.say(conn, &message);
            }
            _ => self.joins(),
        }
        self.look();
    }

    fn joins(&mut self) {
        let n = self.below(u64::from(KEYS) + 1) as u32;
        if n == KEYS {
            if let Some((conn, nonce)) = self.place.try_open() {
                self.place.say(conn, &support::hello(RELAY_KEY, &nonce));
                self.place.announce(conn, content(0), 1000, 0);
            }
            return;
        }
        let (conn, nonce) = match self.place.try_open() {
            Some(opened) => opened,
            None => return,
        };
        self.place.input(TrackerInput::Owner { conn, owner: owner(n) });
        let signature = key_of(n).sign(&hello_payload(&nonce, &id(RELAY_KEY), AUTHORITY)).to_bytes();
        let (version, authority) = (PROTOCOL_VERSION, AUTHORITY.to_owned());
        self.place.say(conn, &ToRelay::Hello { version, peer: peer_id(n), signature, authority });
        self.peers.push(Peer { n, conn, nonce, epoch: 0 });
    }

    /// Reads everything that was said, and holds it against what must be so.
    fn look(&mut self) {
        let now = self.place.now;
        let stats = self.place.tracker.stats();
        self.peers.retain(|peer| self.place.closed(peer.conn).is_none());
        let alive: BTreeMap<u32, ConnId> = self.peers.iter().map(|peer| (peer.n, peer.conn)).collect();
        let number = |peer: &PeerId| (0..KEYS).find(|n| peer_id(*n) == *peer);
        for peer in self.peers.clone() {
            for frame in self.place.read(peer.conn) {
                match frame {
                    FromRelay::Introduce { peer: other, .. } if other != id(RELAY_KEY) => {
                        let other = number(&other).expect("only who has a key is introduced");
                        assert!(alive.contains_key(&other) && other != peer.n, "introduced to {other}");
                        let pair = (peer.n.min(other), peer.n.max(other));
                        self.seen.introduced.insert(pair, now);
                        self.seen.learned.insert((owner(peer.n), other), now);
                    }
                    FromRelay::Signal { from, .. } | FromRelay::CarryOpen { from, .. }
                        if from != id(RELAY_KEY) =>
                    {
                        let from = number(&from).expect("a key");
                        if matches!(frame, FromRelay::Signal { .. }) {
                            // A signal shows an address; repeated ones show no other.
                            self.seen.learned.entry((owner(peer.n), from)).or_insert(now);
                        }
                        let pair = (peer.n.min(from), peer.n.max(from));
                        assert!(
                            self.seen.introduced.contains_key(&pair),
                            "{from} was never introduced to {}",
                            peer.n
                        );
                    }
                    FromRelay::CarryClosed { end, .. } => assert!(CarryEnd::Gone as u8 <= end as u8),
                    FromRelay::Task(TaskFromRelay::Result { .. }) => panic!("nobody handed in a task"),
                    _ => {}
                }
            }
        }
        for network in 0..5 {
            let of = self
                .seen
                .learned
                .iter()
                .filter(|((owner, _), at)| *owner == network && now.since(**at).as_secs() < 3600);
            let learned = of.count();
            assert!(learned <= ADDRESSES, "network {network} learned of {learned} peers in an hour");
        }
        assert!(stats.connections <= 10 && stats.peers <= stats.connections);
        assert!(stats.announces <= 3 * stats.peers + 4 * CONTENTS as usize, "{} announces", stats.announces);
        assert!(stats.carry_sessions <= 4, "{} sessions", stats.carry_sessions);
        assert!(stats.live_contents <= 5 * 5 + 3, "{} live contents", stats.live_contents);
        assert!(stats.owners <= 6 + stats.peers, "{} owners", stats.owners);
        assert!(stats.purses.iter().all(|purse| purse.spent.is_finite()));
        assert!(self.place.tracker.deadline().is_none_or(|at| at > now), "what was due was not done");
    }

    /// Everybody leaves, and nothing is left.
    fn end(mut self) {
        self.place.input(TrackerInput::Shutdown);
        let stats = self.place.tracker.stats();
        let left =
            [stats.connections, stats.peers, stats.announces, stats.live_contents, stats.carry_sessions];
        assert_eq!(left, [0; 5]);
        while let Some(output) = self.place.tracker.poll() {
            assert!(!matches!(output, TrackerOutput::Send { .. }), "nothing is said behind the end");
        }
    }
}

/// Plays the script to its end.
pub fn run(script: &[u8]) {
    let mut world = World::new(script);
    while !world.script.is_empty() {
        world.step();
    }
    world.end();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "only the choice of seeds comes from outside")]
fn random_frames_of_many_peers_keep_every_rule() {
    let seeds = std::env::var("TRACKER").ok();
    let seeds = seeds.as_deref().and_then(|s| s.split_once("..")).map_or(0..60, |(from, to)| {
        from.parse().expect("TRACKER is FROM..TO")..to.parse().expect("TRACKER is FROM..TO")
    });
    for seed in seeds {
        let mut dice = SplitMix64::new(seed);
        let script: Vec<u8> = (0..SCRIPT_BYTES).map(|_| dice.next_u64() as u8).collect();
        if let Err(panic) = std::panic::catch_unwind(|| run(&script)) {
            eprintln!("TRACKER={seed}..{} plays this world again", seed + 1);
            std::panic::resume_unwind(panic);
        }
    }
}
