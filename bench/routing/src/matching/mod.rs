//! The market of demands and nodes: time, certified gap, and what changes cost.

pub mod cases;
pub mod instance;

use crate::Setting;
use crate::dice::Dice;
use crate::report::Report;
use instance::{Instance, Shape};
use peeredge_routing::matching::market::{Demand, DemandId, Market, MarketSettings, Node, NodeId};
use std::time::Instant;

/// One setting for all markets, but for how often a first solution looks at everyone: unit sizes need less.
fn settings(full: bool) -> MarketSettings {
    MarketSettings { sweeps: if full { 32 } else { 16 }, ..MarketSettings::default() }
}

/// Measures the market.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let (demands, nodes) = if setting.quick { (100_000, 10_000) } else { (1_000_000, 100_000) };
    println!(
        "seed {}, {demands} demands, {nodes} nodes, 16 candidates each, 20 % oversubscribed, one thread",
        setting.seed
    );
    println!("{:<28} {:>8} {:>8} {:>9} {:>9} {:>10}", "", "built s", "cold s", "gap", "served", "bids");
    for (full, few_large) in [(false, false), (false, true), (true, false), (true, true)] {
        let shape = Shape { demands, nodes, candidates: 16, oversubscribed: 1.2, full, few_large };
        let instance = Instance::draw(shape, setting.seed);
        let started = Instant::now();
        let mut market = instance.market(settings(full));
        let built = started.elapsed().as_secs_f64();
        let started = Instant::now();
        market.solve(if full { 3 } else { 0 });
        let cold = started.elapsed().as_secs_f64();
        let found = market.certify();
        let name = match (full, few_large) {
            (false, false) => "unit sizes",
            (false, true) => "unit sizes, few large nodes",
            (true, false) => "full model",
            (true, true) => "full model, few large nodes",
        };
        let served = found.served as f64 / found.asked as f64;
        println!(
            "{name:<28} {built:>8.2} {cold:>8.2} {:>9.5} {served:>9.4} {:>10}",
            found.gap(),
            market.counts().bids
        );
        for (rule, worth) in simple(&instance, setting.seed) {
            println!("    over {rule:<20} {:>8.2} %", (found.worth / worth - 1.0) * 100.0);
            if rule == "greedy by value" && !full && !few_large {
                report.figure("match_gain_over_value_greedy", found.worth / worth - 1.0);
            }
        }
        match (full, few_large) {
            (false, false) => {
                report.figure("match_cold_s", cold);
                report.figure("match_gap_unit", found.gap());
            }
            (true, false) => report.figure("match_gap_full", found.gap()),
            _ => {}
        }
        if full {
            continue;
        }
        let started = Instant::now();
        market.solve(2);
        println!(
            "    after two more rounds, {:.2} s: gap {:.5}",
            started.elapsed().as_secs_f64(),
            market.certify().gap()
        );
        let before = market.counts();
        let mut times = change(&mut market, &instance, demands, setting.seed ^ 7);
        let after = market.certify().gap();
        let total: f64 = times.iter().map(|t| f64::from(*t)).sum::<f64>() / 1e9;
        times.sort_unstable();
        let at = |q: f64| f64::from(times[((times.len() - 1) as f64 * q) as usize]) / 1000.0;
        let counts = market.counts();
        println!(
            "    {demands} changes: {:.0}/s, p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, gap after {after:.5}, {:.1} bids and {:.1} attracted each",
            demands as f64 / total,
            at(0.5),
            at(0.99),
            at(0.999),
            (counts.bids - before.bids) as f64 / demands as f64,
            (counts.attracted - before.attracted) as f64 / demands as f64,
        );
        if !few_large {
            report.figure("match_change_p99_us", at(0.99));
            report.figure("match_change_p999_us", at(0.999));
            report.figure("match_gap_after_1m_changes", after);
            report.figure("match_changes_per_s", two_shards(shape, setting.seed));
        }
    }
    report
}

