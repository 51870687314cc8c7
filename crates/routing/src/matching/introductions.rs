//! Whom to introduce to whom.
//!
//! The rule here is simple on purpose: of two holders drawn by chance, the one that holds more and was introduced less of late (the
//! power of two choices: Mitzenmacher, IEEE TPDS 12(10), 2001, which keeps the most loaded holder close to the mean without looking at all
//! of them). Half of the introductions go to holders of the whole and half to fellow downloaders, so that downloaders
//! exchange among themselves. The operator's own peer comes last, and only while others hold few copies.

use crate::registry::{Entry, Member, Registry};
use peeredge_wire::SplitMix64;
use peeredge_wire::{ContentId, Time};

/// How the matcher behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchSettings {
    /// Two members are not introduced to each other again for one content within so many milliseconds: by then a
    /// handshake has succeeded or failed. Default 30,000.
    pub again_after_ms: u64,
    /// The operator's own peer is introduced while all others together hold fewer copies than this, in thousandths. Default 2000.
    pub reserve_below_permille: u64,
}

impl Default for MatchSettings {
    fn default() -> Self {
        MatchSettings { again_after_ms: 30_000, reserve_below_permille: 2000 }
    }
}

/// "Tell `to` that `of` holds this share: `to` makes the offer."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Who is told.
    pub to: Member,
    /// Of whom.
    pub of: Member,
    /// What `of` announced, in thousandths.
    pub have_permille: u16,
}

/// Draws that are tried for one introduction before the swarm is walked instead.
const DRAWS: u32 = 4;
/// Entries looked at when draws found nobody.
const WALK_MAX: usize = 32;

/// Chooses introductions; deterministic by its seed.
#[derive(Clone, Debug)]
pub struct Matcher {
    settings: MatchSettings,
    dice: SplitMix64,
}

impl Matcher {
    /// A matcher whose draws follow from `seed`.
    pub fn new(settings: MatchSettings, seed: u64) -> Self {
        Matcher { settings, dice: SplitMix64::new(seed) }
    }

    /// Up to `max` members that `member` should be told of. `barred` names pairs that must not meet.
    pub fn sources_for(
        &mut self,
        registry: &mut Registry,
        now: Time,
        member: Member,
        content: ContentId,
        max: usize,
        barred: impl Fn(Member, Member) -> bool,
    ) -> Vec<Introduction> {
        let wants = registry.said(member, content).map_or(0, |said| usize::from(said.wants)).min(max);
        let mut chosen = Vec::new();
        if wants > 0 {
            chosen.extend(self.reserve_for(registry, now, member, content, &barred));
        }
        for turn in chosen.len()..wants {
            let Some(swarm) = registry.swarm(content) else { break };
            let fits = |entry: &Entry| {
                !entry.said.reserve
                    && entry.member != member
                    && !barred(member, entry.member)
                    && !registry.met_since(member, entry.member, content, self.since(now))
            };
            let (whole, part) = swarm.entries.split_at(swarm.whole);
            let (first, second) = if turn % 2 == 0 { (whole, part) } else { (part, whole) };
            let mut dice = self.dice.clone();
            let found = draw(&mut dice, now, first, &fits).or_else(|| draw(&mut dice, now, second, &fits));
            self.dice = dice;
            let Some(found) = found else { break };
            let introduction =
                Introduction { to: member, of: found.member, have_permille: found.said.have_permille };
            registry.note(now, member, found.member, content);
            chosen.push(introduction);
        }
        chosen
    }

    /// Up to `max` waiting members that should be told that `member` now has something to give.
    pub fn takers_of(
        &mut self,
        registry: &mut Registry,
        now: Time,
        member: Member,
        content: ContentId,
        max: usize,
        barred: impl Fn(Member, Member) -> bool,
    ) -> Vec<Introduction> {
        let Some(said) = registry.said(member, content) else { return Vec::new() };
        let Some(swarm) = registry.swarm(content) else { return Vec::new() };
        if said.reserve && self.others_suffice(registry, content, member) {
            return Vec::new();
        }
        // From a place drawn by chance, so that nobody waits for ever behind others.
        let newest = swarm.waiting.last().map_or(0, |m| m.0);
        let start = Member(self.dice.next_u64() % newest.saturating_add(1));
        let chosen: Vec<Introduction> = swarm
            .waiting
            .range(start..)
            .chain(swarm.waiting.range(..start))
            .take(WALK_MAX)
            .filter(|taker| **taker != member && !barred(**taker, member))
            .filter(|taker| !registry.met_since(**taker, member, content, self.since(now)))
            .take(max)
            .map(|taker| Introduction { to: *taker, of: member, have_permille: said.have_permille })
            .collect();
        for introduction in &chosen {
            registry.note(now, introduction.to, introduction.of, content);
        }
        chosen
    }

    fn reserve_for(
        &mut self,
        registry: &mut Registry,
        now: Time,
        member: Member,
        content: ContentId,
        barred: &impl Fn(Member, Member) -> bool,
    ) -> Option<Introduction> {
        if self.others_suffice(registry, content, member) {
            return None;
        }
        let since = self.since(now);
        let of = registry.swarm(content)?.reserve.iter().copied().find(|reserve| {
            *reserve != member
                && !barred(member, *reserve)
                && !registry.met_since(member, *reserve, content, since)
        })?;
        let have_permille = registry.said(of, content)?.have_permille;
        registry.note(now, member, of, content);
        Some(Introduction { to: member, of, have_permille })
    }

    /// Whether all but the operator's own and `member` hold enough copies.
    fn others_suffice(&self, registry: &Registry, content: ContentId, member: Member) -> bool {
        let own =
            registry.said(member, content).filter(|said| !said.reserve).map_or(0, |said| said.have_permille);
        let all = registry.swarm(content).map_or(0, |swarm| swarm.shares_permille);
        all.saturating_sub(u64::from(own)) >= self.settings.reserve_below_permille
    }

    /// Introductions before this moment no longer count.
    fn since(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros().saturating_sub(self.settings.again_after_ms.saturating_mul(1000)))
    }
}

/// The better of two fitting entries drawn by chance; of a few more, should the draws miss.
fn draw<'a>(
    dice: &mut SplitMix64,
    now: Time,
    entries: &'a [Entry],
    fits: &impl Fn(&Entry) -> bool,
) -> Option<&'a Entry> {
    if entries.is_empty() {
        return None;
    }
    let at = |dice: &mut SplitMix64| (dice.next_u64() % entries.len() as u64) as usize;
    let mut best: Option<&Entry> = None;
    if entries.len() > WALK_MAX {
        let mut fitting = 0;
        for _ in 0..2 * DRAWS {
            let entry = &entries[at(dice)];
            if fits(entry) {
                best = best.filter(|b| !better(entry, b, now)).or(Some(entry));
                fitting += 1;
            }
            if fitting == 2 {
                return best;
            }
        }
    }
    if best.is_some() {
        return best;
    }
    let start = at(dice);
    let walk = entries[start..].iter().chain(&entries[..start]).take(WALK_MAX).filter(|e| fits(e));
    walk.fold(None, |best, entry| best.filter(|b| !better(entry, b, now)).or(Some(entry)))
}

/// Whether `a` is worth more than `b`: what it holds, over what was lately asked of it.
fn better(a: &Entry, b: &Entry, now: Time) -> bool {
    // A peer that holds nothing yet is worth something: it soon will, and then it is already connected.
    let worth = |e: &Entry| u64::from(e.said.have_permille) + 200;
    let cost = |e: &Entry| u64::from(e.load.at(now)) + 1024;
    worth(a) * cost(b) > worth(b) * cost(a)
}
