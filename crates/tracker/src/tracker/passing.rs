//! What peers have passed on to each other: signals, heads of live contents, messages that found no direct path.

use super::{Refusal, Tracker, member, peer_of, refuse};
use crate::io::{ConnId, TrackerOutput};
use peeredge_wire::relay::{CarryEnd, ErrorCode, FromRelay};
use peeredge_wire::{PeerId, Time};

impl Tracker {
    pub(super) fn signal(&mut self, conn: ConnId, from: PeerId, to: PeerId, session: u64, signal: Vec<u8>) {
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
    pub(super) fn head(
        &mut self,
        conn: ConnId,
        publisher: PeerId,
        name: String,
        head: Vec<u8>,
    ) -> Result<(), Refusal> {
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

    pub(super) fn follow(&mut self, conn: ConnId, publisher: PeerId, name: String) -> Result<(), Refusal> {
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
        match self.carries.pass(now, conn, other, session, piece.len()) {
            Ok(()) => {
                self.counts.carried_bytes += piece.len() as u64;
                self.send(other, &FromRelay::Carried { from, session, last, piece });
            }
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    pub(super) fn carry_credit(&mut self, conn: ConnId, from: PeerId, to: PeerId, session: u64, bytes: u32) {
        let Some(other) = self.peers.get(&to).copied() else { return };
        match self.carries.credit(conn, other, session, bytes) {
            Ok(bytes) => self.send(other, &FromRelay::CarryCredit { from, session, bytes }),
            Err(end) => self.carry_end(conn, other, session, end, true),
        }
    }

    /// Ends a session and tells the other side; with `both`, the one that caused it as well.
    pub(super) fn carry_end(&mut self, conn: ConnId, other: ConnId, session: u64, end: CarryEnd, both: bool) {
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
}
