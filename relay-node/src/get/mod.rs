//! `peeredge get`: one content, or a range of it, from whoever has it.

mod output;
mod place;
mod progress;
mod verdict;

pub use output::Target;
pub(crate) use progress::Bar;
pub use progress::Progress;

use crate::config::Config;
use crate::peer::{Driver, Endpoint, Handle, HttpSource, Parts, Probe, RelayLink, greet};
use crate::pulse::Pulse;
use crate::rtc::{self, RtcConfig, RtcEvents, RtcHandle, RtcSocket, outbound_address};
use crate::serve::key;
use crate::store::{Store, StoreError, StoreWorker};
use output::Sink;
use peeredge_node::{Event, FetchError, Input, Node, Output, RangeSpec, Stats};
use peeredge_wire::{ContentId, RequestId};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdict::Signs;

/// Bytes asked of the node ahead of what has been taken from it.
const AHEAD_BYTES: u64 = 8 << 20;
/// Bytes of blocks in memory: what one reader, in order, has use for, so that all of `get` stays within 100 MB.
const CACHE_BYTES_MAX: u64 = 24 << 20;
/// What has come is recorded, for a run that goes on, at least once in this time: each record waits for the disk.
const COMMIT_EVERY_MAX: Duration = Duration::from_secs(2);
/// The only request of this process.
const REQUEST: RequestId = RequestId(1);

/// What to get, from where, to where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which content.
    pub content: ContentId,
    /// Whom to ask.
    pub relay: Endpoint,
    /// Which bytes.
    pub range: RangeSpec,
    /// Where to.
    pub target: Target,
    /// Whether plain HTTP may be used.
    pub http: bool,
    /// Whether to go on sharing afterwards.
    pub seed: bool,
    /// The settings of caches, WebRTC and caps.
    pub config: Config,
}

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Where it lies; nothing for standard output.
    pub path: Option<PathBuf>,
    /// Bytes written.
    pub bytes: u64,
    /// Verified bytes from peers.
    pub from_peers_bytes: u64,
    /// Verified bytes from the relay's data channel.
    pub from_relay_bytes: u64,
    /// Verified bytes by HTTP.
    pub from_http_bytes: u64,
}

