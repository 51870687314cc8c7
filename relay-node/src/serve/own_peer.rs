//! The relay's own peer, which seeds what the store holds: started, watched, and started anew when it stands still or ends.

use super::ServeError;
use super::key;
use super::udp;
use crate::config::Config;
use crate::http::App;
use crate::peer::{Driver, Gate, GateSettings, Handle, Parts, RelayLink};
use crate::rtc::{self, RtcConfig, RtcEvents, RtcHandle, RtcSocket, RtcSpawnError};
use crate::store::StoreWorker;
use crate::tasks::Desk;
use peeredge_hvm::Limits;
use peeredge_hvm::task::PAGE_BYTES;
use peeredge_node::{Event, Input, Node, Output};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// A part that cannot be started anew is tried again after this.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long a stopping relay waits for its own peer's store.
pub(super) const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// Connections that the node counts beyond its places, so that the gate chooses who gives way and not the node.
const BEYOND: u32 = 64;

/// What the peer is made of, each time.
pub(super) struct OwnPeer {
    app: Arc<App>,
    secret: [u8; 32],
    /// The sockets with the ports that were taken at first, so that the next ones are the same.
    sockets: Vec<RtcSocket>,
    /// What others have for the node, whichever it is.
    inputs: mpsc::UnboundedReceiver<Input>,
    desk: Option<Desk>,
    /// Ends WebRTC though the loop that holds it may stand still.
    rtc: Option<RtcHandle>,
}

/// The node's settings.
pub(super) fn node_config(config: &Config, secret: [u8; 32]) -> peeredge_node::Config {
    let mut node = peeredge_node::Config::new(secret, u64::from_le_bytes(key::random()));
    node.cache_bytes_max = config.cache_bytes_max.0;
    // What is published stays: the quota is kept where contents come in.
    node.store_bytes_max = u64::MAX;
    node.http = false;
    let cap = config.upload_bytes_per_s_max.0;
    node.caps.upload_bytes_per_s_max = if cap == 0 { u64::MAX } else { cap };
    let connections_max = config.rtc_connections_max.saturating_add(BEYOND);
    node.caps.connections_max = u16::try_from(connections_max).unwrap_or(u16::MAX);
    node.caps.connections_made_max = u32::MAX;
    node
}

/// WebRTC's sockets, bound for the first time.
type Rtc = (RtcHandle, RtcEvents);

fn rtc_config(app: &App, sockets: Vec<RtcSocket>) -> RtcConfig {
    let mut rtc = RtcConfig::new(sockets);
    rtc.ice_lite = true;
    // The gate counts; this only must not be what refuses.
    rtc.connections_max = app.config.rtc_connections_max.saturating_add(BEYOND) as usize;
    rtc.pulse = app.pulses.rtc.clone();
    rtc
}

impl OwnPeer {
    /// Starts it for the first time, so that what is wrong with settings and ports ends the start of the relay.
    pub(super) fn start(
        app: Arc<App>,
        secret: [u8; 32],
        node: Node,
    ) -> Result<(OwnPeer, mpsc::UnboundedSender<Input>, Handle), ServeError> {
        let mut sockets = udp::rtc_sockets(&app.config);
        let rtc = match app.config.rtc {
            true => Some(udp::start_rtc(&app.config, &mut sockets, |sockets| rtc_config(&app, sockets))?),
            false => None,
        };
        let (stable, inputs) = mpsc::unbounded_channel();
        let desk = referee(&stable, &app)?;
        let mut own = OwnPeer { app, secret, sockets, inputs, desk, rtc: None };
        let handle = own.spawn(node, rtc)?;
        Ok((own, stable, handle))
    }

    fn spawn(&mut self, node: Node, rtc: Option<Rtc>) -> Result<Handle, ServeError> {
        self.rtc = rtc.as_ref().map(|(handle, _)| handle.clone());
        let app = &self.app;
        let store = StoreWorker::start(app.store.clone()).map_err(ServeError::Thread)?;
        let relay = RelayLink::Local(app.hub.clone(), app.owners.clone());
        let gate = GateSettings::new(app.config.rtc_connections_max as usize);
        let parts = Parts {
            rtc,
            store: Some(store),
            gate: Some(Gate::new(gate, app.owners.clone())),
            pulse: app.pulses.peer.clone(),
            ..Parts::new(node, relay)
        };
        let handle = Driver::spawn(parts).map_err(ServeError::Thread)?;
        for (content, state) in app.store.states().map_err(ServeError::Store)? {
            // Fails only when the thread has ended, which the log shows.
            let _ = handle.inputs.send(Input::Stored { content, state });
        }
        Ok(handle)
    }

