//! The loop that joins sockets, connections and the caller, on one thread.
//!
//! Everything that happens to a connection goes through [`Core::with`], which also contains its failures: a
//! connection that errs or panics ends alone.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use str0m::Input;
use str0m::config::DtlsCert;
use str0m::net::{Protocol, Receive, Transmit};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::connection::{Connection, Outbox, Reached};
use super::handle::{RtcSpawnError, event_bytes};
use super::socket::{self, Socket};
use super::stun::StunClient;
use super::{CloseReason, ConnectionId, Role, RtcCommand, RtcConfig, RtcEvent};
use crate::pulse::{BEAT_EVERY, Pulse};

/// Commands handled before the sockets get their turn.
const COMMANDS_A_TURN: usize = 64;
/// And what they may take together: an offer costs a thousand times what a packet does.
const COMMANDS_A_TURN_TIME: Duration = Duration::from_millis(4);
/// Addresses remembered for one connection; a peer that uses more loses its oldest.
const ADDRESSES_MAX: usize = 16;

pub(super) struct Driver {
    sockets: Vec<Socket>,
    core: Core,
    commands: mpsc::Receiver<RtcCommand>,
    events: mpsc::Sender<RtcEvent>,
    /// Bytes of messages that the caller's queue still takes.
    room: Arc<Semaphore>,
    /// Events that found the caller's queue full. Commands are taken nevertheless, or the caller that waits for its commands to
    /// be taken and this driver that waits for its events to be taken would wait for each other for ever; while there is a
    /// backlog no packet is received, so only the caller's own commands can lengthen it.
    backlog: VecDeque<RtcEvent>,
    pulse: Arc<Pulse>,
    stop: Arc<Notify>,
}

/// The connections and how to find them.
struct Core {
    config: RtcConfig,
    /// One certificate for all: making one costs more than a handshake.
    certificate: DtlsCert,
    addresses: Vec<SocketAddr>,
    connections: HashMap<ConnectionId, Entry>,
    by_address: HashMap<SocketAddr, ConnectionId>,
    by_ice_name: HashMap<String, ConnectionId>,
    timers: BTreeSet<(Instant, ConnectionId)>,
    outbox: Outbox,
    own_addresses: StunClient,
}

struct Entry {
    connection: Connection,
    ice_name: String,
    addresses: VecDeque<SocketAddr>,
    timer: Instant,
}

