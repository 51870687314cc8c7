//! The relay: opens the store, starts the tracker, the relay's own peer and the listener, and takes all down again.

mod inbox;
pub mod key;
mod listen;
mod patient;

pub use listen::bind;

use crate::config::Config;
use crate::http::{App, SocketLimits};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::peer::{Driver, Handle, Parts, RelayLink};
use crate::rtc::{self, RtcConfig, RtcEvents, RtcHandle, RtcSocket, RtcSpawnError};
use crate::store::{Store, StoreError, StoreWorker};
use crate::tasks::Desk;
use peeredge_hvm::Limits;
use peeredge_hvm::task::PAGE_BYTES;
use peeredge_node::{Event, Input, Node, Output};
use peeredge_tracker::{AheadSettings, TrackerConfig};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A publisher without a relay has the store open while it imports; a relay that starts meanwhile waits so long.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Where a running relay notes its public address, below its data folder.
pub const URL_FILE: &str = "relay.url";

/// Why the relay could not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address is taken or not this machine's.
    Bind {
        /// Which.
        bind: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The store cannot be opened.
    Store(StoreError),
    /// The relay's key cannot be read or made.
    Key {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The folder of static files is not there.
    Demo {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// WebRTC cannot be started.
    Rtc(RtcSpawnError),
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Bind { bind, error } => write!(f, "cannot listen on {bind}: {error}"),
            ServeError::Store(error) => write!(f, "{error}"),
            ServeError::Key { path, error } => write!(f, "key {}: {error}", path.display()),
            ServeError::Demo { path, error } => write!(f, "demo_dir {}: {error}", path.display()),
            ServeError::Rtc(error) => write!(f, "{error}"),
            ServeError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Runs until `stop` resolves, then takes everything down in order. Needs a runtime with several threads.
pub async fn serve(mut config: Config, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let root = config.data_dir();
    let store = Arc::new(open_store(&root).await.map_err(ServeError::Store)?);
    let secret =
        key::load(&root.join("key")).map_err(|error| ServeError::Key { path: root.join("key"), error })?;
    let demo = match config.demo_dir.as_os_str().is_empty() {
        true => None,
        false => Some(config.demo_dir.canonicalize().map_err(|error| {
            let path = config.demo_dir.clone();
            ServeError::Demo { path, error }
        })?),
    };
    let listener =
        listen::bind(config.bind).map_err(|error| ServeError::Bind { bind: config.bind, error })?;
    // Port 0 takes a free one; from here on everything names the one that was taken.
    config.bind = listener.local_addr().map_err(|error| ServeError::Bind { bind: config.bind, error })?;
    let rtc = start_rtc(&config).map_err(ServeError::Rtc)?;
    let node = Node::new(node_config(&config, secret));
    let mut tracker = TrackerConfig::new(node.id(), key::random());
    // The relay's own peer is one more.
    tracker.peers_max = config.peers_max as usize + 1;
    tracker.stun_port = start_stun(&config)?;
    tracker.carry.bytes_per_s_max = u32::try_from(config.carry_bytes_per_s_max.0).unwrap_or(u32::MAX);
    tracker.carry.bytes_max = config.carry_bytes_max.0;
    tracker.carry.bytes_per_s_all_max = config.carry_bytes_per_s_all_max.0;
    tracker.ahead = AheadSettings::of_slots(config.ahead_slot_ms);
    tracker.matching.value_per_gb = config.value_per_gb.amount();
    tracker.matching.reserve.cost_per_gb = config.egress_cost_per_gb.amount();
    if config.upload_bytes_per_s_max.0 > 0 {
        let places = config.upload_bytes_per_s_max.0 / u64::from(tracker.trust.place_bytes_per_s);
        tracker.matching.reserve.places = places.clamp(1, 10_000) as u32;
    }
    tracker.cost_classes = config.cost_classes();
    tracker.publishers = config.publishers();
    let hub = Hub::start(tracker);
    let (stopping_in, stopping) = watch::channel(false);
    let app = Arc::new(App {
        metrics: Arc::new(Metrics::default()),
        limits: Arc::new(SocketLimits::new(config.peers_max, config.peers_per_ip_max)),
        node: Default::default(),
        ready: false.into(),
        store,
        hub,
        stopping,
        demo,
        config,
    });
    let handle = own_peer(node, rtc, &app)?;
    inbox::watch(app.clone(), handle.inputs.clone()).map_err(ServeError::Thread)?;
    let desk = referee(&handle, &app)?;
    let watching = tokio::spawn(watch_peer(handle, desk, app.clone()));
    tracing::info!(bind = %app.config.bind, url = app.config.public_url(), data = %root.display(), "relay is up");
    note_url(&root, Some(&app.config.public_url()));
    let listening = tokio::spawn(listen::run(listener, app.clone()));
    stop.await;
    tracing::info!("stopping");
    note_url(&root, None);
    stopping_in.send_replace(true);
    app.hub.shutdown().await;
    if listening.await.is_err() || watching.await.is_err() {
        tracing::error!("a task panicked");
    }
    Ok(())
}

/// Leaves a note of how the running relay is reached, for publishers that print links; or takes it away.
fn note_url(root: &Path, url: Option<&str>) {
    let path = root.join(URL_FILE);
    let noted = match url {
        Some(url) => std::fs::write(&path, url),
        None => std::fs::remove_file(&path),
    };
    if let Err(error) = noted {
        tracing::debug!(%error, "the relay's address was not noted");
    }
}

fn node_config(config: &Config, secret: [u8; 32]) -> peeredge_node::Config {
    let mut node = peeredge_node::Config::new(secret, u64::from_le_bytes(key::random()));
    node.cache_bytes_max = config.cache_bytes_max.0;
    // What is published stays: the quota is kept where contents come in.
    node.store_bytes_max = u64::MAX;
    node.http = false;
    let cap = config.upload_bytes_per_s_max.0;
    node.caps.upload_bytes_per_s_max = if cap == 0 { u64::MAX } else { cap };
    node.caps.connections_max = u16::try_from(config.rtc_connections_max).unwrap_or(u16::MAX);
    node.caps.connections_made_max = u32::MAX;
    node
}

fn start_rtc(config: &Config) -> Result<Option<(RtcHandle, RtcEvents)>, RtcSpawnError> {
    if !config.rtc {
        return Ok(None);
    }
    let mut socket = RtcSocket::bound(config.rtc_bind());
    socket.advertised = config.rtc_public.parse().ok();
    let mut rtc = RtcConfig::new(vec![socket]);
    rtc.ice_lite = true;
    rtc.connections_max = config.rtc_connections_max as usize;
    rtc::spawn(rtc).map(Some)
}

/// Starts to answer STUN; gives the port, or 0 when nobody is to be answered.
fn start_stun(config: &Config) -> Result<u16, ServeError> {
    if !config.stun || !config.rtc {
        return Ok(0);
    }
    let (bind, or_any) = config.stun_bind();
    let failed = |error| ServeError::Bind { bind, error };
    let socket = rtc::stun::bind(bind, or_any).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    tokio::spawn(rtc::stun::answer_all(socket, rtc::StunLimits::default()));
    Ok(port)
}

/// Starts the relay's own peer, which seeds what the store holds.
fn own_peer(node: Node, rtc: Option<(RtcHandle, RtcEvents)>, app: &Arc<App>) -> Result<Handle, ServeError> {
    let store = StoreWorker::start(app.store.clone()).map_err(ServeError::Thread)?;
    let relay = RelayLink::Local(app.hub.clone());
    let handle = Driver::spawn(Parts { node, relay, rtc, store: Some(store), http: None })
        .map_err(ServeError::Thread)?;
    for (content, state) in app.store.states().map_err(ServeError::Store)? {
        // Fails only when the thread has ended, which the log shows.
        let _ = handle.inputs.send(Input::Stored { content, state });
    }
    Ok(handle)
}

/// The relay's own peer as the judge of tasks.
fn referee(handle: &Handle, app: &Arc<App>) -> Result<Option<Desk>, ServeError> {
    let slots = app.config.task_slots.min(64) as u8;
    if slots == 0 {
        return Ok(None);
    }
    let desk = Desk::new(handle.inputs.clone(), app.store.clone(), usize::from(slots), 1000);
    let desk = desk.map_err(|error| ServeError::Thread(io::Error::other(error.to_string())))?;
    let pages = app.config.task_memory_bytes_max.0 / PAGE_BYTES as u64;
    desk.set_deadline(Duration::from_millis(app.config.task_timeout_ms.0.into()));
    desk.offer(slots, pages.min(Limits::MEMORY_PAGES_MAX.into()) as u32);
    Ok(Some(desk))
}

/// Keeps the picture of the relay's own peer current until the relay stops; then closes that peer.
async fn watch_peer(mut handle: Handle, desk: Option<Desk>, app: Arc<App>) {
    let mut stopped = pin!(app.stopped());
    loop {
        tokio::select! {
            told = handle.told.recv() => {
                let Some(output) = told else {
                    app.ready.store(false, Ordering::Release);
                    return tracing::error!("the relay's own peer ended");
                };
                let rest = match &desk {
                    Some(desk) => desk.told(output),
                    None => Some(output),
                };
                match rest {
                    Some(Output::Event(Event::RelayReady { relay })) => {
                        app.ready.store(true, Ordering::Release);
                        tracing::info!(%relay, "ready");
                    }
                    Some(Output::Event(event)) => tracing::debug!(?event, "own peer"),
                    Some(_) | None => {}
                }
            }
            changed = handle.stats.changed() => {
                if changed.is_ok() {
                    *app.node.write().expect("no holder panics") = handle.stats.borrow_and_update().clone();
                }
            }
            () = &mut stopped => break,
        }
    }
    if tokio::task::spawn_blocking(move || handle.finish()).await.is_err() {
        tracing::error!("closing the relay's own peer panicked");
    }
}

async fn open_store(root: &Path) -> Result<Store, StoreError> {
    let began = Instant::now();
    loop {
        match Store::open(root) {
            Err(StoreError::Busy { .. }) if began.elapsed() < STORE_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}
