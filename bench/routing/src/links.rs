//! Whom to take bytes from, on the links of a real WebRTC delivery network, replayed in time: only links that have ended are known.
//!
//! Whenever a receiver opens a link, it chooses among all senders that it was linked with that day, if they are at least
//! [`CHOICES_MIN`]; the throughput of its first link with each is the truth. Random is the mean of these, the oracle the best.

use crate::report::Report;
use crate::{Setting, data};
use peeredge_routing::links::{End, LinkModel, LinkSettings};
use std::collections::BTreeMap;

/// Fewer senders are no choice.
const CHOICES_MIN: usize = 5;

pub(crate) struct Link {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) receiver: End,
    pub(crate) sender: End,
    pub(crate) rate: f64,
}

/// A way to compare senders.
trait Judge {
    fn learn(&mut self, link: &Link);
    fn rank(&self, receiver: End, sender: End) -> f64;
}

struct SameNetwork;
impl Judge for SameNetwork {
    fn learn(&mut self, _: &Link) {}
    fn rank(&self, receiver: End, sender: End) -> f64 {
        f64::from(u8::from(receiver.network == sender.network))
    }
}

/// The mean rate of each pair of networks.
#[derive(Default)]
struct NetworkPairs(BTreeMap<(u32, u32), (f64, f64)>, (f64, f64));
impl Judge for NetworkPairs {
    fn learn(&mut self, link: &Link) {
        let pair = self.0.entry((link.receiver.network, link.sender.network)).or_default();
        *pair = (pair.0 + link.rate, pair.1 + 1.0);
        self.1 = (self.1.0 + link.rate, self.1.1 + 1.0);
    }
    fn rank(&self, receiver: End, sender: End) -> f64 {
        let (sum, count) =
            self.0.get(&(receiver.network, sender.network)).copied().unwrap_or((self.1.0, self.1.1.max(1.0)));
        sum / count
    }
}

/// The mean rate of each sender, drawn to the mean of all by two links.
#[derive(Default)]
struct Senders(BTreeMap<u64, (f64, f64)>, (f64, f64));
impl Judge for Senders {
    fn learn(&mut self, link: &Link) {
        let own = self.0.entry(link.sender.peer).or_default();
        *own = (own.0 + link.rate, own.1 + 1.0);
        self.1 = (self.1.0 + link.rate, self.1.1 + 1.0);
    }
    fn rank(&self, _: End, sender: End) -> f64 {
        let mean = self.1.0 / self.1.1.max(1.0);
        let (sum, count) = self.0.get(&sender.peer).copied().unwrap_or_default();
        (sum + 2.0 * mean) / (count + 2.0)
    }
}

impl Judge for LinkModel {
    fn learn(&mut self, link: &Link) {
        LinkModel::learn(self, link.receiver, link.sender, link.rate);
    }
    fn rank(&self, receiver: End, sender: End) -> f64 {
        f64::from(LinkModel::rank(self, receiver, sender))
    }
}

struct Oracle;
impl Judge for Oracle {
    fn learn(&mut self, _: &Link) {}
    fn rank(&self, _: End, _: End) -> f64 {
        0.0
    }
}

