//! What a way of deciding looks like to the world, and PeerHVM's own machine in that shape.

use crate::devices::DEALT;
use core::time::Duration;
use peeredge_hvm::{
    Answer, Assurance, Claim, Dispatch, DispatchInput, DispatchOutput, DispatchSettings, LeaseId, Need,
    Owner, Submission, TaskId,
};
use peeredge_wire::{PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

/// What a scheme wants.
pub enum Act {
    /// This device runs this task.
    Run { lease: u64, device: usize, task: u64 },
    /// This is the result.
    Accept { task: u64, digest: u64 },
    /// The relay runs this task itself.
    Referee { task: u64 },
}

/// A way of deciding who runs what and what is right.
pub trait Scheme {
    /// A device comes.
    fn join(&mut self, now: f64, device: usize, owner: u64, memory_bytes: u64);
    /// A device goes.
    fn leave(&mut self, now: f64, device: usize);
    /// A task is handed in by this owner; `gas` is what it will use.
    fn submit(&mut self, now: f64, task: u64, gas: u64, owner: u64, memory_bytes: u64);
    /// A device answers.
    fn answer(&mut self, now: f64, lease: u64, device: usize, task: u64, digest: u64, gas: u64);
    /// The relay's own answer.
    fn refereed(&mut self, now: f64, task: u64, digest: u64, gas: u64);
    /// Time passed.
    fn wake(&mut self, now: f64);
    /// When to wake.
    fn deadline(&self) -> Option<f64>;
    /// What it wants next.
    fn poll(&mut self) -> Option<Act>;
    /// Tasks that nobody has begun.
    fn waiting(&self) -> usize;
    /// What it did, for people.
    fn notes(&self) -> String {
        String::new()
    }
}

/// PeerHVM's machine.
pub struct Ours {
    dispatch: Dispatch,
    assurance: Assurance,
    claims: BTreeMap<u64, Claim>,
    acts: VecDeque<Act>,
    now: f64,
}

fn time(s: f64) -> Time {
    Time::from_micros((s * 1e6) as u64)
}

fn peer(device: usize) -> PeerId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(device as u64).to_be_bytes());
    PeerId(id)
}

fn device(peer: &PeerId) -> usize {
    u64::from_be_bytes(peer.0[..8].try_into().expect("eight bytes")) as usize
}

fn bytes(number: u64) -> [u8; 32] {
    let mut all = [0; 32];
    all[..8].copy_from_slice(&number.to_le_bytes());
    all
}

fn number(bytes: &[u8; 32]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

impl Ours {
    /// With this assurance for all tasks.
    pub fn new(assurance: Assurance, seed: u64) -> Self {
        let settings = DispatchSettings {
            // A closed socket is noticed at once, and withholders beat as everybody does.
            silence: Duration::from_secs(1_000_000),
            ..DispatchSettings::new(seed)
        };
        let dispatch = Dispatch::new(settings);
        Ours { dispatch, assurance, claims: BTreeMap::new(), acts: VecDeque::new(), now: 0.0 }
    }

    fn tell(&mut self, now: f64, input: DispatchInput) {
        self.now = now;
        self.dispatch.handle(time(now), input);
        while let Some(output) = self.dispatch.poll() {
            match output {
                DispatchOutput::Lease { lease, worker, task, .. } => {
                    self.acts.push_back(Act::Run { lease: lease.0, device: device(&worker), task: task.0 });
                }
                DispatchOutput::AskReveal { lease, .. } => {
                    if let Some(claim) = self.claims.remove(&lease.0) {
                        self.dispatch
                            .handle(time(now), DispatchInput::Reveal { lease, claim, nonce: [1; 32] });
                    }
                }
                DispatchOutput::Referee { task } => self.acts.push_back(Act::Referee { task: task.0 }),
                DispatchOutput::Believed(believed) => {
                    let digest = number(&believed.answer.digest);
                    self.acts.push_back(Act::Accept { task: believed.task.0, digest });
                }
                DispatchOutput::Revoke { lease, .. } => {
                    self.claims.remove(&lease.0);
                }
                DispatchOutput::GivenUp { task, why } => panic!("{task:?} was given up: {why:?}"),
                DispatchOutput::Exposed { .. }
                | DispatchOutput::Forget { .. }
                | DispatchOutput::Spent { .. }
                | DispatchOutput::RefereeStop { .. } => {}
            }
        }
    }
}

impl Scheme for Ours {
    fn join(&mut self, now: f64, device: usize, owner: u64, memory_bytes: u64) {
        let (worker, owner) = (peer(device), Owner(owner));
        self.tell(now, DispatchInput::Offer { worker, owner, slots: 1, memory_bytes, for_site: None });
    }

    fn leave(&mut self, now: f64, device: usize) {
        self.tell(now, DispatchInput::Gone { worker: peer(device) });
    }

    fn submit(&mut self, now: f64, task: u64, _gas: u64, owner: u64, memory_bytes: u64) {
        // The submitter does not know what a task will use: all are handed in with one estimate.
        let need = Need { gas: 10_000_000_000, memory_bytes };
        let (submitter, module, input) =
            (PeerId([255; 32]), [if task < DEALT { 7 } else { 8 }; 32], bytes(task));
        let (task, assurance) = (TaskId(task), self.assurance);
        let owner = Owner(owner);
        let submission =
            Submission { task, submitter, owner, site: None, module, input, need, assurance, value: 0 };
        self.tell(now, DispatchInput::Submit(submission));
    }

    fn answer(&mut self, now: f64, lease: u64, device: usize, task: u64, digest: u64, gas: u64) {
        let answer = Answer { digest: bytes(digest), gas };
        let claim = Claim {
            lease,
            module: [if task < DEALT { 7 } else { 8 }; 32],
            input: bytes(task),
            worker: peer(device),
            answer,
        };
        self.claims.insert(lease, claim);
        let commitment = claim.commitment(&[1; 32]);
        self.tell(now, DispatchInput::Commit { lease: LeaseId(lease), commitment });
    }

    fn refereed(&mut self, now: f64, task: u64, digest: u64, gas: u64) {
        let answer = Some(Answer { digest: bytes(digest), gas });
        self.tell(now, DispatchInput::Refereed { task: TaskId(task), answer });
    }

    fn wake(&mut self, now: f64) {
        self.tell(now, DispatchInput::Wake);
    }

    fn deadline(&self) -> Option<f64> {
        // Rounded up, or a deadline would be woken for before it is due, for ever.
        self.dispatch.deadline().map(|at| (at.as_micros() + 1) as f64 / 1e6)
    }

    fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    fn waiting(&self) -> usize {
        self.dispatch.waiting()
    }

    fn notes(&self) -> String {
        let stats = self.dispatch.stats();
        format!(
            "spots {}, referee {}, hedges {}, lost {}, exposed {}, refused {}",
            stats.spots, stats.refereed, stats.hedges, stats.lost, stats.exposed, stats.refused
        )
    }
}
