//! An independent peer: the webrtc-rs stack behind the same commands and events as the native one.
//!
//! It keeps to the same contract as `peeredge_relay::rtc` as far as a test needs it: one negotiated data
//! channel a connection, the same signal blobs, credit that comes back. It is no second back end of the relay.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use peeredge_relay::rtc::signal::Signal;
use peeredge_relay::rtc::{
    CHANNEL_ID, CHANNEL_LABEL, CloseReason, ConnectionId, Role, RtcCommand, RtcEvent, SignalError,
};
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

const MESSAGE_BYTES_MAX: u32 = 262_144;
const SEND_CREDIT_BYTES: u64 = 524_288;

/// Any number of webrtc-rs connections on a runtime of their own.
pub struct WebrtcRsPeer {
    runtime: Option<tokio::runtime::Runtime>,
    commands: UnboundedSender<RtcCommand>,
    events: UnboundedReceiver<RtcEvent>,
}

impl WebrtcRsPeer {
    /// Starts a peer that keeps this much in flight on a connection.
    pub fn start(in_flight_bytes_max: usize) -> WebrtcRsPeer {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let (commands, commands_out) = unbounded_channel();
        let (events_in, events) = unbounded_channel();
        runtime.spawn(serve(commands_out, events_in, in_flight_bytes_max));
        WebrtcRsPeer { runtime: Some(runtime), commands, events }
    }

    /// Queues a command.
    pub fn tell(&self, command: RtcCommand) {
        self.commands.send(command).expect("the peer lives as long as this");
    }

    /// The next event.
    pub async fn next(&mut self) -> Option<RtcEvent> {
        self.events.recv().await
    }

    /// Stops at once: sockets close, and no goodbye is said.
    pub fn vanish(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for WebrtcRsPeer {
    fn drop(&mut self) {
        // A runtime must not be dropped where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    mut commands: UnboundedReceiver<RtcCommand>,
    events: UnboundedSender<RtcEvent>,
    in_flight_bytes_max: usize,
) {
    let mut connections: HashMap<ConnectionId, UnboundedSender<RtcCommand>> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            RtcCommand::Open { connection, role } => {
                let (orders, orders_out) = unbounded_channel();
                connections.insert(connection, orders);
                let events = events.clone();
                tokio::spawn(async move {
                    let reason = match run(connection, role, orders_out, &events, in_flight_bytes_max).await {
                        Ok(reason) | Err(reason) => reason,
                    };
                    let _ = events.send(RtcEvent::Closed { connection, reason });
                });
            }
            RtcCommand::Signal { connection, .. }
            | RtcCommand::Send { connection, .. }
            | RtcCommand::Close { connection } => {
                // A connection that is gone takes no more orders.
                if let Some(orders) = connections.get(&connection) {
                    let _ = orders.send(command);
                }
            }
            // What the machine's own interfaces are is enough here.
            RtcCommand::Stun { .. } => {}
        }
    }
}

/// Forwards what webrtc-rs calls back with.
struct Handler {
    connection: ConnectionId,
    events: UnboundedSender<RtcEvent>,
    states: UnboundedSender<RTCPeerConnectionState>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json() {
            let signal = Signal::Candidate { candidate: init.candidate, mid: Some("0".into()) };
            let _ =
                self.events.send(RtcEvent::Signal { connection: self.connection, signal: signal.to_blob() });
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.states.send(state);
    }
}

/// One connection from its opening to the reason of its end.
async fn run(
    connection: ConnectionId,
    role: Role,
    mut orders: UnboundedReceiver<RtcCommand>,
    events: &UnboundedSender<RtcEvent>,
    in_flight_bytes_max: usize,
) -> Result<CloseReason, CloseReason> {
    let (states, mut states_out) = unbounded_channel();
    let settings = SettingEngineBuilder::new()
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MESSAGE_BYTES_MAX))
        .build();
    let peer = PeerConnectionBuilder::new()
        .with_handler(Arc::new(Handler { connection, events: events.clone(), states }))
        .with_setting_engine(settings)
        .with_udp_addrs(vec!["127.0.0.1:0".to_string()])
        .with_data_channel_send_buffer_limit(in_flight_bytes_max)
        .build()
        .await
        .map_err(stack)?;
    let init = RTCDataChannelInit { negotiated: Some(CHANNEL_ID), ..RTCDataChannelInit::default() };
    let channel = peer.create_data_channel(CHANNEL_LABEL, Some(init)).await.map_err(stack)?;
    if role == Role::Offerer {
        let offer = peer.create_offer(None).await.map_err(stack)?;
        peer.set_local_description(offer).await.map_err(stack)?;
        describe(&peer, connection, events).await?;
    }
    let (messages, messages_out) = unbounded_channel();
    let sender = tokio::spawn(send_all(connection, channel.clone(), messages_out, events.clone()));
    let reason = loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(RtcCommand::Signal { signal, .. }) => accept(&peer, connection, &signal, events).await?,
                Some(RtcCommand::Send { message, .. }) => {
                    let _ = messages.send(message);
                }
                Some(RtcCommand::Close { .. }) | None => break CloseReason::Local,
                Some(RtcCommand::Open { .. }) => break CloseReason::DuplicateId,
                Some(RtcCommand::Stun { .. }) => {}
            },
            event = channel.poll() => match event {
                Some(DataChannelEvent::OnOpen) => {
                    let _ = events.send(RtcEvent::Opened { connection });
                    let _ = events.send(RtcEvent::Credit { connection, bytes: SEND_CREDIT_BYTES });
                }
                Some(DataChannelEvent::OnMessage(message)) if message.is_string => break CloseReason::TextMessage,
                Some(DataChannelEvent::OnMessage(message)) => {
                    let _ = events.send(RtcEvent::Message { connection, message: message.data.to_vec() });
                }
                Some(DataChannelEvent::OnClose) | None => break CloseReason::Remote,
                Some(_) => {}
            },
            state = states_out.recv() => match state {
                Some(RTCPeerConnectionState::Disconnected | RTCPeerConnectionState::Failed) => break CloseReason::Lost,
                Some(RTCPeerConnectionState::Closed) | None => break CloseReason::Remote,
                Some(_) => {}
            },
        }
    };
    sender.abort();
    peer.close().await.map_err(stack)?;
    Ok(reason)
}

