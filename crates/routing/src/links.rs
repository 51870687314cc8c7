//! How fast will this sender be for that receiver? Learned from links that have ended, for pairs that have never met.
//!
//! The logarithm of a link's rate is a sum of effects: of the sender, the receiver, the two of them together, and of what they belong to
//! (network, pair of networks, pair of regions). Each effect is drawn to zero by as much as few observations say little: best
//! linear unbiased prediction with effects drawn at random (Robinson, Statistical Science 6(1), 1991; Henderson's equations by Gauss-Seidel).
//! New links move the effects at once; every so often all are fitted again together, so that a sender is not blamed for its slow
//! receivers.
//!
//! Only +, -, *, / and `libm`'s logarithms: results are equal bit for bit in wasm and natively.

use std::collections::{BTreeMap, VecDeque};

/// Where an end of a link is, in numbers that the caller gives out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The peer.
    pub peer: u64,
    /// Its network, such as an internet service provider.
    pub network: u32,
    /// Its region, such as a country.
    pub region: u32,
    /// Its city.
    pub city: u32,
}

/// Bounds of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Ended links that are remembered, about 40 bytes each, and as much again for the effects. Default 50,000.
    pub links_max: usize,
    /// All effects are fitted again after so many links. Default 128.
    pub refit_every: usize,
}

impl Default for LinkSettings {
    fn default() -> Self {
        LinkSettings { links_max: 50_000, refit_every: 128 }
    }
}

/// Which ends of a link have been seen on others before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The sender.
    pub sender: bool,
    /// The receiver.
    pub receiver: bool,
    /// The two together.
    pub pair: bool,
}

