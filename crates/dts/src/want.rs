//! What to ask of whom. A source is asked when its pipe has room, and for what is worth most from it: of a fellow receiver,
//! whatever it has; of a seeder, this receiver's own share of the symbols, so that fellows ask it for different ones and exchange
//! them. Shares come from rendezvous hashing (Thaler, Ravishankar 1998) over the fellows' keys, so they agree on them without a
//! word. The rest is left to the fellows as long as they keep up; when they do not, the seeder is asked for it too. And the tail
//! that a slow source owes is asked elsewhere, as coded symbols where that is possible, because then any of them helps.

use crate::playing::DUE_S;
use crate::source::{Source, SourceId};
use crate::transfer::{Active, Flight, Transfer};
use core::time::Duration;
use peeredge_wire::SplitMix64;
use peeredge_wire::Time;
use peeredge_wire::limits::WANT_PICKS_MAX;
use peeredge_wire::peer::Pick;

/// Symbols to ask of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Of which block.
    pub block: u32,
    /// Which symbols.
    pub picks: Vec<Pick>,
}

/// Symbols that a waiting reader comes to next are asked for first, whoever's share they are.
pub(crate) const URGENT_SYMBOLS: u32 = 16;

/// Fellows beside one, from which on there is a crowd.
const CROWD: usize = 3;

/// Fellows this many times slower than a seeder, together, are not waited for.
const SLOWER_MAX: f64 = 4.0;

/// A fellow from which nothing has been under way for so long has nothing to give now.
const RUN_DRY: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Only this receiver's share, and only what no fellow holds.
    Own,
    /// Only what no fellow holds.
    Rare,
    /// Anything that nobody has been asked for.
    Any,
    /// What is played soon and no fellow holds, though it was another's share.
    Turn,
    /// What is due, of anybody's.
    Due,
}

impl Transfer {
    /// Chooses what to ask of `id` now. Empty while its pipe is full enough, or it holds nothing that is needed.
    pub fn wants(&mut self, now: Time, id: SourceId) -> Vec<Want> {
        let symbol_len = u64::from(self.layout.symbol_len());
        let Some(source) = self.sources.get_mut(&id) else { return Vec::new() };
        if source.in_flight_bytes > 0 {
            source.busy = Some(now);
        }
        let room = source.window_bytes.saturating_sub(source.in_flight_bytes);
        // Topping up by single symbols would send a message a symbol: wait until a quarter of the pipe is free.
        if room < symbol_len || (room < source.window_bytes / 4 && source.in_flight_bytes > 0) {
            return Vec::new();
        }
        let mut left = (room / symbol_len) as u32;
        let mut wants = Vec::new();
        let almost_idle = (source.window_bytes / 8).max(symbol_len);
        if source.holdings.is_seed() && self.fellows(id).next().is_some() {
            self.pass(now, id, Pass::Own, &mut left, &mut wants);
            // The rest is left to the fellows as long as there is time.
            if self.is_played() {
                self.pass(now, id, Pass::Turn, &mut left, &mut wants);
                self.pass(now, id, Pass::Due, &mut left, &mut wants);
                self.tail(now, id, left, &mut wants);
                return wants;
            }
            // What fellows hold, or are about to, is left to them while they give it, or while the seeder has other work.
            if self.fellows_keep_up(now, id) || self.in_flight_bytes(id) > almost_idle {
                return wants;
            }
            self.pass(now, id, Pass::Rare, &mut left, &mut wants);
            if self.in_flight_bytes(id) > almost_idle {
                return wants;
            }
        }
        self.pass(now, id, Pass::Any, &mut left, &mut wants);
        if left > 0 {
            self.tail(now, id, left, &mut wants);
        }
        wants
    }

    /// Those who are receiving too, but for `id`.
    pub(crate) fn fellows(&self, id: SourceId) -> impl Iterator<Item = &Source> {
        self.sources
            .iter()
            .filter(move |&(&other, s)| other != id && !s.holdings.is_seed() && s.window_bytes > 0)
            .map(|(_, s)| s)
    }

