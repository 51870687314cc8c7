//! Who could be introduced: holders drawn by chance, each with what it is worth to the receiver and what it would cost.

use super::introductions::{Ask, Matcher};
use super::market::NodeId;
use super::sellers::Terms;
use crate::registry::{Entry, Member, Registry};
use peeredge_wire::{ContentId, SplitMix64, Time};

/// Draws that are tried for one introduction before the swarm is walked instead.
const DRAWS: u32 = 4;
/// Entries looked at when draws found nobody.
pub(super) const WALK_MAX: usize = 32;

/// Somebody drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) member: Member,
    pub(super) owner: u32,
    pub(super) node: NodeId,
    pub(super) have_permille: u16,
    pub(super) load: u32,
    pub(super) terms: Terms,
    pub(super) worth: f32,
    /// What is left of the worth after cost and price.
    pub(super) net: f32,
}

impl Candidate {
    fn is_better(&self, than: &Candidate) -> bool {
        let rank = |c: &Candidate, other: &Candidate| c.net.max(1e-3) * (other.load as f32 + 1024.0);
        rank(self, than) > rank(than, self)
    }

    /// The same, worth so much more to this receiver than to any other.
    pub(super) fn suiting(self, factor: f32) -> Candidate {
        let worth = self.worth * factor;
        Candidate { worth, net: self.net + worth - self.worth, ..self }
    }
}

impl Matcher {
    /// For each introduction two holders, the better one first: by turns of those that hold the whole and of the others.
    pub(super) fn draw_pairs(
        &mut self,
        registry: &Registry,
        ask: Ask,
        wants: usize,
        known: &[Member],
        barred: &impl Fn(Member, Member) -> bool,
        suits: &impl Fn(Member) -> f32,
    ) -> Vec<(Candidate, Option<Candidate>)> {
        let Ask { now, member, content } = ask;
        let Some(swarm) = registry.swarm(content) else { return Vec::new() };
        let Some(own) = swarm.entry(member) else { return Vec::new() };
        let since = self.since(now);
        let mut pairs: Vec<(Candidate, Option<Candidate>)> = Vec::with_capacity(wants);
        let (whole, part) = swarm.entries.split_at(swarm.whole);
        let mut dice = self.dice.clone();
        // Whom the member's network knows already comes first.
        for other in known.iter().filter_map(|known| swarm.entry(*known)) {
            let holds = other.said.have_permille > 0 && !pairs.iter().any(|(a, _)| a.member == other.member);
            if pairs.len() < wants && holds && may_meet(own, other, since) && !barred(member, other.member) {
                pairs.extend(self.price_up(now, content, other).map(|c| (c.suiting(suits(c.member)), None)));
            }
        }
        for turn in pairs.len()..wants {
            let (first, second) = if turn % 2 == 0 { (whole, part) } else { (part, whole) };
            let fits = |entry: &Entry| {
                let is = |c: &Candidate| c.member == entry.member;
                !pairs.iter().any(|(a, b)| is(a) || b.as_ref().is_some_and(is))
                    && may_meet(own, entry, since)
                    && !barred(member, entry.member)
            };
            let mut drawn = draw(&mut dice, first, &fits);
            if drawn[0].is_none() {
                drawn = draw(&mut dice, second, &fits);
            }
            let [a, b] = drawn.map(|entry| {
                let candidate = self.price_up(now, content, entry?)?;
                Some(candidate.suiting(suits(candidate.member)))
            });
            pairs.extend(match (a, b) {
                (Some(a), Some(b)) if b.is_better(&a) => Some((b, Some(a))),
                (Some(a), b) => Some((a, b)),
                (None, b) => b.map(|b| (b, None)),
            });
            if drawn[0].is_none() {
                break;
            }
        }
        // Where one owner has more than its part of those drawn, or nobody was left among a few, one each of others is looked for.
        let part = self.part_of_one(wants);
        let crowd = |owner| pairs.iter().filter(|(a, _)| a.owner == owner).count() > part;
        if pairs.iter().any(|(a, _)| crowd(a.owner))
            || (pairs.len() < wants && swarm.entries.len() > WALK_MAX)
        {
            for entry in swarm.one_of_each_owner(dice.next_u64(), 2 * wants) {
                let is_drawn = pairs.iter().any(|(a, b)| {
                    a.member == entry.member || b.as_ref().is_some_and(|b| b.member == entry.member)
                });
                if !is_drawn && may_meet(own, entry, since) && !barred(member, entry.member) {
                    pairs.extend(
                        self.price_up(now, content, entry).map(|c| (c.suiting(suits(c.member)), None)),
                    );
                }
            }
        }
        self.dice = dice;
        pairs
    }

