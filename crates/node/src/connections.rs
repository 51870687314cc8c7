//! Connections to other peers: who is offered, whose offer is taken, and what is queued until the channel takes it.

use crate::Node;
use crate::allowance::Allowance;
use crate::asking::Shares;
use crate::carry::Carried;
use crate::excused::Excused;
use crate::lanes::{self, LANE_OPEN_WITHIN, Lanes};
use crate::output::{Event, Output, Role};
use crate::seats::{Seats, Use, Whose};
use crate::standing::Standings;
use crate::upload;
use core::time::Duration;
use peeredge_dts::{Answer, ServeQueue, SourceId, Transfer};
use peeredge_routing::{Chain, Pipe, RateEstimator};
use peeredge_wire::limits::SUBSCRIPTIONS_MAX;
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::relay::ToRelay;
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION, PeerId, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A connection that is not open by then never will be.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// The first thing that either side says is its greeting: who opens a channel and says nothing wants nothing.
const GREET_WITHIN: Duration = Duration::from_secs(5);
/// A connection over which nobody wants anything is kept so long for the next content.
const IDLE_CLOSE: Duration = Duration::from_secs(120);
/// A further lane to the same peer is kept so long.
const LANE_IDLE_CLOSE: Duration = Duration::from_secs(30);
/// Bytes of control messages that wait for a channel; a peer that reads so slowly is let go. What supplies it waits in its queue, a few
/// bytes each.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// Frames that one connection may send at once, and in a second, beyond one for each KiB that it gives or takes: a page that begins
/// with hundreds of contents says about ten of each.
const FRAMES_BURST: u64 = 4096;
const FRAMES_PER_S: u64 = 1000;
/// A peer that gave something within so long is expected to go on.
const GIVES_WITHIN: Duration = Duration::from_secs(10);
/// Sessions remembered after their end, so that late candidates do not look like a new offer.
const ENDED_SESSIONS_MAX: usize = 256;
/// Introductions kept for which there was no room; the oldest goes first.
const PASSED_OVER_MAX: usize = 32;

/// All connections of a node.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) all: BTreeMap<ConnectionId, Connection>,
    by_session: BTreeMap<(PeerId, u64), ConnectionId>,
    ended: VecDeque<(PeerId, u64)>,
    pub(crate) standings: Standings,
    /// Introductions for which there was no room: the relay does not repeat them soon.
    passed_over: VecDeque<(ContentId, PeerId)>,
    /// What bounds each of them.
    pub(crate) chain: Chain,
    /// The number of the last one.
    pub(crate) made: u32,
    pub(crate) seats: Seats,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) session: u64,
    pub(crate) role: Role,
    pub(crate) since: Time,
    /// Whether the shell makes or has a direct path for it.
    pub(crate) in_shell: bool,
    /// The path through the relay, asked for or taken.
    pub(crate) carried: Option<Carried>,
    /// The relay would not carry it: it is not asked again.
    pub(crate) carry_refused: bool,
    /// What is known of further lanes; only the first connection to a peer has it.
    pub(crate) lanes: Option<Lanes>,
    /// When the shell last measured the round trip, and how many microseconds that took.
    pub(crate) round_trip: Option<(Time, u64)>,
    /// Whoever stands behind it, where the shell can tell.
    pub(crate) owner: Option<u64>,
    pub(crate) open: bool,
    opened: Time,
    pub(crate) greeted: bool,
    pub(crate) credit: u64,
    outbox: VecDeque<Vec<u8>>,
    outbox_bytes: usize,
    pub(crate) serve: ServeQueue,
    /// Manifests and records that were sent, and when: nothing is lost on the way.
    pub(crate) told: BTreeMap<(ContentId, Answer), Time>,
    /// What the other side may have done for it beyond what it takes.
    pub(crate) work: Allowance,
    /// Frames that it may send beside what it gives and takes.
    pub(crate) frames: Allowance,
    /// Contents whose changes this side asked to hear of.
    pub(crate) subscribed: BTreeSet<ContentId>,
    /// Contents for which there was no place among those.
    pub(crate) no_place: BTreeSet<ContentId>,
    /// Contents that the other side asked to hear of.
    pub(crate) subscriber_of: BTreeSet<ContentId>,
    pub(crate) rate: RateEstimator,
    pub(crate) received_bytes: u64,
    /// What left over it to supply the other side.
    pub(crate) sent_bytes: u64,
    /// Of that, what it asked for.
    pub(crate) served_bytes: u64,
    /// What this side asked for and no longer counts on.
    pub(crate) excused: Excused,
    /// When it last gave something new.
    pub(crate) gave: Time,
    pub(crate) pipe: Pipe,
    /// Contents that share its pipe.
    pub(crate) shares: Shares,
    /// Not asked for anything before this time: it said it was busy or capped.
    pub(crate) rest_until: Time,
    pub(crate) last_used: Time,
    /// What has passed over it, and when it was last enough to keep its place.
    pub(crate) seat: Use,
    sent_then: (Time, u64),
    pub(crate) up_bytes_per_s: u64,
}

