//! Live contents: the latest head of each, and who follows it.

use crate::io::ConnId;
use peeredge_wire::PeerId;
use std::collections::{BTreeMap, BTreeSet};

type Topic = (PeerId, String);

/// All live contents that somebody here publishes or follows. A head stays until its publisher and all followers are gone.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    topics: BTreeMap<Topic, State>,
    by_conn: BTreeMap<ConnId, BTreeSet<Topic>>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Vec<u8>>,
    publisher: Option<ConnId>,
    followers: BTreeSet<ConnId>,
}

impl Lives {
    /// Takes a head of the connection's own peer. Gives who is to be told; none when it has too many live contents.
    pub(crate) fn head(
        &mut self,
        conn: ConnId,
        topic: Topic,
        head: &[u8],
        topics_max: usize,
    ) -> Option<Vec<ConnId>> {
        self.enter(conn, &topic, topics_max)?;
        let state = self.topics.entry(topic).or_default();
        state.head = Some(head.to_vec());
        state.publisher = Some(conn);
        Some(state.followers.iter().copied().collect())
    }

    /// Gives the latest head, if there is one; none when the connection has too many live contents.
    pub(crate) fn follow(&mut self, conn: ConnId, topic: Topic, topics_max: usize) -> Option<Option<&[u8]>> {
        self.enter(conn, &topic, topics_max)?;
        let state = self.topics.entry(topic).or_default();
        state.followers.insert(conn);
        Some(state.head.as_deref())
    }

    pub(crate) fn unfollow(&mut self, conn: ConnId, topic: &Topic) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        state.followers.remove(&conn);
        if state.publisher == Some(conn) {
            return;
        }
        if let Some(topics) = self.by_conn.get_mut(&conn) {
            topics.remove(topic);
        }
        self.drop_unused(topic);
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        for topic in self.by_conn.remove(&conn).unwrap_or_default() {
            if let Some(state) = self.topics.get_mut(&topic) {
                state.followers.remove(&conn);
                if state.publisher == Some(conn) {
                    state.publisher = None;
                }
            }
            self.drop_unused(&topic);
        }
    }

    fn enter(&mut self, conn: ConnId, topic: &Topic, topics_max: usize) -> Option<()> {
        let topics = self.by_conn.entry(conn).or_default();
        if !topics.contains(topic) && topics.len() >= topics_max {
            return None;
        }
        topics.insert(topic.clone());
        Some(())
    }

    fn drop_unused(&mut self, topic: &Topic) {
        if self.topics.get(topic).is_some_and(|state| state.publisher.is_none() && state.followers.is_empty())
        {
            self.topics.remove(topic);
        }
    }

    /// Live contents known.
    pub(crate) fn count(&self) -> usize {
        self.topics.len()
    }
}
