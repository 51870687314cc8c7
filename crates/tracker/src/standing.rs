//! What receivers bear out of what peers claim: who sends how much, how fast, to how many, and whose connections open.
//!
//! A peer's own word never raises it. A receipt counts when its receiver signed it for this very connection, was introduced to the
//! sender or the sender to it, and belongs to another owner; all receivers of one owner count as one, and for a bounded amount. So
//! a peer gains by a crowd of accomplices only what that many true receivers would say of it in the worst case, and nothing by one.

use crate::config::TrustSettings;
use crate::owners::number;
use core::time::Duration;
use peeredge_routing::Prior;
use peeredge_routing::handshake::{self, Handshakes};
use peeredge_routing::links::{self, LinkSettings};
use peeredge_wire::{PeerId, Time};
use std::collections::BTreeMap;

/// Owners that are remembered for one sender; the one heard least recently goes first.
const WITNESSES_MAX: usize = 32;
/// Rates beyond these are not believed, in bytes a second.
const RATE_BYTES_PER_S: (u32, u32) = (128, 125_000_000);
/// What is sent in spans of this length is counted together.
const SPAN: Duration = Duration::from_secs(60);
/// Links that the model of rates remembers: fitting them takes about 2 ms.
const LINKS_MAX: usize = 10_000;

/// One end of a transfer: a peer and who stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) peer: PeerId,
    pub(crate) owner: u64,
}

impl Party {
    fn number(&self) -> u64 {
        number(&self.peer)
    }

    /// The owner as a network's number, never 0.
    pub(crate) fn network(&self) -> u32 {
        owner_number(self.owner)
    }

    fn end(&self) -> handshake::End {
        handshake::End { peer: self.number(), network: self.network(), kind: 0 }
    }

    fn link_end(&self) -> links::End {
        links::End { peer: self.number(), network: self.network(), region: 0, city: 0 }
    }
}

/// An owner as the registry's and the market's number, never 0.
pub(crate) fn owner_number(owner: u64) -> u32 {
    (owner ^ owner >> 32) as u32 | 1
}

/// What is known of all.
#[derive(Debug)]
pub(crate) struct Standings {
    settings: TrustSettings,
    senders: BTreeMap<PeerId, Sender>,
    opens: Handshakes,
    rates: Prior,
    /// Rates that were within the interval expected of them, and those that were not.
    foretold: [u64; 2],
}

#[derive(Debug, Default)]
struct Sender {
    witnesses: Vec<Witness>,
    span_began: Time,
    /// What was borne out in the spans before, fading.
    sent_bytes_per_s: f64,
    heard: Time,
}

/// What one owner's receivers say of a sender.
#[derive(Debug)]
struct Witness {
    owner: u64,
    at: Time,
    came: bool,
    /// In this span.
    bytes: u64,
    rate_at: Option<Time>,
}

impl Standings {
    pub(crate) fn new(settings: TrustSettings) -> Self {
        Standings {
            settings,
            senders: BTreeMap::new(),
            opens: Handshakes::new(),
            rates: Prior::new(LinkSettings { links_max: LINKS_MAX, ..LinkSettings::default() }),
            foretold: [0; 2],
        }
    }

    /// A receipt that has been checked.
    pub(crate) fn came(&mut self, now: Time, from: Party, to: Party, bytes: u64, bytes_per_s: u32) {
        let (bytes_max, again) = (self.bytes_a_span(), self.settings.rate_again_s);
        let Some(witness) = self.witness(now, from, to) else { return };
        witness.came = true;
        witness.bytes = witness.bytes.saturating_add(bytes).min(bytes_max);
        let again = Duration::from_secs(u64::from(again));
        if bytes_per_s > 0 && witness.rate_at.is_none_or(|at| now.since(at) >= again) {
            witness.rate_at = Some(now);
            let rate = f64::from(bytes_per_s.clamp(RATE_BYTES_PER_S.0, RATE_BYTES_PER_S.1));
            if let Some(expected) = self.rates.rate(to.link_end(), from.link_end()) {
                let within = (expected.low..=expected.high).contains(&rate);
                self.foretold[usize::from(!within)] += 1;
            }
            self.rates.learn(to.link_end(), from.link_end(), rate);
        }
    }

    /// Nothing came from a peer that was introduced as a holder.
    pub(crate) fn nothing_came(&mut self, now: Time, from: Party, to: Party) {
        if let Some(witness) = self.witness(now, from, to) {
            witness.came = false;
        }
    }

    /// Whether the connection between two that were introduced opened.
    pub(crate) fn met(&mut self, a: Party, b: Party, opened: bool) {
        self.opens.report(a.end(), b.end(), opened);
    }

