//! What publishers pay for, and what the relay's own bytes may cost for them.
//!
//! A budget for a day comes in evenly, and a quarter of it can be saved for bursts. While nothing is left, the relay's own peer is
//! introduced to nobody for these contents; who is connected to it already goes on. What it sent is what it says itself: receivers
//! are strangers.

use peeredge_wire::{ContentId, Time};
use std::collections::BTreeMap;

const DAY_S: f64 = 86_400.0;
/// Share of a day's budget that can be saved.
const SAVED: f64 = 0.25;

/// A publisher, as the operator set it.
#[derive(Clone, Debug, PartialEq)]
pub struct Publisher {
    /// For metrics.
    pub name: String,
    /// What a GB of its contents is worth, in the currency of all values.
    pub value_per_gb: f32,
    /// What the relay's own peer may cost for them in a day; no bound without.
    pub budget_per_day: Option<f32>,
    /// Its contents.
    pub contents: Vec<ContentId>,
}

/// What has been spent for a publisher.
#[derive(Clone, Debug, PartialEq)]
pub struct PurseStats {
    /// As set.
    pub name: String,
    /// Cost of the relay's own bytes since the start.
    pub spent: f64,
    /// Whether the relay's own peer may be introduced.
    pub open: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Purses {
    all: Vec<Purse>,
    of: BTreeMap<ContentId, usize>,
}

#[derive(Debug)]
struct Purse {
    name: String,
    budget_per_day: Option<f64>,
    left: f64,
    at: Time,
    spent: f64,
}

impl Purses {
    pub(crate) fn new(publishers: &[Publisher]) -> Self {
        let mut purses = Purses::default();
        for publisher in publishers {
            let budget_per_day = publisher.budget_per_day.map(f64::from);
            purses.of.extend(publisher.contents.iter().map(|content| (*content, purses.all.len())));
            purses.all.push(Purse {
                name: publisher.name.clone(),
                budget_per_day,
                left: budget_per_day.unwrap_or_default() * SAVED,
                at: Time::ZERO,
                spent: 0.0,
            });
        }
        purses
    }

    /// Whether the relay's own peer may be introduced for this content; none when no publisher owns it.
    pub(crate) fn is_open(&mut self, now: Time, content: &ContentId) -> Option<bool> {
        let purse = &mut self.all[*self.of.get(content)?];
        purse.turn(now);
        Some(purse.is_open())
    }

    /// The relay's own peer sent something.
    pub(crate) fn spend(&mut self, now: Time, content: &ContentId, cost: f64) {
        if let Some(at) = self.of.get(content) {
            let purse = &mut self.all[*at];
            purse.turn(now);
            purse.left -= cost;
            purse.spent += cost;
        }
    }

    pub(crate) fn stats(&self) -> Vec<PurseStats> {
        let stats = |purse: &Purse| PurseStats {
            name: purse.name.clone(),
            spent: purse.spent,
            open: purse.is_open(),
        };
        self.all.iter().map(stats).collect()
    }
}

impl Purse {
    fn turn(&mut self, now: Time) {
        if let Some(budget) = self.budget_per_day {
            let gained = now.since(self.at).as_secs_f64() / DAY_S * budget;
            self.left = (self.left + gained).min(budget * SAVED);
        }
        self.at = now;
    }

    fn is_open(&self) -> bool {
        self.budget_per_day.is_none() || self.left > 0.0
    }
}
