//! Which introductions to try first, and how many at once, learned from which have opened.
//!
//! Whether two peers can open a connection depends on both ends (one behind a wall that lets nothing through opens with nobody), on
//! what kinds of address translation meet, and on the two networks. The chance is a logistic sum of one effect for each of these,
//! each with its own uncertainty, updated a report at a time (a diagonal Gaussian posterior, as in Graepel et al., ICML 2010). An
//! effect that is not known yet counts as its prior, so a stranger is judged by its network, and that by everybody.
//!
//! Candidates are ordered by the chance plus a share of its uncertainty, so that who is new gets tries (upper confidence bounds: Auer
//! et al., Machine Learning 47, 2002). And as many are tried at once as can be expected to give what is needed.

use std::collections::BTreeMap;

/// One end of an introduction, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Who: the same number at each meeting.
    pub peer: u64,
    /// Which network it is in, a number that the caller gives; 0 for unknown.
    pub network: u32,
    /// What kind of address translation it is behind, a number that the caller gives; 0 for unknown.
    pub kind: u8,
}

/// Effects kept in one generation; there are two, so at most 2 x 65,536 effects of about 60 bytes.
const EFFECTS_MAX: usize = 1 << 16;
/// How much of the uncertainty counts for who is tried first.
const CURIOSITY: f64 = 0.3;
/// An attempt with less chance than this is not worth a failure, which holds up a place for a quarter of a minute.
const CHANCE_MIN: f64 = 0.2;

/// How far failures lower the chance between two of whom nothing is known: a score, of which the chance is about 0.4. What a few say of
/// many must not leave out those of whom nobody said anything.
const ALL_SCORE_MIN: f64 = -0.5;

/// What an effect is of. Pairs are without order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    All,
    Peer(u64),
    Network(u32),
    Kinds(u8, u8),
    Networks(u32, u32),
}

