//! Decisions that cannot be taken back: budgets over a day, demands one by one. The yardstick is the bound of hindsight, that
//! is what somebody who knew all demands and costs beforehand could not have exceeded.

use crate::dice::Dice;
use crate::report::Report;
use crate::{Setting, data};
use peeredge_routing::matching::horizon::{HorizonSettings, Planner};
use peeredge_routing::matching::market::{Demand, Market, MarketSettings, Node, NodeId};

const NODES: usize = 50;
const CANDIDATES: usize = 8;

struct Arrival {
    at: f64,
    value: f32,
    candidates: Vec<(u32, f32)>,
    /// Cost of each candidate at that moment.
    costs: Vec<f32>,
}

struct Horizon {
    budgets: Vec<u32>,
    arrivals: Vec<Arrival>,
}

/// Demand volume and node cost over time, both with a mean near 1, and value over time.
fn draw(n: usize, volume: &[f64], cost: &[f64], value: impl Fn(f64) -> f64, dice: &mut Dice) -> Horizon {
    let total: f64 = volume.iter().sum();
    let mut before = vec![0.0];
    volume.iter().for_each(|v| before.push(before[before.len() - 1] + v));
    let base: Vec<f64> = (0..NODES).map(|_| 0.1 + 0.3 * dice.unit()).collect();
    // Not all nodes follow the shocks, nor equally.
    let follows: Vec<f64> = (0..NODES).map(|_| dice.unit()).collect();
    let mut times: Vec<f64> = (0..n)
        .map(|_| {
            let mark = dice.unit() * total;
            let at = before.partition_point(|b| *b <= mark).saturating_sub(1).min(volume.len() - 1);
            (at as f64 + dice.unit()) / volume.len() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let arrivals: Vec<Arrival> = times
        .into_iter()
        .map(|at| {
            let mut candidates: Vec<(u32, f32)> = Vec::new();
            while candidates.len() < CANDIDATES {
                let node = dice.below(NODES) as u32;
                if candidates.iter().all(|c| c.0 != node) {
                    candidates.push((node, 0.4 * dice.unit() as f32));
                }
            }
            let shock = cost[((at * cost.len() as f64) as usize).min(cost.len() - 1)];
            let costs =
                (0..NODES).map(|j| (base[j] * (1.0 + follows[j] * (shock - 1.0))).clamp(0.01, 5.0) as f32);
            let costs: Vec<f32> = costs.collect();
            let costs = candidates.iter().map(|c| costs[c.0 as usize]).collect();
            Arrival { at, value: (value(at) * (0.5 * dice.normal()).exp()) as f32, candidates, costs }
        })
        .collect();
    let weights: Vec<f64> = (0..NODES).map(|_| 0.5 + dice.unit()).collect();
    let sum: f64 = weights.iter().sum();
    // Budgets for half of the demand.
    let budgets = weights.iter().map(|w| (0.5 * n as f64 * w / sum) as u32).collect();
    Horizon { budgets, arrivals }
}

/// The worth of all decisions of a policy, which gives the place of the chosen candidate.
fn play(horizon: &Horizon, mut choose: impl FnMut(&Arrival, &[u32]) -> Option<usize>) -> f64 {
    let mut left = horizon.budgets.clone();
    let mut worth = 0.0;
    for arrival in &horizon.arrivals {
        if let Some(k) = choose(arrival, &left) {
            let (node, lost) = arrival.candidates[k];
            assert!(left[node as usize] > 0, "a budget was exceeded");
            left[node as usize] -= 1;
            worth += f64::from(arrival.value - lost - arrival.costs[k]);
        }
    }
    worth
}

fn bound(horizon: &Horizon) -> f64 {
    let mut market = Market::new(MarketSettings::default());
    for budget in &horizon.budgets {
        market.join(Node { capacity: [*budget, 0], cost: 0.0, domain: 0 });
    }
    for arrival in &horizon.arrivals {
        let nets: Vec<(NodeId, f32)> = arrival
            .candidates
            .iter()
            .zip(&arrival.costs)
            .map(|((node, lost), cost)| (NodeId(*node), arrival.value - lost - cost))
            .collect();
        market.insert(&Demand { size: [1, 0], replicas: 1, move_cost: 0.0, candidates: &nets });
    }
    market.level(1.0, 40);
    market.certify().bound
}

fn best(arrival: &Arrival, left: &[u32], price: impl Fn(usize) -> f64) -> Option<usize> {
    let net = |k: usize| {
        let (node, lost) = arrival.candidates[k];
        f64::from(arrival.value - lost - arrival.costs[k]) - price(node as usize)
    };
    (0..arrival.candidates.len())
        .filter(|k| left[arrival.candidates[*k].0 as usize] > 0 && net(*k) > 0.0)
        .max_by(|a, b| net(*a).total_cmp(&net(*b)))
}

/// Shares of the bound: greedy, exponential threshold, price descent, ours by the clock, ours. Descent and ours are told how many demands
/// come in all, but not when; by the clock, ours knows only when the horizon ends.
fn compare(horizon: &Horizon, seed: u64) -> [f64; 5] {
    let bound = bound(horizon);
    let greedy = play(horizon, |a, left| best(a, left, |_| 0.0));
    // Values between L and U: the threshold that is optimal against an adversary (Zhou, Chakrabarty, Lukose 2008), told the true range.
    let (low, high) = (0.2f64, 3.0f64);
    let budgets = &horizon.budgets;
    let threshold = play(horizon, |a, left| {
        best(a, left, |j| {
            let used = 1.0 - f64::from(left[j]) / f64::from(budgets[j]);
            (high * std::f64::consts::E / low).powf(used) * low / std::f64::consts::E
        })
    });
    // Each node's price follows what it spends against an even pace (Balseiro, Lu, Mirrokni 2023).
    let mut prices = vec![0.0f64; NODES];
    let n = horizon.arrivals.len() as f64;
    let step = 1.0 / n.sqrt();
    let descent = play(horizon, |a, left| {
        let chosen = best(a, left, |j| prices[j]);
        for (j, price) in prices.iter_mut().enumerate() {
            let pace = f64::from(budgets[j]) / n;
            let spent = chosen.is_some_and(|k| a.candidates[k].0 as usize == j);
            *price = (*price + step * NODES as f64 * (f64::from(u8::from(spent)) - pace)).max(0.0);
        }
        chosen
    });
    let plan = |by_clock: bool| {
        let mut planner = Planner::new(HorizonSettings { seed, ..HorizonSettings::default() }, budgets);
        let mut costs = vec![0.0f32; NODES];
        let mut came = 0.0;
        play(horizon, |a, _| {
            a.candidates.iter().zip(&a.costs).for_each(|(c, cost)| costs[c.0 as usize] = *cost);
            came += 1.0;
            let now = if by_clock { a.at } else { came / n };
            let node = planner.arrive(now, a.value, &a.candidates, &costs)?;
            a.candidates.iter().position(|c| c.0 == node)
        })
    };
    let (by_clock, ours) = (plan(true), plan(false));
    [greedy, threshold, descent, by_clock, ours].map(|worth| worth / bound)
}

fn series(files: &[(String, Vec<u8>)], name: &str) -> Vec<f64> {
    let Some((_, bytes)) = files.iter().find(|(file, _)| file.ends_with(name)) else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    text.lines().skip(1).filter_map(|line| line.rsplit(',').next()?.trim().parse().ok()).collect()
}

fn over_mean(mut values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|v| *v /= mean);
    values
}

/// Measures spikes, shocks and rising value.
pub fn run(setting: &Setting) -> Report {
    let mut report = Report::default();
    let n = if setting.quick { 20_000 } else { 100_000 };
    let mut dice = Dice::new(setting.seed);
    println!(
        "seed {}, {NODES} nodes, {n} demands with {CANDIDATES} candidates each, budgets for half of them; share of the bound of hindsight",
        setting.seed
    );
    println!(
        "{:<34} {:>8} {:>10} {:>8} {:>10} {:>8}",
        "", "greedy", "threshold", "descent", "by clock", "ours"
    );
    let print = |name: &str, shares: [f64; 5]| {
        let [g, t, d, c, o] = shares.map(|s| s * 100.0);
        println!("{name:<34} {g:>7.1}% {t:>9.1}% {d:>7.1}% {c:>9.1}% {o:>7.1}%");
    };
    let archive = "demand/nab_tweets_adprice_load.tar.xz";
    match data::archive(archive) {
        None => println!("spikes and shocks skipped: no {archive}"),
        Some(files) => {
            report.read(archive);
            let named = |part: &str| -> Vec<String> {
                files.iter().map(|(file, _)| file.clone()).filter(|file| file.contains(part)).collect()
            };
            let (mut spike, mut shock) = (f64::INFINITY, f64::INFINITY);
            for file in named("Twitter_volume_") {
                let volume = series(&files, &file);
                // A day of 288 steps around the largest spike, which comes at two thirds.
                let peak = (0..volume.len()).max_by(|a, b| volume[*a].total_cmp(&volume[*b])).unwrap_or(0);
                let from = peak.saturating_sub(192).min(volume.len().saturating_sub(288));
                let day =
                    over_mean(volume[from..(from + 288).min(volume.len())].iter().map(|v| v + 1.0).collect());
                let horizon = draw(n, &day, &[1.0], |_| 1.0, &mut dice);
                let shares = compare(&horizon, setting.seed);
                print(file.rsplit('/').next().unwrap_or(&file), shares);
                spike = spike.min(shares[4]);
            }
            for file in named("realAdExchange/") {
                let cost = over_mean(series(&files, &file));
                let horizon = draw(n, &[1.0], &cost, |_| 1.0, &mut dice);
                let shares = compare(&horizon, setting.seed);
                print(file.rsplit('/').next().unwrap_or(&file), shares);
                shock = shock.min(shares[4]);
            }
            report.figure("online_spike", spike);
            report.figure("online_shock", shock);
        }
    }
    let mut rising = f64::INFINITY;
    for (name, factor) in [("value rises to 2 times", 2.0), ("value rises to 4 times", 4.0)] {
        let horizon = draw(
            n,
            &[1.0],
            &[1.0],
            |at| (1.0 + (factor - 1.0) * at) / (1.0 + (factor - 1.0) / 2.0),
            &mut dice,
        );
        let shares = compare(&horizon, setting.seed);
        print(name, shares);
        rising = rising.min(shares[4]);
    }
    report.figure("online_rising", rising);
    report
}
