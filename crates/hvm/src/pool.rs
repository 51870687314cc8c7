//! State: the workers, what is known of them, and which of them are idle.

use crate::schedule::Candidate;
use crate::{Availability, GasPerS, Meter, Record, TaskId, Units};
use core::time::Duration;
use peeredge_wire::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a device is taken to reach while nothing at all was measured: a phone.
const RATE_UNKNOWN: GasPerS = GasPerS(200_000_000);
/// Agreements remembered of one worker, so that they can be taken back.
const VOUCHED_MAX: usize = 512;

/// Whoever stands behind a worker, as far as the relay can tell: a network prefix, an account. Two workers of one owner never
/// vote on one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

/// A worker's number in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// One worker, here or not.
#[derive(Debug)]
pub struct Worker {
    /// Its key.
    pub peer: PeerId,
    /// Who stands behind it.
    pub owner: Owner,
    /// Its standing.
    pub record: Record,
    /// Its speed.
    pub meter: Meter,
    /// Tasks that it may run at once; 0 when it is away or pauses.
    pub slots: u8,
    /// Tasks that it runs.
    pub busy: u8,
    /// Memory that a task may have there.
    pub memory_bytes: u64,
    /// Since when it is here.
    pub since: Time,
    /// When it was first seen.
    pub first_seen: Time,
    /// How long it was here on earlier visits.
    pub was_here: Duration,
    /// It gets nothing until then.
    pub rests_until: Time,
    /// Tasks that it voted on and that are still open.
    pub(crate) open: BTreeSet<TaskId>,
    /// Those whose agreement is part of its evidence.
    pub(crate) vouched: VecDeque<WorkerId>,
    /// Its evidence when the open tasks were last looked through.
    pub(crate) looked_at: f64,
    here: bool,
    idle_at: Option<usize>,
}

impl Worker {
    /// Whether it is connected.
    pub fn here(&self) -> bool {
        self.here
    }

    /// The share of the time since it was first seen in which it was here.
    pub fn availability(&self, now: Time) -> Availability {
        let visit = if self.here { now.since(self.since) } else { Duration::ZERO };
        Availability::of(self.was_here + visit, now.since(self.first_seen))
    }

    /// What it contributes, by verified work.
    pub fn units(&self) -> Units {
        let gas = self.meter.rate().unwrap_or_default().0.saturating_mul(u64::from(self.slots));
        Units {
            gas: GasPerS(gas),
            memory_bytes: self.memory_bytes * u64::from(self.slots),
            ..Units::default()
        }
    }

    pub(crate) fn vouch(&mut self, by: WorkerId) {
        if self.vouched.len() == VOUCHED_MAX {
            self.vouched.pop_front();
        }
        self.vouched.push_back(by);
    }
}

/// All workers that are remembered.
#[derive(Debug, Default)]
pub struct Pool {
    ids: BTreeMap<PeerId, WorkerId>,
    workers: BTreeMap<WorkerId, Worker>,
    idle: Vec<WorkerId>,
    here: usize,
    /// What workers that were measured reach, for the first task of a stranger.
    typical: Meter,
    next: u32,
    /// Workers that went, oldest first; some may be back.
    gone: VecDeque<WorkerId>,
    remembered_max: usize,
}

impl Pool {
    /// A pool that remembers so many workers that are not here; each takes about 300 bytes and up to 2 KiB of agreements.
    pub fn new(remembered_max: usize) -> Self {
        Pool { remembered_max, ..Pool::default() }
    }

