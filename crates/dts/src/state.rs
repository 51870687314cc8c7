use crate::bitmap::Bitmap;
use crate::manifest::Manifest;
use peeredge_wire::{ContentId, Reader, Writer};
use std::collections::BTreeMap;

/// What a store holds of a content: written whole after the data it speaks of, so a torn write leaves the state before it.
/// Nobody need trust it: what is read from the store is verified like what comes from a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The content's manifest.
    pub manifest: Manifest,
    /// Blocks whose record is in the records area.
    pub records: Bitmap,
    /// Blocks that are in the data area as a whole.
    pub whole: Bitmap,
    /// Source symbols in the data area, of blocks that are there in part.
    pub parts: BTreeMap<u32, Bitmap>,
}

const FORM: u8 = 1;
const CHECK_BYTES: usize = 16;

impl StoredState {
    /// Nothing but the manifest is held.
    pub fn empty(manifest: Manifest) -> Self {
        let blocks = manifest.layout().blocks();
        StoredState {
            manifest,
            records: Bitmap::new(blocks),
            whole: Bitmap::new(blocks),
            parts: BTreeMap::new(),
        }
    }

    /// Everything is held.
    pub fn whole(manifest: Manifest) -> Self {
        let blocks = manifest.layout().blocks();
        StoredState {
            manifest,
            records: Bitmap::full(blocks),
            whole: Bitmap::full(blocks),
            parts: BTreeMap::new(),
        }
    }

    /// The state as bytes: a form byte, the manifest behind its length, bitmaps, then a checksum.
    pub fn encode(&self) -> Vec<u8> {
        let manifest = self.manifest.encode();
        let mut w = Writer::new(FORM, manifest.len() + 64)
            .u32(manifest.len() as u32)
            .raw(&manifest)
            .raw(&self.records.to_bytes())
            .raw(&self.whole.to_bytes())
            .u32(self.parts.len() as u32);
        for (&block, bits) in &self.parts {
            w = w.u32(block).raw(&bits.to_bytes());
        }
        let mut bytes = w.finish();
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        bytes
    }

    /// Reads what [`StoredState::encode`] wrote; none when the bytes are torn or belong to another content.
    pub fn decode(content: &ContentId, bytes: &[u8]) -> Option<Self> {
        let (bytes, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        if blake3::hash(bytes).as_bytes()[..CHECK_BYTES] != *check {
            return None;
        }
        let mut r = Reader::new(bytes);
        if r.u8().ok()? != FORM {
            return None;
        }
        let len = r.u32().ok()? as usize;
        let manifest = Manifest::decode(content, r.raw(len).ok()?).ok()?;
        let layout = *manifest.layout();
        let mut bits = |len: u32| Some(Bitmap::from_bytes(len, r.raw((len as usize).div_ceil(8)).ok()?));
        let (records, whole) = (bits(layout.blocks())?, bits(layout.blocks())?);
        let mut parts = BTreeMap::new();
        for _ in 0..r.u32().ok()? {
            let block = r.u32().ok()?;
            if block >= layout.blocks() {
                return None;
            }
            let len = layout.symbols_of(block);
            parts.insert(block, Bitmap::from_bytes(len, r.raw((len as usize).div_ceil(8)).ok()?));
        }
        r.end().ok()?;
        Some(StoredState { manifest, records, whole, parts })
    }

    /// The manifest's bytes inside encoded state, for shells that serve it; none when the bytes are no state.
    pub fn manifest_bytes(state: &[u8]) -> Option<&[u8]> {
        let mut r = Reader::new(state);
        if r.u8().ok()? != FORM {
            return None;
        }
        let len = r.u32().ok()? as usize;
        r.raw(len).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::publisher::Publisher;
    use proptest::prelude::*;

    fn sample() -> StoredState {
        let layout = Layout::new(300_000, 4096, 16).unwrap();
        let mut publisher = Publisher::with_layout(layout, "n", "t");
        publisher.push(&vec![7; 300_000]).unwrap();
        let published = publisher.finish().unwrap();
        let mut state =
            StoredState::empty(Manifest::decode(&published.content, &published.manifest).unwrap());
        state.records.insert(1);
        state.whole.insert(3);
        state.parts.insert(1, Bitmap::from_bytes(16, &[0b101, 0b1]));
        state
    }

    #[test]
    fn state_round_trips() {
        let state = sample();
        let bytes = state.encode();
        assert_eq!(StoredState::manifest_bytes(&bytes), Some(state.manifest.encode().as_slice()));
        assert_eq!(StoredState::decode(&state.manifest.content(), &bytes), Some(state));
    }

    proptest! {
        #[test]
        fn a_torn_state_is_refused(at in 0usize..100, flip in 1u8.., cut in any::<bool>()) {
            let state = sample();
            let content = state.manifest.content();
            let mut bytes = state.encode();
            let at = at * bytes.len() / 100;
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            prop_assert_eq!(StoredState::decode(&content, &bytes), None);
        }
    }
}
