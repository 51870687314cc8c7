//! Handshakes: which introductions to try first. Who comes, when, how long they stay and in which networks they are is from a real
//! swarm; whether two ends can meet is drawn, since the data knows only the links that opened.

use crate::Setting;
use crate::data;
use crate::dice::Dice;
use crate::perception::score::percentile;
use crate::report::Report;
use peeredge_routing::handshake::{End, Handshakes};
use std::collections::BTreeMap;

/// Live peers that a newcomer could be introduced to.
const CANDIDATES: usize = 16;
/// Open connections that it needs.
const NEEDED: usize = 4;
/// Attempts under way at once, at most.
const AT_ONCE_MAX: usize = 8;
/// Attempts are started until so many can be expected to open.
const EXPECTED_AT_ONCE: f64 = 2.0;
/// Who gives up though somebody would have opened is counted with so many seconds more.
const GAVE_UP_S: f64 = 15.0;
/// An attempt that has not opened by then never will, in seconds.
const FAILS_S: f64 = 15.0;
/// Kinds of address translation: open or endpoint-independent, address-dependent, port-dependent, and no UDP at all.
const KINDS: usize = 4;
/// Chance that two kinds meet without a relay between (after Ford, Srisuresh and Kegel, USENIX 2005).
const MEETS: [[f64; KINDS]; KINDS] =
    [[0.95, 0.93, 0.85, 0.0], [0.93, 0.9, 0.15, 0.0], [0.85, 0.15, 0.03, 0.0], [0.0, 0.0, 0.0, 0.0]];

/// One visitor of the recorded day.
struct Visitor {
    from_s: f64,
    to_s: f64,
    network: u32,
    kind: usize,
    /// Its browser could not tell its kind.
    kind_unknown: bool,
}

/// Compares orders of introduction on each recorded day.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let days = data::list("matching", "p2p_links_", ".csv.xz");
    if days.is_empty() {
        println!("skipped: no swarm");
        return report;
    }
    println!(
        "newcomers of a real swarm, {CANDIDATES} live candidates each, {NEEDED} connections needed, at most {AT_ONCE_MAX} attempts at \
         once; a failure takes {FAILS_S} s\n"
    );
    println!("{:<40}{:>12}{:>10}{:>12}{:>12}", "", "wasted each", "opened", "p50 first s", "p95 first s");
    let (mut wasted_worst, mut first_worst) = (0.0f64, 0.0f64);
    for file in days {
        let Some(lines) = data::lines(&file) else { continue };
        report.read(&file);
        let mut visitors = visitors(&lines, &mut Dice::new(setting.seed));
        if setting.quick {
            visitors.truncate(2000);
        }
        println!("{file}: {} visitors", visitors.len());
        let base = replay(&visitors, setting.seed, Rule::Arrival(4));
        show("order of arrival, 4 at once", &base);
        show("order of arrival, 8 at once", &replay(&visitors, setting.seed, Rule::Arrival(8)));
        show("by chance", &replay(&visitors, setting.seed, Rule::Random));
        let learned = |networks, kinds| replay(&visitors, setting.seed, Rule::Learned { networks, kinds });
        let ours = learned(false, false);
        show("learned of peers alone", &ours);
        show("learned of peers and networks", &learned(true, false));
        show("learned of peers, networks and kinds", &learned(true, true));
        show("knowing every chance", &replay(&visitors, setting.seed, Rule::Oracle));
        wasted_worst = wasted_worst.max(ours.wasted / base.wasted);
        first_worst = first_worst.max(ours.first(0.95) / base.first(0.95));
    }
    println!("of peers alone, over the first, on the worse day:");
    report.figure("handshake_wasted_ratio", wasted_worst);
    report.figure("handshake_first_byte_p95_ratio", first_worst);
    report
}

