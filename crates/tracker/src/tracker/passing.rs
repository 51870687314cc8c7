//! What peers have passed on to each other: signals, heads of live contents, messages that found no direct path.

use super::{Conn, Refusal, Stage, Tracker, peer_of, ready, refuse};
use crate::bucket::Bucket;
use crate::carry::Ended;
use crate::config::SignalSettings;
use crate::io::{ConnId, TrackerOutput};
use crate::owners::{OwnerId, Seat, number};
use crate::tracker::member;
use core::time::Duration;
use peeredge_wire::relay::{CarryEnd, ErrorCode, FromRelay, SignalRefusal};
use peeredge_wire::{PeerId, Time};
use std::collections::BTreeMap;

/// Owners whose peers signal one peer, remembered at a time.
const SHARES_MAX: usize = 512;

/// What the peers of each owner may still signal to one peer.
#[derive(Debug, Default)]
pub(super) struct Shares(BTreeMap<OwnerId, Share>);

#[derive(Debug)]
struct Share {
    signals: Bucket,
    sessions: Bucket,
    used: Time,
}

impl Shares {
    fn take(&mut self, now: Time, owner: OwnerId, is_new: bool, s: &SignalSettings) -> bool {
        if !self.0.contains_key(&owner) && self.0.len() >= SHARES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, share)| share.used).map(|(owner, _)| *owner);
            oldest.and_then(|owner| self.0.remove(&owner));
        }
        let share = self.0.entry(owner).or_insert_with(|| Share {
            signals: Bucket::full(now, s.per_s, s.burst),
            sessions: Bucket::full(now, s.sessions_per_s, s.sessions_burst),
            used: now,
        });
        share.used = now;
        share.signals.take(now, 1) && (!is_new || share.sessions.take(now, 1))
    }
}

impl Tracker {
    pub(super) fn signal(
        &mut self,
        now: Time,
        conn: ConnId,
        from: PeerId,
        to: PeerId,
        session: u64,
        signal: Vec<u8>,
    ) {
        match self.may_signal(now, conn, &from, &to, session) {
            Ok(addressee) => {
                self.counts.signals += 1;
                self.pass_on(conn, addressee, &FromRelay::Signal { from, session, signal });
            }
            Err(why) => {
                match why {
                    SignalRefusal::Gone => self.counts.unreachable += 1,
                    SignalRefusal::Unknown => self.counts.signals_refused[0] += 1,
                    SignalRefusal::Busy => self.counts.signals_refused[1] += 1,
                }
                self.send(conn, &FromRelay::Unreachable { peer: to, session, why });
            }
        }
    }

    /// The addressee's connection, if the two were introduced and its part for this owner is not used up. Whoever was not introduced is
    /// not told whether the other one is here.
    fn may_signal(
        &mut self,
        now: Time,
        conn: ConnId,
        from: &PeerId,
        to: &PeerId,
        session: u64,
    ) -> Result<ConnId, SignalRefusal> {
        let addressee = self.peers.get(to).copied();
        if *from == self.config.relay {
            return addressee.ok_or(SignalRefusal::Gone);
        }
        if !self.are_introduced(now, conn, from, to) {
            return Err(SignalRefusal::Unknown);
        }
        let addressee = addressee.ok_or(SignalRefusal::Gone)?;
        let owner = self.conns.get(&conn).and_then(Conn::quota).ok_or(SignalRefusal::Gone)?;
        let Some(other) = ready(&mut self.conns, addressee) else { return Err(SignalRefusal::Gone) };
        let theirs = other.meetings.get(from);
        let mut answers = theirs.is_some_and(|meeting| meeting.signalled);
        let is_theirs = theirs.is_some_and(|meeting| meeting.knows(session));
        // A peer that came back knows nobody, but may be known.
        let known = theirs.map(|meeting| meeting.last);
        let Some(peer) = ready(&mut self.conns, conn) else { return Err(SignalRefusal::Gone) };
        if peer.meetings.get(to).is_none()
            && let Some(at) = known
        {
            peer.meetings.add(at, *to, peeredge_wire::ContentId([0; 32]), false, false);
        }
        let Some(own) = peer.meetings.get_mut(to) else { return Err(SignalRefusal::Unknown) };
        let (is_new, is_first) = (!is_theirs && !own.knows(session), !own.signalled);
        // The first one shows the sender's address: as many may the other one's network learn.
        let others = self.conns.get(&addressee).and_then(Conn::quota).ok_or(SignalRefusal::Gone)?;
        if is_first && *to != self.config.relay && !self.owners.learn(now, others, owner, number(from), true)
        {
            return Err(SignalRefusal::Busy);
        }
        // The relay's own node answers for itself.
        answers |= *to == self.config.relay;
        let Some(other) = ready(&mut self.conns, addressee) else { return Err(SignalRefusal::Gone) };
        if !other.shares.take(now, owner, is_new, &self.config.signals) {
            return Err(SignalRefusal::Busy);
        }
        if answers && let Some(theirs) = other.meetings.get_mut(from) {
            theirs.contact = true;
        }
        if let Some(own) = ready(&mut self.conns, conn).and_then(|peer| peer.meetings.get_mut(to)) {
            own.signals(session);
            own.contact |= answers;
        }
        Ok(addressee)
    }

