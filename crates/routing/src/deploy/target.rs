//! How much upload one content should have, and when.
//!
//! A replica that is ordered now is ready some slots later, so someone has to foresee. Several ways of foreseeing stand side by
//! side: the learned forecast ([`crate::forecast`]), and the most that was asked for during the last hour, day or week. Each is
//! played along in the shadow, with several headrooms, as if the content were its own: what it would have rented, filled and
//! missed. The one that cost least of late is followed. So when a forecast loses to simply reacting, reacting is what is done; that is the
//! safeguard, and there is no setting for it.
//!
//! Headroom is a quantile of each way's own errors: an upload byte rented costs 1, one missed costs `missed`, so the
//! right quantile is 1 - 1/`missed` when a slot stands alone (the newsvendor's rule: Arrow, Harris, Marschak, Econometrica 19,
//! 1951), and some multiples around it are tried because slots do not.

use crate::errors::Errors;
use crate::forecast::{Event, ForecastSettings, Forecaster};
use std::collections::VecDeque;

/// Multiples of the newsvendor's 1/`missed` that are tried.
const DOUBTS: [f64; 6] = [0.3, 0.6, 1.0, 1.8, 3.0, 5.5];
/// How far the follower lets the one it follows fall behind the best, before it changes.
const BEHIND: f64 = 1.02;

/// What shapes the targets of a content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetSettings {
    /// Slots of a day, and the like.
    pub short_slots: usize,
    /// Slots of a week, and the like.
    pub long_slots: usize,
    /// Slots between an order and the slot in which the replica serves: 1 when what is ordered now serves in the next slot.
    pub lead_slots: usize,
    /// Slots of rent that a fill costs beside those in which the replica serves.
    pub fill_slots: f64,
    /// What a byte that is not served in time costs, in rented bytes; above 1.
    pub missed: f64,
    /// Share of the upload that is still there a slot later, for nodes leave; above 0, and 1 where none do.
    pub stays: f64,
}

/// Upload in bytes a slot: what is ready, and what was ordered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capacity {
    /// Ready in the slot that just ended.
    pub ready: f64,
    /// Becomes ready in the next slot, the one after it, and so on: one less than the lead.
    pub coming: VecDeque<f64>,
}

/// What to do between two slots, in bytes a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Release what exceeds this in the next slot.
    pub keep: f64,
    /// Order this much more, to be ready after the lead.
    pub add: f64,
}

/// How a strategy foresees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Forecast,
    /// The most of the window of this index.
    Most(usize),
}

#[derive(Clone, Debug)]
struct Strategy {
    view: View,
    doubt: usize,
    capacity: Capacity,
    cost: f64,
}

/// The most that was asked for in the last so many slots, and how demand then differed from that.
#[derive(Clone, Debug)]
struct Window {
    slots: usize,
    now: f64,
    /// Logarithms of the most, for slots to come: by 1 and by the lead.
    open: VecDeque<f64>,
    /// Errors one slot later and a lead later.
    errors: [Errors; 2],
}

/// Decides for one content.
#[derive(Clone, Debug)]
pub struct Targets {
    settings: TargetSettings,
    forecaster: Forecaster,
    windows: Vec<Window>,
    recent: VecDeque<f64>,
    strategies: Vec<Strategy>,
    follows: usize,
    /// Quantiles of the next slots by lead and doubt, from the forecast.
    foreseen: Vec<[f64; DOUBTS.len()]>,
}

impl Targets {
    /// For a content that nobody has asked for yet.
    ///
    /// # Panics
    /// When the lead is 0, `missed` not above 1, `stays` not within 0 and 1, or [`Forecaster::new`] does not take the seasons.
    pub fn new(settings: TargetSettings) -> Self {
        assert!(
            settings.lead_slots > 0 && settings.missed > 1.0 && settings.stays > 0.0 && settings.stays <= 1.0
        );
        let forecaster = Forecaster::new(ForecastSettings {
            short_slots: settings.short_slots,
            long_slots: settings.long_slots,
            leads_max: settings.lead_slots,
        });
        let lead = settings.lead_slots;
        let (short, long) = (settings.short_slots, settings.long_slots);
        let mut slots = vec![1, 2, 4, 8, lead, 2 * lead, short / 4, short / 2, short, long];
        slots.retain(|slots| (1..=long).contains(slots));
        slots.sort_unstable();
        slots.dedup();
        let windows: Vec<Window> = slots
            .into_iter()
            .map(|slots| Window { slots, now: 0.0, open: VecDeque::new(), errors: Default::default() })
            .collect();
        let views = (0..windows.len()).map(View::Most).chain([View::Forecast]);
        let strategies: Vec<Strategy> = views
            .flat_map(|view| (0..DOUBTS.len()).map(move |doubt| (view, doubt)))
            .map(|(view, doubt)| Strategy { view, doubt, capacity: Capacity::none(lead), cost: 0.0 })
            .collect();
        Targets {
            settings,
            forecaster,
            windows,
            recent: VecDeque::new(),
            strategies,
            follows: 2,
            foreseen: vec![[0.0; DOUBTS.len()]; lead],
        }
    }

