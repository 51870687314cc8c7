//! Who was blamed by whom. A blame is a stranger's word, so one owner shuts nobody out: its accuser only never meets the accused
//! again.

use crate::owners::OwnerId;
use core::time::Duration;
use peeredge_wire::{PeerId, Time};
use std::collections::BTreeMap;

/// Owners kept for one accused, each with one voice; more change nothing.
const VOICES_MAX: usize = 16;
/// Accusers kept of one owner; they never meet the accused again.
const ACCUSERS_MAX: usize = 8;

/// The blames that count now.
#[derive(Debug)]
pub(crate) struct Blames {
    accused: BTreeMap<PeerId, Vec<Voice>>,
    accused_max: usize,
    accusers_min: usize,
    lasts: Duration,
}

/// What one owner's peers say of one accused.
#[derive(Debug)]
struct Voice {
    owner: OwnerId,
    at: Time,
    accusers: Vec<PeerId>,
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
    pub(crate) fn blame(&mut self, now: Time, owner: OwnerId, accuser: PeerId, accused: PeerId) {
        if !self.accused.contains_key(&accused) && self.accused.len() >= self.accused_max {
            self.make_room(now);
        }
        let voices = self.accused.entry(accused).or_default();
        let is_full = voices.len() >= VOICES_MAX.max(self.accusers_min);
        match voices.iter_mut().find(|voice| voice.owner == owner) {
            Some(voice) => {
                voice.at = now;
                if !voice.accusers.contains(&accuser) {
                    if voice.accusers.len() == ACCUSERS_MAX {
                        voice.accusers.remove(0);
                    }
                    voice.accusers.push(accuser);
                }
            }
            None if is_full => {}
            None => voices.push(Voice { owner, at: now, accusers: vec![accuser] }),
        }
    }

    /// Whether this owner has blamed this peer already.
    pub(crate) fn has(&self, now: Time, owner: OwnerId, accused: &PeerId) -> bool {
        let voices = self.accused.get(accused);
        voices.is_some_and(|all| all.iter().any(|voice| voice.owner == owner && self.counts(now, voice.at)))
    }

    /// Whether nobody is blamed.
    pub(crate) fn is_empty(&self) -> bool {
        self.accused.is_empty()
    }

    /// Whether enough owners blame this peer.
    pub(crate) fn barred(&self, now: Time, peer: &PeerId) -> bool {
        self.accused.get(peer).is_some_and(|voices| {
            voices.iter().filter(|voice| self.counts(now, voice.at)).count() >= self.accusers_min
        })
    }

    /// Whether the two must not be introduced: one of them is barred, or has blamed the other.
    pub(crate) fn apart(&self, now: Time, a: &PeerId, b: &PeerId) -> bool {
        let blamed = |by: &PeerId, whom: &PeerId| {
            self.accused.get(whom).is_some_and(|voices| {
                voices.iter().any(|voice| self.counts(now, voice.at) && voice.accusers.contains(by))
            })
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
        self.accused.retain(|_, voices| {
            voices.retain(|voice| now.since(voice.at) < lasts);
            !voices.is_empty()
        });
        if self.accused.len() >= self.accused_max {
            let latest = |voices: &[Voice]| voices.iter().map(|voice| voice.at).max();
            let oldest = self.accused.iter().min_by_key(|(_, voices)| latest(voices)).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.accused.remove(&oldest);
            }
        }
    }
}
