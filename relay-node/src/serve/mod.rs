//! The relay: opens the store, starts the tracker, the relay's own peer and the listener, and takes all down again.

mod inbox;
pub mod key;
mod listen;

pub use listen::bind;

use crate::config::Config;
use crate::http::{App, SocketLimits};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use peeredge_node::Node;
use peeredge_tracker::TrackerConfig;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// A publisher without a relay has the store open while it imports; a relay that starts meanwhile waits so long.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

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
            ServeError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Runs until `stop` resolves, then takes everything down in order. Needs a runtime with several threads.
pub async fn serve(config: Config, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
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
    let node = Node::new(peeredge_node::Config::new(secret, 0));
    let mut tracker = TrackerConfig::new(node.id(), key::random());
    // The relay's own peer is one more.
    tracker.peers_max = config.peers_max as usize + 1;
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
    let (imported, _) = mpsc::unbounded_channel();
    inbox::watch(app.clone(), imported).map_err(ServeError::Thread)?;
    app.ready.store(true, Ordering::Release);
    tracing::info!(bind = %app.config.bind, url = app.config.public_url(), data = %root.display(), "relay is up");
    let listening = tokio::spawn(listen::run(listener, app.clone()));
    stop.await;
    tracing::info!("stopping");
    stopping_in.send_replace(true);
    app.hub.shutdown().await;
    if listening.await.is_err() {
        tracing::error!("the listener panicked");
    }
    Ok(())
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
