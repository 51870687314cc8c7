//! Workers of all kinds around one dispatch on a virtual clock.
#![allow(dead_code)]

use core::time::Duration;
use peeredge_hvm::*;
use peeredge_wire::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What a worker does with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Honest,
    /// Makes an answer up, another one each time.
    Liar,
    /// All of one ring make the same answer up.
    Ring(u8),
    /// Takes runs and never returns one.
    Withholder,
    /// As [`Kind::Withholder`], but says again and again that it is still at it.
    Beating,
    /// Binds itself to an answer at once, and never shows any.
    Unshown,
    /// Says at once that it cannot run the task.
    Troubled,
    /// Answers every other run.
    Half,
    /// Does not compute: shows whatever answer the relay has let others show for this task, having committed to nothing.
    Copier,
    /// Hands in what it once was right with.
    Replayer,
    /// Honest for so many runs, then one of a ring.
    Sleeper(u8, u32),
    /// States ten times the gas.
    Boaster,
}

#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub peer: PeerId,
    pub owner: Owner,
    pub kind: Kind,
    pub takes: Duration,
    pub runs: u32,
}

pub struct World {
    pub now: Time,
    pub dispatch: Dispatch,
    pub devices: BTreeMap<PeerId, Device>,
    events: BTreeSet<(Time, u64)>,
    happens: BTreeMap<u64, DispatchInput>,
    count: u64,
    running: BTreeMap<LeaseId, (PeerId, Claim)>,
    replayed: BTreeMap<PeerId, Claim>,
    pub believed: BTreeMap<TaskId, Believed>,
    pub exposed: BTreeSet<PeerId>,
    pub given_up: BTreeMap<TaskId, GivenUp>,
    pub leases: Vec<(LeaseId, PeerId, TaskId, Option<Mark>)>,
    pub refereed: usize,
    /// Whether the referee can run tasks; else it says that it cannot.
    pub referee_runs: bool,
    pub spent: u64,
    pub asked: Vec<LeaseId>,
    pub forgotten: BTreeSet<TaskId>,
}

pub const GAS: u64 = 1_000_000_000;
pub const SUBMITTER: PeerId = PeerId([250; 32]);

pub fn truth(task: TaskId) -> Answer {
    Answer { digest: *blake3::hash(&task.0.to_le_bytes()).as_bytes(), gas: GAS }
}

fn wrong(task: TaskId, who: u64) -> Answer {
    Answer { digest: *blake3::hash(&[task.0.to_le_bytes(), who.to_le_bytes()].concat()).as_bytes(), gas: GAS }
}

pub fn input_of(task: TaskId) -> [u8; 32] {
    *blake3::hash(&[b"input".as_slice(), &task.0.to_le_bytes()].concat()).as_bytes()
}

pub fn settings() -> DispatchSettings {
    DispatchSettings { silence: Duration::from_secs(100_000), mixing: 4, ..DispatchSettings::new(7) }
}