/// The day's visitors in the order of their arrival.
fn visitors(lines: &[String], dice: &mut Dice) -> Vec<Visitor> {
    // recv,send,chunks,thr_avg,thr_std,bytes,time_ms,city_r,city_s,cc_r,cc_s,isp_r,isp_s,start_ms,end_ms
    let mut seen: BTreeMap<u64, (f64, f64, String)> = BTreeMap::new();
    for line in lines.iter().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let n = fields.len();
        if n < 15 {
            continue;
        }
        let (Ok(from), Ok(to)) = (fields[n - 2].parse::<f64>(), fields[n - 1].parse::<f64>()) else {
            continue;
        };
        for (id, isp) in [(fields[0], fields[n - 4]), (fields[1], fields[n - 3])] {
            let Ok(id) = id.parse() else { continue };
            let entry = seen.entry(id).or_insert((from, to, isp.to_owned()));
            entry.0 = entry.0.min(from);
            entry.1 = entry.1.max(to);
        }
    }
    let mut networks: BTreeMap<String, (u32, [f64; KINDS])> = BTreeMap::new();
    let mut visitors: Vec<Visitor> = seen
        .into_values()
        .map(|(from, to, isp)| {
            let number = networks.len() as u32 + 1;
            let (network, mix) = networks.entry(isp).or_insert_with(|| (number, kinds_of_network(dice)));
            let mut at = dice.unit();
            let kind = mix.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            Visitor {
                from_s: from / 1000.0,
                to_s: to / 1000.0,
                network: *network,
                kind: kind.unwrap_or(0),
                kind_unknown: dice.unit() < 0.2,
            }
        })
        .collect();
    visitors.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    visitors
}

/// Networks differ: in some most visitors are behind one kind. Means over all: 35, 30, 25 and 10 %.
fn kinds_of_network(dice: &mut Dice) -> [f64; KINDS] {
    let draws = [0.35, 0.3, 0.25, 0.1].map(|mean| dice.exponential(mean) * dice.exponential(1.0));
    let sum: f64 = draws.iter().sum();
    draws.map(|draw| draw / sum)
}

/// In which order candidates are tried, and how many at once.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Arrival(usize),
    Random,
    Learned { networks: bool, kinds: bool },
    Oracle,
}

struct Outcome {
    /// Attempts that failed, for each newcomer.
    wasted: f64,
    opened: f64,
    firsts_s: Vec<f64>,
}

impl Outcome {
    fn first(&self, share: f64) -> f64 {
        percentile(&self.firsts_s, share)
    }
}

fn show(name: &str, outcome: &Outcome) {
    println!(
        "  {name:<38}{:>12.2}{:>10.2}{:>12.2}{:>12.2}",
        outcome.wasted,
        outcome.opened,
        outcome.first(0.5),
        outcome.first(0.95)
    );
}

/// A newcomer that tries.
struct Trying {
    candidates: Vec<usize>,
    /// When each attempt under way ends is in the queue of events.
    under_way: usize,
    opened: usize,
    is_done: bool,
    someone_opens: bool,
}

