//! One relay's mind: what comes in, and which room takes it. [`entering`] knows who is here, [`introducing`] tells whom of whom,
//! [`hearing`] weighs what peers say, [`passing`] carries between two.

mod entering;
mod hearing;
mod introducing;
mod passing;

use crate::ahead::Ahead;
use crate::blame::Blames;
use crate::bucket::Bucket;
use crate::carry::Carries;
use crate::config::TrackerConfig;
use crate::io::{ConnId, TrackerInput, TrackerOutput};
use crate::live::Lives;
use crate::meetings::Meetings;
use crate::owners::{OwnerId, Owners, Seat, number};
use crate::purse::Purses;
use crate::standing::{Party, Standings};
use crate::stats::TrackerStats;
use crate::tasks::{self, Tasks};
use core::time::Duration;
use passing::Shares;
use peeredge_hvm::{BytesPerS, Owner, Units};
use peeredge_routing::matching::{Matcher, Terms};
use peeredge_routing::registry::{Member, Registry, RegistryLimits};
use peeredge_wire::relay::{
    CarryEnd, ErrorCode, FromRelay, Holding, TaskFromRelay, TaskRefusal, TaskRequest, TaskToRelay, ToRelay,
};
use peeredge_wire::{DecodeError, PROTOCOL_VERSION, PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

/// Open channels that the peers of one owner are believed to have together.
const CHANNELS_OF_OWNER_MAX: u16 = 4096;
/// Between two reminders to one connection that it sends too fast; a reminder a frame would double the flood.
const REMIND_AFTER: Duration = Duration::from_secs(1);
/// Steps of the market, each below a microsecond, when it is woken, and how soon after the last input that is while it is behind.
const MARKET_STEPS: u32 = 1000;
const MARKET_AFTER: Duration = Duration::from_millis(20);

/// One relay's mind. [`Tracker::handle`] takes an input, [`Tracker::poll`] gives outputs until there are none, and
/// [`Tracker::deadline`] says when to wake it.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    challenges: u64,
    conns: BTreeMap<ConnId, Conn>,
    peers: BTreeMap<PeerId, ConnId>,
    /// Connections that must prove a key, and by when: all have the same time, so the first is due first.
    hellos: VecDeque<(Time, ConnId)>,
    registry: Registry,
    matcher: Matcher,
    blames: Blames,
    standings: Standings,
    purses: Purses,
    ahead: Ahead,
    tasks: Option<Tasks>,
    carries: Carries,
    lives: Lives,
    owners: Owners,
    counts: TrackerStats,
    out: VecDeque<TrackerOutput>,
    stopping: bool,
    now: Time,
}

#[derive(Debug)]
struct Conn {
    stage: Stage,
    bucket: Bucket,
    reminded: Option<Time>,
    /// When it was last told that its owner may learn of nobody else for now.
    told_quota: Option<Time>,
    owner: Option<u64>,
    /// Whether each of its owner's keys is a party of its own.
    alone: bool,
    /// The site that its page is of, and whether it may hand tasks in.
    site: Option<u64>,
    may_submit: bool,
    cost_class: u8,
}

impl Conn {
    /// Whose seats it takes.
    fn quota(&self) -> Option<OwnerId> {
        match (self.owner, &self.stage) {
            (Some(owner), _) => Some(OwnerId(owner)),
            (None, Stage::Ready(peer)) => Some(OwnerId(number(&peer.id))),
            (None, Stage::Challenged { .. }) => None,
        }
    }

    /// Who judges and is judged; none where the key stands for itself.
    fn judge(&self) -> Option<u64> {
        self.owner.filter(|_| !self.alone)
    }
}

#[derive(Debug)]
enum Stage {
    /// It has been given this challenge, and must name one of these addresses.
    Challenged { nonce: [u8; 32], authorities: Vec<String> },
    /// It has proved its key.
    Ready(Peer),
}