impl World {
    pub fn new(settings: DispatchSettings) -> Self {
        World {
            now: Time::ZERO,
            dispatch: Dispatch::new(settings),
            devices: BTreeMap::new(),
            events: BTreeSet::new(),
            happens: BTreeMap::new(),
            count: 0,
            running: BTreeMap::new(),
            replayed: BTreeMap::new(),
            believed: BTreeMap::new(),
            exposed: BTreeSet::new(),
            given_up: BTreeMap::new(),
            leases: Vec::new(),
            refereed: 0,
            referee_runs: true,
            spent: 0,
            asked: Vec::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// A device of an owner of its own.
    pub fn join(&mut self, kind: Kind) -> PeerId {
        self.join_of(kind, 1_000_000 + self.devices.len() as u64, Duration::from_secs(1))
    }

    pub fn join_of(&mut self, kind: Kind, owner: u64, takes: Duration) -> PeerId {
        let n = self.devices.len() as u64 + 1;
        let peer = PeerId(*blake3::hash(&n.to_le_bytes()).as_bytes());
        let owner = Owner(owner);
        self.devices.insert(peer, Device { peer, owner, kind, takes, runs: 0 });
        self.tell(DispatchInput::Offer {
            worker: peer,
            owner,
            slots: 1,
            memory_bytes: 1 << 30,
            for_site: None,
        });
        peer
    }

    pub fn submit(&mut self, task: u64, assurance: Assurance) {
        let task = TaskId(task);
        let (module, input, need) = ([7; 32], input_of(task), Need { gas: GAS, memory_bytes: 1 << 20 });
        let (submitter, value) = (SUBMITTER, 0);
        // Many visitors of one site, each behind a network of its own.
        let owner = Owner(2_000_000 + task.0 % 16);
        self.tell(DispatchInput::Submit(Submission {
            task,
            submitter,
            owner,
            site: None,
            module,
            input,
            need,
            assurance,
            value,
        }));
    }

    pub fn tell(&mut self, input: DispatchInput) {
        self.dispatch.handle(self.now, input);
        while let Some(output) = self.dispatch.poll() {
            self.output(output);
        }
    }

    fn at(&mut self, at: Time, input: DispatchInput) {
        self.count += 1;
        self.events.insert((at, self.count));
        self.happens.insert(self.count, input);
    }

    fn output(&mut self, output: DispatchOutput) {
        match output {
            DispatchOutput::Lease { lease, worker, task, resume } => {
                self.leases.push((lease, worker, task, resume));
                self.run(lease, worker, task);
            }
            DispatchOutput::AskReveal { lease, worker } => {
                self.asked.push(lease);
                if self.devices[&worker].kind == Kind::Unshown {
                    return;
                }
                let (_, claim) = self.running[&lease];
                let replayer = self.devices[&worker].kind == Kind::Replayer;
                let claim = if replayer { *self.replayed.entry(worker).or_insert(claim) } else { claim };
                self.at(self.now, DispatchInput::Reveal { lease, claim, nonce: [3; 32] });
            }
            DispatchOutput::Referee { task } => {
                self.refereed += 1;
                let answer = self.referee_runs.then(|| truth(task));
                self.at(self.now + Duration::from_secs(1), DispatchInput::Refereed { task, answer });
            }
            DispatchOutput::Believed(believed) => {
                assert!(self.believed.insert(believed.task, believed).is_none(), "believed once");
            }
            DispatchOutput::Exposed { worker, .. } => {
                self.exposed.insert(worker);
            }
            DispatchOutput::GivenUp { task, why } => {
                self.given_up.insert(task, why);
            }
            DispatchOutput::Forget { task } => {
                assert!(self.forgotten.insert(task), "forgotten once");
            }
            DispatchOutput::Spent { gas, .. } => self.spent += gas,
            DispatchOutput::Revoke { .. } | DispatchOutput::RefereeStop { .. } => {}
        }
    }

    fn run(&mut self, lease: LeaseId, worker: PeerId, task: TaskId) {
        let device = self.devices.get_mut(&worker).expect("a lease goes to a device");
        device.runs += 1;
        let device = *device;
        let answer = match device.kind {
            Kind::Liar => wrong(task, lease.0 + 1000),
            Kind::Ring(ring) => wrong(task, u64::from(ring)),
            Kind::Sleeper(ring, after) if device.runs > after => wrong(task, u64::from(ring)),
            Kind::Withholder => return,
            Kind::Half if device.runs.is_multiple_of(2) => return,
            Kind::Beating => {
                // For two hours.
                (1..1440).for_each(|n| {
                    self.at(self.now + Duration::from_secs(5 * n), DispatchInput::Beat { lease })
                });
                return;
            }
            Kind::Troubled => return self.at(self.now, DispatchInput::Trouble { lease }),
            Kind::Copier => wrong(task, lease.0 + 5000),
            Kind::Boaster => Answer { gas: GAS * 10, ..truth(task) },
            Kind::Unshown => wrong(task, lease.0),
            Kind::Half | Kind::Honest | Kind::Replayer | Kind::Sleeper(..) => truth(task),
        };
        let claim = Claim { lease: lease.0, module: [7; 32], input: input_of(task), worker, answer };
        // What a copier will show in the end is what somebody else found.
        let shown = if device.kind == Kind::Copier { Claim { answer: truth(task), ..claim } } else { claim };
        self.running.insert(lease, (worker, shown));
        let commitment = claim.commitment(&[3; 32]);
        self.at(self.now + device.takes, DispatchInput::Commit { lease, commitment });
    }

    /// Lets things happen until nothing more would before `until`.
    pub fn until(&mut self, until_s: u64) {
        let until = Time::from_millis(until_s * 1000);
        loop {
            let event = self.events.first().copied();
            let wake = self.dispatch.deadline();
            let next = event.map(|(at, _)| at).into_iter().chain(wake).min().filter(|at| *at <= until);
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            match event.filter(|(at, _)| wake.is_none_or(|wake| *at <= wake)) {
                Some((at, n)) => {
                    self.events.remove(&(at, n));
                    let input = self.happens.remove(&n).expect("an event happens");
                    self.tell(input);
                }
                None => self.tell(DispatchInput::Wake),
            }
        }
        self.now = until;
    }

    pub fn wrong_results(&self) -> usize {
        self.believed.values().filter(|b| b.answer != truth(b.task)).count()
    }

    pub fn evidence(&self, peer: &PeerId) -> f64 {
        let pool = self.dispatch.pool();
        pool.id(peer).and_then(|id| pool.get(id)).map_or(0.0, |worker| worker.record.evidence())
    }
}

/// A submission of this owner's, needing so much memory.
pub fn submission(task: u64, owner: u64, memory_bytes: u64) -> Submission {
    Submission {
        task: TaskId(task),
        submitter: PeerId([9; 32]),
        owner: Owner(owner),
        site: None,
        module: [7; 32],
        input: input_of(TaskId(task)),
        need: Need { gas: GAS, memory_bytes },
        assurance: Assurance::replicas(2),
        value: 0,
    }
}