impl Connection {
    /// Whether this is the first connection to its peer, not a further lane.
    pub(crate) fn is_first(&self) -> bool {
        self.lanes.is_some()
    }

    pub(crate) fn wants_nothing_now(&self) -> bool {
        self.serve.is_empty() && self.outbox.is_empty()
    }

    pub(crate) fn can_send(&self, bytes: usize) -> bool {
        self.open && self.outbox.is_empty() && self.credit >= bytes as u64
    }
}

/// The source number of a connection: they share one numbering.
pub(crate) fn source_of(connection: ConnectionId) -> SourceId {
    SourceId(connection.0)
}

/// The number by which receivers of a content divide the work: the same for all who know this peer.
pub(crate) fn key_of(peer: &PeerId) -> u64 {
    u64::from_le_bytes(*peer.0.first_chunk().expect("an id has 32 bytes"))
}

impl Connections {
    pub(crate) fn new(made_max: u32) -> Self {
        Connections {
            all: BTreeMap::new(),
            by_session: BTreeMap::new(),
            ended: VecDeque::new(),
            standings: Standings::default(),
            passed_over: VecDeque::new(),
            chain: Chain::default(),
            made: 0,
            seats: Seats::new(made_max),
        }
    }

    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.all.keys().copied().collect()
    }

    pub(crate) fn open_ids(&self) -> Vec<ConnectionId> {
        self.all.iter().filter(|(_, c)| c.open && c.greeted).map(|(&id, _)| id).collect()
    }

    /// How many sources there are, and what those whose rate is known give, one with another, in bytes a second.
    pub(crate) fn usual_rate(&self) -> (u64, Option<f64>) {
        let (mut open, mut known, mut sum) = (0u64, 0u64, 0.0);
        for c in self.all.values().filter(|c| c.open && c.greeted) {
            open += u64::from(c.is_first());
            if let Some(rate) = c.rate.rate() {
                known += 1;
                sum += rate.bytes_per_s;
            }
        }
        (open, (known > 0).then(|| sum / known as f64))
    }

    pub(crate) fn open_count(&self) -> u16 {
        self.all.values().filter(|c| c.open).count() as u16
    }

    pub(crate) fn opening(&self) -> bool {
        self.all.values().any(|c| !c.open || !c.greeted)
    }

    pub(crate) fn session_of(&self, id: ConnectionId) -> Option<(PeerId, u64)> {
        self.all.get(&id).map(|c| (c.peer, c.session))
    }

    pub(crate) fn of_session(&self, peer: PeerId, session: u64) -> Option<ConnectionId> {
        self.by_session.get(&(peer, session)).copied()
    }

    /// The first connection to this peer.
    pub(crate) fn with_peer(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.all.iter().find(|(_, c)| c.peer == *peer && c.is_first()).map(|(&id, _)| id)
    }

    /// All connections to this peer.
    pub(crate) fn to_peer(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.all.iter().filter(|(_, c)| c.peer == *peer).map(|(&id, _)| id).collect()
    }

    /// What this transfer no longer waits for may come all the same.
    pub(crate) fn excuse(&mut self, now: Time, transfer: &mut Transfer) {
        for (source, symbols) in transfer.take_forgotten() {
            if let Some(connection) = self.all.get_mut(&ConnectionId(source.0)) {
                connection.excused.forgets(now, symbols);
            }
        }
    }

    /// Peers with a connection.
    pub(crate) fn peers(&self) -> usize {
        self.all.values().filter(|c| c.is_first()).count()
    }
}

