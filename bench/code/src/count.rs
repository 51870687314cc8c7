//! What is counted rather than timed: symbols summed, symbols set aside, failures over many random losses.

use peeredge_code::{Cost, Decoder, Geometry, Step};
use std::collections::BTreeMap;

/// The figures of the last line.
#[derive(Debug, Default)]
pub struct Figures {
    values: BTreeMap<&'static str, f64>,
    /// Parity over block, by K.
    pub memory_share: BTreeMap<usize, f64>,
}

impl Figures {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a figure that was measured.
    pub fn set(&mut self, key: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.values.insert(key, value);
        }
    }

    /// The last line.
    pub fn json(&self) -> String {
        let mut values = self.values.clone();
        if let Some(share) = self.memory_share.get(&4096) {
            values.insert("encoder_memory_share", *share);
        }
        let list: Vec<String> = values.iter().map(|(key, value)| format!("\"{key}\":{value:.4e}")).collect();
        format!("{{\"bench\":\"code\",\"figures\":{{{}}}}}", list.join(","))
    }
}

/// Slope of the line of least squares.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    if points.len() < 2 {
        return None;
    }
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let under: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    Some(over / under)
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Decodes zeros, since whether it can be done depends on ids alone: returns how many symbols it took beyond the missing
/// ones, and the cost. `apart`: what the receiver asks for is proposed in two goes that do not know of each other, so that
/// nothing is worked out beforehand.
pub fn trial(k: u32, missing_share: f64, seed: u64, apart: bool) -> (u32, Cost) {
    let geometry = Geometry::new(u64::from(k) * 64, 64).expect("in range");
    let mut decoder = Decoder::new(geometry);
    let zeros = [0u8; 64];
    let missing = ((f64::from(k) * missing_share).round() as u32).max(1);
    let mut order: Vec<u32> = (0..k).collect();
    for i in 0..missing as usize {
        let random = mix(seed.wrapping_mul(1 << 20).wrapping_add(i as u64));
        order.swap(i, i + (random % (k as u64 - i as u64)) as usize);
    }
    for &i in &order[missing as usize..] {
        decoder.add_source(i, &zeros).expect("in range");
    }
    let ids = if apart {
        let (some, others) = (missing / 2, missing - missing / 2);
        [decoder.propose(some, seed), decoder.propose(others, !seed)].concat()
    } else {
        decoder.propose(missing, seed)
    };
    for id in ids {
        decoder.add_coded(id, &zeros).expect("valid");
    }
    let mut given = 0;
    loop {
        match decoder.step(usize::MAX) {
            Step::Done => return (given, decoder.cost()),
            Step::Working => {}
            Step::NeedMore { .. } => {
                let id = decoder.propose(1, seed ^ 0xdead_beef_0000 ^ u64::from(given)).pop();
                let id = id.expect("something is missing");
                given += u32::from(decoder.add_coded(id, &zeros).expect("valid"));
            }
        }
    }
}

/// The interval that holds a rate with 95 %, when `failed` of `total` trials failed (Wilson 1927; with none, 3 / total is the
/// upper end).
fn interval(failed: u64, total: u64) -> (f64, f64) {
    let (n, z) = (total as f64, 1.96_f64);
    let p = failed as f64 / n;
    if failed == 0 {
        return (0.0, 3.0 / n);
    }
    let middle = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let over = 1.0 + z * z / n;
    ((middle - spread) / over, (middle + spread) / over)
}

/// Trials spread over sizes and shares missing: how often more than n symbols beyond the missing ones were needed. A tenth as
/// many are asked for apart.
pub fn count_failures(figures: &mut Figures, trials: u64) {
    println!("failures after n symbols beyond the missing ones");
    let sizes = [(16, 4), (64, 2), (80, 8), (128, 8), (256, 8), (512, 4), (1024, 2), (4096, 1)];
    let weight: u64 = sizes.iter().map(|s| s.1 * 3).sum();
    for (apart, trials) in [(false, trials), (true, trials / 10)] {
        let how = if apart { " apart" } else { "" };
        let mut all = [0u64; 4];
        // Rows of small blocks asked for apart may be the same ones, which says nothing of the code.
        for (k, parts) in sizes.into_iter().filter(|(k, _)| !apart || *k > 64) {
            for share in [0.1, 0.3, 1.0] {
                let n = (trials * parts).div_ceil(weight);
                let mut counts = [0u64; 4];
                for seed in 0..n {
                    let seed = 1 + seed + (u64::from(k) << 40);
                    counts[trial(k, share, seed, apart).0.min(3) as usize] += 1;
                }
                let [_, more, more2, more3] = counts;
                let (zero, one, two) = (more + more2 + more3, more2 + more3, more3);
                println!("K={k:5} missing {share:4}{how}: {n:8} trials, +0 {zero} +1 {one} +2 {two}");
                all.iter_mut().zip(counts).for_each(|(a, c)| *a += c);
            }
        }
        let total: u64 = all.iter().sum();
        for n in 0..3 {
            let failed = all[n + 1..].iter().sum::<u64>();
            let rate = failed as f64 / total as f64;
            let (low, high) = interval(failed, total);
            println!(
                "{total} trials{how}, +{n}: {failed} failed, {rate:.2e}, 95 % of {low:.2e} to {high:.2e}"
            );
            let keys = [["fail0", "fail1", "fail2"], ["fail0_apart", "fail1_apart", "fail2_apart"]];
            figures.set(keys[usize::from(apart)][n], Some(rate));
        }
        if !apart {
            figures.set("fail_trials", Some(total as f64));
        }
    }
}

/// Operations a source symbol for each K, and their exponent in K (the larger of the two kinds of decoding).
pub fn operations(figures: &mut Figures, sizes: &[usize]) {
    println!("symbol operations of decoding");
    let mut exponents: Vec<f64> = Vec::new();
    for share in [0.2, 1.0] {
        let mut points = Vec::new();
        for &k in sizes {
            let n = (16_384 / k).clamp(1, 16) as u64;
            let costs: Vec<Cost> = (1..=n).map(|seed| trial(k as u32, share, seed, false).1).collect();
            let mean = |f: &dyn Fn(&Cost) -> f64| costs.iter().map(f).sum::<f64>() / n as f64;
            let per_symbol = mean(&|c| c.operations as f64) / k as f64;
            let aside = mean(&|c| f64::from(c.set_aside));
            println!("K={k:6} missing {share:4}: {per_symbol:6.2} a source symbol, {aside:7.1} set aside");
            points.push(((k as f64).ln(), per_symbol.ln()));
        }
        exponents.extend(slope(&points));
    }
    figures.set("ops_exponent", exponents.into_iter().reduce(f64::max));
}