    /// Puts those first whose connections open, drops those that hardly can, and keeps as many as can be expected to give
    /// `needed`.
    pub(crate) fn arrange<T>(
        &self,
        taker: Party,
        found: &mut Vec<T>,
        party: impl Fn(&T) -> Party,
        needed: f64,
    ) {
        self.opens.choose(taker.end(), found, needed, |one| party(one).end());
    }

    /// Bytes a second that receivers bear out; None for a peer of which nothing is known.
    pub(crate) fn sent_bytes_per_s(&mut self, now: Time, peer: &PeerId) -> Option<f64> {
        let sender = self.senders.get_mut(peer)?;
        sender.turn(now);
        let span_s = now.since(sender.span_began).as_secs_f64().max(SPAN.as_secs_f64());
        Some(sender.sent_bytes_per_s.max(sender.span_bytes() as f64 / span_s))
    }

    /// What a receiver gets of a peer's promise, next to the mean of all: about 0.75 for a stranger.
    pub(crate) fn quality(&self, party: Party) -> f32 {
        let (mut came, mut all) = (3.0, 4.0);
        for witness in self.senders.get(&party.peer).map_or(&[][..], |sender| &sender.witnesses) {
            came += f32::from(u8::from(witness.came));
            all += 1.0;
        }
        let stranger = handshake::End { peer: 0, network: 0, kind: 0 };
        let opens = (2.0 * self.opens.chance(stranger, party.end()) as f32).clamp(0.3, 1.0);
        let (nobody, rates) = (links::End::default(), self.rates.links());
        let next_to_mean = rates
            .predict(nobody, party.link_end())
            .zip(rates.predict(nobody, nobody))
            .map_or(1.0, |(rate, mean)| rate / mean.max(1.0));
        let rate = next_to_mean.clamp(0.4, 1.4) as f32;
        came / all * opens * rate
    }

    /// How much faster than for any other receiver `from` is expected to be for `to`.
    pub(crate) fn suits(&self, to: Party, from: Party) -> f32 {
        self.rates.links().suits(to.link_end(), from.link_end()).clamp(0.5, 2.0)
    }

    /// Rates that receivers bore out and that were within the interval expected of them, and those that were not.
    pub(crate) fn foretold(&self) -> [u64; 2] {
        self.foretold
    }

    /// One owner's word counts for no more than a few places.
    fn bytes_a_span(&self) -> u64 {
        u64::from(self.settings.witness_bytes_per_s_max).saturating_mul(SPAN.as_secs())
    }

    fn witness(&mut self, now: Time, from: Party, to: Party) -> Option<&mut Witness> {
        if from.owner == to.owner || from.peer == to.peer {
            return None;
        }
        if !self.senders.contains_key(&from.peer) && self.senders.len() >= self.settings.senders_max.max(1) {
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.heard).map(|(peer, _)| *peer);
            oldest.and_then(|peer| self.senders.remove(&peer));
        }
        let sender =
            self.senders.entry(from.peer).or_insert_with(|| Sender { span_began: now, ..Sender::default() });
        sender.turn(now);
        sender.heard = now;
        let at = match sender.witnesses.iter().position(|w| w.owner == to.owner) {
            Some(at) => at,
            None => {
                if sender.witnesses.len() >= WITNESSES_MAX {
                    let oldest = sender.witnesses.iter().enumerate().min_by_key(|(_, w)| w.at);
                    let oldest = oldest.map_or(0, |(at, _)| at);
                    sender.witnesses.swap_remove(oldest);
                }
                sender.witnesses.push(Witness {
                    owner: to.owner,
                    at: now,
                    came: false,
                    bytes: 0,
                    rate_at: None,
                });
                sender.witnesses.len() - 1
            }
        };
        sender.witnesses[at].at = now;
        Some(&mut sender.witnesses[at])
    }
}

impl Sender {
    fn span_bytes(&self) -> u64 {
        self.witnesses.iter().map(|w| w.bytes).sum()
    }

    /// Closes spans that have ended.
    fn turn(&mut self, now: Time) {
        let elapsed = now.since(self.span_began);
        if elapsed < SPAN {
            return;
        }
        let rate = self.span_bytes() as f64 / elapsed.as_secs_f64();
        let spans = (elapsed.as_secs() / SPAN.as_secs()).min(64) as u32;
        // A tenth less with each span that bears out less.
        let faded = (0..spans).fold(self.sent_bytes_per_s, |rate, _| rate * 0.9);
        self.sent_bytes_per_s = faded.max(rate);
        self.witnesses.iter_mut().for_each(|w| w.bytes = 0);
        self.span_began = now;
    }
}
