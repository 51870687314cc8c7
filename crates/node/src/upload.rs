//! Symbols on their way out: within the visitor's caps, and in the order in which receivers need them.

use crate::Node;
use crate::blocks::Fetched;
use crate::caps::Caps;
use crate::output::Output;
use crate::timers::Timer;
use core::time::Duration;
use peeredge_wire::peer::{PeerMessage, Pick, RefuseReason};
use peeredge_wire::{ConnectionId, ContentId, Time};
use std::collections::BTreeSet;

/// Keeps the upload caps: a token bucket for the rate, a count for the total.
#[derive(Debug)]
pub(crate) struct Upload {
    tokens: f64,
    filled: Time,
    sent_bytes: u64,
    /// Nothing may leave before.
    rests_until: Time,
    /// Receivers with something in their queues, and maybe some without.
    waiting: BTreeSet<ConnectionId>,
}

/// Whether a symbol may go out.
enum Leave {
    Now,
    At(Time),
    Never,
}

/// What came of a try to send a symbol.
#[derive(PartialEq, Eq)]
enum Pumped {
    /// It was sent, or refused.
    Done,
    /// Nothing is queued, or the channel or the store is not ready.
    Waits,
    /// Nothing may leave to anybody for a while.
    Capped,
}

/// Whether the uplink's rate is bounded, so that receivers share it.
fn is_capped(caps: &Caps) -> bool {
    caps.upload_bytes_per_s_max != u64::MAX
}

impl Upload {
    pub(crate) fn new() -> Self {
        Upload {
            tokens: 0.0,
            filled: Time::ZERO,
            sent_bytes: 0,
            rests_until: Time::ZERO,
            waiting: BTreeSet::new(),
        }
    }

    /// The visitor has changed the caps.
    pub(crate) fn caps_changed(&mut self) {
        self.rests_until = Time::ZERO;
    }

    /// A receiver is gone.
    pub(crate) fn gone(&mut self, id: ConnectionId) {
        self.waiting.remove(&id);
    }

    fn leave(&mut self, caps: &Caps, now: Time, bytes: u64) -> Leave {
        if !caps.upload_allowed
            || self.sent_bytes + bytes > caps.upload_bytes_max
            || caps.upload_bytes_per_s_max == 0
        {
            return Leave::Never;
        }
        if !is_capped(caps) {
            return Leave::Now;
        }
        let rate = caps.upload_bytes_per_s_max as f64;
        // A tenth of a second at once, but always room for the symbol: or it could never leave.
        let room = (rate / 10.0).max(bytes as f64);
        self.tokens = (self.tokens + rate * now.since(self.filled).as_secs_f64()).min(room);
        self.filled = now;
        if self.tokens >= bytes as f64 {
            return Leave::Now;
        }
        Leave::At(
            now + Duration::from_secs_f64((bytes as f64 - self.tokens) / rate) + Duration::from_millis(1),
        )
    }

    fn sent(&mut self, caps: &Caps, bytes: u64) {
        self.sent_bytes += bytes;
        if is_capped(caps) {
            self.tokens -= bytes as f64;
        }
    }
}

