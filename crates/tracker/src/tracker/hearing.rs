//! What peers say of each other and of themselves, and what it counts for.

use super::{Conn, Stage, Tracker, member, party_of, ready};
use crate::io::ConnId;
use crate::owners::{Seat, Voice, number};
use core::time::Duration;
use ed25519_dalek::{Signature, VerifyingKey};
use peeredge_hvm::{BytesPerS, Units};
use peeredge_wire::relay::{Receipt, Report};
use peeredge_wire::{PeerId, Time};

/// Open channels that one peer is believed to have.
const CHANNELS_MAX: u16 = 512;
/// What a receipt says may have come in so much more time than passed: introductions, receipts and reports cross.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Tracker {
    /// What a peer says of itself. No more is believed than a line could have carried since it said so last.
    pub(super) fn report(&mut self, now: Time, conn: ConnId, report: &Report) {
        let plausible_bytes_per_s = self.config.trust.plausible_bytes_per_s_max;
        let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) else { return };
        let Some(Conn { stage: Stage::Ready(peer), .. }) = self.conns.get_mut(&conn) else { return };
        if peer.id == self.config.relay {
            return;
        }
        let elapsed = now.since(peer.reported);
        let possible = bytes_in(elapsed, plausible_bytes_per_s);
        let (owners, since) = (&mut self.owners, peer.reported);
        let mut said = |figure: usize, bytes: u64| {
            let said = (since, bytes.min(possible));
            owners.believed(now, owner, figure, said, |elapsed| bytes_in(elapsed, plausible_bytes_per_s))
        };
        let (sent, from_peers) = (said(0, report.sent_bytes), said(1, report.from_peers_bytes));
        let from_relay = said(2, report.from_relay_bytes);
        let units = Units {
            up: BytesPerS::over(sent, elapsed),
            down: BytesPerS::over(from_peers.saturating_add(from_relay), elapsed),
            ..peer.units
        };
        let sum = &mut self.counts.reported;
        sum.sent_bytes = sum.sent_bytes.saturating_add(sent);
        sum.from_peers_bytes = sum.from_peers_bytes.saturating_add(from_peers);
        sum.from_relay_bytes = sum.from_relay_bytes.saturating_add(from_relay);
        sum.from_http_bytes = sum.from_http_bytes.saturating_add(said(3, report.from_http_bytes));
        sum.wasted_bytes = sum.wasted_bytes.saturating_add(said(4, report.wasted_bytes));
        (peer.reported, peer.units) = (now, units);
        peer.channels = report.channels.min(CHANNELS_MAX);
        let terms_waited = core::mem::take(&mut peer.terms_wait);
        self.ahead.sent(member(conn), sent);
        if terms_waited {
            self.set_terms(now, conn);
        }
        self.judge_meetings(now, conn);
    }

    /// A peer says what it gives at most. The market hears of it about once a second, or with the next report: each change makes it
    /// think anew.
    pub(super) fn capacity(&mut self, now: Time, conn: ConnId, up_bytes_per_s: u64, cost_class: u8) {
        let Some(peer) = ready(&mut self.conns, conn) else { return };
        (peer.up_bytes_per_s_max, peer.cost_class) = (up_bytes_per_s, cost_class);
        if peer.terms.take(now, 1) {
            self.set_terms(now, conn);
        } else {
            peer.terms_wait = true;
        }
    }

    /// A peer offers to hold contents ahead of demand, or no longer. Of one owner's so many count.
    pub(super) fn spare(&mut self, now: Time, conn: ConnId, storage_bytes: u64, up_bytes_per_s: u64) {
        let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) else { return };
        let Some(peer) = ready(&mut self.conns, conn).filter(|peer| peer.id != self.config.relay) else {
            return;
        };
        match (peer.offers_room, storage_bytes > 0) {
            (true, false) => {
                peer.offers_room = false;
                self.owners.count_seats(now, owner, Seat::Spare, -1);
            }
            (false, true) => {
                peer.offers_room =
                    self.owners.try_seat(now, owner, Seat::Spare, self.config.owners.spares_max);
                if !peer.offers_room {
                    return;
                }
            }
            _ => {}
        }
        self.ahead.offered(member(conn), storage_bytes, up_bytes_per_s);
    }

    /// A peer says whether the connection to one of whom it was told opened. One voice an owner, and nobody doubts the relay's own.
    pub(super) fn met(&mut self, now: Time, conn: ConnId, other: &PeerId, opened: bool) {
        let news = ready(&mut self.conns, conn).is_some_and(|peer| peer.meetings.met(now, other, opened));
        let is_relay = *other == self.config.relay;
        // Of the relay's own node it is a figure, and nothing else.
        self.counts.met[usize::from(!opened)] += u64::from(news && is_relay);
        let owner = self.conns.get(&conn).and_then(Conn::quota).filter(|_| news && !is_relay);
        if let (Some(owner), Some(other_conn)) = (owner, self.peers.get(other).copied())
            && self.owners.says_met(now, owner, number(other), opened)
            && let (Some(a), Some(b)) = (party_of(&self.conns, conn), party_of(&self.conns, other_conn))
        {
            self.counts.met[usize::from(!opened)] += 1;
            self.standings.met(a, b, opened);
            self.set_terms(now, conn);
            self.set_terms(now, other_conn);
        }
    }

    /// A receiver's receipt. None when it counts for nothing: cheap reasons first. More than a line could have carried since the two were
    /// introduced, or since the last receipt, is not believed.
    pub(super) fn receipt(
        &mut self,
        now: Time,
        conn: ConnId,
        receiver: PeerId,
        receipt: &Receipt,
    ) -> Option<()> {
        let sender = receipt.sender;
        let sender_conn = self.peers.get(&sender).copied().filter(|_| sender != receiver)?;
        let plausible_bytes_per_s = self.config.trust.plausible_bytes_per_s_max;
        let theirs = ready(&mut self.conns, sender_conn).and_then(|peer| peer.meetings.get(&receiver));
        let (first, last) = theirs.map(|meeting| (meeting.first, meeting.last)).unzip();
        let peer = ready(&mut self.conns, conn).filter(|peer| receipt.epoch > peer.receipt_epoch)?;
        let since = match peer.meetings.get(&sender) {
            Some(meeting) => meeting.receipted.unwrap_or(meeting.first),
            None => first?,
        };
        let key = VerifyingKey::from_bytes(&receiver.0).ok()?;
        key.verify_strict(&receipt.payload(&peer.nonce), &Signature::from_bytes(&receipt.signature)).ok()?;
        peer.receipt_epoch = receipt.epoch;
        if peer.meetings.get(&sender).is_none() {
            peer.meetings.add(last?, sender, receipt.content, false, false);
        }
        if let Some(meeting) = peer.meetings.get_mut(&sender) {
            meeting.receipted = Some(now);
        }
        peer.meetings.came(&sender);
        // What came within one moment is not distinguished.
        let possible = bytes_in(now.since(since) + AT_ONCE, plausible_bytes_per_s);
        let bytes = receipt.bytes.min(possible);
        let from_relay = sender == self.config.relay;
        if let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) {
            let possible = |elapsed| bytes_in(elapsed + AT_ONCE, plausible_bytes_per_s);
            let figure = 5 + usize::from(from_relay);
            let believed = self.owners.believed(now, owner, figure, (since, bytes), possible);
            let sum = &mut self.counts.receipted_bytes[usize::from(from_relay)];
            *sum = sum.saturating_add(believed);
        }
        if from_relay {
            return Some(());
        }
        let (from, to) = (party_of(&self.conns, sender_conn)?, party_of(&self.conns, conn)?);
        self.standings.came(now, from, to, bytes, receipt.bytes_per_s);
        self.set_terms(now, sender_conn);
        if from.owner != to.owner && bytes > 0 {
            self.registry.bear_out(member(sender_conn), receipt.content);
            self.registry.came(now, member(conn), receipt.content);
            let of = |conn: ConnId| self.conns.get(&conn).and_then(Conn::quota);
            if let (Some(gives), Some(takes)) = (of(sender_conn), of(conn)) {
                self.owners.bore_out(now, gives, takes, bytes);
            }
        }
        Some(())
    }

    /// Holders of whom a peer was told and whose connection opened should have given something by now.
    pub(super) fn judge_meetings(&mut self, now: Time, conn: ConnId) {
        let within = Duration::from_secs(u64::from(self.config.trust.came_within_s));
        let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) else { return };
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
                && self.owners.raise(now, owner, Voice::Doubt)
            {
                self.counts.nothing_came += 1;
                self.standings.nothing_came(now, from, to);
                self.set_terms(now, other);
            }
        }
    }

    /// Only who was met can be blamed: the two were introduced, and each signalled the other. One voice an owner, and so many an hour.
    pub(super) fn blame(&mut self, now: Time, conn: ConnId, accuser: PeerId, accused: PeerId) {
        let owner = self.conns.get(&conn).and_then(Conn::quota);
        let met = ready(&mut self.conns, conn)
            .and_then(|peer| peer.meetings.get(&accused))
            .is_some_and(|meeting| meeting.contact);
        match owner {
            Some(owner)
                if met
                    && accused != accuser
                    && accused != self.config.relay
                    && (self.blames.has(now, owner, &accused)
                        || self.owners.raise(now, owner, Voice::Blame)) =>
            {
                self.counts.blames += 1;
                self.blames.blame(now, owner, accuser, accused);
            }
            _ => self.counts.blames_refused += 1,
        }
    }
}

/// Bytes that a line of this rate carries in so long.
fn bytes_in(elapsed: Duration, bytes_per_s: u64) -> u64 {
    u64::try_from(elapsed.as_micros() * u128::from(bytes_per_s) / 1_000_000).unwrap_or(u64::MAX)
}