    /// Whether the fellows deliver, and not much slower than seeder `id` does: then its uplink is better spent on what nobody
    /// else has. One that has fallen silent, or has run out of what this receiver needs, does not count.
    fn fellows_keep_up(&self, now: Time, id: SourceId) -> bool {
        let gives = |s: &&Source| s.in_flight_bytes > 0 || s.busy.is_some_and(|at| now.since(at) < RUN_DRY);
        let rate: f64 = self.fellows(id).filter(gives).map(|s| s.rate_bytes_per_s).sum();
        let own = self.sources.get(&id).map_or(0.0, |s| s.rate_bytes_per_s);
        rate > 0.0 && rate * SLOWER_MAX >= own
    }

    pub(crate) fn held_by_fellow(&self, id: SourceId, block: u32, index: u32) -> bool {
        self.fellows(id).any(|s| s.holdings.has_symbol(block, index))
    }

    fn pass(&mut self, now: Time, id: SourceId, pass: Pass, left: &mut u32, wants: &mut Vec<Want>) {
        for at in 0..self.order.len() {
            if *left == 0 {
                return;
            }
            let block = self.order[at];
            let sources = self.candidates(now, id, block, pass, *left);
            if sources.is_empty() {
                continue;
            }
            let coded = self.share_coded(id, block, sources.len() as u32);
            let picks = self.commit(now, id, block, &sources[coded as usize..], coded);
            *left = left.saturating_sub(sources.len() as u32);
            push_picks(wants, block, picks);
        }
    }

    /// Source symbols of `block` that are needed, under way from nobody, and held by `id`; at most `max`.
    fn candidates(&self, now: Time, id: SourceId, block: u32, pass: Pass, max: u32) -> Vec<u32> {
        let (Some(active), Some(source)) = (self.active.get(&block), self.sources.get(&id)) else {
            return Vec::new();
        };
        let Some(assembly) = &active.assembly else { return Vec::new() };
        if !source.holdings.has_some(block) {
            return Vec::new();
        }
        if self.is_played() && self.due_s(block, 0) >= self.horizon_s(pass) {
            return Vec::new();
        }
        let mut free = active.need.clone();
        free.remove_all(assembly.have());
        // With coded symbols in quarantine or under way, fewer source symbols than are missing suffice.
        let missing = if active.need.is_full() { assembly.symbols_wanted() } else { free.count() };
        let under_way = active.expected() + active.coded_flights.len() as u32;
        let demand = missing.saturating_sub(under_way);
        let max = max.min(demand) as usize;
        source.holdings.retain(block, &mut free);
        for index in active.flights.keys() {
            free.remove(*index);
        }
        let mut found = Vec::new();
        if free.is_empty() || max == 0 {
            return found;
        }
        // First what is urgent, then in the order of the bytes; but in a crowd each receiver begins elsewhere with each fellow: those
        // who all asked for the first symbols would have the same ones, and nothing to give to each other.
        let symbols = self.layout.symbols_of(block);
        let urgent = self.urgent(block);
        // A reader that waits does not care whose share it is; but what fellows are about to give is as near.
        let of_all = pass == Pass::Own && !self.is_played() && !self.fellows_keep_up(now, id);
        let start = match source.holdings.is_seed() || self.fellows(id).count() < CROWD {
            true => 0,
            false => (mix(self.key ^ mix(source.key ^ u64::from(block))) % u64::from(symbols.max(1))) as u32,
        };
        for index in urgent.clone().chain(start..symbols).chain(0..start) {
            if found.len() == max {
                break;
            }
            let takes = of_all && urgent.contains(&index);
            if free.contains(index) && (takes || self.passes(pass, id, block, index)) {
                free.remove(index);
                found.push(index);
            }
        }
        found
    }

    /// Whether this pass is for a symbol.
    fn passes(&self, pass: Pass, id: SourceId, block: u32, index: u32) -> bool {
        match pass {
            Pass::Any => true,
            Pass::Due => self.due_s(block, index) < DUE_S,
            Pass::Own => self.is_own(id, block, index) && !self.held_by_fellow(id, block, index),
            Pass::Turn => self.has_turn(id, block, index) && !self.held_by_fellow(id, block, index),
            Pass::Rare => !self.held_by_fellow(id, block, index),
        }
    }

