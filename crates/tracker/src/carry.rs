//! Messages that pass through the relay between two peers that find no other path: sessions that both sides took, each side's
//! credit, and what is carried for each connection.

use crate::bucket::Bucket;
use crate::config::CarrySettings;
use crate::io::ConnId;
use peeredge_wire::Time;
use peeredge_wire::limits::CARRIED_WINDOW_BYTES_MAX;
use peeredge_wire::relay::CarryEnd;
use std::collections::BTreeMap;

/// A small piece costs as much to carry as one of this size.
const PIECE_COST_BYTES_MIN: usize = 1024;
/// What may pass at once beyond the rate: a sender's pieces bunch up on their way here.
const BURST_BYTES: u32 = 256 << 10;

type Key = (ConnId, ConnId, u64);

/// All sessions, and the meters of all connections that ever had one.
#[derive(Debug)]
pub(crate) struct Carries {
    settings: CarrySettings,
    sessions: BTreeMap<Key, Session>,
    meters: BTreeMap<ConnId, Meter>,
}

#[derive(Debug)]
struct Session {
    opener: ConnId,
    taken: bool,
    /// What the opener, and the other side, may still send.
    credit: [u64; 2],
}

impl Session {
    fn credit_of(&mut self, sender: ConnId) -> &mut u64 {
        &mut self.credit[usize::from(sender != self.opener)]
    }
}

#[derive(Debug)]
struct Meter {
    bucket: Bucket,
    carried_bytes: u64,
    sessions: Vec<Key>,
}

fn key(a: ConnId, b: ConnId, session: u64) -> Key {
    (a.min(b), a.max(b), session)
}

impl Carries {
    pub(crate) fn new(settings: CarrySettings) -> Self {
        Carries { settings, sessions: BTreeMap::new(), meters: BTreeMap::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether this connection has a session: then its pieces are metered here.
    pub(crate) fn has_any(&self, conn: ConnId) -> bool {
        self.meters.get(&conn).is_some_and(|meter| !meter.sessions.is_empty())
    }

    /// A peer asks for a session. The other side is allowed to send `credit_bytes` once it takes it.
    pub(crate) fn open(
        &mut self,
        now: Time,
        opener: ConnId,
        other: ConnId,
        session: u64,
        credit_bytes: u32,
    ) -> Result<u32, CarryEnd> {
        let CarrySettings { bytes_per_s_max, sessions_max, .. } = self.settings;
        let key = key(opener, other, session);
        if self.sessions.len() >= self.settings.sessions_all_max() || self.sessions.contains_key(&key) {
            return Err(CarryEnd::Refused);
        }
        for conn in [opener, other] {
            let meter = self.meters.entry(conn).or_insert_with(|| Meter {
                bucket: Bucket::full(now, bytes_per_s_max, BURST_BYTES.saturating_add(bytes_per_s_max / 2)),
                carried_bytes: 0,
                sessions: Vec::new(),
            });
            if meter.sessions.len() >= usize::from(sessions_max) {
                return Err(CarryEnd::Refused);
            }
            if meter.carried_bytes >= self.settings.bytes_max {
                return Err(CarryEnd::Capped);
            }
        }
        for conn in [opener, other] {
            if let Some(meter) = self.meters.get_mut(&conn) {
                meter.sessions.push(key);
            }
        }
        let credit = credit_bytes.min(CARRIED_WINDOW_BYTES_MAX);
        self.sessions.insert(key, Session { opener, taken: false, credit: [0, u64::from(credit)] });
        Ok(credit)
    }

    /// `from` lets `to` send more; the first time that takes the session. Gives what may be told to `to`.
    pub(crate) fn credit(
        &mut self,
        from: ConnId,
        to: ConnId,
        session: u64,
        bytes: u32,
    ) -> Result<u32, CarryEnd> {
        let session = self.sessions.get_mut(&key(from, to, session)).ok_or(CarryEnd::Gone)?;
        if !session.taken && from == session.opener {
            return Err(CarryEnd::Refused);
        }
        session.taken = true;
        let credit = session.credit_of(to);
        let more = u64::from(bytes).min(u64::from(CARRIED_WINDOW_BYTES_MAX).saturating_sub(*credit));
        *credit += more;
        Ok(more as u32)
    }

    /// Whether a piece may pass; it is counted if so.
    pub(crate) fn pass(
        &mut self,
        now: Time,
        from: ConnId,
        to: ConnId,
        session: u64,
        piece_bytes: usize,
    ) -> Result<(), CarryEnd> {
        let found = self.sessions.get_mut(&key(from, to, session)).filter(|session| session.taken);
        let credit = found.ok_or(CarryEnd::Gone)?.credit_of(from);
        let meter = self.meters.get_mut(&from).ok_or(CarryEnd::Gone)?;
        let bytes = piece_bytes as u64;
        let within = meter.carried_bytes + bytes <= self.settings.bytes_max && bytes <= *credit;
        if !within || !meter.bucket.take(now, piece_bytes.max(PIECE_COST_BYTES_MIN) as u32) {
            return Err(CarryEnd::Capped);
        }
        *credit -= bytes;
        meter.carried_bytes += bytes;
        Ok(())
    }

    /// Ends a session. Gives whether there was one.
    pub(crate) fn close(&mut self, a: ConnId, b: ConnId, session: u64) -> bool {
        let key = key(a, b, session);
        for conn in [a, b] {
            if let Some(meter) = self.meters.get_mut(&conn) {
                meter.sessions.retain(|of| *of != key);
            }
        }
        self.sessions.remove(&key).is_some()
    }

    /// A connection is gone. Gives the others of its sessions.
    pub(crate) fn forget(&mut self, conn: ConnId) -> Vec<(ConnId, u64)> {
        let keys = self.meters.remove(&conn).map_or(Vec::new(), |meter| meter.sessions);
        let ended = keys.into_iter().map(|(a, b, session)| (if a == conn { b } else { a }, session));
        let ended: Vec<(ConnId, u64)> = ended.collect();
        for &(other, session) in &ended {
            self.close(conn, other, session);
        }
        ended
    }
}
