//! Messages that pass through the relay between two peers that find no other path: sessions that both sides took, each side's
//! credit, and what is carried for each connection. A session that nobody takes ends within seconds, and one in which nothing passes
//! gives way to another pair.

use crate::bucket::Bucket;
use crate::config::CarrySettings;
use crate::io::ConnId;
use crate::owners::OwnerId;
use core::time::Duration;
use peeredge_wire::Time;
use peeredge_wire::limits::CARRIED_WINDOW_BYTES_MAX;
use peeredge_wire::relay::CarryEnd;
use std::collections::{BTreeMap, VecDeque};

/// A small piece costs as much to carry as one of this size.
const PIECE_COST_BYTES_MIN: usize = 1024;
/// What may pass at once beyond the rate: a sender's pieces bunch up on their way here.
const BURST_BYTES: u32 = 256 << 10;
/// Pieces that may pass in one direction before the other side gives credit again, however small: each costs memory while it waits.
const PIECES_MAX: u16 = 512;
/// A session in which less passes in the time after which it gives way rests: a piece now and then holds no place.
const USED_BYTES: u64 = 16 << 10;
/// Untaken sessions that one peer is asked for at a time, and by peers of one owner.
const ASKED_MAX: (usize, usize) = (8, 2);

type Key = (ConnId, ConnId, u64);

/// A session that was ended from here: both sides are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) between: [ConnId; 2],
    pub(crate) session: u64,
}

/// All sessions, and the meters of all connections that ever had one.
#[derive(Debug)]
pub(crate) struct Carries {
    settings: CarrySettings,
    sessions: BTreeMap<Key, Session>,
    meters: BTreeMap<ConnId, Meter>,
    /// Sessions to be taken until then: all have the same time, so the first is due first.
    untaken: VecDeque<(Time, Key)>,
}

#[derive(Debug)]
struct Session {
    opener: ConnId,
    owner: OwnerId,
    taken: bool,
    opened: Time,
    /// When [`USED_BYTES`] had last passed, and what has passed since.
    used: Time,
    passed_bytes: u64,
    /// What the opener, and the other side, may still send.
    credit: [u64; 2],
    /// Pieces since credit was last given.
    pieces: [u16; 2],
}