/// Why it did not arrive.
#[derive(Debug)]
pub enum GetError {
    /// The node gave up.
    Fetch(FetchError),
    /// The relay cannot be reached at all.
    Unreachable {
        /// Its name.
        relay: String,
        /// What the system says.
        why: String,
    },
    /// The relay takes connections and says nothing.
    Silent {
        /// Its name.
        relay: String,
    },
    /// What answers is no relay.
    NoRelay {
        /// Its name.
        relay: String,
        /// What it said or how it failed.
        why: String,
    },
    /// The relay's certificate is none that this system takes for its name.
    Uncertified {
        /// Its name.
        relay: String,
        /// What is wrong with it.
        why: String,
    },
    /// The relay answers, and refuses.
    Refused {
        /// Its name.
        relay: String,
        /// In its words.
        why: String,
    },
    /// The relay does not have the content and knows nobody who does.
    Unknown {
        /// Its name.
        relay: String,
    },
    /// What came contradicts the link, and nobody else has anything.
    Untrusted {
        /// The relay's name.
        relay: String,
    },
    /// The folder of what has arrived so far cannot be used.
    Store(StoreError),
    /// Another process is getting the same file.
    Busy {
        /// The folder of what has arrived so far.
        folder: PathBuf,
    },
    /// The output cannot be written.
    Output {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The output is a folder.
    Folder {
        /// Which.
        path: PathBuf,
    },
    /// Where parts are kept lies something that somebody else can change.
    Foreign {
        /// What.
        folder: PathBuf,
    },
    /// What arrived could not be written to the disk.
    Disk {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file of the content's own name exists, and no other name was given.
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A thread could not be started, or ended early.
    Thread(io::Error),
    /// It was told to stop.
    Interrupted {
        /// Whether what has arrived was kept.
        kept: bool,
    },
}

impl GetError {
    /// What the command ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            GetError::Fetch(FetchError::Unavailable) | GetError::Unknown { .. } => 3,
            GetError::Fetch(FetchError::ManifestInvalid | FetchError::BlocksTooLarge)
            | GetError::Untrusted { .. } => 4,
            GetError::Fetch(FetchError::RangeNotSatisfiable { .. }) => 5,
            GetError::Unreachable { .. }
            | GetError::Silent { .. }
            | GetError::NoRelay { .. }
            | GetError::Uncertified { .. } => 6,
            GetError::Refused { .. } => 7,
            GetError::Interrupted { .. } => 130,
            _ => 1,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Fetch(error) => write!(f, "{error}"),
            GetError::Unreachable { relay, why } => write!(f, "cannot reach the relay {relay}: {why}"),
            GetError::Silent { relay } => {
                write!(f, "the relay {relay} takes connections and hardly answers, or not at all")
            }
            GetError::NoRelay { relay, why } => write!(f, "{relay} is no relay: {why}"),
            GetError::Uncertified { relay, why } => {
                write!(f, "the certificate of {relay} is not trusted: {why}")
            }
            GetError::Refused { relay, why } => write!(f, "the relay {relay} refused: {why}"),
            GetError::Unknown { relay } => {
                write!(f, "the relay {relay} does not have this content and knows nobody who does")
            }
            GetError::Untrusted { relay } => {
                write!(f, "what {relay} sent contradicts the link, and nobody else has the content")
            }
            GetError::Store(error) => write!(f, "{error}"),
            GetError::Busy { folder } => {
                write!(f, "another process is at it: {} is in use", folder.display())
            }
            GetError::Output { path, error } => write!(f, "{}: {error}", path.display()),
            GetError::Folder { path } => write!(f, "{} is a folder; -o names a file", path.display()),
            GetError::Foreign { folder } => {
                write!(
                    f,
                    "{} is no folder of this user's: move it away, parts are kept there",
                    folder.display()
                )
            }
            GetError::Disk { folder, why } => {
                write!(f, "{}: what arrived could not be written: {why}", folder.display())
            }
            GetError::Exists { path } => write!(f, "{} exists; name another file with -o", path.display()),
            GetError::Thread(error) => write!(f, "cannot start a thread: {error}"),
            GetError::Interrupted { kept: true } => {
                write!(f, "interrupted; the same command goes on where it stopped")
            }
            GetError::Interrupted { kept: false } => write!(f, "interrupted; nothing is left behind"),
        }
    }
}

impl std::error::Error for GetError {}

/// Gets it. `interrupt` resolves when the user wants to stop; what has arrived by then is kept.
pub async fn get(
    options: &Options,
    progress: &mut dyn Progress,
    interrupt: impl Future<Output = ()>,
) -> Result<Got, GetError> {
    let mut interrupt = pin!(interrupt);
    let mut sink = Sink::new(options)?;
    let store = sink.folder().map(open).transpose()?;
    let handle = match start(options, store.as_ref()).await {
        Ok(handle) => handle,
        Err(error) => {
            drop(store);
            sink.keep(false);
            return Err(error);
        }
    };
    let mut taking = Taking::new(handle, options, store.clone());
    let taken = taking.run(&mut sink, progress, interrupt.as_mut()).await;
    taking.probe.abort();
    let stats = taking.handle.stats.clone();
    let Taking { handle, taken: bytes, .. } = taking;
    let finished = match taken {
        Ok(()) if options.seed => sink.link(store.as_deref()),
        _ => Ok(None),
    };
    let seeding = taken.is_ok() && options.seed && finished.is_ok();
    if seeding {
        progress.seeding();
        interrupt.await;
    } else if let (Ok(()), Some(store)) = (&taken, &store) {
        store.hurry();
    }
    if tokio::task::spawn_blocking(move || handle.finish()).await.is_err() {
        return Err(GetError::Thread(io::ErrorKind::Other.into()));
    }
    // The driver renewed it when it closed.
    let stats = stats.borrow().clone();
    let arrived = stats.from_peers_bytes + stats.from_relay_bytes + stats.from_http_bytes;
    let failed = store.as_ref().and_then(|store| store.failure());
    drop(store);
    let written = match (taken, failed, sink.folder()) {
        (Err(error), ..) => Err(error),
        (Ok(()), Some(why), Some(folder)) => Err(GetError::Disk { folder: folder.into(), why }),
        (Ok(()), ..) => finished,
    };
    let linked = match written {
        Ok(linked) => linked,
        Err(error) => {
            let kept = sink.keep(arrived > 0);
            return Err(match error {
                GetError::Interrupted { .. } => GetError::Interrupted { kept },
                error => error,
            });
        }
    };
    let path = match linked {
        Some(path) => {
            sink.discard();
            Some(path)
        }
        None => sink.finish()?,
    };
    Ok(Got {
        path,
        bytes,
        from_peers_bytes: stats.from_peers_bytes,
        from_relay_bytes: stats.from_relay_bytes,
        from_http_bytes: stats.from_http_bytes,
    })
}

