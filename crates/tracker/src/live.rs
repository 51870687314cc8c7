//! Live contents: the latest head of each, and who follows it. Only the latest is passed on, at a pace, so that a publisher that says
//! much in one second costs its followers and the relay no more than one that does not.

use crate::bucket::Bucket;
use crate::io::ConnId;
use core::time::Duration;
use peeredge_wire::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Heads of one live content that are passed on a second, and at once after a quiet time: a publisher ends a part every second or two.
const PACE: (u32, u32) = (2, 4);
/// A head that came too soon is passed on so much later, or the next one in its place.
const TOO_SOON: Duration = Duration::from_millis(500);
/// Until followers are tried again whose network has had as many heads as it takes.
const LATE_AGAIN: Duration = Duration::from_secs(1);

pub(crate) type Topic = (PeerId, String);

/// All live contents that somebody here publishes or follows. A head stays until its publisher and all followers are gone.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    topics: BTreeMap<Topic, State>,
    by_conn: BTreeMap<ConnId, BTreeSet<Topic>>,
    /// Live contents with followers that have not been told of the latest head, by when they are to be.
    due: BTreeSet<(Time, Topic)>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Vec<u8>>,
    publisher: Option<ConnId>,
    followers: BTreeSet<ConnId>,
    /// Those that do not have the latest head.
    late: BTreeSet<ConnId>,
    due: Option<Time>,
    pace: Option<Bucket>,
}

/// A head on its way to its followers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    pub(crate) topic: Topic,
    pub(crate) head: Vec<u8>,
    pub(crate) to: Vec<ConnId>,
}

impl Lives {
    /// Takes a head of the connection's own peer, to be passed on when it is due.
    pub(crate) fn head(&mut self, now: Time, conn: ConnId, topic: Topic, head: &[u8]) {
        self.enter(conn, &topic);
        let state = self.topics.entry(topic.clone()).or_default();
        state.head = Some(head.to_vec());
        state.publisher = Some(conn);
        state.late = state.followers.clone();
        if !state.late.is_empty() {
            let pace = state.pace.get_or_insert_with(|| Bucket::full(now, PACE.0, PACE.1));
            let at = if state.due.is_none() && pace.take(now, 1) { now } else { now + TOO_SOON };
            self.schedule(at, &topic);
        }
    }

    /// Gives the latest head, if there is one and the follower's network `takes` so many bytes now: else it comes later.
    pub(crate) fn follow(
        &mut self,
        now: Time,
        conn: ConnId,
        topic: &Topic,
        takes: impl FnOnce(usize) -> bool,
    ) -> Option<Vec<u8>> {
        self.enter(conn, topic);
        let state = self.topics.entry(topic.clone()).or_default();
        state.followers.insert(conn);
        let head = state.head.as_ref()?;
        if takes(head.len()) {
            state.late.remove(&conn);
            return Some(head.clone());
        }
        state.late.insert(conn);
        self.schedule(now + LATE_AGAIN, topic);
        None
    }

    /// Gives whether the connection has no longer to do with this live content.
    pub(crate) fn unfollow(&mut self, conn: ConnId, topic: &Topic) -> bool {
        let Some(state) = self.topics.get_mut(topic) else { return false };
        state.followers.remove(&conn);
        state.late.remove(&conn);
        if state.publisher == Some(conn) {
            return false;
        }
        let was = self.by_conn.get_mut(&conn).is_some_and(|topics| topics.remove(topic));
        self.drop_unused(topic);
        was
    }

    /// Gives how many live contents it had to do with.
    pub(crate) fn forget(&mut self, conn: ConnId) -> usize {
        let topics = self.by_conn.remove(&conn).unwrap_or_default();
        for topic in &topics {
            if let Some(state) = self.topics.get_mut(topic) {
                state.followers.remove(&conn);
                state.late.remove(&conn);
                if state.publisher == Some(conn) {
                    state.publisher = None;
                }
            }
            self.drop_unused(topic);
        }
        topics.len()
    }

    /// Whether a connection publishes or follows this one.
    pub(crate) fn has(&self, conn: ConnId, topic: &Topic) -> bool {
        self.by_conn.get(&conn).is_some_and(|topics| topics.contains(topic))
    }

    /// Live contents that a connection publishes or follows.
    pub(crate) fn of(&self, conn: ConnId) -> usize {
        self.by_conn.get(&conn).map_or(0, BTreeSet::len)
    }

    /// Live contents known.
    pub(crate) fn count(&self) -> usize {
        self.topics.len()
    }

    /// When the next head is to be passed on.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A head that is due now, to followers that `takes` says may have it; the others get the latest one later.
    pub(crate) fn due(&mut self, now: Time, mut takes: impl FnMut(ConnId, usize) -> bool) -> Option<Passing> {
        let (at, topic) = self.due.first().cloned().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, topic.clone()));
        let state = self.topics.get_mut(&topic)?;
        state.due = None;
        let head = state.head.clone()?;
        let (to, late): (Vec<ConnId>, Vec<ConnId>) =
            state.late.iter().partition(|conn| takes(**conn, head.len()));
        state.late = late.into_iter().collect();
        if !state.late.is_empty() {
            self.schedule(now + LATE_AGAIN, &topic);
        }
        Some(Passing { topic, head, to })
    }

    fn schedule(&mut self, at: Time, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if let Some(before) = state.due {
            if before <= at {
                return;
            }
            self.due.remove(&(before, topic.clone()));
        }
        state.due = Some(at);
        self.due.insert((at, topic.clone()));
    }

    fn enter(&mut self, conn: ConnId, topic: &Topic) {
        self.by_conn.entry(conn).or_default().insert(topic.clone());
    }

    fn drop_unused(&mut self, topic: &Topic) {
        if let Some(state) = self.topics.get(topic)
            && state.publisher.is_none()
            && state.followers.is_empty()
        {
            if let Some(at) = state.due {
                self.due.remove(&(at, topic.clone()));
            }
            self.topics.remove(topic);
        }
    }
}
