//! Tasks: what the page hands in and what this peer runs for others. The shell runs modules; the node signs, commits, shows when
//! asked, and says everything again to a relay that was away.

use crate::Node;
use crate::output::Output;
use peeredge_hvm::{Answer, Claim};
use peeredge_wire::ContentId;
use peeredge_wire::relay::{
    Blob, TaskFromRelay, TaskMark, TaskOf, TaskRefusal, TaskRequest, TaskToRelay, ToRelay,
};
use std::collections::BTreeMap;

/// What a shell tells a node about tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskInput {
    /// The visitor allows so many tasks at once; 0 pauses. Before the first one nothing is offered.
    Offer {
        /// Tasks at once.
        slots: u8,
        /// Pages of 64 KiB that each may have.
        memory_pages: u32,
        /// Whose tasks the visitor agreed to run.
        whose: TaskOf,
    },
    /// The page hands a task in; what it names, this peer shares.
    Submit(TaskRequest),
    /// The page no longer wants a task.
    Cancel {
        /// Which.
        request: u32,
    },
    /// No output that the result named hashes to its digest. Another result may follow, or a refusal; of a task that has no result
    /// yet this says nothing.
    Untrue {
        /// Which.
        request: u32,
    },
    /// A run goes on.
    Beat {
        /// Which.
        lease: u64,
        /// A checkpoint that this peer now shares.
        mark: Option<TaskMark>,
    },
    /// A run came to an end that any host comes to.
    Answer {
        /// Which.
        lease: u64,
        /// How it ended, by the numbers of `docs/task-abi.md`.
        end: u8,
        /// Gas used.
        gas: u64,
        /// The output; a content is one that this peer shares.
        output: Blob,
        /// BLAKE3 of the output's bytes.
        output_hash: [u8; 32],
    },
    /// A run cannot be done here.
    Trouble {
        /// Which.
        lease: u64,
        /// For people.
        detail: String,
    },
}

/// Results whose outputs may still turn out untrue.
const SETTLED_MAX: usize = 64;

/// A run that this peer was given.
#[derive(Debug)]
struct Held {
    module: ContentId,
    input: [u8; 32],
    reveal: Option<TaskToRelay>,
}

/// Everything about tasks that a node remembers.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    offer: Option<TaskToRelay>,
    submitted: BTreeMap<u32, TaskToRelay>,
    /// Tasks whose result names an output that the shell still has to fetch and check, oldest first.
    settled: BTreeMap<u32, TaskToRelay>,
    held: BTreeMap<u64, Held>,
}

impl Node {
    pub(crate) fn task_input(&mut self, input: TaskInput) {
        match input {
            TaskInput::Offer { slots, memory_pages, whose } => {
                let offer = TaskToRelay::Offer { slots, memory_pages, whose };
                self.tasks.offer = Some(offer.clone());
                self.relay_send(ToRelay::Task(offer));
            }
            TaskInput::Submit(request) => {
                let number = request.request;
                let submit = TaskToRelay::Submit(request);
                self.tasks.submitted.insert(number, submit.clone());
                self.relay_send(ToRelay::Task(submit));
            }
            TaskInput::Cancel { request } => {
                if self.tasks.submitted.remove(&request).is_some() {
                    self.relay_send(ToRelay::Task(TaskToRelay::Cancel { request }));
                }
            }
            TaskInput::Untrue { request } => {
                if let Some(submit) = self.tasks.settled.remove(&request) {
                    self.tasks.submitted.insert(request, submit);
                    self.relay_send(ToRelay::Task(TaskToRelay::Untrue { request }));
                }
            }
            TaskInput::Beat { lease, mark } => {
                if self.tasks.held.contains_key(&lease) {
                    self.relay_send(ToRelay::Task(TaskToRelay::Beat { lease, mark }));
                }
            }
            TaskInput::Answer { lease, end, gas, output, output_hash } => {
                self.answer(lease, end, gas, output, &output_hash);
            }
            TaskInput::Trouble { lease, detail } => {
                if self.tasks.held.remove(&lease).is_some() {
                    self.relay_send(ToRelay::Task(TaskToRelay::Trouble { lease, detail }));
                }
            }
        }
    }

