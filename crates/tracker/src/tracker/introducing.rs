//! Who holds what is told to whom it is worth most, on terms that others bear out.

use super::{Conn, Refusal, Stage, Tracker, member, party_of, peer_of, ready, refuse};
use crate::config::TrackerConfig;
use crate::io::ConnId;
use crate::standing::Party;
use peeredge_routing::deploy::Order;
use peeredge_routing::matching::{Introduction, Terms};
use peeredge_routing::registry::{AnnounceError, Announcement, Member};
use peeredge_wire::relay::{ErrorCode, FromRelay};
use peeredge_wire::{ContentId, PeerId, Time};

impl Tracker {
    pub(super) fn announce(
        &mut self,
        now: Time,
        conn: ConnId,
        peer: PeerId,
        content: ContentId,
        have_permille: u16,
        wants: u8,
    ) -> Result<(), Refusal> {
        let said = Announcement { have_permille, wants, reserve: peer == self.config.relay };
        let fresh = wants > 0 && self.registry.said(member(conn), content).is_none();
        let announced = match self.registry.announce(member(conn), content, said) {
            Ok(announced) => announced,
            Err(error @ (AnnounceError::MemberFull { .. } | AnnounceError::RegistryFull { .. })) => {
                return refuse(ErrorCode::TooMany, error.to_string());
            }
        };
        if fresh && !said.reserve {
            self.ahead.asked(member(conn), content);
        }
        if let (1000, Some(tasks)) = (have_permille, &mut self.tasks) {
            tasks.holds(now, peer, content);
        }
        if let Some(open) = self.purses.is_open(now, &content) {
            self.matcher.open_reserve(content, open);
        }
        let Tracker { config, conns, registry, matcher, blames, standings, .. } = self;
        let barred = |a: Member, b: Member| {
            !blames.is_empty()
                && match (peer_of(conns, a), peer_of(conns, b)) {
                    (Some(a), Some(b)) => blames.apart(now, &a, &b),
                    _ => true,
                }
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
            let mut found: Vec<(Member, Party)> = sources.drain(..).filter_map(known).collect();
            standings.arrange(taker, &mut found, |(_, party)| *party, f64::from(wants) * 0.75);
            sources.extend(found.into_iter().map(|(of, _)| of));
        };
        let mut found = Vec::new();
        if announced.more_to_give {
            let max = usize::from(config.takers_per_announce_max);
            found = matcher.takers_of(registry, now, member(conn), content, max, barred);
        }
        let max = usize::from(config.introductions_per_announce_max);
        found.extend(matcher.sources_for(registry, now, member(conn), content, max, barred, suits, arrange));
        for Introduction { to, of, have_permille } in found {
            let Some(peer) = peer_of(&self.conns, of) else { continue };
            let Some(told) = ready(&mut self.conns, ConnId(to.0)) else { continue };
            told.meetings.add(peer, content, have_permille > 0);
            self.counts.introductions += 1;
            self.send(ConnId(to.0), &FromRelay::Introduce { content, peer, have_permille });
        }
        Ok(())
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
        let Some(Conn { stage: Stage::Ready(peer), owner, cost_class, .. }) = self.conns.get(&conn) else {
            return;
        };
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
            owner: owner.map(|_| party.network()),
        };
        self.matcher.set_terms(member(conn), terms);
    }
}
