//! Who holds what is told to whom it is worth most, on terms that others bear out.

use super::{Conn, Stage, Tracker, by_number, member, party_of, ready};
use crate::config::TrackerConfig;
use crate::io::ConnId;
use crate::owners::{OwnerId, Seat, number};
use crate::standing::Party;
use core::time::Duration;
use peeredge_routing::deploy::Order;
use peeredge_routing::matching::{Introduction, Terms};
use peeredge_routing::registry::{AnnounceError, Announcement, Member};
use peeredge_wire::relay::{ErrorCode, FromRelay, Holding};
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::BTreeMap;

/// After so long an announce that was refused may be tried again.
const REFUSED_FOR_MS: u32 = 60_000;
/// Between two reminders to one connection that its network may learn of nobody else for now.
const TELL_QUOTA_EVERY: Duration = Duration::from_secs(60);

/// A peer that is here, and whose seats it takes.
fn at(conns: &BTreeMap<ConnId, Conn>, member: Member) -> Option<(PeerId, OwnerId)> {
    let state = conns.get(&ConnId(member.0))?;
    match &state.stage {
        Stage::Ready(peer) => Some((peer.id, state.quota()?)),
        Stage::Challenged { .. } => None,
    }
}

impl Tracker {
    /// Takes what a peer says of contents, and names what it did not take.
    pub(super) fn announces(&mut self, now: Time, conn: ConnId, peer: PeerId, said: &[Holding]) {
        let mut refused: BTreeMap<u8, (ErrorCode, Vec<ContentId>)> = BTreeMap::new();
        for said in said {
            if let Err(code) = self.announce(now, conn, peer, *said) {
                refused.entry(code as u8).or_insert((code, Vec::new())).1.push(said.content);
            }
        }
        for (code, contents) in refused.into_values() {
            self.counts.count_error(code);
            self.counts.announces_refused += contents.len() as u64;
            let retry_after_ms = REFUSED_FOR_MS;
            self.send(conn, &FromRelay::AnnounceRefused { code, retry_after_ms, contents });
        }
    }

    fn announce(&mut self, now: Time, conn: ConnId, peer: PeerId, said: Holding) -> Result<(), ErrorCode> {
        let Holding { content, have_permille, wants } = said;
        let said = Announcement { have_permille, wants, reserve: peer == self.config.relay };
        let owner = self.conns.get(&conn).and_then(Conn::quota).ok_or(ErrorCode::Full)?;
        let is_new = self.registry.said(member(conn), content).is_none();
        if is_new && !said.reserve && have_permille.max(u16::from(wants)) > 0 {
            let all = self.config.announces_max;
            let max = self.owners.announces_max(all.saturating_sub(self.registry.entries()), all);
            if self.owners.taken(owner, Seat::Announce) >= max {
                return Err(ErrorCode::Full);
            }
        }
        let announced = match self.registry.announce(member(conn), content, said) {
            Ok(announced) => announced,
            Err(AnnounceError::MemberFull { .. }) => return Err(ErrorCode::TooMany),
            Err(AnnounceError::RegistryFull { .. }) => return Err(ErrorCode::Full),
        };
        self.count_seats(conn, Seat::Announce, i64::from(announced.entries));
        if is_new && wants > 0 && !said.reserve {
            let slot = self.ahead.deadline().unwrap_or(Time::ZERO);
            if self.ahead.foresees(&content) && self.owners.asks(now, owner, slot, content) {
                self.ahead.asked(member(conn), content);
            }
        }
        if let (1000, Some(tasks)) = (have_permille, &mut self.tasks) {
            tasks.holds(now, peer, content);
        }
        if let Some(open) = self.purses.is_open(now, &content) {
            self.matcher.open_reserve(content, open);
        }
        let found = self.match_up(now, conn, owner, content, wants, announced.more_to_give);
        let mut told = 0;
        for Introduction { to, of, have_permille } in found {
            told += u32::from(self.introduce(now, ConnId(to.0), ConnId(of.0), content, have_permille));
        }
        if wants > 0 && told == 0 {
            self.tell_quota(now, conn, owner);
        }
        Ok(())
    }

