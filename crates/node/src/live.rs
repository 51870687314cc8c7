//! Contents that grow: what this peer publishes live, and what its page follows. The entries are contents like any other.

use crate::Node;
use crate::output::{Event, Output};
use crate::timers::Timer;
use core::time::Duration;
use peeredge_dts::{LIVE_SIGN_EVERY_MS, LiveEntry, LiveError, LiveReader, LiveWriter};
use peeredge_wire::relay::ToRelay;
use peeredge_wire::{PeerId, RequestId, Time};
use std::collections::BTreeMap;

/// What the page tells a node about live contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveInput {
    /// Begin one under this name; one before under the same name is replaced.
    Begin {
        /// 1 to [`peeredge_wire::limits::NAME_BYTES_MAX`] bytes; otherwise nothing happens.
        name: String,
        /// Milliseconds since 1970, later than any beginning before under this node's key and the name.
        epoch_ms: u64,
    },
    /// Add a content to one that was begun.
    Append {
        /// Its name.
        name: String,
        /// What is added. It should be stored already, so that followers can get it.
        entry: LiveEntry,
    },
    /// Nothing is added any more.
    End {
        /// Its name.
        name: String,
    },
    /// The page wants to know how one grows. Answered by [`Output::Live`], as often as it does.
    Follow {
        /// The page's number for it, from the same numbers as its requests.
        follow: RequestId,
        /// Who publishes it.
        publisher: PeerId,
        /// Its name.
        name: String,
    },
    /// What time it is. Shells say so before each of the others: a clock may be set, and a machine may have slept.
    Clock {
        /// Milliseconds since 1970.
        unix_ms: u64,
    },
    /// The page no longer wants to know.
    Unfollow {
        /// Which.
        follow: RequestId,
    },
}

/// All live contents of a node.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// What the shell last said of the time, and when.
    clock: Option<(Time, u64)>,
    own: BTreeMap<String, LiveWriter>,
    follows: BTreeMap<RequestId, Follow>,
}

#[derive(Debug)]
struct Follow {
    publisher: PeerId,
    name: String,
    reader: LiveReader,
    /// Whether the page was told that its publisher contradicts itself.
    is_forked: bool,
}

impl Node {
    pub(crate) fn live_input(&mut self, input: LiveInput) {
        match input {
            LiveInput::Clock { unix_ms } => self.live.clock = Some((self.now, unix_ms)),
            LiveInput::Begin { name, epoch_ms } => self.live_begin(&name, epoch_ms),
            LiveInput::Append { name, entry } => self.live_append(&name, entry),
            LiveInput::End { name } => self.live_end(&name),
            LiveInput::Follow { follow, publisher, name } => self.follow(follow, publisher, &name),
            LiveInput::Unfollow { follow } => self.unfollow(follow),
        }
    }

    fn live_begin(&mut self, name: &str, epoch_ms: u64) {
        if let Some(writer) = LiveWriter::new(self.key.clone(), name, epoch_ms) {
            self.live.clock.get_or_insert((self.now, epoch_ms));
            self.live.own.insert(name.to_owned(), writer);
            self.tell_head(name);
        }
    }

    fn live_append(&mut self, name: &str, entry: LiveEntry) {
        if let Some(writer) = self.live.own.get_mut(name) {
            writer.append(entry);
            self.tell_head(name);
        }
    }

    /// The head stays, so that who comes later learns of the end.
    fn live_end(&mut self, name: &str) {
        if let Some(writer) = self.live.own.get_mut(name) {
            writer.end();
            self.tell_head(name);
        }
    }

    /// Milliseconds since 1970, if the shell has said what time it is.
    fn unix_ms(&self) -> Option<u64> {
        let (then, unix_ms) = self.live.clock?;
        Some(unix_ms.saturating_add(self.now.since(then).as_millis() as u64))
    }

    fn head_of(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.live.own.get(name)?.head(self.unix_ms()?))
    }

    /// What goes on is signed anew: who begins to follow must be able to tell that it does.
    pub(crate) fn live_due(&mut self) {
        let going_on = self.live.own.iter().filter(|(_, writer)| !writer.is_ended());
        let names: Vec<String> = going_on.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.tell_head(name));
    }

    fn tell_head(&mut self, name: &str) {
        let Some(head) = self.head_of(name) else { return };
        self.timers.by(Timer::Live, self.now + Duration::from_millis(LIVE_SIGN_EVERY_MS));
        self.relay_send(ToRelay::Head { name: name.to_owned(), head: head.clone() });
        // The page may follow what it publishes itself.
        self.take_head(self.id(), name, &head);
    }

    fn follow(&mut self, follow: RequestId, publisher: PeerId, name: &str) {
        let reader = LiveReader::new(publisher, name);
        self.live
            .follows
            .insert(follow, Follow { publisher, name: name.to_owned(), reader, is_forked: false });
        self.relay_send(ToRelay::Follow { publisher, name: name.to_owned() });
        if publisher == self.id()
            && let Some(head) = self.head_of(name)
        {
            self.take_head(publisher, name, &head);
        }
    }

    fn unfollow(&mut self, follow: RequestId) {
        let Some(Follow { publisher, name, .. }) = self.live.follows.remove(&follow) else { return };
        if !self.live.follows.values().any(|other| other.publisher == publisher && other.name == name) {
            self.relay_send(ToRelay::Unfollow { publisher, name });
        }
    }

    /// A head from the relay. One that is not signed is no news, whoever sent it; one that contradicts is its publisher's word.
    pub(crate) fn take_head(&mut self, publisher: PeerId, name: &str, head: &[u8]) {
        let unix_ms = self.unix_ms();
        for (&follow, of) in &mut self.live.follows {
            if of.publisher != publisher || of.name != name {
                continue;
            }
            match of.reader.take(head, unix_ms) {
                Ok(Some(news)) => self.out.push_back(Output::Live { follow, news }),
                Err(LiveError::Forked) if !of.is_forked => {
                    of.is_forked = true;
                    self.out.push_back(Output::Event(Event::LiveForked { follow }));
                }
                _ => {}
            }
        }
    }

    /// A relay keeps nothing of a peer that went.
    pub(crate) fn tell_live(&mut self) {
        let names: Vec<String> = self.live.own.keys().cloned().collect();
        for name in names {
            if let Some(head) = self.head_of(&name) {
                self.relay_send(ToRelay::Head { name, head });
            }
        }
        let follows: Vec<_> = self.live.follows.values().map(|of| (of.publisher, of.name.clone())).collect();
        for (publisher, name) in follows {
            self.relay_send(ToRelay::Follow { publisher, name });
        }
    }
}