    /// How many of `count` picks are asked as coded symbols instead, because the configuration says so.
    fn share_coded(&self, id: SourceId, block: u32, count: u32) -> u32 {
        if self.coded_permille == 0 || !self.can_code(id, block) {
            return 0;
        }
        (u64::from(count) * u64::from(self.coded_permille)).div_ceil(1000) as u32
    }

    pub(crate) fn can_code(&self, id: SourceId, block: u32) -> bool {
        let (Some(active), Some(source)) = (self.active.get(&block), self.sources.get(&id)) else {
            return false;
        };
        active.need.is_full()
            && source.holdings.has_block(block)
            && active.assembly.as_ref().is_some_and(|a| a.takes_coded())
    }

    /// Notes these source symbols, and `coded` coded ones, as under way from `id`.
    pub(crate) fn commit(
        &mut self,
        now: Time,
        id: SourceId,
        block: u32,
        sources: &[u32],
        coded: u32,
    ) -> Vec<Pick> {
        let symbol_len = u64::from(self.layout.symbol_len());
        let (Some(active), Some(source)) = (self.active.get_mut(&block), self.sources.get_mut(&id)) else {
            return Vec::new();
        };
        let owed = source.in_flight_bytes + (sources.len() as u64 + u64::from(coded)) * symbol_len;
        let flight =
            Flight { source: id, asked: now, promised_s: owed as f64 / source.rate_bytes_per_s.max(1.0) };
        for &index in sources {
            active.flights.entry(index).or_default().push(flight);
        }
        let mut picks = runs(sources);
        for pick in active.propose(coded, self.key) {
            active.coded_flights.insert(pick, flight);
            picks.push(Pick::Coded { density: pick.density, seed: pick.seed });
        }
        let symbols: u32 = picks.iter().map(Pick::symbols).sum();
        source.in_flight_bytes += u64::from(symbols) * symbol_len;
        picks
    }

    /// Source symbols that plain HTTP should fetch: the first needed run that is neither held, nor expected from `own` sources, nor,
    /// unless `even_under_way`, from a peer. For readers that play, those that are due (see `playing.rs`): `is_fast` if HTTP gives what
    /// they play.
    pub fn http_run(
        &self,
        own: &[SourceId],
        symbols_max: u32,
        even_under_way: bool,
        is_fast: bool,
    ) -> Option<(u32, u32, u32)> {
        for &block in &self.order {
            let Some(active) = self.active.get(&block) else { continue };
            let Some(assembly) = &active.assembly else { continue };
            let free = |i: u32| {
                let flights = active.flights.get(&i);
                active.need.contains(i)
                    && !assembly.have().contains(i)
                    && flights.is_none_or(|flights| {
                        even_under_way && flights.iter().all(|flight| !own.contains(&flight.source))
                    })
                    && (!self.is_played()
                        || self.is_due_by_http(own[0], block, i, flights.is_some(), is_fast))
            };
            let from = active.urgent_from.unwrap_or(0);
            let symbols = self.layout.symbols_of(block);
            if let Some(first) = (from..symbols).chain(0..from).find(|&i| free(i)) {
                let count = (first..symbols).take_while(|&i| free(i)).count() as u32;
                return Some((block, first, count.min(symbols_max)));
            }
        }
        None
    }

    /// Notes a run as under way by HTTP, so that peers are asked for other symbols.
    pub fn http_asked(&mut self, now: Time, id: SourceId, block: u32, first: u32, count: u32) {
        let indexes: Vec<u32> =
            (first..first.saturating_add(count).min(self.layout.symbols_of(block))).collect();
        self.source(id, 0);
        self.commit(now, id, block, &indexes, 0);
    }
}

impl Active {
    pub(crate) fn holds(&self, index: u32) -> bool {
        self.assembly.as_ref().is_some_and(|a| a.have().contains(index))
    }

    /// Source symbols under way that will be new. One that was asked of several stays under way from the others after the first
    /// has brought it.
    pub(crate) fn expected(&self) -> u32 {
        self.flights.keys().filter(|&&index| !self.holds(index)).count() as u32
    }

