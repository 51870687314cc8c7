//! State: the workers, what is known of them, and which of them are idle.

use crate::by_owner::ByOwner;
use crate::schedule::Candidate;
use crate::{Availability, GasPerS, Meter, Record, TaskId, Units};
use core::time::Duration;
use peeredge_wire::{PeerId, SplitMix64, Time};
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
    /// Answers that it is bound to and has yet to show.
    pub unshown: u8,
    /// Memory that a task may have there.
    pub memory_bytes: u64,
    /// Takes only tasks of this site's pages; none for anybody's.
    pub for_site: Option<u64>,
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

    /// Whether it takes tasks that pages of this site hand in.
    pub fn takes_of(&self, site: Option<u64>) -> bool {
        self.for_site.is_none() || self.for_site == site
    }

    /// Runs that it may hold at once: what it offers, as far as it has returned runs.
    pub fn places(&self) -> u8 {
        self.slots.min(self.record.slots_earned())
    }

    /// Whether it may take another run. Who is bound to answers goes on while they wait for being shown, but not without end: one that
    /// shows none would take every run there is. A stranger shows first.
    fn has_place(&self) -> bool {
        let places = u16::from(self.places());
        let unshown_max = if self.record.is_stranger() { 0 } else { places };
        let busy = u16::from(self.busy);
        busy < places && busy + u16::from(self.unshown) < places + unshown_max
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
    /// Workers with a free place.
    idle: ByOwner<WorkerId>,
    here: usize,
    /// What the owners here offer a task, by the site whose tasks they take; none for anybody's.
    offers: BTreeMap<Option<u64>, Offers>,
    /// What workers that were measured reach, for the first task of a stranger.
    typical: Meter,
    next: u32,
    /// Workers that went, oldest first; some may be back.
    gone: VecDeque<WorkerId>,
    remembered_max: usize,
    strangers: BTreeMap<Owner, Strangers>,
    stranger_leases_max: u32,
}

/// The workers of one owner that never returned a run.
#[derive(Debug, Default)]
struct Strangers {
    here: BTreeSet<WorkerId>,
    /// Runs that they hold together.
    held: u32,
}