    /// Signs the answer and binds this peer to it; it is shown when the relay asks.
    fn answer(&mut self, lease: u64, end: u8, gas: u64, output: Blob, output_hash: &[u8; 32]) {
        let worker = self.id();
        let Some(held) = self.tasks.held.get_mut(&lease) else { return };
        let Some(answer) = Answer::of_hash(end, output_hash, gas) else {
            self.tasks.held.remove(&lease);
            let detail = "the run ended for a reason of its host".into();
            return self.relay_send(ToRelay::Task(TaskToRelay::Trouble { lease, detail }));
        };
        let claim = Claim { lease, module: held.module.0, input: held.input, worker, answer };
        let nonce = claim.nonce(&self.config.secret_key);
        let commitment = claim.commitment(&nonce);
        let (digest, signature) = (answer.digest, claim.sign(&self.key).signature);
        held.reveal = Some(TaskToRelay::Reveal { lease, end, gas, digest, nonce, signature, output });
        self.relay_send(ToRelay::Task(TaskToRelay::Commit { lease, commitment }));
    }

    pub(crate) fn task_message(&mut self, message: TaskFromRelay) {
        match &message {
            TaskFromRelay::Lease { lease, module, input, .. } => {
                let held = Held { module: *module, input: peeredge_hvm::name_of_input(input), reveal: None };
                self.tasks.held.insert(*lease, held);
            }
            TaskFromRelay::Revoke { lease } => {
                if self.tasks.held.remove(lease).is_none_or(|held| held.reveal.is_some()) {
                    return;
                }
            }
            TaskFromRelay::AskReveal { lease } => {
                if let Some(reveal) = self.tasks.held.remove(lease).and_then(|held| held.reveal) {
                    self.relay_send(ToRelay::Task(reveal));
                }
                return;
            }
            TaskFromRelay::Result { request, end, gas, digest, output, .. } => {
                let Some(submit) = self.tasks.submitted.remove(request) else { return };
                if matches!(output, Blob::Content(_)) {
                    if self.tasks.settled.len() >= SETTLED_MAX {
                        self.tasks.settled.pop_first();
                    }
                    self.tasks.settled.insert(*request, submit);
                }
                // The shell checks a content when it has fetched it; what came along is checked here.
                let fits = match output {
                    Blob::Inline(bytes) => {
                        Answer::parts(*end, bytes, *gas).is_some_and(|answer| answer.digest == *digest)
                    }
                    Blob::Content(_) => true,
                };
                if !fits {
                    let refused = TaskFromRelay::Refused { request: *request, why: TaskRefusal::Disputed };
                    return self.out.push_back(Output::Task(refused));
                }
            }
            TaskFromRelay::Refused { request, .. } => {
                if self.tasks.submitted.remove(request).is_none() {
                    return;
                }
            }
            TaskFromRelay::Progress { request, .. } | TaskFromRelay::Marked { request, .. } => {
                if !self.tasks.submitted.contains_key(request) {
                    return;
                }
            }
        }
        self.out.push_back(Output::Task(message));
    }

    /// A relay keeps nothing of a peer that went: it is offered and handed in again.
    pub(crate) fn tasks_again(&mut self) {
        let again: Vec<_> = self.tasks.offer.iter().chain(self.tasks.submitted.values()).cloned().collect();
        again.into_iter().for_each(|message| self.relay_send(ToRelay::Task(message)));
    }

    /// The relay is gone, and with it every lease.
    pub(crate) fn leases_lost(&mut self) {
        for (lease, _) in core::mem::take(&mut self.tasks.held) {
            self.out.push_back(Output::Task(TaskFromRelay::Revoke { lease }));
        }
    }
}
