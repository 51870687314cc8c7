//! Places that strangers take: so many in all, so many for each network. Whoever does nothing gives way to whoever comes, and
//! where all places are in use the network that has most of them gives one to a network that has few.

use crate::owner::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatLimits {
    /// In all.
    pub all_max: usize,
    /// For one network.
    pub per_owner_max: usize,
}

/// The places of one kind.
#[derive(Debug)]
pub struct Seats {
    limits: SeatLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    turn: u64,
    seats: BTreeMap<u64, Entry>,
    owners: BTreeMap<Owner, Own>,
    /// Networks by how many places they have.
    fullest: BTreeSet<(usize, Owner)>,
    /// Idle places of all networks, the longest idle first.
    idle: BTreeSet<(u64, u64)>,
}

#[derive(Debug)]
struct Entry {
    owner: Owner,
    /// When it last became idle or busy, in turns.
    since: u64,
    is_idle: bool,
    gone: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Own {
    idle: BTreeSet<(u64, u64)>,
    busy: BTreeSet<(u64, u64)>,
}

impl Own {
    fn count(&self) -> usize {
        self.idle.len() + self.busy.len()
    }
}

impl Table {
    fn insert(&mut self, id: u64, owner: Owner, is_idle: bool, gone: Arc<Notify>) {
        self.turn += 1;
        let (since, own) = (self.turn, self.owners.entry(owner).or_default());
        let before = own.count();
        if is_idle { &mut own.idle } else { &mut own.busy }.insert((since, id));
        self.fullest.remove(&(before, owner));
        self.fullest.insert((before + 1, owner));
        if is_idle {
            self.idle.insert((since, id));
        }
        self.seats.insert(id, Entry { owner, since, is_idle, gone });
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.seats.remove(&id)?;
        let own = self.owners.get_mut(&entry.owner).expect("every place is its network's");
        let before = own.count();
        own.idle.remove(&(entry.since, id));
        own.busy.remove(&(entry.since, id));
        self.fullest.remove(&(before, entry.owner));
        if before > 1 {
            self.fullest.insert((before - 1, entry.owner));
        } else {
            self.owners.remove(&entry.owner);
        }
        self.idle.remove(&(entry.since, id));
        Some(entry)
    }

    fn count(&self, owner: Owner) -> usize {
        self.owners.get(&owner).map_or(0, Own::count)
    }

