//! Whom to introduce to whom.
//!
//! Every want is a demand of a [`Market`], every member a node of it: the market gives each receiver a few places with the members that are
//! worth most to it and cost the operator least, and its prices say what a place there is worth to others. Further introductions are of
//! two holders drawn by chance the one that leaves more after cost and price, and was introduced less of late (the power of two
//! choices: Mitzenmacher, IEEE TPDS 12(10), 2001). Half are holders of the whole and half fellow downloaders, so that
//! downloaders exchange among themselves. The operator's own peer is one seller among all, only a dear one.
//!
//! An announce causes one change of the market at most, with bounded work; what that leaves undone is done with the next ones.

use super::drawing::{Candidate, WALK_MAX};
use super::market::{Demand, DemandId, Market, MarketSettings};
use super::sellers::{Sellers, Terms};
use crate::registry::{Member, Registry};
use peeredge_wire::{ContentId, SplitMix64, Time};
use std::collections::{BTreeMap, BTreeSet};

/// How the matcher behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchSettings {
    /// Two members are not introduced to each other again for one content within so many milliseconds: by then a
    /// handshake has succeeded or failed. Default 30,000.
    pub again_after_ms: u64,
    /// The operator's own peer is introduced beyond its places in the market while fewer copies than this are borne out of all others,
    /// in thousandths, one at most of each owner. Default 2000.
    pub reserve_below_permille: u64,
    /// And to whoever has wanted something for so many milliseconds and got nothing of it from others. Default 15,000.
    pub reserve_after_ms: u32,
    /// Of how many introductions that answer one announce one may be to a peer of the same owner, while there are others. Default 3.
    pub one_owner_in: u8,
    /// Places that the market finds for each want. Default 2; 0 leaves all to chance and prices that nobody moves.
    pub places_per_want: u8,
    /// After so many milliseconds a want looks for its places anew. Default 30,000.
    pub seek_again_after_ms: u64,
    /// Terms of members of which nothing is known. Default: 4 places, free of cost.
    pub unknown: Terms,
    /// Terms of the operator's own peers. Default: 10,000 places, and a GB costs 0.8: peers that hold a
    /// twentieth go before.
    pub reserve: Terms,
    /// What a GB of a content is worth that has no value of its own. Default 1.
    pub value_per_gb: f32,
}

impl Default for MatchSettings {
    fn default() -> Self {
        MatchSettings {
            again_after_ms: 30_000,
            reserve_below_permille: 2000,
            reserve_after_ms: 15_000,
            one_owner_in: 3,
            places_per_want: 2,
            seek_again_after_ms: 30_000,
            unknown: Terms { places: 4, cost_per_gb: 0.0, quality: 1.0, owner: None },
            reserve: Terms { places: 10_000, cost_per_gb: 0.8, quality: 1.0, owner: None },
            value_per_gb: 1.0,
        }
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

/// The market of the tracker at one moment. Prices are for a GB, in the currency of all values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MarketPicture {
    /// Places asked for.
    pub asked: usize,
    /// Of these, given.
    pub served: usize,
    /// Worth of the places given, less what they cost: each counts as one GB.
    pub worth: f64,
    /// Share of the best possible worth that may be missing, at most: weak duality proves it from the prices.
    pub gap: f64,
    /// The price that half of the members are below, the same for nine tenths, and the highest.
    pub prices: [f32; 3],
    /// Members that could serve.
    pub sellers: usize,
}

/// Candidates of one want in the market.
const CANDIDATES_MAX: usize = 12;

/// A want in the market.
#[derive(Clone, Copy, Debug)]
struct Sought {
    demand: DemandId,
    since: Time,
    places: usize,
}

/// Who asks now, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) now: Time,
    pub(super) member: Member,
    pub(super) content: ContentId,
}

/// Chooses introductions; deterministic by its seed.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub(super) settings: MatchSettings,
    pub(super) dice: SplitMix64,
    pub(super) market: Market,
    pub(super) sellers: Sellers,
    wants: BTreeMap<(Member, ContentId), Sought>,
    values: BTreeMap<ContentId, f32>,
    /// Contents for which the operator's own peers are not to be introduced.
    pub(super) closed: BTreeSet<ContentId>,
}

