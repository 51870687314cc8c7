//! The socket to the relay: proof of the key, announces, introductions and signals, and trying again when it is lost.

use crate::announcing::{ANNOUNCE_FIRST, Pace};
use crate::output::{Event, Output};
use crate::timers::Timer;
use crate::{Node, input};
use core::num::NonZeroU16;
use core::time::Duration;
use ed25519_dalek::Signer;
use peeredge_wire::relay::{ErrorCode, FromRelay, Receipt, Report, ToRelay, hello_payload};
use peeredge_wire::{ContentId, PROTOCOL_VERSION, PeerId, Time};
use std::collections::{BTreeMap, VecDeque};

const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Signals kept while the relay is away; an offer and its candidates are about ten.
const UNSENT_SIGNALS_MAX: usize = 128;
/// Receipts with one report; further ones go with the next.
const RECEIPTS_MAX: usize = 64;
/// Receipts that wait: what comes of more contents meanwhile is not credited.
const RECEIPTS_WAITING_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Connecting,
    /// The socket is open; the challenge is awaited.
    Proving,
    /// It was answered; the welcome is awaited.
    Proved,
    Ready,
}

/// What a node knows of its relay.
#[derive(Debug)]
pub(crate) struct RelayLink {
    state: State,
    retry: Duration,
    pub(crate) relay: Option<PeerId>,
    report_every: Duration,
    reported: Report,
    /// The relay's challenge on this connection: receipts are bound to it.
    nonce: [u8; 32],
    epoch: u32,
    /// The bound of the upload that the relay knows of.
    told_up: u64,
    /// What came from whom since the last report, for receipts.
    came: Vec<(PeerId, ContentId, u64)>,
    /// What the relay's own node sent of each content since the last report.
    gave: BTreeMap<ContentId, u64>,
    pub(crate) pace: Pace,
    /// Signals made while the relay was away: a handshake that it interrupts goes on when it is back.
    unsent: VecDeque<ToRelay>,
}

