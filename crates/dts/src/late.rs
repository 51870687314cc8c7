//! The tail: everything needed is under way, and somebody who owes some of it is late. What it owes is asked of others, as coded
//! symbols where that is possible, because then any of them helps.

use crate::playing::DUE_S;
use crate::source::SourceId;
use crate::transfer::{Flight, Transfer};
use crate::want::{Want, push_picks};
use peeredge_wire::Time;

/// Sources that one late symbol is asked of at the same time.
const FLIGHTS_MAX: usize = 3;

impl Transfer {
    /// Everything needed is under way, and `id` has nothing to do: it takes over what the slowest owe.
    pub(crate) fn tail(&mut self, now: Time, id: SourceId, left: u32, wants: &mut Vec<Want>) {
        let mut left = left;
        let is_tail = self.all_under_way();
        for at in 0..self.order.len() {
            let block = self.order[at];
            let late = self.late(now, id, block, is_tail);
            let late_coded = self.late_coded(now, id, block, is_tail);
            let can_code = self.can_code(id, block);
            let spare = if is_tail && can_code && !self.is_played() { self.spare(id, block) } else { 0 };
            if (late.is_empty() && late_coded + spare == 0) || left == 0 {
                continue;
            }
            let mut count = (late.len() as u32).min(left);
            let picks = if can_code {
                let coded = self.coded_short_of(block, late.len() as u32, late_coded, spare).min(left);
                count = coded;
                self.commit(now, id, block, &[], coded)
            } else {
                self.commit(now, id, block, &late[..count as usize], 0)
            };
            left -= count;
            push_picks(wants, block, picks);
        }
    }

    /// Coded symbols to ask so that `late` source symbols and `late_coded` coded ones need not come, nor `spare` of the others,
    /// beyond those that have come or are under way.
    fn coded_short_of(&self, block: u32, late: u32, late_coded: u32, spare: u32) -> u32 {
        let Some(active) = self.active.get(&block) else { return 0 };
        let under_way = (active.coded_flights.len() as u32).saturating_sub(late_coded);
        let wanted = active.assembly.as_ref().map_or(0, |a| a.symbols_wanted()) + spare;
        // The decoder counts every missing symbol, and those that are not late are still expected to come.
        let expected = active.expected().saturating_sub(late);
        wanted.saturating_sub(expected).saturating_sub(under_way).min(late + late_coded + spare + 2)
    }

    /// How many of the symbols of `block` that others than `id` owe will be late, if they keep to what was perceived of them. The end
    /// of a transfer waits for all of them, so as many more are asked before any of them is known to be late: redundancy
    /// follows the loss.
    fn spare(&self, id: SourceId, block: u32) -> u32 {
        let Some(active) = self.active.get(&block) else { return 0 };
        let share = |f: &Flight| match self.sources.get(&f.source) {
            Some(source) if f.source != id => source.late_share,
            _ => 0.0,
        };
        let missing = active.flights.iter().filter(|&(&index, _)| !active.holds(index));
        let of_source: f64 = missing.filter_map(|(_, flights)| flights.first()).map(share).sum();
        let of_coded: f64 = active.coded_flights.values().map(share).sum();
        (of_source + of_coded).round() as u32
    }

    /// Whether nothing is left that nobody was asked for.
    pub fn all_under_way(&self) -> bool {
        self.order.iter().all(|block| {
            let Some(active) = self.active.get(block) else { return true };
            let Some(assembly) = &active.assembly else { return false };
            let under_way = active.expected() + active.coded_flights.len() as u32;
            under_way >= assembly.symbols_wanted()
                || active.need.iter().all(|i| assembly.have().contains(i) || active.flights.contains_key(&i))
        })
    }

    /// Source symbols of `block` that those who were asked have not sent in the time that their rate promised, and in the
    /// `is_tail` those that `id` would deliver much sooner, too: before the tail, a copy that comes sooner only takes another's
    /// place.
    fn late(&self, now: Time, id: SourceId, block: u32, is_tail: bool) -> Vec<u32> {
        let (Some(active), Some(me)) = (self.active.get(&block), self.sources.get(&id)) else {
            return Vec::new();
        };
        let mut late: Vec<u32> = Vec::new();
        if self.is_played() && self.due_s(block, 0) >= DUE_S {
            return late;
        }
        for (&index, flights) in &active.flights {
            if active.holds(index) {
                continue;
            }
            let asked_me = flights.iter().any(|f| f.source == id);
            if asked_me || flights.len() >= FLIGHTS_MAX || !me.holdings.has_symbol(block, index) {
                continue;
            }
            let is_needed = !self.is_played() || self.due_s(block, index) < DUE_S;
            if is_needed && self.are_late(now, id, flights, is_tail) {
                late.push(index);
            }
        }
        late
    }

    /// Coded symbols of `block` of which the same is true. Another one does as well, so they are only counted.
    fn late_coded(&self, now: Time, id: SourceId, block: u32, is_tail: bool) -> u32 {
        let Some(active) = self.active.get(&block) else { return 0 };
        let others = active.coded_flights.values().filter(|f| f.source != id);
        others.filter(|&&f| self.are_late(now, id, &[f], is_tail)).count() as u32
    }

    /// Whether the soonest of these flights comes too late, compared with what `id` could do.
    fn are_late(&self, now: Time, id: SourceId, flights: &[Flight], is_tail: bool) -> bool {
        let own_s = self.seconds_to_give(id) + 0.02;
        let soonest_s = flights
            .iter()
            .map(|f| {
                let waited_s = now.since(f.asked).as_secs_f64();
                // Twice as long as its rate promised: do not believe the promise.
                let promised_s = self.seconds_to_drain(f.source);
                if waited_s > 2.0 * promised_s + 0.2 { f64::INFINITY } else { promised_s }
            })
            .fold(f64::INFINITY, f64::min);
        soonest_s > if is_tail { 2.0 * own_s + 0.25 } else { f64::MAX }
    }

    /// Until one symbol more would be here.
    pub(crate) fn seconds_to_give(&self, id: SourceId) -> f64 {
        let rate = self.sources.get(&id).map_or(0.0, |s| s.rate_bytes_per_s);
        let symbol_s = if rate > 0.0 { f64::from(self.layout.symbol_len()) / rate } else { 0.0 };
        self.seconds_to_drain(id) + symbol_s
    }

    fn seconds_to_drain(&self, id: SourceId) -> f64 {
        match self.sources.get(&id) {
            Some(s) if s.rate_bytes_per_s > 0.0 => s.in_flight_bytes as f64 / s.rate_bytes_per_s,
            Some(s) if s.in_flight_bytes > 0 => 1.0,
            _ => 0.0,
        }
    }
}
