//! What peers and their relay say about tasks. Modules, large inputs, outputs and checkpoints are contents like others and
//! travel from peer to peer; only what is small goes through the relay.

use crate::limits::{TASK_INLINE_BYTES_MAX, TASK_VOTERS_MAX};
use crate::{ContentId, DecodeError, PeerId, Reader, Writer};

/// Where bytes are: in the frame itself, or a content that some peer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// These bytes; at most [`TASK_INLINE_BYTES_MAX`].
    Inline(Vec<u8>),
    /// The bytes of this content.
    Content(ContentId),
}

impl Blob {
    fn len(&self) -> usize {
        match self {
            Blob::Inline(bytes) => 3 + bytes.len(),
            Blob::Content(_) => 33,
        }
    }

    fn write(&self, w: Writer) -> Writer {
        match self {
            Blob::Inline(bytes) => {
                let bytes = &bytes[..bytes.len().min(TASK_INLINE_BYTES_MAX)];
                w.u8(0).u16(bytes.len() as u16).raw(bytes)
            }
            Blob::Content(id) => w.u8(1).raw(&id.0),
        }
    }

    fn read(r: &mut Reader, field: &'static str) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => {
                let len = usize::from(r.u16()?);
                if len > TASK_INLINE_BYTES_MAX {
                    return Err(DecodeError::TooLong { field, max: TASK_INLINE_BYTES_MAX });
                }
                Ok(Blob::Inline(r.raw(len)?.to_vec()))
            }
            1 => Ok(Blob::Content(ContentId(r.array()?))),
            _ => Err(DecodeError::Value { field }),
        }
    }
}

/// What a run may use, and how often a task in steps is to be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskLimits {
    /// Gas over all steps.
    pub gas: u64,
    /// Pages of 64 KiB.
    pub memory_pages: u32,
    /// Bytes of output.
    pub output_bytes: u32,
    /// Steps between two checkpoints; 0 for a task that does not move.
    pub checkpoint_steps: u32,
}

impl TaskLimits {
    fn write(&self, w: Writer) -> Writer {
        w.u64(self.gas).u32(self.memory_pages).u32(self.output_bytes).u32(self.checkpoint_steps)
    }

    fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let limits = TaskLimits {
            gas: r.u64()?,
            memory_pages: r.u32()?,
            output_bytes: r.u32()?,
            checkpoint_steps: r.u32()?,
        };
        if limits.gas == 0 || limits.gas > 1 << 62 {
            return Err(DecodeError::Value { field: "gas" });
        }
        if limits.memory_pages > 65_536 {
            return Err(DecodeError::Value { field: "memory_pages" });
        }
        Ok(limits)
    }
}

/// How sure a submitter wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskAssurance {
    /// So many equal answers of distinct owners; at least 1.
    Replicas(u8),
    /// About one wrong result in a thousand, for little more than one run each.
    Cheap,
    /// About one wrong result in 100,000.
    Strict,
}

impl TaskAssurance {
    fn number(self) -> u8 {
        match self {
            TaskAssurance::Replicas(votes) => votes.clamp(1, TASK_VOTERS_MAX as u8),
            TaskAssurance::Cheap => 254,
            TaskAssurance::Strict => 255,
        }
    }

    fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        match r.u8()? {
            254 => Ok(TaskAssurance::Cheap),
            255 => Ok(TaskAssurance::Strict),
            votes if votes >= 1 && usize::from(votes) <= TASK_VOTERS_MAX => {
                Ok(TaskAssurance::Replicas(votes))
            }
            _ => Err(DecodeError::Value { field: "assurance" }),
        }
    }
}

/// Where a task in steps goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskMark {
    /// The checkpoint, a content that its worker holds.
    pub checkpoint: ContentId,
    /// Gas used until there.
    pub gas: u64,
}

