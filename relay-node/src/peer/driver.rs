//! One loop around one node: wait for anything, tell the node, do what it asks for.

use super::gate::Gate;
use super::http::HttpSource;
use super::link::{Line, RelayLink};
use crate::clock;
use crate::pulse::Pulse;
use crate::rtc::{self, RtcCommand, RtcEvent, RtcEvents, RtcHandle};
use crate::store::{StoreJob, StoreWorker};
use peeredge_node::{HttpFailure, Input, Node, Output, Role, Stats};
use peeredge_wire::{ConnectionId, PeerId, Token};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// How often the picture of the node is renewed.
const STATS_EVERY: Duration = Duration::from_millis(250);
/// How long a closing node may take to say goodbye to its relay.
const GOODBYE: Duration = Duration::from_millis(500);
/// With more events of connections waiting than this, the relay is not listened to: what it brings makes events of its own.
const EVENTS_WAITING_MAX: usize = 1024;

/// What a node is run against. Whatever is missing fails as it would in the world.
#[derive(Debug)]
pub struct Parts {
    /// The node.
    pub node: Node,
    /// Where its relay is.
    pub relay: RelayLink,
    /// WebRTC.
    pub rtc: Option<(RtcHandle, RtcEvents)>,
    /// The store, and its answers.
    pub store: Option<(StoreWorker, mpsc::UnboundedReceiver<Input>)>,
    /// Plain HTTP.
    pub http: Option<HttpSource>,
    /// Which strangers' connections are taken. All of them without.
    pub gate: Option<Gate>,
    /// Beaten at each turn of the loop.
    pub pulse: Arc<Pulse>,
}

impl Parts {
    /// A node and its relay, and nothing else.
    pub fn new(node: Node, relay: RelayLink) -> Parts {
        Parts { node, relay, rtc: None, store: None, http: None, gate: None, pulse: Pulse::new("peer") }
    }
}

/// The outside's end of a running driver.
#[derive(Debug)]
pub struct Handle {
    /// Inputs for the node: stored contents, requests, caps, close.
    pub inputs: mpsc::UnboundedSender<Input>,
    /// Everything that the node tells the page.
    pub told: mpsc::UnboundedReceiver<Output>,
    /// The node's picture, renewed four times a second.
    pub stats: watch::Receiver<Stats>,
    thread: JoinHandle<()>,
    abandon: oneshot::Sender<()>,
}

impl Handle {
    /// Closes the node and waits until its store is on the disk. Blocks.
    pub fn finish(self) {
        let _ = self.inputs.send(Input::Close);
        drop(self.inputs);
        if self.thread.join().is_err() {
            tracing::error!("the peer's thread panicked");
        }
    }

    /// Drops the loop where it waits, without goodbyes. The thread is left to itself: one that computes without end, or that the
    /// system does not let go, cannot be ended.
    pub fn abandon(self) {
        let _ = self.abandon.send(());
    }
}

/// The loop's state.
#[derive(Debug)]
pub struct Driver {
    node: Node,
    relay: RelayLink,
    line: Option<Line>,
    rtc: Option<RtcHandle>,
    rtc_events: Option<RtcEvents>,
    store: Option<StoreWorker>,
    store_answers: Option<mpsc::UnboundedReceiver<Input>>,
    http: Option<HttpSource>,
    gate: Option<Gate>,
    pulse: Arc<Pulse>,
    fetches: BTreeMap<Token, AbortHandle>,
    own: mpsc::UnboundedSender<Input>,
    own_inputs: mpsc::UnboundedReceiver<Input>,
    told: mpsc::UnboundedSender<Output>,
}

impl Driver {
    /// Runs the node on a thread of its own, with the current runtime's help, until it is told to close or its handle goes.
    pub fn spawn(parts: Parts) -> io::Result<Handle> {
        let (inputs, mut inputs_end) = mpsc::unbounded_channel();
        let (told, told_end) = mpsc::unbounded_channel();
        let (stats_in, stats) = watch::channel(Stats::default());
        let (own, own_inputs) = mpsc::unbounded_channel();
        let (rtc, rtc_events) = parts.rtc.unzip();
        let (store, store_answers) = parts.store.unzip();
        let mut driver = Driver {
            node: parts.node,
            relay: parts.relay,
            line: None,
            rtc,
            rtc_events,
            store,
            store_answers,
            http: parts.http,
            gate: parts.gate,
            pulse: parts.pulse,
            fetches: BTreeMap::new(),
            own,
            own_inputs,
            told,
        };
        let runtime = tokio::runtime::Handle::current();
        let (abandon, abandoned) = oneshot::channel();
        let thread = std::thread::Builder::new().name("peeredge-peer".into()).spawn(move || {
            let is_done = runtime.block_on(async {
                tokio::select! {
                    biased;
                    // An error says that the handle is gone, of which the loop hears itself.
                    Ok(()) = abandoned => false,
                    () = driver.run(&mut inputs_end, &stats_in) => true,
                }
            });
            // A store that stands still may be why the loop was abandoned.
            if is_done && let Some(store) = driver.store.take() {
                store.finish();
            }
            driver.pulse.rest();
        })?;
        Ok(Handle { inputs, told: told_end, stats, thread, abandon })
    }

