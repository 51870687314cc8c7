//! How much of a content will be asked for, some slots from now.
//!
//! A slot is whatever time the caller counts demand in. Demand is looked at in the logarithmic domain, for it changes by factors.
//! For each lead there is one linear model over what a person would look at: the latest values, the same slot one day and one to
//! four weeks before, and where those stood when they were as far from today's value as the forecast is. Its weights are learned
//! slot by slot (a Kalman filter whose weights drift: Harvey, Forecasting, Structural Time Series Models, 1989, section 4.2.5), so level, trend and seasons
//! are not told apart by hand: whatever predicts the content gets the weight. A forecast never leaves the range of the single
//! predictors by more than a factor of 1.6, so a model that went astray does bounded harm.
//!
//! Announced events (a match, a premiere, a holiday) shift the demand by a factor that the announcer expects; how much such events
//! were over- or underestimated is learned by kind.
//!
//! The spread is learned by the hour of the week, for a rush hour is harder to foresee than a night; quantiles come from the
//! errors made of late, in units of that spread, so nothing is assumed about their shape but an exponential tail beyond them.
//!
//! Only +, -, *, / and `libm` are used: results are equal bit for bit in wasm and natively.

use crate::errors::Errors;
use std::collections::{BTreeMap, VecDeque};

/// No forecast exceeds this demand's logarithm.
const LN_MAX: f64 = 50.0;
/// Predictors in the model.
const FEATURES: usize = 14;
/// Long seasons that are looked back at.
const LONG_BACK: usize = 4;
/// By how much the weights' variance grows a slot, in units of the errors' variance: what was learned long ago is doubted.
const DRIFT: f64 = 1e-5;
/// Variance of the weights before anything was seen, in the same units.
const PRIOR_VARIANCE: f64 = 10.0;
/// A surprise beyond this (a factor of 2) teaches the weights no more than this.
const SURPRISE_MAX: f64 = 0.7;
/// How far (a factor of 1.6) a forecast may leave the range of the single predictors.
const ASTRAY_MAX: f64 = 0.47;
/// An error counts as no more than so many of the spread then expected.
const ERROR_MAX: f64 = 10.0;
/// Expected error before anything was seen.
const SPREAD_PRIOR: f64 = 0.5;
/// Smallest spread: a perfect run must not make the next error infinite.
const SPREAD_MIN: f64 = 0.01;
/// Expected error of an announced event's factor before one was seen.
const EVENT_SPREAD_PRIOR: f64 = 0.3;

/// What shapes a forecaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForecastSettings {
    /// Slots of the short season, such as a day; at least 1.
    pub short_slots: usize,
    /// Slots of the long season, such as a week; at least `short_slots`. The history kept is 4 of them and a bit, 8 bytes a slot.
    pub long_slots: usize,
    /// Farthest lead, in slots; at least 1. Each costs 2 KiB and about 1 us a slot.
    pub leads_max: usize,
}

/// Demand that somebody announced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// First slot, counted from the first that was observed.
    pub from_slot: u64,
    /// Slots that it lasts.
    pub slots: u64,
    /// What kind of event: what was learned of one is used for the next of its kind.
    pub kind: u32,
    /// By what factor demand will differ from an ordinary slot; above 0.
    pub factor: f64,
}

/// A forecast for one slot.
#[derive(Clone, Copy, Debug)]
pub struct Forecast<'a> {
    ln_median: f64,
    spread: f64,
    errors: &'a Errors,
}

impl Forecast<'_> {
    /// The demand that is as likely to be exceeded as not.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The demand that is not exceeded with this probability, between 0 and 1.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = self.ln_median + self.spread * self.errors.quantile(share);
        (libm::exp(at.min(LN_MAX)) - 1.0).max(0.0)
    }
}

/// Learns one content's demand.
#[derive(Clone, Debug)]
pub struct Forecaster {
    settings: ForecastSettings,
    /// Logarithms of demand + 1, without the events' effects, the latest last.
    past: VecDeque<f64>,
    /// Slots observed.
    slots: u64,
    leads: Vec<Lead>,
    events: Vec<Event>,
    kinds: BTreeMap<u32, Kind>,
}

/// The model of one lead.
#[derive(Clone, Debug)]
struct Lead {
    weights: [f64; FEATURES],
    variance: Box<[[f64; FEATURES]; FEATURES]>,
    /// Forecasts whose slot has not come: predictors, prediction without events, the spread then expected.
    open: VecDeque<Open>,
    errors: Errors,
    /// Mean absolute error of late, and by slot of the long season.
    spread: f64,
    spread_at: Vec<f32>,
}