fn write_mark(w: Writer, mark: &Option<TaskMark>) -> Writer {
    match mark {
        None => w.u8(0),
        Some(mark) => w.u8(1).raw(&mark.checkpoint.0).u64(mark.gas),
    }
}

fn read_mark(r: &mut Reader) -> Result<Option<TaskMark>, DecodeError> {
    match r.u8()? {
        0 => Ok(None),
        1 => Ok(Some(TaskMark { checkpoint: ContentId(r.array()?), gas: r.u64()? })),
        _ => Err(DecodeError::Value { field: "mark" }),
    }
}

/// What somebody wants run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRequest {
    /// The submitter's number for it, not in use.
    pub request: u32,
    /// The module, a content that the submitter shares.
    pub module: ContentId,
    /// The input; a content is one that the submitter shares.
    pub input: Blob,
    /// What a run may use.
    pub limits: TaskLimits,
    /// How sure the submitter wants to be.
    pub assurance: TaskAssurance,
    /// Goes first among the submitter's own: the higher, the earlier.
    pub value: u32,
}

/// A message about tasks from a peer to its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskToRelay {
    /// "I take so many tasks at once"; 0 pauses. There is no field for speed: it is measured.
    Offer {
        /// Tasks at once.
        slots: u8,
        /// Pages of 64 KiB that each may have.
        memory_pages: u32,
        /// Whose tasks the visitor agreed to run.
        whose: TaskOf,
    },
    /// "Have this run."
    Submit(TaskRequest),
    /// "I no longer want this."
    Cancel {
        /// Which.
        request: u32,
    },
    /// "I am still at it."
    Beat {
        /// At which lease.
        lease: u64,
        /// Where the task could go on elsewhere.
        mark: Option<TaskMark>,
    },
    /// "I am done, and bound to my answer."
    Commit {
        /// With which lease.
        lease: u64,
        /// Keyed BLAKE3 of the receipt's bytes.
        commitment: [u8; 32],
    },
    /// "This is what I committed to."
    Reveal {
        /// Of which lease.
        lease: u64,
        /// How the run ended, by the numbers of `docs/task-abi.md`.
        end: u8,
        /// Gas used.
        gas: u64,
        /// What receipts name as the answer.
        digest: [u8; 32],
        /// What the commitment was made with.
        nonce: [u8; 32],
        /// Ed25519 signature of the receipt.
        signature: [u8; 64],
        /// The output.
        output: Blob,
    },
    /// "The output that I was given does not hash to the result's digest": the relay runs the task itself, and whoever showed that
    /// output is exposed.
    Untrue {
        /// The submitter's number of the task.
        request: u32,
    },
    /// "I cannot run this", for reasons of the worker's own.
    Trouble {
        /// Which lease.
        lease: u64,
        /// For people; at most 200 bytes.
        detail: String,
    },
}

/// Whose tasks a visitor runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskOf {
    /// Those that pages of the worker's own site hand in.
    #[default]
    OwnSite = 0,
    /// Everybody's whom the relay lets hand in.
    Anybody = 1,
}

/// Why a task gave no result. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskRefusal {
    /// This relay runs no tasks.
    Off = 1,
    /// The submitter, or the relay, has as many tasks as allowed.
    TooMany = 2,
    /// Nobody took it in time.
    NoWorker = 3,
    /// Those who took it could not run it.
    Trouble = 4,
    /// The answers contradict each other and nobody decides.
    Disputed = 5,
    /// Its limits cannot hold: its input is larger than its memory, or they are beyond what this relay allows.
    Limits = 6,
    /// Nobody who is here has so much memory.
    NobodyFits = 7,
    /// This relay runs no tasks for whoever asks.
    NotAllowed = 8,
    /// The submitter's network has had as much as it may for now.
    Quota = 9,
}