/// Sends in order, as the stack takes it, and gives credit back.
async fn send_all(
    connection: ConnectionId,
    channel: Arc<dyn DataChannel>,
    mut messages: UnboundedReceiver<Vec<u8>>,
    events: UnboundedSender<RtcEvent>,
) {
    while let Some(message) = messages.recv().await {
        let bytes = message.len() as u64;
        if channel.send(BytesMut::from(&message[..])).await.is_err() {
            return;
        }
        let _ = events.send(RtcEvent::Credit { connection, bytes });
    }
}

async fn accept(
    peer: &impl PeerConnection,
    connection: ConnectionId,
    blob: &[u8],
    events: &UnboundedSender<RtcEvent>,
) -> Result<(), CloseReason> {
    match Signal::parse(blob, 16_384).map_err(CloseReason::Signal)? {
        Signal::Offer { sdp } => {
            let offer = RTCSessionDescription::offer(sdp).map_err(refused)?;
            peer.set_remote_description(offer).await.map_err(refused)?;
            let answer = peer.create_answer(None).await.map_err(stack)?;
            peer.set_local_description(answer).await.map_err(stack)?;
            describe(peer, connection, events).await
        }
        Signal::Answer { sdp } => {
            let answer = RTCSessionDescription::answer(sdp).map_err(refused)?;
            peer.set_remote_description(answer).await.map_err(refused)
        }
        Signal::Candidate { candidate, .. } if candidate.is_empty() => Ok(()),
        Signal::Candidate { candidate, mid } => {
            let init = RTCIceCandidateInit { candidate, sdp_mid: mid, ..RTCIceCandidateInit::default() };
            peer.add_ice_candidate(init).await.map_err(refused)
        }
    }
}

async fn describe(
    peer: &impl PeerConnection,
    connection: ConnectionId,
    events: &UnboundedSender<RtcEvent>,
) -> Result<(), CloseReason> {
    let description = peer.local_description().await.expect("it has just been set");
    let signal = serde_json::to_vec(&description).expect("a description is two strings");
    let _ = events.send(RtcEvent::Signal { connection, signal });
    Ok(())
}

fn stack(error: webrtc::error::Error) -> CloseReason {
    CloseReason::Stack(error.to_string())
}

fn refused(error: webrtc::error::Error) -> CloseReason {
    CloseReason::Signal(SignalError::Description(error.to_string()))
}
