//! One content on as many nodes as are rented: capacity is a number.

use super::Demand;
use peeredge_routing::deploy::{Capacity, Decision, TargetSettings, Targets};

/// What a placement came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub served: f64,
    pub asked: f64,
    pub rented: f64,
    pub filled: f64,
    pub forecast_share: f64,
}

impl Outcome {
    pub fn u(&self) -> f64 {
        self.served / self.rented.max(1e-9)
    }
    /// What it cost when a missed byte costs as much as `missed` rented ones.
    pub fn cost(&self, missed: f64) -> f64 {
        self.rented + missed * (self.asked - self.served)
    }
    pub fn service(&self) -> f64 {
        self.served / self.asked
    }
}

/// Plays decisions over a demand. `decide` is given the slot that has just ended.
pub fn play(
    demand: &Demand,
    lead: usize,
    fill_slots: f64,
    mut decide: impl FnMut(usize, &Capacity) -> Decision,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut capacity = Capacity::none(lead);
    for (slot, asked) in demand.slots.iter().enumerate() {
        let counts = slot >= demand.from;
        if counts {
            outcome.served += asked.min(capacity.ready);
            outcome.asked += asked;
            outcome.rented += capacity.ready;
        }
        let Decision { keep, add } = decide(slot, &capacity);
        if counts {
            outcome.rented += fill_slots * add;
            outcome.filled += fill_slots * add;
        }
        capacity.step(keep, add);
    }
    outcome
}

/// The smallest knob with 99 % served, between `low` and `high`; its outcome.
pub fn at_service(low: f64, high: f64, halvings: u32, run: impl Fn(f64) -> Outcome) -> (f64, Outcome) {
    let (mut low, mut high) = (low, high);
    let mut best = (high, run(high));
    for _ in 0..halvings {
        let middle = (low * high).sqrt();
        let outcome = run(middle);
        if outcome.service() < 0.99 {
            low = middle;
        } else {
            high = middle;
            if best.1.service() < 0.99 || outcome.u() > best.1.u() {
                best = (middle, outcome);
            }
        }
    }
    best
}

pub fn reactive(demand: &Demand, lead: usize, fill: f64, hold: usize, headroom: f64) -> Outcome {
    play(demand, lead, fill, |slot, capacity| {
        let most = demand.slots[(slot + 1).saturating_sub(hold)..=slot].iter().copied().fold(0.0, f64::max);
        let target = headroom * most;
        let there = capacity.ready + capacity.coming.iter().sum::<f64>();
        Decision { keep: target, add: (target - there).max(0.0) }
    })
}

pub fn fixed(demand: &Demand, level: f64) -> Outcome {
    play(demand, 1, 0.0, |_, capacity| Decision { keep: level, add: (level - capacity.ready).max(0.0) })
}

pub fn ours(demand: &Demand, lead: usize, fill: f64, missed: f64) -> Outcome {
    let settings = TargetSettings {
        short_slots: demand.day_slots,
        long_slots: demand.week_slots,
        lead_slots: lead,
        fill_slots: fill,
        missed,
        stays: 1.0,
    };
    let mut targets = Targets::new(settings);
    let (mut followed, mut count) = (0.0, 0.0);
    let outcome = play(demand, lead, fill, |slot, capacity| {
        targets.observe(demand.slots[slot]);
        if slot >= demand.from {
            followed += f64::from(u8::from(targets.follows_forecast()));
            count += 1.0;
        }
        targets.decide(capacity)
    });
    Outcome { forecast_share: followed / count, ..outcome }
}

