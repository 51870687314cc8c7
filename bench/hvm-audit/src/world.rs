//! The devices, the clock, and what a scheme made of them.

use crate::devices::{Cheats, DEALT, Device, Kind, SPEED};
use crate::dice::Dice;
use crate::scheme::{Act, Scheme};
use peeredge_wire::dice::mix;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// From a result's way to the relay to the next run's way back, in s.
const ROUND_TRIP_S: f64 = 0.15;
/// Tasks handed in ahead of what runs.
const AHEAD: usize = 1000;

/// What a run of the simulation found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Results.
    pub accepted: u64,
    /// Wrong ones among them.
    pub wrong: u64,
    /// Runs begun by devices, unfinished and withheld ones counted whole.
    pub runs: u64,
    /// Runs of the relay itself.
    pub referee: u64,
    /// When the last result was accepted, in s.
    pub end_s: f64,
    /// When the honest devices could have done their runs had none of them ever waited, in s.
    pub ideal_s: f64,
    /// For people.
    pub notes: String,
}

impl Found {
    /// All runs a result, the referee's included.
    pub fn replication(&self) -> f64 {
        (self.runs + self.referee) as f64 / self.accepted as f64
    }

    /// The share of wrong results.
    pub fn wrong_share(&self) -> f64 {
        self.wrong as f64 / self.accepted as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(usize),
    Goes(usize),
    Done { lease: u64, device: usize, task: u64 },
    Refereed(u64),
}

/// Tasks without a result that a relay takes of one owner.
const OPEN_MAX: usize = 1024;

/// Networks that honest submitters come from.
const SUBMITTERS: u64 = 50;

/// Who hands in a task of the cheats beside the honest one of this number, and the memory that it asks for.
fn dealt(cheats: Cheats, task: u64, devices: &[Device]) -> Option<(u64, u64)> {
    match cheats {
        Cheats::SelfDealers => {
            let from = (mix(task) % devices.len() as u64) as usize;
            let all = devices[from..].iter().chain(&devices[..from]);
            let dealer = all.into_iter().find(|device| matches!(device.kind, Kind::Dealer { .. }))?;
            Some((dealer.owner, 1 << 20))
        }
        Cheats::Choosers => Some(((1 << 61) + task % 5, 4 << 30)),
        Cheats::Colluders => Some(((1 << 61) + task % 20, 1 << 20)),
        _ => None,
    }
}

/// Whether a relay would take one more task of this owner's, which then has it open.
fn within_quota(open: &mut HashMap<u64, usize>, owner: u64) -> bool {
    let open = open.entry(owner).or_default();
    let has_room = *open < OPEN_MAX;
    *open += usize::from(has_room);
    has_room
}

/// The gas of a task: most near 10 G, a few of them four times as much; what cheats hand in costs them next to nothing.
pub fn gas_of(task: u64) -> u64 {
    if task >= DEALT {
        return 20_000_000;
    }
    (10e9 * (0.5 * Dice::new(mix(task ^ 0x9a5)).normal()).exp().clamp(0.25, 4.0)) as u64
}

/// Lets `scheme` do `tasks` tasks with these devices.
pub fn run(mut scheme: impl Scheme, mut devices: Vec<Device>, tasks: u64, cheats: Cheats) -> Found {
    let micros = |s: f64| (s * 1e6) as u64;
    let mut events: BinaryHeap<Reverse<(u64, Event)>> = BinaryHeap::new();
    for (i, device) in devices.iter().enumerate() {
        events.push(Reverse((micros(device.comes), Event::Comes(i))));
        events.push(Reverse((micros(device.goes), Event::Goes(i))));
    }
    let mut here = vec![false; devices.len()];
    let mut open: HashMap<u64, usize> = HashMap::new();
    let mut answers: HashMap<u64, (u64, u64)> = HashMap::new();
    let (mut submitted, mut accepted, mut wrong, mut runs, mut referee) = (0u64, 0, 0, 0, 0);
    let (mut now, mut gas_run) = (0.0f64, 0.0f64);
    while accepted < tasks {
        while submitted < tasks && scheme.waiting() < AHEAD {
            scheme.submit(now, submitted, gas_of(submitted), (1 << 60) + submitted % SUBMITTERS, 1 << 20);
            if let Some((owner, memory_bytes)) = dealt(cheats, submitted, &devices)
                && within_quota(&mut open, owner)
            {
                scheme.submit(now, DEALT + submitted, gas_of(DEALT + submitted), owner, memory_bytes);
            }
            submitted += 1;
        }
        while let Some(act) = scheme.poll() {
            match act {
                Act::Run { lease, device, task } => {
                    runs += u64::from(task < DEALT);
                    let gas = gas_of(task);
                    let who = &mut devices[device];
                    let share = if who.computes() { 1.0 } else { 0.1 };
                    let takes = gas as f64 / who.speed * share;
                    if let Some(answer) = who.answer(task, gas, lease) {
                        if who.kind == Kind::Honest && task < DEALT {
                            gas_run += gas as f64;
                        }
                        answers.insert(lease, answer);
                        let at = micros(now + ROUND_TRIP_S + takes);
                        events.push(Reverse((at, Event::Done { lease, device, task })));
                    }
                }
                // What cheats had run for themselves is nobody's result.
                Act::Accept { task, .. } if task >= DEALT => {
                    let of = dealt(cheats, task - DEALT, &devices);
                    if let Some(open) = of.and_then(|(owner, _)| open.get_mut(&owner)) {
                        *open -= 1;
                    }
                }
                Act::Accept { task, digest } => {
                    accepted += 1;
                    wrong += u64::from(digest != mix(task));
                }
                Act::Referee { task } => {
                    referee += u64::from(task < DEALT);
                    events.push(Reverse((micros(now + gas_of(task) as f64 / SPEED), Event::Refereed(task))));
                }
            }
        }
        let next = events.peek().map(|Reverse((at, _))| *at as f64 / 1e6);
        let wake = scheme.deadline();
        match (next, wake) {
            (Some(next), wake) if wake.is_none_or(|wake| next <= wake) => {
                now = now.max(next);
                let Reverse((_, event)) = events.pop().expect("it was just looked at");
                match event {
                    Event::Comes(i) => {
                        here[i] = true;
                        let claims =
                            if matches!(devices[i].kind, Kind::Dealer { .. }) { 8 << 30 } else { 1 << 30 };
                        scheme.join(now, i, devices[i].owner, claims);
                    }
                    Event::Goes(i) => {
                        here[i] = false;
                        scheme.leave(now, i);
                    }
                    Event::Done { lease, device, task } => {
                        let answer = answers.remove(&lease);
                        if let Some((digest, gas)) = answer.filter(|_| here[device]) {
                            scheme.answer(now, lease, device, task, digest, gas);
                        }
                    }
                    Event::Refereed(task) => scheme.refereed(now, task, mix(task), gas_of(task)),
                }
            }
            (_, Some(wake)) => {
                now = now.max(wake);
                scheme.wake(now);
            }
            (_, None) => panic!("{accepted} of {tasks} done, and nothing will happen any more"),
        }
    }
    let ideal_s = ideal(&devices, gas_run);
    Found { accepted, wrong, runs, referee, end_s: now, ideal_s, notes: scheme.notes() }
}

/// When the honest devices could have used up this gas, each busy from its first to its last moment.
fn ideal(devices: &[Device], gas: f64) -> f64 {
    let done = |t: f64| -> f64 {
        let honest = devices.iter().filter(|device| device.kind == Kind::Honest);
        honest.map(|d| (d.goes.min(t) - d.comes).max(0.0) * d.speed).sum()
    };
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if done(middle) < gas { low = middle } else { high = middle }
    }
    high
}