impl Pool {
    /// A pool that remembers so many workers that are not here; each takes about 300 bytes and up to 2 KiB of agreements.
    /// Those of one owner that never returned a run hold at most `stranger_leases_max` together.
    pub fn new(remembered_max: usize, stranger_leases_max: u32) -> Self {
        Pool { remembered_max, stranger_leases_max, ..Pool::default() }
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

    /// Whether any worker has a free place.
    pub fn is_any_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// One of the workers with a free place: an owner is drawn, then one of its workers, so that many keys draw no more than one.
    pub(crate) fn draw_idle(&self, dice: &mut SplitMix64) -> Option<WorkerId> {
        self.idle.draw(dice)
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
    pub fn offer(
        &mut self,
        now: Time,
        peer: PeerId,
        owner: Owner,
        slots: u8,
        memory_bytes: u64,
        for_site: Option<u64>,
    ) -> WorkerId {
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
            unshown: 0,
            memory_bytes: 0,
            for_site,
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
        if worker.here {
            withdraw(&mut self.offers, worker);
        } else {
            (worker.here, worker.since, worker.owner) = (true, now, owner);
            (worker.busy, worker.unshown) = (0, 0);
            self.here += 1;
        }
        if worker.for_site != for_site {
            // What it has done for one site says nothing to another: that site's visitors may all be one's own.
            worker.record.doubted();
        }
        (worker.slots, worker.memory_bytes, worker.for_site) = (slots, memory_bytes, for_site);
        self.offers.entry(for_site).or_default().add(worker.owner, memory_bytes);
        if worker.record.is_stranger() {
            self.strangers.entry(worker.owner).or_default().here.insert(id);
        }
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
        (worker.here, worker.slots) = (false, 0);
        (worker.busy, worker.unshown) = (0, 0);
        let is_blank = worker.record == Record::default() && worker.open.is_empty();
        withdraw(&mut self.offers, worker);
        let owner = worker.owner;
        self.no_stranger(owner, id);
        self.here -= 1;
        self.settle_idle(now, id);
        if is_blank {
            // Nothing is known of it: remembering free keys would only push out those of whom something is.
            if let Some(worker) = self.workers.remove(&id) {
                self.ids.remove(&worker.peer);
            }
            return;
        }
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

    /// A worker takes a run. Gives its owner if it never returned one, for [`Pool::release`].
    pub fn take(&mut self, now: Time, id: WorkerId) -> Option<Owner> {
        let worker = self.workers.get_mut(&id)?;
        worker.busy = worker.busy.saturating_add(1);
        let stranger = worker.record.is_stranger().then_some(worker.owner);
        if let Some(owner) = stranger {
            let strangers = self.strangers.entry(owner).or_default();
            strangers.held += 1;
            if strangers.held == self.stranger_leases_max {
                self.settle_strangers(now, owner);
            }
        }
        self.settle_idle(now, id);
        stranger
    }

    /// A worker has returned a run: it may hold more.
    pub fn returned(&mut self, now: Time, id: WorkerId) {
        if let Some(owner) = self.workers.get(&id).map(|worker| worker.owner) {
            self.no_stranger(owner, id);
        }
        self.settle_idle(now, id);
    }

    fn no_stranger(&mut self, owner: Owner, id: WorkerId) {
        let Some(strangers) = self.strangers.get_mut(&owner) else { return };
        strangers.here.remove(&id);
        self.forget_strangers(owner);
    }

    fn forget_strangers(&mut self, owner: Owner) {
        if self.strangers.get(&owner).is_some_and(|s| s.here.is_empty() && s.held == 0) {
            self.strangers.remove(&owner);
        }
    }

    /// All strangers of an owner may take runs now, or none may.
    fn settle_strangers(&mut self, now: Time, owner: Owner) {
        let here: Vec<WorkerId> = self
            .strangers
            .get(&owner)
            .map_or(Vec::new(), |strangers| strangers.here.iter().copied().collect());
        here.into_iter().for_each(|id| self.settle_idle(now, id));
    }

    /// A worker is done with a run and bound to its answer.
    pub fn committed(&mut self, now: Time, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.busy = worker.busy.saturating_sub(1);
            worker.unshown = worker.unshown.saturating_add(1);
        }
        self.settle_idle(now, id);
    }

    /// A run is over: given up, or its answer was shown after [`Pool::committed`]. `stranger` is what [`Pool::take`] gave.
    pub fn release(&mut self, now: Time, id: WorkerId, stranger: Option<Owner>, was_committed: bool) {
        if let Some(worker) = self.workers.get_mut(&id) {
            let held = if was_committed { &mut worker.unshown } else { &mut worker.busy };
            *held = held.saturating_sub(1);
        }
        if let Some(owner) = stranger
            && let Some(strangers) = self.strangers.get_mut(&owner)
        {
            let was_full = strangers.held >= self.stranger_leases_max;
            strangers.held -= 1;
            if was_full {
                self.settle_strangers(now, owner);
            }
            self.forget_strangers(owner);
        }
        self.settle_idle(now, id);
    }

    /// Puts the worker among the idle, or takes it away from there, as it now is.
    pub fn settle_idle(&mut self, now: Time, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let full = worker.record.is_stranger()
            && self.strangers.get(&worker.owner).is_some_and(|s| s.held >= self.stranger_leases_max);
        let idle = worker.here
            && !full
            && worker.has_place()
            && !worker.record.exposed()
            && worker.rests_until <= now;
        match (idle, worker.idle_at) {
            (true, None) => worker.idle_at = Some(self.idle.add(worker.owner, id)),
            (false, Some(at)) => {
                worker.idle_at = None;
                let moved = self.idle.remove(worker.owner, at);
                if let Some(moved) = moved.and_then(|moved| self.workers.get_mut(&moved)) {
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

    /// Whether any worker here offers a task so much memory; those within an eighth of it may be left out.
    pub fn has_memory(&self, memory_bytes: u64) -> bool {
        self.offers.values().any(|offers| offers.owners_with(memory_bytes) > 0)
    }

    /// Whether a task of so much memory, of this site, could go to the workers of half of the owners that take this site's tasks, and
    /// of two at least. Otherwise its submitter has chosen who runs it, whatever was drawn.
    pub fn is_open_to_many(&self, memory_bytes: u64, site: Option<u64>) -> bool {
        let able = self.owners_able(memory_bytes, site);
        able >= 2 && able * 2 >= self.owners_able(0, site)
    }

    /// Owners whose workers here take tasks of so much memory of this site; one with workers for its site's tasks and for anybody's counts
    /// for both.
    pub fn owners_able(&self, memory_bytes: u64, site: Option<u64>) -> usize {
        let of = |site| self.offers.get(&site).map_or(0, |offers| offers.owners_with(memory_bytes));
        of(None) + if site.is_some() { of(site) } else { 0 }
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

fn withdraw(offers: &mut BTreeMap<Option<u64>, Offers>, worker: &Worker) {
    if let Some(group) = offers.get_mut(&worker.for_site) {
        group.remove(worker.owner, worker.memory_bytes);
        if group.owners() == 0 {
            offers.remove(&worker.for_site);
        }
    }
}

/// How much memory the owners here offer a task: for each owner the most that one of its workers does, in steps of an eighth of an
/// octave, so that a crowd is counted in a few hundred steps.
#[derive(Debug, Default)]
struct Offers {
    owners: BTreeMap<Owner, BTreeMap<u16, u32>>,
    /// Owners by the step of the most that they offer.
    steps: BTreeMap<u16, usize>,
}

impl Offers {
    /// The highest step that so much memory fills.
    fn step(memory_bytes: u64) -> u16 {
        let Some(octave) = memory_bytes.checked_ilog2().filter(|octave| *octave >= 3) else { return 0 };
        (octave * 8) as u16 + ((memory_bytes >> (octave - 3)) & 7) as u16
    }

    fn most(&self, owner: Owner) -> Option<u16> {
        self.owners.get(&owner).and_then(|steps| steps.last_key_value()).map(|(step, _)| *step)
    }

    fn change(&mut self, owner: Owner, with: impl FnOnce(&mut BTreeMap<Owner, BTreeMap<u16, u32>>)) {
        let before = self.most(owner);
        with(&mut self.owners);
        let after = self.most(owner);
        if before == after {
            return;
        }
        if let Some(count) = before.and_then(|step| self.steps.get_mut(&step)) {
            *count -= 1;
        }
        if let Some(step) = after {
            *self.steps.entry(step).or_default() += 1;
        }
        self.steps.retain(|_, count| *count > 0);
    }

    fn add(&mut self, owner: Owner, memory_bytes: u64) {
        self.change(owner, |owners| {
            *owners.entry(owner).or_default().entry(Offers::step(memory_bytes)).or_default() += 1;
        });
    }

    fn remove(&mut self, owner: Owner, memory_bytes: u64) {
        let step = Offers::step(memory_bytes);
        self.change(owner, |owners| {
            let Some(steps) = owners.get_mut(&owner) else { return };
            if let Some(count) = steps.get_mut(&step) {
                *count -= 1;
                if *count == 0 {
                    steps.remove(&step);
                }
            }
            if steps.is_empty() {
                owners.remove(&owner);
            }
        });
    }

    fn owners(&self) -> usize {
        self.owners.len()
    }

    /// Owners with a worker that offers at least so much; those within its step are left out.
    fn owners_with(&self, memory_bytes: u64) -> usize {
        let step = Offers::step(memory_bytes);
        let is_exact = memory_bytes
            .checked_ilog2()
            .is_none_or(|octave| octave < 3 || memory_bytes.trailing_zeros() >= octave - 3);
        self.steps.range(step + u16::from(!is_exact)..).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pool {
        fn idle(&self) -> Vec<WorkerId> {
            let mut all: Vec<_> = self.idle.all().collect();
            all.sort_unstable();
            all
        }
    }

    fn peer(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    #[test]
    fn a_worker_is_idle_while_it_has_a_free_slot() {
        let mut pool = Pool::new(10, 2);
        let a = pool.offer(Time::ZERO, peer(1), Owner(1), 2, 1, None);
        pool.get_mut(a).expect("it is here").record.returned();
        let b = pool.offer(Time::ZERO, peer(2), Owner(2), 1, 1, None);
        pool.take(Time::ZERO, a);
        assert_eq!(pool.idle(), [a, b]);
        pool.take(Time::ZERO, a);
        assert_eq!(pool.idle(), [b]);
        pool.release(Time::ZERO, a, None, false);
        pool.offer(Time::ZERO, peer(2), Owner(2), 0, 1, None);
        assert_eq!(pool.idle(), [a]);
        pool.gone(Time::ZERO, a);
        assert!(pool.idle().is_empty());
        assert_eq!(pool.here(), 1);
    }

    #[test]
    fn a_stranger_has_one_place_until_it_has_returned_a_run() {
        let mut pool = Pool::new(10, 2);
        let a = pool.offer(Time::ZERO, peer(1), Owner(1), 64, 1, None);
        pool.take(Time::ZERO, a);
        assert!(pool.idle().is_empty());
        pool.get_mut(a).expect("it is here").record.returned();
        pool.returned(Time::ZERO, a);
        assert_eq!((pool.idle(), pool.get(a).expect("it is here").places()), (vec![a], 2));
    }

    #[test]
    fn strangers_of_one_owner_hold_few_runs_together_and_the_rest_are_not_idle() {
        let mut pool = Pool::new(10, 2);
        let of: Vec<_> = (0..5).map(|n| pool.offer(Time::ZERO, peer(n), Owner(1), 1, 1, None)).collect();
        let other = pool.offer(Time::ZERO, peer(9), Owner(2), 1, 1, None);
        let held = pool.take(Time::ZERO, of[0]);
        assert_eq!((held, pool.idle().len()), (Some(Owner(1)), 5));
        pool.take(Time::ZERO, of[1]);
        assert_eq!(pool.idle(), [other]);
        pool.release(Time::ZERO, of[0], held, false);
        assert_eq!(pool.idle().len(), 5);
        of.iter().chain([&other]).for_each(|id| pool.gone(Time::ZERO, *id));
        pool.release(Time::ZERO, of[1], held, false);
        assert!(pool.strangers.is_empty());
    }

    #[test]
    fn an_owner_of_many_keys_is_drawn_no_more_often_than_one_of_one() {
        let mut pool = Pool::new(10, 200);
        for n in 0..100 {
            pool.offer(Time::ZERO, peer(n), Owner(1), 1, 1, None);
        }
        let alone = pool.offer(Time::ZERO, peer(200), Owner(2), 1, 1, None);
        let mut dice = SplitMix64::new(1);
        let drawn = (0..1000).filter(|_| pool.draw_idle(&mut dice) == Some(alone)).count();
        assert!((400..600).contains(&drawn), "{drawn}");
        (0..100).for_each(|n| pool.gone(Time::ZERO, pool.id(&peer(n)).expect("it is here")));
        assert_eq!(pool.draw_idle(&mut dice), Some(alone));
        pool.gone(Time::ZERO, alone);
        assert_eq!((pool.draw_idle(&mut dice), pool.is_any_idle()), (None, false));
    }

    #[test]
    fn a_task_that_few_owners_can_take_is_not_open_to_many() {
        let mut pool = Pool::new(10, 2);
        for n in 0..6 {
            pool.offer(Time::ZERO, peer(n), Owner(u64::from(n)), 1, 256 << 20, None);
        }
        for n in 6..9 {
            pool.offer(Time::ZERO, peer(n), Owner(6), 1, 8 << 30, None);
        }
        assert!(pool.is_open_to_many(256 << 20, None) && pool.is_open_to_many(1, Some(3)));
        assert!(!pool.is_open_to_many((256 << 20) + 1, None) && !pool.is_open_to_many(4 << 30, None));
        for n in 0..6 {
            let id = pool.id(&peer(n)).expect("it is here");
            pool.gone(Time::ZERO, id);
        }
        assert!(!pool.is_open_to_many(1, None), "one owner alone");
        let offers = &pool.offers[&None];
        assert_eq!((offers.owners(), offers.steps.len()), (1, 1));
    }

    #[test]
    fn a_pool_describes_its_workers_by_what_was_measured() {
        let mut pool = Pool::new(10, 2);
        let a = pool.offer(Time::ZERO, peer(1), Owner(1), 2, 100, None);
        assert_eq!(pool.units().gas, GasPerS(0), "nothing was verified yet, whatever it claims");
        pool.get_mut(a).expect("it is here").record.returned();
        pool.measured(a, 1_000, Duration::from_secs(1));
        assert_eq!((pool.units().gas, pool.units().memory_bytes), (GasPerS(2_000), 200));
        pool.gone(Time::from_millis(10_000), a);
        assert_eq!(pool.units(), Units::default());
        pool.offer(Time::from_millis(20_000), peer(1), Owner(1), 2, 100, None);
        let here = pool.get(a).expect("remembered").availability(Time::from_millis(40_000));
        assert_eq!(here.permille(), 750);
    }

    #[test]
    fn what_went_is_forgotten_oldest_first_beyond_the_bound() {
        let mut pool = Pool::new(3, 2);
        for n in 0..200 {
            let id = pool.offer(Time::ZERO, peer(n), Owner(0), 1, 1, None);
            pool.get_mut(id).expect("it is here").record.returned();
            pool.gone(Time::ZERO, id);
        }
        assert!(pool.iter().count() <= 4);
        assert!(pool.id(&peer(199)).is_some() && pool.id(&peer(0)).is_none());
        let stranger = pool.offer(Time::ZERO, peer(200), Owner(0), 1, 1, None);
        pool.gone(Time::ZERO, stranger);
        assert!(pool.id(&peer(200)).is_none() && pool.id(&peer(199)).is_some(), "free keys push nobody out");
    }
}