    async fn run(&mut self, inputs: &mut mpsc::UnboundedReceiver<Input>, stats: &watch::Sender<Stats>) {
        let mut renew = tokio::time::interval(STATS_EVERY);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        self.drain().await;
        loop {
            self.pulse.beat();
            let is_crowded =
                self.rtc_events.as_ref().is_some_and(|events| events.waiting() > EVENTS_WAITING_MAX);
            let deadline = self.node.deadline().map(clock::instant);
            let input = tokio::select! {
                input = inputs.recv() => input.unwrap_or(Input::Close),
                input = next(&mut self.line, Line::next), if !is_crowded => {
                    // The task behind a closed line ends without a word only when the runtime does.
                    input.unwrap_or(Input::RelayClosed)
                }
                event = next(&mut self.rtc_events, RtcEvents::recv) => match event {
                    Some(event) => match translate(event) {
                        Some(input) => input,
                        None => continue,
                    },
                    None => {
                        tracing::error!("the WebRTC driver stopped");
                        (self.rtc, self.rtc_events) = (None, None);
                        continue;
                    }
                },
                input = next(&mut self.store_answers, mpsc::UnboundedReceiver::recv) => match input {
                    Some(input) => input,
                    None => {
                        (self.store, self.store_answers) = (None, None);
                        continue;
                    }
                },
                input = self.own_inputs.recv() => input.expect("the driver holds a sender itself"),
                () = until(deadline) => Input::Wake,
                _ = renew.tick() => {
                    stats.send_replace(self.node.stats());
                    continue;
                }
            };
            self.tell_gate(&input);
            match &input {
                Input::RelayClosed => self.line = None,
                Input::Http { token, .. } => _ = self.fetches.remove(token),
                _ => {}
            }
            let closing = input == Input::Close;
            self.node.handle(clock::now(), input);
            self.drain().await;
            if closing {
                stats.send_replace(self.node.stats());
                return self.goodbye().await;
            }
        }
    }

    /// Lets what was queued for the relay go out.
    async fn goodbye(&mut self) {
        for (_, fetch) in std::mem::take(&mut self.fetches) {
            fetch.abort();
        }
        if let Some(mut line) = self.line.take() {
            line.hang_up();
            let _ = tokio::time::timeout(GOODBYE, async { while line.next().await.is_some() {} }).await;
        }
    }

    /// Does everything that the node asks for now.
    async fn drain(&mut self) {
        while let Some(output) = self.node.poll() {
            self.act(output).await;
        }
    }

    async fn act(&mut self, output: Output) {
        match output {
            Output::RelayConnect => self.line = Some(Line::open(&self.relay)),
            Output::RelaySend(frame) => {
                if let Some(line) = &mut self.line {
                    line.send(frame);
                }
            }
            Output::RelayClose => {
                if let Some(line) = &mut self.line {
                    line.hang_up();
                }
            }
            Output::Stun { port } => self.stun_at(port),
            Output::Open { connection, role, peer } => {
                if role == Role::Answerer && !self.let_in(connection, peer).await {
                    let _ = self.own.send(Input::Closed { connection });
                    return;
                }
                if let Some(owner) = self.gate.as_ref().and_then(|gate| gate.owner(connection)) {
                    let _ = self.own.send(Input::Owner { connection, owner: owner.number() });
                }
                let role = match role {
                    Role::Offerer => rtc::Role::Offerer,
                    Role::Answerer => rtc::Role::Answerer,
                };
                if !self.command(RtcCommand::Open { connection: widen(connection), role }).await {
                    let _ = self.own.send(Input::Closed { connection });
                }
            }
            Output::Signal { connection, signal } => {
                self.command(RtcCommand::Signal { connection: widen(connection), signal }).await;
            }
            Output::Send { connection, message } => {
                if let Some(gate) = &mut self.gate {
                    gate.used(Instant::now(), connection);
                }
                self.command(RtcCommand::Send { connection: widen(connection), message }).await;
            }
            Output::Close { connection } => {
                if let Some(gate) = &mut self.gate {
                    gate.leave(connection);
                }
                self.command(RtcCommand::Close { connection: widen(connection) }).await;
            }
            Output::StoreRead { token, content, area, offset, len } => {
                match &self.store {
                    Some(store) => store.run(StoreJob::Read { token, content, area, offset, len }).await,
                    None => _ = self.own.send(Input::Read { token, bytes: None }),
                };
            }
            Output::StoreWrite { content, area, offset, bytes } => {
                match &self.store {
                    Some(store) => store.run(StoreJob::Write { content, area, offset, bytes }).await,
                    None => _ = self.own.send(Input::StoreFailed { content }),
                };
            }
            Output::StoreState { content, state } => {
                if let Some(store) = &self.store {
                    store.run(StoreJob::State { content, state }).await;
                }
            }
            Output::StoreRemove { content } => {
                if let Some(store) = &self.store {
                    store.run(StoreJob::Remove { content }).await;
                }
            }
            Output::HttpGet { token, content, resource, timeout_ms, .. } => {
                let timeout = Duration::from_millis(u64::from(timeout_ms));
                let own = self.own.clone();
                let http = self.http.clone();
                let fetch = tokio::spawn(async move {
                    let result = match http {
                        Some(http) => http.get(content, resource, timeout).await,
                        None => Err(HttpFailure::Network),
                    };
                    let _ = own.send(Input::Http { token, result });
                });
                self.fetches.insert(token, fetch.abort_handle());
            }
            Output::HttpCancel { token } => {
                if let Some(fetch) = self.fetches.remove(&token) {
                    fetch.abort();
                }
            }
            told @ (Output::Head { .. }
            | Output::Data { .. }
            | Output::Done { .. }
            | Output::Failed { .. }
            | Output::Task(_)
            | Output::Live { .. }
            | Output::Event(_)) => _ = self.told.send(told),
        }
    }