/// Everybody tries those who are there; how an attempt ended is known to all when it has ended, and not before.
fn replay(visitors: &[Visitor], seed: u64, rule: Rule) -> Outcome {
    let mut known = Handshakes::new();
    let mut outcome = Outcome { wasted: 0.0, opened: 0.0, firsts_s: Vec::new() };
    let mut newcomers = 0.0;
    let mut live: Vec<usize> = Vec::new();
    let mut trying: BTreeMap<usize, Trying> = BTreeMap::new();
    // By time in microseconds and a running number: who tried whom (oneself for an arrival), and whether it opened.
    let micros = |at_s: f64| (at_s * 1e6) as u64;
    let mut events: BTreeMap<(u64, usize), (usize, usize, bool)> =
        visitors.iter().enumerate().map(|(v, visitor)| ((micros(visitor.from_s), v), (v, v, true))).collect();
    let mut number = visitors.len();
    let end = |v: usize| {
        let (networks, kinds) = match rule {
            Rule::Learned { networks, kinds } => (networks, kinds),
            _ => (false, false),
        };
        let visitor = &visitors[v];
        let kind = if kinds && !visitor.kind_unknown { visitor.kind as u8 + 1 } else { 0 };
        End { peer: v as u64, network: if networks { visitor.network } else { 0 }, kind }
    };
    let chance = |a: usize, b: usize| MEETS[visitors[a].kind][visitors[b].kind];
    // Luck belongs to the pair, so that it is the same in every order: whether it opens, and in what time.
    let luck = |a: usize, b: usize| {
        let mut luck = Dice::new(seed ^ ((a as u64) << 32 | b as u64));
        (luck.unit() < chance(a, b), 0.35 + luck.exponential(0.35))
    };
    while let Some(((at_micros, _), (me, with, opens))) = events.pop_first() {
        let now = at_micros as f64 / 1e6;
        if me == with {
            live.retain(|&v| visitors[v].to_s > now);
            let mut draw = Dice::new(seed.wrapping_add(me as u64).wrapping_mul(0x9e37_79b9));
            let mut candidates = live.clone();
            for at in 0..candidates.len().min(CANDIDATES) {
                let other = at + draw.below(candidates.len() - at);
                candidates.swap(at, other);
            }
            candidates.truncate(CANDIDATES);
            live.push(me);
            if candidates.len() < CANDIDATES {
                continue;
            }
            if let Rule::Arrival(_) = rule {
                candidates.sort_unstable();
            }
            newcomers += 1.0;
            let someone_opens = candidates.iter().any(|&v| luck(me, v).0);
            trying.insert(me, Trying { candidates, under_way: 0, opened: 0, is_done: false, someone_opens });
        }
        let Some(own) = trying.get_mut(&me) else { continue };
        if me != with {
            known.report(end(me), end(with), opens);
            own.under_way -= 1;
            if own.is_done {
                continue;
            }
            if opens {
                own.opened += 1;
                if own.opened == 1 && own.someone_opens {
                    outcome.firsts_s.push(now - visitors[me].from_s);
                }
                outcome.opened += 1.0;
            } else {
                outcome.wasted += 1.0;
            }
        }
        let missing = NEEDED - own.opened;
        let mut room = match rule {
            Rule::Arrival(n) => n,
            _ => 4,
        };
        match rule {
            Rule::Arrival(_) | Rule::Random => {}
            Rule::Learned { .. } => {
                own.candidates.retain(|&v| known.is_worth_trying(end(me), end(v)));
                known.order(end(me), &mut own.candidates, |&v| end(v));
                let ends: Vec<End> = own.candidates.iter().map(|&v| end(v)).collect();
                room = known.at_once(end(me), &ends, (missing as f64).min(EXPECTED_AT_ONCE)).min(AT_ONCE_MAX);
            }
            Rule::Oracle => {
                own.candidates.retain(|&v| chance(me, v) >= 0.1);
                own.candidates.sort_by(|&a, &b| chance(me, b).total_cmp(&chance(me, a)));
            }
        }
        while missing > 0 && own.under_way < room && !own.candidates.is_empty() {
            let with = own.candidates.remove(0);
            let (meets, takes_s) = luck(me, with);
            let opens = meets && visitors[with].to_s > now + takes_s;
            let ends_s = now + if opens { takes_s } else { FAILS_S };
            events.insert((micros(ends_s), number), (me, with, opens));
            number += 1;
            own.under_way += 1;
        }
        if missing == 0 || own.under_way == 0 {
            own.is_done = true;
            // What is still being tried is given up: it would have failed, or is one too many.
            outcome.wasted += own.under_way as f64;
            if own.opened == 0 && own.someone_opens {
                outcome.firsts_s.push(now - visitors[me].from_s + GAVE_UP_S);
            }
        }
    }
    outcome.wasted /= newcomers;
    outcome.opened /= newcomers;
    outcome.firsts_s.sort_by(f64::total_cmp);
    outcome
}
