//! Who was blamed by whom. A blame is a stranger's word, so one accuser shuts nobody out: it only never meets the accused again.

use core::time::Duration;
use peeredge_wire::{PeerId, Time};
use std::collections::BTreeMap;

/// Accusers kept for one accused; more change nothing.
const ACCUSERS_MAX: usize = 16;

/// The blames that count now.
#[derive(Debug)]
pub(crate) struct Blames {
    accused: BTreeMap<PeerId, BTreeMap<PeerId, Time>>,
    accused_max: usize,
    accusers_min: usize,
    lasts: Duration,
}

impl Blames {
    pub(crate) fn new(accused_max: usize, accusers_min: usize, lasts: Duration) -> Self {
        Blames {
            accused: BTreeMap::new(),
            accused_max: accused_max.max(1),
            accusers_min: accusers_min.max(2),
            lasts,
        }
    }

    /// `accuser` blames `accused`; again counts as once, from now on.
    pub(crate) fn blame(&mut self, now: Time, accuser: PeerId, accused: PeerId) {
        if !self.accused.contains_key(&accused) && self.accused.len() >= self.accused_max {
            self.make_room(now);
        }
        let accusers = self.accused.entry(accused).or_default();
        if accusers.len() < ACCUSERS_MAX.max(self.accusers_min) || accusers.contains_key(&accuser) {
            accusers.insert(accuser, now);
        }
    }

    /// Whether nobody is blamed.
    pub(crate) fn is_empty(&self) -> bool {
        self.accused.is_empty()
    }

    /// Whether enough others blame this peer.
    pub(crate) fn barred(&self, now: Time, peer: &PeerId) -> bool {
        self.accused.get(peer).is_some_and(|accusers| {
            accusers.values().filter(|at| self.counts(now, **at)).count() >= self.accusers_min
        })
    }

    /// Whether the two must not be introduced: one of them is barred, or has blamed the other.
    pub(crate) fn apart(&self, now: Time, a: &PeerId, b: &PeerId) -> bool {
        let blamed = |by: &PeerId, whom: &PeerId| {
            self.accused
                .get(whom)
                .and_then(|accusers| accusers.get(by))
                .is_some_and(|at| self.counts(now, *at))
        };
        blamed(a, b) || blamed(b, a) || self.barred(now, a) || self.barred(now, b)
    }

    /// How many are barred now.
    pub(crate) fn barred_count(&self, now: Time) -> usize {
        self.accused.keys().filter(|peer| self.barred(now, peer)).count()
    }

    fn counts(&self, now: Time, at: Time) -> bool {
        now.since(at) < self.lasts
    }

    /// Drops what no longer counts; if that frees nothing, whoever was blamed least recently.
    fn make_room(&mut self, now: Time) {
        let lasts = self.lasts;
        self.accused.retain(|_, accusers| {
            accusers.retain(|_, at| now.since(*at) < lasts);
            !accusers.is_empty()
        });
        if self.accused.len() >= self.accused_max {
            let latest = |accusers: &BTreeMap<PeerId, Time>| accusers.values().max().copied();
            let oldest =
                self.accused.iter().min_by_key(|(_, accusers)| latest(accusers)).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.accused.remove(&oldest);
            }
        }
    }
}
