//! The simulator's large world: memory a peer, events a second, and that it repeats exactly.

use crate::{Setting, data, heap, report::Report};
use peeredge_sim::crowd::{self, Crowd};
use std::collections::BTreeMap;
use std::time::Instant;

/// Rates and visits as the trace has them.
pub(crate) struct Traced {
    pub(crate) ups: Vec<u32>,
    stays_ms: Vec<u32>,
}

/// Measures a crowd of 100,000, and of a million when the run is long.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let Some(traced) = traced(&mut report) else {
        println!("skipped: no traces of links");
        return report;
    };
    let median = |values: &[u32]| values[values.len() / 2];
    println!(
        "{} senders' uplinks (median {} kB/s), {} visits (median {} s); 1000 contents of 10 MB in blocks of 250 kB",
        traced.ups.len(),
        median(&traced.ups) / 1000,
        traced.stays_ms.len(),
        median(&traced.stays_ms) / 1000
    );
    println!(
        "{:>9} {:>9} {:>10} {:>11} {:>10} {:>8} {:>8} {:>9} {:>9}  trace",
        "peers", "simulated", "events", "events/s", "bytes/peer", "done", "offload", "median s", "p95 s"
    );
    let mut sizes = vec![if setting.quick { 10_000 } else { 100_000 }];
    if setting.long {
        sizes.push(1_000_000);
    }
    for peers in sizes {
        let crowd = Crowd {
            seed: setting.seed,
            peers,
            contents: 1000,
            block_bytes: 250_000,
            blocks: 40,
            ups: traced.ups.clone(),
            stays_ms: traced.stays_ms.clone(),
            latency_micros: 20_000,
            origin_bytes_per_s: 1_000_000,
            until_ms: 900_000,
        };
        let ((world, seconds), most) = heap::most_during(|| {
            let begun = Instant::now();
            let world = crowd::run(&crowd);
            (world, begun.elapsed().as_secs_f64())
        });
        let each = most as f64 / f64::from(peers);
        let rate = world.events as f64 / seconds;
        println!(
            "{:>9} {:>7} s {:>10} {:>11.0} {:>10.1} {:>8} {:>8.3} {:>9.1} {:>9.1}  {:016x}",
            peers,
            crowd.until_ms / 1000,
            world.events,
            rate,
            each,
            world.completed,
            world.offload(),
            world.completion_ms(0.5) / 1000.0,
            world.completion_ms(0.95) / 1000.0,
            world.trace_hash
        );
        if peers == 1_000_000 {
            report.figure("sim_event_core_bytes_per_peer_1m", each);
            report.figure("sim_events_per_s_1m", rate);
        } else {
            report.figure("sim_event_core_bytes_per_peer", each);
            report.figure("sim_events_per_s_100k", rate);
            assert_eq!(crowd::run(&crowd), world, "the same seed must be the same world");
        }
    }
    report
}

/// Each sender's mean rate, and how long each peer was seen.
pub(crate) fn traced(report: &mut Report) -> Option<Traced> {
    let file = data::list("matching", "p2p_links", ".csv.xz").into_iter().next()?;
    let mut rates: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let mut visits: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for line in data::lines(&file)?.iter().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells.get(at)?.parse::<f64>().ok();
        let (Some(recv), Some(send), Some(rate)) = (number(0), number(1), number(3)) else { continue };
        // Cities and providers may hold commas: the times are the last two.
        let (Some(start), Some(end)) = (number(cells.len() - 2), number(cells.len() - 1)) else { continue };
        let mean = rates.entry(send as u32).or_default();
        *mean = (mean.0 + rate, mean.1 + 1.0);
        for peer in [recv, send] {
            let seen = visits.entry(peer as u32).or_insert((start, end));
            *seen = (seen.0.min(start), seen.1.max(end));
        }
    }
    report.read(file);
    let mut ups: Vec<u32> = rates.values().map(|(sum, count)| (sum / count * 1000.0) as u32).collect();
    let mut stays_ms: Vec<u32> = visits.values().map(|(start, end)| (end - start) as u32).collect();
    ups.sort_unstable();
    stays_ms.sort_unstable();
    (!ups.is_empty()).then_some(Traced { ups, stays_ms })
}