fn open(folder: &Path) -> Result<Arc<Store>, GetError> {
    place::own(folder)?;
    match Store::open(folder) {
        Ok(store) => Ok(Arc::new(store)),
        Err(StoreError::Busy { .. }) => Err(GetError::Busy { folder: folder.into() }),
        Err(error) => Err(GetError::Store(error)),
    }
}

/// Starts the node and tells it what has arrived in earlier runs.
async fn start(options: &Options, store: Option<&Arc<Store>>) -> Result<Handle, GetError> {
    let mut config = peeredge_node::Config::new(key::random(), u64::from_le_bytes(key::random()));
    config.relay_authority = options.relay.proved();
    config.cache_bytes_max = options.config.cache_bytes_max.0.min(CACHE_BYTES_MAX);
    config.store_bytes_max = u64::MAX;
    config.http = options.http;
    let cap = options.config.upload_bytes_per_s_max.0;
    config.caps.upload_bytes_per_s_max = if cap == 0 { u64::MAX } else { cap };
    config.caps.connections_made_max = u32::MAX;
    let rtc = start_rtc(&options.config, &options.relay).await;
    let worker = store
        .map(|store| StoreWorker::start_with(store.clone(), COMMIT_EVERY_MAX))
        .transpose()
        .map_err(GetError::Thread)?;
    let handle = Driver::spawn(Parts {
        node: Node::new(config),
        relay: RelayLink::Remote(options.relay.clone()),
        rtc,
        store: worker,
        http: options.http.then(|| HttpSource::new(options.relay.clone())),
        gate: None,
        pulse: Pulse::new("peer"),
    })
    .map_err(GetError::Thread)?;
    if let Some(store) = store {
        for (content, state) in store.states().map_err(GetError::Store)? {
            let _ = handle.inputs.send(Input::Stored { content, state });
        }
    }
    let _ =
        handle.inputs.send(Input::Fetch { request: REQUEST, content: options.content, range: options.range });
    let _ = handle.inputs.send(Input::Pull { request: REQUEST, bytes: AHEAD_BYTES });
    Ok(handle)
}

/// WebRTC on the address that leads to the relay, or none: then the relay's HTTP is left.
pub(crate) async fn start_rtc(config: &Config, relay: &Endpoint) -> Option<(RtcHandle, RtcEvents)> {
    if !config.rtc {
        return None;
    }
    let mut socket = match config.rtc_bind.parse() {
        Ok(bind) => RtcSocket::bound(bind),
        Err(_) => {
            let toward = tokio::net::lookup_host((relay.host.as_str(), relay.port)).await;
            let toward = toward.ok()?.next()?;
            RtcSocket::bound(SocketAddr::new(outbound_address(toward).ok()?, 0))
        }
    };
    socket.advertised = config.rtc_public.parse().ok();
    match rtc::spawn(RtcConfig::new(vec![socket])) {
        Ok(rtc) => Some(rtc),
        Err(error) => {
            tracing::warn!(%error, "going on without WebRTC");
            None
        }
    }
}

/// The download while it runs.
struct Taking {
    handle: Handle,
    store: Option<Arc<Store>>,
    relay: String,
    probe: tokio::task::JoinHandle<Probe>,
    taken: u64,
    progressed: Instant,
    ready: Option<Instant>,
    probed: Option<Instant>,
    arrived: u64,
    signs: Signs,
}

