//! The path through the relay: where two peers find no other one in time, or one of them shows its address to nobody, their
//! messages pass through the relay's socket in pieces. To the rest of the node it is a connection like any other; only what a
//! data channel's stack does otherwise (credit, order, a send queue, a pace) is done here.

use crate::connections::Connection;
use crate::output::{Output, Role};
use crate::timers::Timer;
use crate::{Node, input::Input};
use core::time::Duration;
use peeredge_wire::limits::{CARRIED_PIECE_BYTES_MAX, CARRIED_WINDOW_BYTES_MAX, PEER_FRAME_BYTES_MAX};
use peeredge_wire::relay::{CarryEnd, ToRelay};
use peeredge_wire::{ConnectionId, PeerId, Time};
use std::collections::VecDeque;

/// What waits here for credit and pace on one connection; the longest message fits.
const QUEUE_BYTES: u64 = PEER_FRAME_BYTES_MAX as u64 + (32 << 10);
/// The relay allows larger bursts; this much is sent ahead of the pace.
const AHEAD: Duration = Duration::from_millis(100);
/// What the relay counts a small piece as.
const PIECE_COST_BYTES_MIN: u64 = 1024;

/// What the relay does for paths beyond signals.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Bytes a second that it carries for this peer; 0 for none.
    pub(crate) carried_bytes_per_s: u32,
    /// When the last piece that was sent would have left at that pace.
    paced_until: Time,
    /// Bytes of pieces received since the node began.
    pub(crate) received_bytes: u64,
}

/// One connection's path through the relay.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Whether both sides took the session.
    taken: bool,
    /// Bytes that this side may send.
    credit: u64,
    /// Bytes that the other side may still send.
    granted: u64,
    /// Received since credit was given last.
    received: u32,
    /// Messages that wait, and how much of the first one is sent.
    queue: VecDeque<Vec<u8>>,
    sent_of_first: usize,
    /// The beginning of a message whose end has not come.
    partial: Vec<u8>,
}

impl Carried {
    fn new() -> Self {
        Carried { granted: u64::from(CARRIED_WINDOW_BYTES_MAX), ..Carried::default() }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }

    /// Takes a message; it leaves with [`Node::carry_on`].
    pub(crate) fn queue(&mut self, message: Vec<u8>) {
        self.queue.push_back(message);
    }
}

impl Connection {
    /// Whether its messages pass through the relay.
    pub(crate) fn is_carried(&self) -> bool {
        self.carried.as_ref().is_some_and(Carried::is_taken)
    }
}

impl Node {
    /// Whether an input of the shell is about a connection of which the shell no longer has a part.
    pub(crate) fn is_stale(&self, input: &Input) -> bool {
        let connection = match input {
            Input::Signal { connection, .. }
            | Input::Opened { connection, .. }
            | Input::Message { connection, .. }
            | Input::Credit { connection, .. }
            | Input::Closed { connection } => connection,
            _ => return false,
        };
        self.connections.all.get(connection).is_some_and(|c| !c.in_shell)
    }

    /// Whether the relay carries messages to this peer.
    pub(crate) fn can_be_carried(&self, peer: PeerId) -> bool {
        self.relay.is_ready() && self.paths.carried_bytes_per_s > 0 && self.relay.relay != Some(peer)
    }

    /// Asks for a session where no direct path opened in time.
    pub(crate) fn carry_late(&mut self) {
        let after = Duration::from_millis(u64::from(self.config.carried_after_ms));
        let late: Vec<ConnectionId> = self
            .connections
            .all
            .iter()
            // A further lane is worth nothing there.
            .filter(|(_, c)| c.is_first() && !c.open && c.role == Role::Offerer)
            .filter(|(_, c)| c.carried.is_none() && !c.carry_refused)
            .filter(|(_, c)| self.now.since(c.since) >= after && self.can_be_carried(c.peer))
            .map(|(&id, _)| id)
            .collect();
        late.into_iter().for_each(|id| self.ask_to_be_carried(id));
    }

    pub(crate) fn ask_to_be_carried(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.carried = Some(Carried::new());
        let (to, session) = (connection.peer, connection.session);
        self.relay_send(ToRelay::CarryOpen { to, session, credit_bytes: CARRIED_WINDOW_BYTES_MAX });
    }

    /// The shell could not make the connection. Gives whether it is tried through the relay instead.
    pub(crate) fn carry_instead(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.all.get_mut(&id) else { return false };
        let (peer, fresh) = (connection.peer, connection.carried.is_none() && !connection.carry_refused);
        if connection.open
            || !connection.is_first()
            || connection.role != Role::Offerer
            || (fresh && !self.can_be_carried(peer))
        {
            return false;
        }
        let connection = self.connections.all.get_mut(&id).expect("looked up just now");
        connection.in_shell = false;
        if fresh {
            self.ask_to_be_carried(id);
        }
        let connection = self.connections.all.get(&id).expect("looked up just now");
        connection.carried.is_some()
    }

