//! Seats: how many connections may be made, who may have one, and who gives way when somebody else wants the place.
//!
//! A stranger has free keys, so nothing here is granted by key alone: attempts that come to nothing are bounded in all, strangers
//! leave a part of the budget to this node's own offers, and a seat is kept by what passes over it.

use crate::Node;
use crate::connections::Connection;
use crate::output::Role;
use core::time::Duration;
use peeredge_wire::limits::SYMBOL_BYTES_MAX;
use peeredge_wire::{ConnectionId, PeerId, Time};
use std::collections::VecDeque;

/// Peers at a time, unless the cap on connections is lower, or more than twice as high: the rest is for further lanes.
const PEERS_MAX: usize = 16;
/// A connection that gave nothing for so long makes room for another while a reader starves.
const USELESS_AFTER: Duration = Duration::from_secs(5);
/// For so long an unused connection does not make room for another.
const IDLE_GRACE: Duration = Duration::from_secs(2);
/// A seat over which nothing to speak of has passed for so long makes room for another peer; twice as long while this side wants
/// something of it, too.
const UNUSED_AFTER: Duration = Duration::from_secs(5);
/// One that another peer offered, and that does not open, makes room after so long.
const HALF_OPEN_AFTER: Duration = Duration::from_secs(4);
/// What is to speak of: one who asks for less in that time has not used the seat.
const USED_BYTES: u64 = 64 << 10;
/// A channel that takes so much is read.
const READS_BYTES: usize = SYMBOL_BYTES_MAX as usize + 64;
/// A peer that did not use its seat is not let in again for so long.
const SHUNNED_FOR: Duration = Duration::from_secs(20);
const SHUNNED_MAX: usize = 64;
/// Within so long attempts of other peers are counted.
const ATTEMPTS_WITHIN: Duration = Duration::from_secs(60);
/// Attempts that did not open, of all others together, beyond those that have a place at once; of first ones as many.
const ATTEMPTS_FAILED_MAX: usize = 32;
/// Attempts of one other peer, opened or not; a page that is loaded anew makes one.
const ATTEMPTS_OF_PEER_MAX: usize = 6;
/// Attempts of one other peer that did not open.
const ATTEMPTS_FAILED_OF_PEER_MAX: usize = 2;
/// Attempts remembered; the oldest goes first.
const ATTEMPTS_MAX: usize = 512;
/// Connections of the budget that other peers' offers leave to this node's own, and that lanes leave to first connections; of a small
/// budget a quarter, and a half.
const LEFT_BY_STRANGERS: u32 = 100;
const LEFT_BY_LANES: u32 = 200;

/// For whom a connection is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This node offers it.
    Own,
    /// Another peer does.
    Stranger,
}

/// The budget, and what strangers have used of it.
#[derive(Debug)]
pub(crate) struct Seats {
    /// Connections that the shell was asked to make.
    made: u32,
    made_max: u32,
    left_by_strangers: u32,
    left_by_lanes: u32,
    attempts: VecDeque<Attempt>,
    shunned: VecDeque<(Time, PeerId)>,
}

/// Somebody's offer that was taken.
#[derive(Debug)]
struct Attempt {
    at: Time,
    peer: PeerId,
    session: u64,
    opened: bool,
    /// Whether no other one of this peer was remembered.
    is_first: bool,
}

impl Seats {
    pub(crate) fn new(made_max: u32) -> Self {
        Seats {
            made: 0,
            made_max,
            left_by_strangers: LEFT_BY_STRANGERS.min(made_max / 4),
            left_by_lanes: LEFT_BY_LANES.min(made_max.div_ceil(2)),
            attempts: VecDeque::new(),
            shunned: VecDeque::new(),
        }
    }

    /// The shell makes room, or refused what it was asked for before it made anything.
    pub(crate) fn raise(&mut self, made_max: u32) {
        self.made_max = self.made_max.max(made_max);
    }

    /// The shell is asked for one.
    pub(crate) fn made(&mut self) {
        self.made = self.made.saturating_add(1);
    }

    fn left(&self) -> u32 {
        self.made_max.saturating_sub(self.made)
    }

