//! The relay: opens the store, starts the tracker, the relay's own peer and the listener, and takes all down again.

mod descriptors;
mod inbox;
pub mod key;
mod listen;
mod own_peer;
mod patient;
pub mod seats;
mod udp;

pub use listen::bind;

use crate::config::Config;
use crate::http::{self, App};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::own_file;
use crate::owner::Pace;
use crate::pulse::{self, Patience, Pulses};
use crate::rtc::RtcSpawnError;
use crate::store::{Store, StoreError};
use listen::Door;
use own_peer::OwnPeer;
use peeredge_node::Node;
use peeredge_tracker::{AheadSettings, TrackerConfig};
use seats::{SeatLimits, Seats};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A publisher without a relay has the store open while it imports; a relay that starts meanwhile waits so long.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Where a running relay notes its public address, below its data folder.
pub const URL_FILE: &str = "relay.url";
/// And the address of its operator's port.
pub const ADMIN_FILE: &str = "relay.admin";

/// How long the tracker may take to say goodbye to everybody.
const GOODBYES_WITHIN: Duration = Duration::from_secs(2);

/// Why the relay could not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address is taken or not this machine's.
    Bind {
        /// The setting that names it.
        setting: &'static str,
        /// Which.
        bind: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A UDP port is taken or not this machine's.
    Udp {
        /// What it is for.
        what: &'static str,
        /// The setting that changes it.
        setting: &'static str,
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
    /// The limit of open files leaves no room for anybody.
    Descriptors {
        /// How many there are.
        limit: u64,
    },
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Bind { setting, bind, error } => {
                write!(f, "cannot listen on {bind} (setting {setting}): {error}")
            }
            ServeError::Udp { what, setting, bind, error } => {
                write!(
                    f,
                    "cannot use UDP port {} of {} for {what} (setting {setting}): {error}",
                    bind.port(),
                    bind.ip()
                )
            }
            ServeError::Store(error) => write!(f, "{error}"),
            ServeError::Key { path, error } => write!(f, "key {}: {error}", path.display()),
            ServeError::Demo { path, error } => write!(f, "demo_dir {}: {error}", path.display()),
            ServeError::Rtc(error) => write!(f, "{error}"),
            ServeError::Descriptors { limit } => {
                let needed = descriptors::NEEDED;
                write!(
                    f,
                    "the limit of open files is {limit}, and a relay needs {needed}: raise it (ulimit -n)"
                )
            }
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
    let descriptors = descriptors::raise();
    if descriptors < descriptors::NEEDED {
        return Err(ServeError::Descriptors { limit: descriptors });
    }
    store.keep_open(descriptors::for_contents(descriptors));
    let listener = listen::bind(config.bind).map_err(|error| ServeError::Bind {
        setting: "bind",
        bind: config.bind,
        error,
    })?;
    // Port 0 takes a free one; from here on everything names the one that was taken.
    config.bind = listener.local_addr().map_err(|error| ServeError::Bind {
        setting: "bind",
        bind: config.bind,
        error,
    })?;
    let mut listeners = vec![listener];
    for &bind in &config.bind_more {
        let failed = |error| ServeError::Bind { setting: "bind_more", bind, error };
        listeners.push(listen::bind(bind).map_err(failed)?);
    }
    let admin = bind_admin(&config)?;
    let admin_address = admin.as_ref().and_then(|listener| listener.local_addr().ok());
    let pulses = Pulses::default();
    let node = Node::new(own_peer::node_config(&config, secret));
    let mut tracker = TrackerConfig::new(node.id(), key::random());
    // The relay's own peer is one more; and the seats count, of which one may be given to another before the tracker hears of it.
    tracker.peers_max = config.peers_max as usize + 1 + 64;
    tracker.stun_port = udp::start_stun(&config, pulses.stun.clone())?;
    tracker.carry.bytes_per_s_max = u32::try_from(config.carry_bytes_per_s_max.0).unwrap_or(u32::MAX);
    tracker.carry.bytes_max = config.carry_bytes_max.0;
    tracker.carry.bytes_per_s_all_max = config.carry_bytes_per_s_all_max.0;
    tracker.owners.addresses_per_h = config.addresses_per_hour_max;
    tracker.owners.addresses_per_h_of_one = config.addresses_per_hour_max.div_ceil(3);
    tracker.owners.announces_max = config.announces_per_network_max;
    tracker.ahead = AheadSettings::of_slots(config.ahead_slot_ms);
    tracker.matching.value_per_gb = config.value_per_gb.amount();
    tracker.matching.reserve.cost_per_gb = config.egress_cost_per_gb.amount();
    if config.upload_bytes_per_s_max.0 > 0 {
        let places = config.upload_bytes_per_s_max.0 / u64::from(tracker.trust.place_bytes_per_s);
        tracker.matching.reserve.places = places.clamp(1, 10_000) as u32;
    }
    if config.tasks == "off" {
        tracker.tasks = None;
    }
    tracker.cost_classes = config.cost_classes();
    tracker.publishers = config.publishers();
    let hub = Hub::start(tracker, pulses.tracker.clone());
    let (stopping_in, stopping) = watch::channel(false);
    let connections = SeatLimits {
        all_max: descriptors::for_connections(descriptors, config.connections_max),
        per_owner_max: config.connections_per_owner_max as usize,
    };
    let sockets =
        SeatLimits { all_max: config.peers_max as usize, per_owner_max: config.peers_per_owner_max as usize };
    let pace = config.requests_per_owner_s_max;
    let app = Arc::new(App {
        metrics: Arc::new(Metrics::default()),
        sockets: Seats::new(sockets),
        requests: Seats::new(connections),
        pace: (pace > 0).then(|| Pace::new(pace, pace.saturating_mul(2))),
        owners: Arc::default(),
        pulses,
        node: Default::default(),
        ready: false.into(),
        store,
        hub,
        stopping,
        demo,
        config,
    });
    let (own, inputs, handle) = OwnPeer::start(app.clone(), secret, node)?;
    inbox::watch(app.clone(), inputs).map_err(ServeError::Thread)?;
    let patience = Patience::of(app.config.stall_ms.duration());
    pulse::watch(app.pulses.remedies(), patience, end).map_err(ServeError::Thread)?;
    let watching = tokio::spawn(own.run(handle));
    tracing::info!(
        bind = %app.config.bind,
        url = app.config.public_url(),
        admin = admin_address.map(|address| format!("http://{address}/operator")),
        data = %root.display(),
        "relay is up"
    );
    note(&root, URL_FILE, Some(&app.config.public_url()));
    note(&root, ADMIN_FILE, admin_address.map(|address| format!("http://{address}")).as_deref());
    let listening = listen_all(&app, listeners, admin, connections);
    stop.await;
    tracing::info!("stopping");
    note(&root, URL_FILE, None);
    note(&root, ADMIN_FILE, None);
    stopping_in.send_replace(true);
    // Whatever stands still must not keep the process from ending.
    if tokio::time::timeout(GOODBYES_WITHIN, app.hub.shutdown()).await.is_err() {
        tracing::error!("the tracker did not say goodbye in time");
    }
    let within = app.config.shutdown_grace_ms.duration() + GOODBYES_WITHIN;
    let ended = async {
        for listening in listening {
            if listening.await.is_err() {
                tracing::error!("a task panicked");
            }
        }
        if watching.await.is_err() {
            tracing::error!("a task panicked");
        }
    };
    if tokio::time::timeout(within + own_peer::FINISH_WITHIN, ended).await.is_err() {
        tracing::error!("something did not end in time");
    }
    Ok(())
}

/// A part that nothing can take the place of stands still: whatever supervises the process starts another one.
fn end(part: &'static str) {
    tracing::error!(
        part,
        "stands still and cannot be started anew within this process, which ends: connections, tasks under way and what the tracker counted are lost, \
         contents are on the disk"
    );
    std::process::exit(1);
}

/// One accepting loop for each port; the operator's has places of its own, so that no flood keeps the operator out.
fn listen_all(
    app: &Arc<App>,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
    connections: SeatLimits,
) -> Vec<JoinHandle<()>> {
    let router = http::router(app.clone());
    let seats = Seats::new(connections);
    let public = listeners.into_iter().enumerate().map(|(at, listener)| {
        let (seats, router) = (seats.clone(), router.clone());
        let door = Door { app: app.clone(), seats, router, is_watched: at == 0, is_paced: true };
        tokio::spawn(listen::run(listener, door))
    });
    let mut all: Vec<_> = public.collect();
    all.extend(admin.map(|listener| {
        let seats = Seats::new(SeatLimits { all_max: 64, per_owner_max: 64 });
        let router = http::admin_router(app.clone());
        let door = Door { app: app.clone(), seats, router, is_watched: false, is_paced: false };
        tokio::spawn(listen::run(listener, door))
    }));
    all
}

fn bind_admin(config: &Config) -> Result<Option<TcpListener>, ServeError> {
    let Some((bind, or_any)) = config.admin_bind() else { return Ok(None) };
    let bound = listen::bind(bind).or_else(|error| match or_any {
        true => listen::bind((bind.ip(), 0).into()),
        false => Err(error),
    });
    bound.map(Some).map_err(|error| ServeError::Bind { setting: "admin_bind", bind, error })
}

/// Leaves a note of how the running relay is reached, for publishers that print links and for its operator; or takes it away.
fn note(root: &Path, file: &str, url: Option<&str>) {
    let path = root.join(file);
    let noted = match url {
        Some(url) => own_file::replace(&path, url.as_bytes()),
        None => std::fs::remove_file(&path),
    };
    if let Err(error) = noted {
        tracing::debug!(%error, "the relay's address was not noted");
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
