//! Tasks at a relay: what peers say about them becomes inputs of a [`Dispatch`], and what it wants becomes frames. The relay's
//! own node, once it offers slots, is the referee: its answers are not voted on, they decide.

use peeredge_hvm::{
    Answer, Assurance, Claim, Dispatch, DispatchInput, DispatchOutput, DispatchSettings, DispatchStats,
    GivenUp, LeaseId, Mark, Need, Owner, Receipt, Submission, TaskId, Units, name_of_input,
};
use peeredge_wire::relay::{
    Blob, TaskAssurance, TaskFromRelay, TaskLimits, TaskMark, TaskRefusal, TaskRequest, TaskToRelay,
};
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

const PAGE_BYTES: u64 = 65_536;
/// Leases from here on are the referee's.
const REFEREE_LEASES: u64 = 1 << 63;
/// Different answers kept for one task; liars could make up any number.
const OUTPUTS_MAX: usize = 8;
/// Checkpoints of one task of which the submitter was told and which it does not hold yet; a newer one may come while one is fetched.
const MARKS_MAX: usize = 4;

/// A task as it was handed in.
#[derive(Debug)]
struct Payload {
    submitter: PeerId,
    request: u32,
    module: ContentId,
    input: Blob,
    limits: TaskLimits,
    /// What workers showed, by what they said it is.
    outputs: BTreeMap<Answer, (u8, Blob)>,
    runs: u16,
    /// Checkpoints that only their workers hold, so far as is known.
    marks: VecDeque<(LeaseId, TaskMark)>,
    /// The checkpoint that the submitter came to hold last.
    kept: Option<ContentId>,
    /// Whether the submitter still waits.
    open: bool,
}

/// The tasks of one relay.
#[derive(Debug)]
pub(crate) struct Tasks {
    dispatch: Dispatch,
    relay: PeerId,
    beat_ms: u32,
    payloads: BTreeMap<TaskId, Payload>,
    requests: BTreeMap<(PeerId, u32), TaskId>,
    per_peer_max: usize,
    /// Slots of the relay's own node, and what waits for them.
    referee_slots: usize,
    refereeing: BTreeMap<u64, TaskId>,
    referee_queue: VecDeque<TaskId>,
    next_task: u64,
    next_referee_lease: u64,
    out: VecDeque<(PeerId, TaskFromRelay)>,
}

impl Tasks {
    pub(crate) fn new(relay: PeerId, settings: DispatchSettings, per_peer_max: usize) -> Self {
        let settings = DispatchSettings { referee: false, ..settings };
        Tasks {
            beat_ms: (settings.silence.as_millis() / 3).clamp(1, 60_000) as u32,
            dispatch: Dispatch::new(settings),
            relay,
            payloads: BTreeMap::new(),
            requests: BTreeMap::new(),
            per_peer_max,
            referee_slots: 0,
            refereeing: BTreeMap::new(),
            referee_queue: VecDeque::new(),
            next_task: 0,
            next_referee_lease: REFEREE_LEASES,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.dispatch.deadline()
    }

    pub(crate) fn poll(&mut self) -> Option<(PeerId, TaskFromRelay)> {
        self.out.pop_front()
    }

    pub(crate) fn stats(&self) -> DispatchStats {
        self.dispatch.stats()
    }

    pub(crate) fn units(&self) -> Units {
        self.dispatch.pool().units()
    }

    /// Workers here, and tasks without a result.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.dispatch.pool().here(), self.dispatch.open())
    }

    pub(crate) fn wake(&mut self, now: Time) {
        self.tell(now, DispatchInput::Wake);
    }

    /// A peer's connection is gone: its leases go elsewhere, and nobody waits for what it had handed in.
    pub(crate) fn gone(&mut self, now: Time, peer: PeerId) {
        if peer == self.relay {
            return self.referee_gone(now);
        }
        self.tell(now, DispatchInput::Gone { worker: peer });
        let theirs: Vec<TaskId> = self.requests_of(peer).map(|(_, task)| *task).collect();
        for task in theirs {
            self.close(task);
            self.tell(now, DispatchInput::Cancel { task });
        }
    }

