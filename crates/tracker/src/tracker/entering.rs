//! Who comes proves its key, and who goes takes all with it that the relay kept of it.

use super::{Conn, Peer, Refusal, Stage, Tracker, member, refuse};
use crate::bucket::Bucket;
use crate::io::ConnId;
use crate::meetings::Meetings;
use core::time::Duration;
use ed25519_dalek::{Signature, VerifyingKey};
use peeredge_hvm::Units;
use peeredge_wire::relay::{CarryEnd, ErrorCode, FromRelay, hello_payload};
use peeredge_wire::{PROTOCOL_VERSION, PeerId, Time};

impl Tracker {
    pub(super) fn connected(&mut self, now: Time, conn: ConnId) {
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
    pub(super) fn challenge(&mut self) -> [u8; 32] {
        self.challenges += 1;
        *blake3::keyed_hash(&self.config.seed, &self.challenges.to_le_bytes()).as_bytes()
    }

    pub(super) fn hello(
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
