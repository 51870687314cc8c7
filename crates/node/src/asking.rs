//! What is asked of which source, and which of them do not answer.

use crate::Node;
use crate::connections::source_of;
use core::time::Duration;
use peeredge_dts::{SourceId, Want};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::{ConnectionId, ContentId};
use std::collections::BTreeSet;

/// A want is worthless after so long: then it has been asked elsewhere.
const WANT_DEADLINE_MS: u32 = 10_000;
/// When all that a silent source was asked for has passed its deadline, with time for what was on its way.
const DEBTS_RUN_OUT: Duration = Duration::from_secs(12);
/// Who refused something in the last seconds refuses more.
const REFUSED_LATELY: Duration = Duration::from_secs(3);
/// Records asked again elsewhere after so long.
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// Sorts by a number, with another one beside it: one function for all, as each of a type of its own is kilobytes of wasm.
pub(crate) fn order(ranked: &mut [(u64, u32)]) {
    ranked.sort_unstable();
}

/// The contents that share the pipe of a connection: of each something is under way, or waits for room in it.
#[derive(Debug, Default)]
pub(crate) struct Shares(BTreeSet<ContentId>);

/// What is under way over a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// Bytes, of all contents.
    bytes: u64,
    /// Contents that share the pipe.
    contents: u64,
    /// Of those, the ones that wait for room.
    waiting: u64,
}

impl Shares {
    fn insert(&mut self, content: ContentId) {
        self.0.insert(content);
    }

    /// `owed` tells of each content how many bytes are under way, and none where nothing is wanted any more: such a one leaves.
    fn load(&mut self, owed: impl Fn(&ContentId) -> Option<u64>) -> Load {
        let mut load = Load::default();
        let mut gone = Vec::new();
        for content in &self.0 {
            let Some(bytes) = owed(content) else {
                gone.push(*content);
                continue;
            };
            load.bytes = load.bytes.saturating_add(bytes);
            load.contents += 1;
            load.waiting += u64::from(bytes == 0);
        }
        for content in gone {
            self.0.remove(&content);
        }
        load
    }
}

impl Node {
    /// Asks every source of a content for what it can give.
    pub(crate) fn ask_all(&mut self, id: ContentId) {
        self.note_playing(id);
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.touched = false;
        content.stirred = false;
        content.asked_all = self.now;
        self.ask_records(id);
        // Whoever has least to do is asked first, so that no order of names decides who works.
        let Some(transfer) = self.contents.get(&id).and_then(|c| c.transfer.as_ref()) else { return };
        let mut idlest: Vec<(u64, u32)> = self
            .connections
            .open_ids()
            .into_iter()
            .map(|c| (transfer.in_flight_bytes(source_of(c)), c.0))
            .collect();
        order(&mut idlest);
        idlest.into_iter().for_each(|(_, connection)| self.ask(id, ConnectionId(connection)));
    }

    /// Asks one source for what it can give.
    pub(crate) fn ask(&mut self, id: ContentId, connection: ConnectionId) {
        self.note_playing(id);
        let (sources, others) = self.connections.usual_rate();
        let is_http_better = self.http_stands_for(id, connection);
        let (round_trip_s, late_share) = self.path_of(connection);
        // Of all contents: one that owes something of another is not idle, however little it owes of this one.
        let load = self.load_of(connection);
        let Some(c) = self.connections.all.get_mut(&connection) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let symbol = content.layout().map_or(0, |l| u64::from(l.symbol_len()));
        let Some(transfer) = &mut content.transfer else { return };
        let source = source_of(connection);
        if transfer.holdings(source).is_none() {
            return;
        }
        // Who plays is in no hurry: a pipe opens from one symbol on.
        let sources = if transfer.is_played() { u64::MAX } else { sources };
        let rate = c.rate.rate();
        let rests = c.rest_until > self.now || is_http_better;
        let whole = if rests { 0 } else { c.pipe.window_bytes(rate, round_trip_s, symbol, sources) };
        // One pipe for all contents: hundreds that each filled it would wait in the sender's queue, beyond their deadlines, and be asked for
        // again. Where some wait for room in it, each has its share.
        let own = transfer.in_flight_bytes(source);
        let mut window = whole.saturating_sub(load.bytes - own);
        if load.waiting > u64::from(own == 0) {
            window = window.min((whole / load.contents).max(symbol));
        }
        if !rests {
            // Not none: one that has no room now is no less a fellow of this content.
            window = window.max(1);
            if own == 0 && window < symbol {
                c.shares.insert(id);
            }
        }
        let owes = load.bytes > 0;
        let believed = c.pipe.believed_bytes_per_s(self.now, rate, others, owes);
        transfer.set_window(source, window, believed, late_share);
        if !owes {
            // The pipe was empty: a pause that the source is not to blame for.
            c.pipe.is_idle(self.now);
        }
        for want in transfer.wants(self.now, source) {
            let Some(transfer) = self.contents.get(&id).and_then(|c| c.transfer.as_ref()) else { return };
            let due_ms = (transfer.want_due_s(&want) * 1e3) as u32;
            let Want { block, picks } = want;
            let want = PeerMessage::Want { content: id, block, deadline_ms: WANT_DEADLINE_MS, due_ms, picks };
            if let Some(c) = self.connections.all.get_mut(&connection) {
                c.shares.insert(id);
            }
            self.send(connection, &want);
        }
    }

