//! What lies between the machines: sockets, channels, store and HTTP server.

use crate::event::{End, Event, Life, read_signal, signal};
use crate::peer::Channel;
use crate::polluter::pollute;
use crate::report::FetchEnd;
use crate::world::World;
use core::time::Duration;
use peeredge_node::{Area, Event as NodeEvent, HttpFailure, Input, Output, Role};
use peeredge_tracker::{ConnId, TrackerInput, TrackerOutput};
use peeredge_wire::RequestId;

/// Bytes that a channel's buffer takes at once: Chromium's holds 16 MiB, and shells keep to about 1 MiB of it.
const CREDIT_BYTES: u64 = 1 << 20;
/// A WebRTC stack needs so long for an offer or an answer.
const SIGNAL_TAKES: Duration = Duration::from_millis(2);
/// ICE, DTLS and SCTP take so many round trips once both ends have the other's signal.
const HANDSHAKE_ROUND_TRIPS: u32 = 4;
/// A store answers after so long.
const STORE_TAKES: Duration = Duration::from_micros(300);
/// Bytes that the HTTP server sends before it looks after the next request.
const HTTP_PIECE_BYTES: usize = 64 << 10;

impl World {
    /// Does what a node asks for.
    pub(crate) fn output(&mut self, life: Life, output: Output) {
        match output {
            Output::RelayConnect => self.after(2 * self.to_relay(life.peer), Event::SocketTried { life }),
            Output::RelaySend(frame) => {
                if let Some(conn) = self.peers[life.peer].socket {
                    self.after(self.to_relay(life.peer), Event::ToTracker { conn, frame });
                }
            }
            Output::RelayClose => {
                if let Some(conn) = self.peers[life.peer].socket.take() {
                    self.after(self.to_relay(life.peer), Event::SocketLeft { conn });
                }
            }
            // The simulator's network has no translators.
            Output::Stun { .. } => {}
            Output::Open { connection, role, .. } => {
                self.peers[life.peer].channels.insert(connection, Channel::default());
                if role == Role::Offerer {
                    let end = End { life, connection };
                    self.after(SIGNAL_TAKES, Event::LocalSignal { end, signal: signal(true, end) });
                }
            }
            Output::Signal { connection, signal } => self.remote_signal(End { life, connection }, &signal),
            Output::Send { connection, message } => self.send(End { life, connection }, message),
            Output::Close { connection } => {
                if let Some(Channel { remote: Some(to), .. }) =
                    self.peers[life.peer].channels.remove(&connection)
                {
                    let delay = self.between(life.peer, to.life.peer);
                    self.after(delay, Event::ChannelDown { from: End { life, connection }, to });
                }
            }
            Output::StoreRead { token, content, area, offset, len } => {
                let stored = self.peers[life.peer].store.get_mut(&content);
                let bytes = stored.and_then(|stored| stored.read(area, offset, len));
                self.after(STORE_TAKES, Event::Read { life, token, bytes });
            }
            Output::StoreWrite { content, area, offset, bytes } => {
                let place = self.by_id.get(&content);
                let truth = place.map(|place| &self.contents[*place].bytes[..]).unwrap_or_default();
                let peer = &mut self.peers[life.peer];
                let (start, end) = (offset as usize, offset as usize + bytes.len());
                peer.store_corrupt |= area == Area::Data && truth.get(start..end) != Some(&bytes[..]);
                peer.store.entry(content).or_default().write(area, offset, &bytes);
            }
            Output::StoreState { content, state } => {
                self.peers[life.peer].store.entry(content).or_default().state = state;
            }
            Output::StoreRemove { content } => {
                self.peers[life.peer].store.remove(&content);
            }
            Output::HttpGet { token, content, resource, timeout_ms, .. } => {
                self.peers[life.peer].http.insert(token, (content, resource));
                self.after(self.to_relay(life.peer), Event::HttpAsked { life, token });
                let timeout = Duration::from_millis(u64::from(timeout_ms));
                self.after(timeout, Event::HttpEnded { life, token, result: Err(HttpFailure::Network) });
            }
            Output::HttpCancel { token } => {
                self.peers[life.peer].http.remove(&token);
            }
            Output::Head { request, start, end, length, .. } => {
                self.note("head", life, u64::from(request.0), &[]);
                self.page(life, request, |fetch, _, content| fetch.head(start, end, length, content));
            }
            Output::Data { request, bytes } => {
                self.page(life, request, |fetch, now, content| fetch.data(now, &bytes, content));
                self.note("data", life, u64::from(request.0), &bytes);
                self.after(Duration::ZERO, Event::Pull { life, want: request.0 as usize });
            }
            Output::Done { request } => {
                self.note("done", life, u64::from(request.0), &[]);
                self.page(life, request, |fetch, now, _| fetch.done(now));
            }
            Output::Failed { request, error } => {
                self.note("failed", life, u64::from(request.0), error.code().as_bytes());
                self.page(life, request, |fetch, now, _| fetch.report.end = FetchEnd::Failed(now, error));
            }
            // Nobody in these worlds has tasks.
            Output::Task(_) | Output::Live { .. } => {}
            Output::Event(event) => {
                if let NodeEvent::PeerBlamed { peer, .. } = event {
                    self.note("blame", life, 0, &peer.0);
                    self.peers[life.peer].blamed.push(peer);
                } else if let NodeEvent::PeerLetGo { peer } = event {
                    self.note("let go", life, 0, &peer.0);
                    self.peers[life.peer].let_go.push(peer);
                }
            }
        }
    }

