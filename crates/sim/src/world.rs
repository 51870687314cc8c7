//! The loop: the earliest event, then the next. Events of one moment happen in the order in which they were scheduled.

use crate::dice::Dice;
use crate::event::{Event, Life};
use crate::library::{Content, Store};
use crate::page::Fetch;
use crate::peer::Peer;
use crate::report::{FetchEnd, Report};
use crate::scenario::{Action, PeerSpec, Scenario};
use crate::trace::Trace;
use core::time::Duration;
use peeredge_node::{Config, Input, Node};
use peeredge_tracker::{ConnId, Tracker, TrackerConfig, TrackerInput};
use peeredge_wire::peer::{Marker, PeerMessage};
use peeredge_wire::{ContentId, RequestId, Time};
use std::collections::BTreeMap;

/// A tab that vanished is missed by the others after so long (ICE consent: RFC 7675 allows up to 30 s; Chromium says
/// "disconnected" after about 5).
const MISSED_AFTER: Duration = Duration::from_secs(5);
/// How often a page that plays looks whether it can take more.
const PLAY_GRAIN: Duration = Duration::from_millis(100);
/// No shell wakes a node more often than this.
const WAKE_GRAIN: Duration = Duration::from_micros(100);

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    pub(crate) contents: Vec<Content>,
    pub(crate) by_id: BTreeMap<ContentId, usize>,
    /// The visitors, and last the relay's own node, whose link is also the relay's.
    pub(crate) peers: Vec<Peer>,
    /// None while the relay is dead.
    pub(crate) tracker: Option<Tracker>,
    pub(crate) sockets: BTreeMap<ConnId, Life>,
    pub(crate) next_socket: u64,
    pub(crate) http_bytes: u64,
    tracker_config: TrackerConfig,
    tracker_wake: Option<Time>,
    queue: BTreeMap<(Time, u64), Event>,
    scheduled: u64,
    /// Who vanishes once which content is spread.
    departures: Vec<(usize, usize)>,
    pub(crate) walls: Vec<(usize, usize)>,
    /// Arrivals and actions still to come.
    outside: usize,
    trace: Trace,
    until: Time,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut dice = Dice::new(scenario.seed);
        let contents: Vec<Content> =
            scenario.contents.iter().map(|spec| Content::new(*spec, dice.next())).collect();
        let mut own =
            PeerSpec { config: scenario.relay.config.clone(), ..PeerSpec::new(scenario.relay.link) };
        own.publishes = (0..contents.len()).filter(|c| scenario.contents[*c].by_relay).collect();
        let peers: Vec<Peer> = scenario
            .peers
            .into_iter()
            .chain([own])
            .enumerate()
            .map(|(place, spec)| arrange(place, spec, &contents, &mut dice))
            .collect();
        let relay_id = peers.last().expect("the relay's node is always there").report().id;
        let mut seed = [0; 32];
        seed.copy_from_slice(&dice.bytes(32));
        let mut world = World {
            now: Time::ZERO,
            by_id: contents.iter().enumerate().map(|(place, content)| (content.id, place)).collect(),
            contents,
            tracker: None,
            sockets: BTreeMap::new(),
            next_socket: 0,
            http_bytes: 0,
            tracker_config: TrackerConfig {
                ahead: scenario.relay.ahead,
                ..TrackerConfig::new(relay_id, seed)
            },
            tracker_wake: None,
            queue: BTreeMap::new(),
            scheduled: 0,
            departures: Vec::new(),
            walls: scenario.walls,
            outside: 0,
            trace: Trace::default(),
            until: scenario.until,
            peers,
            dice,
        };
        world.relay_starts();
        for peer in 0..world.relay_place() {
            world.outside += 1;
            world.at(world.peers[peer].spec.joins, Event::Join(peer));
        }
        for (time, action) in scenario.actions {
            world.outside += 1;
            world.at(time, Event::Act(action));
        }
        world
    }

    pub(crate) fn run(mut self) -> Report {
        while let Some(((time, _), event)) = self.queue.pop_first() {
            if time > self.until {
                self.now = self.until;
                break;
            }
            self.now = time;
            self.happen(event);
            if self.outside == 0 && self.nobody_waits() {
                break;
            }
        }
        let relay_place = self.relay_place();
        let mut reports: Vec<_> = self.peers.iter().map(Peer::report).collect();
        let relay_node = reports.pop().filter(|_| !self.peers[relay_place].spec.publishes.is_empty());
        Report {
            trace_hash: self.trace.hash(),
            events: self.trace.events,
            ended: self.now,
            peers: reports,
            relay_node,
            tracker: self.tracker.as_ref().map(Tracker::stats),
            http_bytes: self.http_bytes,
            relay_up_bytes: self.peers[relay_place].access.up_bytes,
        }
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.scheduled += 1;
        self.queue.insert((time.max(self.now), self.scheduled), event);
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn relay_place(&self) -> usize {
        self.peers.len() - 1
    }

    /// From a peer to the relay, one way.
    pub(crate) fn to_relay(&self, peer: usize) -> Duration {
        let relay = self.relay_place();
        let latency = |place: usize| self.peers[place].access.link.latency_micros;
        Duration::from_micros(if peer == relay { 0 } else { latency(peer) + latency(relay) })
    }

    pub(crate) fn between(&self, a: usize, b: usize) -> Duration {
        let latency = |place: usize| self.peers[place].access.link.latency_micros;
        Duration::from_micros(latency(a) + latency(b))
    }

    /// The peer, if it still lives this life.
    pub(crate) fn alive(&mut self, life: Life) -> Option<&mut Peer> {
        self.peers.get_mut(life.peer).filter(|peer| peer.life == life && peer.node.is_some())
    }

    /// Gives a node an input, does what it asks, and sets its alarm.
    pub(crate) fn give(&mut self, life: Life, input: Input) {
        let now = self.now;
        let Some(node) = self.alive(life).and_then(|peer| peer.node.as_mut()) else { return };
        node.handle(now, input);
        while let Some(output) = self.alive(life).and_then(|peer| peer.node.as_mut()).and_then(Node::poll) {
            self.output(life, output);
        }
        let Some(peer) = self.alive(life) else { return };
        let Some(due) = peer.node.as_ref().and_then(Node::deadline) else { return };
        let at = due.max(now + WAKE_GRAIN);
        if peer.wake.is_none_or(|earlier| at < earlier) {
            peer.wake = Some(at);
            self.at(at, Event::Wake { life, at });
        }
    }

    pub(crate) fn give_tracker(&mut self, input: TrackerInput) {
        let now = self.now;
        let Some(tracker) = &mut self.tracker else { return };
        tracker.handle(now, input);
        while let Some(output) = self.tracker.as_mut().and_then(Tracker::poll) {
            self.tracker_output(output);
        }
        let Some(due) = self.tracker.as_ref().and_then(Tracker::deadline) else { return };
        if self.tracker_wake.is_none_or(|earlier| due < earlier) {
            self.tracker_wake = Some(due);
            self.at(due, Event::TrackerWake { at: due });
        }
    }

    /// Writes down what happens.
    pub(crate) fn note(&mut self, kind: &str, life: Life, number: u64, payload: &[u8]) {
        self.trace.event(self.now, kind, &[life.peer as u64, life.number, number], payload);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join(peer) => {
                self.outside -= 1;
                self.join(peer);
            }
            Event::Act(action) => {
                self.outside -= 1;
                self.act(action);
            }
            Event::Ask { life, want } => self.ask(life, want),
            Event::Pull { life, want } => self.pull(life, want),
            Event::Wake { life, at } => {
                if self.alive(life).is_some_and(|peer| peer.wake == Some(at)) {
                    self.peers[life.peer].wake = None;
                    self.note("wake", life, 0, &[]);
                    self.give(life, Input::Wake);
                }
            }
            Event::TrackerWake { at } => {
                if self.tracker_wake == Some(at) {
                    self.tracker_wake = None;
                    self.give_tracker(TrackerInput::Wake);
                }
            }
            other => self.network(other),
        }
    }

    fn join(&mut self, place: usize) {
        self.peers[place].start();
        let life = self.peers[place].life;
        self.note("join", life, 0, &[]);
        let stored: Vec<_> = self.peers[place].store.iter().map(|(id, s)| (*id, s.state.clone())).collect();
        for (content, state) in stored {
            self.give(life, Input::Stored { content, state });
        }
        self.give(life, Input::Wake);
        for want in 0..self.peers[place].spec.wants.len() {
            if !matches!(self.peers[place].fetches[want].report.end, FetchEnd::Done(_)) {
                let after_ms = self.peers[place].spec.wants[want].0;
                self.after(Duration::from_millis(after_ms), Event::Ask { life, want });
            }
        }
    }

    fn ask(&mut self, life: Life, want: usize) {
        let now = self.now;
        let Some(peer) =
            self.peers.get_mut(life.peer).filter(|peer| peer.life == life && peer.node.is_some())
        else {
            return;
        };
        let (_, place, range) = peer.spec.wants[want];
        let content = &self.contents[place];
        peer.fetches[want] = Fetch::new(now, place, content.bytes.len() as u64, range, peer.spec.plays);
        let pace = peer.fetches[want].pace();
        let request = RequestId(want as u32);
        let input = Input::Fetch { request, content: content.id, range };
        self.note("ask", life, want as u64, &[]);
        self.give(life, input);
        if let Some(bytes_per_s) = pace {
            self.give(life, Input::Pace { request, bytes_per_s });
        }
        self.pull(life, want);
    }

    fn pull(&mut self, life: Life, want: usize) {
        let now = self.now;
        let Some(peer) = self.alive(life) else { return };
        if peer.fetches[want].report.end != FetchEnd::Pending {
            return;
        }
        let bytes = peer.fetches[want].pull(now);
        if bytes > 0 {
            self.give(life, Input::Pull { request: RequestId(want as u32), bytes });
        } else if peer.fetches[want].looks_at(now, now + PLAY_GRAIN) {
            self.after(PLAY_GRAIN, Event::Pull { life, want });
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Leave(peer) => self.leave(peer, Duration::ZERO),
            Action::Vanish(peer) => self.leave(peer, MISSED_AFTER),
            Action::VanishOnceSpread { peer, content } => self.departures.push((peer, content)),
            Action::Return(peer) => {
                if self.peers[peer].node.is_none() {
                    self.join(peer);
                }
            }
            Action::Relink(peer, link) => self.peers[peer].access.link = link,
            Action::RelayDies => self.relay_dies(),
            Action::RelayReturns => {
                if self.tracker.is_none() {
                    self.relay_starts();
                }
            }
        }
    }

    /// A message was delivered: if it was the last symbol that nobody had, those leave who waited for that.
    pub(crate) fn delivered(&mut self, message: &[u8]) {
        let Ok(PeerMessage::Symbol { content, block, marker: Marker::Source(index), payload }) =
            PeerMessage::decode(message)
        else {
            return;
        };
        let Some(place) = self.by_id.get(&content).copied() else { return };
        if self.contents[place].received(block, index, payload.len()) {
            let leaving: Vec<usize> = self.departures.iter().filter(|d| d.1 == place).map(|d| d.0).collect();
            self.departures.retain(|d| d.1 != place);
            leaving.into_iter().for_each(|peer| self.leave(peer, MISSED_AFTER));
        }
    }

    fn leave(&mut self, place: usize, missed_after: Duration) {
        let life = self.peers[place].life;
        if self.peers[place].node.is_none() {
            return;
        }
        self.note("leave", life, missed_after.as_secs(), &[]);
        let channels = self.peers[place].stop();
        for (connection, channel) in channels {
            if let Some(to) = channel.remote {
                let delay = self.between(place, to.life.peer) + missed_after;
                self.after(delay, Event::ChannelDown { from: crate::event::End { life, connection }, to });
            }
        }
        if let Some(conn) = self.peers[place].socket.take() {
            self.after(self.to_relay(place) + missed_after, Event::SocketLeft { conn });
        }
    }

    fn relay_starts(&mut self) {
        // A relay that starts again must not repeat its challenges.
        self.tracker_config.seed = *blake3::hash(&self.tracker_config.seed).as_bytes();
        self.tracker = Some(Tracker::new(self.tracker_config.clone()));
        let place = self.relay_place();
        if !self.peers[place].spec.publishes.is_empty() {
            self.join(place);
        }
    }

    fn relay_dies(&mut self) {
        self.note("relay dies", Life { peer: self.relay_place(), number: 0 }, 0, &[]);
        self.leave(self.relay_place(), Duration::ZERO);
        (self.tracker, self.tracker_wake) = (None, None);
        for (conn, life) in core::mem::take(&mut self.sockets) {
            self.after(self.to_relay(life.peer), Event::SocketLost { life, conn });
        }
    }

    fn nobody_waits(&self) -> bool {
        self.peers
            .iter()
            .filter(|peer| peer.node.is_some())
            .all(|peer| peer.fetches.iter().all(|fetch| fetch.report.end != FetchEnd::Pending))
    }
}

/// A peer as the scenario describes it, with key and seed drawn.
fn arrange(place: usize, mut spec: PeerSpec, contents: &[Content], dice: &mut Dice) -> Peer {
    let mut secret_key = [0; 32];
    secret_key.copy_from_slice(&dice.bytes(32));
    spec.config = Config { secret_key, seed: dice.next(), ..spec.config };
    let store: Store = spec.publishes.iter().map(|c| (contents[*c].id, contents[*c].stored())).collect();
    let fetch = |(after_ms, content, range): &(u64, usize, _)| {
        let asked = spec.joins + Duration::from_millis(*after_ms);
        Fetch::new(asked, *content, contents[*content].bytes.len() as u64, *range, spec.plays)
    };
    let fetches = spec.wants.iter().map(fetch).collect();
    Peer::new(place, spec, store, fetches)
}
