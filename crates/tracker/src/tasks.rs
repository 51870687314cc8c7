//! Tasks at a relay: what peers say about them becomes inputs of a [`Dispatch`], and what it wants becomes frames. The relay's
//! own node, once it offers slots, is the referee: its answers are not voted on, they decide.

use core::time::Duration;
use peeredge_hvm::{
    Answer, Assurance, Claim, Dispatch, DispatchInput, DispatchOutput, DispatchSettings, DispatchStats,
    GivenUp, LeaseId, Mark, Need, Owner, Receipt, Submission, TaskId, Units, name_of_input,
};
use peeredge_wire::relay::{
    Blob, TaskAssurance, TaskFromRelay, TaskLimits, TaskMark, TaskOf, TaskRefusal, TaskRequest, TaskToRelay,
};
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const PAGE_BYTES: u64 = 65_536;
/// Leases from here on are the referee's.
const REFEREE_LEASES: u64 = 1 << 63;
/// Different answers kept for one task: as many as a task has runs, or liars' would crowd out the right one.
const OUTPUTS_MAX: usize = 32;
/// How long a result can be called untrue after it was given out, and how many such are remembered, each up to 17 KiB.
const CONTESTED_FOR: Duration = Duration::from_secs(120);
const CONTESTED_MAX: usize = 256;
const HOUR: Duration = Duration::from_secs(3600);
/// Checkpoints of one task of which the submitter was told and which it does not hold yet; a newer one may come while one is fetched.
const MARKS_MAX: usize = 4;

/// What the submitters of one owner may have, beside the tracker's bounds for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskQuotas {
    /// Tasks without a result. Default 1024, each up to 17 KiB.
    pub tasks_max: usize,
    /// Gas of all runs of its tasks in an hour; more is refused until the hour is over. Default 3.6e15: a thousand devices all the
    /// time.
    pub gas_an_hour_max: u64,
    /// Memory of one task, in pages of 64 KiB. Default 65,536 (4 GiB, the most that a module can have).
    pub memory_pages_max: u32,
    /// Output of one task, in bytes. Default 1 GiB.
    pub output_bytes_max: u32,
    /// Submitters' networks whose use is remembered, 50 bytes each; Default 20,000.
    pub remembered_max: usize,
}

impl Default for TaskQuotas {
    fn default() -> Self {
        TaskQuotas {
            tasks_max: 1024,
            gas_an_hour_max: 3_600_000_000_000_000,
            memory_pages_max: 65_536,
            output_bytes_max: 1 << 30,
            remembered_max: 20_000,
        }
    }
}

/// Who says something about tasks, and what the shell knows of that connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    pub(crate) peer: PeerId,
    /// Who stands behind it.
    pub(crate) owner: Owner,
    /// The site that its page is of; none for a native peer.
    pub(crate) site: Option<u64>,
    /// Whether it may hand tasks in.
    pub(crate) may_submit: bool,
}

/// What one owner's tasks used.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    tasks: usize,
    /// The hour, and gas within it.
    hour: u64,
    gas: u64,
}

/// What voters showed for one answer.
#[derive(Clone, Debug, Default)]
struct Shown {
    end: u8,
    /// Each voter's own, as a content that only the submitter can check; what came inline was checked, and is the same of all.
    by: Vec<(PeerId, Blob)>,
}

/// A result that was given out and whose output may turn out untrue.
#[derive(Debug)]
struct Contested {
    until: Time,
    task: TaskId,
    payload: Payload,
    answer: Answer,
    shown: Shown,
}

/// What the referee runs.
#[derive(Debug)]
enum Refereeing {
    Task(TaskId),
    /// A task whose result was called untrue.
    Again(Box<Contested>),
}

/// A task as it was handed in.
#[derive(Debug)]
struct Payload {
    submitter: PeerId,
    owner: Owner,
    request: u32,
    module: ContentId,
    input: Blob,
    limits: TaskLimits,
    /// What workers showed, by what they said it is.
    outputs: BTreeMap<Answer, Shown>,
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
    /// Checkpoints that submitters were told of, by who was: a peer announces many contents, and few are any.
    awaited: BTreeSet<(PeerId, ContentId, TaskId)>,
    per_peer_max: usize,
    quotas: TaskQuotas,
    used: BTreeMap<Owner, Used>,
    contested: VecDeque<Contested>,
    /// Slots of the relay's own node, and what waits for them.
    referee_slots: usize,
    refereeing: BTreeMap<u64, Refereeing>,
    referee_queue: VecDeque<Refereeing>,
    next_task: u64,
    next_referee_lease: u64,
    out: VecDeque<(PeerId, TaskFromRelay)>,
}

