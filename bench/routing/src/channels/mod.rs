//! Channel scheduling: a download over four real mobile links at once, against the fluid bound.

pub(crate) mod ours;
mod rules;
mod world;

use crate::Setting;
use crate::dice::Dice;
use crate::perception::score::percentile;
use crate::perception::traces;
use crate::report::Report;
use rules::{Rule, Simple};
use world::{Link, Outcome, Receiver};

/// Senders stay this long on average.
const STAY_S: f64 = 60.0;
/// Messages that are lost once.
const LOSS: f64 = 0.01;
const SYMBOLS_MAX: f64 = 8192.0;

/// Runs the same downloads with every scheduler.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let sets = traces::mobile(&mut report);
    let [slow, quick] = &sets[..] else {
        println!("skipped: no traces");
        return report;
    };
    let runs = if setting.quick { 40 } else { 400 };
    println!(
        "{runs} downloads over two 3G and two 4G links, each of the size that takes the fluid bound 20 to 40 s; 1 % of messages sent \
         twice,\nsenders stay {STAY_S} s on average, half leave without a word; symbols of 16 KiB\n"
    );
    println!("{:<26}{:>8}{:>8}{:>8}{:>12}", "time over the bound", "p50", "p90", "p99", "redundant");
    let rules = [
        ("round robin", Some(Rule::RoundRobin)),
        ("proportional", Some(Rule::Proportional)),
        ("pull", Some(Rule::Pull)),
        ("pull, tail asked again", Some(Rule::PullTail)),
        ("ours", None),
    ];
    for (name, rule) in rules {
        let (mut ratios, mut redundant) = (Vec::new(), 0.0);
        for number in 0..runs {
            let (ratio, outcome) = download(setting.seed + number, &slow.traces, &quick.traces, rule);
            ratios.push(ratio);
            redundant += outcome.redundant / runs as f64;
        }
        ratios.sort_by(f64::total_cmp);
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile(&ratios, share));
        println!("{name:<26}{p50:>8.3}{p90:>8.3}{p99:>8.3}{:>10.2} %", 100.0 * redundant);
        if rule.is_none() {
            report.figure("channels_p50", p50);
            report.figure("channels_p99", p99);
            report.figure("channels_redundant", redundant);
        }
    }
    report
}

/// One download: its time over the bound, and how it went.
fn download(
    seed: u64,
    slow: &[traces::Trace],
    quick: &[traces::Trace],
    rule: Option<Rule>,
) -> (f64, Outcome) {
    let mut dice = Dice::new(seed);
    let mut links = Vec::new();
    for (traces, round_trip_s) in [(slow, 0.1), (slow, 0.1), (quick, 0.05), (quick, 0.05)] {
        let trace = &traces[dice.below(traces.len())];
        let round_trip_s = round_trip_s * (0.6 + 0.8 * dice.unit());
        links.push(Link::new(&mut dice, trace, round_trip_s, LOSS, STAY_S));
    }
    let takes_s = 20.0 + 20.0 * dice.unit();
    let symbols = (world::carried(&links, takes_s) / world::SYMBOL_BYTES).clamp(16.0, SYMBOLS_MAX) as usize;
    let bound_s = world::fluid_bound_s(&links, symbols as f64 * world::SYMBOL_BYTES);
    let mut run = |receiver: &mut dyn Receiver| world::run(&links, &mut dice, receiver, symbols);
    let outcome = match rule {
        Some(rule) => run(&mut Simple::new(rule, symbols)),
        None => {
            let content = ours::Content::new(symbols);
            run(&mut ours::Ours::new(&content))
        }
    };
    (outcome.seconds / bound_s, outcome)
}