    /// Which place is given up for one of `owner`; `Err` when none is, nothing when none need be.
    fn giving_way(&self, owner: Owner, limits: SeatLimits) -> Result<Option<u64>, ()> {
        let here = self.count(owner);
        let first = |set: &BTreeSet<(u64, u64)>| set.first().map(|(_, id)| *id);
        if here >= limits.per_owner_max {
            return self.owners.get(&owner).and_then(|own| first(&own.idle)).map(Some).ok_or(());
        }
        if self.seats.len() < limits.all_max {
            return Ok(None);
        }
        let (most, fullest) = self.fullest.last().copied().ok_or(())?;
        let own = &self.owners[&fullest];
        // Its idle ones first, then anybody's, then its newest.
        let idle = first(&own.idle).filter(|_| most > here).or_else(|| first(&self.idle));
        let busy = || own.busy.last().map(|(_, id)| *id).filter(|_| most > 2 * here + 1);
        idle.or_else(busy).map(Some).ok_or(())
    }
}

impl Seats {
    /// Nobody has a place.
    pub fn new(limits: SeatLimits) -> Arc<Seats> {
        Arc::new(Seats { limits, table: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no holder panics")
    }

    /// Takes a place, idle at first. None when there is none and nobody gives way.
    pub fn take(self: &Arc<Self>, owner: Owner) -> Option<Seat> {
        let mut table = self.lock();
        if let Some(id) = table.giving_way(owner, self.limits).ok()? {
            let entry = table.remove(id).expect("it was just found");
            entry.gone.notify_one();
        }
        let (id, gone) = (table.next, Arc::new(Notify::new()));
        table.next += 1;
        table.insert(id, owner, true, gone.clone());
        Some(Seat { seats: self.clone(), id, gone })
    }

    /// Has up to `count` idle places given up. Gives how many are.
    pub fn shed(&self, count: usize) -> usize {
        let mut table = self.lock();
        let mut shed = 0;
        while shed < count
            && let Some((_, id)) = table.idle.first().copied()
        {
            table.remove(id).expect("it was just found").gone.notify_one();
            shed += 1;
        }
        shed
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.lock().seats.len()
    }
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    id: u64,
    gone: Arc<Notify>,
}

impl Seat {
    /// Whoever has it does something from now on.
    pub fn busy(&self) {
        self.set(false);
    }

    /// Whoever has it does nothing from now on.
    pub fn idle(&self) {
        self.set(true);
    }

    fn set(&self, is_idle: bool) {
        let mut table = self.seats.lock();
        let differs = table.seats.get(&self.id).is_some_and(|entry| entry.is_idle != is_idle);
        if differs && let Some(entry) = table.remove(self.id) {
            table.insert(self.id, entry.owner, is_idle, entry.gone);
        }
    }

    /// Resolves when the place was given to another.
    pub async fn gone(&self) {
        self.gone.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn owner(n: u8) -> Owner {
        Owner::of(Ipv4Addr::new(127, 0, n, 1).into())
    }

    fn seats(all_max: usize, per_owner_max: usize) -> Arc<Seats> {
        Seats::new(SeatLimits { all_max, per_owner_max })
    }

    fn is_gone(seat: &Seat) -> bool {
        pin!(seat.gone()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn busy(seats: &Arc<Seats>, n: u8) -> Option<Seat> {
        let seat = seats.take(owner(n))?;
        seat.busy();
        Some(seat)
    }

    #[test]
    fn the_longest_idle_of_a_full_network_gives_way_and_busy_ones_do_not() {
        let seats = seats(100, 3);
        let held: Vec<_> = (0..3).map(|_| seats.take(owner(1)).unwrap()).collect();
        held[0].busy();
        let next = seats.take(owner(1)).unwrap();
        assert!(!is_gone(&held[0]) && is_gone(&held[1]) && !is_gone(&held[2]));
        held[2].busy();
        next.busy();
        assert!(seats.take(owner(1)).is_none());
        assert!(seats.take(owner(2)).is_some(), "another network is not concerned");
        assert_eq!(seats.taken(), 3);
    }

    #[test]
    fn where_all_is_full_idle_ones_go_first_and_then_the_fullest_network_gives() {
        let seats = seats(6, 6);
        let many: Vec<_> = (0..5).map(|_| busy(&seats, 1).unwrap()).collect();
        let idle = seats.take(owner(2)).unwrap();
        let one = busy(&seats, 3).unwrap();
        assert!(is_gone(&idle));
        let two = busy(&seats, 4).unwrap();
        assert!(is_gone(&many[4]) && !is_gone(&many[0]), "the newest of the fullest");
        assert!(!is_gone(&one) && !is_gone(&two));
        drop((many, idle));
        assert_eq!(seats.taken(), 2);
    }

    #[test]
    fn networks_that_share_evenly_keep_what_they_have() {
        let seats = seats(4, 4);
        let held: Vec<_> = [1, 1, 2, 2].map(|n| busy(&seats, n).unwrap()).into();
        assert!(busy(&seats, 1).is_none());
        let third = busy(&seats, 3);
        assert!(third.is_some(), "who has none gets one of two");
        assert_eq!(held.iter().filter(|seat| is_gone(seat)).count(), 1);
    }

    #[test]
    fn idle_places_are_shed_when_asked_for() {
        let seats = seats(10, 10);
        let held: Vec<_> = (0..4).map(|_| seats.take(owner(1)).unwrap()).collect();
        held[0].busy();
        assert_eq!(seats.shed(10), 3);
        assert!(!is_gone(&held[0]) && held[1..].iter().all(is_gone));
    }
}
