//! Who may take places of the relay's own peer. A connection costs memory, a handshake and a place, and whoever asks for one has
//! only to send an offer: so places are counted by network, and whoever has many and uses them least gives way.

use crate::owner::{Owner, Owners, Pace};
use peeredge_wire::{ConnectionId, PeerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Connections at a time. At 100 kB to 1.5 MB each they are what a relay's memory is for.
    pub connections_max: usize,
    /// Of one network. Default: half of all.
    pub per_owner_max: usize,
    /// Of one network that have not opened yet; the oldest gives way to the next. Default: 64, as a page makes up to eight at once.
    pub young_per_owner_max: usize,
    /// New ones a second of one network, after a burst. Default: 32, four pages' worth.
    pub opens_per_s: u32,
    /// The burst. Default: 256, for a class that opens a page together.
    pub opens_burst: u32,
}

impl GateSettings {
    /// The defaults, for so many connections.
    pub fn new(connections_max: usize) -> GateSettings {
        let per_owner_max = (connections_max / 2).max(1);
        let young_per_owner_max = per_owner_max.min(64);
        GateSettings {
            connections_max,
            per_owner_max,
            young_per_owner_max,
            opens_per_s: 32,
            opens_burst: 256,
        }
    }
}

/// A connection used within this time does not give way to others of its own network.
const IN_USE: Duration = Duration::from_secs(2);

/// Counts the places.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    owners: Arc<Owners>,
    pace: Pace,
    places: BTreeMap<ConnectionId, Place>,
    counts: BTreeMap<Owner, usize>,
}

#[derive(Debug)]
struct Place {
    owner: Owner,
    open: bool,
    used: Instant,
}

impl Gate {
    /// Nobody is in.
    pub fn new(settings: GateSettings, owners: Arc<Owners>) -> Gate {
        let pace = Pace::new(settings.opens_per_s, settings.opens_burst);
        Gate { settings, owners, pace, places: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Takes a place for a connection to this peer. Gives the connections that give way to it, or nothing when it gets no place.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        peer: PeerId,
    ) -> Option<Vec<ConnectionId>> {
        // Who has left meanwhile would not hear the answer.
        let owner = self.owners.of(peer)?;
        if !self.pace.try_take(now, owner) {
            return None;
        }
        let mut leaving = Vec::new();
        let young = self.oldest(owner, |place| !place.open);
        if young.1 >= self.settings.young_per_owner_max {
            leaving.extend(young.0);
        }
        let here = self.counts.get(&owner).copied().unwrap_or(0) - leaving.len();
        if here >= self.settings.per_owner_max {
            let (id, _) = self.oldest(owner, |place| now.saturating_duration_since(place.used) >= IN_USE);
            leaving.push(id?);
        }
        if self.places.len() - leaving.len() >= self.settings.connections_max {
            let (fullest, most) =
                self.counts.iter().max_by_key(|(_, count)| **count).map(|(o, n)| (*o, *n))?;
            if most <= here + 1 {
                return None;
            }
            leaving.push(self.oldest(fullest, |_| true).0?);
        }
        for id in &leaving {
            self.leave(*id);
        }
        *self.counts.entry(owner).or_default() += 1;
        self.places.insert(connection, Place { owner, open: false, used: now });
        Some(leaving)
    }

    /// Whose place a connection has.
    pub(super) fn owner(&self, connection: ConnectionId) -> Option<Owner> {
        Some(self.places.get(&connection)?.owner)
    }

    /// The one of a network's that was used least lately among some, and how many these are.
    fn oldest(&self, owner: Owner, is_meant: impl Fn(&Place) -> bool) -> (Option<ConnectionId>, usize) {
        let of_owner = self.places.iter().filter(|(_, place)| place.owner == owner && is_meant(place));
        let count = of_owner.clone().count();
        (of_owner.min_by_key(|(_, place)| place.used).map(|(id, _)| *id), count)
    }

    #[cfg(test)]
    fn holds(&self, connection: ConnectionId) -> bool {
        self.places.contains_key(&connection)
    }

    /// It opened.
    pub(super) fn opened(&mut self, connection: ConnectionId) {
        if let Some(place) = self.places.get_mut(&connection) {
            place.open = true;
        }
    }

    /// Something was said on it.
    pub(super) fn used(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(place) = self.places.get_mut(&connection) {
            place.used = now;
        }
    }

    /// Its place is free.
    pub(super) fn leave(&mut self, connection: ConnectionId) {
        let Some(place) = self.places.remove(&connection) else { return };
        match self.counts.get_mut(&place.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = self.counts.remove(&place.owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: GateSettings = GateSettings {
        connections_max: 8,
        per_owner_max: 6,
        young_per_owner_max: 3,
        opens_per_s: 1,
        opens_burst: 100,
    };

    fn owner(n: u8) -> Owner {
        Owner::of(std::net::Ipv4Addr::new(127, 0, n, 1).into())
    }

    /// A gate that knows the peers `[n; 32]`, each of a network of its own, and takes connections by number.
    fn gate() -> Gate {
        let owners = Arc::new(Owners::default());
        (0..10).for_each(|n| owners.came(PeerId([n; 32]), owner(n)));
        Gate::new(SETTINGS, owners)
    }

    #[test]
    fn young_connections_of_one_network_push_out_each_other() {
        let (mut gate, now) = (gate(), Instant::now());
        let mut enter =
            |id, n| gate.enter(now + Duration::from_millis(u64::from(id)), ConnectionId(id), PeerId([n; 32]));
        assert!((1..=3).all(|id| enter(id, 1) == Some(vec![])));
        assert_eq!(enter(4, 1), Some(vec![ConnectionId(1)]));
        assert_eq!(enter(5, 2), Some(vec![]), "another network is not touched");
        assert_eq!(enter(6, 77), None, "nobody knows that peer");
    }

    #[test]
    fn whoever_has_most_gives_way_and_its_own_idle_ones_first() {
        let (mut gate, now) = (gate(), Instant::now());
        let peer = |n| PeerId([n; 32]);
        for id in 1..=6 {
            assert_eq!(gate.enter(now, ConnectionId(id), peer(1)), Some(vec![]));
            gate.opened(ConnectionId(id));
        }
        assert_eq!(gate.enter(now, ConnectionId(7), peer(1)), None, "all are in use");
        let later = now + Duration::from_secs(3);
        for id in 2..=6 {
            gate.used(later, ConnectionId(id));
        }
        assert_eq!(gate.enter(later, ConnectionId(8), peer(1)), Some(vec![ConnectionId(1)]));
        gate.opened(ConnectionId(8));
        assert_eq!(gate.enter(later, ConnectionId(9), peer(2)), Some(vec![]));
        assert_eq!(gate.enter(later, ConnectionId(10), peer(3)), Some(vec![]));
        // Full: the network with six of eight gives one.
        assert_eq!(gate.enter(later, ConnectionId(11), peer(4)).map(|leaving| leaving.len()), Some(1));
        assert!(gate.holds(ConnectionId(9)) && gate.holds(ConnectionId(10)));
    }
}