    /// Does what the tracker asks for.
    pub(crate) fn tracker_output(&mut self, output: TrackerOutput) {
        match output {
            TrackerOutput::Send { conn, frame, .. } => {
                if let Some(life) = self.sockets.get(&conn).copied() {
                    self.after(self.to_relay(life.peer), Event::FromTracker { life, conn, frame });
                }
            }
            TrackerOutput::Close { conn, .. } => {
                if let Some(life) = self.sockets.remove(&conn) {
                    self.after(self.to_relay(life.peer), Event::SocketLost { life, conn });
                }
            }
        }
    }

    /// Lets something happen on the network.
    pub(crate) fn network(&mut self, event: Event) {
        match event {
            Event::SocketTried { life } => self.socket_tried(life),
            Event::ToTracker { conn, frame } => {
                if let Some(life) = self.sockets.get(&conn).copied() {
                    self.note("to tracker", life, conn.0, &frame);
                    self.give_tracker(TrackerInput::Frame { conn, frame });
                }
            }
            Event::SocketLeft { conn } => {
                if self.sockets.remove(&conn).is_some() {
                    self.give_tracker(TrackerInput::Closed { conn });
                }
            }
            Event::FromTracker { life, conn, frame } => {
                if self.alive(life).is_some_and(|peer| peer.socket == Some(conn)) {
                    self.note("from tracker", life, conn.0, &frame);
                    self.give(life, Input::RelayMessage(frame));
                }
            }
            Event::SocketLost { life, conn } => {
                if self.alive(life).is_some_and(|peer| peer.socket == Some(conn)) {
                    self.peers[life.peer].socket = None;
                    self.note("socket lost", life, conn.0, &[]);
                    self.give(life, Input::RelayClosed);
                }
            }
            Event::LocalSignal { end, signal } => {
                if self.channel(end).is_some() {
                    self.give(end.life, Input::Signal { connection: end.connection, signal });
                }
            }
            Event::ChannelUp { ends } => self.channel_up(ends),
            Event::Credit { end, bytes } => {
                // The buffer drains only while somebody at the other end acknowledges.
                let remote = self.channel(end).and_then(|channel| channel.remote);
                if remote.is_some_and(|remote| self.channel(remote).is_some()) {
                    self.give(end.life, Input::Credit { connection: end.connection, bytes });
                }
            }
            Event::Reached { from, to, message } => {
                let now = self.now;
                if let Some(peer) = self.alive(to.life) {
                    let at = peer.access.receive(now, message.len());
                    peer.access.acknowledge(now, message.len());
                    self.at(at, Event::Delivered { from, to, message });
                }
            }
            Event::Delivered { from, to, message } => {
                if self.channel(to).is_some_and(|channel| channel.open && channel.remote == Some(from)) {
                    self.note("message", to.life, u64::from(to.connection.0), &message);
                    self.delivered(&message);
                    self.give(to.life, Input::Message { connection: to.connection, message });
                }
            }
            Event::ChannelDown { from, to } => {
                if self.channel(to).is_some_and(|channel| channel.remote == Some(from)) {
                    self.peers[to.life.peer].channels.remove(&to.connection);
                    self.note("channel down", to.life, u64::from(to.connection.0), &[]);
                    self.give(to.life, Input::Closed { connection: to.connection });
                }
            }
            Event::Read { life, token, bytes } => self.give(life, Input::Read { token, bytes }),
            Event::HttpAsked { life, token } => self.http_asked(life, token),
            Event::HttpServe { life, token, body, sent } => self.http_serve(life, token, body, sent),
            Event::HttpReached { life, token, bytes, body } => {
                let now = self.now;
                let Some(peer) = self.alive(life) else { return };
                let at = peer.access.receive(now, bytes);
                if let Some(body) = body {
                    self.at(at, Event::HttpEnded { life, token, result: Ok(body) });
                }
            }
            Event::HttpEnded { life, token, result } => {
                if self.alive(life).is_some_and(|peer| peer.http.remove(&token).is_some()) {
                    self.note("http", life, u64::from(token.0), result.as_deref().unwrap_or_default());
                    self.give(life, Input::Http { token, result });
                }
            }
            Event::Join(_)
            | Event::Act(_)
            | Event::Ask { .. }
            | Event::Pull { .. }
            | Event::Wake { .. }
            | Event::TrackerWake { .. } => unreachable!("the world's own events do not come here"),
        }
    }

