//! The market of demands and nodes: time, certified gap, and what changes cost.

pub mod instance;

use crate::Setting;
use crate::report::Report;
use instance::{Dice, Instance, Shape};
use peeredge_routing::matching::market::{Demand, DemandId, Market, MarketSettings, Node, NodeId};
use std::time::Instant;

/// One setting for all markets.
fn settings() -> MarketSettings {
    MarketSettings { tolerance: 0.01, ..MarketSettings::default() }
}

/// Measures the market.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let scale = if setting.quick { 10 } else { 1 };
    println!(
        "seed {}, {} demands, {} nodes, 16 candidates each, 20 % oversubscribed",
        setting.seed,
        1_000_000 / scale,
        100_000 / scale
    );
    println!("{:<22} {:>8} {:>8} {:>8} {:>10}", "capacity", "built s", "cold s", "gap", "bids");
    for few_large in [false, true] {
        let shape = Shape {
            demands: 1_000_000 / scale,
            nodes: 100_000 / scale,
            candidates: 16,
            oversubscribed: 1.2,
            full: false,
            few_large,
        };
        let instance = Instance::draw(shape, setting.seed);
        let started = Instant::now();
        let mut market = instance.market(settings());
        let built = started.elapsed().as_secs_f64();
        let started = Instant::now();
        market.solve(0);
        let cold = started.elapsed().as_secs_f64();
        let gap = market.certify().gap();
        let name = if few_large { "on few large nodes" } else { "spread" };
        println!("{name:<22} {built:>8.2} {cold:>8.2} {gap:>8.5} {:>10}", market.counts().bids);
        let changes = 1_000_000 / scale;
        let mut times = change(&mut market, &instance, changes, setting.seed ^ 7);
        let after = market.certify().gap();
        let total: f64 = times.iter().map(|t| f64::from(*t)).sum::<f64>() / 1e9;
        times.sort_unstable();
        let at = |q: f64| f64::from(times[((times.len() - 1) as f64 * q) as usize]) / 1000.0;
        println!(
            "  {changes} changes: {:.0}/s on one core, p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, gap after {after:.5}, backlog {} {:?}",
            changes as f64 / total,
            at(0.5),
            at(0.99),
            at(0.999),
            market.backlog(),
            market.counts()
        );
        if !few_large {
            report.figure("match_cold_s", cold);
            report.figure("match_gap_unit", gap);
            report.figure("match_change_p99_us", at(0.99));
            report.figure("match_change_p999_us", at(0.999));
            report.figure("match_gap_after_1m_changes", after);
        }
    }
    report
}

/// Demands leave and come, nodes' costs change, nodes leave and come back. Gives each change's time in ns.
pub fn change(market: &mut Market, instance: &Instance, changes: usize, seed: u64) -> Vec<u32> {
    let mut dice = Dice(seed);
    let mut here: Vec<DemandId> = Vec::new();
    let mut first = 0;
    for wish in &instance.wishes {
        here.push(DemandId(first));
        first += u32::from(wish.replicas);
    }
    let mut nodes = instance.nodes.clone();
    let mut away: Vec<(usize, Node)> = Vec::new();
    let mut times = Vec::with_capacity(changes);
    while times.len() < changes {
        let kind = dice.below(100);
        let started;
        if kind < 45 {
            let at = dice.below(here.len());
            let id = here.swap_remove(at);
            started = Instant::now();
            market.depart(id);
        } else if kind < 90 {
            let wish = instance.wish(&mut dice);
            let candidates: Vec<(NodeId, f32)> = instance
                .candidates(&mut dice, &wish)
                .into_iter()
                .map(|(node, worth, _)| (node, worth))
                .collect();
            started = Instant::now();
            here.push(market.arrive(&Demand {
                size: wish.size,
                replicas: wish.replicas,
                move_cost: 0.0,
                candidates: &candidates,
            }));
        } else if kind < 98 {
            let at = dice.below(nodes.len());
            nodes[at].cost *= (0.2 * dice.normal()).exp() as f32;
            nodes[at].cost = nodes[at].cost.clamp(0.02, 1.0);
            if nodes[at].capacity[0] == 0 {
                continue;
            }
            started = Instant::now();
            market.change(NodeId(at as u32), nodes[at]);
        } else if away.len() < 20 {
            let at = dice.below(nodes.len());
            if nodes[at].capacity[0] == 0 {
                continue;
            }
            away.push((at, nodes[at]));
            nodes[at].capacity = [0; 2];
            started = Instant::now();
            market.change(NodeId(at as u32), nodes[at]);
        } else {
            let (at, node) = away.swap_remove(dice.below(away.len()));
            nodes[at] = node;
            started = Instant::now();
            market.change(NodeId(at as u32), node);
        }
        times.push(started.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
    }
    times
}