    /// Somebody announced an event for this content.
    pub fn announce(&mut self, event: Event) {
        self.forecaster.announce(event);
    }

    /// Whether the forecast is what is followed now.
    pub fn follows_forecast(&self) -> bool {
        self.strategies[self.follows].view == View::Forecast
    }

    /// A slot has ended in which so many bytes were asked for.
    pub fn observe(&mut self, demand: f64) {
        let demand = demand.max(0.0);
        let memory = 1.0 / self.settings.long_slots as f64;
        for strategy in &mut self.strategies {
            let missed = (demand - strategy.capacity.ready).max(0.0);
            let cost = strategy.capacity.ready + self.settings.missed * missed;
            strategy.cost += cost - memory * strategy.cost;
        }
        let best = self.strategies.iter().map(|s| s.cost).fold(f64::INFINITY, f64::min);
        if self.strategies[self.follows].cost > BEHIND * best {
            let place = self.strategies.iter().position(|s| s.cost == best);
            self.follows = place.expect("the least cost is one of them");
        }
        self.learn(demand);
        let fill_slots = self.settings.fill_slots;
        for at in 0..self.strategies.len() {
            let Decision { keep, add } = self.decide_as(at, &self.strategies[at].capacity);
            let strategy = &mut self.strategies[at];
            strategy.cost += fill_slots * add;
            strategy.capacity.step(keep, add);
            strategy.capacity.shrink(self.settings.stays);
        }
    }

    /// What to do now, for a content that has this capacity.
    pub fn decide(&self, capacity: &Capacity) -> Decision {
        self.decide_as(self.follows, capacity)
    }

    fn learn(&mut self, demand: f64) {
        self.forecaster.observe(demand);
        self.recent.push_back(demand);
        if self.recent.len() > self.settings.long_slots {
            self.recent.pop_front();
        }
        let lead = self.settings.lead_slots;
        let seen = libm::log(demand + 1.0);
        for window in &mut self.windows {
            if let Some(last) = window.open.back() {
                window.errors[0].push(seen - last);
            }
            if window.open.len() == lead {
                let then = window.open.pop_front().expect("a lead is at least 1");
                window.errors[1].push(seen - then);
            }
            let most = self.recent.iter().rev().take(window.slots).copied().fold(0.0, f64::max);
            window.now = most;
            window.open.push_back(libm::log(most + 1.0));
        }
        for (ahead, row) in self.foreseen.iter_mut().enumerate() {
            let forecast =
                self.forecaster.forecast(ahead + 1).expect("a slot was observed, and the lead is covered");
            for (doubt, cell) in row.iter_mut().enumerate() {
                *cell = forecast.quantile(share(self.settings.missed, doubt));
            }
        }
    }

    fn decide_as(&self, strategy: usize, capacity: &Capacity) -> Decision {
        let Strategy { view, doubt, .. } = self.strategies[strategy];
        let lead = self.settings.lead_slots;
        // What is ordered or kept now is less when it is needed: more is ordered and kept for it.
        let stays = self.settings.stays;
        let survives = (0..lead).fold(1.0, |share, _| share * stays);
        match view {
            View::Forecast => {
                let keep = self.foreseen[0][doubt] / stays;
                // What is left, when the lead has passed, of what is there and was ordered.
                let mut left = capacity.ready;
                for (ahead, row) in self.foreseen.iter().enumerate() {
                    let coming = capacity.coming.get(ahead).unwrap_or(&0.0);
                    left = ((left + coming) * stays).min(row[doubt]);
                }
                Decision { keep, add: (self.foreseen[lead - 1][doubt] - left).max(0.0) / survives }
            }
            View::Most(window) => {
                let Window { now, errors, .. } = &self.windows[window];
                let share = share(self.settings.missed, doubt);
                let [soon, late] = [&errors[0], &errors[1]]
                    .map(|e| ((now + 1.0) * libm::exp(e.quantile(share).min(20.0)) - 1.0).max(0.0));
                let there = capacity.ready + capacity.coming.iter().sum::<f64>();
                Decision { keep: soon.max(late) / stays, add: (late / survives - there).max(0.0) }
            }
        }
    }
}

/// The quantile for a doubt.
fn share(missed: f64, doubt: usize) -> f64 {
    1.0 - (DOUBTS[doubt] / missed).min(0.8)
}

impl Capacity {
    /// Some nodes have left.
    pub fn shrink(&mut self, stays: f64) {
        self.ready *= stays;
        self.coming.iter_mut().for_each(|coming| *coming *= stays);
    }

    /// Nothing yet, for orders that take `lead_slots`.
    pub fn none(lead_slots: usize) -> Self {
        Capacity { ready: 0.0, coming: VecDeque::from(vec![0.0; lead_slots.max(1) - 1]) }
    }

    /// The next slot begins: what was ordered for it comes, what exceeds `keep` goes, `add` is ordered.
    pub fn step(&mut self, keep: f64, add: f64) {
        self.coming.push_back(add);
        let comes = self.coming.pop_front().expect("one was just pushed");
        self.ready = (self.ready + comes).min(keep);
    }
}