/// Gain over random: of all choices, and of the tenth of receivers for whom random is worst.
fn replay(links: &[Link], judge: &mut dyn Judge, oracle: bool) -> (f64, f64, usize) {
    let mut of: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, link) in links.iter().enumerate() {
        of.entry(link.receiver.peer).or_default().push(at);
    }
    let mut choices: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (receiver, own) in &of {
        let mut firsts: BTreeMap<u64, usize> = BTreeMap::new();
        own.iter().for_each(|at| {
            firsts.entry(links[*at].sender.peer).or_insert(*at);
        });
        if firsts.len() >= CHOICES_MIN {
            choices.insert(*receiver, firsts.into_values().collect());
        }
    }
    let mut ended: Vec<usize> = (0..links.len()).collect();
    ended.sort_by_key(|at| links[*at].end);
    let mut ended = ended.into_iter().peekable();
    let mut sums = (0.0, 0.0, 0);
    let mut receivers: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
    for link in links {
        while let Some(at) = ended.next_if(|at| links[*at].end < link.start) {
            judge.learn(&links[at]);
        }
        let Some(senders) = choices.get(&link.receiver.peer) else { continue };
        let score = |at: usize| {
            if oracle { links[at].rate } else { judge.rank(link.receiver, links[at].sender) }
        };
        let chosen = senders
            .iter()
            .copied()
            .max_by(|a, b| score(*a).total_cmp(&score(*b)))
            .expect("there are choices");
        let random = senders.iter().map(|at| links[*at].rate).sum::<f64>() / senders.len() as f64;
        sums = (sums.0 + links[chosen].rate, sums.1 + random, sums.2 + 1);
        let own = receivers.entry(link.receiver.peer).or_default();
        *own = (own.0 + links[chosen].rate, own.1 + random, own.2 + 1.0);
    }
    let mut means: Vec<(f64, f64)> = receivers.values().map(|(c, r, n)| (r / n, c / n)).collect();
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    means.truncate((means.len() / 10).max(1));
    let (random, chosen) = means.iter().fold((0.0, 0.0), |sum, (r, c)| (sum.0 + r, sum.1 + c));
    (sums.0 / sums.1 - 1.0, chosen / random - 1.0, sums.2)
}

/// Measures every day that is there.
pub fn run(_: &Setting) -> Report {
    let mut report = Report::default();
    let (mut worst, mut tail) = (f64::INFINITY, f64::INFINITY);
    for file in data::list("matching", "p2p_links_", ".csv.xz") {
        let Some(lines) = data::lines(&file) else { continue };
        let links = parse(&lines);
        let mut rows: Vec<(&str, Box<dyn Judge>, bool)> = vec![
            ("same network", Box::new(SameNetwork), false),
            ("network pair's mean", Box::new(NetworkPairs::default()), false),
            ("sender's mean", Box::new(Senders::default()), false),
            ("ours", Box::new(LinkModel::new(LinkSettings::default())), false),
            ("oracle", Box::new(Oracle), true),
        ];
        println!("{file}: {} links; gain over a random sender", links.len());
        println!("{:<22} {:>8} {:>14} {:>9}", "", "all", "worst tenth", "choices");
        for (name, judge, oracle) in &mut rows {
            let (gain, low, choices) = replay(&links, judge.as_mut(), *oracle);
            println!("{name:<22} {:>7.1}% {:>13.1}% {choices:>9}", gain * 100.0, low * 100.0);
            if *name == "ours" {
                (worst, tail) = (worst.min(gain), tail.min(low));
            }
        }
        report.read(file);
    }
    if report.files.is_empty() {
        println!("skipped: no matching/p2p_links_*.csv.xz");
        return report;
    }
    report.figure("links_gain_worst_day", worst);
    report.figure("links_tail_gain", tail);
    report
}

pub(crate) fn parse(lines: &[String]) -> Vec<Link> {
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let mut name = |text: &str| {
        let next = names.len() as u32;
        *names.entry(text.to_owned()).or_insert(next)
    };
    let mut links: Vec<Link> = lines
        .iter()
        .skip(1)
        .filter_map(|line| {
            let fields = split(line);
            let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
            let mut end = |peer: f64, city: usize, region: usize, network: usize| {
                Some(End {
                    peer: peer as u64,
                    network: name(fields.get(network)?),
                    region: name(fields.get(region)?),
                    city: name(fields.get(city)?),
                })
            };
            Some(Link {
                receiver: end(number(0)?, 7, 9, 11)?,
                sender: end(number(1)?, 8, 10, 12)?,
                rate: number(3)? * 1000.0,
                start: number(13)? as u64,
                end: number(14)? as u64,
            })
        })
        .filter(|link| link.rate > 0.0)
        .collect();
    links.sort_by_key(|link| link.start);
    links
}

/// Fields of a line in which a name may stand in quotes and hold commas.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("there is a field").push(c),
        }
    }
    fields
}
