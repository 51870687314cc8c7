//! Perception: the next step of a real channel, predicted from those before.

mod ours;
mod partial;
mod prior;
pub(crate) mod score;
mod simple;
pub(crate) mod traces;

use crate::report::Report;
use crate::{Setting, data, links};
use score::Score;

/// Measures the product's estimator and the simple ones on every set.
pub fn run(_: &Setting) -> Report {
    let mut report = Report::default();
    let sets = traces::sets(&mut report);
    if sets.is_empty() {
        println!("skipped: no traces");
        return report;
    }
    println!("one step ahead: absolute error over what came, median / 90th percentile, in %");
    print!("{:<21}", "");
    sets.iter().for_each(|set| print!("{:>14}", set.name));
    println!();
    let mut best = vec![Score { median: f64::INFINITY, p90: f64::INFINITY }; sets.len()];
    for (name, make) in simple::SIMPLE {
        print!("{name:<21}");
        for (set, best) in sets.iter().zip(&mut best) {
            let score = score::one_ahead(set, *make);
            best.median = best.median.min(score.median);
            best.p90 = best.p90.min(score.p90);
            print!("{:>14}", percents(score));
        }
        println!();
    }
    let ours: Vec<ours::Ours> = sets.iter().map(ours::one_ahead).collect();
    row("best of these", &best, |b| percents(*b));
    row("ours", &ours, |o| percents(o.score));
    let ratios: Vec<(f64, f64)> =
        ours.iter().zip(&best).map(|(o, b)| (o.score.median / b.median, o.score.p90 / b.p90)).collect();
    row("ours over best", &ratios, |(median, p90)| format!("{median:.2} / {p90:.2}"));
    row("80 % covers", &ours, |o| format!("{:.1} %", 100.0 * o.covered));
    row("high over low", &ours, |o| format!("{:.2}", o.width));
    let over = |values: &mut dyn Iterator<Item = f64>, pick: fn(f64, f64) -> f64| values.reduce(pick);
    let figures = [
        ("perception_median_ratio_worst", over(&mut ratios.iter().map(|r| r.0), f64::max)),
        ("perception_p90_ratio_worst", over(&mut ratios.iter().map(|r| r.1), f64::max)),
        ("perception_coverage80_min", over(&mut ours.iter().map(|o| o.covered), f64::min)),
        ("perception_coverage80_max", over(&mut ours.iter().map(|o| o.covered), f64::max)),
    ];
    for (key, value) in figures {
        report.figure(key, value.unwrap_or(f64::NAN));
    }
    if let Some(bulk) = sets.iter().find(|set| set.name == "5G bulk") {
        partly(&mut report, &bulk.traces);
    }
    before_the_first_byte(&mut report);
    report
}

/// Links that have carried nothing yet, a day of them in each column.
fn before_the_first_byte(report: &mut Report) {
    let days: Vec<Vec<links::Link>> = data::list("matching", "p2p_links_", ".csv.xz")
        .into_iter()
        .filter_map(|file| {
            let lines = data::lines(&file)?;
            report.read(file);
            Some(links::parse(&lines))
        })
        .collect();
    if days.is_empty() {
        return;
    }
    println!(
        "\nbefore the first byte, {:?} real links: error in %, median / p90",
        days.iter().map(Vec::len).collect::<Vec<_>>()
    );
    let mut best = vec![Score { median: f64::INFINITY, p90: f64::INFINITY }; days.len()];
    for (name, make) in prior::SIMPLE {
        let scores: Vec<Score> = days.iter().map(|day| prior::foretold(day, *make)).collect();
        row(name, &scores, |score| percents(*score));
        for (best, score) in best.iter_mut().zip(scores) {
            best.median = best.median.min(score.median);
            best.p90 = best.p90.min(score.p90);
        }
    }
    let ours: Vec<Score> = days.iter().map(|day| prior::foretold(day, prior::OURS)).collect();
    row("ours", &ours, |score| percents(*score));
    let ratios: Vec<(f64, f64)> =
        ours.iter().zip(&best).map(|(o, b)| (o.median / b.median, o.p90 / b.p90)).collect();
    row("ours over best", &ratios, |(median, p90)| format!("{median:.2} / {p90:.2}"));
    let covered: Vec<(f64, f64)> = days.iter().map(|day| prior::covered(day)).collect();
    row("80 % covers", &covered, |(share, _)| format!("{:.1} %", 100.0 * share));
    row("high over low", &covered, |(_, width)| format!("{width:.2}"));
    let worst = |of: fn(&(f64, f64)) -> f64| ratios.iter().map(of).fold(f64::NAN, f64::max);
    report.figure("prior_median_ratio_worst", worst(|ratio| ratio.0));
    report.figure("prior_p90_ratio_worst", worst(|ratio| ratio.1));
}

/// The final mean of transfers of 30 s, foretold from a part of their data.
fn partly(report: &mut Report, transfers: &[traces::Trace]) {
    const SHARES: [f64; 4] = [0.05, 0.1, 0.15, 0.3];
    println!(
        "\nfinal mean of {} bulk transfers from a part of their data: error in %, median / p90",
        transfers.len()
    );
    row("", &SHARES, |share| format!("{:.0} %", 100.0 * share));
    for (name, method) in partial::METHODS {
        row(name, &SHARES, |share| percents(partial::foretold(transfers, *share, *method)));
        if *name == "ours" {
            let at15 = partial::foretold(transfers, 0.15, *method);
            report.figure("partial15_median", at15.median);
            report.figure("partial15_p90", at15.p90);
        }
    }
}

fn percents(score: Score) -> String {
    format!("{:.1} / {:.1}", 100.0 * score.median, 100.0 * score.p90)
}

fn row<T>(name: &str, cells: &[T], text: impl Fn(&T) -> String) {
    print!("{name:<21}");
    cells.iter().for_each(|cell| print!("{:>14}", text(cell)));
    println!();
}