impl Of {
    /// Precision before anything was seen: the inverse square of how large the effect is supposed to be.
    fn precision(self) -> f64 {
        match self {
            Of::All => 0.3,
            Of::Peer(_) => 0.4,
            Of::Network(_) => 2.0,
            Of::Kinds(..) => 0.4,
            Of::Networks(..) => 2.0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Effect {
    mean: f64,
    precision: f64,
}

/// What is known of who can open connections to whom.
#[derive(Clone, Debug, Default)]
pub struct Handshakes {
    fresh: BTreeMap<Of, Effect>,
    /// What the generation before knew: looked at, and forgotten when the next one is full.
    old: BTreeMap<Of, Effect>,
}

impl Handshakes {
    /// Knows nothing.
    pub fn new() -> Self {
        Handshakes::default()
    }

    /// `a` reported whether its connection to `b` opened.
    pub fn report(&mut self, a: End, b: End, opened: bool) {
        let (score, variance) = self.score(a, b);
        let chance = squash(score, variance);
        let surprise = if opened { 1.0 - chance } else { -chance };
        for of in effects(a, b).into_iter().flatten() {
            let Effect { mean, precision } = self.effect(of);
            let precision = precision + chance * (1.0 - chance);
            if self.fresh.len() >= EFFECTS_MAX && !self.fresh.contains_key(&of) {
                self.old = core::mem::take(&mut self.fresh);
            }
            let least = if of == Of::All { ALL_SCORE_MIN } else { f64::NEG_INFINITY };
            self.fresh.insert(of, Effect { mean: (mean + surprise / precision).max(least), precision });
        }
    }

    /// The chance that a connection between them opens.
    pub fn chance(&self, a: End, b: End) -> f64 {
        let (score, variance) = self.score(a, b);
        squash(score, variance)
    }

    /// Whether an attempt is worth its cost, even counting on luck.
    pub fn is_worth_trying(&self, a: End, b: End) -> bool {
        let (score, variance) = self.score(a, b);
        squash(score + CURIOSITY * libm::sqrt(variance), variance) >= CHANCE_MIN
    }

    /// Puts those first that `taker` should try first.
    pub fn order<T>(&self, taker: End, candidates: &mut Vec<T>, end: impl Fn(&T) -> End) {
        let mut ranked: Vec<(f64, T)> = candidates
            .drain(..)
            .map(|candidate| {
                let (score, variance) = self.score(taker, end(&candidate));
                (score + CURIOSITY * libm::sqrt(variance), candidate)
            })
            .collect();
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        candidates.extend(ranked.into_iter().map(|(_, candidate)| candidate));
    }

    /// How many of `candidates`, in this order, to try at once so that `needed` can be expected to open; all of them if that does not
    /// suffice.
    pub fn at_once(&self, taker: End, candidates: &[End], needed: f64) -> usize {
        let mut expected = 0.0;
        for (tried, candidate) in candidates.iter().enumerate() {
            if expected >= needed {
                return tried;
            }
            expected += self.chance(taker, *candidate);
        }
        candidates.len()
    }

    /// All three at once: orders, leaves out what is not worth trying, and keeps as many as can be expected to give `needed`.
    pub fn choose<T>(&self, taker: End, candidates: &mut Vec<T>, needed: f64, end: impl Fn(&T) -> End) {
        let mut ranked: Vec<(f64, f64, T)> = Vec::with_capacity(candidates.len());
        for candidate in candidates.drain(..) {
            let (score, variance) = self.score(taker, end(&candidate));
            let lucky = score + CURIOSITY * libm::sqrt(variance);
            if squash(lucky, variance) >= CHANCE_MIN {
                ranked.push((lucky, squash(score, variance), candidate));
            }
        }
        ranked.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let mut expected = 0.0;
        for (_, chance, candidate) in ranked {
            if expected >= needed {
                break;
            }
            expected += chance;
            candidates.push(candidate);
        }
    }

    fn effect(&self, of: Of) -> Effect {
        let known = self.fresh.get(&of).or_else(|| self.old.get(&of)).copied();
        known.unwrap_or(Effect { mean: 0.0, precision: of.precision() })
    }

    fn score(&self, a: End, b: End) -> (f64, f64) {
        effects(a, b).into_iter().flatten().fold((0.0, 0.0), |(score, variance), of| {
            let effect = self.effect(of);
            (score + effect.mean, variance + 1.0 / effect.precision)
        })
    }
}

/// Everything that has a part in it, if known.
fn effects(a: End, b: End) -> [Option<Of>; 7] {
    let network = |n: u32| (n != 0).then_some(Of::Network(n));
    let pair = |x: u32, y: u32| (x.min(y), x.max(y));
    let (near, far) = pair(a.network, b.network);
    let (low, high) = (a.kind.min(b.kind), a.kind.max(b.kind));
    [
        Some(Of::All),
        Some(Of::Peer(a.peer)),
        Some(Of::Peer(b.peer)),
        network(a.network),
        network(b.network),
        (near != 0).then_some(Of::Networks(near, far)),
        (low != 0).then_some(Of::Kinds(low, high)),
    ]
}

/// The mean of the logistic function under this uncertainty (MacKay, Neural Computation 4(5), 1992).
fn squash(score: f64, variance: f64) -> f64 {
    let scaled = score / libm::sqrt(1.0 + core::f64::consts::PI / 8.0 * variance);
    1.0 / (1.0 + libm::exp(-scaled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(peer: u64, network: u32, kind: u8) -> End {
        End { peer, network, kind }
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Handshakes::new().chance(end(1, 0, 0), end(2, 5, 1)), 0.5);
    }

    #[test]
    fn who_opens_with_nobody_comes_last_and_strangers_before() {
        let mut known = Handshakes::new();
        for other in 10..16 {
            known.report(end(other, 0, 0), end(1, 0, 0), false);
            known.report(end(other, 0, 0), end(2, 0, 0), true);
        }
        let mut candidates = vec![end(1, 0, 0), end(3, 0, 0), end(2, 0, 0)];
        known.order(end(20, 0, 0), &mut candidates, |c| *c);
        assert_eq!(candidates.iter().map(|c| c.peer).collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn two_kinds_that_never_meet_are_learned_though_each_meets_others() {
        let mut known = Handshakes::new();
        for n in 0..60 {
            known.report(end(100 + n, 0, 3), end(200 + n, 0, 3), false);
            known.report(end(300 + n, 0, 3), end(400 + n, 0, 1), true);
        }
        let chance = |kind| known.chance(end(1, 0, 3), end(2, 0, kind));
        assert!(chance(3) < 0.3 && chance(1) > 0.7, "{} {}", chance(3), chance(1));
    }

    #[test]
    fn who_says_that_everything_fails_is_believed_of_itself_rather_than_of_others() {
        let mut known = Handshakes::new();
        for n in 0..40 {
            known.report(end(50 + n, 0, 0), end(n % 8, 0, 0), true);
            known.report(end(666, 0, 0), end(n % 8, 0, 0), false);
        }
        assert!(known.chance(end(666, 0, 0), end(3, 0, 0)) < 0.2);
        assert!(known.chance(end(90, 0, 0), end(3, 0, 0)) > 0.6);
    }

    #[test]
    fn more_are_tried_at_once_where_less_opens() {
        let mut known = Handshakes::new();
        for n in 0..100 {
            known.report(end(1000 + n, 1, 0), end(2000 + n, 1, 0), true);
            known.report(end(3000 + n, 2, 0), end(4000 + n, 2, 0), false);
        }
        let many = |network| known.at_once(end(1, network, 0), &[end(2, network, 0); 8], 2.0);
        assert!(many(1) <= 3 && many(2) == 8, "{} {}", many(1), many(2));
    }

    #[test]
    fn choosing_is_ordering_leaving_out_and_counting() {
        let mut known = Handshakes::new();
        for n in 0..60 {
            known.report(end(100 + n, 0, 0), end(n % 6, 0, 0), n % 6 >= 3 || n % 3 == 2);
            known.report(end(100 + n, 0, 0), end(66, 0, 0), false);
        }
        let all: Vec<End> = (0..6).chain([66]).map(|peer| end(peer, 0, 0)).collect();
        let taker = end(900, 0, 0);
        for needed in [0.5, 2.0, 100.0] {
            let mut chosen = all.clone();
            known.choose(taker, &mut chosen, needed, |c| *c);
            let mut expected = all.clone();
            known.order(taker, &mut expected, |c| *c);
            expected.retain(|c| known.is_worth_trying(taker, *c));
            expected.truncate(known.at_once(taker, &expected, needed));
            assert_eq!(chosen, expected);
            assert!(!chosen.contains(&end(66, 0, 0)));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut known = Handshakes::new();
        for peer in 0..EFFECTS_MAX as u64 * 2 {
            known.report(end(peer, 0, 0), end(peer + 1, 0, 0), true);
        }
        assert!(known.fresh.len() <= EFFECTS_MAX && known.old.len() <= EFFECTS_MAX);
    }
}