    fn page(
        &mut self,
        life: Life,
        request: RequestId,
        change: impl FnOnce(&mut crate::page::Fetch, peeredge_wire::Time, &[u8]),
    ) {
        if let Some(fetch) = self.peers[life.peer].fetches.get_mut(request.0 as usize) {
            change(fetch, self.now, &self.contents[fetch.report.content].bytes);
        }
    }

    fn channel(&mut self, end: End) -> Option<&mut Channel> {
        self.alive(end.life)?.channels.get_mut(&end.connection)
    }

    fn socket_tried(&mut self, life: Life) {
        if self.alive(life).is_none() {
            return;
        }
        if self.tracker.is_none() {
            return self.give(life, Input::RelayClosed);
        }
        self.next_socket += 1;
        let conn = ConnId(self.next_socket);
        self.sockets.insert(conn, life);
        self.peers[life.peer].socket = Some(conn);
        self.note("socket", life, conn.0, &[]);
        self.give(life, Input::RelayOpened);
        self.give_tracker(TrackerInput::Connected { conn, authorities: vec!["localhost".into()] });
    }

    fn remote_signal(&mut self, end: End, blob: &[u8]) {
        let Some((is_offer, remote)) = read_signal(blob) else { return };
        let Some(channel) = self.channel(end) else { return };
        channel.remote = Some(remote);
        if is_offer {
            self.after(SIGNAL_TAKES, Event::LocalSignal { end, signal: signal(false, end) });
        } else {
            let round_trip = 2 * self.between(end.life.peer, remote.life.peer);
            self.after(HANDSHAKE_ROUND_TRIPS * round_trip, Event::ChannelUp { ends: [end, remote] });
        }
    }