    /// Another peer asks for a session.
    pub(crate) fn carry_opened(&mut self, from: PeerId, session: u64, credit_bytes: u32) {
        let id = match self.connections.of_session(from, session) {
            Some(id) if self.connections.all[&id].open => return,
            Some(id) => Some(id),
            None => self.take_stranger(from, session, false),
        };
        // Further lanes are not carried.
        let Some(id) = id.filter(|id| self.connections.all[id].is_first()) else {
            return self.relay_send(ToRelay::CarryClose { to: from, session });
        };
        let connection = self.connections.all.get_mut(&id).expect("found or made just now");
        connection.carried.get_or_insert_with(Carried::new).credit = u64::from(credit_bytes);
        self.relay_send(ToRelay::CarryCredit { to: from, session, bytes: CARRIED_WINDOW_BYTES_MAX });
        self.carry_taken(id);
    }

    /// The other side gave credit; the first time that takes the session.
    pub(crate) fn carry_credit(&mut self, from: PeerId, session: u64, bytes: u32) {
        let Some(id) = self.connections.of_session(from, session) else { return };
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let Some(carried) = &mut connection.carried else { return };
        carried.credit = carried.credit.saturating_add(u64::from(bytes));
        if !carried.taken && !connection.open {
            self.carry_taken(id);
        }
    }

    fn carry_taken(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if let Some(carried) = &mut connection.carried {
            carried.taken = true;
        }
        if core::mem::take(&mut connection.in_shell) {
            self.out.push_back(Output::Close { connection: id });
        }
        self.opened(id, QUEUE_BYTES);
    }

    /// A piece arrived.
    pub(crate) fn carried(&mut self, from: PeerId, session: u64, last: bool, piece: &[u8]) {
        let Some(id) = self.connections.of_session(from, session) else { return };
        let Some(carried) = self.connections.all.get_mut(&id).and_then(|c| c.carried.as_mut()) else {
            return;
        };
        let bytes = piece.len() as u64;
        let is_too_much =
            bytes > carried.granted || carried.partial.len() + piece.len() > PEER_FRAME_BYTES_MAX;
        // A piece of nothing that is no end would be work for nothing.
        if !carried.taken || is_too_much || (piece.is_empty() && !last) {
            return self.hang_up(id);
        }
        carried.granted -= bytes;
        carried.received += piece.len() as u32;
        carried.partial.extend_from_slice(piece);
        self.paths.received_bytes += bytes;
        let mut credit = None;
        if carried.received >= CARRIED_WINDOW_BYTES_MAX / 4 {
            let bytes = core::mem::take(&mut carried.received);
            carried.granted += u64::from(bytes);
            credit = Some(ToRelay::CarryCredit { to: from, session, bytes });
        }
        let message = last.then(|| core::mem::take(&mut carried.partial));
        if let Some(credit) = credit {
            self.relay_send(credit);
        }
        if let Some(message) = message {
            self.peer_message(id, &message);
        }
    }

    /// The relay or the other side ended a session.
    pub(crate) fn carry_closed(&mut self, peer: PeerId, session: u64, end: CarryEnd) {
        let Some(id) = self.connections.of_session(peer, session) else { return };
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if connection.carried.is_none() {
            return;
        }
        if !connection.open && connection.in_shell && end != CarryEnd::Gone {
            // The direct way may still open.
            connection.carried = None;
            connection.carry_refused = true;
            return;
        }
        self.closed(id);
    }

    /// Without the relay's socket nothing passes.
    pub(crate) fn carries_lost(&mut self) {
        self.paths.carried_bytes_per_s = 0;
        for id in self.connections.ids() {
            let connection = self.connections.all.get_mut(&id).expect("listed just now");
            if connection.carried.take().is_some() && !connection.in_shell {
                self.closed(id);
            }
        }
    }

    /// Sends what credit and pace allow, then lets the connections fill their queues again.
    pub(crate) fn carry_on(&mut self) {
        loop {
            let mut freed = Vec::new();
            for id in self.connections.ids() {
                let bytes = self.send_pieces(id);
                if bytes > 0 {
                    freed.push((id, bytes));
                }
            }
            if freed.is_empty() {
                return;
            }
            freed.into_iter().for_each(|(id, bytes)| self.credit(id, bytes));
        }
    }

    /// Gives the bytes of the messages that are through.
    fn send_pieces(&mut self, id: ConnectionId) -> u64 {
        let Node { connections, paths, now, .. } = self;
        let Some(connection) = connections.all.get_mut(&id) else { return 0 };
        let (to, session) = (connection.peer, connection.session);
        let Some(carried) = &mut connection.carried else { return 0 };
        let mut pieces = Vec::new();
        let mut through = 0;
        while let Some(message) = carried.queue.front() {
            let left = &message[carried.sent_of_first..];
            let bytes = left.len().min(CARRIED_PIECE_BYTES_MAX);
            if bytes as u64 > carried.credit {
                break;
            }
            if paths.paced_until > *now + AHEAD {
                self.timers.by(Timer::Carry, paths.paced_until);
                break;
            }
            let cost = (bytes as u64).max(PIECE_COST_BYTES_MIN) * 1_000_000;
            let pause = Duration::from_micros(cost / u64::from(paths.carried_bytes_per_s.max(1)));
            paths.paced_until = paths.paced_until.max(*now) + pause;
            carried.credit -= bytes as u64;
            carried.sent_of_first += bytes;
            let last = bytes == left.len();
            pieces.push(ToRelay::Carry { to, session, last, piece: left[..bytes].to_vec() });
            if last {
                through += message.len() as u64;
                carried.queue.pop_front();
                carried.sent_of_first = 0;
            }
        }
        pieces.into_iter().for_each(|piece| self.relay_send(piece));
        through
    }
}