impl TaskRefusal {
    /// All of them, in order of their numbers.
    pub const ALL: [TaskRefusal; 9] = [
        TaskRefusal::Off,
        TaskRefusal::TooMany,
        TaskRefusal::NoWorker,
        TaskRefusal::Trouble,
        TaskRefusal::Disputed,
        TaskRefusal::Limits,
        TaskRefusal::NobodyFits,
        TaskRefusal::NotAllowed,
        TaskRefusal::Quota,
    ];

    /// A stable name for the page's error codes.
    pub const fn name(self) -> &'static str {
        match self {
            TaskRefusal::Off => "tasks_off",
            TaskRefusal::TooMany => "too_many_tasks",
            TaskRefusal::NoWorker => "no_worker",
            TaskRefusal::Trouble => "task_trouble",
            TaskRefusal::Disputed => "task_disputed",
            TaskRefusal::Limits => "task_limits",
            TaskRefusal::NobodyFits => "nobody_fits",
            TaskRefusal::NotAllowed => "tasks_not_allowed",
            TaskRefusal::Quota => "task_quota",
        }
    }
}

/// A message about tasks from a relay to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskFromRelay {
    /// "Run this."
    Lease {
        /// The relay's number for this run.
        lease: u64,
        /// Milliseconds between two beats.
        beat_ms: u32,
        /// The module.
        module: ContentId,
        /// The input.
        input: Blob,
        /// What the run may use.
        limits: TaskLimits,
        /// Where to go on.
        resume: Option<TaskMark>,
    },
    /// "No longer needed."
    Revoke {
        /// Which run.
        lease: u64,
    },
    /// "Show what you committed to."
    AskReveal {
        /// Of which run.
        lease: u64,
    },
    /// A result that is believed.
    Result {
        /// The submitter's number.
        request: u32,
        /// How the task ended.
        end: u8,
        /// Gas that it used.
        gas: u64,
        /// What the receipts name as the answer.
        digest: [u8; 32],
        /// Runs that were given for it.
        runs: u16,
        /// Whether the relay ran it itself.
        refereed: bool,
        /// Whose votes it is; at most [`TASK_VOTERS_MAX`].
        voters: Vec<PeerId>,
        /// How likely the answer is wrong by the relay's reckoning, in millionths; 0 when the relay ran it itself.
        doubt_ppm: u32,
        /// The output, of one of the voters.
        output: Blob,
        /// What other voters showed for the same answer, where that is another content: the next to try if the output does not
        /// hash to the digest. At most [`TASK_VOTERS_MAX`].
        others: Vec<ContentId>,
    },
    /// A run of a submitted task was given to somebody.
    Progress {
        /// The submitter's number.
        request: u32,
        /// Runs given so far.
        runs: u16,
        /// To whom.
        worker: PeerId,
    },
    /// A worker came so far: whoever holds the checkpoint when the worker goes saves its work.
    Marked {
        /// The submitter's number.
        request: u32,
        /// Where the task could go on.
        mark: TaskMark,
    },
    /// There will be no result.
    Refused {
        /// The submitter's number.
        request: u32,
        /// Why.
        why: TaskRefusal,
    },
}

const OFFER: u8 = 0x20;
const SUBMIT: u8 = 0x21;
const CANCEL: u8 = 0x22;
const BEAT: u8 = 0x23;
const COMMIT: u8 = 0x24;
const REVEAL: u8 = 0x25;
const TROUBLE: u8 = 0x26;
const UNTRUE: u8 = 0x27;
const LEASE: u8 = 0xa0;
const REVOKE: u8 = 0xa1;
const ASK_REVEAL: u8 = 0xa2;
const RESULT: u8 = 0xa3;
const PROGRESS: u8 = 0xa4;
const REFUSED: u8 = 0xa5;
const MARKED: u8 = 0xa6;
const DETAIL_BYTES_MAX: usize = 200;

impl TaskToRelay {
    /// The lease whose answer a frame shows, if it does: such a frame is as long as the output, and was asked for.
    pub fn shown(frame: &[u8]) -> Option<u64> {
        let lease = frame.strip_prefix(&[REVEAL])?.first_chunk()?;
        Some(u64::from_le_bytes(*lease))
    }