impl Node {
    /// Contents that pages ask for. Entered one by one: collecting would bring a sort for a handful.
    pub(crate) fn requested(&self) -> BTreeSet<ContentId> {
        let mut contents = BTreeSet::new();
        for request in self.requests.values() {
            contents.insert(request.content);
        }
        contents
    }

    /// The relay says that `peer` holds something of `content`.
    pub(crate) fn introduced(&mut self, content: ContentId, peer: PeerId) {
        if peer == self.id()
            || !self.contents.contains_key(&content)
            || self.connections.standings.is_shunned(self.now, &peer)
        {
            return;
        }
        if let Some(existing) = self.connections.with_peer(&peer) {
            return self.subscribe(existing, content);
        }
        if !self.config.direct && !self.can_be_carried(peer) {
            return;
        }
        if self.may_connect(Whose::Own) {
            let session = lanes::first_session(self.rng.next());
            let direct = self.config.direct;
            let id = self.open_connection(peer, session, Role::Offerer, Some(Lanes::new(self.now)), direct);
            if !direct {
                self.ask_to_be_carried(id);
            }
        } else if !self.connections.passed_over.contains(&(content, peer)) {
            if self.connections.passed_over.len() == PASSED_OVER_MAX {
                self.connections.passed_over.pop_front();
            }
            self.connections.passed_over.push_back((content, peer));
        }
    }

    /// Takes up introductions that were passed over, as far as there is room now and their content is still wanted.
    pub(crate) fn take_up_passed_over(&mut self) {
        while self.connections.peers() < self.peers_max()
            && let Some((content, peer)) = self.connections.passed_over.pop_front()
        {
            if self.requests.values().any(|r| r.content == content) {
                self.introduced(content, peer);
            }
            if !self.may_offer() {
                return;
            }
        }
    }

    /// Starts a connection; the first to a peer has the `lanes`. The shell makes it if it is to be `direct`.
    pub(crate) fn open_connection(
        &mut self,
        peer: PeerId,
        session: u64,
        role: Role,
        lanes: Option<Lanes>,
        direct: bool,
    ) -> ConnectionId {
        self.connections.made += 1;
        let id = ConnectionId(self.connections.made);
        self.connections.by_session.insert((peer, session), id);
        self.connections.all.insert(
            id,
            Connection {
                peer,
                session,
                role,
                since: self.now,
                in_shell: direct,
                carried: None,
                carry_refused: false,
                lanes,
                round_trip: None,
                owner: None,
                open: false,
                opened: Time::ZERO,
                greeted: false,
                credit: 0,
                outbox: VecDeque::new(),
                outbox_bytes: 0,
                serve: ServeQueue::default(),
                told: BTreeMap::new(),
                shares: Shares::default(),
                work: upload::work_allowance(),
                frames: Allowance::full(FRAMES_BURST, FRAMES_PER_S),
                subscribed: BTreeSet::new(),
                no_place: BTreeSet::new(),
                subscriber_of: BTreeSet::new(),
                rate: RateEstimator::new(),
                received_bytes: 0,
                sent_bytes: 0,
                served_bytes: 0,
                excused: Excused::default(),
                gave: Time::ZERO,
                pipe: if lanes::is_lane(session) {
                    Pipe::beside_others(self.now)
                } else {
                    Pipe::new(self.now)
                },
                rest_until: Time::ZERO,
                last_used: self.now,
                seat: Use::new(self.now),
                sent_then: (self.now, 0),
                up_bytes_per_s: 0,
            },
        );
        self.check_soon();
        if direct {
            self.connections.seats.made();
            self.out.push_back(Output::Open { connection: id, peer, role });
        }
        id
    }