#[derive(Debug)]
struct Peer {
    id: PeerId,
    reported: Time,
    units: Units,
    channels: u16,
    /// The challenge that it answered; its receipts are bound to it.
    nonce: [u8; 32],
    receipt_epoch: u32,
    /// What it says to give at most, and of which class of cost it says to be at least.
    up_bytes_per_s_max: u64,
    cost_class: u8,
    meetings: Meetings,
    /// What peers of each owner may still signal to this one.
    shares: Shares,
    /// How often its capacity may change the market, and whether a change waits.
    terms: Bucket,
    terms_wait: bool,
    offers_room: bool,
}

/// What ends a connection, or only a message: the code says which.
struct Refusal {
    code: ErrorCode,
    detail: String,
}

fn refuse(code: ErrorCode, detail: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal { code, detail: detail.into() })
}

impl Tracker {
    /// A tracker that knows no one.
    pub fn new(config: TrackerConfig) -> Self {
        let limits = RegistryLimits {
            entries_max: config.announces_max,
            entries_per_member_max: config.contents_per_peer_max,
        };
        let draws = blake3::derive_key("peeredge tracker draws v1", &config.seed);
        let mut seed = [0; 8];
        seed.copy_from_slice(&draws[..8]);
        let mut matcher = Matcher::new(config.matching, u64::from_le_bytes(seed));
        for publisher in &config.publishers {
            publisher.contents.iter().for_each(|content| matcher.set_value(*content, publisher.value_per_gb));
        }
        Tracker {
            registry: Registry::new(limits),
            matcher,
            blames: Blames::new(
                config.accused_max,
                usize::from(config.accusers_min),
                Duration::from_secs(u64::from(config.blame_for_s)),
            ),
            standings: Standings::new(config.trust),
            purses: Purses::new(&config.publishers),
            ahead: Ahead::new(config.ahead),
            tasks: config.tasks.clone().map(|settings| {
                Tasks::new(config.relay, settings, config.tasks_per_peer_max, config.task_quotas)
            }),
            carries: Carries::new(config.carry),
            lives: Lives::default(),
            owners: Owners::new(config.owners),
            challenges: 0,
            conns: BTreeMap::new(),
            peers: BTreeMap::new(),
            hellos: VecDeque::new(),
            counts: TrackerStats::default(),
            out: VecDeque::new(),
            stopping: false,
            now: Time::ZERO,
            config,
        }
    }

