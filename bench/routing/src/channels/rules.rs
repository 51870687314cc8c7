//! The simple schedulers that ours has to beat.

use super::world::{Receiver, SYMBOL_BYTES, Symbol};
use core::time::Duration;
use peeredge_routing::RateEstimator;
use peeredge_wire::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How symbols are dealt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// In turn, all at once.
    RoundRobin,
    /// First one each; then by the rates that were seen, all at once.
    Proportional,
    /// Whoever has too little under way gets the next.
    Pull,
    /// The same, and in the end whoever is idle takes over what another was asked longest ago.
    PullTail,
}

/// A sender that is pulled has this many symbols under way at least, and this many seconds of its rate: several round trips, so that
/// it never waits.
const PULLED_MIN: usize = 4;
const PULLED_S: f64 = 0.3;

struct Link {
    owed: VecDeque<Symbol>,
    dealt: VecDeque<Symbol>,
    rate: RateEstimator,
}

/// A receiver that follows a rule.
pub struct Simple {
    rule: Rule,
    symbols: u64,
    unasked: VecDeque<Symbol>,
    held: BTreeSet<Symbol>,
    links: BTreeMap<usize, Link>,
    was_dealt: bool,
}

impl Simple {
    /// One that wants so many symbols.
    pub fn new(rule: Rule, symbols: usize) -> Self {
        Simple {
            rule,
            symbols: symbols as u64,
            unasked: (0..symbols as u64).collect(),
            held: BTreeSet::new(),
            links: BTreeMap::new(),
            was_dealt: false,
        }
    }

    /// Deals everything that nobody has been asked for, by the links' shares.
    fn deal(&mut self, shares: &BTreeMap<usize, f64>) {
        let sum: f64 = shares.values().sum();
        let all = self.unasked.len() as f64;
        let mut due = 0.0;
        let mut given = 0;
        for (link, share) in shares {
            due += all * share / sum;
            while (given as f64) < due.round() {
                let Some(symbol) = self.unasked.pop_front() else { break };
                self.links.get_mut(link).expect("a link that is there").dealt.push_back(symbol);
                given += 1;
            }
        }
    }
}

fn at(now_s: f64) -> Time {
    Time::from_millis(1000) + Duration::from_secs_f64(now_s)
}

impl Receiver for Simple {
    fn joined(&mut self, now_s: f64, link: usize) {
        let mut rate = RateEstimator::new();
        rate.fragment(at(now_s), 0, false);
        self.links.insert(link, Link { owed: VecDeque::new(), dealt: VecDeque::new(), rate });
    }

    fn left(&mut self, _: f64, link: usize) {
        if let Some(gone) = self.links.remove(&link) {
            let back = gone.owed.into_iter().chain(gone.dealt).filter(|symbol| !self.held.contains(symbol));
            let back: Vec<Symbol> = back.collect();
            back.into_iter().rev().for_each(|symbol| self.unasked.push_front(symbol));
        }
    }

    fn arrived(&mut self, now_s: f64, link: usize, symbol: Symbol) -> bool {
        if let Some(link) = self.links.get_mut(&link) {
            link.rate.fragment(at(now_s), SYMBOL_BYTES as u64, true);
            link.owed.retain(|&owed| owed != symbol);
        }
        self.held.insert(symbol)
    }

    fn asks(&mut self, _: f64, link: usize) -> Vec<Symbol> {
        let pulled = matches!(self.rule, Rule::Pull | Rule::PullTail);
        if !pulled && !self.unasked.is_empty() {
            let known = self.links.iter().map(|(&l, link)| (l, link.rate.rate().map(|r| r.bytes_per_s)));
            let known: BTreeMap<usize, Option<f64>> = known.collect();
            if self.rule == Rule::RoundRobin || self.was_dealt || known.values().all(Option::is_some) {
                self.was_dealt = true;
                let share =
                    |rate: Option<f64>| if self.rule == Rule::RoundRobin { 1.0 } else { rate.unwrap_or(1e5) };
                let shares = known.into_iter().map(|(link, rate)| (link, share(rate))).collect();
                self.deal(&shares);
            }
        }
        let Some(own) = self.links.get_mut(&link) else { return Vec::new() };
        let mut asks: Vec<Symbol> = own.dealt.drain(..).collect();
        if pulled || (!self.was_dealt && own.owed.is_empty()) {
            let rate = own.rate.rate().map_or(0.0, |rate| rate.bytes_per_s);
            let room = if pulled { PULLED_MIN.max((rate * PULLED_S / SYMBOL_BYTES) as usize) } else { 1 };
            while own.owed.len() + asks.len() < room {
                let Some(symbol) = self.unasked.pop_front() else { break };
                asks.push(symbol);
            }
        }
        own.owed.extend(&asks);
        if self.rule == Rule::PullTail && own.owed.is_empty() && self.unasked.is_empty() {
            let late =
                self.links.values().filter_map(|l| l.owed.front()).find(|s| !self.held.contains(s)).copied();
            if let (Some(late), Some(own)) = (late, self.links.get_mut(&link)) {
                own.owed.push_back(late);
                asks.push(late);
            }
        }
        asks
    }

    fn cancels(&mut self) -> Vec<(usize, Symbol)> {
        let mut cancels = Vec::new();
        if self.rule == Rule::PullTail {
            for (&link, l) in &mut self.links {
                let held = &self.held;
                l.owed.retain(|symbol| {
                    let needed = !held.contains(symbol);
                    if !needed {
                        cancels.push((link, *symbol));
                    }
                    needed
                });
            }
        }
        cancels
    }

    fn is_done(&self) -> bool {
        self.held.len() as u64 == self.symbols
    }
}
