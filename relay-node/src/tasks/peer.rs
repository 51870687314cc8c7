//! A native peer that is there for tasks only, with a store that goes with it.

use super::desk::Desk;
use crate::config::Config;
use crate::get::start_rtc;
use crate::peer::{Driver, Endpoint, HttpSource, Parts, RelayLink};
use crate::pulse::Pulse;
use crate::serve::key;
use crate::store::{Store, StoreError, StoreWorker};
use peeredge_node::{Event, Input, Node, Output};
use peeredge_wire::PeerId;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Why the peer could not start.
#[derive(Debug)]
pub enum PeerError {
    /// Its folder cannot be used.
    Store(StoreError),
    /// A thread could not be started.
    Thread(io::Error),
    /// No threads for tasks.
    Runner(peeredge_task_runner::NoThreads),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::Store(error) => write!(f, "{error}"),
            PeerError::Thread(error) => write!(f, "cannot start a thread: {error}"),
            PeerError::Runner(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PeerError {}

/// The peer, its desk, and what it says beside tasks.
pub struct NativePeer {
    /// Its key.
    pub id: PeerId,
    /// Its tasks.
    pub desk: Desk,
    /// What happens.
    pub events: mpsc::UnboundedReceiver<Event>,
    inputs: mpsc::UnboundedSender<Input>,
    thread: Option<JoinHandle<()>>,
    folder: PathBuf,
}

/// Bytes that the node keeps in memory: a task's contents are read once, and the memory is the tasks'.
const CACHE_BYTES_MAX: u64 = 8 << 20;

impl NativePeer {
    /// Starts one, with so many threads for tasks.
    ///
    /// # Errors
    /// When its folder, threads or sockets are not to be had.
    pub async fn start(
        relay: &Endpoint,
        config: &Config,
        threads: usize,
        duty_permille: u16,
    ) -> Result<Self, PeerError> {
        let folder =
            std::env::temp_dir().join(format!("peeredge-tasks-{:032x}", u128::from_le_bytes(key::random())));
        let store = Arc::new(Store::open(&folder).map_err(PeerError::Store)?);
        let mut node = peeredge_node::Config::new(key::random(), u64::from_le_bytes(key::random()));
        node.relay_authority = relay.proved();
        node.cache_bytes_max = config.cache_bytes_max.0.min(CACHE_BYTES_MAX);
        node.caps.connections_made_max = u32::MAX;
        let node = Node::new(node);
        let id = node.id();
        let mut handle = Driver::spawn(Parts {
            node,
            relay: RelayLink::Remote(relay.clone()),
            rtc: start_rtc(config, relay).await,
            store: Some(StoreWorker::start(store.clone()).map_err(PeerError::Thread)?),
            http: Some(HttpSource::new(relay.clone())),
            gate: None,
            pulse: Pulse::new("peer"),
        })
        .map_err(PeerError::Thread)?;
        let desk =
            Desk::new(handle.inputs.clone(), store, threads, duty_permille).map_err(PeerError::Runner)?;
        let (event, events) = mpsc::unbounded_channel();
        let (telling, inputs) = (desk.clone(), handle.inputs.clone());
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new()
            .name("peeredge-tasks".into())
            .spawn(move || {
                runtime.block_on(async {
                    while let Some(output) = handle.told.recv().await {
                        if let Some(Output::Event(happened)) = telling.told(output) {
                            let _ = event.send(happened);
                        }
                    }
                });
                handle.finish();
            })
            .map_err(PeerError::Thread)?;
        Ok(NativePeer { id, desk, events, inputs, thread: Some(thread), folder })
    }

    /// Closes the peer and takes its folder away. Blocks.
    pub fn finish(mut self) {
        self.desk.offer(0, 0);
        let _ = self.inputs.send(Input::Close);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the peer's thread panicked");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
