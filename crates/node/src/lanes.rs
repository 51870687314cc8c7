//! Several connections to one peer. One connection's goodput collapses with loss, since its congestion control takes every loss
//! for congestion; more connections scale almost linearly. So a receiver opens more of them, **lanes**, where that gains something:
//!
//! - only while it has more to ask of that peer than is under way, and one lane is not fast anyway, nor so thin that the handshakes of
//!   others would fill it;
//! - only while the round trip is not inflated: a queue that grows means that the path is full, and more lanes would only take
//!   from others on it; when it is seen twice with lanes open, half of them are closed, and when no check comes back for long, all but one;
//! - only while the receiver's own downlink does not seem to bound all of its connections: they would only take from those to other peers;
//! - only if a step gives at least [`GAIN`] of the rate before it; what does not is undone and not tried again soon, unless the rate
//!   collapses without a queue: one window that has lost many packets at once takes seconds to grow again, eight take less;
//! - on long round trips only as long as fewer would not do: a while after a step three quarters of them are closed for a moment. Where
//!   loss is the limit, so much of the rate is gone; where others fill the path, and have filled it all the time, so that no queue is
//!   seen to grow, most of it is still there: then what the lanes gain is taken from those, and one is left;
//! - only while there are few peers: many peers are many connections already;
//! - only within the caps: lanes leave a part of the connections that a node may make to first ones, and a lane makes room when
//!   another peer needs the place.
//!
//! The first connection says what the peer holds; the others only carry symbols, each with a window and a rate of its own.

use crate::Node;
use crate::connections::source_of;
use crate::output::Role;
use core::time::Duration;
use peeredge_routing::Limit;
use peeredge_wire::{ConnectionId, PeerId, Time};

/// Connections to one peer, the first included.
const LANES_MAX: usize = 8;
/// A step must multiply the rate by this, or it is undone: beside one other flow on a full path eight in place of one would only take
/// its half, and gain less. Where loss is the limit they gain up to eight times.
const GAIN: f64 = 1.8;
/// Where loss is the limit a quarter of the lanes carries a quarter of the rate; where it carries more than this, something else is.
const FEWER_CARRY: f64 = 0.5;
/// A round trip that was never shorter may be a queue's, and fewer lanes are tried; what fits into less is no queue to speak of.
const LONG_MICROS: u64 = 100_000;
/// How long after a step fewer are tried, and for how long: what the others had in the queue comes first, for nothing.
const FEWER_AFTER: Duration = Duration::from_secs(2);
const FEWER_FOR: Duration = Duration::from_secs(2);
/// How long a rate is measured before it is believed.
const MEASURE: Duration = Duration::from_millis(500);
/// With more peers than this there are connections enough.
const PEERS_MAX: usize = 6;
/// Bytes a second with which one peer's rate is good enough.
const ENOUGH_BYTES_PER_S: f64 = 2e6;
/// After a step that did not gain, the next is tried after so long, then twice as long, and so on.
const HOLD_FIRST: Duration = Duration::from_secs(10);
const HOLD_MAX: Duration = Duration::from_secs(320);
/// A rate that has fallen below this share has collapsed: a window that halves, and halves again before it has grown, is still above.
const COLLAPSED: f64 = 0.4;
/// What a path has carried before more lanes are tried: on a thin one their handshakes would take longer than its symbols.
const TRIED_BYTES: u64 = 32 << 10;
/// A round trip is inflated when it is longer than the shortest by half, and this.
const INFLATED_MICROS: u64 = 20_000;
/// A browser checks a connection every 2.5 s, and its shell looks every 1.5 s: a round trip is measured at least so often; with more
/// connections than so many the shell looks seldomer.
const SILENT: Duration = Duration::from_secs(5);
const SILENT_AMONG: usize = 10;
/// What one symbol counts in the share that comes late: it follows the last 16.
const LATE_WEIGHT: f64 = 1.0 / 16.0;
/// Lanes that the other side may offer beside one first connection, and bytes sent to it that let it offer one more.
const TAKEN_FREE: u64 = 32;
const TAKEN_BYTES: u64 = 4 << 20;
/// A lane opens soon or not at all: the first connection's path is known to work.
pub(crate) const LANE_OPEN_WITHIN: Duration = Duration::from_secs(6);

/// The low bits of a session number say which lane it is; zero is the first connection. Numbers are used once.
const LANE_BITS: u64 = 0xffff;
/// Set in the lanes that the answerer of the first connection opens, so that both sides may open some at once.
const BY_ANSWERER: u64 = 0x8000;

/// The session of a first connection made of a random number.
pub(crate) fn first_session(random: u64) -> u64 {
    random & !LANE_BITS
}

