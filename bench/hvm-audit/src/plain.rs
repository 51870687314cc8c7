//! What others do: voting by quorum, and BOINC's adaptive replication. They know no owners' rings, keep no standing but
//! BOINC's count of valid results, and ask no referee.

use crate::dice::Dice;
use crate::scheme::{Act, Scheme};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Valid results in a row after which BOINC trusts a host (`ADAPTIVE_REPLICATION_MIN`).
const TRUSTED_FROM: u32 = 10;
/// A run that takes longer is given to somebody else; most take ten seconds.
const LOST_AFTER_S: f64 = 120.0;

struct Task {
    votes: Vec<(usize, u64)>,
    /// Runs given or queued that are not yet answered.
    pending: usize,
    owners: Vec<u64>,
}

/// `quorum` equal outputs of distinct owners; with `adaptive`, one of a trusted host mostly suffices.
pub struct Plain {
    quorum: usize,
    adaptive: bool,
    dice: Dice,
    tasks: BTreeMap<u64, Task>,
    queue: VecDeque<u64>,
    fresh: usize,
    idle: Vec<usize>,
    owner: BTreeMap<usize, u64>,
    valid: BTreeMap<usize, u32>,
    leases: BTreeMap<u64, (usize, u64)>,
    held: BTreeMap<usize, u64>,
    lost: BTreeSet<(u64, u64)>,
    next: u64,
    acts: VecDeque<Act>,
}

impl Plain {
    /// Voting by `quorum`, or BOINC's adaptive replication above it.
    pub fn new(quorum: usize, adaptive: bool, seed: u64) -> Self {
        Plain {
            quorum,
            adaptive,
            dice: Dice::new(seed),
            tasks: BTreeMap::new(),
            queue: VecDeque::new(),
            fresh: 0,
            idle: Vec::new(),
            owner: BTreeMap::new(),
            valid: BTreeMap::new(),
            leases: BTreeMap::new(),
            held: BTreeMap::new(),
            lost: BTreeSet::new(),
            next: 0,
            acts: VecDeque::new(),
        }
    }

    fn match_up(&mut self, now: f64) {
        let mut aside = Vec::new();
        while !self.idle.is_empty() && aside.len() < 32 {
            let Some(task) = self.queue.pop_front() else { break };
            let Some(state) = self.tasks.get_mut(&task) else { continue };
            let found = (0..8)
                .map(|_| self.dice.below(self.idle.len()))
                .find(|at| !state.owners.contains(&self.owner[&self.idle[*at]]));
            let Some(at) = found else {
                aside.push(task);
                continue;
            };
            let device = self.idle.swap_remove(at);
            state.owners.push(self.owner[&device]);
            self.next += 1;
            self.leases.insert(self.next, (device, task));
            self.held.insert(device, self.next);
            self.lost.insert((((now + LOST_AFTER_S) * 1e6) as u64, self.next));
            self.acts.push_back(Act::Run { lease: self.next, device, task });
        }
        self.queue.extend(aside);
    }

    fn again(&mut self, lease: u64) {
        if let Some((device, task)) = self.leases.remove(&lease) {
            self.held.remove(&device);
            if self.tasks.contains_key(&task) {
                self.queue.push_front(task);
            }
        }
    }

    fn decide(&mut self, task: u64) {
        let Some(state) = self.tasks.get_mut(&task) else { return };
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for (_, digest) in &state.votes {
            *counts.entry(*digest).or_default() += 1;
        }
        let (&digest, &most) = counts.iter().max_by_key(|(_, count)| **count).expect("somebody voted");
        let only = state.votes.len() == 1;
        if self.adaptive && only {
            let n = self.valid.get(&state.votes[0].0).copied().unwrap_or(0);
            if n >= TRUSTED_FROM && self.dice.unit() >= 1.0 / f64::from(n) {
                self.tasks.remove(&task);
                return self.acts.push_back(Act::Accept { task, digest });
            }
        }
        if most >= self.quorum {
            for (device, said) in core::mem::take(&mut state.votes) {
                let valid = self.valid.entry(device).or_default();
                *valid = if said == digest { *valid + 1 } else { 0 };
            }
            self.tasks.remove(&task);
            self.acts.push_back(Act::Accept { task, digest });
        } else if state.pending == 0 {
            let more = self.quorum - most;
            state.pending = more;
            (0..more).for_each(|_| self.queue.push_front(task));
        }
    }
}

impl Scheme for Plain {
    fn join(&mut self, now: f64, device: usize, owner: u64, _memory_bytes: u64) {
        self.owner.insert(device, owner);
        self.idle.push(device);
        self.match_up(now);
    }

    fn leave(&mut self, now: f64, device: usize) {
        self.idle.retain(|idle| *idle != device);
        if let Some(lease) = self.held.get(&device).copied() {
            self.again(lease);
        }
        self.match_up(now);
    }

    fn submit(&mut self, now: f64, task: u64, _gas: u64, _owner: u64, _memory_bytes: u64) {
        let copies = if self.adaptive { 1 } else { self.quorum };
        self.tasks.insert(task, Task { votes: Vec::new(), pending: copies, owners: Vec::new() });
        (0..copies).for_each(|_| self.queue.push_back(task));
        self.fresh = copies;
        self.match_up(now);
    }

    fn answer(&mut self, now: f64, lease: u64, device: usize, task: u64, digest: u64, _gas: u64) {
        if self.leases.remove(&lease).is_some() {
            self.held.remove(&device);
            self.idle.push(device);
            if let Some(state) = self.tasks.get_mut(&task) {
                state.votes.push((device, digest));
                state.pending -= 1;
                self.decide(task);
            }
        }
        self.match_up(now);
    }

    fn refereed(&mut self, _now: f64, _task: u64, _digest: u64, _gas: u64) {}

    fn wake(&mut self, now: f64) {
        while let Some(&(at, lease)) = self.lost.first().filter(|(at, _)| *at <= (now * 1e6) as u64) {
            self.lost.remove(&(at, lease));
            if let Some((device, _)) = self.leases.get(&lease).copied() {
                self.again(lease);
                self.idle.push(device);
            }
        }
        self.match_up(now);
    }

    fn deadline(&self) -> Option<f64> {
        self.lost.first().map(|(at, _)| (*at + 1) as f64 / 1e6)
    }

    fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    fn waiting(&self) -> usize {
        self.queue.len() / self.fresh.max(1)
    }
}
