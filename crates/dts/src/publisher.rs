use crate::layout::{Layout, LayoutError};
use crate::manifest::Manifest;
use crate::state::StoredState;
use core::fmt;
use peeredge_wire::ContentId;

/// Turns a stream of bytes into a content: records as blocks fill, the manifest at the end. Holds one symbol, one record and
/// 32 bytes a block, whatever the content's length.
#[derive(Debug)]
pub struct Publisher {
    layout: Layout,
    name: String,
    media_type: String,
    symbol: blake3::Hasher,
    symbol_left: usize,
    pushed: u64,
    record: Vec<u8>,
    finished: Vec<u8>,
    hashes: Vec<[u8; 32]>,
}

/// A published content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub content: ContentId,
    /// Its canonical manifest.
    pub manifest: Vec<u8>,
    /// The store's state of a content that is held whole.
    pub state: Vec<u8>,
}

/// Why a stream cannot become a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The content is too large.
    Layout(LayoutError),
    /// More bytes came than were announced.
    TooLong {
        /// Announced bytes.
        length: u64,
    },
    /// Fewer bytes came than were announced.
    TooShort {
        /// Announced bytes.
        length: u64,
        /// Bytes that came.
        pushed: u64,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Layout(error) => write!(f, "too large: {error}"),
            PublishError::TooLong { length } => write!(f, "more than the announced {length} bytes"),
            PublishError::TooShort { length, pushed } => {
                write!(f, "{pushed} of the announced {length} bytes")
            }
        }
    }
}

impl core::error::Error for PublishError {}

impl Publisher {
    /// Begins a content of `length` bytes. Name and media type are cut to 255 and 127 bytes.
    pub fn new(length: u64, name: &str, media_type: &str) -> Result<Self, PublishError> {
        let layout = Layout::for_length(length).map_err(PublishError::Layout)?;
        Ok(Self::with_layout(layout, name, media_type))
    }

    /// Begins a content that is cut in another way than the usual one.
    pub fn with_layout(layout: Layout, name: &str, media_type: &str) -> Self {
        Publisher {
            layout,
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            symbol: blake3::Hasher::new(),
            symbol_left: layout.symbol_len() as usize,
            pushed: 0,
            record: Vec::new(),
            finished: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// Takes the next bytes, any number of them.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), PublishError> {
        if self.pushed + bytes.len() as u64 > self.layout.length() {
            return Err(PublishError::TooLong { length: self.layout.length() });
        }
        self.pushed += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.symbol_left));
            self.symbol.update(now);
            self.symbol_left -= now.len();
            bytes = later;
            if self.symbol_left == 0 {
                self.end_symbol();
            }
        }
        Ok(())
    }

    fn end_symbol(&mut self) {
        self.record.extend_from_slice(self.symbol.finalize().as_bytes());
        self.symbol.reset();
        self.symbol_left = self.layout.symbol_len() as usize;
        if self.record.len() == self.layout.block_symbols() as usize * 32 {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        self.hashes.push(*blake3::hash(&self.record).as_bytes());
        self.finished.append(&mut self.record);
    }

    /// Record bytes that were finished since the last call; all of them together are the content's records area.
    pub fn take_records(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.finished)
    }

    /// Ends the stream. Call [`Publisher::take_records`] on what is returned beside for the last records.
    pub fn finish(&mut self) -> Result<Published, PublishError> {
        if self.pushed != self.layout.length() {
            return Err(PublishError::TooShort { length: self.layout.length(), pushed: self.pushed });
        }
        if self.symbol_left < self.layout.symbol_len() as usize {
            self.end_symbol();
        }
        if !self.record.is_empty() {
            self.end_block();
        }
        let manifest =
            Manifest::new(self.layout, &self.name, &self.media_type, core::mem::take(&mut self.hashes));
        let state = StoredState::whole(manifest.clone());
        Ok(Published { content: manifest.content(), manifest: manifest.encode(), state: state.encode() })
    }
}