/// The session of the first connection to which this one belongs.
pub(crate) fn first_session_of(session: u64) -> u64 {
    session & !LANE_BITS
}

/// Whether a session is another lane's.
pub(crate) fn is_lane(session: u64) -> bool {
    session & LANE_BITS != 0
}

/// What is tried: more lanes than before, measured once already or not, or a quarter of them; with the rate before.
#[derive(Clone, Copy, Debug)]
enum Trial {
    More { before: usize, rate: f64, measured: bool },
    Fewer { before: usize, rate: f64 },
}

/// What is known of the lanes to one peer. Kept with its first connection.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Lane numbers given so far.
    numbered: u64,
    /// Lanes that the other side has offered so far.
    taken: u64,
    /// Payload bytes that have arrived over all of them.
    pub(crate) arrived_bytes: u64,
    /// Since when, and from how many bytes on, the rate is measured.
    mark: (Time, u64),
    /// Round trips measured since then have not been judged.
    judged: Time,
    trial: Option<Trial>,
    hold_until: Time,
    hold: Duration,
    /// The highest rate since the last step that was taken back.
    best: f64,
    fewer_at: Time,
    was_inflated: bool,
    was_low: bool,
    shortest_micros: Option<u64>,
    /// Share of the symbols that came later than their lane's rate promised, the last ones counting most.
    late_share: f64,
}

impl Lanes {
    pub(crate) fn new(now: Time) -> Self {
        Lanes {
            numbered: 0,
            taken: 0,
            arrived_bytes: 0,
            mark: (now, 0),
            judged: now,
            trial: None,
            hold_until: Time::ZERO,
            hold: HOLD_FIRST,
            best: 0.0,
            fewer_at: Time::NEVER,
            was_inflated: false,
            was_low: false,
            shortest_micros: None,
            late_share: 0.0,
        }
    }

    fn begin_anew(&mut self, now: Time) {
        self.mark = (now, self.arrived_bytes);
    }

    /// No more lanes for a while.
    fn rest(&mut self, now: Time, rate: f64) {
        self.trial = None;
        self.hold_until = now + self.hold;
        self.best = rate;
        self.was_low = false;
    }

    /// The next trial comes later than this one did.
    fn failed(&mut self, now: Time, rate: f64) {
        self.rest(now, rate);
        self.hold = (self.hold * 2).min(HOLD_MAX);
    }
}

impl Node {
    /// The shell measured a connection's round trip.
    pub(crate) fn round_trip(&mut self, id: ConnectionId, micros: u64) {
        let now = self.now;
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.round_trip = Some((now, micros));
        let peer = connection.peer;
        if let Some(lanes) = self.lanes_mut(&peer) {
            lanes.shortest_micros =
                Some(lanes.shortest_micros.map_or(micros, |shortest| shortest.min(micros)));
        }
    }

    /// Of all connections to this one's peer: the shortest round trip in seconds, which was not spent in queues, and which share of
    /// the symbols comes late.
    pub(crate) fn path_of(&self, id: ConnectionId) -> (Option<f64>, f64) {
        let first = self.connections.all.get(&id).and_then(|c| self.connections.with_peer(&c.peer));
        let lanes = first.and_then(|first| self.connections.all[&first].lanes.as_ref());
        let shortest = lanes.and_then(|lanes| lanes.shortest_micros).map(|micros| micros as f64 / 1e6);
        (shortest, lanes.map_or(0.0, |lanes| lanes.late_share))
    }

    fn lanes_mut(&mut self, peer: &PeerId) -> Option<&mut Lanes> {
        let first = self.connections.with_peer(peer)?;
        self.connections.all.get_mut(&first)?.lanes.as_mut()
    }

    /// Payload has arrived from this peer, by whichever lane; late or not, if that is known.
    pub(crate) fn lane_arrived(&mut self, peer: &PeerId, bytes: u64, late: Option<bool>) {
        if let Some(lanes) = self.lanes_mut(peer) {
            lanes.arrived_bytes += bytes;
            if let Some(late) = late {
                lanes.late_share += (f64::from(u8::from(late)) - lanes.late_share) * LATE_WEIGHT;
            }
        }
    }

    /// Whether there is something to ask of the peer behind this first connection that it has not been asked for.
    fn has_more_to_ask(&self, first: ConnectionId) -> bool {
        self.contents.iter().any(|(&id, content)| {
            if self.http_stands_for(id, first) {
                return false;
            }
            let Some(transfer) = &content.transfer else { return false };
            transfer.holdings(source_of(first)).is_some_and(|held| held.blocks() > 0)
                && !transfer.all_under_way()
        })
    }