    /// An entry as somebody to be introduced; none when it costs the operator more than it is worth.
    fn price_up(&mut self, now: Time, content: ContentId, entry: &Entry) -> Option<Candidate> {
        let terms = self.at_first(entry.said.reserve);
        let node = self.sellers.node(&mut self.market, entry.member, terms);
        let (_, terms) = self.sellers.at(node)?;
        let candidate = self.candidate(now, content, entry, node, terms);
        (candidate.worth > terms.cost_per_gb && terms.places > 0).then_some(candidate)
    }

    pub(super) fn candidate(
        &self,
        now: Time,
        content: ContentId,
        entry: &Entry,
        node: NodeId,
        terms: Terms,
    ) -> Candidate {
        // A peer that holds nothing yet is worth something: it soon will, and then it is already connected.
        let share = (f32::from(entry.said.have_permille) + 200.0) / 1200.0;
        let worth = self.value(content) * share * terms.quality;
        Candidate {
            member: entry.member,
            owner: entry.owner,
            node,
            have_permille: entry.said.have_permille,
            load: entry.load.at(now),
            terms,
            worth,
            net: worth - terms.cost_per_gb - self.market.prices(node)[0],
        }
    }

    /// An operator's own peer, if it may and can be introduced.
    pub(super) fn reserve_for(
        &mut self,
        registry: &Registry,
        ask: Ask,
        barred: &impl Fn(Member, Member) -> bool,
    ) -> Option<Candidate> {
        let Ask { now, member, content } = ask;
        if self.closed.contains(&content) {
            return None;
        }
        let since = self.since(now);
        let swarm = registry.swarm(content)?;
        let of = swarm.reserve.iter().copied().find(|reserve| {
            *reserve != member && !barred(member, *reserve) && !swarm.met_since(member, *reserve, since)
        })?;
        self.price_up(now, content, swarm.entry(of)?)
    }
}

/// Whether the two were not told of each other since then, and the other one is no operator's.
fn may_meet(own: &Entry, other: &Entry, since: Time) -> bool {
    !other.said.reserve
        && other.member != own.member
        && !own.met_since(other.member, since)
        && !other.met_since(own.member, since)
}

/// Two fitting entries drawn by chance; of a few in a row, should the draws miss.
fn draw<'a>(
    dice: &mut SplitMix64,
    entries: &'a [Entry],
    fits: &impl Fn(&Entry) -> bool,
) -> [Option<&'a Entry>; 2] {
    let mut found = [None, None];
    if entries.is_empty() {
        return found;
    }
    let mut take = |entry: &'a Entry| {
        let [first, second] = &mut found;
        match first {
            None => *first = Some(entry),
            Some(other) if other.member != entry.member => *second = Some(entry),
            Some(_) => {}
        }
        second.is_some()
    };
    let at = |dice: &mut SplitMix64| (dice.next_u64() % entries.len() as u64) as usize;
    if entries.len() > WALK_MAX {
        for _ in 0..2 * DRAWS {
            let entry = &entries[at(dice)];
            if fits(entry) && take(entry) {
                return found;
            }
        }
    }
    let start = at(dice);
    for entry in entries[start..].iter().chain(&entries[..start]).take(WALK_MAX) {
        if fits(entry) && take(entry) {
            break;
        }
    }
    found
}
