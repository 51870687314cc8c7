//! What is on its way out: within the visitor's caps, and in the order in which receivers need it.
//!
//! Every byte that leaves counts. What supplies others (holdings, manifests, records, symbols) leaves within the caps; this node's own
//! asks and its refusals are small, leave at once, and what supplies others waits the longer for it.

use crate::Node;
use crate::allowance::Allowance;
use crate::asking::order;
use crate::blocks::{Fetched, ParityIs};
use crate::caps::Caps;
use crate::output::Output;
use crate::timers::Timer;
use core::time::Duration;
use peeredge_dts::{Answer, CodedId, Due, Encoder, SHARE_AHEAD};
use peeredge_wire::limits::WANT_PICKS_MAX;
use peeredge_wire::peer::{Marker, PeerMessage, Pick, RefuseReason};
use peeredge_wire::{ConnectionId, ContentId, Time};
use std::collections::BTreeSet;

/// Bytes that strangers may have this node read, sum or multiply, beyond [`WORK_EARNED`] for each byte sent to them: reading a block to
/// send one symbol of it, or summing half of a block for a coded one, is much for little. What one connection may have done at once and in a
/// second, and all together.
const WORK_BURST: u64 = 64 << 20;
const WORK_PER_S: u64 = 32 << 20;
const WORK_ALL_BURST: u64 = 256 << 20;
const WORK_ALL_PER_S: u64 = 128 << 20;
const WORK_EARNED: u64 = 32;
/// One who has taken so much counts no longer towards what all may have done.
const WORK_TRUSTED_BYTES: u64 = 1 << 20;
/// Making a block's parity is worth so many passes over it; a symbol multiplied, so many added.
const PARITY_PASSES: u64 = 4;
const DENSE_PASSES: u64 = 4;
/// Whoever has used up its work is looked at again so soon.
const WORK_AGAIN: Duration = Duration::from_millis(100);
/// Served bytes that let a peer send one more control frame.
const FRAME_EARNED_BYTES: u64 = 1024;
/// A header of the longest kind.
const HEADER_BYTES: u64 = 64;

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
    /// What owners that wait have of a capped uplink, by owner.
    owners: Vec<OwnersShare>,
    /// What all connections that have not taken much may have done.
    work: Allowance,
}

/// What one connection may have done.
pub(crate) fn work_allowance() -> Allowance {
    Allowance::full(WORK_BURST, WORK_PER_S)
}

/// Whether something may go out.
enum Leave {
    Now,
    At(Time),
    Never,
}

/// What came of a try to send something.
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

/// What those of one owner have of a capped uplink together.
#[derive(Debug)]
struct OwnersShare {
    owner: u64,
    /// Until when they have used what is theirs.
    until: Time,
    /// How many of them wait.
    keys: u64,
}

impl Upload {
    pub(crate) fn new() -> Self {
        Upload {
            tokens: 0.0,
            filled: Time::ZERO,
            sent_bytes: 0,
            rests_until: Time::ZERO,
            waiting: BTreeSet::new(),
            owners: Vec::new(),
            work: Allowance::full(WORK_ALL_BURST, WORK_ALL_PER_S),
        }
    }

    /// The visitor has changed the caps.
    pub(crate) fn caps_changed(&mut self) {
        self.rests_until = Time::ZERO;
    }

    /// Something is queued for a receiver.
    pub(crate) fn waits(&mut self, id: ConnectionId) {
        self.waiting.insert(id);
    }

    /// A receiver is gone.
    pub(crate) fn gone(&mut self, id: ConnectionId) {
        self.waiting.remove(&id);
    }

