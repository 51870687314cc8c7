//! Who announced what. One entry per member and content; the matcher reads it and marks whom it introduced.

use crate::load::Load;
use core::fmt;
use core::time::Duration;
use peeredge_wire::{ContentId, SplitMix64, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A share of 1000 thousandths: the whole content.
pub const WHOLE_PERMILLE: u16 = 1000;
/// Introductions that an entry remembers; the oldest goes first. Worst case 1 KiB an entry.
const MET_MAX: usize = 64;
/// An introduction older than this matters to nobody.
const MET_FOR: Duration = Duration::from_secs(120);
/// Who receives says so twice a minute.
const CAME_FOR: Duration = Duration::from_secs(45);
/// Copies that are counted of all members of one owner together, in thousandths, however many it has: names are free.
const OWNER_SHARE_MAX_PERMILLE: u64 = 1000;

/// One live peer; the caller never gives the same number to two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(pub u64);

/// Bounds of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Entries of all members together; each takes about 200 bytes, and 1 KiB more once it was introduced often. Default 1,000,000.
    pub entries_max: usize,
    /// Entries of one member. Default [`peeredge_wire::limits::ANNOUNCED_CONTENTS_MAX`].
    pub entries_per_member_max: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        RegistryLimits {
            entries_max: 1_000_000,
            entries_per_member_max: peeredge_wire::limits::ANNOUNCED_CONTENTS_MAX,
        }
    }
}

/// Why an announce was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceError {
    /// The member has as many entries as it may have.
    MemberFull {
        /// The bound.
        max: usize,
    },
    /// The registry has as many entries as it may have.
    RegistryFull {
        /// The bound.
        max: usize,
    },
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnnounceError::MemberFull { max } => write!(f, "at most {max} contents a peer"),
            AnnounceError::RegistryFull { max } => write!(f, "at most {max} announced contents in all"),
        }
    }
}

impl core::error::Error for AnnounceError {}

/// What a member says of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Share of the content held, in thousandths.
    pub have_permille: u16,
    /// Introductions that it can still use.
    pub wants: u8,
    /// Whether it is the operator's own peer, whose bytes cost money.
    pub reserve: bool,
}

/// What an announce changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Entries that it added, less those that it removed.
    pub entries: i8,
    /// Whether the member now has something to give that it had not before: its first share, or the whole.
    pub more_to_give: bool,
}

/// One member's entry for one content.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) member: Member,
    pub(crate) said: Announcement,
    pub(crate) load: Load,
    /// Since when it asks and nothing came to it from others, or when that may be said again.
    pub(crate) in_vain_since: Option<Time>,
    /// Whether others bear out that it gives what it announces.
    borne_out: bool,
    pub(crate) owner: u32,
    /// Of whom this member was told, and when, oldest first. It goes with the entry: who withdraws and comes back has given up
    /// its connections and needs them again.
    met: Vec<(Member, Time)>,
}

impl Entry {
    /// Whether its member was told of `other` at or after `since`.
    pub(crate) fn met_since(&self, other: Member, since: Time) -> bool {
        self.met.iter().rev().take_while(|(_, at)| *at >= since).any(|(member, _)| *member == other)
    }
}

/// The entries of one content: those that hold it whole, then those that hold a part or nothing yet, so that the matcher can
/// draw from either in constant time. The operator's own stand apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swarm {
    pub(crate) entries: Vec<Entry>,
    pub(crate) whole: usize,
    /// Where each member's entry stands.
    places: BTreeMap<Member, usize>,
    pub(crate) reserve: Vec<Member>,
    /// Members whose wants are not yet met.
    pub(crate) waiting: BTreeSet<Member>,
    /// All but the operator's own by their owners, each as a number without order, so that one owner's can be drawn as one.
    owners: BTreeSet<(u32, Member)>,
    /// Shares that are borne out, in thousandths, by owner.
    borne_out: BTreeMap<u32, u64>,
    /// Their sum, of each owner no more than one copy.
    borne_out_permille: u64,
}

impl Swarm {
    pub(crate) fn entry(&self, member: Member) -> Option<&Entry> {
        self.entries.get(*self.places.get(&member)?)
    }