    pub(crate) fn message(&mut self, now: Time, peer: PeerId, owner: u64, message: TaskToRelay) {
        let own = peer == self.relay;
        match message {
            TaskToRelay::Offer { slots, .. } if own => {
                self.referee_slots = usize::from(slots);
                self.tell(now, DispatchInput::Referee { ready: slots > 0 });
                self.referee_pump();
            }
            TaskToRelay::Offer { slots, memory_pages } => {
                let memory_bytes = u64::from(memory_pages) * PAGE_BYTES;
                self.tell(
                    now,
                    DispatchInput::Offer { worker: peer, owner: Owner(owner), slots, memory_bytes },
                );
            }
            TaskToRelay::Submit(request) => self.submit(now, peer, request),
            TaskToRelay::Cancel { request } => {
                if let Some(task) = self.requests.get(&(peer, request)).copied() {
                    self.close(task);
                    self.tell(now, DispatchInput::Cancel { task });
                }
            }
            TaskToRelay::Commit { lease, .. } if own => {
                self.out.push_back((peer, TaskFromRelay::AskReveal { lease }))
            }
            TaskToRelay::Reveal { lease, end, gas, digest, output, .. } if own => {
                self.refereed(now, lease, Some((end, Answer { digest, gas }, output)));
            }
            TaskToRelay::Trouble { lease, .. } if own => self.refereed(now, lease, None),
            TaskToRelay::Beat { .. } if own => {}
            TaskToRelay::Beat { lease, mark } if self.leased_to(lease, peer) => {
                let lease = LeaseId(lease);
                self.tell(now, DispatchInput::Beat { lease });
                if let Some(mark) = mark {
                    self.marked(now, lease, mark);
                }
            }
            TaskToRelay::Commit { lease, commitment } if self.leased_to(lease, peer) => {
                self.tell(now, DispatchInput::Commit { lease: LeaseId(lease), commitment });
            }
            TaskToRelay::Reveal { lease, end, gas, digest, nonce, signature, output } => {
                let Some((worker, task)) = self.dispatch.lease(LeaseId(lease)).filter(|(to, _)| *to == peer)
                else {
                    return;
                };
                let Some(payload) = self.payloads.get_mut(&task) else { return };
                let answer = Answer { digest, gas };
                let claim = Claim {
                    lease,
                    module: payload.module.0,
                    input: name_of_input(&payload.input),
                    worker,
                    answer,
                };
                // A signature that is not the worker's, or an answer that its own output contradicts, is no receipt at all.
                let signed = Receipt { claim, signature }.verify().is_ok();
                let borne_out = match &output {
                    Blob::Inline(bytes) => Answer::parts(end, bytes, gas) == Some(answer),
                    Blob::Content(_) => end == 0,
                };
                if !signed || !borne_out {
                    return self.tell(now, DispatchInput::Refuse { lease: LeaseId(lease) });
                }
                if payload.outputs.len() < OUTPUTS_MAX {
                    payload.outputs.entry(answer).or_insert((end, output));
                }
                self.tell(now, DispatchInput::Reveal { lease: LeaseId(lease), claim, nonce });
            }
            TaskToRelay::Trouble { lease, .. } if self.leased_to(lease, peer) => {
                self.tell(now, DispatchInput::Trouble { lease: LeaseId(lease) });
            }
            // A lease that is over: the message only came late.
            TaskToRelay::Beat { .. } | TaskToRelay::Commit { .. } | TaskToRelay::Trouble { .. } => {}
        }
    }

