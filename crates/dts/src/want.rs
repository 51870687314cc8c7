//! What to ask of whom. A source is asked when its pipe has room, and for what is worth most from it: of a fellow receiver,
//! whatever it has; of a seeder, this receiver's own share of the symbols, so that fellows ask it for different ones and exchange
//! them. Shares come from rendezvous hashing (Thaler, Ravishankar 1998) over the fellows' keys, so they agree on them without a
//! word. No pipe is left idle for it: when its own share is under way, a receiver asks for the rest too. And the tail that a slow
//! source owes is asked elsewhere, as coded symbols where that is possible, because then any of them helps.

use crate::source::SourceId;
use crate::transfer::{Active, Flight, Source, Transfer};
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

/// Neighbours that fall to the same receiver: wants name them as one run.
const SHARE_SYMBOLS: u32 = 4;

/// Symbols that a waiting reader comes to next are asked for first, whoever's share they are.
const URGENT_SYMBOLS: u32 = 16;

/// Sources that one late symbol is asked of at the same time.
const FLIGHTS_MAX: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Only this receiver's share, and only what no fellow holds.
    Own,
    /// Only what no fellow holds.
    Rare,
    /// Anything that nobody has been asked for.
    Any,
}

impl Transfer {
    /// Chooses what to ask of `id` now. Empty while its pipe is full enough, or it holds nothing that is needed.
    pub fn wants(&mut self, now: Time, id: SourceId) -> Vec<Want> {
        let symbol_len = u64::from(self.layout.symbol_len());
        let Some(source) = self.sources.get(&id) else { return Vec::new() };
        let room = source.window_bytes.saturating_sub(source.in_flight_bytes);
        // Topping up by single symbols would send a message a symbol: wait until a quarter of the pipe is free.
        if room < symbol_len || (room < source.window_bytes / 4 && source.in_flight_bytes > 0) {
            return Vec::new();
        }
        let mut left = (room / symbol_len) as u32;
        let mut wants = Vec::new();
        let almost_idle = (source.window_bytes / 8).max(symbol_len);
        if source.holdings.is_seed() && self.fellows(id).next().is_some() {
            for pass in [Pass::Own, Pass::Rare] {
                self.pass(now, id, pass, &mut left, &mut wants);
                // What fellows hold, or are about to, is left to them as long as the seeder has other work.
                if self.in_flight_bytes(id) > almost_idle {
                    return wants;
                }
            }
        }
        self.pass(now, id, Pass::Any, &mut left, &mut wants);
        if left > 0 {
            self.tail(now, id, left, &mut wants);
        }
        wants
    }

    /// Those who are receiving too, but for `id`.
    fn fellows(&self, id: SourceId) -> impl Iterator<Item = &Source> {
        self.sources
            .iter()
            .filter(move |&(&other, s)| other != id && !s.holdings.is_seed() && s.window_bytes > 0)
            .map(|(_, s)| s)
    }

    fn held_by_fellow(&self, id: SourceId, block: u32, index: u32) -> bool {
        self.fellows(id).any(|s| s.holdings.has_symbol(block, index))
    }

    /// Whether this receiver, and none of its fellows, is to ask seeders for a symbol first.
    fn is_own(&self, id: SourceId, block: u32, index: u32) -> bool {
        let symbol = (u64::from(block) << 32) | u64::from(index / SHARE_SYMBOLS);
        let own = mix(self.key ^ mix(symbol));
        self.fellows(id).all(|s| mix(s.key ^ mix(symbol)) < own)
    }