    /// Takes one input. Call [`Tracker::poll`] until it gives `None` afterwards.
    pub fn handle(&mut self, now: Time, input: TrackerInput) {
        self.now = now;
        match input {
            TrackerInput::Connected { conn, authorities } => self.connected(now, conn, authorities),
            TrackerInput::Frame { conn, frame } => self.frame(now, conn, &frame),
            TrackerInput::Closed { conn } => self.forget(conn),
            TrackerInput::Owner { conn, owner } => self.owned(now, conn, owner),
            TrackerInput::Alone { conn } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.alone = true;
                }
            }
            TrackerInput::Site { conn, site, may_submit } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    (conn.site, conn.may_submit) = (site, may_submit);
                }
            }
            TrackerInput::CostClass { conn, class } => {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.cost_class = class;
                    self.set_terms(now, conn);
                }
            }
            TrackerInput::Wake => {
                self.matcher.go_on(MARKET_STEPS);
                if let Some(tasks) = &mut self.tasks {
                    tasks.wake(now);
                }
            }
            TrackerInput::Shutdown => {
                self.stopping = true;
                for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                    self.close(conn, ErrorCode::ShuttingDown, "the relay is going down");
                }
            }
        }
        self.expire_hellos(now);
        self.expire_carries(now);
        self.pass_heads(now);
        self.place_ahead(now);
        self.send_tasks();
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<TrackerOutput> {
        self.out.pop_front()
    }

    /// When to call `handle(now, TrackerInput::Wake)` at the latest. The reasons to wake are a hello that does not come, a session
    /// through the relay that nobody takes, a head that waits, the end of a slot in which demand is counted, a market that is behind,
    /// and tasks: blames, meetings and rates are compared with the time when they are looked at.
    pub fn deadline(&self) -> Option<Time> {
        let hello = self.hellos.front().map(|(at, _)| *at);
        let tasks = self.tasks.as_ref().and_then(Tasks::deadline);
        let market = self.matcher.is_behind().then(|| self.now + MARKET_AFTER);
        let others = [self.carries.deadline(), self.lives.deadline(), self.ahead.deadline(), tasks, market];
        hello.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// On what terms a peer serves now.
    pub fn terms(&self, conn: ConnId) -> Option<Terms> {
        self.matcher.terms(member(conn))
    }

    /// A picture of the tracker.
    pub fn stats(&self) -> TrackerStats {
        let mut reported = self.counts.reported;
        // Keys are free: those of one owner have one line, and so many channels, together.
        let mut claims: BTreeMap<Option<OwnerId>, (Units, u16)> = BTreeMap::new();
        for conn in self.conns.values() {
            if let Stage::Ready(peer) = &conn.stage {
                let (units, channels) = claims.entry(conn.quota()).or_default();
                *units = *units + peer.units;
                *channels = channels.saturating_add(peer.channels);
            }
        }
        let mut pooled = Units::default();
        let line = BytesPerS(self.config.trust.plausible_bytes_per_s_max);
        for (units, channels) in claims.into_values() {
            pooled = pooled + Units { up: units.up.min(line), down: units.down.min(line), ..units };
            reported.channels = reported.channels.saturating_add(channels.min(CHANNELS_OF_OWNER_MAX));
        }
        let (workers, tasks) = self.tasks.as_ref().map_or((0, 0), Tasks::counts);
        TrackerStats {
            workers,
            tasks,
            dispatched: self.tasks.as_ref().map(Tasks::stats).unwrap_or_default(),
            computing: self.tasks.as_ref().map(Tasks::units).unwrap_or_default(),
            reported,
            pooled,
            connections: self.conns.len(),
            peers: self.peers.len(),
            relay_node: self.peers.contains_key(&self.config.relay),
            contents: self.registry.contents(),
            announces: self.registry.entries(),
            ahead: self.ahead.stats(),
            rates_foretold: self.standings.foretold(),
            market: self.matcher.picture(),
            purses: self.purses.stats(),
            barred: self.blames.barred_count(self.now),
            carry_sessions: self.carries.count(),
            live_contents: self.lives.count(),
            owners: self.owners.count(),
            ..self.counts.clone()
        }
    }

    fn frame(&mut self, now: Time, conn: ConnId, frame: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let own = matches!(&state.stage, Stage::Ready(peer) if peer.id == self.config.relay);
        // Pieces of a session that both sides took are metered by their bytes.
        let metered = ToRelay::carried_in(frame).is_some_and(|(to, session)| {
            self.peers.get(&to).is_some_and(|other| self.carries.passes(conn, *other, session))
        });
        // An answer that the relay asked for may be long; a worker of many small tasks shows many.
        let is_asked = match (&state.stage, TaskToRelay::shown(frame)) {
            (Stage::Ready(peer), Some(lease)) => {
                self.tasks.as_ref().is_some_and(|tasks| tasks.leased_to(lease, peer.id))
            }
            _ => false,
        };
        let cost = if is_asked { 1 } else { ToRelay::cost(frame) };
        if !own && !metered && !state.bucket.take(now, cost) {
            if state.reminded.is_none_or(|at| now.since(at) >= REMIND_AFTER) {
                state.reminded = Some(now);
                let retry_after_ms = state.bucket.full_after_ms();
                self.tell(conn, ErrorCode::TooFast, retry_after_ms, "frames are dropped until you slow down");
            }
            return;
        }
        self.counts.frames += 1;
        let result = match ToRelay::decode(frame) {
            Ok(message) => self.message(now, conn, message),
            Err(DecodeError::Version(_)) => {
                refuse(ErrorCode::Version, format!("this relay speaks version {PROTOCOL_VERSION}"))
            }
            Err(error @ DecodeError::TooLong { .. }) => refuse(ErrorCode::TooLarge, error.to_string()),
            Err(error) => refuse(ErrorCode::Malformed, error.to_string()),
        };
        match result {
            Ok(()) => {}
            Err(Refusal { code, detail }) if code.closes() => self.close(conn, code, &detail),
            Err(Refusal { code, detail }) => self.tell(conn, code, 0, &detail),
        }
    }

    fn message(&mut self, now: Time, conn: ConnId, message: ToRelay) -> Result<(), Refusal> {
        let peer = match self.conns.get_mut(&conn).map(|c| &mut c.stage) {
            Some(Stage::Ready(peer)) => peer.id,
            Some(Stage::Challenged { nonce, authorities }) => {
                let (nonce, authorities) = (*nonce, core::mem::take(authorities));
                return match message {
                    ToRelay::Hello { peer, signature, authority, .. } => {
                        if !authorities.contains(&authority) {
                            return refuse(
                                ErrorCode::Unauthorised,
                                "the proof is for another relay's address",
                            );
                        }
                        self.hello(now, conn, &nonce, peer, &signature, &authority)
                    }
                    _ => refuse(ErrorCode::OutOfOrder, "say hello first"),
                };
            }
            None => return Ok(()),
        };
        match message {
            ToRelay::Hello { .. } => refuse(ErrorCode::OutOfOrder, "the key is already proved"),
            ToRelay::Announce { content, have_permille, wants } => {
                let said = Holding { content, have_permille, wants };
                self.announces(now, conn, peer, &[said]);
                Ok(())
            }
            ToRelay::Announces(all) => {
                self.announces(now, conn, peer, &all);
                Ok(())
            }
            ToRelay::Withdraw { content } => {
                let withdrawn = self.registry.withdraw(member(conn), content);
                self.matcher.forget(member(conn), content);
                self.count_seats(conn, Seat::Announce, -i64::from(withdrawn));
                Ok(())
            }
            ToRelay::Signal { to, session, signal } => {
                self.signal(now, conn, peer, to, session, signal);
                Ok(())
            }
            ToRelay::Report(report) => {
                self.report(now, conn, &report);
                Ok(())
            }
            ToRelay::Capacity { up_bytes_per_s, cost_class } => {
                self.capacity(now, conn, up_bytes_per_s, cost_class);
                Ok(())
            }
            ToRelay::Met { peer: other, opened_after_ms } => {
                self.met(now, conn, &other, opened_after_ms.is_some());
                Ok(())
            }
            ToRelay::Receipt(receipt) => {
                match self.receipt(now, conn, peer, &receipt) {
                    Some(()) => self.counts.receipts += 1,
                    None => self.counts.receipts_refused += 1,
                }
                Ok(())
            }
            ToRelay::Spare { storage_bytes, up_bytes_per_s } => {
                self.spare(now, conn, storage_bytes, up_bytes_per_s);
                Ok(())
            }
            ToRelay::Gave { content, bytes } => {
                if peer == self.config.relay {
                    let cost = f64::from(self.config.matching.reserve.cost_per_gb) * bytes as f64 / 1e9;
                    self.purses.spend(now, &content, cost);
                }
                Ok(())
            }
            ToRelay::Length { content, bytes } => {
                if peer == self.config.relay {
                    self.ahead.published(now, content, bytes);
                }
                Ok(())
            }
            ToRelay::Blame { accused, .. } => {
                self.blame(now, conn, peer, accused);
                Ok(())
            }
            ToRelay::Head { name, head } => self.head(now, conn, peer, name, head),
            ToRelay::Follow { publisher, name } => self.follow(now, conn, publisher, name),
            ToRelay::Unfollow { publisher, name } => {
                let left = self.lives.unfollow(conn, &(publisher, name));
                self.count_seats(conn, Seat::Live, -i64::from(left));
                Ok(())
            }
            ToRelay::CarryOpen { to, session, credit_bytes } => {
                self.carry_open(now, conn, peer, to, session, credit_bytes);
                Ok(())
            }
            ToRelay::Carry { to, session, last, piece } => {
                self.carry(now, conn, peer, to, session, last, piece);
                Ok(())
            }
            ToRelay::CarryCredit { to, session, bytes } => {
                self.carry_credit(now, conn, peer, to, session, bytes);
                Ok(())
            }
            ToRelay::CarryClose { to, session } => {
                if let Some(other) = self.peers.get(&to).copied() {
                    self.carry_end(conn, other, session, CarryEnd::Gone, false);
                }
                Ok(())
            }
            ToRelay::Task(message) => {
                self.task(now, conn, peer, message);
                Ok(())
            }
        }
    }

    fn task(&mut self, now: Time, conn: ConnId, peer: PeerId, message: TaskToRelay) {
        let Some(tasks) = &mut self.tasks else {
            if let TaskToRelay::Submit(TaskRequest { request, .. }) = message {
                let refused = TaskFromRelay::Refused { request, why: TaskRefusal::Off };
                self.send(conn, &FromRelay::Task(refused));
            }
            return;
        };
        let Some(Party { owner, .. }) = party_of(&self.conns, conn) else { return };
        let site = self.conns.get(&conn).and_then(|conn| conn.site);
        let may_submit = self.conns.get(&conn).is_some_and(|conn| conn.may_submit);
        let party = tasks::Party { peer, owner: Owner(owner), site, may_submit };
        tasks.message(now, party, message);
    }

    /// What the tasks want said goes out behind everything else.
    fn send_tasks(&mut self) {
        while let Some((peer, message)) = self.tasks.as_mut().and_then(Tasks::poll) {
            if let Some(conn) = self.peers.get(&peer).copied() {
                self.send(conn, &FromRelay::Task(message));
            }
        }
    }

    fn send(&mut self, conn: ConnId, message: &FromRelay) {
        self.out.push_back(TrackerOutput::Send { conn, frame: message.encode(), of: None });
    }

    /// Sends what another peer says.
    fn pass_on(&mut self, from: ConnId, to: ConnId, message: &FromRelay) {
        let of = self.conns.get(&from).and_then(Conn::quota).map(|owner| owner.0);
        self.out.push_back(TrackerOutput::Send { conn: to, frame: message.encode(), of });
    }

    /// Takes seats of a connection's owner, or gives them back.
    fn count_seats(&mut self, conn: ConnId, seat: Seat, count: i64) {
        if count != 0
            && let Some(owner) = self.conns.get(&conn).and_then(Conn::quota)
        {
            self.owners.count_seats(self.now, owner, seat, count);
        }
    }

    fn tell(&mut self, conn: ConnId, code: ErrorCode, retry_after_ms: u32, detail: &str) {
        self.counts.count_error(code);
        self.send(conn, &FromRelay::Error { code, retry_after_ms, detail: detail.to_owned() });
    }

    fn close(&mut self, conn: ConnId, code: ErrorCode, detail: &str) {
        self.tell(conn, code, 0, detail);
        self.out.push_back(TrackerOutput::Close { conn, code });
        self.forget(conn);
    }
}