impl Driver {
    /// Binds the sockets. Must run inside the runtime that will run the driver.
    pub fn bind(
        config: RtcConfig,
        commands: mpsc::Receiver<RtcCommand>,
        events: mpsc::Sender<RtcEvent>,
        room: Arc<Semaphore>,
        stop: Arc<Notify>,
    ) -> Result<Driver, RtcSpawnError> {
        let mut sockets = Vec::new();
        for socket in &config.sockets {
            let bound = socket::bind(socket.bind)
                .and_then(|bound| Socket::new(bound, socket.advertised, config.socket_buffer_bytes))
                .map_err(|error| RtcSpawnError::Bind { bind: socket.bind, error })?;
            sockets.push(bound);
        }
        let certificate = str0m::crypto::from_feature_flags()
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| RtcSpawnError::Start(std::io::Error::other("no certificate can be made")))?;
        let pulse = config.pulse.clone();
        let core = Core {
            addresses: sockets.iter().map(|socket| socket.address).collect(),
            own_addresses: StunClient::default(),
            config,
            certificate,
            connections: HashMap::new(),
            by_address: HashMap::new(),
            by_ice_name: HashMap::new(),
            timers: BTreeSet::new(),
            outbox: Outbox::default(),
        };
        Ok(Driver { sockets, core, commands, events, room, backlog: VecDeque::new(), pulse, stop })
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.core.addresses.clone()
    }

    /// Runs until the last handle or the event receiver is dropped, or until it is told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.notified() => {}
            () = self.run_on() => {}
        }
        self.pulse.rest();
    }

    async fn run_on(&mut self) {
        self.pulse.beat();
        while self.turn().await {
            self.hand_over();
            self.pulse.beat();
        }
        self.core.end_all();
        self.hand_over();
        while !self.backlog.is_empty() && self.wait_for_room().await {
            self.hand_over();
        }
    }

    /// Waits for something to do and does a bounded amount of it. False when it is time to stop.
    async fn turn(&mut self) -> bool {
        let receiving = self.backlog.is_empty();
        let mut first_command = None;
        {
            let Driver { sockets, core, commands, events, room, backlog, .. } = self;
            let ready = poll_fn(|context| {
                let ready = sockets.iter().any(|socket| socket.poll_ready(context, receiving).is_ready());
                if ready { Poll::Ready(()) } else { Poll::Pending }
            });
            let due = core.timers.first().map(|(at, _)| *at);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => first_command = Some(command),
                    None => return false,
                },
                () = ready => {}
                () = sleep_until(due) => {}
                () = tokio::time::sleep(BEAT_EVERY) => {}
                room = wait_for_room(room, events, backlog.front()), if !backlog.is_empty() => {
                    if !room {
                        return false;
                    }
                }
                () = events.closed() => return false,
            }
        }
        let now = Instant::now();
        let mut left = COMMANDS_A_TURN;
        let mut next = first_command.or_else(|| self.commands.try_recv().ok());
        while let Some(command) = next.take() {
            self.core.command(now, command);
            left -= 1;
            if left > 0 && now.elapsed() < COMMANDS_A_TURN_TIME {
                next = self.commands.try_recv().ok();
            }
        }
        if receiving {
            let Driver { sockets, core, .. } = self;
            for socket in sockets {
                let address = socket.address;
                socket.take_in(|source, datagram| core.wants(source, datagram));
                socket.receive(|source, datagram| core.datagram(now, address, source, datagram));
            }
        }
        self.core.wake_due(now);
        true
    }

    /// Gives packets to their sockets and events to the caller, as far as there is room.
    fn hand_over(&mut self) {
        for packet in self.core.outbox.packets.drain(..) {
            // Every source that str0m knows is the address of one of the sockets.
            if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.address == packet.source) {
                socket.queue(packet.destination, &packet.contents);
            }
        }
        for socket in &mut self.sockets {
            socket.flush();
        }
        let is_behind = !self.backlog.is_empty();
        // A round trip is old news when its turn comes, and the only event that time alone makes again and again.
        let lasting = |event: &RtcEvent| !is_behind || !matches!(event, RtcEvent::RoundTrip { .. });
        self.backlog.extend(self.core.outbox.events.drain(..).filter(lasting));
        while let Some(event) = self.backlog.pop_front() {
            let Ok(permit) = self.room.try_acquire_many(event_bytes(&event)) else {
                self.backlog.push_front(event);
                return;
            };
            match self.events.try_send(event) {
                // The receiver gives the bytes back when it takes the event.
                Ok(()) => permit.forget(),
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
    }

    async fn wait_for_room(&self) -> bool {
        wait_for_room(&self.room, &self.events, self.backlog.front()).await
    }
}