    fn leave(&mut self, caps: &Caps, now: Time, bytes: u64) -> Leave {
        if !caps.upload_allowed
            || self.sent_bytes.saturating_add(bytes) > caps.upload_bytes_max
            || caps.upload_bytes_per_s_max == 0
        {
            return Leave::Never;
        }
        if !is_capped(caps) {
            return Leave::Now;
        }
        let rate = caps.upload_bytes_per_s_max as f64;
        // A tenth of a second at once, but always room for what is due: or it could never leave.
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

    /// So many bytes left.
    pub(crate) fn sent(&mut self, caps: &Caps, bytes: u64) {
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

    /// Sends what is queued for one receiver while the channel, the caps and the memory allow. Under a cap all receivers have their turns.
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
        let mut turns: Vec<(Time, ConnectionId, Option<usize>)> = Vec::new();
        let mut by_owner: Vec<(u64, u32)> = Vec::new();
        for id in self.upload.waiting.iter().copied().collect::<Vec<_>>() {
            let connection = self.connections.all.get_mut(&id);
            let Some((turn, owner)) = connection.and_then(|c| Some((c.serve.turn(now)?, c.owner))) else {
                self.upload.waiting.remove(&id);
                continue;
            };
            by_owner.extend(owner.map(|owner| (owner, turns.len() as u32)));
            turns.push((turn, id, None));
        }
        // By owner first, then among its keys: or whoever makes most keys has most of the uplink.
        order(&mut by_owner);
        let shares = turns.len() - by_owner.len();
        let before = core::mem::take(&mut self.upload.owners);
        let owners = &mut self.upload.owners;
        for (owner, at) in by_owner {
            if owners.last().is_none_or(|last| last.owner != owner) {
                let known = before.binary_search_by_key(&owner, |share| share.owner);
                let until = known.map_or(now, |place| before[place].until);
                owners.push(OwnersShare { owner, until, keys: 0 });
            }
            let last = owners.len() - 1;
            owners[last].keys += 1;
            turns[at as usize].2 = Some(last);
        }
        let shares = (shares + owners.len()) as u64;
        while let Some(at) = (0..turns.len()).min_by_key(|&at| {
            let (turn, id, owner) = turns[at];
            (owner.map_or(turn, |owner| self.upload.owners[owner].until.max(turn)), id)
        }) {
            let (_, id, owner) = turns[at];
            let before = self.upload.sent_bytes;
            let pumped = self.pump_one(id);
            let sent_bytes = self.upload.sent_bytes - before;
            let micros = sent_bytes * 1_000_000 * shares / self.config.caps.upload_bytes_per_s_max.max(1);
            let mut of_owner = 1;
            if let Some(share) = owner.map(|owner| &mut self.upload.owners[owner]) {
                of_owner = share.keys;
                if of_owner > 1 {
                    share.until =
                        (share.until.max(now) + Duration::from_micros(micros)).min(now + SHARE_AHEAD);
                }
            }
            let turn = self.connections.all.get_mut(&id).and_then(|connection| {
                connection.serve.takes(now, Duration::from_micros(micros.saturating_mul(of_owner)));
                connection.serve.turn(now)
            });
            match (pumped, turn) {
                (Pumped::Capped, _) => return,
                (Pumped::Done, Some(turn)) => turns[at].0 = turn,
                _ => _ = turns.swap_remove(at),
            }
        }
    }

    /// Whether the caps let anything leave that supplies others.
    pub(crate) fn may_supply(&self) -> bool {
        let caps = &self.config.caps;
        caps.upload_allowed
            && caps.upload_bytes_per_s_max > 0
            && self.upload.sent_bytes < caps.upload_bytes_max
    }

    /// Whether so many bytes may leave now, before what is queued.
    pub(crate) fn may_leave_now(&mut self, bytes: u64) -> bool {
        matches!(self.upload.leave(&self.config.caps, self.now, bytes), Leave::Now)
    }

    /// At most how many bytes leave with what is due; none when its content is not known.
    fn bytes_of(&self, due: &Due) -> Option<u64> {
        let (Due::Answer { content, .. } | Due::Symbol { content, .. }) = due;
        let c = self.contents.get(content)?;
        let layout = c.layout()?;
        Some(match *due {
            Due::Symbol { .. } => HEADER_BYTES + u64::from(layout.symbol_len()),
            Due::Answer { answer: Answer::Manifest, .. } => {
                let names = c.manifest().map_or(0, |m| m.name().len() + m.media_type().len());
                HEADER_BYTES + names as u64 + 32 * u64::from(layout.blocks())
            }
            Due::Answer { answer: Answer::Record(block), .. } => {
                HEADER_BYTES + 32 * u64::from(layout.symbols_of(block))
            }
            Due::Answer { answer: Answer::Holdings, .. } => {
                let filled = c.transfer.as_ref().map_or(0, |t| t.blocks().len() as u64);
                let each = 2 * HEADER_BYTES + layout.block_bits_len() as u64;
                HEADER_BYTES + u64::from(layout.blocks()).div_ceil(8) + filled * each
            }
        })
    }

    /// Sends or refuses what one receiver needs first.
    fn pump_one(&mut self, id: ConnectionId) -> Pumped {
        let now = self.now;
        let Some(connection) = self.connections.all.get_mut(&id) else { return Pumped::Waits };
        let Some(due) = connection.serve.front(now) else { return Pumped::Waits };
        let Some(bytes) = self.bytes_of(&due) else {
            self.refuse_front(id, RefuseReason::NotHeld);
            return Pumped::Done;
        };
        if !self.connections.all.get(&id).is_some_and(|c| c.can_send(bytes as usize)) {
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
        if !self.may_work(id, &due) {
            self.timers.by(Timer::Upload, now + WORK_AGAIN);
            return Pumped::Waits;
        }
        match self.frames_of(&due) {
            Fetched::Here(frames) => {
                let Some(connection) = self.connections.all.get_mut(&id) else { return Pumped::Waits };
                connection.serve.pop();
                let (Due::Answer { content, .. } | Due::Symbol { content, .. }) = due;
                self.gave(content, bytes);
                let is_news = matches!(due, Due::Answer { answer: Answer::Holdings, .. });
                for frame in frames {
                    let served = if is_news { 0 } else { frame.len() as u64 };
                    self.send_supply(id, frame, served);
                }
            }
            Fetched::Loading => return Pumped::Waits,
            Fetched::NotHeld => self.refuse_front(id, RefuseReason::NotHeld),
        }
        Pumped::Done
    }

    /// Whether what is due may be made ready now, by what this connection, and all of them, have had done. What is taken is counted.
    fn may_work(&mut self, id: ConnectionId, due: &Due) -> bool {
        let Due::Symbol { content, block, marker } = *due else { return true };
        let Some(layout) =
            self.contents.get(&content).filter(|c| c.has_block(block)).and_then(|c| c.layout())
        else {
            return true;
        };
        let range = layout.block_range(block);
        let block_len = range.end - range.start;
        let work = match (self.parity_of(content, block), marker) {
            // It is on its way.
            (None, _) if self.is_loading(content, block) => 0,
            (None, _) if !self.has_room_to_load(block_len) => return false,
            (None, _) => block_len,
            (Some(_), Marker::Source(_)) => 0,
            (Some(parity), Marker::Coded { density, seed }) => {
                let coded = CodedId { density, seed };
                let Some(geometry) = layout.geometry(block).filter(|_| coded.is_valid()) else { return true };
                let summed = u64::from(Encoder::symbols_summed(geometry, coded));
                let passes = if Encoder::multiplies(geometry, coded) { DENSE_PASSES } else { 1 };
                match parity {
                    ParityIs::Absent => PARITY_PASSES * block_len,
                    ParityIs::Making => 0,
                    ParityIs::Made => summed * passes * u64::from(layout.symbol_len()),
                }
            }
        };
        let Some(connection) = self.connections.all.get_mut(&id) else { return true };
        if work == 0 || !connection.work.take(self.now, work) {
            return work == 0;
        }
        let trusted = connection.served_bytes >= WORK_TRUSTED_BYTES;
        let may = trusted || self.upload.work.take(self.now, work);
        if !may {
            connection.work.give(work.min(WORK_BURST));
        }
        may
    }

    /// Sends a frame that supplies another peer, of which `served` bytes are what it asked for.
    pub(crate) fn send_supply(&mut self, id: ConnectionId, message: Vec<u8>, served: u64) {
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let bytes = message.len() as u64;
        connection.credit -= bytes.min(connection.credit);
        connection.served_bytes += served;
        connection.work.give(served * WORK_EARNED);
        connection.frames.give(served / FRAME_EARNED_BYTES);
        connection.sent_bytes += bytes;
        self.totals.sent_bytes += bytes;
        self.upload.work.give(served * WORK_EARNED);
        self.put_out(id, message);
    }

    /// A frame leaves, by whichever way; whatever it says, it counts.
    pub(crate) fn put_out(&mut self, id: ConnectionId, message: Vec<u8>) {
        self.upload.sent(&self.config.caps, message.len() as u64);
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        match &mut connection.carried {
            Some(carried) if carried.is_taken() => carried.queue(message),
            _ => self.out.push_back(Output::Send { connection: id, message }),
        }
    }

    /// Refuses what is at the front, and with it what follows of the same block for the same reason: one frame, as one asked.
    fn refuse_front(&mut self, id: ConnectionId, reason: RefuseReason) {
        let now = self.now;
        let Some(connection) = self.connections.all.get_mut(&id) else { return };
        let (content, block) = match connection.serve.front(now) {
            None => return,
            Some(Due::Answer { content, answer }) => {
                connection.serve.pop();
                let refused = |block| PeerMessage::Refuse { content, block, reason, picks: Vec::new() };
                let message = match (answer, reason) {
                    (Answer::Record(block), _) => refused(block),
                    (Answer::Manifest, RefuseReason::Capped) => refused(0),
                    _ => PeerMessage::HaveNone { content },
                };
                return self.send(id, &message);
            }
            Some(Due::Symbol { content, block, .. }) => (content, block),
        };
        let mut picks = Vec::new();
        loop {
            let Some(connection) = self.connections.all.get_mut(&id) else { return };
            picks.extend(connection.serve.pop_order().map(|(_, _, pick)| pick));
            let next = connection.serve.front(now);
            let Some(Due::Symbol { content: c, block: b, marker }) = next else { break };
            let is_same = (c, b) == (content, block);
            let is_held = reason == RefuseReason::NotHeld && self.holds(content, block, marker);
            if !is_same || is_held || picks.len() == WANT_PICKS_MAX {
                break;
            }
        }
        self.send(id, &PeerMessage::Refuse { content, block, reason, picks });
    }

    /// Whether a symbol can be sent, now or when its block is loaded.
    fn holds(&self, content: ContentId, block: u32, marker: Marker) -> bool {
        let Some(c) = self.contents.get(&content) else { return false };
        match marker {
            Marker::Coded { density, seed } => c.has_block(block) && CodedId { density, seed }.is_valid(),
            Marker::Source(index) if c.has_block(block) => {
                c.layout().is_some_and(|layout| index < layout.symbols_of(block))
            }
            Marker::Source(index) => {
                c.transfer.as_ref().and_then(|t| t.assembly(block)).is_some_and(|a| a.have().contains(index))
            }
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