    fn entry_mut(&mut self, member: Member) -> Option<&mut Entry> {
        self.entries.get_mut(*self.places.get(&member)?)
    }

    /// Shares that others bear out, in thousandths, of each owner no more than one copy, `member`'s own left out.
    pub(crate) fn borne_out_permille(&self, member: Member) -> u64 {
        let own = self.entry(member).filter(|entry| entry.borne_out);
        let own = own.map_or(0, |entry| {
            let owners = self.borne_out.get(&entry.owner).copied().unwrap_or_default();
            let others = owners.saturating_sub(u64::from(entry.said.have_permille));
            owners.min(OWNER_SHARE_MAX_PERMILLE) - others.min(OWNER_SHARE_MAX_PERMILLE)
        });
        self.borne_out_permille.saturating_sub(own)
    }

    /// One member of each of up to `owners_max` owners, from the owner on that `draw` names.
    pub(crate) fn one_of_each_owner(&self, draw: u64, owners_max: usize) -> impl Iterator<Item = &Entry> {
        let (mut at, member) = ((draw >> 32) as u32, Member(draw & u64::from(u32::MAX)));
        let mut first = None;
        let mut found = 0;
        core::iter::from_fn(move || {
            if found == owners_max {
                return None;
            }
            let next = self.owners.range((at, Member(0))..).next().or_else(|| self.owners.first());
            let (owner, _) = *next.filter(|(owner, _)| first != Some(*owner))?;
            first.get_or_insert(owner);
            found += 1;
            at = owner.wrapping_add(1);
            // Any of its members.
            let of_owner = self.owners.range((owner, member)..=(owner, Member(u64::MAX))).next();
            let of_owner = of_owner.or_else(|| self.owners.range((owner, Member(0))..).next());
            self.entry(of_owner?.1)
        })
    }

    /// Whether members of more than one owner are here, `member` and the operator's own left out.
    pub(crate) fn has_owners_besides(&self, member: Member) -> bool {
        let mut others = self.owners.iter().filter(|(_, other)| *other != member);
        let first = others.clone().next().map(|(owner, _)| *owner);
        let last = others.next_back().map(|(owner, _)| *owner);
        first != last
    }

    /// Counts an entry's share, or no longer, if it is borne out.
    fn count_share(&mut self, at: usize, counts: bool) {
        let entry = &self.entries[at];
        if !entry.borne_out || entry.said.reserve {
            return;
        }
        let (owner, share) = (entry.owner, u64::from(entry.said.have_permille));
        let all = self.borne_out.entry(owner).or_default();
        self.borne_out_permille -= (*all).min(OWNER_SHARE_MAX_PERMILLE);
        *all = if counts { *all + share } else { *all - share };
        self.borne_out_permille += (*all).min(OWNER_SHARE_MAX_PERMILLE);
        if *all == 0 {
            self.borne_out.remove(&owner);
        }
    }

    /// Whether one of the two was told of the other at or after `since`.
    pub(crate) fn met_since(&self, a: Member, b: Member, since: Time) -> bool {
        let told = |who, whom| self.entry(who).is_some_and(|entry| entry.met_since(whom, since));
        told(a, b) || told(b, a)
    }

    /// What a member says in place of what it said before; the entry moves when it has become whole, or is no longer.
    fn say(&mut self, member: Member, said: Announcement) {
        let Some(at) = self.places.get(&member).copied() else { return };
        let before = self.entries[at].said;
        if is_whole(&before) != is_whole(&said) || before.reserve != said.reserve {
            let entry = self.cut(at);
            return self.put(Entry { said, ..entry });
        }
        self.count_share(at, false);
        self.entries[at].said = said;
        self.count_share(at, true);
        match (before.wants > 0, said.wants > 0) {
            (false, true) => _ = self.waiting.insert(member),
            (true, false) => _ = self.waiting.remove(&member),
            _ => {}
        }
    }

