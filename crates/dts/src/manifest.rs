use crate::layout::{HASH_BYTES, Layout, LayoutError};
use core::fmt;
use peeredge_wire::limits::{MEDIA_TYPE_BYTES_MAX, NAME_BYTES_MAX};
use peeredge_wire::{ContentId, DecodeError, Reader, Writer};

/// A BLAKE3 hash.
pub type Hash = [u8; HASH_BYTES];

/// What a content is: its layout, how to present it, and the hash of every block's record. The records hold the hashes of the
/// source symbols, so the manifest commits to every byte, while a range needs only the records of the blocks that it touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    layout: Layout,
    name: String,
    media_type: String,
    records: Vec<Hash>,
}

/// Why bytes are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// The bytes are not in the canonical form.
    Form(DecodeError),
    /// The sizes contradict the limits.
    Layout(LayoutError),
    /// There are not as many record hashes as blocks.
    Records {
        /// Blocks by the layout.
        expected: u32,
        /// Record hashes found.
        found: usize,
    },
    /// The hash of the bytes is not the content id.
    Hash,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::Form(error) => write!(f, "manifest: {error}"),
            ManifestError::Layout(error) => write!(f, "manifest: {error}"),
            ManifestError::Records { expected, found } => {
                write!(f, "manifest: {expected} blocks but {found} record hashes")
            }
            ManifestError::Hash => write!(f, "the manifest's hash is not the content id"),
        }
    }
}

impl core::error::Error for ManifestError {}

/// First byte of every manifest; a later form gets another one.
const FORM: u8 = 1;

impl Manifest {
    /// A manifest of these parts. `name` and `media_type` are cut to their limits.
    pub(crate) fn new(layout: Layout, name: &str, media_type: &str, records: Vec<Hash>) -> Self {
        debug_assert_eq!(layout.blocks() as usize, records.len());
        Manifest {
            layout,
            name: cut(name, NAME_BYTES_MAX).to_owned(),
            media_type: cut(media_type, MEDIA_TYPE_BYTES_MAX).to_owned(),
            records,
        }
    }

    /// How the content is cut.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The publisher's name for it; any text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The publisher's media type for it; any text.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The hash of the record of `block`.
    pub fn record_hash(&self, block: u32) -> Option<&Hash> {
        self.records.get(block as usize)
    }

    /// The canonical bytes, whose hash is the content id: form `u8`, length `u64`, symbol length `u32`, symbols a block `u32`,
    /// name and media type (each behind a `u16` length), then 32 bytes a block.
    pub fn encode(&self) -> Vec<u8> {
        let mut w =
            Writer::new(FORM, 32 + self.name.len() + self.media_type.len() + HASH_BYTES * self.records.len())
                .u64(self.layout.length())
                .u32(self.layout.symbol_len())
                .u32(self.layout.block_symbols())
                .text(&self.name)
                .text(&self.media_type);
        for hash in &self.records {
            w = w.raw(hash);
        }
        w.finish()
    }

    /// Reads and checks canonical bytes from anyone: their hash must be `content`, and all sizes must agree.
    pub fn decode(content: &ContentId, bytes: &[u8]) -> Result<Self, ManifestError> {
        if ContentId(*blake3::hash(bytes).as_bytes()) != *content {
            return Err(ManifestError::Hash);
        }
        Self::parse(bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let form = ManifestError::Form;
        let mut r = Reader::new(bytes);
        let tag = r.u8().map_err(form)?;
        if tag != FORM {
            return Err(form(DecodeError::UnknownTag(tag)));
        }
        let (length, symbol_len, block_symbols) =
            (r.u64().map_err(form)?, r.u32().map_err(form)?, r.u32().map_err(form)?);
        let name = r.text("name", NAME_BYTES_MAX).map_err(form)?.to_owned();
        let media_type = r.text("media_type", MEDIA_TYPE_BYTES_MAX).map_err(form)?.to_owned();
        let layout = Layout::new(length, symbol_len, block_symbols).map_err(ManifestError::Layout)?;
        let (hashes, tail) = r.rest().as_chunks::<HASH_BYTES>();
        if !tail.is_empty() {
            return Err(form(DecodeError::Trailing { left: tail.len() }));
        }
        if hashes.len() != layout.blocks() as usize {
            return Err(ManifestError::Records { expected: layout.blocks(), found: hashes.len() });
        }
        Ok(Manifest { layout, name, media_type, records: hashes.to_vec() })
    }

    /// The content id: BLAKE3 of [`Manifest::encode`].
    pub fn content(&self) -> ContentId {
        ContentId(*blake3::hash(&self.encode()).as_bytes())
    }
}

fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The hashes of one block's source symbols, checked against the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Vec<Hash>);

impl Record {
    /// Checks bytes from anyone against the manifest.
    pub fn decode(manifest: &Manifest, block: u32, bytes: &[u8]) -> Option<Self> {
        let expected = manifest.record_hash(block)?;
        let (hashes, tail) = bytes.as_chunks::<HASH_BYTES>();
        let sound = tail.is_empty()
            && hashes.len() == manifest.layout().symbols_of(block) as usize
            && blake3::hash(bytes).as_bytes() == expected;
        sound.then(|| Record(hashes.to_vec()))
    }

    /// 32 bytes a source symbol.
    pub fn encode(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Whether `bytes` are source symbol `index` of the block.
    pub fn verifies(&self, index: u32, bytes: &[u8]) -> bool {
        self.0.get(index as usize).is_some_and(|hash| blake3::hash(bytes).as_bytes() == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Manifest {
        let layout = Layout::new(5_000_000, 16384, 64).unwrap();
        Manifest::new(layout, "näme.mp4", "video/mp4", vec![[9; 32]; layout.blocks() as usize])
    }

    #[test]
    fn canonical_bytes_round_trip() {
        let manifest = sample();
        assert_eq!(Manifest::decode(&manifest.content(), &manifest.encode()), Ok(manifest));
    }

    #[test]
    fn a_wrong_link_is_refused() {
        assert_eq!(Manifest::decode(&ContentId([0; 32]), &sample().encode()), Err(ManifestError::Hash));
    }

    #[test]
    fn sizes_that_contradict_each_other_are_refused() {
        let mut manifest = sample();
        manifest.records.pop();
        let bytes = manifest.encode();
        let content = ContentId(*blake3::hash(&bytes).as_bytes());
        assert_eq!(Manifest::decode(&content, &bytes), Err(ManifestError::Records { expected: 5, found: 4 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), keep in any::<bool>()) {
            if keep && !bytes.is_empty() {
                bytes[0] = FORM;
            }
            let _ = Manifest::parse(&bytes);
        }
    }
}