    pub(super) fn write(&self) -> Writer {
        match self {
            TaskToRelay::Offer { slots, memory_pages, whose } => {
                Writer::new(OFFER, 7).u8(*slots).u32(*memory_pages).u8(*whose as u8)
            }
            TaskToRelay::Submit(TaskRequest { request, module, input, limits, assurance, value }) => {
                let w = Writer::new(SUBMIT, 62 + input.len()).u32(*request).raw(&module.0);
                limits.write(input.write(w)).u8(assurance.number()).u32(*value)
            }
            TaskToRelay::Cancel { request } => Writer::new(CANCEL, 5).u32(*request),
            TaskToRelay::Untrue { request } => Writer::new(UNTRUE, 5).u32(*request),
            TaskToRelay::Beat { lease, mark } => write_mark(Writer::new(BEAT, 50).u64(*lease), mark),
            TaskToRelay::Commit { lease, commitment } => Writer::new(COMMIT, 41).u64(*lease).raw(commitment),
            TaskToRelay::Reveal { lease, end, gas, digest, nonce, signature, output } => {
                let w = Writer::new(REVEAL, 146 + output.len()).u64(*lease).u8(*end).u64(*gas).raw(digest);
                output.write(w.raw(nonce).raw(signature))
            }
            TaskToRelay::Trouble { lease, detail } => {
                let end =
                    (0..=detail.len().min(DETAIL_BYTES_MAX)).rev().find(|&e| detail.is_char_boundary(e));
                Writer::new(TROUBLE, 11 + detail.len()).u64(*lease).text(&detail[..end.unwrap_or(0)])
            }
        }
    }

    /// Reads what follows `tag`, if it is a message about tasks.
    pub(super) fn read(tag: u8, r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match tag {
            OFFER => {
                let (slots, memory_pages) = (r.u8()?, r.u32()?);
                if memory_pages > 65_536 {
                    return Err(DecodeError::Value { field: "memory_pages" });
                }
                let whose = match r.u8()? {
                    0 => TaskOf::OwnSite,
                    1 => TaskOf::Anybody,
                    _ => return Err(DecodeError::Value { field: "whose" }),
                };
                TaskToRelay::Offer { slots, memory_pages, whose }
            }
            SUBMIT => TaskToRelay::Submit(TaskRequest {
                request: r.u32()?,
                module: ContentId(r.array()?),
                input: Blob::read(r, "input")?,
                limits: TaskLimits::read(r)?,
                assurance: TaskAssurance::read(r)?,
                value: r.u32()?,
            }),
            CANCEL => TaskToRelay::Cancel { request: r.u32()? },
            UNTRUE => TaskToRelay::Untrue { request: r.u32()? },
            BEAT => TaskToRelay::Beat { lease: r.u64()?, mark: read_mark(r)? },
            COMMIT => TaskToRelay::Commit { lease: r.u64()?, commitment: r.array()? },
            REVEAL => TaskToRelay::Reveal {
                lease: r.u64()?,
                end: r.u8()?,
                gas: r.u64()?,
                digest: r.array()?,
                nonce: r.array()?,
                signature: r.array()?,
                output: Blob::read(r, "output")?,
            },
            TROUBLE => TaskToRelay::Trouble {
                lease: r.u64()?,
                detail: r.text("detail", DETAIL_BYTES_MAX)?.to_owned(),
            },
            tag => return Err(DecodeError::UnknownTag(tag)),
        })
    }
}