#[derive(Clone, Debug)]
struct Open {
    features: [f64; FEATURES],
    predicted: f64,
    spread: f64,
}

/// What was learned of one kind of event.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// Logarithm by which announced factors were too small.
    off: f64,
    spread: f64,
    seen: f64,
}

impl Forecaster {
    /// One that has seen nothing.
    ///
    /// # Panics
    /// When a season or the farthest lead is 0, or the long season is shorter than the short one.
    pub fn new(settings: ForecastSettings) -> Self {
        assert!(
            settings.short_slots > 0 && settings.long_slots >= settings.short_slots && settings.leads_max > 0
        );
        let lead = |_| Lead::new(settings.long_slots);
        Forecaster {
            settings,
            past: VecDeque::new(),
            slots: 0,
            leads: (0..settings.leads_max).map(lead).collect(),
            events: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    /// Slots observed so far: the number of the slot that comes next.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Somebody announced an event. One that lies in the past, or that has no sensible factor, changes nothing.
    pub fn announce(&mut self, event: Event) {
        let ends = event.from_slot.saturating_add(event.slots);
        if ends > self.slots && event.factor.is_finite() && event.factor > 0.0 {
            self.events.push(event);
        }
    }

    /// The demand of the slot that has just ended, at least 0.
    pub fn observe(&mut self, demand: f64) {
        let slot = self.slots;
        let seen = libm::log(demand.max(0.0) + 1.0);
        let effect = self.effect(slot);
        let plain = seen - effect.0;
        let at = (slot % self.settings.long_slots as u64) as usize;
        let mut ordinary = None;
        for (ahead, lead) in self.leads.iter_mut().enumerate() {
            // The one made `ahead + 1` slots ago is for this slot.
            if lead.open.len() > ahead {
                let open = lead.open.pop_front().expect("it is longer than that");
                ordinary.get_or_insert(open.predicted);
                // Before a long season has passed, its predictors mean something else, which must not be learned.
                let whole = slot > (self.settings.long_slots + 2 * ahead) as u64;
                if effect.1 == 0.0 {
                    lead.learn(&open, plain, at, whole);
                }
            }
        }
        if let (Some(predicted), true) = (ordinary, effect.1 > 0.0) {
            self.learn_event(slot, seen - effect.0 - predicted);
        }
        self.events.retain(|event| event.from_slot.saturating_add(event.slots) > slot + 1);
        if self.past.len() > LONG_BACK * self.settings.long_slots + 1 {
            self.past.pop_front();
        }
        // What an event did must not be expected a week later.
        self.past.push_back(if effect.1 > 0.0 { ordinary.unwrap_or(plain) } else { plain });
        self.slots += 1;
        for ahead in 1..=self.settings.leads_max {
            let features = self.features(ahead);
            let lead = &self.leads[ahead - 1];
            let predicted = lead.predict(&features);
            let spread = lead.expected_spread(
                ((self.slots - 1 + ahead as u64) % self.settings.long_slots as u64) as usize,
            );
            self.leads[ahead - 1].open.push_back(Open { features, predicted, spread });
        }
    }

    /// The demand to be expected in the slot `ahead` from the last one observed: 1 is the one that has begun. `None` before the
    /// first observation, and beyond the farthest lead.
    pub fn forecast(&self, ahead: usize) -> Option<Forecast<'_>> {
        let lead = self.leads.get(ahead.checked_sub(1)?)?;
        let open = lead.open.back()?;
        let (shift, doubt) = self.effect(self.slots - 1 + ahead as u64);
        Some(Forecast {
            ln_median: open.predicted + shift,
            spread: libm::sqrt(open.spread * open.spread + doubt * doubt),
            errors: &lead.errors,
        })
    }

    /// By how much events shift this slot's logarithm, and their spread; 0 when there is none.
    fn effect(&self, slot: u64) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for event in &self.events {
            if event.from_slot <= slot && slot - event.from_slot < event.slots {
                let kind = self.kinds.get(&event.kind);
                sum.0 += libm::log(event.factor) + kind.map_or(0.0, |kind| kind.off);
                sum.1 += kind.map_or(EVENT_SPREAD_PRIOR, |kind| kind.spread);
            }
        }
        sum
    }

    fn learn_event(&mut self, slot: u64, off: f64) {
        for event in &self.events {
            if event.from_slot <= slot && slot - event.from_slot < event.slots {
                let kind = self.kinds.entry(event.kind).or_insert(Kind {
                    off: 0.0,
                    spread: EVENT_SPREAD_PRIOR,
                    seen: 0.0,
                });
                // The first few slots count as the mean of them, later ones fade.
                kind.seen = (kind.seen + 1.0).min(24.0);
                kind.off += off / (kind.seen + 1.0);
                kind.spread += (off.abs() - kind.spread) / (kind.seen + 2.0);
            }
        }
    }

