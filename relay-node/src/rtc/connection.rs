//! One connection: a str0m instance, the queue in front of it, and the credit that bounds that queue.
//!
//! No socket and no clock in here: the driver brings packets and the time, and takes packets and events away.
//! str0m wants its outputs drained after each change, so every method that changes it ends in [`Connection::drain`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::DtlsCert;
use str0m::net::{Receive, Transmit};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcError};

use super::flow::{Burst, Flow};
use super::signal::{CandidateUse, Signal, SignalError, judge_candidate};
use super::{CHANNEL_ID, CHANNEL_LABEL, CloseReason, ConnectionId, Role, RtcConfig, RtcEvent};

/// What the stack aims at for a datagram, of which it uses 23 bytes less. Where loss is the limit, what a connection carries is in
/// proportion to what a packet carries, and the stack's default makes 16 of a symbol of 16 KiB. This makes 14, with 1,267 bytes each in
/// IPv4; and where a path may be IPv6, which carries no more than 1,280 everywhere (RFC 8200 section 5), 15 of 1,277 at most, as
/// browsers do.
const DATAGRAM_BYTES: usize = 1_262;
const DATAGRAM_BYTES_IPV6: usize = 1_252;

/// How often the round trip is told.
const ROUND_TRIP_EVERY: Duration = Duration::from_secs(1);

/// Where a connection puts what it has for others.
#[derive(Default)]
pub(super) struct Outbox {
    pub packets: Vec<Transmit>,
    pub events: Vec<RtcEvent>,
}

pub(super) struct Connection {
    id: ConnectionId,
    role: Role,
    rtc: Rtc,
    channel: ChannelId,
    pending_offer: Option<SdpPendingOffer>,
    described: bool,
    /// Candidates that overtook their description.
    early_candidates: Vec<Candidate>,
    candidates: usize,
    opened_at: Option<Instant>,
    created_at: Instant,
    heard_at: Instant,
    /// When str0m wants to be woken.
    wake_at: Instant,
    queue: VecDeque<Vec<u8>>,
    queue_bytes: u64,
    flow: Flow,
    burst: Burst,
    /// Packets that the burst did not let go yet.
    held: VecDeque<Transmit>,
    /// When the flow lets the next message go.
    paced_until: Option<Instant>,
    /// Taken from the caller and not yet given back as credit.
    spent_bytes: u64,
    limits: Limits,
}

/// The part of the configuration that a connection needs.
#[derive(Clone, Copy)]
struct Limits {
    message_bytes_max: u64,
    send_credit_bytes: u64,
    signal_bytes_max: usize,
    remote_candidates_max: usize,
    connect_timeout: std::time::Duration,
    silence_max: std::time::Duration,
    /// Credit goes back in portions, so that small messages do not cost an event each.
    credit_portion_bytes: u64,
}

/// How remote ends reach the sockets.
pub(super) struct Reached<'a> {
    /// The sockets' own addresses.
    pub addresses: &'a [SocketAddr],
    /// A socket's address, and the one under which a translator shows it.
    pub seen: &'a [(SocketAddr, SocketAddr)],
}

