//! Several nodes on one virtual clock, with a relay that introduces everyone to everyone. The simulator runs the real tracker
//! and links with loss and delay; here a peer has one uplink of a given rate, so that a test is a few lines.
#![allow(dead_code, reason = "each test file uses its own part")]

use core::time::Duration;
use peeredge_dts::Layout;
use peeredge_node::{
    Area, Config, Event, HttpFailure, Input, LiveNews, Node, Output, Publisher, Resource, Role, Server,
};
use peeredge_wire::relay::{CarryEnd, FromRelay, Holding, ToRelay};
use peeredge_wire::{ConnectionId, ContentId, PeerId, RequestId, Time};
use std::collections::{BTreeMap, BTreeSet};

pub const CREDIT: u64 = 1 << 20;

/// From the right bytes to what a server answers instead.
pub type Answer = Box<dyn Fn(Vec<u8>) -> Result<Vec<u8>, HttpFailure>>;
/// From a message to what is sent instead of it.
pub type Tamper = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

pub struct Peer {
    pub node: Node,
    pub relay_up: bool,
    pub alive: bool,
    pub store: BTreeMap<ContentId, Stored>,
    pub got: BTreeMap<RequestId, Vec<u8>>,
    pub heads: BTreeMap<RequestId, (u64, u64, u64)>,
    pub ended: BTreeMap<RequestId, Result<(), &'static str>>,
    pub events: Vec<Event>,
    pub tasks: Vec<peeredge_wire::relay::TaskFromRelay>,
    pub lives: Vec<(RequestId, LiveNews)>,
    /// What it signed for.
    pub receipts: Vec<peeredge_wire::relay::Receipt>,
    /// What it said about tasks.
    pub task_frames: Vec<peeredge_wire::relay::TaskToRelay>,
    pub http: BTreeMap<ContentId, Stored>,
    pub http_gets: Vec<(Server, Resource)>,
    pub http_cancelled: usize,
    pub origin: Option<Answer>,
    /// How long the site's server waits before it answers.
    pub origin_waits: Duration,
    pub http_bytes_per_s: u64,
    http_free: Time,
    /// What leaves instead of each message: a liar in the test is one function.
    pub tamper: Option<Tamper>,
    pub sent_bytes: u64,
    /// Offers, answers and candidates that left.
    pub signals: u32,
    pub uplink_bytes_per_s: u64,
    uplink_free: Time,
    /// Shared by all of its connections.
    pub downlink_bytes_per_s: u64,
    downlink_free: Time,
    /// What one connection carries, as loss would have it.
    pub connection_bytes_per_s: u64,
    connection_free: BTreeMap<ConnectionId, Time>,
    pub connections: BTreeMap<ConnectionId, PeerId>,
    offers: BTreeMap<ConnectionId, Role>,
}

#[derive(Clone, Default)]
pub struct Stored {
    pub data: Vec<u8>,
    pub records: Vec<u8>,
    pub state: Vec<u8>,
    pub manifest: Vec<u8>,
}

pub struct World {
    pub now: Time,
    pub peers: Vec<Peer>,
    pub relay_alive: bool,
    /// Whether two peers find a direct path.
    pub direct_paths: bool,
    /// What the relay says that it carries for each peer.
    pub carried_bytes_per_s: u32,
    /// Bytes of pieces that passed through the relay.
    pub carried_bytes: u64,
    heads: BTreeMap<(PeerId, String), Vec<u8>>,
    announced: BTreeMap<(usize, ContentId), (u16, u8)>,
    queue: BTreeMap<(Time, u64), (usize, Input)>,
    /// Of these, what has passed its receiver's downlink.
    through: BTreeSet<u64>,
    sequence: u64,
    links: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    sessions: BTreeMap<(PeerId, PeerId, u64), ()>,
}

/// Bytes that no two offsets share by accident.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2).wrapping_add(1);
    let step = |x: &mut u64| {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x as u8
    };
    (0..len).map(|_| step(&mut x)).collect()
}

pub fn publish(data: &[u8]) -> (ContentId, Stored) {
    publish_as(data, Layout::for_length(data.len() as u64).unwrap())
}

