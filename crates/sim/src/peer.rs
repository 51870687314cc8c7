use crate::event::{End, Life};
use crate::library::Store;
use crate::link::{Access, Lane};
use crate::page::Fetch;
use crate::report::PeerReport;
use crate::scenario::PeerSpec;
use peeredge_node::{Config, Node, Resource, Stats};
use peeredge_tracker::ConnId;
use peeredge_wire::{ConnectionId, ContentId, PeerId, Time, Token};
use std::collections::BTreeMap;

/// A peer and the shell around its node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) spec: PeerSpec,
    pub(crate) access: Access,
    pub(crate) life: Life,
    /// None before the visitor arrives and after it left.
    pub(crate) node: Option<Node>,
    pub(crate) wake: Option<Time>,
    pub(crate) socket: Option<ConnId>,
    pub(crate) channels: BTreeMap<ConnectionId, Channel>,
    pub(crate) http: BTreeMap<Token, (ContentId, Resource)>,
    pub(crate) store: Store,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) blamed: Vec<PeerId>,
    pub(crate) let_go: Vec<PeerId>,
    pub(crate) falsified: u64,
    /// Messages that it sent, if it cheats.
    pub(crate) messages: u64,
    pub(crate) store_corrupt: bool,
    id: PeerId,
    stats: Stats,
}

/// This peer's end of a channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// The other end, once a signal of it has come.
    pub(crate) remote: Option<End>,
    pub(crate) open: bool,
    pub(crate) lane: Lane,
}

impl Peer {
    pub(crate) fn new(place: usize, spec: PeerSpec, store: Store, fetches: Vec<Fetch>) -> Self {
        let id = Node::new(spec.config.clone()).id();
        Peer {
            access: Access::new(spec.link),
            life: Life { peer: place, number: 0 },
            node: None,
            wake: None,
            socket: None,
            channels: BTreeMap::new(),
            http: BTreeMap::new(),
            store,
            fetches,
            blamed: Vec::new(),
            let_go: Vec::new(),
            falsified: 0,
            messages: 0,
            store_corrupt: false,
            id,
            stats: Stats::default(),
            spec,
        }
    }

    /// A new life with a fresh node on the old store. Its randomness differs from that of the lives before.
    pub(crate) fn start(&mut self) {
        self.life.number += 1;
        let mut config: Config = self.spec.config.clone();
        config.seed ^= self.life.number;
        self.node = Some(Node::new(config));
        (self.wake, self.socket) = (None, None);
    }

    /// Ends this life. Gives the channels that were there.
    pub(crate) fn stop(&mut self) -> BTreeMap<ConnectionId, Channel> {
        if let Some(node) = self.node.take() {
            self.stats = node.stats();
        }
        self.http.clear();
        core::mem::take(&mut self.channels)
    }

    pub(crate) fn report(&self) -> PeerReport {
        PeerReport {
            id: self.id,
            here: self.node.is_some(),
            fetches: self.fetches.iter().map(|f| f.report.clone()).collect(),
            stats: self.node.as_ref().map_or_else(|| self.stats.clone(), Node::stats),
            blamed: self.blamed.clone(),
            let_go: self.let_go.clone(),
            falsified: self.falsified,
            store_corrupt: self.store_corrupt,
        }
    }
}
