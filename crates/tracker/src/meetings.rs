//! Of whom one peer was told, and what became of it.

use core::time::Duration;
use peeredge_wire::{ContentId, PeerId, Time};
use std::collections::VecDeque;

/// Introductions remembered for one peer, the oldest goes first.
const MEETINGS_MAX: usize = 64;

/// One peer's introductions, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Meetings(VecDeque<Meeting>);

#[derive(Debug)]
struct Meeting {
    peer: PeerId,
    content: ContentId,
    /// Whether the other one said that it holds something.
    holds: bool,
    /// Whether the peer said what became of it, and when it opened.
    told: bool,
    opened: Option<Time>,
    /// Whether something came, or it was noted that nothing did.
    judged: bool,
}

impl Meetings {
    pub(crate) fn add(&mut self, peer: PeerId, content: ContentId, holds: bool) {
        if self.0.len() >= MEETINGS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Meeting { peer, content, holds, told: false, opened: None, judged: false });
    }

    /// Whether the peer was told of `other`.
    pub(crate) fn has(&self, other: &PeerId) -> bool {
        self.0.iter().any(|meeting| meeting.peer == *other)
    }

    /// The peer says what became of it. Gives whether that is news.
    pub(crate) fn met(&mut self, now: Time, other: &PeerId, opened: bool) -> bool {
        let mut news = false;
        for meeting in self.0.iter_mut().filter(|m| m.peer == *other && !m.told) {
            (meeting.told, meeting.opened, news) = (true, opened.then_some(now), true);
        }
        news
    }

    /// Something came.
    pub(crate) fn came(&mut self, from: &PeerId) {
        self.0.iter_mut().filter(|m| m.peer == *from).for_each(|m| m.judged = true);
    }

    /// Holders whose connection opened so long ago and from whom nothing came, each once.
    pub(crate) fn nothing_came(&mut self, now: Time, within: Duration) -> Vec<(PeerId, ContentId)> {
        let late = |m: &&mut Meeting| {
            m.holds && !m.judged && m.opened.is_some_and(|opened| now.since(opened) >= within)
        };
        let mut found = Vec::new();
        for meeting in self.0.iter_mut().filter(late) {
            meeting.judged = true;
            found.push((meeting.peer, meeting.content));
        }
        found
    }
}