/// As [`publish`], cut in another way.
pub fn publish_as(data: &[u8], layout: Layout) -> (ContentId, Stored) {
    let mut publisher = Publisher::with_layout(layout, "sample.bin", "application/octet-stream");
    publisher.push(data).unwrap();
    let published = publisher.finish().unwrap();
    let stored = Stored {
        data: data.to_vec(),
        records: publisher.take_records(),
        state: published.state,
        manifest: published.manifest,
    };
    (published.content, stored)
}

/// What a relay says that lets a peer in.
pub fn welcome() -> FromRelay {
    FromRelay::Welcome {
        version: peeredge_wire::PROTOCOL_VERSION,
        report_every_s: 10,
        frames_per_s: 50,
        frames_burst: 400,
    }
}

impl World {
    pub fn new() -> Self {
        World {
            now: Time::from_millis(1),
            peers: Vec::new(),
            relay_alive: true,
            direct_paths: true,
            carried_bytes_per_s: 0,
            carried_bytes: 0,
            heads: BTreeMap::new(),
            announced: BTreeMap::new(),
            queue: BTreeMap::new(),
            through: BTreeSet::new(),
            sequence: 0,
            links: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        let n = self.peers.len();
        let mut config = Config::new([n as u8 + 1; 32], n as u64);
        config.http = false;
        change(&mut config);
        self.peers.push(Peer {
            node: Node::new(config),
            relay_up: false,
            alive: true,
            store: BTreeMap::new(),
            got: BTreeMap::new(),
            heads: BTreeMap::new(),
            ended: BTreeMap::new(),
            events: Vec::new(),
            tasks: Vec::new(),
            lives: Vec::new(),
            receipts: Vec::new(),
            task_frames: Vec::new(),
            http: BTreeMap::new(),
            http_gets: Vec::new(),
            http_cancelled: 0,
            origin: None,
            origin_waits: Duration::ZERO,
            http_bytes_per_s: u64::MAX,
            http_free: Time::ZERO,
            tamper: None,
            sent_bytes: 0,
            signals: 0,
            uplink_bytes_per_s: 10_000_000,
            uplink_free: Time::ZERO,
            downlink_bytes_per_s: u64::MAX,
            downlink_free: Time::ZERO,
            connection_bytes_per_s: u64::MAX,
            connection_free: BTreeMap::new(),
            connections: BTreeMap::new(),
            offers: BTreeMap::new(),
        });
        self.drain(n);
        n
    }

    pub fn hold(&mut self, peer: usize, content: ContentId, stored: &Stored) {
        self.peers[peer].store.insert(content, stored.clone());
        self.input(peer, Input::Stored { content, state: stored.state.clone() });
    }

    pub fn fetch(&mut self, peer: usize, request: u32, content: ContentId, range: peeredge_node::RangeSpec) {
        self.input(peer, Input::Fetch { request: RequestId(request), content, range });
        self.input(peer, Input::Pull { request: RequestId(request), bytes: u64::MAX / 2 });
    }

    pub fn kill(&mut self, peer: usize) {
        self.peers[peer].alive = false;
        let gone: Vec<_> = self.links.iter().filter(|(from, _)| from.0 == peer).map(|(_, to)| *to).collect();
        self.links.retain(|from, to| from.0 != peer && to.0 != peer);
        self.announced.retain(|(p, _), _| *p != peer);
        for (other, connection) in gone {
            self.input(other, Input::Closed { connection });
        }
    }

    pub fn kill_relay(&mut self) {
        self.relay_alive = false;
        for peer in 0..self.peers.len() {
            self.input(peer, Input::RelayClosed);
        }
    }

    pub fn input(&mut self, peer: usize, input: Input) {
        if self.peers[peer].alive {
            let now = self.now;
            self.peers[peer].node.handle(now, input);
            self.drain(peer);
        }
    }

    fn later(&mut self, peer: usize, input: Input) {
        self.at(self.now + Duration::from_millis(1), peer, input);
    }

    fn at(&mut self, at: Time, peer: usize, input: Input) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (peer, input));
    }

    /// Tells a peer that every round trip of its takes so long.
    pub fn round_trips(&mut self, peer: usize, micros: u64) {
        let connections: Vec<ConnectionId> = self.peers[peer].connections.keys().copied().collect();
        for connection in connections {
            self.input(peer, Input::RoundTrip { connection, micros });
        }
    }

    /// Runs until `done` or until `limit_s` virtual seconds have passed; tells whether `done`.
    pub fn run_until(&mut self, limit_s: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        let limit = self.now + Duration::from_secs(limit_s);
        while !done(self) {
            let queued = self.queue.keys().next().map(|k| k.0);
            let deadlines = self.peers.iter().filter(|p| p.alive).filter_map(|p| p.node.deadline());
            let Some(next) = queued.into_iter().chain(deadlines).min() else { return done(self) };
            if next > limit {
                return false;
            }
            self.now = next.max(self.now);
            if queued.is_some_and(|at| at <= self.now) {
                let ((_, sequence), (peer, input)) = self.queue.pop_first().unwrap();
                match &input {
                    Input::Message { message, .. }
                        if self.peers[peer].downlink_bytes_per_s < u64::MAX
                            && !self.through.remove(&sequence) =>
                    {
                        let Peer { downlink_bytes_per_s, downlink_free, .. } = &mut self.peers[peer];
                        let takes = message.len() as u64 * 1_000_000 / *downlink_bytes_per_s;
                        *downlink_free = (*downlink_free).max(self.now) + Duration::from_micros(takes);
                        let at = *downlink_free;
                        self.at(at, peer, input);
                        self.through.insert(self.sequence);
                    }
                    _ => self.input(peer, input),
                }
            } else {
                for peer in 0..self.peers.len() {
                    if self.peers[peer].node.deadline().is_some_and(|d| d <= self.now) {
                        self.input(peer, Input::Wake);
                    }
                }
            }
        }
        true
    }

    pub fn finished(&self, peer: usize, request: u32) -> bool {
        self.peers[peer].ended.contains_key(&RequestId(request))
    }

    pub fn got(&self, peer: usize, request: u32) -> &[u8] {
        assert_eq!(
            self.peers[peer].ended.get(&RequestId(request)),
            Some(&Ok(())),
            "request {request} of peer {peer}"
        );
        self.peers[peer].got.get(&RequestId(request)).map_or(&[], |v| v)
    }

    fn drain(&mut self, from: usize) {
        while let Some(output) = self.peers[from].node.poll() {
            self.output(from, output);
        }
    }

    fn output(&mut self, from: usize, output: Output) {
        match output {
            Output::RelayConnect if self.relay_alive => {
                self.later(from, Input::RelayOpened);
                let challenge = FromRelay::Challenge { nonce: [7; 32], relay: PeerId([0; 32]) };
                self.later(from, Input::RelayMessage(challenge.encode()));
            }
            Output::RelayConnect => self.later(from, Input::RelayClosed),
            Output::RelaySend(frame) => self.relay(from, ToRelay::decode(&frame).unwrap()),
            Output::RelayClose | Output::Stun { .. } => {}
            Output::Open { connection, peer, role } => {
                self.peers[from].connections.insert(connection, peer);
                self.peers[from].offers.insert(connection, role);
                if role == Role::Offerer {
                    self.later(from, Input::Signal { connection, signal: b"offer".to_vec() });
                }
            }
            Output::Signal { connection, signal } => match signal.as_slice() {
                b"offer" => self.later(from, Input::Signal { connection, signal: b"answer".to_vec() }),
                _ => self.join(from, connection),
            },
            Output::Send { connection, message } => {
                let len = message.len() as u64;
                self.peers[from].sent_bytes += len;
                let messages = match &mut self.peers[from].tamper {
                    Some(tamper) => tamper(message),
                    None => vec![message],
                };
                // One uplink for all of a peer's connections; credit comes back as it drains.
                let takes = Duration::from_micros(len * 1_000_000 / self.peers[from].uplink_bytes_per_s);
                let gone = self.peers[from].uplink_free.max(self.now) + takes;
                self.peers[from].uplink_free = gone;
                let takes = Duration::from_micros(len * 1_000_000 / self.peers[from].connection_bytes_per_s);
                let free = self.peers[from].connection_free.entry(connection).or_insert(Time::ZERO);
                *free = (*free).max(self.now) + takes;
                let gone = gone.max(*free);
                self.at(gone, from, Input::Credit { connection, bytes: len });
                if let Some(&(to, connection)) = self.links.get(&(from, connection)) {
                    for message in messages {
                        self.at(gone + Duration::from_millis(1), to, Input::Message { connection, message });
                    }
                }
            }
            Output::Close { connection } => {
                if let Some((to, other)) = self.links.remove(&(from, connection)) {
                    self.links.remove(&(to, other));
                    self.later(to, Input::Closed { connection: other });
                }
            }
            Output::StoreRead { token, content, area, offset, len } => {
                let bytes = self.peers[from].store.get(&content).and_then(|s| {
                    let area = if area == Area::Data { &s.data } else { &s.records };
                    area.get(offset as usize..offset as usize + len as usize).map(<[u8]>::to_vec)
                });
                self.later(from, Input::Read { token, bytes });
            }
            Output::StoreWrite { content, area, offset, bytes } => {
                let stored = self.peers[from].store.entry(content).or_default();
                let area = if area == Area::Data { &mut stored.data } else { &mut stored.records };
                let end = offset as usize + bytes.len();
                area.resize(area.len().max(end), 0);
                area[offset as usize..end].copy_from_slice(&bytes);
            }
            Output::StoreState { content, state } => {
                self.peers[from].store.entry(content).or_default().state = state
            }
            Output::StoreRemove { content } => _ = self.peers[from].store.remove(&content),
            Output::HttpGet { token, content, resource, server, timeout_ms } => {
                self.peers[from].http_gets.push((server, resource));
                let result = match self.peers[from].http.get(&content) {
                    Some(stored) => Ok(match resource {
                        Resource::Manifest => stored.manifest.clone(),
                        Resource::Records { start, end } => {
                            stored.records[start as usize..end as usize].to_vec()
                        }
                        Resource::Bytes { start, end } => stored.data[start as usize..end as usize].to_vec(),
                    }),
                    None => Err(peeredge_node::HttpFailure::Status(404)),
                };
                let result = match (&self.peers[from].origin, server, result) {
                    (Some(answer), Server::Origin, Ok(bytes)) => answer(bytes),
                    (_, _, result) => result,
                };
                let bytes = result.as_ref().map_or(0, |body| body.len() as u64);
                let takes = Duration::from_micros(bytes * 1_000_000 / self.peers[from].http_bytes_per_s);
                let timeout = Duration::from_millis(u64::from(timeout_ms));
                let waits = self.peers[from].origin_waits;
                if server == Server::Origin && waits > timeout {
                    let result = Err(HttpFailure::Network);
                    return self.at(self.now + timeout, from, Input::Http { token, result });
                }
                let free = self.peers[from].http_free.max(self.now) + takes;
                self.peers[from].http_free = free;
                let waits = if server == Server::Origin { waits } else { Duration::ZERO };
                self.at(free + waits + Duration::from_millis(1), from, Input::Http { token, result });
            }
            Output::HttpCancel { .. } => self.peers[from].http_cancelled += 1,
            Output::Head { request, start, end, length, .. } => {
                self.peers[from].heads.insert(request, (start, end, length));
            }
            Output::Data { request, bytes } => self.peers[from].got.entry(request).or_default().extend(bytes),
            Output::Done { request } => _ = self.peers[from].ended.insert(request, Ok(())),
            Output::Failed { request, error } => {
                _ = self.peers[from].ended.insert(request, Err(error.code()))
            }
            Output::Task(task) => self.peers[from].tasks.push(task),
            Output::Live { follow, news } => self.peers[from].lives.push((follow, news)),
            Output::Event(event) => self.peers[from].events.push(event),
        }
    }

    /// The answer reached the offerer: both channels open.
    fn join(&mut self, offerer: usize, connection: ConnectionId) {
        let me = self.peers[offerer].node.id();
        let to = self.peers[offerer].connections[&connection];
        let Some(answerer) = self.peers.iter().position(|p| p.node.id() == to && p.alive) else { return };
        let other = self.peers[answerer].connections.iter().rev().find(|(c, p)| {
            let is_free = !self.links.contains_key(&(answerer, **c));
            **p == me && is_free && self.peers[answerer].offers[c] == Role::Answerer
        });
        let Some((&other, _)) = other else { return };
        self.links.insert((offerer, connection), (answerer, other));
        self.links.insert((answerer, other), (offerer, connection));
        self.later(offerer, Input::Opened { connection, credit_bytes: CREDIT });
        self.later(answerer, Input::Opened { connection: other, credit_bytes: CREDIT });
    }

    fn relay(&mut self, from: usize, message: ToRelay) {
        if !self.relay_alive {
            return;
        }
        match message {
            ToRelay::Hello { .. } => {
                self.peers[from].relay_up = true;
                self.later(from, Input::RelayMessage(welcome().encode()));
                if self.carried_bytes_per_s > 0 {
                    let carried_bytes_per_s = self.carried_bytes_per_s;
                    let paths = FromRelay::Paths { stun_port: 7, carried_bytes_per_s };
                    self.later(from, Input::RelayMessage(paths.encode()));
                }
            }
            ToRelay::Announce { content, have_permille, wants } => {
                self.announced.insert((from, content), (have_permille, wants));
                if wants > 0 {
                    let others: Vec<usize> = self
                        .announced
                        .iter()
                        .filter(|((p, c), _)| *p != from && *c == content && self.peers[*p].alive)
                        .map(|((p, _), _)| *p)
                        .collect();
                    for other in others {
                        let peer = self.peers[other].node.id();
                        let introduce = FromRelay::Introduce { content, peer, have_permille: 1000 };
                        self.later(from, Input::RelayMessage(introduce.encode()));
                    }
                }
            }
            ToRelay::Announces(all) => {
                for Holding { content, have_permille, wants } in all {
                    self.relay(from, ToRelay::Announce { content, have_permille, wants });
                }
            }
            ToRelay::Task(task) => self.peers[from].task_frames.push(task),
            ToRelay::Receipt(receipt) => self.peers[from].receipts.push(receipt),
            ToRelay::Signal { to, session, signal } => {
                let me = self.peers[from].node.id();
                self.sessions.insert((me, to, session), ());
                self.peers[from].signals += 1;
                // Without a path there are signals all the same; they lead to nothing.
                if !self.direct_paths && signal == b"answer" {
                    return;
                }
                if let Some(other) = self.peers.iter().position(|p| p.node.id() == to) {
                    let signal = FromRelay::Signal { from: me, session, signal };
                    self.later(other, Input::RelayMessage(signal.encode()));
                }
            }
            ToRelay::Head { name, head } => {
                let publisher = self.peers[from].node.id();
                self.heads.insert((publisher, name.clone()), head.clone());
                for other in 0..self.peers.len() {
                    let head = FromRelay::Head { publisher, name: name.clone(), head: head.clone() };
                    self.later(other, Input::RelayMessage(head.encode()));
                }
            }
            ToRelay::Follow { publisher, name } => {
                if let Some(head) = self.heads.get(&(publisher, name.clone())).cloned() {
                    let head = FromRelay::Head { publisher, name, head };
                    self.later(from, Input::RelayMessage(head.encode()));
                }
            }
            ToRelay::CarryOpen { to, session, credit_bytes } => {
                self.carry(from, to, |from| FromRelay::CarryOpen { from, session, credit_bytes });
            }
            ToRelay::Carry { to, session, last, piece } => {
                self.carried_bytes += piece.len() as u64;
                self.carry(from, to, |from| FromRelay::Carried { from, session, last, piece });
            }
            ToRelay::CarryCredit { to, session, bytes } => {
                self.carry(from, to, |from| FromRelay::CarryCredit { from, session, bytes });
            }
            ToRelay::CarryClose { to, session } => {
                let end = CarryEnd::Gone;
                self.carry(from, to, |peer| FromRelay::CarryClosed { peer, session, end });
            }
            _ => {}
        }
    }

    /// The latest head that a peer told the relay.
    pub fn head(&self, publisher: usize, name: &str) -> Vec<u8> {
        self.heads[&(self.peers[publisher].node.id(), name.to_owned())].clone()
    }

    fn carry(&mut self, from: usize, to: PeerId, message: impl FnOnce(PeerId) -> FromRelay) {
        let me = self.peers[from].node.id();
        if let Some(other) = self.peers.iter().position(|p| p.node.id() == to && p.alive) {
            self.later(other, Input::RelayMessage(message(me).encode()));
        }
    }
}