/// The registry numbers members as the shell numbers connections: neither is ever used for two.
fn member(conn: ConnId) -> Member {
    Member(conn.0)
}

fn ready(conns: &mut BTreeMap<ConnId, Conn>, conn: ConnId) -> Option<&mut Peer> {
    match conns.get_mut(&conn).map(|c| &mut c.stage) {
        Some(Stage::Ready(peer)) => Some(peer),
        _ => None,
    }
}

/// The connection of the peer of this number.
fn by_number(peers: &BTreeMap<PeerId, ConnId>, wanted: u64) -> Option<ConnId> {
    let mut first = [0; 32];
    first[..8].copy_from_slice(&wanted.to_le_bytes());
    let (peer, conn) = peers.range(PeerId(first)..).next()?;
    (number(peer) == wanted).then_some(*conn)
}

/// A peer and whoever judges and is judged behind it; a key stands for itself where the shell cannot tell.
fn party_of(conns: &BTreeMap<ConnId, Conn>, conn: ConnId) -> Option<Party> {
    let state = conns.get(&conn)?;
    let Stage::Ready(peer) = &state.stage else { return None };
    Some(Party { peer: peer.id, owner: state.judge().unwrap_or_else(|| number(&peer.id)) })
}

fn peer_of(conns: &BTreeMap<ConnId, Conn>, member: Member) -> Option<PeerId> {
    match conns.get(&ConnId(member.0)).map(|c| &c.stage) {
        Some(Stage::Ready(peer)) => Some(peer.id),
        _ => None,
    }
}
