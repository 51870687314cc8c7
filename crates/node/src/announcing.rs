//! What the relay is told that this node holds and wants: what is new first, at a pace that the relay grants.

use crate::Node;
use crate::asking::order;
use crate::timers::Timer;
use core::time::Duration;
use peeredge_wire::limits::ANNOUNCES_PER_FRAME_MAX;
use peeredge_wire::relay::{Holding, ToRelay};
use peeredge_wire::{ContentId, Time};
use std::collections::BTreeSet;

/// Contents in one announce that ask for nobody count as one frame.
const QUIET_PER_FRAME: u64 = 16;
/// Announces that must wait for the relay's limit are looked at again after this.
const ANNOUNCE_PACE: Duration = Duration::from_secs(1);
/// Contents that give way after one refusal: each takes a frame.
const GIVE_WAY_MAX: usize = 32;
pub(crate) const ANNOUNCE_FIRST: Duration = Duration::from_secs(1);
const ANNOUNCE_MAX: Duration = Duration::from_secs(30);
/// Introductions that one announce asks for.
const INTRODUCTIONS: u8 = 8;

/// What may still be announced without passing the relay's limit, in contents that ask for nobody. Announces take half of what the
/// relay grants: whatever else there is to say has the other half.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    left: u64,
    burst: u64,
    per_s: u64,
    at: Time,
}

impl Pace {
    pub(crate) fn new(now: Time, per_s: u16, burst: u16) -> Self {
        let half = |frames: u16| (u64::from(frames) * QUIET_PER_FRAME / 2).max(QUIET_PER_FRAME);
        Pace { left: half(burst), burst: half(burst), per_s: half(per_s), at: now }
    }

    /// Whether there is no room now to ask for anybody.
    fn is_short(&self) -> bool {
        self.left < QUIET_PER_FRAME
    }

    fn take(&mut self, now: Time, asks: bool, again: bool) -> bool {
        let came = now.since(self.at).as_millis() as u64 * self.per_s / 1000;
        if came > 0 {
            self.left = self.left.saturating_add(came).min(self.burst);
            self.at = now;
        }
        let cost = if asks { QUIET_PER_FRAME } else { 1 };
        // What the relay knows already is repeated only when nothing new waits for its turn.
        let fits = self.left >= if again { cost.max(self.burst / 2) } else { cost };
        self.left -= if fits { cost } else { 0 };
        fits
    }
}

/// What is wanted before what is held, of these what was used last.
fn rank(wanted: bool, last_used: u64) -> u64 {
    (u64::from(wanted) << 62) | last_used.min((1 << 62) - 1)
}

impl Node {
    /// Announces this content soon.
    pub(crate) fn announce_soon(&mut self, content: ContentId) {
        if let Some(content) = self.contents.get_mut(&content) {
            content.announce_at = self.now;
            content.announce_wait = ANNOUNCE_FIRST;
            self.timers.by(Timer::Announce, self.now);
        }
    }