impl Matcher {
    /// A matcher whose draws follow from `seed`.
    pub fn new(settings: MatchSettings, seed: u64) -> Self {
        let market = Market::new(MarketSettings {
            candidates_max: CANDIDATES_MAX,
            tolerance: 0.005,
            feedback: 0.3,
            prompt: true,
            bids_per_change: 16,
            checks_per_change: 2,
            samples: 8,
            seed,
            ..MarketSettings::default()
        });
        Matcher {
            settings,
            dice: SplitMix64::new(seed),
            market,
            sellers: Sellers::default(),
            wants: BTreeMap::new(),
            values: BTreeMap::new(),
            closed: BTreeSet::new(),
        }
    }

    /// A member serves on these terms from now on.
    pub fn set_terms(&mut self, member: Member, terms: Terms) {
        self.sellers.set(&mut self.market, member, terms);
    }

    /// On what terms a member serves; none for one that the matcher has not met.
    pub fn terms(&self, member: Member) -> Option<Terms> {
        self.sellers.node_of(member).and_then(|node| self.sellers.at(node)).map(|(_, terms)| terms)
    }

    /// A GB of this content is worth so much to whoever pays for it; what is in the market already keeps its worth.
    pub fn set_value(&mut self, content: ContentId, value_per_gb: f32) {
        self.values.insert(content, value_per_gb.max(0.0));
    }

    /// Whether the operator's own peers may be introduced for this content from now on.
    pub fn open_reserve(&mut self, content: ContentId, open: bool) {
        if open {
            self.closed.remove(&content);
        } else {
            self.closed.insert(content);
        }
    }

    /// A member no longer wants a content.
    pub fn forget(&mut self, member: Member, content: ContentId) {
        if let Some(sought) = self.wants.remove(&(member, content)) {
            self.market.depart(sought.demand);
        }
    }

    /// A member has left.
    pub fn gone(&mut self, member: Member) {
        let (first, last) = (ContentId([0; 32]), ContentId([255; 32]));
        let own: Vec<ContentId> =
            self.wants.range((member, first)..=(member, last)).map(|((_, content), _)| *content).collect();
        own.into_iter().for_each(|content| self.forget(member, content));
        self.sellers.gone(&mut self.market, member);
    }

    /// Whether announces left something undone.
    pub fn is_behind(&self) -> bool {
        self.market.backlog() > 0
    }

    /// Works on what announces left undone, with at most so many steps.
    pub fn go_on(&mut self, steps: u32) {
        self.market.go_on(steps);
    }

    /// The market now. Takes time in proportion to all wants and members.
    pub fn picture(&self) -> MarketPicture {
        let certificate = self.market.certify();
        let mut prices: Vec<f32> = self.sellers.nodes().map(|node| self.market.prices(node)[0]).collect();
        prices.sort_by(f32::total_cmp);
        let at = |tenths: usize| prices.get(prices.len() * tenths / 10).copied().unwrap_or_default();
        MarketPicture {
            asked: certificate.asked,
            served: certificate.served,
            worth: certificate.worth,
            gap: certificate.gap(),
            prices: [at(5), at(9), prices.last().copied().unwrap_or_default()],
            sellers: prices.len(),
        }
    }

    /// The price of a GB at a member, beyond what it costs.
    pub fn price(&self, member: Member) -> f32 {
        self.sellers.node_of(member).map_or(0.0, |node| self.market.prices(node)[0])
    }

    /// Up to `max` members that `member` should be told of. `barred` names pairs that must not meet; `suits` says how much more than to
    /// any other receiver a holder is worth to `member`, 1 where that is not known; `arrange` may change the order of those chosen
    /// and leave some out.
    #[allow(clippy::too_many_arguments, reason = "who, what and when, and what only the caller knows")]
    pub fn sources_for(
        &mut self,
        registry: &mut Registry,
        now: Time,
        member: Member,
        content: ContentId,
        max: usize,
        barred: impl Fn(Member, Member) -> bool,
        suits: impl Fn(Member) -> f32,
        arrange: impl FnOnce(&mut Vec<Member>),
    ) -> Vec<Introduction> {
        self.sources_among(registry, now, member, content, max, &[], barred, suits, arrange)
    }