impl Tasks {
    pub(crate) fn new(
        relay: PeerId,
        settings: DispatchSettings,
        per_peer_max: usize,
        quotas: TaskQuotas,
    ) -> Self {
        let settings = DispatchSettings { referee: false, ..settings };
        Tasks {
            beat_ms: (settings.silence.as_millis() / 3).clamp(1, 60_000) as u32,
            dispatch: Dispatch::new(settings),
            relay,
            payloads: BTreeMap::new(),
            requests: BTreeMap::new(),
            awaited: BTreeSet::new(),
            per_peer_max,
            quotas,
            used: BTreeMap::new(),
            contested: VecDeque::new(),
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
        self.contested.retain(|contested| contested.payload.submitter != peer);
        self.tell(now, DispatchInput::SubmitterGone { submitter: peer });
    }

    pub(crate) fn message(&mut self, now: Time, party: Party, message: TaskToRelay) {
        let Party { peer, owner, .. } = party;
        let own = peer == self.relay;
        match message {
            TaskToRelay::Offer { slots, .. } if own => {
                self.referee_slots = usize::from(slots);
                self.tell(now, DispatchInput::Referee { ready: slots > 0 });
                self.referee_pump();
            }
            TaskToRelay::Offer { slots, memory_pages, whose } => {
                let memory_bytes = u64::from(memory_pages) * PAGE_BYTES;
                let for_site = match whose {
                    TaskOf::Anybody => None,
                    // A machine belongs to no site: its operator chose the relay.
                    TaskOf::OwnSite => party.site,
                };
                let offer = DispatchInput::Offer { worker: peer, owner, slots, memory_bytes, for_site };
                self.tell(now, offer);
            }
            TaskToRelay::Submit(request) => self.submit(now, party, request),
            TaskToRelay::Untrue { request } => self.untrue(now, peer, request),
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
                let is_kept = payload.open && payload.outputs.len() < OUTPUTS_MAX;
                if is_kept || payload.outputs.contains_key(&answer) {
                    let shown = payload.outputs.entry(answer).or_default();
                    shown.end = end;
                    if shown.by.len() < OUTPUTS_MAX {
                        shown.by.push((worker, output));
                    }
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
        if payload.marks.len() == MARKS_MAX
            && let Some((_, oldest)) = payload.marks.pop_front()
        {
            self.awaited.remove(&(payload.submitter, oldest.checkpoint, task));
        }
        payload.marks.push_back((lease, mark));
        self.awaited.insert((payload.submitter, mark.checkpoint, task));
        let marked = TaskFromRelay::Marked { request: payload.request, mark };
        self.out.push_back((payload.submitter, marked));
    }

    /// A peer holds all of a content: perhaps a checkpoint of a task that it handed in.
    pub(crate) fn holds(&mut self, now: Time, peer: PeerId, content: ContentId) {
        let key = |task| (peer, content, TaskId(task));
        let theirs: Vec<TaskId> =
            self.awaited.range(key(0)..=key(u64::MAX)).map(|(.., task)| *task).collect();
        for task in theirs {
            self.awaited.remove(&(peer, content, task));
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

    /// Why this task is not taken, if it is not: told before any work.
    fn refusal(&self, now: Time, party: &Party, what: &TaskRequest) -> Option<TaskRefusal> {
        let TaskRequest { request, input, limits, .. } = what;
        let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES;
        let input_bytes = if let Blob::Inline(bytes) = input { bytes.len() as u64 } else { 0 };
        let used = self.used.get(&party.owner).copied().unwrap_or_default();
        let gas = if used.hour == hour(now) { used.gas } else { 0 };
        let quotas = &self.quotas;
        if !party.may_submit {
            Some(TaskRefusal::NotAllowed)
        } else if input_bytes > memory_bytes
            || limits.memory_pages > quotas.memory_pages_max
            || limits.output_bytes > quotas.output_bytes_max
        {
            Some(TaskRefusal::Limits)
        } else if used.tasks >= quotas.tasks_max || gas >= quotas.gas_an_hour_max {
            Some(TaskRefusal::Quota)
        } else if self.requests_of(party.peer).count() >= self.per_peer_max
            || !self.dispatch.has_room()
            || self.requests.contains_key(&(party.peer, *request))
        {
            Some(TaskRefusal::TooMany)
        } else if self.dispatch.pool().here() > 0 && !self.dispatch.pool().has_memory(memory_bytes) {
            Some(TaskRefusal::NobodyFits)
        } else {
            None
        }
    }

    fn submit(&mut self, now: Time, party: Party, what: TaskRequest) {
        if let Some(why) = self.refusal(now, &party, &what) {
            let refused = TaskFromRelay::Refused { request: what.request, why };
            return self.out.push_back((party.peer, refused));
        }
        let Party { peer, owner, site, .. } = party;
        let TaskRequest { request, module, input, limits, assurance, value } = what;
        self.use_of(now, owner, |used| used.tasks += 1);
        self.next_task += 1;
        let task = TaskId(self.next_task);
        let memory_bytes = u64::from(limits.memory_pages) * PAGE_BYTES;
        let submission = Submission {
            task,
            submitter: peer,
            owner,
            site,
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
            owner,
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

    /// What an owner uses, changed. Who uses nothing any more is forgotten when there are too many.
    fn use_of(&mut self, now: Time, owner: Owner, change: impl FnOnce(&mut Used)) {
        if self.used.len() >= self.quotas.remembered_max && !self.used.contains_key(&owner) {
            let this_hour = hour(now);
            self.used.retain(|_, used| used.tasks > 0 || used.hour == this_hour);
            if self.used.len() >= self.quotas.remembered_max {
                self.used.pop_first();
            }
        }
        let used = self.used.entry(owner).or_default();
        if used.hour != hour(now) {
            (used.hour, used.gas) = (hour(now), 0);
        }
        change(used);
    }

    /// Nobody but the referee can say whether an output that is elsewhere hashes to its digest: it runs the task, and whoever showed
    /// something else is exposed.
    fn untrue(&mut self, now: Time, peer: PeerId, request: u32) {
        self.contested.retain(|contested| contested.until > now);
        let is_it = |c: &Contested| (c.payload.submitter, c.payload.request) == (peer, request);
        let found = self.contested.iter().position(is_it).and_then(|at| self.contested.remove(at));
        let is_busy = |owner| {
            let waits = self.referee_queue.iter().chain(self.refereeing.values());
            waits.filter(|what| matches!(what, Refereeing::Again(c) if c.payload.owner == owner)).count() > 0
        };
        match found {
            Some(contested) if self.referee_slots > 0 && !is_busy(contested.payload.owner) => {
                self.referee_queue.push_back(Refereeing::Again(Box::new(contested)));
                self.referee_pump();
            }
            _ => {
                let refused = TaskFromRelay::Refused { request, why: TaskRefusal::Disputed };
                self.out.push_back((peer, refused));
            }
        }
    }

    fn tell(&mut self, now: Time, input: DispatchInput) {
        self.dispatch.handle(now, input);
        while let Some(output) = self.dispatch.poll() {
            self.output(now, output);
        }
    }

    fn output(&mut self, now: Time, output: DispatchOutput) {
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
                self.referee_queue.push_back(Refereeing::Task(task));
                self.referee_pump();
            }
            DispatchOutput::Believed(believed) => {
                let Some(payload) = self.payloads.get(&believed.task) else { return };
                let Answer { digest, gas } = believed.answer;
                let (request, runs, refereed) = (payload.request, believed.runs, believed.refereed);
                let (submitter, open) = (payload.submitter, payload.open);
                // Of whom is believed first; the referee's own is the last that came.
                let mut shown = payload.outputs.get(&believed.answer).cloned().unwrap_or_default();
                let voters = believed.voters;
                let relay = self.relay;
                shown.by.retain(|(by, _)| voters.contains(by) || *by == relay);
                shown.by.sort_by_key(|(by, _)| *by != relay);
                let end = shown.end;
                let output = shown.by.first().map_or(Blob::Inline(Vec::new()), |(_, blob)| blob.clone());
                let mut others: Vec<ContentId> = Vec::new();
                for (_, blob) in &shown.by {
                    if let Blob::Content(id) = blob
                        && *blob != output
                        && !others.contains(id)
                    {
                        others.push(*id);
                    }
                }
                let doubt_ppm = (believed.doubt.clamp(0.0, 1.0) * 1e6).ceil() as u32;
                if open {
                    if matches!(output, Blob::Content(_)) {
                        self.contest(now, believed.task, believed.answer, shown);
                    }
                    let result = TaskFromRelay::Result {
                        request,
                        end,
                        gas,
                        digest,
                        runs,
                        refereed,
                        voters,
                        doubt_ppm,
                        output,
                        others,
                    };
                    self.out.push_back((submitter, result));
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
            DispatchOutput::RefereeStop { task } => {
                self.referee_queue.retain(|what| !matches!(what, Refereeing::Task(other) if *other == task));
                let runs = |(_, what): &(&u64, &Refereeing)| matches!(what, Refereeing::Task(other) if *other == task);
                if let Some(lease) = self.refereeing.iter().find(runs).map(|(lease, _)| *lease) {
                    self.refereeing.remove(&lease);
                    self.out.push_back((self.relay, TaskFromRelay::Revoke { lease }));
                    self.referee_pump();
                }
            }
            DispatchOutput::Exposed { .. } => {}
            DispatchOutput::Spent { task, gas } => {
                if let Some(owner) = self.payloads.get(&task).map(|payload| payload.owner) {
                    self.use_of(now, owner, |used| used.gas = used.gas.saturating_add(gas));
                }
            }
            DispatchOutput::Forget { task } => {
                self.close(task);
                self.payloads.remove(&task);
            }
        }
    }

    /// Remembers a result whose output only its submitter can check.
    fn contest(&mut self, now: Time, task: TaskId, answer: Answer, shown: Shown) {
        let Some(payload) = self.payloads.get(&task) else { return };
        let payload = Payload {
            input: payload.input.clone(),
            outputs: BTreeMap::new(),
            marks: VecDeque::new(),
            ..*payload
        };
        self.contested.retain(|contested| contested.until > now);
        if self.contested.len() >= CONTESTED_MAX {
            self.contested.pop_front();
        }
        self.contested.push_back(Contested { until: now + CONTESTED_FOR, task, payload, answer, shown });
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
            for (_, mark) in payload.marks.drain(..) {
                self.awaited.remove(&(payload.submitter, mark.checkpoint, task));
            }
            let owner = payload.owner;
            self.requests.remove(&(payload.submitter, payload.request));
            if let Some(used) = self.used.get_mut(&owner) {
                used.tasks = used.tasks.saturating_sub(1);
            }
        }
    }

    // ---- the relay's own node ----

    fn referee_pump(&mut self) {
        while self.refereeing.len() < self.referee_slots {
            let Some(what) = self.referee_queue.pop_front() else { return };
            let lease = self.next_referee_lease + 1;
            match &what {
                Refereeing::Task(task) if !self.payloads.contains_key(task) => continue,
                Refereeing::Task(task) => self.lease(lease, self.relay, *task, None),
                Refereeing::Again(contested) => {
                    let Payload { module, limits, ref input, .. } = contested.payload;
                    let (beat_ms, input) = (self.beat_ms, input.clone());
                    let message =
                        TaskFromRelay::Lease { lease, beat_ms, module, input, limits, resume: None };
                    self.out.push_back((self.relay, message));
                }
            }
            self.next_referee_lease = lease;
            self.refereeing.insert(lease, what);
        }
    }

    fn refereed(&mut self, now: Time, lease: u64, found: Option<(u8, Answer, Blob)>) {
        match self.refereeing.remove(&lease) {
            None => return,
            Some(Refereeing::Task(task)) => {
                let relay = self.relay;
                let answer = found.map(|(end, answer, output)| {
                    if let Some(payload) = self.payloads.get_mut(&task) {
                        let shown = payload.outputs.entry(answer).or_default();
                        shown.end = end;
                        shown.by.push((relay, output));
                    }
                    answer
                });
                self.tell(now, DispatchInput::Refereed { task, answer });
            }
            Some(Refereeing::Again(contested)) => self.decided(now, *contested, found),
        }
        self.referee_pump();
    }

    /// The referee ran a task again whose result was called untrue.
    fn decided(&mut self, now: Time, contested: Contested, found: Option<(u8, Answer, Blob)>) {
        let Contested { task, payload, answer, shown, .. } = contested;
        let (peer, request) = (payload.submitter, payload.request);
        let Some((end, own, output)) = found else {
            let refused = TaskFromRelay::Refused { request, why: TaskRefusal::Disputed };
            return self.out.push_back((peer, refused));
        };
        // One who showed the very content that the referee came to is in the right, whatever the submitter says.
        for (worker, blob) in shown.by {
            if worker != self.relay && (own != answer || blob != output) {
                self.tell(now, DispatchInput::Expose { worker, task });
            }
        }
        let Answer { digest, gas } = own;
        let (runs, refereed) = (payload.runs.saturating_add(1), true);
        let result = TaskFromRelay::Result {
            request,
            end,
            gas,
            digest,
            runs,
            refereed,
            voters: Vec::new(),
            doubt_ppm: 0,
            output,
            others: Vec::new(),
        };
        self.out.push_back((peer, result));
    }

    fn referee_gone(&mut self, now: Time) {
        self.referee_slots = 0;
        self.tell(now, DispatchInput::Referee { ready: false });
        let given = core::mem::take(&mut self.refereeing).into_values();
        let waiting: Vec<Refereeing> = given.chain(core::mem::take(&mut self.referee_queue)).collect();
        for what in waiting {
            match what {
                Refereeing::Task(task) => self.tell(now, DispatchInput::Refereed { task, answer: None }),
                Refereeing::Again(contested) => self.decided(now, *contested, None),
            }
        }
    }
}

/// The hour that it is, in which gas is counted.
fn hour(now: Time) -> u64 {
    now.as_micros() / HOUR.as_micros() as u64
}