    fn has_budget(&self, whose: Whose) -> bool {
        self.left() > if whose == Whose::Own { 0 } else { self.left_by_strangers }
    }

    /// Whether the budget has room for one more lane.
    pub(crate) fn has_budget_for_lane(&self) -> bool {
        self.left() > self.left_by_lanes
    }

    /// Whether an offer of this peer may be looked at: neither it nor all of them have tried too often.
    fn may_try(&mut self, now: Time, peer: PeerId, peers_max: usize) -> bool {
        while self.attempts.front().is_some_and(|a| now.since(a.at) > ATTEMPTS_WITHIN) {
            self.attempts.pop_front();
        }
        let of_peer = || self.attempts.iter().filter(|a| a.peer == peer);
        // First attempts are counted apart from all others: keys that try again and again use up their own places. A new key costs its
        // owner an introduction, and the relay bounds these for each.
        let is_first = of_peer().next().is_none();
        let failed = self.attempts.iter().filter(|a| !a.opened && (a.is_first || !is_first)).count();
        failed < ATTEMPTS_FAILED_MAX + peers_max
            && of_peer().count() < ATTEMPTS_OF_PEER_MAX
            && of_peer().filter(|a| !a.opened).count() < ATTEMPTS_FAILED_OF_PEER_MAX
    }

    /// Whether this peer was sent away not long ago.
    pub(crate) fn is_shunned(&self, now: Time, peer: PeerId) -> bool {
        self.shunned.iter().any(|&(at, shunned)| shunned == peer && now.since(at) < SHUNNED_FOR)
    }

    /// An attempt has a place.
    pub(crate) fn tries(&mut self, now: Time, peer: PeerId, session: u64) {
        if self.attempts.len() == ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        let is_first = self.attempts.iter().all(|a| a.peer != peer);
        self.attempts.push_back(Attempt { at: now, peer, session, opened: false, is_first });
    }

    /// What a stranger tried came to something.
    pub(crate) fn opened(&mut self, peer: PeerId, session: u64) {
        let of_session = |a: &&mut Attempt| (a.peer, a.session) == (peer, session);
        self.attempts.iter_mut().filter(of_session).for_each(|a| a.opened = true);
    }

    /// This peer is not let in for a while.
    pub(crate) fn shun(&mut self, now: Time, peer: PeerId) {
        if self.shunned.len() == SHUNNED_MAX {
            self.shunned.pop_front();
        }
        self.shunned.push_back((now, peer));
    }
}

/// Since when a seat has not been used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    at: Time,
    bytes: u64,
}

impl Use {
    pub(crate) fn new(now: Time) -> Self {
        Use { at: now, bytes: 0 }
    }
}

impl Connection {
    /// Notes what has passed over it.
    pub(crate) fn note_use(&mut self, now: Time) {
        let bytes = self.served_bytes + self.received_bytes;
        // One that waits for this side's store or caps is not idle; one that does not read is.
        let waits_for_us = !self.serve.is_empty() && self.can_send(READS_BYTES);
        if bytes >= self.seat.bytes + USED_BYTES || waits_for_us {
            self.seat = Use { at: now, bytes };
        }
    }

    /// Whether it gives way to a new peer; an idle one at once, one that somebody holds without using it after a while.
    fn gives_way(&self, now: Time) -> bool {
        if !self.is_first() {
            return false;
        }
        if !self.open || !self.greeted {
            return self.role == Role::Answerer && now.since(self.since) > HALF_OPEN_AFTER;
        }
        if self.subscribed.is_empty() && self.subscriber_of.is_empty() {
            return now.since(self.last_used) >= IDLE_GRACE;
        }
        let after = if self.subscribed.is_empty() { UNUSED_AFTER } else { 2 * UNUSED_AFTER };
        now.since(self.seat.at) > after
    }
}

impl Node {
    pub(crate) fn peers_max(&self) -> usize {
        let connections_max = usize::from(self.config.caps.connections_max);
        connections_max.min(PEERS_MAX.max(connections_max / 2))
    }

    /// Whether the budget lets this node offer any more connections.
    pub(crate) fn may_offer(&self) -> bool {
        !self.closing && self.connections.seats.has_budget(Whose::Own)
    }