    /// The same; those in `known` come first, as far as they hold something.
    #[allow(clippy::too_many_arguments, reason = "who, what and when, and what only the caller knows")]
    pub fn sources_among(
        &mut self,
        registry: &mut Registry,
        now: Time,
        member: Member,
        content: ContentId,
        max: usize,
        known: &[Member],
        barred: impl Fn(Member, Member) -> bool,
        suits: impl Fn(Member) -> f32,
        arrange: impl FnOnce(&mut Vec<Member>),
    ) -> Vec<Introduction> {
        let wants = registry.said(member, content).map_or(0, |said| usize::from(said.wants)).min(max);
        if wants == 0 {
            if registry.said(member, content).is_none_or(|said| said.wants == 0) {
                self.forget(member, content);
            }
            return Vec::new();
        }
        let ask = Ask { now, member, content };
        let in_vain = now.since(registry.asks(now, member, content));
        let reserve = self.reserve_for(registry, ask, &barred);
        let pairs = self.draw_pairs(registry, ask, wants, known, &barred, &suits);
        let firsts = pairs.iter().map(|(first, _)| *first);
        let seconds = pairs.iter().filter_map(|(_, second)| *second);
        let found: Vec<Candidate> = reserve.into_iter().chain(firsts).chain(seconds).collect();
        let mut chosen = self.places_for(registry, ask, wants, &found, &barred, &suits);
        chosen.truncate(wants);
        if let Some(reserve) = reserve
            && reserve.worth > reserve.terms.cost_per_gb
            && !chosen.iter().any(|c| c.member == reserve.member)
        {
            let waits = in_vain.as_millis() >= u128::from(self.settings.reserve_after_ms);
            if waits || !self.others_suffice(registry, content, member) {
                // Who asks for one only, and not in vain, may get another.
                chosen.truncate(wants.saturating_sub(1).max(usize::from(!waits)));
                chosen.push(reserve);
            }
        }
        for (first, second) in &pairs {
            let is_chosen = |c: &Candidate| chosen.iter().any(|other| other.member == c.member);
            if !is_chosen(first) && !second.as_ref().is_some_and(is_chosen) {
                chosen.push(*first);
            }
        }
        // The others of the pairs, where there are no more.
        for other in pairs.iter().flat_map(|(first, second)| second.iter().chain([first])) {
            if !chosen.iter().any(|c| c.member == other.member) {
                chosen.push(*other);
            }
        }
        if registry.swarm(content).is_some_and(|swarm| swarm.has_owners_besides(member)) {
            self.thin_out(&mut chosen, wants);
        }
        chosen.truncate(wants);
        let mut order: Vec<Member> = chosen.iter().map(|c| c.member).collect();
        arrange(&mut order);
        let introduce = |of: Member| {
            let Candidate { have_permille, .. } = chosen.iter().find(|c| c.member == of)?;
            registry.note(now, member, of, content);
            Some(Introduction { to: member, of, have_permille: *have_permille })
        };
        order.into_iter().filter_map(introduce).collect()
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
        if said.reserve && (self.closed.contains(&content) || self.others_suffice(registry, content, member))
        {
            return Vec::new();
        }
        let terms = self.at_first(said.reserve);
        let node = self.sellers.node(&mut self.market, member, terms);
        let cost_per_gb = self.sellers.at(node).map_or(0.0, |(_, terms)| terms.cost_per_gb);
        if self.value(content) <= cost_per_gb {
            return Vec::new();
        }
        let since = self.since(now);
        // From a place drawn by chance, so that nobody waits for ever behind others.
        let newest = swarm.waiting.last().map_or(0, |m| m.0);
        let start = Member(self.dice.next_u64() % newest.saturating_add(1));
        let chosen: Vec<Introduction> = swarm
            .waiting
            .range(start..)
            .chain(swarm.waiting.range(..start))
            .take(WALK_MAX)
            .filter(|taker| **taker != member && !barred(**taker, member))
            .filter(|taker| !swarm.met_since(**taker, member, since))
            .take(max)
            .map(|taker| Introduction { to: *taker, of: member, have_permille: said.have_permille })
            .collect();
        for introduction in &chosen {
            registry.note(now, introduction.to, introduction.of, content);
        }
        chosen
    }