impl Taking {
    fn new(handle: Handle, options: &Options, store: Option<Arc<Store>>) -> Taking {
        let (relay, content, http) = (options.relay.clone(), options.content, options.http);
        let now = Instant::now();
        Taking {
            handle,
            store,
            relay: options.relay.to_string(),
            probe: tokio::spawn(async move {
                if http { HttpSource::new(relay).probe(content).await } else { greet(&relay).await }
            }),
            taken: 0,
            progressed: now,
            ready: None,
            probed: None,
            arrived: 0,
            signs: Signs::default(),
        }
    }

    async fn run(
        &mut self,
        sink: &mut Sink,
        progress: &mut dyn Progress,
        mut interrupt: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), GetError> {
        loop {
            let told = tokio::select! {
                told = self.handle.told.recv() => told,
                changed = self.handle.stats.changed() => {
                    if changed.is_ok() {
                        let stats = self.handle.stats.borrow_and_update().clone();
                        progress.stats(&stats);
                        self.judge(&stats)?;
                    }
                    continue;
                }
                probe = &mut self.probe, if self.signs.probe.is_none() => {
                    self.probed = Some(Instant::now());
                    self.signs.probe = Some(probe.map_err(|error| GetError::Thread(io::Error::other(error)))?);
                    let stats = self.handle.stats.borrow().clone();
                    self.judge(&stats)?;
                    continue;
                }
                () = interrupt.as_mut() => return Err(GetError::Interrupted { kept: false }),
            };
            let writing = match told {
                Some(Output::Head { start, end, name, length, .. }) => {
                    self.signs.begun = true;
                    progress.begin(&name, end - start);
                    sink.begin(&name, start, end, length)?;
                    continue;
                }
                Some(Output::Data { bytes, .. }) => {
                    self.taken += bytes.len() as u64;
                    progress.taken(self.taken);
                    let _ =
                        self.handle.inputs.send(Input::Pull { request: REQUEST, bytes: bytes.len() as u64 });
                    Some(bytes)
                }
                Some(Output::Done { .. }) => None,
                Some(Output::Failed { error, .. }) => return Err(GetError::Fetch(error)),
                Some(Output::Event(event)) => {
                    self.note(&event);
                    continue;
                }
                Some(_) => continue,
                None => return Err(GetError::Thread(io::Error::other("the peer ended early"))),
            };
            let done = writing.is_none();
            let writes = async {
                match writing {
                    Some(bytes) => sink.write(bytes).await,
                    None => sink.end().await,
                }
            };
            // A pipe that nobody reads must not keep anyone from stopping.
            tokio::select! {
                written = writes => written?,
                () = interrupt.as_mut() => return Err(GetError::Interrupted { kept: false }),
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Looks whether it can still come.
    fn judge(&mut self, stats: &Stats) -> Result<(), GetError> {
        if let Some(store) = &self.store
            && let Some(why) = store.failure()
        {
            return Err(GetError::Disk { folder: store.root().into(), why });
        }
        let arrived = stats.from_peers_bytes + stats.from_relay_bytes + stats.from_http_bytes;
        if arrived > self.arrived {
            (self.arrived, self.progressed) = (arrived, Instant::now());
        }
        self.signs.probed_for = self.probed.map(|probed| probed.elapsed());
        self.signs.ready_for = self.ready.map(|ready| ready.elapsed());
        self.signs.peers = stats.peers.len();
        self.signs.arrived = arrived > 0;
        self.signs.without_progress = self.progressed.elapsed();
        self.signs.rejected_bytes = stats.rejected_bytes;
        self.signs.verdict(&self.relay).map_or(Ok(()), Err)
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::PeerBlamed { peer, block, .. } => {
                tracing::warn!(%peer, block, "a peer sent wrong bytes and was dropped");
            }
            Event::RelayReady { .. } => self.ready = Some(Instant::now()),
            Event::RelayLost => self.ready = None,
            Event::RelayRefused { code, detail } => {
                let why = if detail.is_empty() { (*code).to_owned() } else { format!("{code}: {detail}") };
                self.signs.refused = Some(why);
                tracing::debug!(code, detail, "the relay refused");
            }
            other => tracing::debug!(event = ?other, "peer"),
        }
    }
}