impl Session {
    fn side(&self, sender: ConnId) -> usize {
        usize::from(sender != self.opener)
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
        Carries { settings, sessions: BTreeMap::new(), meters: BTreeMap::new(), untaken: VecDeque::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether pieces of this session pass: then they are metered here by their bytes.
    pub(crate) fn passes(&self, from: ConnId, to: ConnId, session: u64) -> bool {
        self.sessions.get(&key(from, to, session)).is_some_and(|session| session.taken)
    }

    /// When the next session is over that nobody took.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.untaken.front().map(|(at, _)| *at)
    }

    /// A session that nobody took in time.
    pub(crate) fn expired(&mut self, now: Time) -> Option<Ended> {
        while let Some((at, key)) = self.untaken.front().copied() {
            let waits =
                self.sessions.get(&key).is_some_and(|s| !s.taken && s.opened + self.take_within() == at);
            if waits && at > now {
                return None;
            }
            self.untaken.pop_front();
            if waits {
                return self.end(key);
            }
        }
        None
    }

    /// A peer asks for a session. The other side is allowed to send `credit_bytes` once it takes it. Gives that, and the sessions that
    /// made room.
    pub(crate) fn open(
        &mut self,
        now: Time,
        (opener, owner): (ConnId, OwnerId),
        other: ConnId,
        session: u64,
        credit_bytes: u32,
    ) -> Result<(u32, Vec<Ended>), CarryEnd> {
        let CarrySettings { bytes_per_s_max, sessions_max, .. } = self.settings;
        let key = key(opener, other, session);
        if bytes_per_s_max == 0 || self.sessions.contains_key(&key) {
            return Err(CarryEnd::Refused);
        }
        for conn in [opener, other] {
            let meter = self.meters.entry(conn).or_insert_with(|| Meter {
                bucket: Bucket::full(now, bytes_per_s_max, BURST_BYTES.saturating_add(bytes_per_s_max / 2)),
                carried_bytes: 0,
                sessions: Vec::new(),
            });
            if meter.carried_bytes >= self.settings.bytes_max {
                return Err(CarryEnd::Capped);
            }
        }
        let sessions_max = usize::from(sessions_max);
        let (own, of_owner) = (self.of(opener).filter(|s| s.opener == opener).count(), |s: &&Session| {
            !s.taken && s.opener != other && s.owner == owner
        });
        if own >= sessions_max || self.of(other).filter(of_owner).count() >= ASKED_MAX.1.max(sessions_max / 2)
        {
            return Err(CarryEnd::Refused);
        }
        // Who is asked has given nothing away yet, so its places are counted once it takes one. What others opened with one of the two
        // makes room as it does where all places are taken: nobody holds all those of another peer.
        let mut ended = Vec::new();
        for conn in [opener, other] {
            if self.taken_by(conn) >= sessions_max {
                let opened_by_others = |s: &Session| s.taken && s.opener != conn;
                ended.push(self.to_give_way(now, owner, Some(conn), opened_by_others)?);
            }
        }
        let is_asked = |s: &Session| !s.taken && s.opener != other;
        if self.of(other).filter(|s| is_asked(s)).count() >= ASKED_MAX.0 {
            ended.push(self.to_give_way(now, owner, Some(other), is_asked)?);
        }
        if self.sessions.len() >= self.settings.sessions_all_max() + ended.len() {
            ended.push(self.to_give_way(now, owner, None, |_| true)?);
        }
        let ended = ended.into_iter().filter_map(|key| self.end(key)).collect();
        for conn in [opener, other] {
            if let Some(meter) = self.meters.get_mut(&conn) {
                meter.sessions.push(key);
            }
        }
        let credit = credit_bytes.min(CARRIED_WINDOW_BYTES_MAX);
        let opened = Session {
            opener,
            owner,
            taken: false,
            opened: now,
            used: now,
            passed_bytes: 0,
            credit: [0, u64::from(credit)],
            pieces: [0; 2],
        };
        self.sessions.insert(key, opened);
        self.untaken.push_back((now + self.take_within(), key));
        Ok((credit, ended))
    }

    /// `from` lets `to` send more; the first time that takes the session. Gives what may be told to `to`.
    pub(crate) fn credit(
        &mut self,
        now: Time,
        from: ConnId,
        to: ConnId,
        session: u64,
        bytes: u32,
    ) -> Result<u32, CarryEnd> {
        let key = key(from, to, session);
        let is_full = self.taken_by(from) >= usize::from(self.settings.sessions_max);
        let session = self.sessions.get_mut(&key).ok_or(CarryEnd::Gone)?;
        if !session.taken && (from == session.opener || is_full) {
            return Err(CarryEnd::Refused);
        }
        if !session.taken {
            (session.taken, session.used) = (true, now);
        }
        let side = session.side(to);
        let more =
            u64::from(bytes).min(u64::from(CARRIED_WINDOW_BYTES_MAX).saturating_sub(session.credit[side]));
        session.credit[side] += more;
        session.pieces[side] = 0;
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
        let session = found.ok_or(CarryEnd::Gone)?;
        let side = session.side(from);
        let meter = self.meters.get_mut(&from).ok_or(CarryEnd::Gone)?;
        let bytes = piece_bytes as u64;
        let within = meter.carried_bytes + bytes <= self.settings.bytes_max
            && bytes <= session.credit[side]
            && session.pieces[side] < PIECES_MAX;
        if !within || !meter.bucket.take(now, piece_bytes.max(PIECE_COST_BYTES_MIN) as u32) {
            return Err(CarryEnd::Capped);
        }
        session.credit[side] -= bytes;
        session.pieces[side] += 1;
        session.passed_bytes += bytes;
        if session.passed_bytes >= USED_BYTES {
            (session.used, session.passed_bytes) = (now, 0);
        }
        meter.carried_bytes += bytes;
        Ok(())
    }

    /// Ends a session. Gives whether there was one.
    pub(crate) fn close(&mut self, a: ConnId, b: ConnId, session: u64) -> bool {
        self.end(key(a, b, session)).is_some()
    }

    /// A connection is gone. Gives the others of its sessions.
    pub(crate) fn forget(&mut self, conn: ConnId) -> Vec<(ConnId, u64)> {
        let keys = self.meters.remove(&conn).map_or(Vec::new(), |meter| meter.sessions);
        for key in &keys {
            self.end(*key);
        }
        keys.into_iter().map(|(a, b, session)| (if a == conn { b } else { a }, session)).collect()
    }

    fn of(&self, conn: ConnId) -> impl Iterator<Item = &Session> {
        let keys = self.meters.get(&conn).map_or(&[][..], |meter| &meter.sessions);
        keys.iter().filter_map(|key| self.sessions.get(key))
    }

    /// Sessions of a connection that it opened or took.
    fn taken_by(&self, conn: ConnId) -> usize {
        self.of(conn).filter(|session| session.taken || session.opener == conn).count()
    }

    fn take_within(&self) -> Duration {
        Duration::from_millis(u64::from(self.settings.take_within_ms))
    }

    /// With all places taken, all that there are or those of one connection: what nobody took, then what rests for longest, then one
    /// of whose owner has more of them than this one has.
    fn to_give_way(
        &self,
        now: Time,
        owner: OwnerId,
        with: Option<ConnId>,
        may: impl Fn(&Session) -> bool,
    ) -> Result<Key, CarryEnd> {
        let rests = Duration::from_millis(u64::from(self.settings.idle_after_ms));
        let is_with = |(a, b, _): &Key| with.is_none_or(|with| *a == with || *b == with);
        let all = || self.sessions.iter().filter(|(key, s)| is_with(key) && may(s));
        let mut by_owner: BTreeMap<OwnerId, usize> = BTreeMap::new();
        all().for_each(|(_, s)| *by_owner.entry(s.owner).or_default() += 1);
        let own = by_owner.get(&owner).copied().unwrap_or_default();
        let gives_way = all().filter(|(_, s)| {
            let rests = s.taken && now.since(s.used) >= rests;
            rests || by_owner[&s.owner] > own + 1
        });
        gives_way.min_by_key(|(_, s)| (s.taken, s.used)).map(|(key, _)| *key).ok_or(CarryEnd::Refused)
    }

    fn end(&mut self, key: Key) -> Option<Ended> {
        self.sessions.remove(&key)?;
        let (a, b, session) = key;
        for conn in [a, b] {
            if let Some(meter) = self.meters.get_mut(&conn) {
                meter.sessions.retain(|of| *of != key);
            }
        }
        Some(Ended { between: [a, b], session })
    }
}