    /// The submitter is told where a run came to, so that it can keep the checkpoint. The task goes on from there once it does:
    /// a checkpoint that goes with its worker is none.
    fn marked(&mut self, now: Time, lease: LeaseId, mark: TaskMark) {
        let Some((_, task)) = self.dispatch.lease(lease) else { return };
        let Some(payload) = self.payloads.get_mut(&task).filter(|payload| payload.open) else { return };
        if payload.kept == Some(mark.checkpoint) {
            return self.kept(now, lease, mark);
        }
        if payload.marks.len() == MARKS_MAX {
            payload.marks.pop_front();
        }
        payload.marks.push_back((lease, mark));
        let marked = TaskFromRelay::Marked { request: payload.request, mark };
        self.out.push_back((payload.submitter, marked));
    }

    /// A peer holds all of a content: perhaps a checkpoint of a task that it handed in.
    pub(crate) fn holds(&mut self, now: Time, peer: PeerId, content: ContentId) {
        let theirs: Vec<TaskId> = self.requests_of(peer).map(|(_, task)| *task).collect();
        for task in theirs {
            let Some(payload) = self.payloads.get_mut(&task) else { continue };
            let Some(at) = payload.marks.iter().position(|(_, mark)| mark.checkpoint == content) else {
                continue;
            };
            payload.kept = Some(content);
            if let Some((lease, mark)) = payload.marks.remove(at) {
                self.kept(now, lease, mark);
            }
        }
    }

    fn kept(&mut self, now: Time, lease: LeaseId, mark: TaskMark) {
        let mark = Mark { checkpoint: mark.checkpoint.0, gas: mark.gas };
        self.tell(now, DispatchInput::Kept { lease, mark });
    }

    fn requests_of(&self, peer: PeerId) -> impl Iterator<Item = (&(PeerId, u32), &TaskId)> {
        self.requests.range((peer, 0)..=(peer, u32::MAX))
    }

    pub(crate) fn leased_to(&self, lease: u64, peer: PeerId) -> bool {
        self.dispatch.lease(LeaseId(lease)).is_some_and(|(worker, _)| worker == peer)
    }

    fn submit(&mut self, now: Time, peer: PeerId, what: TaskRequest) {
        let TaskRequest { request, module, input, limits, assurance, value } = what;
        let theirs = self.requests_of(peer).count();
        if theirs >= self.per_peer_max
            || !self.dispatch.has_room()
            || self.requests.contains_key(&(peer, request))
        {
            let refused = TaskFromRelay::Refused { request, why: TaskRefusal::TooMany };
            return self.out.push_back((peer, refused));
        }
        self.next_task += 1;
        let task = TaskId(self.next_task);
        let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES;
        let submission = Submission {
            task,
            submitter: peer,
            module: module.0,
            input: name_of_input(&input),
            need: Need { gas: limits.gas, memory_bytes },
            assurance: match assurance {
                TaskAssurance::Replicas(votes) => Assurance::replicas(votes),
                TaskAssurance::Cheap => Assurance::cheap(),
                TaskAssurance::Strict => Assurance::strict(),
            },
            value,
        };
        let payload = Payload {
            submitter: peer,
            request,
            module,
            input,
            limits,
            outputs: BTreeMap::new(),
            runs: 0,
            marks: VecDeque::new(),
            kept: None,
            open: true,
        };
        self.payloads.insert(task, payload);
        self.requests.insert((peer, request), task);
        self.tell(now, DispatchInput::Submit(submission));
    }

    fn tell(&mut self, now: Time, input: DispatchInput) {
        self.dispatch.handle(now, input);
        while let Some(output) = self.dispatch.poll() {
            self.output(output);
        }
    }