    /// An offer, answer or candidate arrived for this peer.
    pub(crate) fn remote_signal(&mut self, from: PeerId, session: u64, signal: Vec<u8>) {
        if let Some(&connection) = self.connections.by_session.get(&(from, session)) {
            // A path through the relay needs no signals any more.
            if self.connections.all[&connection].in_shell {
                self.out.push_back(Output::Signal { connection, signal });
            }
            return;
        }
        if self.connections.ended.contains(&(from, session))
            || (!self.config.direct && !self.can_be_carried(from))
        {
            return;
        }
        let direct = self.config.direct;
        let Some(connection) = self.take_stranger(from, session, direct) else { return };
        if direct {
            self.out.push_back(Output::Signal { connection, signal });
        } else {
            self.ask_to_be_carried(connection);
        }
    }

    /// A connection for a session that another peer began; none when it is not wanted. The shell makes it if it is to be `direct`.
    pub(crate) fn take_stranger(&mut self, from: PeerId, session: u64, direct: bool) -> Option<ConnectionId> {
        if from == self.id() || self.connections.standings.is_shunned(self.now, &from) {
            return None;
        }
        let existing = self.connections.with_peer(&from);
        if let Some(existing) = existing {
            if lanes::is_lane(session) {
                let takes = self.takes_lane(existing, session);
                return takes.then(|| self.open_connection(from, session, Role::Answerer, None, direct));
            }
            let c = &self.connections.all[&existing];
            // Both offered at once: the offer of the lower key stands, on both sides.
            if !c.open && c.role == Role::Offerer && self.id() < from {
                return None;
            }
        }
        if !self.lets_try(from, direct) {
            return None;
        }
        if let Some(existing) = existing {
            // The other side began anew, after a reload or a loss that this side has not seen.
            self.hang_up(existing);
        }
        if !self.may_connect(Whose::Stranger) {
            return None;
        }
        if direct {
            self.connections.seats.tries(self.now, from, session);
        }
        let lanes = Some(Lanes::new(self.now));
        Some(self.open_connection(from, session, Role::Answerer, lanes, direct))
    }

    pub(crate) fn unreachable(&mut self, peer: PeerId, session: u64) {
        if let Some(&id) = self.connections.by_session.get(&(peer, session))
            && !self.connections.all[&id].open
        {
            self.hang_up(id);
        }
    }

