//! The contents of a world, and what its HTTP server gives of them.

use crate::dice::Dice;
use crate::scenario::ContentSpec;
use peeredge_node::{Area, HttpFailure, Published, Publisher, Resource, manifest_of_state};
use peeredge_wire::ContentId;
use std::collections::{BTreeMap, BTreeSet};

/// A content with all its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) id: ContentId,
    pub(crate) bytes: Vec<u8>,
    records: Vec<u8>,
    state: Vec<u8>,
    by_http: bool,
    /// Source symbols that anyone has received, and how many bytes that is.
    spread: (BTreeSet<(u32, u32)>, u64),
}

impl Content {
    /// Somebody received this source symbol. Gives whether with it all are somewhere.
    pub(crate) fn received(&mut self, block: u32, index: u32, bytes: usize) -> bool {
        if self.spread.0.insert((block, index)) {
            self.spread.1 += bytes as u64;
        }
        self.spread.1 == self.bytes.len() as u64
    }

    pub(crate) fn new(spec: ContentSpec, seed: u64) -> Self {
        let bytes = Dice::new(seed).bytes(spec.length as usize);
        let mut publisher = Publisher::new(spec.length, "random", "application/octet-stream")
            .expect("a scenario's contents are small");
        publisher.push(&bytes).expect("the announced length");
        let Published { content, state, .. } = publisher.finish().expect("the announced length");
        Content {
            id: content,
            records: publisher.take_records(),
            state,
            by_http: spec.by_http,
            bytes,
            spread: Default::default(),
        }
    }

    /// As a publisher's store holds it.
    pub(crate) fn stored(&self) -> Stored {
        Stored { data: self.bytes.clone(), records: self.records.clone(), state: self.state.clone() }
    }

    /// What the HTTP server answers.
    pub(crate) fn http(&self, resource: Resource) -> Result<Vec<u8>, HttpFailure> {
        let part = |area: &[u8], start: u64, end: u64| {
            area.get(start as usize..end as usize).map(<[u8]>::to_vec).ok_or(HttpFailure::Status(416))
        };
        match resource {
            _ if !self.by_http => Err(HttpFailure::Status(404)),
            Resource::Manifest => {
                manifest_of_state(&self.state).map(<[u8]>::to_vec).ok_or(HttpFailure::Status(404))
            }
            Resource::Records { start, end } => part(&self.records, start, end),
            Resource::Bytes { start, end } => part(&self.bytes, start, end),
        }
    }
}

/// One content in a peer's store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    data: Vec<u8>,
    records: Vec<u8>,
    pub(crate) state: Vec<u8>,
}

/// A peer's store: it outlives the tab.
pub(crate) type Store = BTreeMap<ContentId, Stored>;

impl Stored {
    fn area(&mut self, area: Area) -> &mut Vec<u8> {
        match area {
            Area::Data => &mut self.data,
            Area::Records => &mut self.records,
        }
    }

    pub(crate) fn read(&mut self, area: Area, offset: u64, len: u32) -> Option<Vec<u8>> {
        let start = offset as usize;
        self.area(area).get(start..start + len as usize).map(<[u8]>::to_vec)
    }

    pub(crate) fn write(&mut self, area: Area, offset: u64, bytes: &[u8]) {
        let (area, start) = (self.area(area), offset as usize);
        if area.len() < start + bytes.len() {
            area.resize(start + bytes.len(), 0);
        }
        area[start..start + bytes.len()].copy_from_slice(bytes);
    }
}