impl TaskFromRelay {
    pub(super) fn write(&self) -> Writer {
        match self {
            TaskFromRelay::Lease { lease, beat_ms, module, input, limits, resume } => {
                let w = Writer::new(LEASE, 106 + input.len()).u64(*lease).u32(*beat_ms).raw(&module.0);
                write_mark(limits.write(input.write(w)), resume)
            }
            TaskFromRelay::Revoke { lease } => Writer::new(REVOKE, 9).u64(*lease),
            TaskFromRelay::AskReveal { lease } => Writer::new(ASK_REVEAL, 9).u64(*lease),
            TaskFromRelay::Result {
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
            } => {
                let voters = &voters[..voters.len().min(TASK_VOTERS_MAX)];
                let others = &others[..others.len().min(TASK_VOTERS_MAX)];
                let len = 55 + 32 * (voters.len() + others.len()) + output.len();
                let mut w = Writer::new(RESULT, len)
                    .u32(*request)
                    .u8(*end)
                    .u64(*gas)
                    .raw(digest)
                    .u16(*runs)
                    .u8(u8::from(*refereed))
                    .u8(voters.len() as u8);
                for voter in voters {
                    w = w.raw(&voter.0);
                }
                w = w.u32(*doubt_ppm).u8(others.len() as u8);
                for other in others {
                    w = w.raw(&other.0);
                }
                output.write(w)
            }
            TaskFromRelay::Progress { request, runs, worker } => {
                Writer::new(PROGRESS, 39).u32(*request).u16(*runs).raw(&worker.0)
            }
            TaskFromRelay::Marked { request, mark } => {
                Writer::new(MARKED, 45).u32(*request).raw(&mark.checkpoint.0).u64(mark.gas)
            }
            TaskFromRelay::Refused { request, why } => Writer::new(REFUSED, 6).u32(*request).u8(*why as u8),
        }
    }

    /// Reads what follows `tag`, if it is a message about tasks.
    pub(super) fn read(tag: u8, r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match tag {
            LEASE => TaskFromRelay::Lease {
                lease: r.u64()?,
                beat_ms: r.u32()?,
                module: ContentId(r.array()?),
                input: Blob::read(r, "input")?,
                limits: TaskLimits::read(r)?,
                resume: read_mark(r)?,
            },
            REVOKE => TaskFromRelay::Revoke { lease: r.u64()? },
            ASK_REVEAL => TaskFromRelay::AskReveal { lease: r.u64()? },
            RESULT => {
                let (request, end, gas, digest, runs) = (r.u32()?, r.u8()?, r.u64()?, r.array()?, r.u16()?);
                let refereed = match r.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(DecodeError::Value { field: "refereed" }),
                };
                let count = usize::from(r.u8()?);
                if count > TASK_VOTERS_MAX {
                    return Err(DecodeError::TooLong { field: "voters", max: TASK_VOTERS_MAX });
                }
                let voters = (0..count).map(|_| r.array().map(PeerId)).collect::<Result<_, _>>()?;
                let (doubt_ppm, count) = (r.u32()?, usize::from(r.u8()?));
                if doubt_ppm > 1_000_000 {
                    return Err(DecodeError::Value { field: "doubt_ppm" });
                }
                if count > TASK_VOTERS_MAX {
                    return Err(DecodeError::TooLong { field: "others", max: TASK_VOTERS_MAX });
                }
                let others = (0..count).map(|_| r.array().map(ContentId)).collect::<Result<_, _>>()?;
                let output = Blob::read(r, "output")?;
                TaskFromRelay::Result {
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
                }
            }
            PROGRESS => {
                TaskFromRelay::Progress { request: r.u32()?, runs: r.u16()?, worker: PeerId(r.array()?) }
            }
            MARKED => TaskFromRelay::Marked {
                request: r.u32()?,
                mark: TaskMark { checkpoint: ContentId(r.array()?), gas: r.u64()? },
            },
            REFUSED => {
                let (request, number) = (r.u32()?, r.u8()?);
                let why = TaskRefusal::ALL.into_iter().find(|why| *why as u8 == number);
                TaskFromRelay::Refused { request, why: why.ok_or(DecodeError::Value { field: "why" })? }
            }
            tag => return Err(DecodeError::UnknownTag(tag)),
        })
    }
}