    /// The worker that has this number.
    pub fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.get_mut(&id)
    }

    /// The number of this key.
    pub fn id(&self, peer: &PeerId) -> Option<WorkerId> {
        self.ids.get(peer).copied()
    }

    /// Workers here.
    pub fn here(&self) -> usize {
        self.here
    }

    /// Workers with a free slot.
    pub fn idle(&self) -> &[WorkerId] {
        &self.idle
    }

    /// All workers that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// The units of all workers here, together.
    pub fn units(&self) -> Units {
        self.workers.values().filter(|worker| worker.here).map(Worker::units).sum()
    }

    /// A worker comes, or changes what it offers.
    pub fn offer(&mut self, now: Time, peer: PeerId, owner: Owner, slots: u8, memory_bytes: u64) -> WorkerId {
        let id = *self.ids.entry(peer).or_insert_with(|| {
            self.next += 1;
            WorkerId(self.next)
        });
        let worker = self.workers.entry(id).or_insert_with(|| Worker {
            peer,
            owner,
            record: Record::default(),
            meter: Meter::default(),
            slots: 0,
            busy: 0,
            memory_bytes: 0,
            since: now,
            first_seen: now,
            was_here: Duration::ZERO,
            rests_until: Time::ZERO,
            open: BTreeSet::new(),
            vouched: VecDeque::new(),
            looked_at: 0.0,
            here: false,
            idle_at: None,
        });
        if !worker.here {
            (worker.here, worker.since, worker.busy, worker.owner) = (true, now, 0, owner);
            self.here += 1;
        }
        (worker.slots, worker.memory_bytes) = (slots, memory_bytes);
        self.settle_idle(now, id);
        id
    }

    /// A worker goes.
    pub fn gone(&mut self, now: Time, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !worker.here {
            return;
        }
        worker.was_here += now.since(worker.since);
        (worker.here, worker.slots, worker.busy) = (false, 0, 0);
        self.here -= 1;
        self.settle_idle(now, id);
        self.gone.push_back(id);
        for _ in 0..2 {
            if self.gone.len() <= self.remembered_max {
                break;
            }
            let Some(oldest) = self.gone.pop_front() else { break };
            // Liars are remembered longest: forgetting one would give it a fresh start under the same key.
            match self.workers.get(&oldest) {
                Some(worker) if worker.here => {}
                Some(worker) if !worker.open.is_empty() => self.gone.push_back(oldest),
                Some(worker) => {
                    self.ids.remove(&worker.peer);
                    self.workers.remove(&oldest);
                }
                None => {}
            }
        }
    }

    /// A worker takes a run.
    pub fn take(&mut self, now: Time, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.busy = worker.busy.saturating_add(1);
        }
        self.settle_idle(now, id);
    }

    /// A worker is done with a run.
    pub fn release(&mut self, now: Time, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.busy = worker.busy.saturating_sub(1);
        }
        self.settle_idle(now, id);
    }

    /// Puts the worker among the idle, or takes it away from there, as it now is.
    pub fn settle_idle(&mut self, now: Time, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let idle = worker.here
            && worker.busy < worker.slots
            && !worker.record.exposed()
            && worker.rests_until <= now;
        match (idle, worker.idle_at) {
            (true, None) => {
                worker.idle_at = Some(self.idle.len());
                self.idle.push(id);
            }
            (false, Some(at)) => {
                worker.idle_at = None;
                self.idle.swap_remove(at);
                if let Some(moved) = self.idle.get(at).and_then(|moved| self.workers.get_mut(moved)) {
                    moved.idle_at = Some(at);
                }
            }
            _ => {}
        }
    }

    /// A verified result: its worker's rate.
    pub fn measured(&mut self, id: WorkerId, gas: u64, elapsed: Duration) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.meter.observe(gas, elapsed);
            self.typical.observe(gas, elapsed);
        }
    }

    /// The rate to reckon with: its own, or half of what others have, so that a stranger on a small device gets its time.
    pub fn rate(&self, id: WorkerId) -> GasPerS {
        let own = self.workers.get(&id).and_then(|worker| worker.meter.rate());
        own.or(self.typical.rate().map(|rate| GasPerS(rate.0 / 2))).unwrap_or(RATE_UNKNOWN)
    }

    /// The worker as the policy sees it.
    pub fn candidate(&self, now: Time, id: WorkerId) -> Option<Candidate> {
        let worker = self.workers.get(&id)?;
        Some(Candidate {
            rate: self.rate(id),
            memory_bytes: worker.memory_bytes,
            here_for: now.since(worker.since),
            reliability: worker.record.reliability(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    #[test]
    fn a_worker_is_idle_while_it_has_a_free_slot() {
        let mut pool = Pool::new(10);
        let a = pool.offer(Time::ZERO, peer(1), Owner(1), 2, 1);
        let b = pool.offer(Time::ZERO, peer(2), Owner(2), 1, 1);
        pool.take(Time::ZERO, a);
        assert_eq!(pool.idle(), [a, b]);
        pool.take(Time::ZERO, a);
        assert_eq!(pool.idle(), [b]);
        pool.release(Time::ZERO, a);
        pool.offer(Time::ZERO, peer(2), Owner(2), 0, 1);
        assert_eq!(pool.idle(), [a]);
        pool.gone(Time::ZERO, a);
        assert!(pool.idle().is_empty());
        assert_eq!(pool.here(), 1);
    }

    #[test]
    fn a_pool_describes_its_workers_by_what_was_measured() {
        let mut pool = Pool::new(10);
        let a = pool.offer(Time::ZERO, peer(1), Owner(1), 2, 100);
        assert_eq!(pool.units().gas, GasPerS(0), "nothing was verified yet, whatever it claims");
        pool.measured(a, 1_000, Duration::from_secs(1));
        assert_eq!((pool.units().gas, pool.units().memory_bytes), (GasPerS(2_000), 200));
        pool.gone(Time::from_millis(10_000), a);
        assert_eq!(pool.units(), Units::default());
        pool.offer(Time::from_millis(20_000), peer(1), Owner(1), 2, 100);
        let here = pool.get(a).expect("remembered").availability(Time::from_millis(40_000));
        assert_eq!(here.permille(), 750);
    }

    #[test]
    fn what_went_is_forgotten_oldest_first_beyond_the_bound() {
        let mut pool = Pool::new(3);
        for n in 0..200 {
            let id = pool.offer(Time::ZERO, peer(n), Owner(0), 1, 1);
            pool.gone(Time::ZERO, id);
        }
        assert!(pool.iter().count() <= 4);
        assert!(pool.id(&peer(199)).is_some() && pool.id(&peer(0)).is_none());
    }
}
