//! What peers say of each other and of themselves, and what it counts for.

use super::{Conn, Stage, Tracker, member, party_of, ready};
use crate::io::ConnId;
use core::time::Duration;
use ed25519_dalek::{Signature, VerifyingKey};
use peeredge_hvm::{BytesPerS, Units};
use peeredge_wire::relay::{Receipt, Report};
use peeredge_wire::{PeerId, Time};
use std::collections::BTreeMap;

impl Tracker {
    pub(super) fn report(&mut self, now: Time, conn: ConnId, report: &Report) {
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

    /// A peer says whether the connection to one of whom it was told opened.
    pub(super) fn met(&mut self, now: Time, conn: ConnId, other: &PeerId, opened: bool) {
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
    pub(super) fn receipt(
        &mut self,
        now: Time,
        conn: ConnId,
        receiver: PeerId,
        receipt: &Receipt,
    ) -> Option<()> {
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
    pub(super) fn judge_meetings(&mut self, now: Time, conn: ConnId) {
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
    pub(super) fn blame(&mut self, now: Time, accuser: PeerId, accused: PeerId) {
        self.counts.blames += 1;
        if accused != accuser && accused != self.config.relay && self.peers.contains_key(&accused) {
            self.blames.blame(now, accuser, accused);
        }
    }
}
