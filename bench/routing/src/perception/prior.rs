//! Before the first byte: the mean rate of a real WebRTC link, foretold from links that had ended when it began.

use super::score::{Score, percentile, score};
use crate::links::Link;
use peeredge_routing::Prior;
use peeredge_routing::links::{End, LinkSettings};
use std::collections::BTreeMap;

/// Foretells a link's rate.
pub trait Foretell {
    /// A link has ended.
    fn learn(&mut self, link: &Link);
    /// The rate to be expected; none before anything was learned.
    fn expect(&self, receiver: End, sender: End) -> Option<f64>;
}

/// Medians of what ended before, of the first of these that has any link; all links at last.
struct Medians {
    of: &'static [Key],
    seen: BTreeMap<(usize, u64, u64), Vec<f64>>,
    all: Vec<f64>,
}

type Key = fn(End, End) -> (u64, u64);

impl Medians {
    fn new(of: &'static [Key]) -> Self {
        Medians { of, seen: BTreeMap::new(), all: Vec::new() }
    }
}

fn insert(sorted: &mut Vec<f64>, rate: f64) {
    let place = sorted.partition_point(|other| *other < rate);
    sorted.insert(place, rate);
}

impl Foretell for Medians {
    fn learn(&mut self, link: &Link) {
        for (at, key) in self.of.iter().enumerate() {
            let (a, b) = key(link.receiver, link.sender);
            insert(self.seen.entry((at, a, b)).or_default(), link.rate);
        }
        insert(&mut self.all, link.rate);
    }

    fn expect(&self, receiver: End, sender: End) -> Option<f64> {
        let own = self.of.iter().enumerate().find_map(|(at, key)| {
            let (a, b) = key(receiver, sender);
            self.seen.get(&(at, a, b))
        });
        let known = own.unwrap_or(&self.all);
        (!known.is_empty()).then(|| percentile(known, 0.5))
    }
}

impl Foretell for Prior {
    fn learn(&mut self, link: &Link) {
        Prior::learn(self, link.receiver, link.sender, link.rate);
    }

    fn expect(&self, receiver: End, sender: End) -> Option<f64> {
        self.rate(receiver, sender).map(|rate| rate.bytes_per_s)
    }
}

const RECEIVER: Key = |receiver, _| (receiver.peer, 0);
const SENDER: Key = |_, sender| (sender.peer, 0);
const PAIR: Key = |receiver, sender| (receiver.peer, sender.peer);
const NETWORKS: Key = |receiver, sender| (receiver.network.into(), sender.network.into());

/// Makes what foretells.
pub type Make = fn() -> Box<dyn Foretell>;

/// The simple ones. What a key has not seen is left to the next, and to the median of all at last.
pub const SIMPLE: &[(&str, Make)] = &[
    ("median of all", || Box::new(Medians::new(&[]))),
    ("receiver's median", || Box::new(Medians::new(&[RECEIVER]))),
    ("sender's median", || Box::new(Medians::new(&[SENDER]))),
    ("networks' median", || Box::new(Medians::new(&[NETWORKS]))),
    ("all four in turn", || Box::new(Medians::new(&[PAIR, RECEIVER, SENDER, NETWORKS]))),
];

/// Ours, as any other.
pub const OURS: Make = || Box::new(Prior::new(LinkSettings::default()));

/// Calls `each` for every link at its begin, after all that had ended were learned.
fn replay(links: &[Link], mut learn: impl FnMut(&Link, bool)) {
    let mut ended: Vec<&Link> = links.iter().collect();
    ended.sort_by_key(|link| link.end);
    let mut ended = ended.into_iter().peekable();
    for link in links {
        while let Some(before) = ended.next_if(|other| other.end < link.start) {
            learn(before, true);
        }
        learn(link, false);
    }
}

/// Scores one on a day's links.
pub fn foretold(links: &[Link], make: Make) -> Score {
    let mut by = make();
    let mut errors = Vec::new();
    replay(links, |link, ended| {
        if ended {
            by.learn(link);
        } else if let Some(expected) = by.expect(link.receiver, link.sender) {
            errors.push((expected - link.rate).abs() / link.rate);
        }
    });
    score(errors)
}

/// Share of links within ours' interval, and its typical upper end over its lower.
pub fn covered(links: &[Link]) -> (f64, f64) {
    let mut prior = Prior::new(LinkSettings::default());
    let (mut hits, mut widths) = (0usize, Vec::new());
    replay(links, |link, ended| {
        if ended {
            prior.learn(link.receiver, link.sender, link.rate);
        } else if let Some(rate) = prior.rate(link.receiver, link.sender) {
            hits += usize::from((rate.low..=rate.high).contains(&link.rate));
            widths.push(rate.high / rate.low);
        }
    });
    widths.sort_by(f64::total_cmp);
    (hits as f64 / widths.len().max(1) as f64, percentile(&widths, 0.5))
}
