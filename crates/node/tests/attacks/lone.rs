//! A victim alone with its relay, and strangers that the relay let through to it.

use crate::world::Stored;
use core::time::Duration;
use peeredge_node::{Config, Event, Input, Node, Output, RangeSpec};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::relay::{FromRelay, ToRelay};
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION, PeerId, RequestId, Time};
use std::collections::BTreeMap;

pub struct Lone {
    pub node: Node,
    pub now: Time,
    pub outs: Vec<Output>,
}

/// A stranger's id.
pub fn stranger(n: u8) -> PeerId {
    PeerId([n; 32])
}

impl Lone {
    pub fn new(change: impl FnOnce(&mut Config)) -> Lone {
        let mut config = Config::new([1; 32], 1);
        config.http = false;
        change(&mut config);
        let mut lone = Lone { node: Node::new(config), now: Time::from_millis(1), outs: Vec::new() };
        lone.input(Input::RelayOpened);
        lone.relay(FromRelay::Challenge { nonce: [7; 32], relay: PeerId([0; 32]) });
        lone.relay(FromRelay::Welcome {
            version: PROTOCOL_VERSION,
            report_every_s: 30,
            frames_per_s: 50,
            frames_burst: 400,
        });
        lone.outs.clear();
        lone
    }

    pub fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            self.outs.push(output);
        }
    }

    pub fn relay(&mut self, message: FromRelay) {
        self.input(Input::RelayMessage(message.encode()));
    }

    /// A stranger offers, and its channel opens if it is let in. Sessions of one stranger differ.
    pub fn offer(&mut self, n: u8, session: u64) -> Option<ConnectionId> {
        self.outs.retain(|output| !matches!(output, Output::Open { .. }));
        self.relay(FromRelay::Signal { from: stranger(n), session, signal: b"offer".to_vec() });
        let opened = self.outs.iter().find_map(|output| match output {
            Output::Open { connection, peer, .. } if *peer == stranger(n) => Some(*connection),
            _ => None,
        });
        let connection = opened?;
        self.input(Input::Opened { connection, credit_bytes: 1 << 30 });
        self.say(connection, &PeerMessage::Greet { version: PROTOCOL_VERSION });
        Some(connection)
    }

    pub fn stranger(&mut self, n: u8, session: u64) -> ConnectionId {
        self.offer(n, session).expect("the stranger is let in")
    }

    pub fn say(&mut self, connection: ConnectionId, message: &PeerMessage<'_>) {
        self.input(Input::Message { connection, message: message.encode() });
    }

    pub fn wake(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.input(Input::Wake);
    }

    pub fn is_open(&self, n: u8) -> bool {
        self.node.stats().peers.iter().any(|p| p.peer == stranger(n) && p.open)
    }

    /// The page asks for all of a content, and reads it as it comes.
    pub fn fetch(&mut self, request: u32, content: ContentId) {
        self.input(Input::Fetch { request: RequestId(request), content, range: RangeSpec::Whole });
        self.input(Input::Pull { request: RequestId(request), bytes: 1 << 40 });
    }

    /// What the node has sent to a connection since the outputs were last cleared.
    pub fn sent(&self, to: ConnectionId) -> Vec<Vec<u8>> {
        let to_it = |output: &Output| match output {
            Output::Send { connection, message } if *connection == to => Some(message.clone()),
            _ => None,
        };
        self.outs.iter().filter_map(to_it).collect()
    }

    /// The stranger says that it holds everything, and answers questions for the manifest and records truly; nothing else.
    pub fn opens_up(&mut self, connection: ConnectionId, content: ContentId, stored: &Stored, blocks: u32) {
        self.say(connection, &PeerMessage::Manifest { content, bytes: &stored.manifest });
        let bits = vec![255; blocks.div_ceil(8) as usize];
        self.say(connection, &PeerMessage::HaveBlocks { content, first: 0, bits: &bits });
        // News are looked at a few milliseconds after those before.
        self.wake(10);
        self.gives_records(connection, stored);
    }

    pub fn gives_records(&mut self, connection: ConnectionId, stored: &Stored) {
        let layout = layout_of(stored);
        let asked: Vec<(ContentId, u32)> = self
            .sent(connection)
            .iter()
            .filter_map(|message| match PeerMessage::decode(message) {
                Ok(PeerMessage::AskRecord { content, block }) => Some((content, block)),
                _ => None,
            })
            .collect();
        for (content, block) in asked {
            let range = layout.record_range(block);
            let bytes = &stored.records[range.start as usize..range.end as usize];
            self.say(connection, &PeerMessage::Record { content, block, bytes });
        }
    }

    /// Whom the node has named to its page, how often, and whether for coded symbols.
    pub fn named(&self) -> BTreeMap<PeerId, (u32, bool)> {
        let mut named = BTreeMap::new();
        for output in &self.outs {
            if let Output::Event(Event::PeerBlamed { peer, coded, .. }) = output {
                let entry = named.entry(*peer).or_insert((0, *coded));
                entry.0 += 1;
            }
        }
        named
    }

    /// How many peers the node has let go.
    pub fn let_go(&self) -> usize {
        self.outs.iter().filter(|output| matches!(output, Output::Event(Event::PeerLetGo { .. }))).count()
    }

    /// Whom the node has accused at its relay.
    pub fn accused(&self) -> Vec<PeerId> {
        let accused = |output: &Output| match output {
            Output::RelaySend(frame) => match ToRelay::decode(frame) {
                Ok(ToRelay::Blame { accused, .. }) => Some(accused),
                _ => None,
            },
            _ => None,
        };
        self.outs.iter().filter_map(accused).collect()
    }
}

pub fn layout_of(stored: &Stored) -> peeredge_dts::Layout {
    let content = ContentId(*blake3::hash(&stored.manifest).as_bytes());
    *peeredge_dts::Manifest::decode(&content, &stored.manifest).expect("its own").layout()
}

/// One source symbol's bytes.
pub fn source(stored: &Stored, block: u32, index: u32) -> &[u8] {
    let range = layout_of(stored).symbol_range(block, index);
    &stored.data[range.start as usize..range.end as usize]
}