/// Knows everything: every level of capacity is rented for the intervals in which it is used best, until 99 % are served.
pub fn oracle(demand: &Demand, fill: f64) -> Outcome {
    let asked = &demand.slots[demand.from..];
    let most = asked.iter().copied().fold(0.0, f64::max);
    let levels = 400;
    let height = most / levels as f64;
    let mut intervals: Vec<(f64, f64)> = Vec::new();
    for level in 0..levels {
        let (mut used, mut rent, mut gap) = (0.0, 0.0, 0.0);
        for value in asked {
            let here = (value - level as f64 * height).clamp(0.0, height);
            if here > 0.0 {
                if rent > 0.0 && gap > fill {
                    intervals.push((used, rent + fill * height));
                    (used, rent, gap) = (0.0, 0.0, 0.0);
                }
                if rent > 0.0 {
                    rent += gap * height;
                }
                (used, rent, gap) = (used + here, rent + height, 0.0);
            } else {
                gap += 1.0;
            }
        }
        if rent > 0.0 {
            intervals.push((used, rent + fill * height));
        }
    }
    intervals.sort_by(|a, b| (b.0 / b.1).total_cmp(&(a.0 / a.1)));
    let total = asked.iter().sum::<f64>();
    let mut outcome = Outcome { asked: total, ..Outcome::default() };
    for (used, rent) in intervals {
        if outcome.served >= 0.99 * total {
            break;
        }
        outcome.served += used;
        outcome.rented += rent;
        outcome.filled += fill * height;
    }
    outcome
}

/// What a missed byte costs where no service level is asked for.
pub const PRICE: f64 = 8.0;

fn holds(demand: &Demand, lead: usize) -> impl Iterator<Item = usize> {
    let day = demand.day_slots;
    let all = [1, 2, 4, 8, day / 4, day / 2, day * 3 / 4, day - lead.min(day - 1), day, 2 * day, 7 * day];
    all.into_iter().filter(|hold| *hold > 0)
}

/// One demand at one lead.
pub struct Row {
    pub fixed: Outcome,
    pub reactive: Outcome,
    /// Slots that the best reaction holds, and its headroom.
    pub reacts_by: (usize, f64),
    pub ours: Outcome,
    pub oracle: Outcome,
    /// Our cost over that of the cheapest reactive or fixed placement in hindsight, less 1, at [`PRICE`].
    pub regret: f64,
}

impl Row {
    pub fn base(&self) -> f64 {
        let counts = |outcome: &Outcome| if outcome.service() >= 0.99 { outcome.u() } else { 0.0 };
        counts(&self.fixed).max(counts(&self.reactive))
    }
    pub fn gain(&self) -> f64 {
        self.ours.u() / self.base() - 1.0
    }
    pub fn capture(&self) -> f64 {
        (self.ours.u() - self.base()) / (self.oracle.u() - self.base())
    }
}

/// Every knob but ours is tuned in hindsight on the very slots that count. All are held to 99 % served, and to fills of at most
/// a tenth of what is served.
pub fn row(demand: &Demand, lead: usize, fill: f64) -> Row {
    let most = demand.slots.iter().copied().fold(0.0, f64::max);
    let (_, fixed) = at_service(most / 1000.0, most, 14, |level| self::fixed(demand, level));
    let mut reactive: Option<(usize, f64, Outcome)> = None;
    let mut cheapest = f64::INFINITY;
    for hold in holds(demand, lead) {
        let (headroom, outcome) =
            at_service(0.5, 30.0, 14, |headroom| self::reactive(demand, lead, fill, hold, headroom));
        let allowed = outcome.service() >= 0.99 && outcome.filled <= 0.1 * outcome.served;
        if allowed && reactive.is_none_or(|(_, _, best)| outcome.u() > best.u()) {
            reactive = Some((hold, headroom, outcome));
        }
        for step in 0..60 {
            let outcome = self::reactive(demand, lead, fill, hold, 0.3 * 1.08f64.powi(step));
            cheapest = cheapest.min(outcome.cost(PRICE));
        }
    }
    for step in 0..60 {
        cheapest = cheapest.min(self::fixed(demand, most * 0.9f64.powi(step)).cost(PRICE));
    }
    let (hold, headroom, reactive) = reactive.unwrap_or_default();
    let (_, ours) = at_service(1.05, 200.0, 14, |missed| self::ours(demand, lead, fill, missed));
    let regret = self::ours(demand, lead, fill, PRICE).cost(PRICE) / cheapest - 1.0;
    Row { fixed, reactive, reacts_by: (hold, headroom), ours, oracle: oracle(demand, fill), regret }
}
