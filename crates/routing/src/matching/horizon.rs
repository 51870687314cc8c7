//! Budgets that must last: prices now, from what is likely still to come.
//!
//! Decisions here cannot be taken back, and what a node gives now it cannot give later. So demands that came are kept as a sample
//! of those to come, as many as time that is left promises, and the market of the sample against the budgets
//! that are left gives the prices (re-solving: Jasin and Kumar, Mathematics of OR 37(2), 2012). Between two solutions, a node's
//! price follows what is asked of it. If value rises or falls steadily, the sample does, too: a trend counts once it stands out of the
//! noise.

use super::market::{Demand, Market, MarketSettings, Node, NodeId};
use peeredge_wire::SplitMix64;

/// Bounds of a planner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizonSettings {
    /// Demands that are kept as a sample; each takes about 300 bytes. Default 4000.
    pub sample: usize,
    /// How often prices are found anew over the horizon. Default 200.
    pub plans: u32,
    /// Seed of the sample.
    pub seed: u64,
}

impl Default for HorizonSettings {
    fn default() -> Self {
        HorizonSettings { sample: 4000, plans: 200, seed: 1 }
    }
}

#[derive(Clone, Debug)]
struct Past {
    at: f64,
    value: f32,
    /// Node and what is lost of the value there.
    candidates: Vec<(u32, f32)>,
}

/// Plans the budgets of some nodes over a horizon from 0 to 1.
#[derive(Clone, Debug)]
pub struct Planner {
    settings: HorizonSettings,
    left: Vec<u32>,
    prices: Vec<f32>,
    /// Mean cost of each node so far.
    costs: Vec<f32>,
    sample: Vec<Past>,
    came: u64,
    planned: f64,
    dice: SplitMix64,
    trend: Trend,
}

impl Planner {
    /// Budgets in units of size, one a node.
    pub fn new(settings: HorizonSettings, budgets: &[u32]) -> Self {
        Planner {
            left: budgets.to_vec(),
            prices: vec![0.0; budgets.len()],
            costs: vec![0.0; budgets.len()],
            sample: Vec::new(),
            came: 0,
            planned: 0.0,
            dice: SplitMix64::new(settings.seed),
            trend: Trend::default(),
            settings,
        }
    }

    /// A demand of one unit comes at `now`, worth `value` less what is lost on the way to each candidate and what that node costs now.
    /// Gives the node that serves it, if any should.
    pub fn arrive(&mut self, now: f64, value: f32, candidates: &[(u32, f32)], costs: &[f32]) -> Option<u32> {
        let every = 1.0 / f64::from(self.settings.plans.max(1));
        let first = self.came == 64;
        if first || (self.came > 64 && now - self.planned >= every) {
            self.plan(now);
        }
        self.remember(now, value, candidates);
        for (node, _) in candidates {
            let mean = &mut self.costs[*node as usize];
            let weight = if *mean == 0.0 { 1.0 } else { 0.02 };
            *mean += (costs[*node as usize] - *mean) * weight;
        }
        let mut best = (0.0f32, None);
        for (node, lost) in candidates {
            let at = *node as usize;
            let net = value - lost - costs[at] - self.prices[at];
            if self.left[at] > 0 && net > best.0 {
                best = (net, Some(*node));
            }
        }
        if let (_, Some(node)) = best {
            self.left[node as usize] -= 1;
        }
        best.1
    }

    /// A node's price now.
    pub fn price(&self, node: u32) -> f32 {
        self.prices[node as usize]
    }

    fn remember(&mut self, now: f64, value: f32, candidates: &[(u32, f32)]) {
        self.came += 1;
        self.trend.add(now, value);
        let past = Past { at: now, value, candidates: candidates.to_vec() };
        if self.sample.len() < self.settings.sample {
            self.sample.push(past);
        } else {
            // Every demand so far has the same chance to be in the sample (Vitter's algorithm R, 1985).
            let at = self.dice.next_u64() % self.came;
            if let Some(place) = self.sample.get_mut(at as usize) {
                *place = past;
            }
        }
    }

    /// Prices at which the sample, made as large as what is still to come, uses the budgets that are left.
    fn plan(&mut self, now: f64) {
        self.planned = now;
        let to_come = self.came as f64 / now.max(1e-6) * (1.0 - now).max(0.0);
        if to_come < 1.0 {
            return;
        }
        let scale = self.sample.len() as f64 / to_come;
        let slope = self.trend.slope();
        let mut market = Market::new(MarketSettings::default());
        for left in &self.left {
            let part = f64::from(*left) * scale;
            // What does not come out even is drawn.
            let drawn = self.dice.unit();
            market.join(Node { capacity: [(part + drawn) as u32, 0], cost: 0.0, domain: 0 });
        }
        let mut candidates = Vec::new();
        for past in &self.sample {
            let drawn = self.dice.unit();
            let then = now + (1.0 - now) * drawn;
            let value = past.value * libm::exp(slope * (then - past.at)) as f32;
            candidates.clear();
            candidates.extend(
                past.candidates
                    .iter()
                    .map(|(node, lost)| (NodeId(*node), value - lost - self.costs[*node as usize])),
            );
            market.insert(&Demand { size: [1, 0], replicas: 1, move_cost: 0.0, candidates: &candidates });
        }
        market.level(1.0, 28);
        for (node, price) in self.prices.iter_mut().enumerate() {
            *price = if self.left[node] == 0 { f32::MAX } else { market.prices(NodeId(node as u32))[0] };
        }
    }
}

/// Does value rise or fall? A line through its logarithm.
#[derive(Clone, Copy, Debug, Default)]
struct Trend {
    n: f64,
    t: f64,
    y: f64,
    tt: f64,
    ty: f64,
    yy: f64,
}

impl Trend {
    fn add(&mut self, t: f64, value: f32) {
        let y = libm::log(f64::from(value.max(1e-9)));
        self.n += 1.0;
        self.t += t;
        self.y += y;
        self.tt += t * t;
        self.ty += t * y;
        self.yy += y * y;
    }

    /// Change of the logarithm over the whole horizon; 0 as long as chance alone could have made it.
    fn slope(&self) -> f64 {
        let n = self.n;
        if n < 32.0 {
            return 0.0;
        }
        let across = self.tt - self.t * self.t / n;
        let with = self.ty - self.t * self.y / n;
        let down = self.yy - self.y * self.y / n;
        if across <= 0.0 {
            return 0.0;
        }
        let slope = with / across;
        let error = libm::sqrt(((down - slope * with) / (n - 2.0)).max(0.0) / across);
        // What is twice the noise is half believed.
        let ratio = slope * slope / (error * error).max(1e-12);
        slope * ratio / (ratio + 4.0)
    }
}