impl Node {
    pub(crate) fn wanted(
        &mut self,
        id: ConnectionId,
        content: ContentId,
        block: u32,
        until: Time,
        due: Time,
        picks: &[Pick],
    ) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let refused = connection.serve.push(content, block, until, due, picks);
        // Before anything that may end the connection: whoever is gone must not wait.
        self.upload.waiting.insert(id);
        if !refused.is_empty() {
            self.send(
                id,
                &PeerMessage::Refuse { content, block, reason: RefuseReason::Busy, picks: refused },
            );
        }
        self.pump(id);
    }

    /// Sends queued symbols of one receiver while the channel, the caps and the memory allow. Under a cap all receivers have their turns.
    pub(crate) fn pump(&mut self, id: ConnectionId) {
        if is_capped(&self.config.caps) {
            return self.pump_in_turn();
        }
        while self.pump_one(id) == Pumped::Done {}
    }

    /// Sends what is needed first, of whomever it is, until the uplink's cap is used.
    fn pump_in_turn(&mut self) {
        if self.upload.rests_until > self.now {
            return self.timers.by(Timer::Upload, self.upload.rests_until);
        }
        let now = self.now;
        let mut turns: Vec<(Time, ConnectionId)> = Vec::new();
        for id in self.upload.waiting.iter().copied().collect::<Vec<_>>() {
            match self.connections.all.get_mut(&id).and_then(|c| c.serve.turn(now)) {
                Some(turn) => turns.push((turn, id)),
                None => _ = self.upload.waiting.remove(&id),
            }
        }
        let receivers = turns.len() as u64;
        while let Some(at) = (0..turns.len()).min_by_key(|&at| turns[at]) {
            let id = turns[at].1;
            let before = self.upload.sent_bytes;
            let pumped = self.pump_one(id);
            let sent_bytes = self.upload.sent_bytes - before;
            let turn = self.connections.all.get_mut(&id).and_then(|connection| {
                let micros =
                    sent_bytes * 1_000_000 * receivers / self.config.caps.upload_bytes_per_s_max.max(1);
                connection.serve.takes(now, Duration::from_micros(micros));
                connection.serve.turn(now)
            });
            match (pumped, turn) {
                (Pumped::Capped, _) => return,
                (Pumped::Done, Some(turn)) => turns[at].0 = turn,
                _ => _ = turns.swap_remove(at),
            }
        }
    }

    /// Sends or refuses the symbol that one receiver needs first.
    fn pump_one(&mut self, id: ConnectionId) -> Pumped {
        let now = self.now;
        let Some(connection) = self.connections.all.get_mut(&id) else { return Pumped::Waits };
        let Some(due) = connection.serve.front(now) else { return Pumped::Waits };
        let Some(layout) = self.contents.get(&due.content).and_then(|c| c.layout()) else {
            self.refuse_front(id, RefuseReason::NotHeld);
            return Pumped::Done;
        };
        let bytes = u64::from(layout.symbol_len());
        if !connection.can_send(bytes as usize + 64) {
            return Pumped::Waits;
        }
        match self.upload.leave(&self.config.caps, now, bytes) {
            Leave::Now => {}
            Leave::At(at) => {
                self.upload.rests_until = at;
                self.timers.by(Timer::Upload, at);
                return Pumped::Capped;
            }
            Leave::Never => {
                self.refuse_front(id, RefuseReason::Capped);
                return Pumped::Done;
            }
        }
        match self.symbol_frame(&due) {
            Fetched::Here(message) => self.send_symbol(id, message, bytes),
            Fetched::Loading => return Pumped::Waits,
            Fetched::NotHeld => self.refuse_front(id, RefuseReason::NotHeld),
        }
        Pumped::Done
    }

    fn send_symbol(&mut self, id: ConnectionId, message: Vec<u8>, bytes: u64) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        connection.serve.pop();
        connection.credit -= (message.len() as u64).min(connection.credit);
        connection.sent_bytes += bytes;
        self.totals.sent_bytes += bytes;
        self.upload.sent(&self.config.caps, bytes);
        match &mut connection.carried {
            Some(carried) if carried.is_taken() => carried.queue(message),
            _ => self.out.push_back(Output::Send { connection: id, message }),
        }
    }

    fn refuse_front(&mut self, id: ConnectionId, reason: RefuseReason) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        if let Some((content, block, pick)) = connection.serve.pop_order() {
            self.send(id, &PeerMessage::Refuse { content, block, reason, picks: vec![pick] });
        }
    }

    /// Everyone gets a turn.
    pub(crate) fn pump_all(&mut self) {
        if is_capped(&self.config.caps) {
            return self.pump_in_turn();
        }
        self.connections.open_ids().into_iter().for_each(|id| self.pump(id));
    }
}
