//! One node alone with its relay, whose every output a test sees, and strangers that say what they like.

use crate::world::{Stored, bytes, publish, publish_as};
use core::time::Duration;
use peeredge_dts::Layout;
use peeredge_node::{Area, Config, Input, Node, Output};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::relay::FromRelay;
use peeredge_wire::{ConnectionId, ContentId, PROTOCOL_VERSION, PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a channel takes at once.
pub const CREDIT: u64 = 1 << 20;

pub struct Lone {
    pub node: Node,
    pub now: Time,
    pub outs: Vec<Output>,
    pub store: BTreeMap<ContentId, Stored>,
    /// Connections that the shell was asked to make and not to close.
    pub made: BTreeSet<ConnectionId>,
    /// How many it was asked to make.
    pub asked: u32,
    /// Whether credit comes back for what is sent.
    pub reads: bool,
    /// Bytes that the store was asked for.
    pub read_bytes: u64,
}

impl Lone {
    pub fn new(change: impl FnOnce(&mut Config)) -> Lone {
        let mut config = Config::new([1; 32], 1);
        config.http = false;
        change(&mut config);
        let mut lone = Lone {
            node: Node::new(config),
            now: Time::from_millis(1),
            outs: Vec::new(),
            store: BTreeMap::new(),
            made: BTreeSet::new(),
            asked: 0,
            reads: true,
            read_bytes: 0,
        };
        lone.input(Input::RelayOpened);
        lone.relay(FromRelay::Challenge { nonce: [7; 32], relay: PeerId([0; 32]) });
        lone.relay(crate::world::welcome());
        lone.outs.clear();
        lone
    }

    /// Holds a content of so many bytes.
    pub fn holding(len: usize, change: impl FnOnce(&mut Config)) -> (Lone, ContentId) {
        let mut lone = Lone::new(change);
        let content = lone.hold(len, 3);
        (lone, content)
    }

    pub fn hold(&mut self, len: usize, seed: u64) -> ContentId {
        self.hold_stored(publish(&bytes(len, seed)))
    }

    pub fn hold_as(&mut self, len: usize, layout: Layout) -> ContentId {
        self.hold_stored(publish_as(&bytes(len, 3), layout))
    }

    fn hold_stored(&mut self, (content, stored): (ContentId, Stored)) -> ContentId {
        let state = stored.state.clone();
        self.store.insert(content, stored);
        self.input(Input::Stored { content, state });
        content
    }

    pub fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut answers = Vec::new();
        while let Some(output) = self.node.poll() {
            match &output {
                Output::Open { connection, .. } => {
                    self.made.insert(*connection);
                    self.asked += 1;
                }
                Output::Close { connection } => _ = self.made.remove(connection),
                Output::Send { connection, message } if self.reads => {
                    answers.push(Input::Credit { connection: *connection, bytes: message.len() as u64 });
                }
                Output::StoreRead { token, content, area, offset, len } => {
                    self.read_bytes += u64::from(*len);
                    let bytes = self.store.get(content).and_then(|s| {
                        let area = if *area == Area::Data { &s.data } else { &s.records };
                        area.get(*offset as usize..*offset as usize + *len as usize).map(<[u8]>::to_vec)
                    });
                    answers.push(Input::Read { token: *token, bytes });
                }
                _ => {}
            }
            self.outs.push(output);
        }
        for answer in answers {
            self.input(answer);
        }
    }

    pub fn relay(&mut self, message: FromRelay) {
        self.input(Input::RelayMessage(message.encode()));
    }

    /// As a shell would: wakes the node when it asks for it.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.node.deadline().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.input(Input::Wake);
            self.now = self.now + Duration::from_micros(100);
        }
        self.now = until.max(self.now);
        self.input(Input::Wake);
    }

    /// A stranger's offer, or what passes for one; gives the connection if it is taken.
    pub fn offer(&mut self, key: u16, session: u64) -> Option<ConnectionId> {
        let from = peer(key);
        let before = self.made.clone();
        self.relay(FromRelay::Signal { from, session, signal: b"x".to_vec() });
        self.made.difference(&before).next().copied()
    }

    /// A stranger that opens a channel and greets.
    pub fn stranger(&mut self, key: u16, session: u64) -> Option<ConnectionId> {
        let connection = self.offer(key, session)?;
        self.open(connection);
        Some(connection)
    }

    pub fn open(&mut self, connection: ConnectionId) {
        self.input(Input::Opened { connection, credit_bytes: CREDIT });
        self.say(connection, &PeerMessage::Greet { version: PROTOCOL_VERSION });
    }

    pub fn say(&mut self, connection: ConnectionId, message: &PeerMessage<'_>) {
        self.input(Input::Message { connection, message: message.encode() });
    }

    /// Frames sent since the last look.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        let sent = self.outs.drain(..).filter_map(|output| match output {
            Output::Send { message, .. } => Some(message),
            _ => None,
        });
        sent.collect()
    }

    pub fn sent_bytes(&mut self) -> u64 {
        self.sent().iter().map(|frame| frame.len() as u64).sum()
    }

    pub fn is_open(&self, key: u16) -> bool {
        self.node.stats().peers.iter().any(|p| p.peer == peer(key) && p.open)
    }
}

pub fn peer(key: u16) -> PeerId {
    let mut id = [9; 32];
    id[..2].copy_from_slice(&key.to_le_bytes());
    PeerId(id)
}

/// Whether a frame supplies others: this is what the caps bound.
pub fn supplies(frame: &[u8]) -> bool {
    let message = PeerMessage::decode(frame);
    matches!(
        message,
        Ok(PeerMessage::Symbol { .. }
            | PeerMessage::Manifest { .. }
            | PeerMessage::Record { .. }
            | PeerMessage::HaveBlocks { .. }
            | PeerMessage::HaveSymbols { .. })
    )
}