const KINDS: usize = 8;
const SENDER: usize = 5;
/// The receiver's own effect is the same for all its senders.
const RECEIVER: usize = 6;
const PAIR: usize = 7;
/// Pairs of networks, regions, city and network, and peers.
const OF_BOTH: [usize; 4] = [1, 2, 4, PAIR];
/// Links that an effect of each kind must have before it is believed by half.
const BELIEF: [f32; KINDS] = [5.0, 10.0, 5.0, 5.0, 10.0, 1.5, 1.0, 0.5];
/// How much worse than expected a sender is taken to be that was never seen, times its belief.
const CAUTION: f32 = 0.2;
/// Passes over all links in one fit.
const PASSES: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Seen {
    log_rate: f32,
    effects: [u32; KINDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Effect {
    value: f32,
    links: u32,
}

/// What was learned of links.
#[derive(Clone, Debug, Default)]
pub struct LinkModel {
    settings: LinkSettings,
    mean: f32,
    seen: VecDeque<Seen>,
    names: BTreeMap<(u8, u64, u64), u32>,
    effects: Vec<Effect>,
    since_fit: usize,
}

impl LinkModel {
    /// A model that has seen nothing.
    pub fn new(settings: LinkSettings) -> Self {
        LinkModel { settings, ..LinkModel::default() }
    }

    /// Links remembered.
    pub fn links(&self) -> usize {
        self.seen.len()
    }

    /// A link has ended: it carried so many bytes a second on average. What is not positive and finite is not looked at.
    pub fn learn(&mut self, receiver: End, sender: End, bytes_per_s: f64) {
        if !(bytes_per_s.is_finite() && bytes_per_s > 0.0) {
            return;
        }
        let log_rate = libm::log(bytes_per_s) as f32;
        let effects = keys(receiver, sender).map(|key| {
            *self.names.entry(key).or_insert_with(|| {
                self.effects.push(Effect::default());
                self.effects.len() as u32 - 1
            })
        });
        self.mean += (log_rate - self.mean) / (self.seen.len() as f32 + 1.0);
        let known: f32 = effects.iter().map(|e| self.effects[*e as usize].value).sum();
        let mut rest = log_rate - self.mean - known;
        for (kind, at) in effects.iter().enumerate() {
            let effect = &mut self.effects[*at as usize];
            effect.links += 1;
            let step = rest / (effect.links as f32 + BELIEF[kind]);
            effect.value += step;
            rest -= step;
        }
        if self.seen.len() >= self.settings.links_max {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { log_rate, effects });
        self.since_fit += 1;
        if self.since_fit >= self.settings.refit_every {
            self.fit();
        }
    }

    /// The rate to be expected, in bytes a second. None before anything was learned.
    pub fn predict(&self, receiver: End, sender: End) -> Option<f64> {
        if self.seen.is_empty() {
            return None;
        }
        Some(libm::exp(f64::from(self.mean + self.sum(receiver, sender, true))))
    }

    /// A number by which senders for one receiver can be compared: the logarithm of the rate, but for what is common to all, and less the
    /// less is known of the sender: of two that promise the same the one that has shown it.
    pub fn rank(&self, receiver: End, sender: End) -> f32 {
        let own =
            self.names.get(&keys(receiver, sender)[SENDER]).map_or(0, |at| self.effects[*at as usize].links);
        self.sum(receiver, sender, false) - CAUTION / (own as f32 + BELIEF[SENDER])
    }

    /// How many times as fast the sender is expected to be for this receiver as for any other, by what is known of the two together
    /// and of their networks and regions.
    pub fn suits(&self, receiver: End, sender: End) -> f32 {
        let keys = keys(receiver, sender);
        libm::expf(OF_BOTH.into_iter().map(|kind| self.effect(keys[kind])).sum())
    }

    /// Which of the two have been seen.
    pub fn knows(&self, receiver: End, sender: End) -> Known {
        let keys = keys(receiver, sender);
        let has = |kind: usize| self.names.contains_key(&keys[kind]);
        Known { sender: has(SENDER), receiver: has(RECEIVER), pair: has(PAIR) }
    }

    fn sum(&self, receiver: End, sender: End, own: bool) -> f32 {
        let kinds = keys(receiver, sender).into_iter().enumerate();
        kinds.filter(|(kind, _)| own || *kind != RECEIVER).map(|(_, key)| self.effect(key)).sum()
    }

    fn effect(&self, key: (u8, u64, u64)) -> f32 {
        self.names.get(&key).map_or(0.0, |at| self.effects[*at as usize].value)
    }

    /// Fits all effects together to the links remembered, and forgets those that none of them has.
    fn fit(&mut self) {
        self.since_fit = 0;
        let count = self.seen.len() as f32;
        self.mean = self.seen.iter().map(|seen| seen.log_rate).sum::<f32>() / count;
        let known = |effects: &[Effect], seen: &Seen| {
            seen.effects.iter().map(|e| effects[*e as usize].value).sum::<f32>()
        };
        let mut rest: Vec<f32> =
            self.seen.iter().map(|seen| seen.log_rate - self.mean - known(&self.effects, seen)).collect();
        let mut sums: Vec<(f32, u32)> = vec![(0.0, 0); self.effects.len()];
        for pass in 0..PASSES * KINDS {
            let kind = pass % KINDS;
            for (seen, rest) in self.seen.iter().zip(&rest) {
                let at = seen.effects[kind] as usize;
                sums[at].0 += rest + self.effects[at].value;
                sums[at].1 += 1;
            }
            let before: Vec<f32> = self.effects.iter().map(|effect| effect.value).collect();
            for seen in &self.seen {
                let at = seen.effects[kind] as usize;
                let (sum, links) = core::mem::take(&mut sums[at]);
                if links > 0 {
                    self.effects[at] = Effect { value: sum / (links as f32 + BELIEF[kind]), links };
                }
            }
            for (seen, rest) in self.seen.iter().zip(&mut rest) {
                let at = seen.effects[kind] as usize;
                *rest += before[at] - self.effects[at].value;
            }
        }
        self.forget();
    }

    /// Drops names that no remembered link has, once they are the greater part.
    fn forget(&mut self) {
        if self.effects.len() < 2 * KINDS * self.settings.links_max {
            return;
        }
        let mut used = vec![u32::MAX; self.effects.len()];
        let mut kept = Vec::new();
        for seen in &mut self.seen {
            for at in &mut seen.effects {
                let place = &mut used[*at as usize];
                if *place == u32::MAX {
                    *place = kept.len() as u32;
                    kept.push(self.effects[*at as usize]);
                }
                *at = *place;
            }
        }
        self.effects = kept;
        self.names.retain(|_, at| {
            *at = used[*at as usize];
            *at != u32::MAX
        });
    }
}

fn keys(receiver: End, sender: End) -> [(u8, u64, u64); KINDS] {
    let pair = |a: u32, b: u32| (u64::from(a), u64::from(b));
    let (networks, regions) = (pair(receiver.network, sender.network), pair(receiver.region, sender.region));
    [
        (0, u64::from(sender.network), 0),
        (1, networks.0, networks.1),
        (2, regions.0, regions.1),
        (3, u64::from(sender.city), 0),
        (4, u64::from(receiver.city), u64::from(sender.network)),
        (5, sender.peer, 0),
        (6, receiver.peer, 0),
        (7, receiver.peer, sender.peer),
    ]
}