    /// Whether two may have to do with each other: they were introduced of late, or both have signalled the other since both are here.
    fn are_introduced(&self, now: Time, conn: ConnId, from: &PeerId, to: &PeerId) -> bool {
        let within = Duration::from_millis(u64::from(self.config.signals.introduced_for_ms));
        let of = |conn: ConnId, other: &PeerId| match &self.conns.get(&conn)?.stage {
            Stage::Ready(peer) => peer.meetings.get(other),
            Stage::Challenged { .. } => None,
        };
        let own = of(conn, to);
        let theirs = self.peers.get(to).and_then(|other| of(*other, from));
        let contact = own.is_some_and(|m| m.contact) && theirs.is_some_and(|m| m.contact);
        contact || own.into_iter().chain(theirs).any(|m| m.is_recent(now, within))
    }

    /// The publisher is who proved the key: a head in another's name reaches nobody.
    pub(super) fn head(
        &mut self,
        now: Time,
        conn: ConnId,
        publisher: PeerId,
        name: String,
        head: Vec<u8>,
    ) -> Result<(), Refusal> {
        let topic = (publisher, name);
        self.enter_live(conn, &topic)?;
        self.lives.head(now, conn, topic, &head);
        Ok(())
    }

    pub(super) fn follow(
        &mut self,
        now: Time,
        conn: ConnId,
        publisher: PeerId,
        name: String,
    ) -> Result<(), Refusal> {
        let topic = (publisher, name);
        self.enter_live(conn, &topic)?;
        let owner = self.conns.get(&conn).and_then(Conn::quota);
        let Tracker { lives, owners, .. } = self;
        // A head is a hundred times as long as the word for it.
        let takes = |bytes| owner.is_none_or(|owner| owners.takes_head(now, owner, bytes));
        if let Some(head) = lives.follow(now, conn, &topic, takes) {
            let message = FromRelay::Head { publisher, name: topic.1, head };
            self.pass_on(conn, conn, &message);
        }
        Ok(())
    }

    /// Takes a place for a live content, the connection's and its owner's.
    fn enter_live(&mut self, conn: ConnId, topic: &(PeerId, String)) -> Result<(), Refusal> {
        if self.lives.has(conn, topic) {
            return Ok(());
        }
        let owner = self.conns.get(&conn).and_then(Conn::quota);
        let of_owner = owner.map_or(0, |owner| self.owners.taken(owner, Seat::Live));
        if self.lives.of(conn) >= self.config.live_contents_max
            || of_owner >= self.config.owners.live_contents_max
        {
            return refuse(ErrorCode::TooMany, "too many live contents");
        }
        self.count_seats(conn, Seat::Live, 1);
        Ok(())
    }

    /// Passes on the heads that are due, to followers whose owner takes more.
    pub(super) fn pass_heads(&mut self, now: Time) {
        loop {
            let Tracker { lives, owners, conns, .. } = self;
            let mut takes = |conn: ConnId, bytes: usize| {
                let owner = conns.get(&conn).and_then(Conn::quota);
                owner.is_none_or(|owner| owners.takes_head(now, owner, bytes))
            };
            let Some(passing) = lives.due(now, &mut takes) else { return };
            let (publisher, name) = passing.topic;
            let from = self.peers.get(&publisher).copied();
            let message = FromRelay::Head { publisher, name, head: passing.head };
            for follower in passing.to {
                self.pass_on(from.unwrap_or(follower), follower, &message);
            }
        }
    }