    /// What the model looks at for the slot `ahead` from the last one.
    fn features(&self, ahead: usize) -> [f64; FEATURES] {
        let last = self.past.len() - 1;
        let now = self.past[last];
        let back = |slots: usize| last.checked_sub(slots).map(|at| self.past[at]);
        // The value a season before the target, and the one a season before now; as long as there is none, the next shorter season's.
        let season = |slots: usize| Some((self.past[(last + ahead).checked_sub(slots)?], back(slots)?));
        let (short, long) = (self.settings.short_slots, self.settings.long_slots);
        // Seasons shorter than the lead are looked back at as often as it takes.
        let at_least = |slots: usize| slots * ahead.div_ceil(slots);
        let mut known = season(at_least(short)).unwrap_or((now, now));
        let mut features = [0.0; FEATURES];
        features[..4].copy_from_slice(&[1.0, now, back(1).unwrap_or(now), back(2).unwrap_or(now)]);
        features[4..6].copy_from_slice(&[known.0, known.1]);
        for times in 1..=LONG_BACK {
            known = season(times * at_least(long)).unwrap_or(known);
            features[4 + 2 * times..6 + 2 * times].copy_from_slice(&[known.0, known.1]);
        }
        features
    }
}

impl Lead {
    fn new(long_slots: usize) -> Self {
        let mut weights = [0.0; FEATURES];
        // Before it has learned: last week's value, moved by half of how today differs from last week.
        (weights[1], weights[6], weights[7]) = (0.6, 1.0, -0.6);
        let mut variance = Box::new([[0.0; FEATURES]; FEATURES]);
        for (at, row) in variance.iter_mut().enumerate() {
            row[at] = PRIOR_VARIANCE;
        }
        Lead {
            weights,
            variance,
            open: VecDeque::new(),
            errors: Errors::default(),
            spread: SPREAD_PRIOR,
            spread_at: vec![SPREAD_PRIOR as f32; long_slots],
        }
    }

    fn predict(&self, features: &[f64; FEATURES]) -> f64 {
        let sum: f64 = self.weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum();
        let single = [1, 4, 6, 8, 10, 12].map(|at| features[at]);
        let low = single.iter().copied().fold(f64::INFINITY, f64::min);
        let high = single.iter().copied().fold(0.0, f64::max);
        sum.clamp(low - ASTRAY_MAX, high + ASTRAY_MAX).max(0.0)
    }

    fn expected_spread(&self, at: usize) -> f64 {
        let count = self.spread_at.len();
        let near = [at + count - 1, at, at + 1].map(|at| f64::from(self.spread_at[at % count]));
        let near = near.iter().sum::<f64>() / 3.0;
        libm::sqrt(0.75 * near * near + 0.25 * self.spread * self.spread).max(SPREAD_MIN)
    }

    /// Takes what became of a forecast; `weigh` says whether the weights learn from it, too.
    fn learn(&mut self, open: &Open, seen: f64, at: usize, weigh: bool) {
        let off = seen - open.predicted;
        if weigh {
            self.weigh(open, off);
        }
        self.spread += 0.03 * (off.abs() - self.spread);
        self.spread_at[at] += 0.2 * (off.abs() as f32 - self.spread_at[at]);
        let error = (off / open.spread).clamp(-ERROR_MAX, ERROR_MAX);
        self.errors.push(error);
    }
    /// One step of the filter.
    fn weigh(&mut self, open: &Open, off: f64) {
        let x = &open.features;
        let mut gain = [0.0; FEATURES];
        for (row, gain) in self.variance.iter().zip(&mut gain) {
            *gain = row.iter().zip(x).map(|(v, x)| v * x).sum();
        }
        let norm = 1.0 + gain.iter().zip(x).map(|(g, x)| g * x).sum::<f64>();
        let step = off.clamp(-SURPRISE_MAX, SURPRISE_MAX) / norm;
        for (weight, gain) in self.weights.iter_mut().zip(&gain) {
            *weight += step * gain;
        }
        for i in 0..FEATURES {
            // Half of it, mirrored: rounding must not make the matrix lopsided.
            for j in 0..=i {
                let value = self.variance[i][j] - gain[i] * gain[j] / norm;
                (self.variance[i][j], self.variance[j][i]) = (value, value);
            }
            // Where nothing varies this grows: slowly, and to no more than was doubted at first.
            self.variance[i][i] = (self.variance[i][i] + DRIFT).clamp(DRIFT, PRIOR_VARIANCE);
        }
    }
}