    fn channel_up(&mut self, ends: [End; 2]) {
        let meets =
            |world: &mut World, a, b| world.channel(a).is_some_and(|c| c.remote == Some(b) && !c.open);
        let (a, b) = (ends[0].life.peer, ends[1].life.peer);
        if self.walls.contains(&(a, b)) || self.walls.contains(&(b, a)) {
            return;
        }
        if !meets(self, ends[0], ends[1]) || !meets(self, ends[1], ends[0]) {
            return;
        }
        for end in ends {
            if let Some(channel) = self.channel(end) {
                channel.open = true;
            }
        }
        for End { life, connection } in ends {
            self.note("channel up", life, u64::from(connection.0), &[]);
            self.give(life, Input::Opened { connection, credit_bytes: CREDIT_BYTES });
        }
    }

    fn send(&mut self, end: End, message: Vec<u8>) {
        let peer = &mut self.peers[end.life.peer];
        let Some(pollution) = peer.spec.pollutes else { return self.send_as_it_is(end, message) };
        peer.messages += 1;
        let asked = message.len() as u64;
        let (said, cheats) = pollute(pollution, message, peer.messages);
        peer.falsified += u64::from(cheats);
        if said.is_empty() {
            // Its own node has the credit back.
            self.after(SIGNAL_TAKES, Event::Credit { end, bytes: asked });
        }
        said.into_iter().for_each(|message| self.send_as_it_is(end, message));
    }

    fn send_as_it_is(&mut self, end: End, message: Vec<u8>) {
        let End { life, connection } = end;
        let Some(to) = self.channel(end).filter(|c| c.open).and_then(|c| c.remote) else { return };
        let to_link = self.peers[to.life.peer].access.link;
        let now = self.now;
        let peer = &mut self.peers[life.peer];
        let Some(channel) = peer.channels.get_mut(&connection) else { return };
        let journey = channel.lane.send(now, &mut self.dice, &mut peer.access, to_link, message.len());
        self.at(journey.left, Event::Credit { end, bytes: message.len() as u64 });
        self.at(journey.reached, Event::Reached { from: end, to, message });
    }

    fn http_asked(&mut self, life: Life, token: peeredge_wire::Token) {
        let Some((content, resource)) = self.alive(life).and_then(|peer| peer.http.get(&token).copied())
        else {
            return;
        };
        let content = self.by_id.get(&content).map(|place| &self.contents[*place]);
        let result = match (&self.tracker, content) {
            (None, _) => Err(HttpFailure::Network),
            (Some(_), None) => Err(HttpFailure::Status(404)),
            (Some(_), Some(content)) => content.http(resource),
        };
        match result {
            Ok(body) => self.http_serve(life, token, body, 0),
            Err(_) => self.after(self.to_relay(life.peer), Event::HttpEnded { life, token, result }),
        }
    }

    fn http_serve(&mut self, life: Life, token: peeredge_wire::Token, body: Vec<u8>, sent: usize) {
        if self.alive(life).is_none_or(|peer| !peer.http.contains_key(&token)) {
            return;
        }
        if self.tracker.is_none() {
            let result = Err(HttpFailure::Network);
            return self.after(self.to_relay(life.peer), Event::HttpEnded { life, token, result });
        }
        let (now, relay) = (self.now, self.relay_place());
        let bytes = HTTP_PIECE_BYTES.min(body.len() - sent);
        let through = self.peers[relay].access.send(now, bytes);
        self.http_bytes += bytes as u64;
        let reached = through + self.to_relay(life.peer);
        if sent + bytes < body.len() {
            self.at(reached, Event::HttpReached { life, token, bytes, body: None });
            self.at(through, Event::HttpServe { life, token, body, sent: sent + bytes });
        } else {
            self.at(reached, Event::HttpReached { life, token, bytes, body: Some(body) });
        }
    }
}
