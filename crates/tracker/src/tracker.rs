use crate::ahead::Ahead;
use crate::blame::Blames;
use crate::bucket::Bucket;
use crate::carry::Carries;
use crate::config::TrackerConfig;
use crate::io::{ConnId, TrackerInput, TrackerOutput};
use crate::live::Lives;
use crate::meetings::Meetings;
use crate::purse::Purses;
use crate::standing::{Party, Standings};
use crate::stats::TrackerStats;
use crate::tasks::Tasks;
use core::time::Duration;
use ed25519_dalek::{Signature, VerifyingKey};
use peeredge_hvm::{BytesPerS, Units};
use peeredge_routing::deploy::Order;
use peeredge_routing::matching::{Introduction, Matcher, Terms};
use peeredge_routing::registry::{AnnounceError, Announcement, Member, Registry, RegistryLimits};
use peeredge_wire::relay::{
    CarryEnd, ErrorCode, FromRelay, Receipt, Report, TaskFromRelay, TaskRefusal, TaskRequest, TaskToRelay,
    ToRelay, hello_payload,
};
use peeredge_wire::{ContentId, DecodeError, PROTOCOL_VERSION, PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

/// Between two reminders to one connection that it sends too fast; a reminder a frame would double the flood.
const REMIND_AFTER: Duration = Duration::from_secs(1);
/// Steps of the market, each below a microsecond, when nothing else is to be done.
const MARKET_STEPS: u32 = 1000;

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
    owner: Option<u64>,
    cost_class: u8,
}

#[derive(Debug)]
enum Stage {
    /// It has been given this challenge.
    Challenged { nonce: [u8; 32] },
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
            tasks: config
                .tasks
                .clone()
                .map(|settings| Tasks::new(config.relay, settings, config.tasks_per_peer_max)),
            carries: Carries::new(config.carry),
            lives: Lives::default(),
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
            TrackerInput::Connected { conn } => self.connected(now, conn),
            TrackerInput::Frame { conn, frame } => self.frame(now, conn, &frame),
            TrackerInput::Closed { conn } => self.forget(conn),
            TrackerInput::Owner { conn, owner } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.owner = Some(owner);
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
        self.place_ahead(now);
        self.send_tasks();
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<TrackerOutput> {
        self.out.pop_front()
    }

    /// When to call `handle(now, TrackerInput::Wake)` at the latest. The reasons to wake are a hello that does not come, the end
    /// of a slot in which demand is counted, and tasks: blames, meetings and rates are compared with the time when they are
    /// looked at.
    pub fn deadline(&self) -> Option<Time> {
        let hello = self.hellos.front().map(|(at, _)| *at);
        let tasks = self.tasks.as_ref().and_then(Tasks::deadline);
        hello.into_iter().chain(self.ahead.deadline()).chain(tasks).min()
    }

    /// On what terms a peer serves now.
    pub fn terms(&self, conn: ConnId) -> Option<Terms> {
        self.matcher.terms(member(conn))
    }

    /// A picture of the tracker.
    pub fn stats(&self) -> TrackerStats {
        let mut reported = self.counts.reported;
        let mut pooled = Units::default();
        for conn in self.conns.values() {
            if let Stage::Ready(peer) = &conn.stage {
                pooled = pooled + peer.units;
                reported.channels = reported.channels.saturating_add(peer.channels);
            }
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
            market: self.matcher.picture(),
            purses: self.purses.stats(),
            barred: self.blames.barred_count(self.now),
            carry_sessions: self.carries.count(),
            live_contents: self.lives.count(),
            ..self.counts.clone()
        }
    }

    fn connected(&mut self, now: Time, conn: ConnId) {
        let bucket = Bucket::full(now, self.config.frames_per_s_max, self.config.frames_burst_max);
        let nonce = self.challenge();
        self.forget(conn);
        let full = self.conns.len() >= self.config.peers_max;
        self.conns.insert(
            conn,
            Conn { stage: Stage::Challenged { nonce }, bucket, reminded: None, owner: None, cost_class: 0 },
        );
        if self.stopping {
            self.close(conn, ErrorCode::ShuttingDown, "the relay is going down");
        } else if full {
            self.close(conn, ErrorCode::Full, "the relay has as many peers as it takes");
        } else {
            let timeout = Duration::from_millis(u64::from(self.config.hello_timeout_ms));
            self.hellos.push_back((now + timeout, conn));
            self.send(conn, &FromRelay::Challenge { nonce, relay: self.config.relay });
        }
    }

