//! What the peers of one owner take together. Keys and connections are free, so everything that a stranger can take has its bound
//! here: an owner is a network, or a key where the shell cannot tell.

use crate::bucket::Bucket;
use crate::config::OwnerSettings;
use core::time::Duration;
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::BTreeMap;

/// What happened so long ago no longer counts.
const HOUR: Duration = Duration::from_secs(3600);
/// Whoever was told of a peer makes it an offer at once.
const OFFER_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks for owners that can be forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Owners that bore out bytes of one owner's peers, remembered at a time.
const WITNESSES_MAX: usize = 256;
/// How often the peers of one owner count as demand for one content in one slot, and for how many contents: who comes, goes and
/// comes again is no crowd.
const ASKED_MAX: (u8, usize) = (8, 32);

/// Whoever stands behind a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OwnerId(pub(crate) u64);

/// What is counted while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// A connection that has not proved a key.
    Hello,
    /// A proved key.
    Peer,
    /// A content announced.
    Announce,
    /// A live content published or followed.
    Live,
    /// A peer that offers to hold contents ahead of demand.
    Spare,
}

const SEATS: usize = 5;
/// Figures of the operator that are summed from what peers say.
const FIGURES: usize = 7;

/// What a voice is raised for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A peer sent what is wrong.
    Blame,
    /// A connection never opened, or nothing came.
    Doubt,
}

#[derive(Debug, Default)]
struct Owner {
    seats: [u32; SEATS],
    met: Vec<Met>,
    witnesses: Vec<Witness>,
    /// When which voices were raised, the oldest first.
    voices: Vec<(Time, Voice)>,
    /// Bytes of heads of live contents to its peers.
    heads: Option<Bucket>,
    /// What its peers asked for, and how often, in the slot of demand that ends then.
    asked: (Time, Vec<(ContentId, u8)>),
    /// Bytes that the relay carried for its peers, and since when.
    carried: Option<(Time, u64)>,
    /// What its peers said to have sent and received, a sum for each figure, and since when.
    said: Option<(Time, [u64; FIGURES])>,
    swept: Time,
}

/// A peer that peers of one owner were introduced to.
#[derive(Debug)]
struct Met {
    peer: u64,
    owner: OwnerId,
    at: Time,
    /// Whether its address is known: this owner was told of it, or it made this owner's peer an offer.
    shown: bool,
    /// What this owner's peers last said of connections to it: whether one opened.
    said: Option<bool>,
}

#[derive(Debug)]
struct Witness {
    owner: OwnerId,
    bytes: u64,
    at: Time,
}

/// All owners that are here, and those that took something within an hour.
#[derive(Debug)]
pub(crate) struct Owners {
    settings: OwnerSettings,
    all: BTreeMap<OwnerId, Owner>,
    swept: Time,
}

/// A peer as a number.
pub(crate) fn number(peer: &PeerId) -> u64 {
    u64::from_le_bytes(*peer.0.first_chunk().expect("an id has 32 bytes"))
}

impl Met {
    /// Whether it is one of those of an hour. One that was told of a peer and makes it no offer shows it nothing.
    fn counts(&self, now: Time) -> bool {
        now.since(self.at) < if self.shown { HOUR } else { OFFER_WITHIN }
    }
}

impl Owners {
    pub(crate) fn new(settings: OwnerSettings) -> Self {
        Owners { settings, all: BTreeMap::new(), swept: Time::ZERO }
    }