impl RelayLink {
    pub(crate) fn new() -> Self {
        RelayLink {
            state: State::Down,
            retry: RETRY_FIRST,
            relay: None,
            report_every: Duration::from_secs(10),
            reported: Report::default(),
            nonce: [0; 32],
            epoch: 0,
            told_up: u64::MAX,
            came: Vec::new(),
            gave: BTreeMap::new(),
            pace: Pace::default(),
            unsent: VecDeque::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Verified bytes came from a peer.
    pub(crate) fn came(&mut self, peer: PeerId, content: ContentId, bytes: u64) {
        // What comes now most likely came last.
        let known = self.came.iter().rposition(|(p, c, _)| *p == peer && *c == content);
        match known {
            Some(at) => self.came[at].2 += bytes,
            None if self.came.len() < RECEIPTS_WAITING_MAX => self.came.push((peer, content, bytes)),
            None => {}
        }
    }
}

impl Node {
    pub(crate) fn relay_connect(&mut self) {
        if self.relay.state == State::Down && !self.closing {
            self.relay.state = State::Connecting;
            self.out.push_back(Output::RelayConnect);
        }
    }

    pub(crate) fn relay_opened(&mut self) {
        if self.relay.state == State::Connecting {
            self.relay.state = State::Proving;
        }
    }

    pub(crate) fn relay_closed(&mut self) {
        if self.relay.state == State::Ready {
            self.out.push_back(Output::Event(Event::RelayLost));
            self.leases_lost();
        }
        self.relay.state = State::Down;
        self.carries_lost();
        if !self.closing {
            // Spread the returns, so that a relay that restarts is not met by all its peers in one instant.
            let jitter_micros = self.rng.below(self.relay.retry.as_micros() as u64 / 2 + 1);
            let at = self.now + self.relay.retry + Duration::from_micros(jitter_micros);
            self.timers.by(Timer::Relay, at);
            self.relay.retry = (self.relay.retry * 2).min(RETRY_MAX);
        }
    }

    pub(crate) fn relay_send(&mut self, message: ToRelay) {
        if self.relay.is_ready() {
            self.out.push_back(Output::RelaySend(message.encode()));
        }
    }

    pub(crate) fn relay_message(&mut self, frame: &[u8]) {
        // A relay that talks nonsense is left alone until the next try: there is nothing to tell it.
        let Ok(message) = FromRelay::decode(frame) else {
            self.out.push_back(Output::RelayClose);
            return self.relay_closed();
        };
        match message {
            FromRelay::Challenge { nonce, relay } if self.relay.state == State::Proving => {
                // Once: a signature is dear, and a relay could ask for them without end.
                self.relay.state = State::Proved;
                self.relay.relay = Some(relay);
                self.relay.nonce = nonce;
                let authority = self.config.relay_authority.clone();
                let signature = self.key.sign(&hello_payload(&nonce, &relay, &authority)).to_bytes();
                let hello =
                    ToRelay::Hello { version: PROTOCOL_VERSION, peer: self.id(), signature, authority };
                self.out.push_back(Output::RelaySend(hello.encode()));
            }
            FromRelay::Welcome { report_every_s, frames_per_s, frames_burst, .. }
                if self.relay.state == State::Proved =>
            {
                self.relay.pace = Pace::new(self.now, frames_per_s, frames_burst);
                self.relay_ready(Duration::from_secs(u64::from(report_every_s.max(1))));
            }
            FromRelay::Introduce { content, peer, .. } if self.relay.is_ready() => {
                self.introduced(content, peer)
            }
            FromRelay::Signal { from, session, signal } if self.relay.is_ready() => {
                self.remote_signal(from, session, signal);
            }
            FromRelay::Prefetch { content } if self.relay.is_ready() => self.prefetch(content),
            FromRelay::Release { content } if self.relay.is_ready() => self.release(content),
            FromRelay::Task(message) if self.relay.is_ready() => self.task_message(message),
            FromRelay::Unreachable { peer, session, .. } => self.unreachable(peer, session),
            FromRelay::Paths { stun_port, carried_bytes_per_s } if self.relay.is_ready() => {
                self.paths.carried_bytes_per_s = carried_bytes_per_s;
                if let Some(port) = NonZeroU16::new(stun_port).filter(|_| self.config.direct) {
                    self.out.push_back(Output::Stun { port });
                }
            }
            FromRelay::Head { publisher, name, head } if self.relay.is_ready() => {
                self.take_head(publisher, &name, &head);
            }
            FromRelay::CarryOpen { from, session, credit_bytes } if self.relay.is_ready() => {
                self.carry_opened(from, session, credit_bytes);
            }
            FromRelay::Carried { from, session, last, piece } => self.carried(from, session, last, &piece),
            FromRelay::CarryCredit { from, session, bytes } => self.carry_credit(from, session, bytes),
            FromRelay::CarryClosed { peer, session, end } => self.carry_closed(peer, session, end),
            FromRelay::AnnounceRefused { code, retry_after_ms, contents } => {
                self.announce_again(retry_after_ms, contents.iter());
                if code == ErrorCode::TooMany {
                    self.give_way(retry_after_ms, contents);
                }
                let detail = "some contents are not announced for now".into();
                self.out.push_back(Output::Event(Event::RelayRefused { code: code.name(), detail }));
            }
            FromRelay::Error { code, retry_after_ms, detail } => {
                if code == ErrorCode::TooFast {
                    let all: Vec<ContentId> = self.contents.keys().copied().collect();
                    self.announce_again(retry_after_ms, all.iter());
                }
                self.out.push_back(Output::Event(Event::RelayRefused { code: code.name(), detail }));
            }
            _ => {}
        }
    }

    fn relay_ready(&mut self, report_every: Duration) {
        self.relay.state = State::Ready;
        self.relay.retry = RETRY_FIRST;
        self.relay.report_every = report_every;
        self.timers.by(Timer::Report, self.now + report_every);
        if let Some(relay) = self.relay.relay {
            self.out.push_back(Output::Event(Event::RelayReady { relay }));
        }
        // A relay keeps nothing of a peer that went: tell it everything again.
        for content in self.contents.values_mut() {
            content.announced = None;
            content.announce_at = Time::ZERO;
            content.announce_wait = ANNOUNCE_FIRST;
        }
        self.relay.told_up = u64::MAX;
        self.tell_capacity();
        self.announce_due();
        self.ahead_untold();
        self.settle_ahead();
        self.tasks_again();
        self.tell_live();
        for signal in core::mem::take(&mut self.relay.unsent) {
            self.relay_send(signal);
        }
    }

    /// This node sent something. Only the relay's own says so.
    pub(crate) fn gave(&mut self, content: ContentId, bytes: u64) {
        if self.relay.relay == Some(self.id) {
            *self.relay.gave.entry(content).or_default() += bytes;
        }
    }

    pub(crate) fn report_due(&mut self) {
        let total = self.report_total();
        let last = core::mem::replace(&mut self.relay.reported, total);
        self.relay_send(ToRelay::Report(Report {
            sent_bytes: total.sent_bytes - last.sent_bytes,
            from_peers_bytes: total.from_peers_bytes - last.from_peers_bytes,
            from_relay_bytes: total.from_relay_bytes - last.from_relay_bytes,
            from_http_bytes: total.from_http_bytes - last.from_http_bytes,
            wasted_bytes: total.wasted_bytes - last.wasted_bytes,
            channels: total.channels,
        }));
        for (content, bytes) in core::mem::take(&mut self.relay.gave) {
            self.relay_send(ToRelay::Gave { content, bytes });
        }
        if self.relay.is_ready() {
            self.give_receipts();
            self.timers.by(Timer::Report, self.now + self.relay.report_every);
        }
    }

    fn give_receipts(&mut self) {
        let waiting = self.relay.came.len().min(RECEIPTS_MAX);
        let later = self.relay.came.split_off(waiting);
        for (sender, content, bytes) in core::mem::replace(&mut self.relay.came, later) {
            let connection = self.connections.with_peer(&sender).and_then(|id| self.connections.all.get(&id));
            let rate = connection.and_then(|c| c.rate.rate()).map_or(0, |rate| rate.bytes_per_s as u32);
            self.relay.epoch += 1;
            let epoch = self.relay.epoch;
            let mut receipt =
                Receipt { sender, content, bytes, bytes_per_s: rate, epoch, signature: [0; 64] };
            receipt.signature = self.key.sign(&receipt.payload(&self.relay.nonce)).to_bytes();
            self.relay_send(ToRelay::Receipt(receipt));
        }
    }

    /// Tells what this peer gives at most, where that is bounded.
    pub(crate) fn tell_capacity(&mut self) {
        let caps = &self.config.caps;
        let up_bytes_per_s = if caps.upload_allowed { caps.upload_bytes_per_s_max } else { 0 };
        if self.relay.is_ready()
            && core::mem::replace(&mut self.relay.told_up, up_bytes_per_s) != up_bytes_per_s
        {
            self.relay_send(ToRelay::Capacity { up_bytes_per_s, cost_class: 0 });
        }
    }

    fn report_total(&self) -> Report {
        let t = &self.totals;
        Report {
            sent_bytes: t.sent_bytes,
            from_peers_bytes: t.from_peers_bytes,
            from_relay_bytes: t.from_relay_bytes,
            from_http_bytes: t.from_http_bytes,
            wasted_bytes: t.duplicate_bytes + t.rejected_bytes,
            channels: self.connections.open_count(),
        }
    }

    pub(crate) fn close(&mut self) {
        self.closing = true;
        let requests: Vec<_> = self.requests.keys().copied().collect();
        requests.into_iter().for_each(|r| self.fail(r, crate::FetchError::Aborted));
        let contents: Vec<_> = self.contents.keys().copied().collect();
        contents.iter().for_each(|&c| self.persist(c));
        let connections: Vec<_> = self.connections.ids();
        connections.into_iter().for_each(|c| self.hang_up(c));
        self.carry_on();
        if self.relay.state != State::Down {
            self.out.push_back(Output::RelayClose);
            self.relay.state = State::Down;
        }
        self.timers.clear();
    }

    /// The shell's own signals go out as they are.
    pub(crate) fn local_signal(&mut self, connection: peeredge_wire::ConnectionId, signal: Vec<u8>) {
        if signal.len() > peeredge_wire::limits::SIGNAL_BYTES_MAX {
            return self.handle_inner(input::Input::Closed { connection });
        }
        if let Some((to, session)) = self.connections.session_of(connection) {
            let signal = ToRelay::Signal { to, session, signal };
            if self.relay.is_ready() {
                self.relay_send(signal);
            } else if self.relay.unsent.len() < UNSENT_SIGNALS_MAX {
                self.relay.unsent.push_back(signal);
            }
        }
    }
}
