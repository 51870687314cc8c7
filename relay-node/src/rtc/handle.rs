//! The two ends that a caller holds: commands into the driver, events out of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::driver::Driver;
use super::{RtcCommand, RtcConfig, RtcConfigError, RtcEvent};

/// Sends commands to the driver. Clones share one queue; when the last one is dropped the driver says goodbye
/// to every remote end and stops.
#[derive(Debug, Clone)]
pub struct RtcHandle {
    commands: mpsc::Sender<RtcCommand>,
    addresses: Arc<[SocketAddr]>,
    stop: Arc<Notify>,
}

impl RtcHandle {
    /// Queues a command without waiting; on failure the command comes back.
    pub fn try_send(&self, command: RtcCommand) -> Result<(), RtcCommandError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) => RtcCommandError::Full(command),
            mpsc::error::TrySendError::Closed(command) => RtcCommandError::Stopped(command),
        })
    }

    /// Queues a command, waiting for room. The driver makes room without the caller's help: it never waits for
    /// its events to be taken.
    pub async fn send(&self, command: RtcCommand) -> Result<(), RtcCommandError> {
        self.commands.send(command).await.map_err(|error| RtcCommandError::Stopped(error.0))
    }

    /// Ends the driver, whoever still holds handles or does not take its events.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// The addresses that remote ends are told, one for each socket, with the ports that were bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Why a command was not taken. It holds the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcCommandError {
    /// [`RtcConfig::commands_max`] commands are waiting.
    Full(RtcCommand),
    /// The driver has stopped.
    Stopped(RtcCommand),
}

impl fmt::Display for RtcCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => write!(f, "the command queue is full"),
            Self::Stopped(_) => write!(f, "the driver has stopped"),
        }
    }
}

impl std::error::Error for RtcCommandError {}

/// Receives the driver's events. Dropping it stops the driver.
#[derive(Debug)]
pub struct RtcEvents {
    events: mpsc::Receiver<RtcEvent>,
    room: Arc<Semaphore>,
}

impl RtcEvents {
    /// The next event; none once the driver has stopped and all events are taken. Cancel safe.
    pub async fn recv(&mut self) -> Option<RtcEvent> {
        let event = self.events.recv().await;
        self.taken(event)
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<RtcEvent> {
        let event = self.events.try_recv().ok();
        self.taken(event)
    }

    /// The next event, for callers outside any async runtime.
    pub fn blocking_recv(&mut self) -> Option<RtcEvent> {
        let event = self.events.blocking_recv();
        self.taken(event)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.events.len()
    }

    fn taken(&self, event: Option<RtcEvent>) -> Option<RtcEvent> {
        if let Some(event) = &event {
            self.room.add_permits(event_bytes(event) as usize);
        }
        event
    }
}

/// What an event counts against [`RtcConfig::event_bytes_max`].
pub(super) fn event_bytes(event: &RtcEvent) -> u32 {
    match event {
        RtcEvent::Message { message, .. } => {
            u32::try_from(message.len()).expect("messages are checked to be shorter")
        }
        _ => 0,
    }
}

/// Why the driver could not start.
#[derive(Debug)]
pub enum RtcSpawnError {
    /// The settings contradict each other.
    Config(RtcConfigError),
    /// A socket could not be bound.
    Bind {
        /// The address that was asked for.
        bind: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The thread or its runtime could not be started.
    Start(io::Error),
}

impl fmt::Display for RtcSpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Bind { bind, error } => write!(f, "cannot bind UDP {bind}: {error}"),
            Self::Start(error) => write!(f, "cannot start the WebRTC driver: {error}"),
        }
    }
}

impl std::error::Error for RtcSpawnError {}

/// Binds the sockets and starts the driver on a thread of its own. Needs no async runtime around it.
pub fn spawn(config: RtcConfig) -> Result<(RtcHandle, RtcEvents), RtcSpawnError> {
    config.check().map_err(RtcSpawnError::Config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(RtcSpawnError::Start)?;
    let (commands_in, commands) = mpsc::channel(config.commands_max);
    let (events, events_out) = mpsc::channel(config.events_max);
    let room = Arc::new(Semaphore::new(config.event_bytes_max));
    let stop = Arc::new(Notify::new());
    let bound = {
        let _inside = runtime.enter();
        Driver::bind(config, commands, events, room.clone(), stop.clone())
    };
    let driver = match bound {
        Ok(driver) => driver,
        Err(error) => {
            // Dropping a runtime waits for its threads, which panics where the caller is in a runtime itself.
            runtime.shutdown_background();
            return Err(error);
        }
    };
    let addresses = driver.addresses().into();
    thread::Builder::new()
        .name("peeredge-rtc".into())
        .spawn(move || runtime.block_on(driver.run()))
        .map_err(RtcSpawnError::Start)?;
    Ok((RtcHandle { commands: commands_in, addresses, stop }, RtcEvents { events: events_out, room }))
}