    fn start_again(&mut self) -> Result<Handle, ServeError> {
        let rtc = match self.app.config.rtc {
            true => Some(self.rtc_again()?),
            false => None,
        };
        let node = Node::new(node_config(&self.app.config, self.secret));
        let handle = self.spawn(node, rtc)?;
        // The new node knows nothing of what the old one offered.
        if let Some(desk) = &self.desk {
            offer(desk, &self.app.config);
        }
        Ok(handle)
    }

    fn rtc_again(&self) -> Result<Rtc, ServeError> {
        match rtc::spawn(rtc_config(&self.app, self.sockets.clone())) {
            // A thread that stands still keeps its sockets. Peers are told the port with each offer, so any will do, as far as a
            // firewall lets it.
            Err(RtcSpawnError::Bind { bind, error }) => {
                tracing::warn!(%bind, %error, "WebRTC's port is not free again: another one is used until then");
                let mut sockets = self.sockets.clone();
                sockets.iter_mut().for_each(|socket| socket.bind.set_port(0));
                rtc::spawn(rtc_config(&self.app, sockets)).map_err(ServeError::Rtc)
            }
            other => other.map_err(ServeError::Rtc),
        }
    }

    /// Keeps it running, and its picture current, until the relay stops; then closes it.
    pub(super) async fn run(mut self, handle: Handle) {
        let app = self.app.clone();
        let mut running = Some(handle);
        let mut stopped = pin!(app.stopped());
        loop {
            let Some(mut handle) = running.take() else {
                tokio::select! {
                    () = tokio::time::sleep(RETRY_EVERY) => {}
                    () = &mut stopped => return,
                }
                match self.start_again() {
                    Ok(handle) => {
                        tracing::info!("the relay's own peer was started anew");
                        running = Some(handle);
                    }
                    Err(error) => tracing::error!(%error, "the relay's own peer cannot be started anew"),
                }
                continue;
            };
            let stops = tokio::select! {
                () = self.watch(&mut handle) => false,
                () = &mut stopped => true,
            };
            if stops {
                let finishing = tokio::task::spawn_blocking(move || handle.finish());
                return match tokio::time::timeout(FINISH_WITHIN, finishing).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => tracing::error!("closing the relay's own peer panicked"),
                    Err(_) => tracing::error!("the relay's own peer did not end in time"),
                };
            }
            app.ready.store(false, Ordering::Release);
            handle.abandon();
            if let Some(rtc) = self.rtc.take() {
                rtc.stop();
            }
            app.pulses.peer.rest();
            app.pulses.rtc.rest();
            app.pulses.rtc.restarted();
            app.pulses.peer.restarted();
        }
    }

    /// Returns when the peer ended or stands still.
    async fn watch(&mut self, handle: &mut Handle) {
        let app = self.app.clone();
        loop {
            tokio::select! {
                told = handle.told.recv() => {
                    let Some(output) = told else {
                        return tracing::error!("the relay's own peer ended");
                    };
                    let rest = match &self.desk {
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
                input = self.inputs.recv() => {
                    // The senders live as long as the relay; the node may end first, which `told` says.
                    if let Some(input) = input {
                        let _ = handle.inputs.send(input);
                    }
                }
                changed = handle.stats.changed() => {
                    if changed.is_ok() {
                        *app.node.write().expect("no holder panics") = handle.stats.borrow_and_update().clone();
                    }
                }
                () = app.pulses.peer.to_restart() => return,
                () = app.pulses.rtc.to_restart() => return,
            }
        }
    }
}

/// The relay's own peer as the judge of tasks.
fn referee(inputs: &mpsc::UnboundedSender<Input>, app: &Arc<App>) -> Result<Option<Desk>, ServeError> {
    let slots = app.config.task_slots.min(64) as u8;
    if slots == 0 {
        return Ok(None);
    }
    let desk = Desk::new(inputs.clone(), app.store.clone(), usize::from(slots), 1000);
    let desk = desk.map_err(|error| ServeError::Thread(io::Error::other(error.to_string())))?;
    desk.set_deadline(app.config.task_timeout_ms.duration());
    offer(&desk, &app.config);
    Ok(Some(desk))
}

fn offer(desk: &Desk, config: &Config) {
    let pages = config.task_memory_bytes_max.0 / PAGE_BYTES as u64;
    desk.offer(config.task_slots.min(64) as u8, pages.min(Limits::MEMORY_PAGES_MAX.into()) as u32);
}