    fn put(&mut self, entry: Entry) {
        let (member, said) = (entry.member, entry.said);
        if said.reserve {
            self.reserve.push(member);
        } else {
            self.owners.insert((entry.owner, member));
        }
        if said.wants > 0 {
            self.waiting.insert(member);
        }
        self.entries.push(entry);
        let mut at = self.entries.len() - 1;
        if is_whole(&said) {
            self.entries.swap(at, self.whole);
            self.places.insert(self.entries[at].member, at);
            at = self.whole;
            self.whole += 1;
        }
        self.places.insert(member, at);
        self.count_share(at, true);
    }

    fn cut(&mut self, mut at: usize) -> Entry {
        self.count_share(at, false);
        if at < self.whole {
            // The last whole one fills the gap, and the gap moves to the border.
            self.whole -= 1;
            self.entries.swap(at, self.whole);
            self.places.insert(self.entries[at].member, at);
            at = self.whole;
        }
        let entry = self.entries.swap_remove(at);
        if let Some(other) = self.entries.get(at) {
            self.places.insert(other.member, at);
        }
        self.places.remove(&entry.member);
        if entry.said.reserve {
            self.reserve.retain(|m| *m != entry.member);
        } else {
            self.owners.remove(&(entry.owner, entry.member));
        }
        self.waiting.remove(&entry.member);
        entry
    }
}

/// Contents to holders and holders to contents.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    limits: RegistryLimits,
    swarms: BTreeMap<ContentId, Swarm>,
    members: BTreeMap<Member, BTreeSet<ContentId>>,
    /// Who stands behind a member; one that is not named here stands for itself.
    owners: BTreeMap<Member, u32>,
    entries: usize,
}

impl Registry {
    /// An empty registry.
    pub fn new(limits: RegistryLimits) -> Self {
        Registry { limits, ..Registry::default() }
    }

    /// Who stands behind a member, to be said before its first announce.
    pub fn set_owner(&mut self, member: Member, owner: u32) {
        self.owners.insert(member, owner);
    }

    /// Whoever stands behind a member, as a number that says nothing about its neighbours.
    pub(crate) fn owner(&self, member: Member) -> u32 {
        // Owners have even numbers, those that stand for themselves odd ones.
        match self.owners.get(&member) {
            Some(owner) => spread(u64::from(*owner)) & !1,
            None => spread(!member.0) | 1,
        }
    }

    /// Others bear out that `member` gives of `content` what it announces.
    pub fn bear_out(&mut self, member: Member, content: ContentId) {
        let Some(swarm) = self.swarms.get_mut(&content) else { return };
        if let Some(at) = swarm.places.get(&member).copied()
            && !swarm.entries[at].borne_out
        {
            swarm.entries[at].borne_out = true;
            swarm.count_share(at, true);
        }
    }

    /// Something of `content` came to `member` from others: it does not ask in vain, for a while.
    pub fn came(&mut self, now: Time, member: Member, content: ContentId) {
        if let Some(entry) = self.swarms.get_mut(&content).and_then(|swarm| swarm.entry_mut(member)) {
            entry.in_vain_since = Some(now + CAME_FOR);
        }
    }

    /// `member` asks for introductions. Gives since when it asks in vain, which may lie ahead.
    pub(crate) fn asks(&mut self, now: Time, member: Member, content: ContentId) -> Time {
        let entry = self.swarms.get_mut(&content).and_then(|swarm| swarm.entry_mut(member));
        entry.map_or(now, |entry| *entry.in_vain_since.get_or_insert(now))
    }

    /// Takes what `member` says of `content`, in place of what it said before. A member that holds nothing and wants
    /// nothing is withdrawn. The operator's own members are bound only by the registry as a whole.
    pub fn announce(
        &mut self,
        member: Member,
        content: ContentId,
        said: Announcement,
    ) -> Result<Announced, AnnounceError> {
        if said.have_permille == 0 && said.wants == 0 {
            let entries = -i8::from(self.withdraw(member, content));
            return Ok(Announced { entries, more_to_give: false });
        }
        let before = self.said(member, content);
        if before.is_none() {
            let owned = self.members.get(&member).map_or(0, BTreeSet::len);
            if owned >= self.limits.entries_per_member_max && !said.reserve {
                return Err(AnnounceError::MemberFull { max: self.limits.entries_per_member_max });
            }
            if self.entries >= self.limits.entries_max {
                return Err(AnnounceError::RegistryFull { max: self.limits.entries_max });
            }
            self.members.entry(member).or_default().insert(content);
            self.entries += 1;
        }
        let owner = self.owner(member);
        let swarm = self.swarms.entry(content).or_default();
        match before {
            Some(_) => swarm.say(member, said),
            None => swarm.put(Entry {
                member,
                said,
                load: Load::default(),
                in_vain_since: None,
                borne_out: false,
                owner,
                met: Vec::new(),
            }),
        }
        let had = before.map_or(0, |b| b.have_permille);
        let first = had == 0 && said.have_permille > 0;
        let whole = had < WHOLE_PERMILLE && said.have_permille >= WHOLE_PERMILLE;
        Ok(Announced { entries: i8::from(before.is_none()), more_to_give: first || whole })
    }