    /// Whether there is a place for one more peer; makes it, if another's can be taken.
    pub(crate) fn may_connect(&mut self, whose: Whose) -> bool {
        if self.closing || !self.connections.seats.has_budget(whose) {
            return false;
        }
        let connections_max = usize::from(self.config.caps.connections_max);
        if self.connections.peers() < self.peers_max() {
            if self.connections.all.len() < connections_max {
                return true;
            }
            if let Some(lane) = self.lane_to_spare() {
                self.hang_up(lane);
                return true;
            }
        }
        // Room is made by the connection that was of no use for longest, if there is one.
        let now = self.now;
        self.connections.all.values_mut().for_each(|c| c.note_use(now));
        let relay = self.relay.relay;
        let unused = self.connections.all.iter().filter(|(_, c)| {
            // For its own sake this node gives up nobody of whom it wants something: those are judged when a reader starves.
            let may = whose == Whose::Stranger || c.subscribed.is_empty();
            may && c.gives_way(now) && Some(c.peer) != relay
        });
        let Some((&id, c)) = unused.min_by_key(|(_, c)| c.seat.at.min(c.last_used)) else { return false };
        if !c.subscriber_of.is_empty() {
            let peer = c.peer;
            self.connections.seats.shun(now, peer);
        }
        self.hang_up(id);
        true
    }

    /// Whether another peer may try to connect. What the shell is asked to make is bounded by what this peer and all others have
    /// tried; a path through the relay costs a place only.
    pub(crate) fn lets_try(&mut self, peer: PeerId, direct: bool) -> bool {
        let peers_max = self.peers_max();
        let seats = &mut self.connections.seats;
        !seats.is_shunned(self.now, peer) && (!direct || seats.may_try(self.now, peer, peers_max))
    }

    /// While a reader starves and every place is taken: the connection that has given nothing for longest. Somebody else may hold
    /// what this one does not.
    pub(crate) fn useless(&self) -> Option<ConnectionId> {
        let starves =
            self.requests.values().any(|r| r.waits() && self.now.since(r.starving_since) > USELESS_AFTER);
        if !starves || self.connections.peers() < self.peers_max() {
            return None;
        }
        let firsts = self.connections.all.iter().filter(|(_, c)| c.is_first());
        let silent = firsts.filter(|(_, c)| self.now.since(c.gave.max(c.since)) > USELESS_AFTER);
        let silent = silent.filter(|(id, _)| !self.may_still_give(**id, USELESS_AFTER));
        silent.min_by_key(|(_, c)| (!c.subscriber_of.is_empty(), c.gave)).map(|(&id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 16;

    fn key(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    /// Tries once if that is let, and says whether it was.
    fn tries(seats: &mut Seats, now: Time, number: u8) -> bool {
        let may = seats.may_try(now, key(number), PLACES);
        if may {
            seats.tries(now, key(number), 1);
        }
        may
    }

    #[test]
    fn keys_that_try_again_leave_a_place_to_those_who_come_first() {
        let mut seats = Seats::new(400);
        let now = Time::from_millis(1_000);
        // Each key may try twice: all that may fail within a minute.
        let tried: usize =
            (0..3).map(|_| (1..=24).filter(|&number| tries(&mut seats, now, number)).count()).sum();
        assert_eq!(tried, 48);
        assert!(tries(&mut seats, now, 100), "somebody who never tried");
        assert!(!tries(&mut seats, now, 100), "a second time is one of all");
    }

    #[test]
    fn first_attempts_are_bounded_too_and_a_minute_later_forgotten() {
        let mut seats = Seats::new(400);
        let now = Time::from_millis(1_000);
        let tried = (1..=200).filter(|&number| tries(&mut seats, now, number)).count();
        assert_eq!(tried, ATTEMPTS_FAILED_MAX + PLACES);
        assert!(tries(&mut seats, now + ATTEMPTS_WITHIN + Duration::from_millis(1), 201));
    }

    #[test]
    fn what_opened_counts_against_nobody() {
        let mut seats = Seats::new(400);
        let now = Time::from_millis(1_000);
        for number in 1..=200 {
            assert!(tries(&mut seats, now, number));
            seats.opened(key(number), 1);
        }
    }
}