    /// How many are remembered.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn taken(&self, owner: OwnerId, seat: Seat) -> u32 {
        self.all.get(&owner).map_or(0, |owner| owner.seats[seat as usize])
    }

    /// Takes `count` seats, or gives them back.
    pub(crate) fn count_seats(&mut self, now: Time, owner: OwnerId, seat: Seat, count: i64) {
        let taken = &mut self.owner(now, owner).seats[seat as usize];
        *taken = taken.saturating_add_signed(count.clamp(-1 << 30, 1 << 30) as i32);
    }

    /// Takes a seat if the owner has fewer than `max`.
    pub(crate) fn try_seat(&mut self, now: Time, owner: OwnerId, seat: Seat, max: u32) -> bool {
        let taken = &mut self.owner(now, owner).seats[seat as usize];
        let free = *taken < max;
        *taken += u32::from(free);
        free
    }

    /// Announces that an owner may still add, while the registry has `free` places of `all`: the fewer are left, the fewer are one
    /// owner's, so that whoever comes finds some.
    pub(crate) fn announces_max(&self, free: usize, all: usize) -> u32 {
        // The last places are for owners that have few.
        let few = (all / 4096).clamp(16, 256);
        let max = (free.saturating_sub(all / 16) / 4).max(few).min(self.settings.announces_max as usize);
        u32::try_from(max).unwrap_or(u32::MAX)
    }

    /// Whether peers of `learner` may be introduced to this peer: known ones always, others within an hour's number.
    pub(crate) fn may_learn(&self, now: Time, learner: OwnerId, of: OwnerId, peer: u64) -> bool {
        let (all_max, one_max) =
            (self.settings.addresses_per_h as usize, self.settings.addresses_per_h_of_one as usize);
        let Some(owner) = self.all.get(&learner) else { return true };
        if owner.met.len() < all_max.min(one_max) {
            return true;
        }
        let (mut all, mut of_one) = (0, 0);
        for met in owner.met.iter().filter(|met| met.counts(now)) {
            if met.peer == peer {
                return true;
            }
            all += 1;
            of_one += usize::from(met.owner == of);
        }
        let left = self.allowance(now, owner).saturating_sub(all);
        // The fewer are left, the fewer are one owner's, or three would use up all.
        left > 0 && (of_one < one_max.min(left.div_ceil(2)) || of_one == 0 || learner == of)
    }

    /// Peers of the one are introduced to a peer of the other, if they may be; `shown` says that its address is, too.
    pub(crate) fn learn(&mut self, now: Time, learner: OwnerId, of: OwnerId, peer: u64, shown: bool) -> bool {
        let may = self.may_learn(now, learner, of, peer);
        if may {
            let owner = self.owner(now, learner);
            owner.sweep(now);
            match owner.met.iter_mut().find(|met| met.peer == peer) {
                Some(met) => (met.at, met.owner, met.shown) = (now, of, met.shown || shown),
                None => owner.met.push(Met { peer, owner: of, at: now, shown, said: None }),
            }
        }
        may
    }

    /// Peers that an owner knows already, once it has used half of what it may learn in an hour.
    pub(crate) fn known(&self, now: Time, owner: OwnerId) -> impl Iterator<Item = u64> + '_ {
        let found = self.all.get(&owner);
        let found = found.filter(|owner| 2 * owner.met.len() >= self.settings.addresses_per_h as usize);
        let met = found.map_or(&[][..], |owner| &owner.met);
        met.iter().filter(move |met| met.counts(now)).map(|met| met.peer)
    }

    /// Milliseconds after which an owner may learn of another peer; none when it may now.
    pub(crate) fn learns_again_after_ms(&self, now: Time, owner: OwnerId) -> Option<u32> {
        let owner = self.all.get(&owner)?;
        let fresh = || owner.met.iter().filter(|met| met.counts(now)).map(|met| now.since(met.at));
        (fresh().count() >= self.allowance(now, owner)).then(|| {
            let oldest = fresh().max().unwrap_or_default();
            (HOUR - oldest).as_millis() as u32
        })
    }

    /// Receivers of another owner bear out bytes of this one's peers: for that it may learn of more peers.
    pub(crate) fn bore_out(&mut self, now: Time, owner: OwnerId, witness: OwnerId, bytes: u64) {
        if owner == witness {
            return;
        }
        let witnesses = &mut self.owner(now, owner).witnesses;
        match witnesses.iter_mut().find(|w| w.owner == witness && now.since(w.at) < HOUR) {
            Some(known) => known.bytes = known.bytes.saturating_add(bytes),
            None => {
                witnesses.retain(|w| now.since(w.at) < HOUR);
                if witnesses.len() < WITNESSES_MAX {
                    witnesses.push(Witness { owner: witness, bytes, at: now });
                }
            }
        }
    }

    /// A peer of this owner says whether its connection to another one opened. Gives whether that counts: once an owner, and no
    /// more doubts an hour than one may have.
    pub(crate) fn says_met(&mut self, now: Time, owner: OwnerId, peer: u64, opened: bool) -> bool {
        let doubts_left = self.voices_left(now, owner, Voice::Doubt);
        let found =
            self.all.get_mut(&owner).and_then(|owner| owner.met.iter_mut().find(|met| met.peer == peer));
        let Some(met) = found else { return false };
        if met.said == Some(opened) || (!opened && !doubts_left) {
            return false;
        }
        met.said = Some(opened);
        if !opened {
            self.raise(now, owner, Voice::Doubt);
        }
        true
    }

    /// Whether a head of so many bytes may go to a peer of this owner now.
    pub(crate) fn takes_head(&mut self, now: Time, owner: OwnerId, bytes: usize) -> bool {
        let per_s = self.settings.live_bytes_per_s_max;
        let full = || Bucket::full(now, per_s, per_s.saturating_mul(4));
        self.owner(now, owner)
            .heads
            .get_or_insert_with(full)
            .take(now, u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// A peer of this owner asks for a content in the slot that ends then. Gives whether that counts as demand.
    pub(crate) fn asks(&mut self, now: Time, owner: OwnerId, slot: Time, content: ContentId) -> bool {
        let (of, asked) = &mut self.owner(now, owner).asked;
        if *of != slot {
            (*of, *asked) = (slot, Vec::new());
        }
        let is_full = asked.len() >= ASKED_MAX.1;
        match asked.iter_mut().find(|(known, _)| *known == content) {
            Some((_, count)) => {
                let counts = *count < ASKED_MAX.0;
                *count += u8::from(counts);
                counts
            }
            None if is_full => false,
            None => {
                asked.push((content, 1));
                true
            }
        }
    }

    /// Whether the relay carries so many further bytes for peers of this owner, of `max` an hour; they are counted if so.
    pub(crate) fn carries(&mut self, now: Time, owner: OwnerId, bytes: u64, max: u64) -> bool {
        let (since, carried) = self.owner(now, owner).carried.get_or_insert((now, 0));
        if now.since(*since) >= HOUR {
            (*since, *carried) = (now, 0);
        }
        let may = *carried < max && carried.saturating_add(bytes) <= max;
        *carried += if may { bytes } else { 0 };
        may
    }

    /// What counts of `bytes` that a peer of this owner says of itself, in the figure of this number, about the time since `since`: all its
    /// peers together have one line, which carries `possible` in a time. Keys are free.
    pub(crate) fn believed(
        &mut self,
        now: Time,
        owner: OwnerId,
        figure: usize,
        (since, bytes): (Time, u64),
        possible: impl Fn(Duration) -> u64,
    ) -> u64 {
        let (since, said) = self.owner(now, owner).said.get_or_insert((since, [0; FIGURES]));
        let believed = bytes.min(possible(now.since(*since)).saturating_sub(said[figure]));
        said[figure] += believed;
        believed
    }

    /// Raises a voice, if the owner has one left in this hour.
    pub(crate) fn raise(&mut self, now: Time, owner: OwnerId, voice: Voice) -> bool {
        let left = self.voices_left(now, owner, voice);
        if left {
            let voices = &mut self.owner(now, owner).voices;
            voices.retain(|(at, _)| now.since(*at) < HOUR);
            voices.push((now, voice));
        }
        left
    }

    fn voices_left(&self, now: Time, owner: OwnerId, voice: Voice) -> bool {
        let max = match voice {
            Voice::Blame => self.settings.blames_per_h,
            Voice::Doubt => self.settings.doubts_per_h,
        };
        let voices = self.all.get(&owner).map_or(&[][..], |owner| &owner.voices);
        let raised = voices.iter().filter(|(at, of)| *of == voice && now.since(*at) < HOUR).count();
        raised < max as usize
    }

    fn allowance(&self, now: Time, owner: &Owner) -> usize {
        let s = &self.settings;
        let bears_out = |w: &&Witness| w.bytes >= s.earned_bytes && now.since(w.at) < HOUR;
        let witnesses = owner.witnesses.iter().filter(bears_out).count();
        s.addresses_per_h as usize + witnesses * s.addresses_earned as usize
    }

    fn owner(&mut self, now: Time, owner: OwnerId) -> &mut Owner {
        if !self.all.contains_key(&owner) && self.all.len() >= self.settings.owners_max.max(1) {
            self.make_room(now);
        }
        self.all.entry(owner).or_default()
    }

    /// Forgets owners that are not here and took nothing of late; if there are none, one that is not here.
    fn make_room(&mut self, now: Time) {
        if now.since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.all.retain(|_, owner| {
                owner.sweep_all(now);
                owner.is_here() || !owner.met.is_empty() || !owner.voices.is_empty()
            });
        }
        if self.all.len() >= self.settings.owners_max.max(1) {
            let absent = self.all.iter().find(|(_, owner)| !owner.is_here()).map(|(id, _)| *id);
            absent.and_then(|id| self.all.remove(&id));
        }
    }
}

impl Owner {
    fn is_here(&self) -> bool {
        self.seats.iter().any(|taken| *taken > 0)
    }

    fn sweep(&mut self, now: Time) {
        if now.since(self.swept) >= SWEEP_EVERY {
            self.sweep_all(now);
        }
    }

    fn sweep_all(&mut self, now: Time) {
        self.swept = now;
        self.met.retain(|met| met.counts(now));
        self.witnesses.retain(|w| now.since(w.at) < HOUR);
        self.voices.retain(|(at, _)| now.since(*at) < HOUR);
    }
}