    /// Unpredictable without the seed, and never the same twice: a keyed hash of a counter.
    fn challenge(&mut self) -> [u8; 32] {
        self.challenges += 1;
        *blake3::keyed_hash(&self.config.seed, &self.challenges.to_le_bytes()).as_bytes()
    }

    fn frame(&mut self, now: Time, conn: ConnId, frame: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let own = matches!(&state.stage, Stage::Ready(peer) if peer.id == self.config.relay);
        let metered = ToRelay::is_carried(frame) && self.carries.has_any(conn);
        // An answer that the relay asked for may be long; a worker of many small tasks shows many.
        let is_asked = match (&state.stage, TaskToRelay::shown(frame)) {
            (Stage::Ready(peer), Some(lease)) => {
                self.tasks.as_ref().is_some_and(|tasks| tasks.leased_to(lease, peer.id))
            }
            _ => false,
        };
        let cost = if is_asked { 1 } else { 1 + (frame.len() / 1024) as u32 };
        if !own && !metered && !state.bucket.take(now, cost) {
            if state.reminded.is_none_or(|at| now.since(at) >= REMIND_AFTER) {
                state.reminded = Some(now);
                self.tell(conn, ErrorCode::TooFast, "frames are dropped until you slow down");
            }
            return;
        }
        self.counts.frames += 1;
        let result = match ToRelay::decode(frame) {
            Ok(message) => self.message(now, conn, message),
            Err(error @ DecodeError::TooLong { .. }) => refuse(ErrorCode::TooLarge, error.to_string()),
            Err(error) => refuse(ErrorCode::Malformed, error.to_string()),
        };
        match result {
            Ok(()) => {}
            Err(Refusal { code, detail }) if code.closes() => self.close(conn, code, &detail),
            Err(Refusal { code, detail }) => self.tell(conn, code, &detail),
        }
    }