impl Connection {
    /// Starts a connection; an offerer's offer goes to the outbox.
    pub fn open(
        id: ConnectionId,
        role: Role,
        config: &RtcConfig,
        certificate: &DtlsCert,
        reached: Reached<'_>,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Result<Connection, CloseReason> {
        let message_bytes_max = config.message_bytes_max as u64;
        let is_ipv4 = reached.addresses.iter().all(SocketAddr::is_ipv4);
        let datagram_bytes = if is_ipv4 { DATAGRAM_BYTES } else { DATAGRAM_BYTES_IPV6 };
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .set_ice_lite(config.ice_lite)
            .set_stats_interval(Some(ROUND_TRIP_EVERY))
            .set_mtu(datagram_bytes..=str0m::DATAGRAM_MTU_WARN)
            .set_dtls_cert(certificate.clone())
            .set_sctp_max_message_size(config.message_bytes_max as u32)
            // The queue here decides what goes into str0m; its own limit only must not refuse that.
            .set_sctp_max_buffered_amount(config.in_flight_bytes_max + config.message_bytes_max)
            .build(now);
        for address in reached.addresses {
            let candidate =
                Candidate::host(*address, "udp").map_err(|error| CloseReason::Stack(error.to_string()))?;
            rtc.add_local_candidate(candidate);
        }
        for (address, seen) in reached.seen {
            // One that the stack does not want is no loss: the others stay.
            if let Ok(candidate) = Candidate::server_reflexive(*seen, *address, "udp") {
                rtc.add_local_candidate(candidate);
            }
        }
        let channel_config = ChannelConfig {
            label: CHANNEL_LABEL.into(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: Some(CHANNEL_ID),
            protocol: String::new(),
        };
        let (channel, pending_offer) = match role {
            Role::Offerer => {
                let mut changes = rtc.sdp_api();
                let channel = changes.add_channel_with_config(channel_config);
                let (offer, pending) = changes.apply().expect("adding a channel is a change");
                let signal = Signal::Offer { sdp: offer.to_sdp_string() }.to_blob();
                outbox.events.push(RtcEvent::Signal { connection: id, signal });
                (channel, Some(pending))
            }
            Role::Answerer => (rtc.direct_api().create_data_channel(channel_config), None),
        };
        let mut connection = Connection {
            id,
            role,
            rtc,
            channel,
            pending_offer,
            described: false,
            early_candidates: Vec::new(),
            candidates: 0,
            opened_at: None,
            created_at: now,
            heard_at: now,
            wake_at: now,
            queue: VecDeque::new(),
            queue_bytes: 0,
            flow: Flow::new(config.in_flight_bytes_min as u64, config.in_flight_bytes_max as u64, now),
            burst: Burst::new(config.in_flight_bytes_min as u64, now),
            held: VecDeque::new(),
            paced_until: None,
            spent_bytes: 0,
            limits: Limits {
                message_bytes_max,
                send_credit_bytes: config.send_credit_bytes,
                signal_bytes_max: config.signal_bytes_max,
                remote_candidates_max: config.remote_candidates_max,
                connect_timeout: config.connect_timeout,
                silence_max: config.silence_max,
                credit_portion_bytes: (config.send_credit_bytes / 8).max(1),
            },
        };
        connection.drain(outbox)?;
        Ok(connection)
    }

    /// Offers one more address under which a socket is seen.
    pub fn add_seen(
        &mut self,
        address: SocketAddr,
        seen: SocketAddr,
        outbox: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let Ok(candidate) = Candidate::server_reflexive(seen, address, "udp") else { return Ok(()) };
        if let Some(added) = self.rtc.add_local_candidate(candidate) {
            let candidate = added.to_sdp_string();
            let signal = Signal::Candidate { candidate, mid: Some("0".into()) }.to_blob();
            outbox.events.push(RtcEvent::Signal { connection: self.id, signal });
        }
        self.drain(outbox)
    }

    /// The name that connectivity checks to this connection carry.
    pub fn ice_name(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Whether a packet is for this connection. Checks its credentials, not only its name.
    pub fn accepts(&self, input: &Input<'_>) -> bool {
        self.rtc.accepts(input)
    }

    /// Whether the channel has opened.
    pub fn is_open(&self) -> bool {
        self.opened_at.is_some()
    }

    /// When [`Connection::wake`] is due.
    pub fn wake_at(&self) -> Instant {
        let deadline = match self.opened_at {
            None => self.created_at + self.limits.connect_timeout,
            Some(_) => self.heard_at + self.limits.silence_max,
        };
        let mut wake_at = self.wake_at.min(deadline);
        if !self.held.is_empty() {
            wake_at = wake_at.min(self.burst.try_again_at());
        }
        self.paced_until.map_or(wake_at, |paced_until| wake_at.min(paced_until))
    }

    /// Time has come.
    pub fn wake(&mut self, now: Instant, outbox: &mut Outbox) -> Result<(), CloseReason> {
        match self.opened_at {
            None if now >= self.created_at + self.limits.connect_timeout => {
                return Err(CloseReason::ConnectTimeout);
            }
            Some(_) if now >= self.heard_at + self.limits.silence_max => return Err(CloseReason::Lost),
            _ => {}
        }
        self.release(now, 0, outbox);
        self.rtc.handle_input(Input::Timeout(now)).map_err(stack)?;
        self.drain(outbox)?;
        self.fill(now, outbox)
    }

    /// A packet that this connection accepts has come.
    pub fn receive(
        &mut self,
        now: Instant,
        packet: Receive<'_>,
        outbox: &mut Outbox,
    ) -> Result<(), CloseReason> {
        self.heard_at = now;
        self.release(now, 0, outbox);
        self.rtc.handle_input(Input::Receive(now, packet)).map_err(stack)?;
        self.drain(outbox)?;
        self.fill(now, outbox)
    }

    /// A signal from the remote end has come.
    pub fn signal(&mut self, now: Instant, blob: &[u8], outbox: &mut Outbox) -> Result<(), CloseReason> {
        let signal = Signal::parse(blob, self.limits.signal_bytes_max).map_err(CloseReason::Signal)?;
        self.rtc.handle_input(Input::Timeout(now)).map_err(stack)?;
        self.drain(outbox)?;
        match signal {
            Signal::Offer { sdp } => self.accept_offer(&sdp, outbox)?,
            Signal::Answer { sdp } => self.accept_answer(&sdp, outbox)?,
            Signal::Candidate { candidate, .. } => self.accept_candidate(&candidate)?,
        }
        self.drain(outbox)?;
        self.rtc.handle_input(Input::Timeout(now)).map_err(stack)?;
        self.drain(outbox)
    }

    fn accept_offer(&mut self, sdp: &str, outbox: &mut Outbox) -> Result<(), CloseReason> {
        if self.role != Role::Answerer || self.described {
            return Err(CloseReason::Signal(SignalError::OutOfOrder));
        }
        let offer = SdpOffer::from_sdp_string(sdp).map_err(refused)?;
        let answer = self.rtc.sdp_api().accept_offer(offer).map_err(refused)?;
        let signal = Signal::Answer { sdp: answer.to_sdp_string() }.to_blob();
        outbox.events.push(RtcEvent::Signal { connection: self.id, signal });
        self.described(outbox)
    }

    fn accept_answer(&mut self, sdp: &str, outbox: &mut Outbox) -> Result<(), CloseReason> {
        let Some(pending) = self.pending_offer.take() else {
            return Err(CloseReason::Signal(SignalError::OutOfOrder));
        };
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(refused)?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(refused)?;
        self.described(outbox)
    }

    fn described(&mut self, outbox: &mut Outbox) -> Result<(), CloseReason> {
        self.described = true;
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.drain(outbox)?;
            self.rtc.add_remote_candidate(candidate);
        }
        Ok(())
    }

    fn accept_candidate(&mut self, attribute: &str) -> Result<(), CloseReason> {
        let CandidateUse::Add(candidate) = judge_candidate(attribute).map_err(CloseReason::Signal)? else {
            return Ok(());
        };
        if self.candidates == self.limits.remote_candidates_max {
            return Ok(());
        }
        self.candidates += 1;
        if self.described {
            self.rtc.add_remote_candidate(*candidate);
        } else {
            self.early_candidates.push(*candidate);
        }
        Ok(())
    }

    /// The caller sends a message.
    pub fn send(&mut self, now: Instant, message: Vec<u8>, outbox: &mut Outbox) -> Result<(), CloseReason> {
        let message_bytes = message.len() as u64;
        let bytes_max = self.limits.message_bytes_max;
        if message_bytes == 0 || message_bytes > bytes_max {
            return Err(CloseReason::MessageSize { message_bytes, bytes_max });
        }
        let credit_bytes = match self.opened_at {
            Some(_) => self.limits.send_credit_bytes - self.spent_bytes,
            None => 0,
        };
        if message_bytes > credit_bytes {
            return Err(CloseReason::CreditExceeded { credit_bytes, message_bytes });
        }
        self.spent_bytes += message_bytes;
        self.queue_bytes += message_bytes;
        self.queue.push_back(message);
        // Only a first message can find the stack idle; with others waiting, something else keeps it going.
        if self.queue.len() == 1 {
            self.release(now, 0, outbox);
            self.rtc.handle_input(Input::Timeout(now)).map_err(stack)?;
            self.drain(outbox)?;
            self.fill(now, outbox)?;
        }
        Ok(())
    }

    /// Says goodbye, as far as the remote end can hear it.
    pub fn close(&mut self, outbox: &mut Outbox) {
        if self.opened_at.is_none() || self.rtc.close().is_err() {
            self.rtc.disconnect();
            return;
        }
        outbox.packets.extend(self.held.drain(..));
        // What the remote end still says no longer matters: its events are drained and dropped.
        while let Ok(output) = self.rtc.poll_output() {
            match output {
                Output::Transmit(packet) => outbox.packets.push(packet),
                Output::Event(_) => {}
                Output::Timeout(_) => break,
            }
        }
    }

    /// Moves messages from the queue into the stack while little enough is in flight, and gives credit back.
    fn fill(&mut self, now: Instant, outbox: &mut Outbox) -> Result<(), CloseReason> {
        if self.spent_bytes == 0 {
            return Ok(());
        }
        let Some(mut channel) = self.rtc.channel(self.channel) else {
            return Ok(());
        };
        let mut in_flight_bytes = channel.buffered_amount() as u64;
        let acknowledged_bytes = self.flow.in_flight(now, in_flight_bytes);
        self.release(now, acknowledged_bytes, outbox);
        self.paced_until = None;
        while let Some(message) = self.queue.front() {
            let message_bytes = message.len() as u64;
            if let Err(paced_until) = self.flow.may_write(now, in_flight_bytes, message_bytes) {
                self.paced_until = paced_until;
                break;
            }
            let Some(mut channel) = self.rtc.channel(self.channel) else {
                break;
            };
            if !channel.write(true, message).map_err(stack)? {
                break;
            }
            self.flow.wrote(now, message_bytes);
            in_flight_bytes += message_bytes;
            self.queue_bytes -= message_bytes;
            self.queue.pop_front();
            self.drain(outbox)?;
        }
        let back_bytes = self.spent_bytes.saturating_sub(self.queue_bytes + in_flight_bytes);
        let all_back = back_bytes == self.spent_bytes;
        if back_bytes >= self.limits.credit_portion_bytes || (all_back && back_bytes > 0) {
            self.spent_bytes -= back_bytes;
            outbox.events.push(RtcEvent::Credit { connection: self.id, bytes: back_bytes });
        }
        Ok(())
    }

    fn transmit(&mut self, packet: Transmit, outbox: &mut Outbox) {
        // Connectivity checks are small, rare and urgent (RFC 7983 tells them by their first byte).
        let check = packet.contents.first().is_some_and(|first| *first <= 3);
        if check || (self.held.is_empty() && self.burst.take(packet.contents.len())) {
            outbox.packets.push(packet);
        } else {
            self.held.push_back(packet);
        }
    }

    fn release(&mut self, now: Instant, acknowledged_bytes: u64, outbox: &mut Outbox) {
        self.burst.refill(now, acknowledged_bytes);
        while let Some(packet) = self.held.front() {
            if !self.burst.take(packet.contents.len()) {
                return;
            }
            outbox.packets.extend(self.held.pop_front());
        }
    }

    /// Takes everything out of str0m until it asks to be woken.
    fn drain(&mut self, outbox: &mut Outbox) -> Result<(), CloseReason> {
        loop {
            match self.rtc.poll_output().map_err(stack)? {
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return Ok(());
                }
                Output::Transmit(packet) => self.transmit(packet, outbox),
                Output::Event(event) => self.on_event(event, outbox)?,
            }
        }
    }

