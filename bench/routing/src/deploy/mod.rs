//! Replicas ahead of demand, beside placements that were tuned in hindsight.

mod demand;
mod fluid;
mod packed;

use crate::{Setting, report::Report};
use demand::Demand;
use fluid::Row;

/// Share of the variance that last week explains, above which a demand counts as periodic.
const PERIODIC_MIN: f64 = 0.6;
/// Slots of rent that a fill takes: 7.5 minutes of half an hour.
const FILL_SLOTS: f64 = 0.25;

/// Measures one content on unlimited nodes.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let demands = demand::all(&mut report, setting.quick);
    if demands.is_empty() {
        println!("skipped: no demand traces");
        return report;
    }
    println!(
        "U at 99 % served in time: static and reactive tuned in hindsight (x headroom over the most of so many slots), ours without\n\
         knowing; a fill takes {FILL_SLOTS} slots of rent. regret: cost at {} a missed byte over the cheapest of them.",
        fluid::PRICE
    );
    println!(
        "{:<24} {:>5} {:>6} | {:>6} {:>8} {:>12} | {:>6} {:>7} {:>8} {:>6} | {:>6} {:>7} {:>7} {:>7}",
        "demand",
        "lead",
        "weekly",
        "static",
        "reactive",
        "by",
        "ours",
        "served",
        "forecast",
        "fills",
        "oracle",
        "gain",
        "capture",
        "regret"
    );
    let (mut periodic, mut bursts): (Vec<Row>, Vec<Row>) = Default::default();
    for demand in &demands {
        let leads: &[usize] = if demand.day_slots == 48 { &[2, 4, 6] } else { &[1] };
        for &lead in leads {
            let row = fluid::row(demand, lead, FILL_SLOTS);
            print(demand, lead, &row);
            if demand.weekly() >= PERIODIC_MIN { &mut periodic } else { &mut bursts }.push(row);
        }
    }
    let uploads = crate::sim::traced(&mut report).map(|traced| traced.ups);
    if let (Some(uploads), Some(demand)) = (uploads, demands.iter().find(|d| d.weekly() >= PERIODIC_MIN)) {
        println!(
            "\n{} as six contents in as many time zones, on nodes with the traced uplinks, room for two contents and lives of a\n\
             day, ready an hour after the order and rented from it on:",
            demand.name
        );
        let (gain, capture, fills) = packed::table(&packed::World::new(demand, &uploads, setting.seed));
        report.figure("deploy_packed_gain", gain);
        report.figure("deploy_packed_capture", capture);
        report.figure("deploy_packed_fill_share", fills);
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let worst = |values: Vec<f64>| values.into_iter().fold(f64::NEG_INFINITY, f64::max);
    report.figure("deploy_gain_periodic", mean(periodic.iter().map(Row::gain).collect()));
    report.figure("deploy_capture", mean(periodic.iter().map(Row::capture).collect()));
    report.figure("deploy_burst_regret", worst(bursts.iter().map(|row| row.regret).collect()));
    report.figure(
        "deploy_fill_share",
        worst(periodic.iter().map(|row| row.ours.filled / row.ours.served).collect()),
    );
    report
}

fn print(demand: &Demand, lead: usize, row: &Row) {
    let by = format!("x{:.2} of {}", row.reacts_by.1, row.reacts_by.0);
    println!(
        "{:<24} {:>5} {:>6.2} | {:>6.3} {:>8.3} {:>12} | {:>6.3} {:>7.4} {:>8.2} {:>6.3} | {:>6.3} {:>+7.3} {:>7.2} {:>+7.3}",
        &demand.name[..demand.name.len().min(24)],
        lead,
        demand.weekly(),
        row.fixed.u(),
        row.reactive.u(),
        by,
        row.ours.u(),
        row.ours.service(),
        row.ours.forecast_share,
        row.ours.filled / row.ours.served,
        row.oracle.u(),
        row.gain(),
        row.capture(),
        row.regret,
    );
}