    fn message(&mut self, now: Time, conn: ConnId, message: ToRelay) -> Result<(), Refusal> {
        let peer = match self.conns.get(&conn).map(|c| &c.stage) {
            Some(Stage::Ready(peer)) => peer.id,
            Some(Stage::Challenged { nonce }) => {
                let nonce = *nonce;
                return match message {
                    ToRelay::Hello { version, peer, signature } => {
                        self.hello(now, conn, &nonce, version, peer, &signature)
                    }
                    _ => refuse(ErrorCode::OutOfOrder, "say hello first"),
                };
            }
            None => return Ok(()),
        };
        match message {
            ToRelay::Hello { .. } => refuse(ErrorCode::OutOfOrder, "the key is already proved"),
            ToRelay::Announce { content, have_permille, wants } => {
                self.announce(now, conn, peer, content, have_permille, wants)
            }
            ToRelay::Withdraw { content } => {
                self.registry.withdraw(member(conn), content);
                self.matcher.forget(member(conn), content);
                Ok(())
            }
            ToRelay::Signal { to, session, signal } => {
                self.signal(conn, peer, to, session, signal);
                Ok(())
            }
            ToRelay::Report(report) => {
                self.report(now, conn, &report);
                Ok(())
            }
            ToRelay::Capacity { up_bytes_per_s, cost_class } => {
                if let Some(peer) = ready(&mut self.conns, conn) {
                    (peer.up_bytes_per_s_max, peer.cost_class) = (up_bytes_per_s, cost_class);
                    self.set_terms(now, conn);
                }
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
                if peer != self.config.relay {
                    self.ahead.offered(member(conn), storage_bytes, up_bytes_per_s);
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
                self.blame(now, peer, accused);
                Ok(())
            }
            ToRelay::Head { name, head } => self.head(conn, peer, name, head),
            ToRelay::Follow { publisher, name } => self.follow(conn, publisher, name),
            ToRelay::Unfollow { publisher, name } => {
                self.lives.unfollow(conn, &(publisher, name));
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
                self.carry_credit(conn, peer, to, session, bytes);
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
        let mut own = [0; 8];
        own.copy_from_slice(&peer.0[..8]);
        let owner = self.conns.get(&conn).and_then(|conn| conn.owner).unwrap_or(u64::from_le_bytes(own));
        tasks.message(now, peer, owner, message);
    }

    /// What the tasks want said goes out behind everything else.
    fn send_tasks(&mut self) {
        while let Some((peer, message)) = self.tasks.as_mut().and_then(Tasks::poll) {
            if let Some(conn) = self.peers.get(&peer).copied() {
                self.send(conn, &FromRelay::Task(message));
            }
        }
    }

    fn hello(
        &mut self,
        now: Time,
        conn: ConnId,
        nonce: &[u8; 32],
        version: u16,
        peer: PeerId,
        signature: &[u8; 64],
    ) -> Result<(), Refusal> {
        if version != PROTOCOL_VERSION {
            return refuse(ErrorCode::Version, format!("this relay speaks version {PROTOCOL_VERSION}"));
        }
        let payload = hello_payload(nonce, &self.config.relay);
        let proved = VerifyingKey::from_bytes(&peer.0)
            .and_then(|key| key.verify_strict(&payload, &Signature::from_bytes(signature)));
        if proved.is_err() {
            return refuse(ErrorCode::Unauthorised, "the signature does not prove the key");
        }
        if let Some(older) = self.peers.get(&peer).copied() {
            self.close(older, ErrorCode::Replaced, "the same key connected again");
        }
        if let Some(state) = self.conns.get_mut(&conn) {
            state.stage = Stage::Ready(Peer {
                id: peer,
                reported: now,
                units: Units::default(),
                channels: 0,
                nonce: *nonce,
                receipt_epoch: 0,
                up_bytes_per_s_max: u64::MAX,
                cost_class: 0,
                meetings: Meetings::default(),
            });
        }
        self.peers.insert(peer, conn);
        self.set_terms(now, conn);
        let report_every_s = self.config.report_every_s;
        self.send(conn, &FromRelay::Welcome { version: PROTOCOL_VERSION, report_every_s });
        let (stun_port, carried_bytes_per_s) = (self.config.stun_port, self.config.carry.bytes_per_s_max);
        if stun_port != 0 || carried_bytes_per_s != 0 {
            self.send(conn, &FromRelay::Paths { stun_port, carried_bytes_per_s });
        }
        Ok(())
    }

    fn announce(
        &mut self,
        now: Time,
        conn: ConnId,
        peer: PeerId,
        content: ContentId,
        have_permille: u16,
        wants: u8,
    ) -> Result<(), Refusal> {
        let said = Announcement { have_permille, wants, reserve: peer == self.config.relay };
        let fresh = wants > 0 && self.registry.said(member(conn), content).is_none();
        let announced = match self.registry.announce(member(conn), content, said) {
            Ok(announced) => announced,
            Err(error @ (AnnounceError::MemberFull { .. } | AnnounceError::RegistryFull { .. })) => {
                return refuse(ErrorCode::TooMany, error.to_string());
            }
        };
        if fresh && !said.reserve {
            self.ahead.asked(member(conn), content);
        }
        if let Some(open) = self.purses.is_open(now, &content) {
            self.matcher.open_reserve(content, open);
        }
        let Tracker { config, conns, registry, matcher, blames, standings, .. } = self;
        let barred = |a: Member, b: Member| {
            !blames.is_empty()
                && match (peer_of(conns, a), peer_of(conns, b)) {
                    (Some(a), Some(b)) => blames.apart(now, &a, &b),
                    _ => true,
                }
        };
        let taker = party_of(conns, conn);
        // Three of four that are wanted should open.
        let arrange = |sources: &mut Vec<Member>| {
            let Some(taker) = taker else { return };
            let known = |of: Member| Some((of, party_of(conns, ConnId(of.0))?));
            let mut found: Vec<(Member, Party)> = sources.drain(..).filter_map(known).collect();
            standings.arrange(taker, &mut found, |(_, party)| *party, f64::from(wants) * 0.75);
            sources.extend(found.into_iter().map(|(of, _)| of));
        };
        let mut found = Vec::new();
        if announced.more_to_give {
            let max = usize::from(config.takers_per_announce_max);
            found = matcher.takers_of(registry, now, member(conn), content, max, barred);
        }
        let max = usize::from(config.introductions_per_announce_max);
        found.extend(matcher.sources_for(registry, now, member(conn), content, max, barred, arrange));
        for Introduction { to, of, have_permille } in found {
            let Some(peer) = peer_of(&self.conns, of) else { continue };
            let Some(told) = ready(&mut self.conns, ConnId(to.0)) else { continue };
            told.meetings.add(peer, content, have_permille > 0);
            self.counts.introductions += 1;
            self.send(ConnId(to.0), &FromRelay::Introduce { content, peer, have_permille });
        }
        Ok(())
    }

    fn signal(&mut self, conn: ConnId, from: PeerId, to: PeerId, session: u64, signal: Vec<u8>) {
        match self.peers.get(&to).copied().filter(|_| to != from) {
            Some(addressee) => {
                self.counts.signals += 1;
                self.send(addressee, &FromRelay::Signal { from, session, signal });
            }
            None => {
                self.counts.unreachable += 1;
                self.send(conn, &FromRelay::Unreachable { peer: to, session });
            }
        }
    }

    /// The publisher is who proved the key: a head in another's name reaches nobody.
    fn head(&mut self, conn: ConnId, publisher: PeerId, name: String, head: Vec<u8>) -> Result<(), Refusal> {
        let topic = (publisher, name.clone());
        match self.lives.head(conn, topic, &head, self.config.live_contents_max) {
            Some(followers) => {
                let message = FromRelay::Head { publisher, name, head };
                followers.into_iter().for_each(|follower| self.send(follower, &message));
                Ok(())
            }
            None => refuse(ErrorCode::TooMany, "too many live contents"),
        }
    }

    fn follow(&mut self, conn: ConnId, publisher: PeerId, name: String) -> Result<(), Refusal> {
        let topic = (publisher, name.clone());
        match self.lives.follow(conn, topic, self.config.live_contents_max) {
            Some(Some(head)) => {
                let message = FromRelay::Head { publisher, name, head: head.to_vec() };
                self.send(conn, &message);
                Ok(())
            }
            Some(None) => Ok(()),
            None => refuse(ErrorCode::TooMany, "too many live contents"),
        }
    }

    fn carry_open(
        &mut self,
        now: Time,
        conn: ConnId,
        from: PeerId,
        to: PeerId,
        session: u64,
        credit_bytes: u32,
    ) {
        let other = self.peers.get(&to).copied().filter(|_| to != from);
        // The relay's own peer is reached without a detour.
        let opened = match other {
            None => Err(CarryEnd::Gone),
            Some(_) if [from, to].contains(&self.config.relay) || self.blames.apart(now, &from, &to) => {
                Err(CarryEnd::Refused)
            }
            Some(other) => self
                .carries
                .open(now, conn, other, session, credit_bytes)
                .map(|credit_bytes| (other, credit_bytes)),
        };
        match opened {
            Ok((other, credit_bytes)) => {
                self.send(other, &FromRelay::CarryOpen { from, session, credit_bytes });
            }
            Err(end) => self.send(conn, &FromRelay::CarryClosed { peer: to, session, end }),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one field of the message each")]
    fn carry(
        &mut self,
        now: Time,
        conn: ConnId,
        from: PeerId,
        to: PeerId,
        session: u64,
        last: bool,
        piece: Vec<u8>,
    ) {
        let Some(other) = self.peers.get(&to).copied() else {
            return self.send(conn, &FromRelay::CarryClosed { peer: to, session, end: CarryEnd::Gone });
        };
        match self.carries.pass(now, conn, other, session, piece.len()) {
            Ok(()) => {
                self.counts.carried_bytes += piece.len() as u64;
                self.send(other, &FromRelay::Carried { from, session, last, piece });
            }
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    fn carry_credit(&mut self, conn: ConnId, from: PeerId, to: PeerId, session: u64, bytes: u32) {
        let Some(other) = self.peers.get(&to).copied() else { return };
        match self.carries.credit(conn, other, session, bytes) {
            Ok(bytes) => self.send(other, &FromRelay::CarryCredit { from, session, bytes }),
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    /// Ends a session and tells the other side; with `both`, the one that caused it as well.
    fn carry_end(&mut self, conn: ConnId, other: ConnId, session: u64, end: CarryEnd, both: bool) {
        let existed = self.carries.close(conn, other, session);
        let mut tell = |to: ConnId, of: ConnId, end| {
            if let Some(peer) = peer_of(&self.conns, member(of)) {
                self.out.push_back(TrackerOutput::Send {
                    conn: to,
                    frame: FromRelay::CarryClosed { peer, session, end }.encode(),
                });
            }
        };
        if existed {
            tell(other, conn, CarryEnd::Gone);
        }
        if both {
            tell(conn, other, end);
        }
    }

    fn report(&mut self, now: Time, conn: ConnId, report: &Report) {
        let Some(Conn { stage: Stage::Ready(peer), .. }) = self.conns.get_mut(&conn) else { return };
        if peer.id == self.config.relay {
            return;
        }
        self.ahead.sent(member(conn), report.sent_bytes);
        let elapsed = now.since(peer.reported);
        let received = report.from_peers_bytes.saturating_add(report.from_relay_bytes);
        let units = Units {
            up: BytesPerS::over(report.sent_bytes, elapsed),
            down: BytesPerS::over(received, elapsed),
            ..peer.units
        };
        let sum = &mut self.counts.reported;
        sum.sent_bytes = sum.sent_bytes.saturating_add(report.sent_bytes);
        sum.from_peers_bytes = sum.from_peers_bytes.saturating_add(report.from_peers_bytes);
        sum.from_relay_bytes = sum.from_relay_bytes.saturating_add(report.from_relay_bytes);
        sum.from_http_bytes = sum.from_http_bytes.saturating_add(report.from_http_bytes);
        sum.wasted_bytes = sum.wasted_bytes.saturating_add(report.wasted_bytes);
        (peer.reported, peer.units, peer.channels) = (now, units, report.channels);
        self.judge_meetings(now, conn);
    }

    /// Tells the matcher what a peer is good for: what receivers bear out, but no more than it says itself.
    fn set_terms(&mut self, now: Time, conn: ConnId) {
        let Some(party) = party_of(&self.conns, conn) else { return };
        let Some(Conn { stage: Stage::Ready(peer), owner, cost_class, .. }) = self.conns.get(&conn) else {
            return;
        };
        let TrackerConfig { matching, trust, cost_classes, .. } = &self.config;
        if peer.id == self.config.relay {
            return self.matcher.set_terms(member(conn), matching.reserve);
        }
        let place = f64::from(trust.place_bytes_per_s.max(1));
        let borne_out = self.standings.sent_bytes_per_s(now, &peer.id).unwrap_or_default();
        // Twice of it, so that who is used up can show more.
        let places = ((2.0 * borne_out / place) as u32).clamp(matching.unknown.places, trust.places_max);
        let says = peer.up_bytes_per_s_max.div_ceil(place as u64).min(u64::from(u32::MAX)) as u32;
        let cost = |class: u8| cost_classes.get(usize::from(class)).copied().unwrap_or_default();
        let terms = Terms {
            places: places.min(says),
            cost_per_gb: cost(*cost_class).max(cost(peer.cost_class)),
            quality: self.standings.quality(party),
            owner: owner.map(|_| party.network()),
        };
        self.matcher.set_terms(member(conn), terms);
    }

    /// A peer says whether the connection to one of whom it was told opened.
    fn met(&mut self, now: Time, conn: ConnId, other: &PeerId, opened: bool) {
        let news = ready(&mut self.conns, conn).is_some_and(|peer| peer.meetings.met(now, other, opened));
        let other = self.peers.get(other).copied();
        if let (true, Some(other)) = (news, other)
            && let (Some(a), Some(b)) = (party_of(&self.conns, conn), party_of(&self.conns, other))
        {
            self.counts.met[usize::from(!opened)] += 1;
            self.standings.met(a, b, opened);
            self.set_terms(now, conn);
            self.set_terms(now, other);
        }
    }

    /// A receiver's receipt. None when it counts for nothing: cheap reasons first.
    fn receipt(&mut self, now: Time, conn: ConnId, receiver: PeerId, receipt: &Receipt) -> Option<()> {
        let sender = receipt.sender;
        let sender_conn = self.peers.get(&sender).copied().filter(|_| sender != receiver)?;
        let told = |conns: &mut BTreeMap<ConnId, Conn>, conn, of: &PeerId| {
            ready(conns, conn).is_some_and(|peer| peer.meetings.has(of))
        };
        if !told(&mut self.conns, conn, &sender) && !told(&mut self.conns, sender_conn, &receiver) {
            return None;
        }
        let peer = ready(&mut self.conns, conn).filter(|peer| receipt.epoch > peer.receipt_epoch)?;
        let key = VerifyingKey::from_bytes(&receiver.0).ok()?;
        key.verify_strict(&receipt.payload(&peer.nonce), &Signature::from_bytes(&receipt.signature)).ok()?;
        peer.receipt_epoch = receipt.epoch;
        peer.meetings.came(&sender);
        let from_relay = sender == self.config.relay;
        let sum = &mut self.counts.receipted_bytes[usize::from(from_relay)];
        *sum = sum.saturating_add(receipt.bytes);
        if from_relay {
            let cost = f64::from(self.config.matching.reserve.cost_per_gb) * receipt.bytes as f64 / 1e9;
            self.purses.spend(now, &receipt.content, cost);
        } else {
            let (from, to) = (party_of(&self.conns, sender_conn)?, party_of(&self.conns, conn)?);
            self.standings.came(now, from, to, receipt.bytes, receipt.bytes_per_s);
            self.set_terms(now, sender_conn);
        }
        Some(())
    }

    /// Holders of whom a peer was told and whose connection opened should have given something by now.
    fn judge_meetings(&mut self, now: Time, conn: ConnId) {
        let within = Duration::from_secs(u64::from(self.config.trust.came_within_s));
        let Some(late) = ready(&mut self.conns, conn).map(|peer| peer.meetings.nothing_came(now, within))
        else {
            return;
        };
        for (other, content) in late {
            // Who has it all by now did not need that one any more.
            let still_lacks =
                self.registry.said(member(conn), content).is_some_and(|said| said.have_permille < 1000);
            let other = self.peers.get(&other).copied().filter(|_| other != self.config.relay && still_lacks);
            if let Some(other) = other
                && let (Some(from), Some(to)) = (party_of(&self.conns, other), party_of(&self.conns, conn))
            {
                self.counts.nothing_came += 1;
                self.standings.nothing_came(now, from, to);
                self.set_terms(now, other);
            }
        }
    }

    /// Only who is here can be blamed: otherwise made-up names would push the real ones out.
    fn blame(&mut self, now: Time, accuser: PeerId, accused: PeerId) {
        self.counts.blames += 1;
        if accused != accuser && accused != self.config.relay && self.peers.contains_key(&accused) {
            self.blames.blame(now, accuser, accused);
        }
    }

    fn expire_hellos(&mut self, now: Time) {
        while let Some((at, conn)) = self.hellos.front().copied() {
            let waiting = matches!(self.conns.get(&conn), Some(Conn { stage: Stage::Challenged { .. }, .. }));
            if waiting && at > now {
                break;
            }
            self.hellos.pop_front();
            if waiting {
                self.close(conn, ErrorCode::Unauthorised, "no hello in time");
            }
        }
    }

    /// Asks peers to fetch ahead, and tells them what they need not hold any more.
    fn place_ahead(&mut self, now: Time) {
        for order in self.ahead.due(now) {
            match order {
                Order::Fill { node, content } => self.send(ConnId(node.0), &FromRelay::Prefetch { content }),
                Order::Drop { node, content } => self.send(ConnId(node.0), &FromRelay::Release { content }),
            }
        }
    }

    fn send(&mut self, conn: ConnId, message: &FromRelay) {
        self.out.push_back(TrackerOutput::Send { conn, frame: message.encode() });
    }

    fn tell(&mut self, conn: ConnId, code: ErrorCode, detail: &str) {
        self.counts.count_error(code);
        self.send(conn, &FromRelay::Error { code, detail: detail.to_owned() });
    }

    fn close(&mut self, conn: ConnId, code: ErrorCode, detail: &str) {
        self.tell(conn, code, detail);
        self.out.push_back(TrackerOutput::Close { conn, code });
        self.forget(conn);
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(Conn { stage: Stage::Ready(peer), .. }) = self.conns.remove(&conn) {
            self.registry.remove(member(conn));
            self.matcher.gone(member(conn));
            self.ahead.gone(member(conn));
            self.lives.forget(conn);
            for (other, session) in self.carries.forget(conn) {
                let end = CarryEnd::Gone;
                self.send(other, &FromRelay::CarryClosed { peer: peer.id, session, end });
            }
            if self.peers.get(&peer.id) == Some(&conn) {
                self.peers.remove(&peer.id);
                if let Some(tasks) = &mut self.tasks {
                    tasks.gone(self.now, peer.id);
                }
            }
        }
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

/// A peer and whoever stands behind it; a key stands for itself where the shell cannot tell.
fn party_of(conns: &BTreeMap<ConnId, Conn>, conn: ConnId) -> Option<Party> {
    let Conn { stage: Stage::Ready(peer), owner, .. } = conns.get(&conn)? else { return None };
    let own = u64::from_le_bytes(*peer.id.0.first_chunk().expect("an id has 32 bytes"));
    Some(Party { peer: peer.id, owner: owner.unwrap_or(own) })
}

fn peer_of(conns: &BTreeMap<ConnId, Conn>, member: Member) -> Option<PeerId> {
    match conns.get(&ConnId(member.0)).map(|c| &c.stage) {
        Some(Stage::Ready(peer)) => Some(peer.id),
        _ => None,
    }
}