    fn pass(&mut self, now: Time, id: SourceId, pass: Pass, left: &mut u32, wants: &mut Vec<Want>) {
        for at in 0..self.order.len() {
            if *left == 0 {
                return;
            }
            let block = self.order[at];
            let sources = self.candidates(id, block, pass, *left);
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
    fn candidates(&self, id: SourceId, block: u32, pass: Pass, max: u32) -> Vec<u32> {
        let (Some(active), Some(source)) = (self.active.get(&block), self.sources.get(&id)) else {
            return Vec::new();
        };
        let Some(assembly) = &active.assembly else { return Vec::new() };
        if !source.holdings.has_some(block) {
            return Vec::new();
        }
        let symbols = self.layout.symbols_of(block);
        // With coded symbols in quarantine or under way, fewer source symbols than are missing suffice.
        let missing = if active.need.is_full() {
            assembly.symbols_wanted()
        } else {
            active.need.iter().filter(|&i| !assembly.have().contains(i)).count() as u32
        };
        let under_way = (active.flights.len() + active.coded_flights.len()) as u32;
        let demand = missing.saturating_sub(under_way);
        let max = max.min(demand);
        let free = |index: u32| {
            self.is_free(id, block, index)
                && (pass == Pass::Any || !self.held_by_fellow(id, block, index))
                && (pass != Pass::Own || self.is_own(id, block, index))
        };
        let mut found = Vec::new();
        if let Some(from) = active.urgent_from {
            let end = from.saturating_add(URGENT_SYMBOLS).min(symbols);
            // A reader that waits does not care whose share it is.
            let any = |i: &u32| free(*i) || (pass == Pass::Own && self.is_free(id, block, *i));
            found.extend((from..end).filter(any).take(max as usize));
        }
        let urgent = found.len();
        for index in 0..symbols {
            if found.len() as u32 >= max {
                break;
            }
            if free(index) && !found[..urgent].contains(&index) {
                found.push(index);
            }
        }
        found
    }

    fn is_free(&self, id: SourceId, block: u32, index: u32) -> bool {
        let (Some(active), Some(source)) = (self.active.get(&block), self.sources.get(&id)) else {
            return false;
        };
        active.need.contains(index)
            && active.assembly.as_ref().is_some_and(|a| !a.have().contains(index))
            && !active.flights.contains_key(&index)
            && source.holdings.has_symbol(block, index)
    }

    /// How many of `count` picks are asked as coded symbols instead, because the configuration says so.
    fn share_coded(&self, id: SourceId, block: u32, count: u32) -> u32 {
        if self.coded_permille == 0 || !self.can_code(id, block) {
            return 0;
        }
        (u64::from(count) * u64::from(self.coded_permille)).div_ceil(1000) as u32
    }

    fn can_code(&self, id: SourceId, block: u32) -> bool {
        let (Some(active), Some(source)) = (self.active.get(&block), self.sources.get(&id)) else {
            return false;
        };
        active.need.is_full()
            && source.holdings.has_block(block)
            && active.assembly.as_ref().is_some_and(|a| a.takes_coded())
    }

    /// Notes these source symbols, and `coded` coded ones, as under way from `id`.
    fn commit(&mut self, now: Time, id: SourceId, block: u32, sources: &[u32], coded: u32) -> Vec<Pick> {
        let (Some(active), Some(source)) = (self.active.get_mut(&block), self.sources.get_mut(&id)) else {
            return Vec::new();
        };
        let flight = Flight { source: id, asked: now };
        for &index in sources {
            active.flights.entry(index).or_default().push(flight);
        }
        let mut picks = runs(sources);
        for pick in active.propose(coded, self.key) {
            active.coded_flights.insert(pick, flight);
            picks.push(Pick::Coded { density: pick.density, seed: pick.seed });
        }
        let symbols: u32 = picks.iter().map(Pick::symbols).sum();
        source.in_flight_bytes += u64::from(symbols) * u64::from(self.layout.symbol_len());
        picks
    }

    /// Everything needed is under way, and `id` has nothing to do: it takes over what the slowest owe.
    fn tail(&mut self, now: Time, id: SourceId, left: u32, wants: &mut Vec<Want>) {
        let mut left = left;
        for at in 0..self.order.len() {
            let block = self.order[at];
            let late = self.late(now, id, block);
            if late.is_empty() || left == 0 {
                continue;
            }
            let count = (late.len() as u32).min(left);
            let picks = if self.can_code(id, block) {
                {
                    let coded = self.coded_short_of(block, count);
                    self.commit(now, id, block, &[], coded)
                }
            } else {
                self.commit(now, id, block, &late[..count as usize], 0)
            };
            left -= count;
            push_picks(wants, block, picks);
        }
    }

    /// Coded symbols to ask so that `late` symbols need not come, beyond those that have come or are under way.
    fn coded_short_of(&self, block: u32, late: u32) -> u32 {
        let Some(active) = self.active.get(&block) else { return 0 };
        let under_way = active.coded_flights.len() as u32;
        let wanted = active.assembly.as_ref().map_or(0, |a| a.symbols_wanted());
        // The decoder counts every missing symbol, and those that are not late are still expected to come.
        let expected = (active.flights.len() as u32).saturating_sub(late);
        wanted.saturating_sub(expected).saturating_sub(under_way).min(late + 2)
    }

    /// Source symbols of `block` that `id` would deliver much sooner than those who were asked.
    fn late(&self, now: Time, id: SourceId, block: u32) -> Vec<u32> {
        let (Some(active), Some(me)) = (self.active.get(&block), self.sources.get(&id)) else {
            return Vec::new();
        };
        let own_s = self.seconds_to_drain(id) + 0.02;
        let mut late: Vec<u32> = Vec::new();
        for (&index, flights) in &active.flights {
            let asked_me = flights.iter().any(|f| f.source == id);
            if asked_me || flights.len() >= FLIGHTS_MAX || !me.holdings.has_symbol(block, index) {
                continue;
            }
            let soonest_s = flights
                .iter()
                .map(|f| {
                    let waited_s = now.since(f.asked).as_secs_f64();
                    // Twice as long as its rate promised: do not believe the promise.
                    let promised_s = self.seconds_to_drain(f.source);
                    if waited_s > 2.0 * promised_s + 0.2 { f64::INFINITY } else { promised_s }
                })
                .fold(f64::INFINITY, f64::min);
            if soonest_s > 2.0 * own_s + 0.05 {
                late.push(index);
            }
        }
        late
    }

    fn seconds_to_drain(&self, id: SourceId) -> f64 {
        match self.sources.get(&id) {
            Some(s) if s.rate_bytes_per_s > 0.0 => s.in_flight_bytes as f64 / s.rate_bytes_per_s,
            Some(s) if s.in_flight_bytes > 0 => 1.0,
            _ => 0.0,
        }
    }

    /// Source symbols that plain HTTP should fetch: the first needed run that is neither held nor, unless `even_under_way`,
    /// expected from a peer.
    pub fn http_run(&self, symbols_max: u32, even_under_way: bool) -> Option<(u32, u32, u32)> {
        for &block in &self.order {
            let Some(active) = self.active.get(&block) else { continue };
            let Some(assembly) = &active.assembly else { continue };
            let free = |i: u32| {
                active.need.contains(i)
                    && !assembly.have().contains(i)
                    && (even_under_way || !active.flights.contains_key(&i))
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
    fn propose(&mut self, count: u32, salt: u64) -> Vec<peeredge_code::CodedId> {
        let Some(assembly) = &mut self.assembly else { return Vec::new() };
        self.salt_next += 1;
        let mut ids = assembly.propose(count, mix(salt ^ self.salt_next));
        ids.retain(|id| !self.coded_flights.contains_key(id));
        ids
    }
}

fn push_picks(wants: &mut Vec<Want>, block: u32, mut picks: Vec<Pick>) {
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

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): neighbours become strangers.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