/// Two markets of half the size, each on its own thread: changes a second of both together.
fn two_shards(shape: Shape, seed: u64) -> f64 {
    let half = Shape { demands: shape.demands / 2, nodes: shape.nodes / 2, ..shape };
    let changes = shape.demands / 2;
    let barrier = std::sync::Barrier::new(2);
    let rates: Vec<f64> = std::thread::scope(|scope| {
        let shards: Vec<_> = (0..2)
            .map(|shard| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let instance = Instance::draw(half, seed ^ (shard + 100));
                    let mut market = instance.market(settings(false));
                    market.solve(2);
                    barrier.wait();
                    let times = change(&mut market, &instance, changes, seed ^ (shard + 200));
                    changes as f64 / (times.iter().map(|t| f64::from(*t)).sum::<f64>() / 1e9)
                })
            })
            .collect();
        shards.into_iter().map(|shard| shard.join().expect("a shard does not panic")).collect()
    });
    println!("    two shards on two threads: {:.0}/s and {:.0}/s", rates[0], rates[1]);
    rates.iter().sum()
}

/// What simple rules reach: each looks at one demand after the other, and at nodes with room.
fn simple(instance: &Instance, seed: u64) -> Vec<(&'static str, f64)> {
    let mut dice = Dice::new(seed ^ 3);
    let mut by_value: Vec<usize> = (0..instance.wishes.len()).collect();
    by_value.sort_by(|a, b| {
        let density = |i: usize| instance.wishes[i].value / instance.wishes[i].size[0] as f32;
        density(*b).total_cmp(&density(*a))
    });
    let arrival: Vec<usize> = (0..instance.wishes.len()).collect();
    let rules: [(&str, &[usize]); 6] = [
        ("random", &arrival),
        ("nearest", &arrival),
        ("cheapest", &arrival),
        ("greedy", &arrival),
        ("value threshold", &arrival),
        ("greedy by value", &by_value),
    ];
    let mut found = Vec::new();
    for (rule, order) in rules {
        let mut room: Vec<[u32; 2]> = instance.nodes.iter().map(|node| node.capacity).collect();
        let mut worth = 0.0f64;
        for i in order {
            let wish = &instance.wishes[*i];
            let mut taken: Vec<u32> = Vec::new();
            for _ in 0..wish.replicas {
                let mut best: Option<(f32, u32, f32)> = None;
                for at in instance.of(*i) {
                    let (node, value) = instance.edges[at];
                    let of = &instance.nodes[node.0 as usize];
                    let free = room[node.0 as usize];
                    let net = value - wish.size[0] as f32 * of.cost;
                    if free[0] < wish.size[0]
                        || free[1] < wish.size[1]
                        || net <= 0.0
                        || taken.contains(&of.domain)
                    {
                        continue;
                    }
                    let score = match rule {
                        "random" => dice.unit() as f32,
                        "nearest" => -instance.distances[at],
                        "cheapest" => -of.cost,
                        "value threshold" => {
                            // The price rises exponentially with what is used, between the least and the most that is paid.
                            let used = 1.0 - free[0] as f32 / of.capacity[0] as f32;
                            let price =
                                (2.0 * std::f32::consts::E / 0.1).powf(used) * 0.1 / std::f32::consts::E;
                            let left = net - price * wish.size[0] as f32;
                            if left <= 0.0 {
                                continue;
                            }
                            left
                        }
                        _ => net,
                    };
                    if best.is_none_or(|(b, ..)| score > b) {
                        best = Some((score, node.0, net));
                    }
                }
                let Some((_, node, net)) = best else { break };
                let free = &mut room[node as usize];
                *free = [free[0] - wish.size[0], free[1] - wish.size[1]];
                taken.push(instance.nodes[node as usize].domain);
                worth += f64::from(net);
            }
        }
        found.push((rule, worth));
    }
    found
}

/// Demands leave and come, nodes' costs change, nodes leave and come back. Gives each change's time in ns.
pub fn change(market: &mut Market, instance: &Instance, changes: usize, seed: u64) -> Vec<u32> {
    let mut dice = Dice::new(seed);
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