    /// Takers for who has something new to give, and sources for who wants some.
    fn match_up(
        &mut self,
        now: Time,
        conn: ConnId,
        owner: OwnerId,
        content: ContentId,
        wants: u8,
        more_to_give: bool,
    ) -> Vec<Introduction> {
        let known: Vec<Member> = match wants {
            0 => Vec::new(),
            _ => self
                .owners
                .known(now, owner)
                .filter_map(|wanted| by_number(&self.peers, wanted))
                .map(member)
                .filter(|other| self.registry.said(*other, content).is_some())
                .take(usize::from(wants))
                .collect(),
        };
        let Tracker { config, conns, registry, matcher, blames, standings, owners, .. } = self;
        let relay = config.relay;
        let barred = |a: Member, b: Member| {
            let (Some(a), Some(b)) = (at(conns, a), at(conns, b)) else { return true };
            // The relay's own node is within everybody's reach, and no address that is learned.
            a.0 != relay
                && b.0 != relay
                && (!owners.may_learn(now, a.1, b.1, number(&b.0))
                    || !owners.may_learn(now, b.1, a.1, number(&a.0))
                    || (!blames.is_empty() && blames.apart(now, &a.0, &b.0)))
        };
        let taker = party_of(conns, conn);
        let suits = |of: Member| match (taker, party_of(conns, ConnId(of.0))) {
            (Some(taker), Some(of)) => standings.suits(taker, of),
            _ => 1.0,
        };
        // Three of four that are wanted should open.
        let arrange = |sources: &mut Vec<Member>| {
            let Some(taker) = taker else { return };
            let known = |of: Member| Some((of, party_of(conns, ConnId(of.0))?));
            let all: Vec<(Member, Party)> = sources.drain(..).filter_map(known).collect();
            let (own, mut found): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(_, party)| party.peer == relay);
            let best = found.first().map(|(of, _)| *of);
            standings.arrange(taker, &mut found, |(_, party)| *party, f64::from(wants) * 0.75);
            sources.extend(found.into_iter().map(|(of, _)| of));
            // Nobody's words put somebody out of everyone's reach.
            if sources.is_empty() && own.is_empty() {
                sources.extend(best);
            }
            sources.extend(own.into_iter().map(|(of, _)| of));
        };
        let mut found = Vec::new();
        if more_to_give {
            let max = usize::from(config.takers_per_announce_max);
            found = matcher.takers_of(registry, now, member(conn), content, max, barred);
        }
        let max = usize::from(config.introductions_per_announce_max);
        found.extend(matcher.sources_among(
            registry,
            now,
            member(conn),
            content,
            max,
            &known,
            barred,
            suits,
            arrange,
        ));
        found
    }

    /// Tells `to` of `of`, and remembers it of both. Gives whether it did: each of the two owners may learn of so many only.
    fn introduce(
        &mut self,
        now: Time,
        to: ConnId,
        of: ConnId,
        content: ContentId,
        have_permille: u16,
    ) -> bool {
        let (Some((taker, to_owner)), Some((peer, of_owner))) =
            (at(&self.conns, member(to)), at(&self.conns, member(of)))
        else {
            return false;
        };
        if ![taker, peer].contains(&self.config.relay) {
            // The one that is told makes the offer, which shows its address.
            if !self.owners.learn(now, of_owner, to_owner, number(&taker), false)
                || !self.owners.learn(now, to_owner, of_owner, number(&peer), true)
            {
                return false;
            }
        }
        for (conn, other, told) in [(to, peer, true), (of, taker, false)] {
            if let Some(state) = ready(&mut self.conns, conn) {
                state.meetings.add(now, other, content, told, have_permille > 0);
            }
        }
        self.counts.introductions += 1;
        self.send(to, &FromRelay::Introduce { content, peer, have_permille });
        true
    }

    /// Who gets nobody because its network has learned of as many as an hour allows is told so, now and then.
    fn tell_quota(&mut self, now: Time, conn: ConnId, owner: OwnerId) {
        let Some(retry_after_ms) = self.owners.learns_again_after_ms(now, owner) else { return };
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if state.told_quota.is_none_or(|at| now.since(at) >= TELL_QUOTA_EVERY) {
            state.told_quota = Some(now);
            self.counts.quotas += 1;
            let detail = "this network was introduced to as many peers as an hour allows";
            self.tell(conn, ErrorCode::Quota, retry_after_ms, detail);
        }
    }

    /// Asks peers to fetch ahead, and tells them what they need not hold any more.
    pub(super) fn place_ahead(&mut self, now: Time) {
        for order in self.ahead.due(now) {
            match order {
                Order::Fill { node, content } => self.send(ConnId(node.0), &FromRelay::Prefetch { content }),
                Order::Drop { node, content } => self.send(ConnId(node.0), &FromRelay::Release { content }),
            }
        }
    }

    /// Tells the matcher what a peer is good for: what receivers bear out, but no more than it says itself.
    pub(super) fn set_terms(&mut self, now: Time, conn: ConnId) {
        let Some(party) = party_of(&self.conns, conn) else { return };
        let Some(state) = self.conns.get(&conn) else { return };
        let Conn { stage: Stage::Ready(peer), cost_class, .. } = state else { return };
        let TrackerConfig { matching, trust, cost_classes, .. } = &self.config;
        if peer.id == self.config.relay {
            return self.matcher.set_terms(member(conn), matching.reserve);
        }
        let place = f64::from(trust.place_bytes_per_s.max(1));
        let borne_out = self.standings.sent_bytes_per_s(now, &peer.id).unwrap_or_default();
        // Twice of it, so that who is used up can show more.
        let places = ((2.0 * borne_out / place) as u32).clamp(matching.unknown.places, trust.places_max);
        let says = peer.up_bytes_per_s_max.div_ceil(place as u64).min(u64::from(u32::MAX)) as u32;
        let cost = |class: u8| cost_classes.get(usize::from(class)).copied().unwrap_or_default();
        let terms = Terms {
            places: places.min(says),
            cost_per_gb: cost(*cost_class).max(cost(peer.cost_class)),
            quality: self.standings.quality(party),
            owner: state.judge().map(|_| party.network()),
        };
        self.matcher.set_terms(member(conn), terms);
    }
}