    pub(super) fn carry_open(
        &mut self,
        now: Time,
        conn: ConnId,
        from: PeerId,
        to: PeerId,
        session: u64,
        credit_bytes: u32,
    ) {
        let other = self.peers.get(&to).copied().filter(|_| to != from);
        let owner = self.conns.get(&conn).and_then(Conn::quota);
        // The relay's own peer is reached without a detour.
        let may = ![from, to].contains(&self.config.relay)
            && self.are_introduced(now, conn, &from, &to)
            && !self.blames.apart(now, &from, &to);
        let max = self.config.carry.owner_bytes_per_h_max();
        let opened = match (other, owner) {
            _ if !may => Err(CarryEnd::Refused),
            (_, Some(owner)) if !self.owners.carries(now, owner, 0, max) => Err(CarryEnd::Capped),
            (Some(other), Some(owner)) => self
                .carries
                .open(now, (conn, owner), other, session, credit_bytes)
                .map(|(credit_bytes, ended)| (other, credit_bytes, ended)),
            _ => Err(CarryEnd::Gone),
        };
        match opened {
            Ok((other, credit_bytes, ended)) => {
                ended.into_iter().for_each(|ended| self.carry_ended(ended));
                self.pass_on(conn, other, &FromRelay::CarryOpen { from, session, credit_bytes });
            }
            Err(end) => self.send(conn, &FromRelay::CarryClosed { peer: to, session, end }),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one field of the message each")]
    pub(super) fn carry(
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
        let owner = self.conns.get(&conn).and_then(Conn::quota);
        let max = self.config.carry.owner_bytes_per_h_max();
        let passes = self.carries.pass(now, conn, other, session, piece.len()).and_then(|()| {
            // Another connection, or another key, is the same network.
            let bytes = piece.len() as u64;
            let may = owner.is_none_or(|owner| self.owners.carries(now, owner, bytes, max));
            may.then_some(()).ok_or(CarryEnd::Capped)
        });
        match passes {
            Ok(()) => {
                self.counts.carried_bytes = self.counts.carried_bytes.saturating_add(piece.len() as u64);
                // Bounded by the credit that the other side gave, and nothing of it may be missing.
                self.send(other, &FromRelay::Carried { from, session, last, piece });
            }
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    pub(super) fn carry_credit(
        &mut self,
        now: Time,
        conn: ConnId,
        from: PeerId,
        to: PeerId,
        session: u64,
        bytes: u32,
    ) {
        let Some(other) = self.peers.get(&to).copied() else { return };
        let taken = self.carries.passes(conn, other, session);
        match self.carries.credit(now, conn, other, session, bytes) {
            Ok(bytes) => {
                if !taken {
                    self.in_contact(conn, other, &from, &to);
                }
                self.send(other, &FromRelay::CarryCredit { from, session, bytes });
            }
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    /// Each of the two has answered the other.
    fn in_contact(&mut self, a: ConnId, b: ConnId, a_peer: &PeerId, b_peer: &PeerId) {
        for (conn, other) in [(a, b_peer), (b, a_peer)] {
            if let Some(meeting) = ready(&mut self.conns, conn).and_then(|peer| peer.meetings.get_mut(other))
            {
                (meeting.signalled, meeting.contact) = (true, true);
            }
        }
    }

    /// Ends a session and tells the other side; with `both`, the one that caused it as well.
    pub(super) fn carry_end(&mut self, conn: ConnId, other: ConnId, session: u64, end: CarryEnd, both: bool) {
        let existed = self.carries.close(conn, other, session);
        if existed {
            self.carry_closed(other, conn, session, CarryEnd::Gone);
        }
        if both {
            self.carry_closed(conn, other, session, end);
        }
    }

    /// Ends the sessions that nobody took in time.
    pub(super) fn expire_carries(&mut self, now: Time) {
        while let Some(ended) = self.carries.expired(now) {
            self.carry_ended(ended);
        }
    }

    fn carry_ended(&mut self, Ended { between: [a, b], session }: Ended) {
        self.carry_closed(a, b, session, CarryEnd::Idle);
        self.carry_closed(b, a, session, CarryEnd::Idle);
    }

    fn carry_closed(&mut self, to: ConnId, of: ConnId, session: u64, end: CarryEnd) {
        if let Some(peer) = peer_of(&self.conns, member(of)) {
            let frame = FromRelay::CarryClosed { peer, session, end }.encode();
            self.out.push_back(TrackerOutput::Send { conn: to, frame, of: None });
        }
    }
}