    fn output(&mut self, output: DispatchOutput) {
        match output {
            DispatchOutput::Lease { lease, worker, task, resume } => {
                let resume =
                    resume.map(|mark| TaskMark { checkpoint: ContentId(mark.checkpoint), gas: mark.gas });
                self.lease(lease.0, worker, task, resume);
            }
            DispatchOutput::Revoke { lease, worker } => {
                self.out.push_back((worker, TaskFromRelay::Revoke { lease: lease.0 }));
            }
            DispatchOutput::AskReveal { lease, worker } => {
                self.out.push_back((worker, TaskFromRelay::AskReveal { lease: lease.0 }));
            }
            DispatchOutput::Referee { task } => {
                self.referee_queue.push_back(task);
                self.referee_pump();
            }
            DispatchOutput::Believed(believed) => {
                let Some(payload) = self.payloads.get(&believed.task) else { return };
                // Without its output the answer is only a hash; the referee or a voter has always brought one along.
                let (end, output) =
                    payload.outputs.get(&believed.answer).cloned().unwrap_or((0, Blob::Inline(Vec::new())));
                let Answer { digest, gas } = believed.answer;
                let (request, runs, refereed) = (payload.request, believed.runs, believed.refereed);
                let voters = believed.voters;
                if payload.open {
                    let result =
                        TaskFromRelay::Result { request, end, gas, digest, runs, refereed, voters, output };
                    self.out.push_back((payload.submitter, result));
                }
                self.close(believed.task);
            }
            DispatchOutput::GivenUp { task, why } => {
                let why = match why {
                    GivenUp::Trouble => TaskRefusal::Trouble,
                    GivenUp::Disputed => TaskRefusal::Disputed,
                    GivenUp::NoWorker => TaskRefusal::NoWorker,
                };
                if let Some(payload) = self.payloads.get(&task).filter(|payload| payload.open) {
                    let refused = TaskFromRelay::Refused { request: payload.request, why };
                    self.out.push_back((payload.submitter, refused));
                }
                self.close(task);
            }
            DispatchOutput::Exposed { .. } => {}
            DispatchOutput::Forget { task } => {
                self.close(task);
                self.payloads.remove(&task);
            }
        }
    }

    fn lease(&mut self, lease: u64, worker: PeerId, task: TaskId, resume: Option<TaskMark>) {
        let Some(payload) = self.payloads.get_mut(&task) else { return };
        payload.runs = payload.runs.saturating_add(1);
        let Payload { module, limits, .. } = *payload;
        let (beat_ms, input) = (self.beat_ms, payload.input.clone());
        self.out.push_back((worker, TaskFromRelay::Lease { lease, beat_ms, module, input, limits, resume }));
        if payload.open {
            let progress = TaskFromRelay::Progress { request: payload.request, runs: payload.runs, worker };
            self.out.push_back((payload.submitter, progress));
        }
    }

    /// Nobody waits for this task any more; its payload stays while it may serve as a hidden check.
    fn close(&mut self, task: TaskId) {
        if let Some(payload) = self.payloads.get_mut(&task).filter(|payload| payload.open) {
            payload.open = false;
            payload.outputs.clear();
            payload.marks.clear();
            self.requests.remove(&(payload.submitter, payload.request));
        }
    }

    // ---- the relay's own node ----

    fn referee_pump(&mut self) {
        while self.refereeing.len() < self.referee_slots {
            let Some(task) = self.referee_queue.pop_front() else { return };
            if !self.payloads.contains_key(&task) {
                continue;
            }
            self.next_referee_lease += 1;
            let lease = self.next_referee_lease;
            self.refereeing.insert(lease, task);
            self.lease(lease, self.relay, task, None);
        }
    }

    fn refereed(&mut self, now: Time, lease: u64, found: Option<(u8, Answer, Blob)>) {
        let Some(task) = self.refereeing.remove(&lease) else { return };
        let answer = found.map(|(end, answer, output)| {
            if let Some(payload) = self.payloads.get_mut(&task) {
                payload.outputs.insert(answer, (end, output));
            }
            answer
        });
        self.tell(now, DispatchInput::Refereed { task, answer });
        self.referee_pump();
    }

    fn referee_gone(&mut self, now: Time) {
        self.referee_slots = 0;
        self.tell(now, DispatchInput::Referee { ready: false });
        let given = core::mem::take(&mut self.refereeing).into_values();
        let waiting: Vec<TaskId> = given.chain(core::mem::take(&mut self.referee_queue)).collect();
        for task in waiting {
            self.tell(now, DispatchInput::Refereed { task, answer: None });
        }
    }
}