    /// Gives the want its places if it has none or has had them for long; gives those of the sellers that it was not told of.
    fn places_for(
        &mut self,
        registry: &Registry,
        ask: Ask,
        wants: usize,
        found: &[Candidate],
        barred: &impl Fn(Member, Member) -> bool,
        suits: &impl Fn(Member) -> f32,
    ) -> Vec<Candidate> {
        let Ask { now, member, content } = ask;
        let Some(swarm) = registry.swarm(content) else { return Vec::new() };
        let places = usize::from(self.settings.places_per_want).min(wants);
        let seek_after = core::time::Duration::from_millis(self.settings.seek_again_after_ms);
        let sought = self.wants.get(&(member, content)).copied();
        let rests = sought.is_some_and(|sought| {
            now.since(sought.since) < seek_after
                && self.market.served_by(sought.demand).count() >= sought.places.min(places)
        });
        let mut kept: Vec<Candidate> = Vec::new();
        if let Some(sought) = sought {
            let at = |node| self.sellers.at(node).map(|(seller, terms)| (node, seller, terms));
            for (node, seller, terms) in self.market.served_by(sought.demand).filter_map(at) {
                if let Some(entry) = swarm.entry(seller)
                    && !(entry.said.reserve && self.closed.contains(&content))
                {
                    kept.push(self.candidate(now, content, entry, node, terms).suiting(suits(seller)));
                }
            }
        }
        let demand = match sought {
            Some(sought) if rests => sought.demand,
            _ => {
                if let Some(sought) = sought {
                    self.market.depart(sought.demand);
                }
                let candidates: Vec<_> =
                    kept.iter().chain(found).map(|c| (c.node, c.worth)).take(CANDIDATES_MAX).collect();
                let demand = self.market.arrive(&Demand {
                    size: [1, 0],
                    replicas: places.max(1) as u8,
                    // A new handshake, and what the old connection had under way.
                    move_cost: self.value(content) * 0.1,
                    candidates: &candidates,
                });
                self.wants.insert((member, content), Sought { demand, since: now, places });
                demand
            }
        };
        let since = self.since(now);
        self.market
            .served_by(demand)
            .filter_map(|node| self.sellers.at(node))
            .filter_map(|(seller, _)| found.iter().chain(&kept).find(|c| c.member == seller).copied())
            .filter(|c| !barred(member, c.member) && !swarm.met_since(member, c.member, since))
            .collect()
    }

    pub(super) fn at_first(&self, reserve: bool) -> Terms {
        if reserve { self.settings.reserve } else { self.settings.unknown }
    }

    pub(super) fn value(&self, content: ContentId) -> f32 {
        self.values.get(&content).copied().unwrap_or(self.settings.value_per_gb)
    }

    /// Whether enough copies are borne out of all but the operator's own and `member`.
    fn others_suffice(&self, registry: &Registry, content: ContentId, member: Member) -> bool {
        let all = registry.swarm(content).map_or(0, |swarm| swarm.borne_out_permille(member));
        all >= self.settings.reserve_below_permille
    }

    /// Leaves of each owner no more than its part of the answer, those chosen first.
    fn thin_out(&self, chosen: &mut Vec<Candidate>, wants: usize) {
        let all = core::mem::take(chosen);
        let of = |chosen: &[Candidate], owner| chosen.iter().filter(|c| c.owner == owner).count();
        for one in all {
            if chosen.len() < wants && of(chosen, one.owner) < self.part_of_one(wants) {
                chosen.push(one);
            }
        }
        while let Some(last) = chosen.iter().rposition(|c| {
            of(chosen, c.owner) > (chosen.len() / usize::from(self.settings.one_owner_in.max(1))).max(1)
        }) {
            chosen.remove(last);
        }
    }

    /// How many of so many introductions may be of one owner.
    pub(super) fn part_of_one(&self, wants: usize) -> usize {
        wants.div_ceil(usize::from(self.settings.one_owner_in.max(1))).max(1)
    }

    /// Introductions before this moment no longer count.
    pub(super) fn since(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros().saturating_sub(self.settings.again_after_ms.saturating_mul(1000)))
    }
}