    /// Forgets what `member` said of `content`. Gives whether there was something.
    pub fn withdraw(&mut self, member: Member, content: ContentId) -> bool {
        let Some(swarm) = self.swarms.get_mut(&content) else { return false };
        let Some(at) = swarm.places.get(&member).copied() else { return false };
        swarm.cut(at);
        if swarm.entries.is_empty() {
            self.swarms.remove(&content);
        }
        if let Some(own) = self.members.get_mut(&member) {
            own.remove(&content);
            if own.is_empty() {
                self.members.remove(&member);
            }
        }
        self.entries -= 1;
        true
    }

    /// Forgets all that `member` said, in time proportional to it. Gives how many contents that were.
    pub fn remove(&mut self, member: Member) -> usize {
        let contents = self.members.get(&member).cloned().unwrap_or_default();
        for content in &contents {
            self.withdraw(member, *content);
        }
        self.owners.remove(&member);
        contents.len()
    }

    /// What `member` last said of `content`, its wants less the introductions it was given since.
    pub fn said(&self, member: Member, content: ContentId) -> Option<Announcement> {
        Some(self.entry(member, content)?.said)
    }

    /// How many contents `member` announces.
    pub fn contents_of(&self, member: Member) -> usize {
        self.members.get(&member).map_or(0, BTreeSet::len)
    }

    /// Contents that somebody announces.
    pub fn contents(&self) -> usize {
        self.swarms.len()
    }

    /// Entries of all members.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Members that announce `content`, in no order that means anything.
    pub fn members_of(&self, content: ContentId) -> impl Iterator<Item = (Member, Announcement)> + '_ {
        self.swarms
            .get(&content)
            .into_iter()
            .flat_map(|swarm| swarm.entries.iter().map(|e| (e.member, e.said)))
    }

    pub(crate) fn swarm(&self, content: ContentId) -> Option<&Swarm> {
        self.swarms.get(&content)
    }

    /// Notes that `to` was told of `of`.
    pub(crate) fn note(&mut self, now: Time, to: Member, of: Member, content: ContentId) {
        // Neither moves to another place in the swarm by this.
        let Some(swarm) = self.swarms.get_mut(&content) else { return };
        if let Some(entry) = swarm.entry_mut(of) {
            entry.load.add(now);
        }
        let Some(entry) = swarm.entry_mut(to) else { return };
        entry.said.wants = entry.said.wants.saturating_sub(1);
        entry.load.add(now);
        if entry.met.len() == entry.met.capacity() {
            entry.met.retain(|(_, at)| now.since(*at) < MET_FOR);
            entry.met.shrink_to(2 * entry.met.len());
        }
        if entry.met.len() == MET_MAX {
            entry.met.remove(0);
        }
        entry.met.push((of, now));
        if entry.said.wants == 0 {
            swarm.waiting.remove(&to);
        }
    }

    pub(crate) fn entry(&self, member: Member, content: ContentId) -> Option<&Entry> {
        self.swarms.get(&content)?.entry(member)
    }
}

/// Neighbouring numbers come to lie far from each other (the finaliser of SplitMix64).
fn spread(number: u64) -> u32 {
    (SplitMix64::new(number).next_u64() >> 32) as u32
}

fn is_whole(said: &Announcement) -> bool {
    said.have_permille >= WHOLE_PERMILLE && !said.reserve
}