    /// Whether a queue has grown on the path to this peer, by the round trips measured since then; none if there are none.
    fn is_inflated(&self, peer: &PeerId, since: Time) -> Option<bool> {
        let first = self.connections.with_peer(peer)?;
        let shortest = self.connections.all[&first].lanes.as_ref()?.shortest_micros?;
        let of_peer = self.connections.all.values().filter(|c| c.peer == *peer);
        let round_trips = of_peer.filter_map(|c| c.round_trip).filter(|&(at, _)| at > since);
        let latest = round_trips.map(|(_, micros)| micros).min()?;
        Some(latest > shortest + shortest / 2 + INFLATED_MICROS)
    }

    /// Opens lanes where they gain something, and closes those that do not.
    pub(crate) fn manage_lanes(&mut self) {
        let firsts: Vec<(ConnectionId, PeerId)> = self
            .connections
            .all
            .iter()
            .filter(|(_, c)| {
                c.is_first() && c.open && c.greeted && !c.is_carried() && !c.subscribed.is_empty()
            })
            .map(|(&id, c)| (id, c.peer))
            .collect();
        for (first, peer) in firsts {
            self.manage_lanes_to(first, peer);
        }
    }

    fn manage_lanes_to(&mut self, first: ConnectionId, peer: PeerId) {
        let now = self.now;
        let of_peer = self.connections.all.values().filter(|c| c.peer == peer);
        let (count, opening) =
            of_peer.fold((0, false), |(n, opening), c| (n + 1, opening || !c.open || !c.greeted));
        let looked_at = self.connections.all.len() <= SILENT_AMONG;
        let more = self.has_more_to_ask(first);
        let known = self.is_inflated(&peer, Time::ZERO);
        let is_downlink = self.connections.chain.limit(first.0) == Some(Limit::Downlink);
        let Some(lanes) = self.lanes_mut(&peer) else { return };
        if !more || opening {
            lanes.judged = now;
            return lanes.begin_anew(now);
        }
        let span = now.since(lanes.mark.0);
        if span < if let Some(Trial::Fewer { .. }) = lanes.trial { FEWER_FOR } else { MEASURE } {
            return;
        }
        let rate = (lanes.arrived_bytes - lanes.mark.1) as f64 / span.as_secs_f64();
        lanes.begin_anew(now);
        lanes.best = lanes.best.max(rate);
        // The browser measures round trips now and then: what was measured before says nothing of a queue that may have grown.
        // Where several lanes' checks do not come back for long, they lie in a queue or found it full.
        let judged = lanes.judged;
        let inflated = self.is_inflated(&peer, judged);
        let silent = looked_at && inflated.is_none() && count > 1 && now.since(judged) > SILENT;
        let Some(lanes) = self.lanes_mut(&peer) else { return };
        if inflated.is_some() {
            lanes.judged = now;
        }
        match lanes.trial.take() {
            Some(Trial::More { before, rate: rate_before, measured }) => {
                lanes.fewer_at = now + FEWER_AFTER;
                if rate < rate_before * GAIN {
                    // Loss comes in lumps: one short time is not believed.
                    if !measured {
                        lanes.trial = Some(Trial::More { before, rate: rate_before, measured: true });
                        return;
                    }
                    lanes.failed(now, rate.max(rate_before));
                    return self.close_lanes(&peer, before);
                }
                lanes.hold = HOLD_FIRST;
            }
            Some(Trial::Fewer { before, rate: rate_before }) => {
                if rate > rate_before * FEWER_CARRY {
                    lanes.failed(now, rate);
                    return self.close_lanes(&peer, 1);
                }
                lanes.fewer_at = now + HOLD_MAX;
                return self.open_lanes(first, peer, before);
            }
            None => {}
        }
        // One look may have met a burst.
        let inflated_again = inflated == Some(true) && core::mem::replace(&mut lanes.was_inflated, true);
        if inflated == Some(false) {
            lanes.was_inflated = false;
        }
        if (inflated_again || silent) && count > 1 {
            lanes.rest(now, rate);
            return self.close_lanes(&peer, if silent { 1 } else { count / 2 });
        }
        let is_long = lanes.shortest_micros.is_some_and(|micros| micros > LONG_MICROS);
        if inflated.is_some() && count > 1 && is_long && lanes.fewer_at <= now {
            lanes.trial = Some(Trial::Fewer { before: count, rate });
            return self.close_lanes(&peer, count / 4);
        }
        // Where the rate has collapsed since the last step, what was learned then is no longer so, and there is no time to lose.
        let is_low = rate < lanes.best * COLLAPSED;
        let collapsed = core::mem::replace(&mut lanes.was_low, is_low) && is_low;
        let is_free = inflated.or(if collapsed { known } else { None }) == Some(false);
        let held = lanes.hold_until > now && !collapsed;
        let is_tried = lanes.arrived_bytes >= TRIED_BYTES;
        if !is_tried || !is_free || is_downlink || held || rate > ENOUGH_BYTES_PER_S || count >= LANES_MAX {
            return;
        }
        if !self.may_open_lane() {
            return;
        }
        if let Some(lanes) = self.lanes_mut(&peer) {
            lanes.trial = Some(Trial::More { before: count, rate, measured: false });
        }
        self.open_lanes(first, peer, LANES_MAX);
    }