    fn load_of(&mut self, connection: ConnectionId) -> Load {
        let contents = &self.contents;
        let Some(c) = self.connections.all.get_mut(&connection) else { return Load::default() };
        c.shares.load(|content| {
            let transfer = contents.get(content)?.transfer.as_ref()?;
            let source = source_of(connection);
            let owed = transfer.in_flight_bytes(source);
            let held = transfer.holdings(source)?;
            let waits = || transfer.blocks().iter().any(|&block| held.has_some(block));
            (owed > 0 || waits()).then_some(owed)
        })
    }

    /// Asks for the records of blocks that are to be filled.
    fn ask_records(&mut self, id: ContentId) {
        let now = self.now;
        let Some(content) = self.contents.get(&id) else { return };
        let (Some(transfer), Some(state)) = (&content.transfer, &content.state) else { return };
        let mut asks: Vec<(u32, SourceId)> = Vec::new();
        let mut loads = Vec::new();
        let sources: Vec<SourceId> = self.connections.open_ids().into_iter().map(source_of).collect();
        for block in transfer.blocks_without_record() {
            if let Some((_, at)) = content.record_asked.get(&block)
                && now.since(*at) < RECORD_WITHIN
            {
                continue;
            }
            if content.stored && state.records.contains(block) {
                loads.push(block);
                continue;
            }
            let before = content.record_asked.get(&block).map(|(source, _)| *source);
            let holders: Vec<SourceId> = sources
                .iter()
                .copied()
                .filter(|&s| transfer.holdings(s).is_some_and(|h| h.has_some(block)))
                .filter(|&s| Some(s) != before || sources.len() == 1)
                .collect();
            if !holders.is_empty() {
                asks.push((block, holders[block as usize % holders.len()]));
            }
        }
        for block in loads {
            self.note_record_asked(id, block, Self::STORE);
            self.load_record(id, block);
        }
        for (block, source) in asks {
            self.note_record_asked(id, block, source);
            if let Some(connection) = self.connections.all.get_mut(&ConnectionId(source.0)) {
                connection.excused.asks_record();
            }
            self.send(ConnectionId(source.0), &PeerMessage::AskRecord { content: id, block });
        }
    }

    pub(crate) fn note_record_asked(&mut self, id: ContentId, block: u32, source: SourceId) {
        let now = self.now;
        if let Some(content) = self.contents.get_mut(&id) {
            content.record_asked.insert(block, (source, now));
        }
    }

    /// Looks for sources that were asked and do not answer.
    pub(crate) fn check_sources(&mut self) {
        let (_, others) = self.connections.usual_rate();
        for connection in self.connections.open_ids() {
            let owed = self.load_of(connection).bytes;
            if owed == 0 {
                continue;
            }
            let c = self.connections.all.get_mut(&connection).expect("listed just now");
            let stalls = c.pipe.stalls(self.now, c.rate.rate(), others, owed);
            let runs_out = c.pipe.runs_out(self.now, DEBTS_RUN_OUT);
            if !stalls && !runs_out {
                continue;
            }
            for transfer in self.contents.values_mut().filter_map(|c| c.transfer.as_mut()) {
                if runs_out {
                    transfer.give_up_on_flights(source_of(connection));
                } else {
                    transfer.give_up_on_urgent(source_of(connection));
                }
            }
        }
        for content in self.contents.values_mut().filter(|c| c.transfer.is_some()) {
            // Late symbols are found by the clock, not by an arrival.
            content.touched = true;
        }
    }

    /// Whether a connection's peer holds something that is needed and has not been asked for it, or not for long: a seeder is left to
    /// others while fellows keep up, and that it gives nothing meanwhile is not its fault.
    pub(crate) fn may_still_give(&self, id: ConnectionId, within: Duration) -> bool {
        let Some(c) = self.connections.all.get(&id) else { return false };
        // The silence of one that owes nothing does not count.
        let would_give = !c.pipe.is_stalled() && c.pipe.silence(self.now) <= within;
        would_give
            && self.now.since(c.rest_until) > REFUSED_LATELY
            && self.contents.values().filter_map(|c| c.transfer.as_ref()).any(|transfer| {
                let held = transfer.holdings(source_of(id));
                held.is_some_and(|held| transfer.blocks().iter().any(|&block| held.has_some(block)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_counts_over_all_contents_and_what_nobody_wants_leaves() {
        let id = |n: u8| ContentId([n; 32]);
        let mut shares = Shares::default();
        (1..=4).for_each(|n| shares.insert(id(n)));
        let owed = |content: &ContentId| match content.0[0] {
            1 => Some(700),
            2 => Some(0),
            3 => None,
            _ => Some(u64::MAX),
        };
        for contents in [3, 3] {
            let load = shares.load(owed);
            assert_eq!((load.bytes, load.contents, load.waiting), (u64::MAX, contents, 1));
        }
        assert_eq!(shares.load(|_| None).contents, 0);
        assert!(shares.0.is_empty());
    }
}
