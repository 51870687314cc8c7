//! What a node remembers of peers that misbehaved. It goes by their keys: whoever hangs up and comes back is met as it left, and all
//! connections to one peer count as one.

use crate::Node;
use crate::output::Event;
use core::time::Duration;
use peeredge_dts::SourceId;
use peeredge_wire::relay::ToRelay;
use peeredge_wire::{ConnectionId, ContentId, PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

/// Bytes that a peer may send that were not asked for and do not land. An honest one sends none.
const USELESS_BYTES_MAX: u64 = 1 << 20;
/// What the shortest useless frame counts: reading it costs that much of time.
const USELESS_FRAME_BYTES_MIN: u64 = 64;
/// A peer that sent more is not spoken to for so long, and what it sent is remembered as long.
const SHUNNED_FOR: Duration = Duration::from_secs(3600);
/// A peer that was proved to lie is not spoken to for so long.
const BLAMED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Peers that are remembered. Each has cost its owner a connection.
const PEERS_MAX: usize = 1024;
/// Connections remembered after their end because coded symbols of theirs wait to be judged.
const DEPARTED_MAX: usize = 512;

/// All peers that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    of: BTreeMap<PeerId, Standing>,
    /// Whose the connections were that ended before all coded symbols that came by them were judged.
    departed: VecDeque<(ConnectionId, PeerId)>,
}

#[derive(Debug, Default)]
struct Standing {
    useless_bytes: u64,
    is_blamed: bool,
    /// Not spoken to before.
    shunned_until: Time,
    /// Forgotten after.
    kept_until: Time,
}

impl Standings {
    /// Whether this peer is not spoken to.
    pub(crate) fn is_shunned(&self, now: Time, peer: &PeerId) -> bool {
        self.of.get(peer).is_some_and(|standing| standing.shunned_until > now)
    }

    /// A peer sent so much that was of no use. Gives whether it is let go for that.
    fn useless(&mut self, now: Time, peer: PeerId, bytes: u64) -> bool {
        let standing = self.standing(now, peer, SHUNNED_FOR);
        standing.useless_bytes = standing.useless_bytes.saturating_add(bytes.max(USELESS_FRAME_BYTES_MIN));
        let is_too_much = standing.useless_bytes > USELESS_BYTES_MAX;
        if is_too_much {
            standing.useless_bytes = 0;
            standing.shunned_until = now + SHUNNED_FOR;
        }
        is_too_much
    }

    /// A peer was proved to lie. False when that was known.
    fn blame(&mut self, now: Time, peer: PeerId) -> bool {
        let standing = self.standing(now, peer, BLAMED_FOR);
        standing.shunned_until = now + BLAMED_FOR;
        !core::mem::replace(&mut standing.is_blamed, true)
    }

    fn standing(&mut self, now: Time, peer: PeerId, keep: Duration) -> &mut Standing {
        if self.of.get(&peer).is_none_or(|standing| standing.kept_until <= now) {
            self.of.remove(&peer);
            self.make_room(now);
        }
        let standing = self.of.entry(peer).or_default();
        standing.kept_until = standing.kept_until.max(now + keep);
        standing
    }

    fn make_room(&mut self, now: Time) {
        if self.of.len() < PEERS_MAX {
            return;
        }
        self.of.retain(|_, standing| standing.kept_until > now);
        // Who is nearest to being forgotten goes first: what was proved is kept longest.
        if self.of.len() >= PEERS_MAX
            && let Some(peer) = self.of.iter().min_by_key(|(_, s)| s.kept_until).map(|(peer, _)| *peer)
        {
            self.of.remove(&peer);
        }
    }

    /// A connection ended by which coded symbols came: its peer answers for them all the same.
    pub(crate) fn departed(&mut self, connection: ConnectionId, peer: PeerId) {
        if self.departed.len() == DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back((connection, peer));
    }
}

impl Node {
    /// A frame that was not asked for and is of no use: it counts against its sender.
    pub(crate) fn counts_against(&mut self, id: ConnectionId, frame_bytes: u64) {
        let Some(peer) = self.connections.all.get(&id).map(|c| c.peer) else { return };
        if self.connections.standings.useless(self.now, peer, frame_bytes) {
            self.out.push_back(crate::Output::Event(Event::PeerLetGo { peer }));
            self.connections.to_peer(&peer).into_iter().for_each(|id| self.hang_up(id));
        }
    }

    /// Whose symbols these are: the peer's behind a connection that stands, or that ended.
    pub(crate) fn peer_of(&self, source: SourceId) -> Option<PeerId> {
        let id = ConnectionId(source.0);
        let departed = || self.connections.standings.departed.iter().find(|(gone, _)| *gone == id);
        self.connections.all.get(&id).map(|c| c.peer).or_else(|| departed().map(|(_, peer)| *peer))
    }

    /// The peer was proved to have sent something wrong: it is dropped, reported, and not spoken to again.
    pub(crate) fn blame(&mut self, peer: PeerId, content: ContentId, block: u32, coded: bool) {
        if self.connections.standings.blame(self.now, peer) {
            self.out.push_back(crate::Output::Event(Event::PeerBlamed { peer, content, block, coded }));
            self.relay_send(ToRelay::Blame { accused: peer, content, block });
        }
        self.connections.to_peer(&peer).into_iter().for_each(|id| self.hang_up(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> PeerId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_le_bytes());
        PeerId(id)
    }

    #[test]
    fn a_peer_is_shunned_for_what_it_sent_in_all_and_only_for_a_time() {
        let (mut standings, now) = (Standings::default(), Time::from_millis(1));
        for _ in 0..16 {
            assert!(!standings.useless(now, peer(1), 64 << 10));
        }
        assert!(!standings.is_shunned(now, &peer(1)));
        assert!(standings.useless(now, peer(1), 0), "frames without a payload count, too");
        assert!(standings.is_shunned(now, &peer(1)) && !standings.is_shunned(now, &peer(2)));
        assert!(!standings.is_shunned(now + SHUNNED_FOR, &peer(1)));
        assert!(!standings.useless(now + SHUNNED_FOR, peer(1), USELESS_BYTES_MAX), "it begins anew");
    }

    #[test]
    fn whoever_was_proved_to_lie_outlasts_any_number_of_others() {
        let (mut standings, now) = (Standings::default(), Time::from_millis(1));
        assert!(standings.blame(now, peer(0)) && !standings.blame(now, peer(0)));
        for n in 1..5000 {
            standings.useless(now + Duration::from_millis(u64::from(n)), peer(n), 1);
            assert!(standings.of.len() <= PEERS_MAX);
        }
        assert!(standings.is_shunned(now + SHUNNED_FOR, &peer(0)));
        assert!(!standings.is_shunned(now + BLAMED_FOR, &peer(0)));
    }
}