    /// What the relay did not take of these is said again when it may be.
    pub(crate) fn announce_again<'a>(
        &mut self,
        after_ms: u32,
        contents: impl Iterator<Item = &'a ContentId>,
    ) {
        let at = self.now + Duration::from_millis(u64::from(after_ms.max(1)));
        for content in contents {
            if let Some(content) = self.contents.get_mut(content) {
                content.announced = None;
                content.announce_at = at;
                self.timers.by(Timer::Announce, at);
            }
        }
    }

    /// The relay takes no more contents of this peer: those used last have the places.
    pub(crate) fn give_way(&mut self, after_ms: u32, contents: Vec<ContentId>) {
        let wanted = self.asked_for();
        let mut refused = BTreeSet::new();
        contents.into_iter().for_each(|id| _ = refused.insert(id));
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        let (mut places, mut others) = (Vec::new(), Vec::new());
        for (at, (id, c)) in self.contents.iter().enumerate() {
            let ranked = (rank(wanted.contains(id), c.last_used), at as u32);
            if c.announced.is_some() {
                places.push(ranked);
            } else if refused.contains(id) {
                others.push(ranked);
            }
        }
        order(&mut places);
        order(&mut others);
        for ((least, of), (better, by)) in places.into_iter().zip(others.into_iter().rev()).take(GIVE_WAY_MAX)
        {
            if better <= least {
                break;
            }
            let (least, other) = (ids[of as usize], ids[by as usize]);
            self.relay_send(ToRelay::Withdraw { content: least });
            self.announce_again(after_ms, [least].iter());
            self.announce_again(0, [other].iter());
        }
    }

    /// Whether the relay was not asked for this content yet, as others had their turn before it.
    pub(crate) fn waits_to_be_announced(&self, id: ContentId) -> bool {
        self.relay.is_ready()
            && self.relay.pace.is_short()
            && self.contents.get(&id).is_some_and(|c| c.announced.is_none())
    }

    /// The contents that a request waits for.
    fn asked_for(&self) -> BTreeSet<ContentId> {
        let mut asked = BTreeSet::new();
        for request in self.requests.values() {
            if self.contents.get(&request.content).is_some_and(|c| !c.is_whole()) {
                asked.insert(request.content);
            }
        }
        asked
    }

    /// Announces every content whose time has come and whose announce would say something new or ask for introductions: first what is
    /// wanted and what the relay does not know yet, of these what was used last. What the relay's limit leaves no room for comes later.
    pub(crate) fn announce_due(&mut self) {
        if !self.relay.is_ready() {
            return;
        }
        let own = self.relay.relay == Some(self.id());
        let asked_for = self.asked_for();
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        let mut due = Vec::new();
        for (at, (id, content)) in self.contents.iter().enumerate() {
            if content.announce_at > self.now {
                self.timers.by(Timer::Announce, content.announce_at);
            } else {
                let new = u64::from(content.announced.is_none()) << 63;
                due.push((new | rank(asked_for.contains(id), content.last_used), at as u32));
            }
        }
        order(&mut due);
        let (mut messages, mut said) = (Vec::new(), Vec::new());
        for (_, at) in due.into_iter().rev() {
            let id = ids[at as usize];
            let wanted = asked_for.contains(&id);
            let Some(content) = self.contents.get_mut(&id) else { continue };
            let now = (content.have_permille(), if wanted { INTRODUCTIONS } else { 0 });
            if now == (0, 0) {
                content.announce_at = Time::NEVER;
                if content.announced.take().is_some() {
                    messages.push(ToRelay::Withdraw { content: id });
                }
                continue;
            }
            let news = wanted || content.announced != Some(now);
            // The relay's own node is bound by no limit.
            if news && !own && !self.relay.pace.take(self.now, wanted, content.announced.is_some()) {
                content.announce_at = self.now + ANNOUNCE_PACE;
                self.timers.by(Timer::Announce, content.announce_at);
                continue;
            }
            if let (true, Some(layout), None) = (own, content.layout(), content.announced) {
                messages.push(ToRelay::Length { content: id, bytes: layout.length() });
            }
            if news {
                content.announced = Some(now);
                said.push(Holding { content: id, have_permille: now.0, wants: now.1 });
            }
            content.announce_at = if wanted { self.now + content.announce_wait } else { Time::NEVER };
            content.announce_wait = (content.announce_wait * 2).min(ANNOUNCE_MAX);
            self.timers.by(Timer::Announce, content.announce_at);
        }
        messages.into_iter().for_each(|m| self.relay_send(m));
        for said in said.chunks(ANNOUNCES_PER_FRAME_MAX) {
            self.relay_send(match *said {
                [Holding { content, have_permille, wants }] => {
                    ToRelay::Announce { content, have_permille, wants }
                }
                _ => ToRelay::Announces(said.to_vec()),
            });
        }
    }
}