    /// Takes a place for a stranger's connection. False when there is none.
    async fn let_in(&mut self, connection: ConnectionId, peer: PeerId) -> bool {
        let Some(gate) = &mut self.gate else { return true };
        let Some(leaving) = gate.enter(Instant::now(), connection, peer) else { return false };
        for connection in leaving {
            // The node hears of its end from the stack.
            self.command(RtcCommand::Close { connection: widen(connection) }).await;
        }
        true
    }

    fn tell_gate(&mut self, input: &Input) {
        let Some(gate) = &mut self.gate else { return };
        match input {
            Input::Opened { connection, .. } => gate.opened(*connection),
            Input::Message { connection, .. } => gate.used(Instant::now(), *connection),
            Input::Closed { connection } => gate.leave(*connection),
            _ => {}
        }
    }

    /// Lets the sockets ask the relay how they are seen. A node in the relay's own process needs no one for that.
    fn stun_at(&self, port: NonZeroU16) {
        let (RelayLink::Remote(endpoint), Some(rtc)) = (&self.relay, self.rtc.clone()) else { return };
        let host = endpoint.host.clone();
        // A name server may take its time; the loop does not wait for it.
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((host.as_str(), port.get())).await;
            if let Some(server) = found.ok().and_then(|mut found| found.next()) {
                let _ = rtc.send(RtcCommand::Stun { server }).await;
            }
        });
    }

    /// False when there is no WebRTC.
    async fn command(&self, command: RtcCommand) -> bool {
        match &self.rtc {
            Some(rtc) => rtc.send(command).await.is_ok(),
            None => false,
        }
    }
}

/// The next item of a source that may be absent, which then never has one.
async fn next<S, T>(source: &mut Option<S>, take: impl AsyncFnOnce(&mut S) -> Option<T>) -> Option<T> {
    match source {
        Some(source) => take(source).await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn widen(connection: ConnectionId) -> rtc::ConnectionId {
    rtc::ConnectionId(u64::from(connection.0))
}

fn narrow(connection: rtc::ConnectionId) -> ConnectionId {
    ConnectionId(u32::try_from(connection.0).expect("the driver opens only what widen made"))
}

fn translate(event: RtcEvent) -> Option<Input> {
    Some(match event {
        RtcEvent::Signal { connection, signal } => Input::Signal { connection: narrow(connection), signal },
        // Credit follows as an event of its own.
        RtcEvent::Opened { connection } => Input::Opened { connection: narrow(connection), credit_bytes: 0 },
        RtcEvent::Message { connection, message } => {
            Input::Message { connection: narrow(connection), message }
        }
        RtcEvent::Credit { connection, bytes } => Input::Credit { connection: narrow(connection), bytes },
        RtcEvent::RoundTrip { connection, time } => {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            Input::RoundTrip { connection: narrow(connection), micros }
        }
        RtcEvent::Closed { connection, reason } => {
            tracing::debug!(connection = connection.0, %reason, "peer connection closed");
            Input::Closed { connection: narrow(connection) }
        }
    })
}