    fn propose(&mut self, count: u32, salt: u64) -> Vec<peeredge_code::CodedId> {
        let Some(assembly) = &mut self.assembly else { return Vec::new() };
        self.salt_next += 1;
        let asked: Vec<peeredge_code::CodedId> = self.coded_flights.keys().copied().collect();
        assembly.propose(&asked, count, mix(salt ^ self.salt_next))
    }
}

pub(crate) fn push_picks(wants: &mut Vec<Want>, block: u32, mut picks: Vec<Pick>) {
    while !picks.is_empty() {
        let rest = picks.split_off(picks.len().min(WANT_PICKS_MAX));
        wants.push(Want { block, picks });
        picks = rest;
    }
}

/// Neighbours in asking order become one pick.
fn runs(indexes: &[u32]) -> Vec<Pick> {
    let mut picks: Vec<Pick> = Vec::new();
    for &index in indexes {
        match picks.last_mut() {
            Some(Pick::Sources { first, count }) if *first + *count == index => *count += 1,
            _ => picks.push(Pick::Sources { first: index, count: 1 }),
        }
    }
    picks
}

/// Neighbours become strangers.
pub(crate) fn mix(x: u64) -> u64 {
    SplitMix64::new(x).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Bitmap;
    use crate::layout::Layout;
    use crate::manifest::{Manifest, Record};
    use crate::plan::Need;
    use crate::publisher::Publisher;
    use crate::transfer::Received;
    use core::time::Duration;
    use peeredge_wire::peer::Marker;
    use std::collections::BTreeSet;

    const SYMBOL: usize = 1024;
    const SEEDER: SourceId = SourceId(1);
    const FELLOW: SourceId = SourceId(2);

    struct Content {
        layout: Layout,
        manifest: Manifest,
        records: Vec<u8>,
        data: Vec<u8>,
    }

    fn content() -> Content {
        let layout = Layout::new(64 * SYMBOL as u64 * 4, SYMBOL as u32, 64).unwrap();
        let data: Vec<u8> = (0..layout.length()).map(|i| (i / 7 + i) as u8).collect();
        let mut publisher = Publisher::with_layout(layout, "", "");
        publisher.push(&data).unwrap();
        let published = publisher.finish().unwrap();
        let manifest = Manifest::decode(&published.content, &published.manifest).unwrap();
        Content { layout, manifest, records: publisher.take_records(), data }
    }

    /// A receiver of everything, with its records, a seeder, and a fellow that holds nothing yet.
    fn receiver(content: &Content, own: u64, fellow: u64) -> Transfer {
        let mut transfer = Transfer::new(content.layout, own, 0);
        let need = |block| Need {
            block,
            symbols: Bitmap::full(content.layout.symbols_of(block)),
            urgent_from: None,
        };
        transfer.set_plan((0..content.layout.blocks()).map(need).collect(), &[]);
        for block in 0..content.layout.blocks() {
            let range = content.layout.record_range(block);
            let bytes = &content.records[range.start as usize..range.end as usize];
            assert!(transfer.open(block, Record::decode(&content.manifest, block, bytes).unwrap()));
        }
        transfer.source(SEEDER, 7).add_blocks(0, &[0xff]);
        transfer.source(FELLOW, fellow);
        transfer.set_window(SEEDER, 256 << 10, 1e6, 0.0);
        transfer.set_window(FELLOW, 1 << 20, 1e6, 0.0);
        transfer
    }

    fn asked(wants: &[Want]) -> BTreeSet<(u32, u32)> {
        let mut all = BTreeSet::new();
        for want in wants {
            for pick in &want.picks {
                match *pick {
                    Pick::Sources { first, count } => {
                        (first..first + count)
                            .for_each(|i| assert!(all.insert((want.block, i)), "asked twice"));
                    }
                    Pick::Coded { .. } => panic!("nothing is late yet"),
                }
            }
        }
        all
    }

    /// A coded symbol that was not asked of this source is not even kept: nobody chooses what garbage covers.
    #[test]
    fn seeds_that_a_sender_chose_are_not_looked_at() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        for seed in 0..200 {
            let marker = Marker::Coded { density: (seed % 14) as u8, seed };
            assert_eq!(transfer.receive(SEEDER, 0, marker, &[7; SYMBOL]), Received::Unasked);
        }
        assert_eq!(transfer.assembly(0).map(|a| (a.quarantined(), a.have().count())), Some((0, 0)));
    }

    #[test]
    fn what_came_from_one_of_two_sources_neither_counts_as_expected_nor_is_asked_again() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        transfer.set_plan(vec![Need { block: 0, symbols: Bitmap::full(64), urgent_from: None }], &[]);
        transfer.source_gone(FELLOW);
        assert_eq!(asked(&transfer.wants(Time::ZERO, SEEDER)).len(), 64);
        // The seeder goes silent, so another source is asked for all the same, and brings all but the last.
        let other = SourceId(3);
        transfer.source(other, 8).add_blocks(0, &[0xff]);
        transfer.set_window(other, 1 << 20, 1e6, 0.0);
        let late = Time::from_millis(60_000);
        for index in 0..63 {
            let marker = Marker::Source(index);
            let range = content.layout.symbol_range(0, index);
            let payload = &content.data[range.start as usize..range.end as usize];
            let from = if index % 2 == 0 { SEEDER } else { other };
            transfer.http_asked(late, other, 0, index, 1);
            assert_eq!(transfer.receive(from, 0, marker, payload), Received::New);
        }
        assert_eq!(transfer.active[&0].expected(), 1, "only the last is still to come");
        transfer.give_up_on_flights(SEEDER);
        let again = asked(&transfer.wants(late + Duration::from_secs(60), other));
        assert_eq!(again, BTreeSet::from([(0, 63)]));
    }

    #[test]
    fn two_receivers_divide_a_seeder_without_a_word() {
        let content = content();
        let (mut one, mut other) = (receiver(&content, 11, 22), receiver(&content, 22, 11));
        let (a, b) = (asked(&one.wants(Time::ZERO, SEEDER)), asked(&other.wants(Time::ZERO, SEEDER)));
        assert_eq!(a.intersection(&b).count(), 0);
        assert_eq!(a.len() + b.len(), 256);
        assert!(a.len().min(b.len()) > 64, "a fair share each: {} and {}", a.len(), b.len());
    }

    #[test]
    fn what_a_fellow_holds_is_asked_of_the_fellow() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        transfer.source(FELLOW, 22).set_symbols(&content.layout, 0, &[0xff; 8], usize::MAX);
        let of_fellow = asked(&transfer.wants(Time::ZERO, FELLOW));
        assert_eq!(of_fellow, (0..64).map(|i| (0, i)).collect());
        assert!(asked(&transfer.wants(Time::ZERO, SEEDER)).iter().all(|(block, _)| *block != 0));
    }

    #[test]
    fn a_seeder_is_spared_while_fellows_keep_up() {
        let content = content();
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut transfer = receiver(&content, 11, 22);
        transfer.source(FELLOW, 22).set_symbols(&content.layout, 0, &[0xff; 8], usize::MAX);
        assert_eq!(asked(&transfer.wants(at(0), FELLOW)).len(), 64);
        let own = asked(&transfer.wants(at(0), SEEDER));
        assert!(own.len() < 150, "blocks 1 to 3 have 192 symbols, and {} were asked", own.len());
        for &(block, index) in &own {
            let range = content.layout.symbol_range(block, index);
            let bytes = &content.data[range.start as usize..range.end as usize];
            assert_eq!(transfer.receive(SEEDER, block, Marker::Source(index), bytes), Received::New);
        }
        // The fellow still owes what it was asked: the rest of the other blocks is its share.
        assert_eq!(transfer.wants(at(100), SEEDER), []);
        // It slows down, or falls silent, so the shell thinks little of its rate: the seeder has to give the rest.
        transfer.set_window(FELLOW, 1 << 20, 1e4, 0.0);
        assert_eq!(asked(&transfer.wants(at(100), SEEDER)).len(), 192 - own.len());
    }

    #[test]
    fn a_full_pipe_is_not_asked_and_one_that_left_frees_its_symbols() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        transfer.set_window(SEEDER, 32 * SYMBOL as u64, 1e6, 0.0);
        assert_eq!(asked(&transfer.wants(Time::ZERO, SEEDER)).len(), 32);
        assert_eq!(transfer.wants(Time::ZERO, SEEDER), []);
        transfer.source_gone(SEEDER);
        transfer.source_gone(FELLOW);
        transfer.source(SourceId(3), 9).add_blocks(0, &[0xff]);
        transfer.set_window(SourceId(3), 1 << 20, 1e6, 0.0);
        assert_eq!(asked(&transfer.wants(Time::ZERO, SourceId(3))).len(), 256);
    }

    #[test]
    fn the_tail_of_a_silent_source_is_asked_elsewhere_as_coded_symbols() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        transfer.source_gone(FELLOW);
        assert_eq!(asked(&transfer.wants(Time::ZERO, SEEDER)).len(), 256);
        let helper = SourceId(5);
        transfer.source(helper, 5).add_blocks(0, &[0xff]);
        transfer.set_window(helper, 1 << 20, 1e6, 0.0);
        let later = Time::ZERO + Duration::from_secs(5);
        let wants = transfer.wants(later, helper);
        let picks: Vec<&Pick> = wants.iter().flat_map(|w| &w.picks).collect();
        assert!(
            picks.len() >= 256 && picks.iter().all(|p| matches!(p, Pick::Coded { .. })),
            "{}",
            picks.len()
        );
        // The first one comes to life again: what it sends is taken, late as it is.
        let marker = Marker::Source(0);
        assert_eq!(transfer.receive(SEEDER, 0, marker, &content.data[..SYMBOL]), Received::New);
        assert_eq!(transfer.receive(SEEDER, 0, marker, &content.data[..SYMBOL]), Received::Unasked);
        assert_eq!(
            transfer.receive(SEEDER, 0, Marker::Source(1), &content.data[..SYMBOL]),
            Received::Contradicts
        );
        let unasked = Marker::Coded { density: 0, seed: 1 };
        assert_eq!(transfer.receive(SEEDER, 1, unasked, &content.data[..SYMBOL]), Received::Unasked);
    }

    /// The end of a transfer waits for everybody: what was seen to come late is asked for in advance, and no more than that.
    #[test]
    fn redundancy_follows_the_share_that_comes_late() {
        let content = content();
        let helper = SourceId(5);
        let spare = |late_share: f64| {
            let mut transfer = receiver(&content, 11, 22);
            transfer.source_gone(FELLOW);
            transfer.set_window(SEEDER, 256 << 10, 1e6, late_share);
            assert_eq!(asked(&transfer.wants(Time::ZERO, SEEDER)).len(), 256);
            transfer.source(helper, 5).add_blocks(0, &[0xff]);
            transfer.set_window(helper, 1 << 20, 1e6, 0.9);
            // At once, when nothing can be late yet.
            let wants = transfer.wants(Time::from_millis(10), helper);
            let picks: Vec<&Pick> = wants.iter().flat_map(|w| &w.picks).collect();
            assert!(picks.iter().all(|p| matches!(p, Pick::Coded { .. })));
            // Whoever asks next finds them under way.
            assert_eq!(transfer.wants(Time::from_millis(20), helper), []);
            picks.len()
        };
        assert_eq!(spare(0.0), 0);
        assert_eq!(spare(0.125), 32);
        assert_eq!(spare(0.25), 64);
    }

    #[test]
    fn late_is_what_takes_a_round_trip_longer_than_promised() {
        let content = content();
        let mut transfer = receiver(&content, 11, 22);
        transfer.source_gone(FELLOW);
        transfer.set_window(SEEDER, 64 * SYMBOL as u64, 1e6, 0.0);
        assert_eq!(asked(&transfer.wants(Time::ZERO, SEEDER)).len(), 64);
        // 64 KiB at 1 MB/s.
        let late = |ms, id, index| transfer.comes_late(Time::from_millis(ms), id, 0, Marker::Source(index));
        assert_eq!(late(65, SEEDER, 0), Some(false));
        assert_eq!(late(115, SEEDER, 63), Some(false));
        assert_eq!(late(117, SEEDER, 63), Some(true));
        assert_eq!(late(117, FELLOW, 63), None, "it was not asked");
        assert_eq!(late(117, SEEDER, 64), None, "there is none");
    }
}