/// Waits until the caller's queue has room for this event. False when nobody takes events any more.
async fn wait_for_room(room: &Semaphore, events: &mpsc::Sender<RtcEvent>, event: Option<&RtcEvent>) -> bool {
    let bytes = event.map_or(0, event_bytes);
    let permit = tokio::select! {
        permit = room.acquire_many(bytes) => permit,
        () = events.closed() => return false,
    };
    drop(permit);
    events.reserve().await.is_ok()
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

impl Core {
    fn command(&mut self, now: Instant, command: RtcCommand) {
        match command {
            RtcCommand::Open { connection, role } => self.open(now, connection, role),
            RtcCommand::Signal { connection, signal } => {
                self.with(connection, |it, outbox| it.signal(now, &signal, outbox));
            }
            RtcCommand::Send { connection, message } => {
                self.with(connection, |it, outbox| it.send(now, message, outbox));
            }
            RtcCommand::Close { connection } => self.end(connection, CloseReason::Local),
            RtcCommand::Stun { server } => {
                self.own_addresses.set_server(server, crate::serve::key::random());
                self.ask_own_addresses();
            }
        }
    }

    /// Connections that are being made hear of an address that became known since they began.
    fn tell_seen(&mut self, address: SocketAddr, seen: SocketAddr) {
        let young = self.connections.iter().filter(|(_, entry)| !entry.connection.is_open());
        let young: Vec<ConnectionId> = young.map(|(id, _)| *id).collect();
        for id in young {
            self.with(id, |it, outbox| it.add_seen(address, seen, outbox));
        }
    }

    fn ask_own_addresses(&mut self) {
        for &source in &self.addresses {
            if let Some((destination, request)) = self.own_addresses.ask(source) {
                let contents = request.into();
                self.outbox.packets.push(Transmit { proto: Protocol::Udp, source, destination, contents });
            }
        }
    }

    fn open(&mut self, now: Instant, id: ConnectionId, role: Role) {
        if self.connections.contains_key(&id) {
            return self.end(id, CloseReason::DuplicateId);
        }
        let connections_max = self.config.connections_max;
        if self.connections.len() >= connections_max {
            let reason = CloseReason::TooManyConnections { connections_max };
            return self.outbox.events.push(RtcEvent::Closed { connection: id, reason });
        }
        // A translator forgets; the answer is for the next connection.
        self.ask_own_addresses();
        let Core { config, certificate, addresses, own_addresses, outbox, .. } = self;
        let reached = Reached { addresses, seen: &own_addresses.seen().collect::<Vec<_>>() };
        let opened = contained(|| Connection::open(id, role, config, certificate, reached, now, outbox));
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(reason) => return self.outbox.events.push(RtcEvent::Closed { connection: id, reason }),
        };
        let ice_name = connection.ice_name();
        let timer = connection.wake_at();
        self.timers.insert((timer, id));
        self.by_ice_name.insert(ice_name.clone(), id);
        self.connections.insert(id, Entry { connection, ice_name, addresses: VecDeque::new(), timer });
    }

    /// Whether a datagram may be somebody's here, by what costs next to nothing: strangers' packets end at this.
    fn wants(&self, source: SocketAddr, datagram: &[u8]) -> bool {
        match datagram.first() {
            // A check says whose it is; an answer may come from a server, or early from a remote end.
            Some(0..=3) => match ice_name_of(datagram) {
                Some(name) => self.by_ice_name.contains_key(name),
                None => {
                    self.by_address.contains_key(&source) || (!self.config.ice_lite && is_answer(datagram))
                }
            },
            Some(20..=63) => self.by_address.contains_key(&source),
            // Whatever is neither STUN nor DTLS (RFC 7983) has no business here.
            _ => false,
        }
    }

    fn datagram(&mut self, now: Instant, address: SocketAddr, source: SocketAddr, datagram: &[u8]) {
        // Whatever is neither STUN nor DTLS (RFC 7983) has no business here.
        let stun = match datagram.first() {
            Some(0..=3) => true,
            Some(20..=63) => false,
            _ => return,
        };
        // First, since it is nothing that the stack takes for a message: it belongs to no connection.
        if stun && let Some(seen) = self.own_addresses.take(address, source, datagram) {
            if let Some(seen) = seen {
                self.tell_seen(address, seen);
            }
            return;
        }
        let Ok(packet) = Receive::new(Protocol::Udp, source, address, datagram) else {
            return;
        };
        if !stun {
            if let Some(id) = self.by_address.get(&source) {
                self.with(*id, |it, outbox| it.receive(now, packet, outbox));
            }
            return;
        }
        let input = Input::Receive(now, packet);
        let Some(id) = self.find_by_stun(&input, source, datagram) else {
            return;
        };
        // Encrypted datagrams do not say whose they are, so an address is one connection's. A second one from it, as two native nodes
        // with one socket each would open, ends; it does not take the first one's datagrams, whoever says that they come from there.
        let owner = self.by_address.get(&source).filter(|owner| **owner != id);
        if owner.and_then(|owner| self.connections.get(owner)).is_some_and(|entry| entry.connection.is_open())
        {
            return self.end(id, CloseReason::SharedAddress { address: source });
        }
        self.learn_address(id, source);
        if let Input::Receive(_, packet) = input {
            self.with(id, |it, outbox| it.receive(now, packet, outbox));
        }
    }

    /// Whose check this is: a request carries a name, an answer the number of the request that it answers.
    fn find_by_stun(&self, input: &Input<'_>, source: SocketAddr, datagram: &[u8]) -> Option<ConnectionId> {
        let accepts =
            |id: &ConnectionId| self.connections.get(id).is_some_and(|entry| entry.connection.accepts(input));
        if let Some(name) = ice_name_of(datagram) {
            return self.by_ice_name.get(name).copied().filter(accepts);
        }
        if let Some(id) = self.by_address.get(&source).copied().filter(accepts) {
            return Some(id);
        }
        // Who never asks is not answered, and need not look for whom a stranger's answer might be.
        if self.config.ice_lite || !is_answer(datagram) {
            return None;
        }
        // The first answers from an address: few connections are young enough to be waiting for one.
        self.connections
            .iter()
            .find_map(|(id, entry)| (!entry.connection.is_open() && accepts(id)).then_some(*id))
    }

    fn learn_address(&mut self, id: ConnectionId, source: SocketAddr) {
        let owner = self.by_address.insert(source, id);
        if owner == Some(id) {
            return;
        }
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.addresses.push_back(source);
            if entry.addresses.len() > ADDRESSES_MAX {
                let oldest = entry.addresses.pop_front().expect("just found too many");
                self.forget_address(id, oldest);
            }
        }
    }

    fn forget_address(&mut self, id: ConnectionId, address: SocketAddr) {
        if self.by_address.get(&address) == Some(&id) {
            self.by_address.remove(&address);
        }
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.with(id, |it, outbox| it.wake(now, outbox));
            // A connection that asks to be woken in the past would keep the loop here.
            if self.timers.first() == Some(&(at, id)) {
                return;
            }
        }
    }

    /// Changes one connection, then follows up on what came of it. Does nothing when it is gone.
    fn with(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection, &mut Outbox) -> Result<(), CloseReason>,
    ) {
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        let outbox = &mut self.outbox;
        match contained(|| change(&mut entry.connection, outbox)) {
            Ok(()) => {
                let timer = entry.connection.wake_at();
                if timer != entry.timer {
                    self.timers.remove(&(entry.timer, id));
                    self.timers.insert((timer, id));
                    entry.timer = timer;
                }
            }
            Err(reason) => self.end(id, reason),
        }
    }

    fn end(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(mut entry) = self.connections.remove(&id) else {
            return;
        };
        self.timers.remove(&(entry.timer, id));
        self.by_ice_name.remove(&entry.ice_name);
        for address in entry.addresses {
            self.forget_address(id, address);
        }
        let outbox = &mut self.outbox;
        // It is gone either way; a goodbye that fails is no news.
        let _ = contained(|| {
            entry.connection.close(outbox);
            Ok(())
        });
        self.outbox.events.push(RtcEvent::Closed { connection: id, reason });
    }

    fn end_all(&mut self) {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            self.end(id, CloseReason::Shutdown);
        }
    }
}

/// Turns a panic inside the stack into the end of one connection.
fn contained<T>(work: impl FnOnce() -> Result<T, CloseReason>) -> Result<T, CloseReason> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(CloseReason::Stack("the stack panicked".into())))
}

/// Whether this STUN message is an answer (RFC 8489 section 5, the class in bits 4 and 8 of the first two bytes).
fn is_answer(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0x01 != 0)
}

/// The receiver's half of the user name in a STUN request (RFC 8489 section 14.3, RFC 8445 section 7.2.2).
fn ice_name_of(datagram: &[u8]) -> Option<&str> {
    const USERNAME: u16 = 6;
    let mut attributes = datagram.get(20..)?;
    while let [kind_high, kind_low, length_high, length_low, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([*kind_high, *kind_low]) == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_behind_other_attributes() {
        let mut request = vec![0; 20];
        request.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        assert_eq!(ice_name_of(&request), None);
        request.extend([0, 6, 0, 9]);
        assert_eq!(ice_name_of(&request), None, "cut short");
        request.extend(b"here:away\0\0\0");
        assert_eq!(ice_name_of(&request), Some("here"));
        for cut in 0..request.len() - 3 {
            assert_eq!(ice_name_of(&request[..cut]), None);
        }
    }
}