    fn on_event(&mut self, event: Event, outbox: &mut Outbox) -> Result<(), CloseReason> {
        let connection = self.id;
        match event {
            Event::ChannelOpen(channel, _) if channel == self.channel => {
                self.opened_at = Some(self.heard_at);
                outbox.events.push(RtcEvent::Opened { connection });
                let bytes = self.limits.send_credit_bytes;
                outbox.events.push(RtcEvent::Credit { connection, bytes });
            }
            Event::ChannelData(data) if data.id == self.channel => {
                if !data.binary {
                    return Err(CloseReason::TextMessage);
                }
                outbox.events.push(RtcEvent::Message { connection, message: data.data });
            }
            Event::ChannelOpen(..) | Event::ChannelData(_) => return Err(CloseReason::ForeignChannel),
            Event::PeerStats(stats) if self.opened_at.is_some() => {
                let time = stats.selected_candidate_pair.and_then(|pair| pair.current_round_trip_time);
                outbox.events.extend(time.map(|time| RtcEvent::RoundTrip { connection, time }));
            }
            Event::ChannelClose(channel) if channel == self.channel => return Err(CloseReason::Remote),
            Event::Closed => return Err(CloseReason::Remote),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) if self.opened_at.is_some() => {
                return Err(CloseReason::Lost);
            }
            _ => {}
        }
        Ok(())
    }
}

fn stack(error: RtcError) -> CloseReason {
    CloseReason::Stack(error.to_string())
}

fn refused(error: impl std::fmt::Display) -> CloseReason {
    CloseReason::Signal(SignalError::Description(error.to_string()))
}
