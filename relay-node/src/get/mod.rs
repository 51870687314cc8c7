//! `peeredge get`: one content, or a range of it, from whoever has it.

mod output;
mod progress;

pub use output::Target;
pub(crate) use progress::Bar;
pub use progress::Progress;

use crate::config::Config;
use crate::peer::{Driver, Endpoint, Handle, HttpSource, Parts, RelayLink};
use crate::pulse::Pulse;
use crate::rtc::{self, RtcConfig, RtcEvents, RtcHandle, RtcSocket, outbound_address};
use crate::serve::key;
use crate::store::{Store, StoreError, StoreWorker};
use output::Sink;
use peeredge_node::{Event, FetchError, Input, Node, Output, RangeSpec};
use peeredge_wire::{ContentId, RequestId};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;

/// Bytes asked of the node ahead of what has been taken from it.
const AHEAD_BYTES: u64 = 32 << 20;
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
    /// What arrived could not be written to the disk.
    Disk {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the content's own name exists, and no other name was given.
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A thread could not be started, or ended early.
    Thread(io::Error),
    /// It was told to stop.
    Interrupted,
}

impl GetError {
    /// What the command ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            GetError::Fetch(FetchError::Unavailable) => 3,
            GetError::Fetch(FetchError::ManifestInvalid) => 4,
            GetError::Fetch(FetchError::RangeNotSatisfiable { .. }) => 5,
            GetError::Interrupted => 130,
            _ => 1,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Fetch(error) => write!(f, "{error}"),
            GetError::Store(error) => write!(f, "{error}"),
            GetError::Busy { folder } => {
                write!(f, "another process is at it: {} is in use", folder.display())
            }
            GetError::Output { path, error } => write!(f, "{}: {error}", path.display()),
            GetError::Disk { folder } => write!(f, "{}: what arrived could not be written", folder.display()),
            GetError::Exists { path } => write!(f, "{} exists; name another file with -o", path.display()),
            GetError::Thread(error) => write!(f, "cannot start a thread: {error}"),
            GetError::Interrupted => write!(f, "interrupted; the same command goes on where it stopped"),
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
    let folder = options.target.part_folder(options.content);
    let store = match &folder {
        Some(folder) => Some(open(folder)?),
        None => None,
    };
    let handle = start(options, store.as_ref()).await?;
    let mut taking = Taking { handle, sink: Sink::new(options, folder.clone()), taken: 0 };
    let taken = taking.run(progress, interrupt.as_mut()).await;
    let stats = taking.handle.stats.clone();
    let Taking { handle, sink, taken: bytes, .. } = taking;
    let finished = match taken {
        Ok(()) if options.seed => sink.link(store.as_deref()),
        _ => Ok(None),
    };
    let seeding = taken.is_ok() && options.seed && finished.is_ok();
    if seeding {
        progress.seeding();
        interrupt.await;
    }
    if tokio::task::spawn_blocking(move || handle.finish()).await.is_err() {
        return Err(GetError::Thread(io::ErrorKind::Other.into()));
    }
    taken?;
    // The driver renewed it when it closed.
    let stats = stats.borrow().clone();
    if let (Some(store), Some(folder)) = (&store, &folder)
        && store.has_failed()
    {
        return Err(GetError::Disk { folder: folder.clone() });
    }
    let linked = finished?;
    drop(store);
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
    match Store::open(folder) {
        Ok(store) => Ok(Arc::new(store)),
        Err(StoreError::Busy { .. }) => Err(GetError::Busy { folder: folder.into() }),
        Err(error) => Err(GetError::Store(error)),
    }
}

/// Starts the node and tells it what has arrived in earlier runs.
async fn start(options: &Options, store: Option<&Arc<Store>>) -> Result<Handle, GetError> {
    let mut config = peeredge_node::Config::new(key::random(), u64::from_le_bytes(key::random()));
    config.cache_bytes_max = options.config.cache_bytes_max.0;
    config.store_bytes_max = u64::MAX;
    config.http = options.http;
    let cap = options.config.upload_bytes_per_s_max.0;
    config.caps.upload_bytes_per_s_max = if cap == 0 { u64::MAX } else { cap };
    config.caps.connections_made_max = u32::MAX;
    let rtc = start_rtc(&options.config, &options.relay).await;
    let worker =
        store.map(|store| StoreWorker::start(store.clone())).transpose().map_err(GetError::Thread)?;
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
    sink: Sink,
    taken: u64,
}

impl Taking {
    async fn run(
        &mut self,
        progress: &mut dyn Progress,
        mut interrupt: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), GetError> {
        loop {
            let told = tokio::select! {
                told = self.handle.told.recv() => told,
                changed = self.handle.stats.changed() => {
                    if changed.is_ok() {
                        progress.stats(&self.handle.stats.borrow_and_update());
                    }
                    continue;
                }
                () = interrupt.as_mut() => return Err(GetError::Interrupted),
            };
            match told {
                Some(Output::Head { start, end, name, length, .. }) => {
                    progress.begin(&name, end - start);
                    self.sink.begin(&name, start, end, length)?;
                }
                Some(Output::Data { bytes, .. }) => {
                    self.taken += bytes.len() as u64;
                    self.sink.write(&bytes).await?;
                    progress.taken(self.taken);
                    let _ =
                        self.handle.inputs.send(Input::Pull { request: REQUEST, bytes: bytes.len() as u64 });
                }
                Some(Output::Done { .. }) => {
                    self.sink.end().await?;
                    return Ok(());
                }
                Some(Output::Failed { error, .. }) => return Err(GetError::Fetch(error)),
                Some(Output::Event(event)) => Self::note(&event),
                Some(_) => {}
                None => return Err(GetError::Thread(io::Error::other("the peer ended early"))),
            }
        }
    }

    fn note(event: &Event) {
        match event {
            Event::PeerBlamed { peer, block, .. } => {
                tracing::warn!(%peer, block, "a peer sent wrong bytes and was dropped");
            }
            Event::RelayRefused { code, detail } => tracing::warn!(code, detail, "the relay refused"),
            other => tracing::debug!(event = ?other, "peer"),
        }
    }
}
