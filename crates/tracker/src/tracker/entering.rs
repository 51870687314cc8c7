//! Who comes proves its key, and who goes takes all with it that the relay kept of it.

use super::{Conn, Peer, Refusal, Shares, Stage, Tracker, member, refuse};
use crate::bucket::Bucket;
use crate::config::TrackerConfig;
use crate::io::ConnId;
use crate::meetings::Meetings;
use crate::owners::{OwnerId, Owners, Seat};
use crate::standing::owner_number;
use core::time::Duration;
use ed25519_dalek::{Signature, VerifyingKey};
use peeredge_hvm::Units;
use peeredge_wire::relay::{CarryEnd, ErrorCode, FromRelay, hello_payload};
use peeredge_wire::{PROTOCOL_VERSION, PeerId, Time};

impl Tracker {
    pub(super) fn connected(&mut self, now: Time, conn: ConnId, authorities: Vec<String>) {
        let bucket = Bucket::full(now, self.config.frames_per_s_max, self.config.frames_burst_max);
        let nonce = self.challenge();
        self.forget(conn);
        let full = self.conns.len() >= self.config.peers_max;
        self.conns.insert(
            conn,
            Conn {
                stage: Stage::Challenged { nonce, authorities },
                bucket,
                reminded: None,
                told_quota: None,
                owner: None,
                alone: false,
                site: None,
                may_submit: true,
                cost_class: 0,
            },
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

    /// Who stands behind a connection is known: it takes one of this owner's seats.
    pub(super) fn owned(&mut self, now: Time, conn: ConnId, owner: u64) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let before = state.quota();
        state.owner = Some(owner);
        let id = OwnerId(owner);
        match &state.stage {
            Stage::Challenged { .. } if before.is_none() => {
                let max = self.config.owners.hellos_max;
                if !self.owners.try_seat(now, id, Seat::Hello, max) {
                    // Without the seat there is none to give back.
                    if let Some(state) = self.conns.get_mut(&conn) {
                        state.owner = None;
                    }
                    self.close(
                        conn,
                        ErrorCode::Full,
                        "this network has as many unproved connections as it may",
                    );
                }
            }
            Stage::Challenged { .. } => {}
            Stage::Ready(peer) => {
                // A shell that tells late: what the key took so far moves.
                let (announces, live) =
                    (self.registry.contents_of(member(conn)) as i64, self.lives.of(conn) as i64);
                let spare = i64::from(peer.offers_room);
                for (seat, count) in
                    [(Seat::Peer, 1), (Seat::Announce, announces), (Seat::Live, live), (Seat::Spare, spare)]
                {
                    if let Some(before) = before {
                        self.owners.count_seats(now, before, seat, -count);
                    }
                    self.owners.count_seats(now, id, seat, count);
                }
                self.registry.set_owner(member(conn), owner_number(id.0));
                self.set_terms(now, conn);
            }
        }
    }

    /// Unpredictable without the seed, and never the same twice: a keyed hash of a counter.
    pub(super) fn challenge(&mut self) -> [u8; 32] {
        self.challenges += 1;
        *blake3::keyed_hash(&self.config.seed, &self.challenges.to_le_bytes()).as_bytes()
    }

    pub(super) fn hello(
        &mut self,
        now: Time,
        conn: ConnId,
        nonce: &[u8; 32],
        peer: PeerId,
        signature: &[u8; 64],
        authority: &str,
    ) -> Result<(), Refusal> {
        let payload = hello_payload(nonce, &self.config.relay, authority);
        let proved = VerifyingKey::from_bytes(&peer.0)
            .and_then(|key| key.verify_strict(&payload, &Signature::from_bytes(signature)));
        if proved.is_err() {
            return refuse(ErrorCode::Unauthorised, "the signature does not prove the key");
        }
        if let Some(older) = self.peers.get(&peer).copied() {
            self.close(older, ErrorCode::Replaced, "the same key connected again");
        }
        if let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) {
            self.owners.count_seats(now, owner, Seat::Hello, -1);
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
                shares: Shares::default(),
                terms: Bucket::full(now, 1, 8),
                terms_wait: false,
                offers_room: false,
            });
        }
        self.count_seats(conn, Seat::Peer, 1);
        if let Some(owner) = self.conns.get(&conn).and_then(Conn::quota) {
            self.registry.set_owner(member(conn), owner_number(owner.0));
        }
        self.peers.insert(peer, conn);
        self.set_terms(now, conn);
        let rate = |frames: u32| u16::try_from(frames).unwrap_or(u16::MAX);
        let TrackerConfig { report_every_s, frames_per_s_max, frames_burst_max, .. } = self.config;
        // The relay's own node is bound by no rate.
        let own = peer == self.config.relay;
        let (frames_per_s, frames_burst) =
            if own { (u16::MAX, u16::MAX) } else { (rate(frames_per_s_max), rate(frames_burst_max)) };
        let version = PROTOCOL_VERSION;
        self.send(conn, &FromRelay::Welcome { version, report_every_s, frames_per_s, frames_burst });
        let (stun_port, carried_bytes_per_s) = (self.config.stun_port, self.config.carry.bytes_per_s_max);
        if stun_port != 0 || carried_bytes_per_s != 0 {
            self.send(conn, &FromRelay::Paths { stun_port, carried_bytes_per_s });
        }
        Ok(())
    }

    pub(super) fn expire_hellos(&mut self, now: Time) {
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

    pub(super) fn forget(&mut self, conn: ConnId) {
        let Some(state) = self.conns.remove(&conn) else { return };
        let (owner, now) = (state.quota(), self.now);
        let give_back = |owners: &mut Owners, seat, count: usize| {
            if let Some(owner) = owner {
                owners.count_seats(now, owner, seat, -(count as i64));
            }
        };
        if matches!(state.stage, Stage::Challenged { .. }) {
            give_back(&mut self.owners, Seat::Hello, 1);
        }
        if let Stage::Ready(peer) = state.stage {
            give_back(&mut self.owners, Seat::Peer, 1);
            give_back(&mut self.owners, Seat::Announce, self.registry.remove(member(conn)));
            give_back(&mut self.owners, Seat::Live, self.lives.forget(conn));
            give_back(&mut self.owners, Seat::Spare, usize::from(peer.offers_room));
            self.matcher.gone(member(conn));
            self.ahead.gone(member(conn));
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
