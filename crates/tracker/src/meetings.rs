//! Whom one peer was introduced to, whichever of the two was told, and what became of it.
//!
//! Signals, sessions through the relay, blames and doubts all need this: two that were not brought together have nothing to say to
//! each other, and nothing of each other.

use core::time::Duration;
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::BTreeMap;

/// Introductions remembered for one peer, each about 300 bytes at most.
const MEETINGS_MAX: usize = 512;
/// Sessions of one peer with another that are known; the oldest goes first. Two have as many connections at most.
const SESSIONS_MAX: usize = 16;

/// One peer's introductions.
#[derive(Debug, Default)]
pub(crate) struct Meetings(BTreeMap<PeerId, Meeting>);

/// What became of one.
#[derive(Debug)]
pub(crate) struct Meeting {
    /// When the two were first introduced, and when last.
    pub(crate) first: Time,
    pub(crate) last: Time,
    /// Whether this peer signalled the other one, and whether both did so.
    pub(crate) signalled: bool,
    pub(crate) contact: bool,
    content: ContentId,
    /// Whether the other one said that it holds something.
    holds: bool,
    /// Whether this peer was told of the other one, and not the other way round.
    told: bool,
    /// Whether this peer said what became of it, and when it opened.
    said: bool,
    opened: Option<Time>,
    /// Whether something came, or it was noted that nothing did.
    judged: bool,
    /// When this peer's last receipt for the other one counted.
    pub(crate) receipted: Option<Time>,
    sessions: Vec<u64>,
}

impl Meeting {
    /// Whether the two may still signal each other by this alone.
    pub(crate) fn is_recent(&self, now: Time, within: Duration) -> bool {
        now.since(self.last) < within
    }

    /// Whether signals of this session passed before.
    pub(crate) fn knows(&self, session: u64) -> bool {
        self.sessions.contains(&session)
    }

    /// This peer sends a signal of this session.
    pub(crate) fn signals(&mut self, session: u64) {
        self.signalled = true;
        if !self.knows(session) {
            if self.sessions.len() == SESSIONS_MAX {
                self.sessions.remove(0);
            }
            self.sessions.push(session);
        }
    }
}

impl Meetings {
    /// The two are introduced; `told` of them is the one that was told of the other, which holds something or not.
    pub(crate) fn add(&mut self, now: Time, peer: PeerId, content: ContentId, told: bool, holds: bool) {
        if let Some(known) = self.0.get_mut(&peer) {
            known.last = now;
            if told {
                (known.content, known.holds, known.told) = (content, holds, true);
                (known.said, known.opened, known.judged) = (false, None, false);
            }
            return;
        }
        self.make_room();
        let meeting = Meeting {
            first: now,
            last: now,
            signalled: false,
            contact: false,
            content,
            holds,
            told,
            said: false,
            opened: None,
            judged: false,
            receipted: None,
            sessions: Vec::new(),
        };
        self.0.insert(peer, meeting);
    }

    pub(crate) fn get(&self, other: &PeerId) -> Option<&Meeting> {
        self.0.get(other)
    }

    pub(crate) fn get_mut(&mut self, other: &PeerId) -> Option<&mut Meeting> {
        self.0.get_mut(other)
    }

    /// The peer says what became of an introduction that it was told of and took up. Gives whether that is news.
    pub(crate) fn met(&mut self, now: Time, other: &PeerId, opened: bool) -> bool {
        match self.0.get_mut(other) {
            Some(meeting) if meeting.told && meeting.signalled && !meeting.said => {
                (meeting.said, meeting.opened) = (true, opened.then_some(now));
                true
            }
            _ => false,
        }
    }

    /// Something came.
    pub(crate) fn came(&mut self, from: &PeerId) {
        if let Some(meeting) = self.0.get_mut(from) {
            meeting.judged = true;
        }
    }

    /// Holders whose connection opened so long ago and from whom nothing came, each once.
    pub(crate) fn nothing_came(&mut self, now: Time, within: Duration) -> Vec<(PeerId, ContentId)> {
        let late = |m: &Meeting| {
            m.holds && m.contact && !m.judged && m.opened.is_some_and(|opened| now.since(opened) >= within)
        };
        let mut found = Vec::new();
        for (peer, meeting) in self.0.iter_mut().filter(|(_, m)| late(m)) {
            meeting.judged = true;
            found.push((*peer, meeting.content));
        }
        found
    }

    /// The one introduced least recently goes, those that led to nothing first.
    fn make_room(&mut self) {
        if self.0.len() >= MEETINGS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, m)| (m.contact, m.last)).map(|(peer, _)| *peer);
            oldest.and_then(|peer| self.0.remove(&peer));
        }
    }
}