    /// Opens lanes until there are so many connections to the peer.
    fn open_lanes(&mut self, first: ConnectionId, peer: PeerId, target: usize) {
        let count = self.connections.all.values().filter(|c| c.peer == peer).count();
        for _ in count..target {
            if self.may_open_lane() {
                self.open_lane(first, peer);
            }
        }
    }

    fn may_open_lane(&self) -> bool {
        let caps = &self.config.caps;
        !self.closing
            && self.config.direct
            && self.connections.peers() <= PEERS_MAX
            && self.relay.is_ready()
            && self.connections.seats.has_budget_for_lane()
            && self.connections.all.len() < usize::from(caps.connections_max)
    }

    fn open_lane(&mut self, first: ConnectionId, peer: PeerId) {
        let Some(connection) = self.connections.all.get_mut(&first) else { return };
        let Some(lanes) = &mut connection.lanes else { return };
        // A session that somebody numbered otherwise has no place for lanes.
        if lanes.numbered == BY_ANSWERER - 1 || is_lane(connection.session) {
            return;
        }
        lanes.numbered += 1;
        let by_answerer = if connection.role == Role::Answerer { BY_ANSWERER } else { 0 };
        let session = first_session_of(connection.session) | by_answerer | lanes.numbered;
        self.open_connection(peer, session, Role::Offerer, None, true);
    }

    /// Whether the offer of one more lane beside this first connection may be taken: there is room, and not too many were offered
    /// for what they carried.
    pub(crate) fn takes_lane(&mut self, first: ConnectionId, session: u64) -> bool {
        let room = self.connections.all.len() < usize::from(self.config.caps.connections_max)
            && self.connections.seats.has_budget_for_lane();
        let Some(connection) = self.connections.all.get(&first) else { return false };
        let (peer, stands) = (connection.peer, connection.session == first_session_of(session));
        let of_peer = self.connections.all.values().filter(|c| c.peer == peer);
        let (count, sent) = of_peer.fold((0, 0), |(n, sent), c| (n + 1, sent + c.served_bytes));
        if !stands || !room || count >= LANES_MAX || self.closing {
            return false;
        }
        let Some(lanes) = self.lanes_mut(&peer) else { return false };
        lanes.taken += 1;
        lanes.taken <= TAKEN_FREE + sent / TAKEN_BYTES
    }

    /// Closes the youngest lanes to this peer until `left` connections are left.
    fn close_lanes(&mut self, peer: &PeerId, left: usize) {
        let of_peer = self.connections.all.iter().filter(|(_, c)| c.peer == *peer);
        let excess = of_peer.clone().count().saturating_sub(left.max(1));
        let youngest: Vec<ConnectionId> =
            of_peer.filter(|(_, c)| !c.is_first()).map(|(&id, _)| id).rev().take(excess).collect();
        youngest.into_iter().for_each(|id| self.hang_up(id));
    }

    /// The youngest lane of the peer that has most of them: it makes room for another peer.
    pub(crate) fn lane_to_spare(&self) -> Option<ConnectionId> {
        let lanes = self.connections.all.iter().filter(|(_, c)| !c.is_first());
        let of_peer = |peer: PeerId| self.connections.all.values().filter(|c| c.peer == peer).count();
        lanes.max_by_key(|(id, c)| (of_peer(c.peer), **id)).map(|(&id, _)| id)
    }

    /// A lane opened: what its peer holds is known from the first connection.
    pub(crate) fn lane_greeted(&mut self, id: ConnectionId) {
        let Some(peer) = self.connections.all.get(&id).map(|c| c.peer) else { return };
        let Some(first) = self.connections.with_peer(&peer) else { return };
        let key = crate::connections::key_of(&peer);
        for content in self.contents.values_mut() {
            let Some(transfer) = &mut content.transfer else { continue };
            if let Some(holdings) = transfer.holdings(source_of(first)).cloned() {
                *transfer.source(source_of(id), key) = holdings;
                content.touched = true;
            }
        }
    }
}