    pub(crate) fn opened(&mut self, id: ConnectionId, credit_bytes: u64) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if connection.open {
            return;
        }
        connection.open = true;
        connection.opened = self.now;
        connection.seat = Use::new(self.now);
        connection.credit = credit_bytes;
        connection.last_used = self.now;
        self.send(id, &PeerMessage::Greet { version: PROTOCOL_VERSION });
    }

    /// The other side greeted: from now on both may ask.
    pub(crate) fn greeted(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.greeted = true;
        self.connections.seats.opened(connection.peer, connection.session);
        self.connections.chain.joined(id.0, key_of(&connection.peer));
        if !connection.is_first() {
            return self.lane_greeted(id);
        }
        let peer = connection.peer;
        if connection.role == Role::Offerer {
            let after_ms = self.now.since(connection.since).as_millis() as u32;
            let opened_after_ms = connection.carried.is_none().then_some(after_ms);
            self.relay_send(ToRelay::Met { peer, opened_after_ms });
        }
        self.out.push_back(Output::Event(Event::PeerOpened { peer }));
        let wanted = self.requested();
        for content in wanted {
            self.subscribe(id, content);
        }
    }

    pub(crate) fn subscribe(&mut self, id: ConnectionId, content: ContentId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if !connection.greeted
            || !connection.is_first()
            || self.contents.get(&content).is_none_or(|c| c.is_whole())
        {
            return;
        }
        if connection.subscribed.len() >= SUBSCRIPTIONS_MAX && !connection.subscribed.contains(&content) {
            connection.no_place.insert(content);
            return;
        }
        connection.no_place.remove(&content);
        connection.last_used = self.now;
        connection.subscribed.insert(content);
        connection.excused.talks();
        // The manifest first: what the other side holds can be read only with its sizes.
        self.ask_manifest(content);
        self.send(id, &PeerMessage::Subscribe { content });
    }

    /// The other side has no place for one more subscription: it is tried again when another one ends.
    pub(crate) fn subscription_refused(&mut self, id: ConnectionId, content: ContentId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if connection.subscribed.remove(&content) {
            connection.no_place.insert(content);
        }
    }

    /// Nothing more is needed of this content: the other sides need not tell of changes, and others get the place.
    pub(crate) fn unsubscribe_all(&mut self, content: ContentId) {
        for id in self.connections.ids() {
            let connection = self.connections.all.get_mut(&id).expect("listed just now");
            connection.no_place.remove(&content);
            if connection.subscribed.remove(&content) {
                let next = connection.no_place.first().copied();
                connection.excused.talks();
                self.send(id, &PeerMessage::Unsubscribe { content });
                if let Some(next) = next {
                    self.subscribe(id, next);
                }
            }
        }
    }

    /// The other side holds nothing of a content: where others wait for a place, it is theirs. The relay's next introduction, or a
    /// reader's next request, asks again.
    pub(crate) fn give_up_place(&mut self, id: ConnectionId, content: ContentId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let Some(&next) = connection.no_place.first() else { return };
        if connection.subscribed.remove(&content) {
            self.send(id, &PeerMessage::Unsubscribe { content });
            self.subscribe(id, next);
        }
    }

    /// Whether a peer that gives something else meanwhile is expected to come to this content.
    pub(crate) fn has_its_turn_later(&self, content: &ContentId) -> bool {
        let transfer = self.contents.get(content).and_then(|c| c.transfer.as_ref());
        self.connections.all.iter().any(|(&id, c)| {
            let says_it_holds =
                || transfer.is_none_or(|t| t.holdings(source_of(id)).is_some_and(|held| held.blocks() > 0));
            self.now.since(c.gave) < GIVES_WITHIN
                && (c.no_place.contains(content) || (c.subscribed.contains(content) && says_it_holds()))
        })
    }

    /// The other side says more than it may: it is let go, and not let in again at once.
    pub(crate) fn send_away(&mut self, id: ConnectionId) {
        let Some(peer) = self.connections.all.get(&id).map(|c| c.peer) else { return };
        self.connections.seats.shun(self.now, peer);
        self.connections.to_peer(&peer).into_iter().for_each(|id| self.hang_up(id));
    }

    /// Sends a control message, or queues it until there is credit.
    pub(crate) fn send(&mut self, id: ConnectionId, message: &PeerMessage<'_>) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if !connection.open {
            return;
        }
        let frame = message.encode();
        if connection.outbox_bytes + frame.len() > OUTBOX_BYTES_MAX {
            return self.hang_up(id);
        }
        connection.outbox_bytes += frame.len();
        connection.outbox.push_back(frame);
        self.flush(id);
    }

    fn flush(&mut self, id: ConnectionId) {
        while let Some(connection) = self.connections.all.get_mut(&id) {
            let Some(frame) = connection.outbox.front() else { return };
            if connection.credit < frame.len() as u64 {
                return;
            }
            connection.credit -= frame.len() as u64;
            connection.outbox_bytes -= frame.len();
            let Some(message) = connection.outbox.pop_front() else { return };
            self.totals.control_bytes += message.len() as u64;
            self.put_out(id, message);
        }
    }

    pub(crate) fn credit(&mut self, id: ConnectionId, bytes: u64) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.credit = connection.credit.saturating_add(bytes);
        self.flush(id);
        self.pump(id);
    }

    /// This side ends a connection.
    pub(crate) fn hang_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.all.get(&id) else { return };
        let (to, session) = (connection.peer, connection.session);
        if connection.carried.is_some() {
            self.relay_send(ToRelay::CarryClose { to, session });
        }
        if self.connections.all[&id].in_shell {
            self.out.push_back(Output::Close { connection: id });
        }
        self.closed(id);
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.all.remove(&id) else { return };
        self.connections.chain.gone(id.0);
        self.upload.gone(id);
        if connection.excused.sent_coded {
            self.connections.standings.departed(id, connection.peer);
        }
        self.connections.by_session.remove(&(connection.peer, connection.session));
        self.connections.ended.push_back((connection.peer, connection.session));
        if self.connections.ended.len() > ENDED_SESSIONS_MAX {
            self.connections.ended.pop_front();
        }
        let is_first = connection.is_first();
        if is_first {
            // Further lanes stand and fall with it: it alone says what the peer holds.
            self.connections.to_peer(&connection.peer).into_iter().for_each(|lane| self.hang_up(lane));
        }
        if connection.greeted && is_first {
            self.out.push_back(Output::Event(Event::PeerClosed { peer: connection.peer }));
        }
        if !connection.greeted && is_first {
            if connection.role == Role::Offerer && !self.closing {
                self.relay_send(ToRelay::Met { peer: connection.peer, opened_after_ms: None });
            }
            // It was meant for something that is still wanted: ask the relay for someone else.
            let wanted = self.requested();
            wanted.into_iter().for_each(|content| self.announce_soon(content));
        }
        let contents: Vec<ContentId> = self.contents.keys().copied().collect();
        for id_of_content in contents {
            let content = self.contents.get_mut(&id_of_content).expect("listed just now");
            content.subscribers.remove(&id);
            content.record_asked.retain(|_, (source, _)| *source != source_of(id));
            content.manifest_asked.remove(&id);
            if let Some(transfer) = &mut content.transfer
                && transfer.holdings(source_of(id)).is_some()
            {
                transfer.source_gone(source_of(id));
                content.touched = true;
                // The place is free: ask the relay for someone else.
                if is_first {
                    self.announce_soon(id_of_content);
                }
            }
        }
    }

    /// Lets go of connections that do not open, or that nobody uses; measures what goes out.
    pub(crate) fn check_connections(&mut self) {
        let mut ended = Vec::new();
        for (&id, c) in &mut self.connections.all {
            if !c.open || !c.greeted {
                let within = if c.is_first() { OPEN_WITHIN } else { LANE_OPEN_WITHIN };
                let is_silent = c.open && self.now.since(c.opened) > GREET_WITHIN;
                if is_silent || self.now.since(c.since) > within {
                    ended.push(id);
                }
                continue;
            }
            c.note_use(self.now);
            let span_s = self.now.since(c.sent_then.0).as_secs_f64();
            if span_s >= 0.5 {
                c.up_bytes_per_s = ((c.sent_bytes - c.sent_then.1) as f64 / span_s) as u64;
                c.sent_then = (self.now, c.sent_bytes);
            }
            let idle_close = if c.is_first() { IDLE_CLOSE } else { LANE_IDLE_CLOSE };
            if !c.subscribed.is_empty() || !c.subscriber_of.is_empty() || !c.wants_nothing_now() {
                c.last_used = self.now;
            } else if self.now.since(c.last_used) > idle_close {
                ended.push(id);
            }
        }
        ended.extend(self.useless());
        self.carry_late();
        ended.into_iter().for_each(|id| self.hang_up(id));
        self.take_up_passed_over();
    }
}
