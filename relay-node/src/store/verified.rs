//! What is read of a published content is verified against its manifest: once in a run, and again when the file has changed.

use super::Store;
use super::files::{Stamp, is_scarce};
use crate::own_file;
use peeredge_node::{Area, Layout, Manifest, Record};
use peeredge_wire::ContentId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Contents whose manifests and marks are in memory: the largest manifest has 256 KiB.
const CONTENTS_MAX: usize = 128;

/// Why bytes of a content cannot be had.
#[derive(Debug)]
pub enum ReadError {
    /// They are not what was published, or cannot be read at all.
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// The system cannot read now.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Damaged { why } => write!(f, "damaged: {why}"),
            ReadError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// What is wrong with a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Why nothing of it can be served.
    pub whole: Option<String>,
    /// Blocks that are not what was published.
    pub blocks: BTreeSet<u32>,
    /// Whether it was so when the store was opened.
    pub is_old: bool,
}

/// Which symbols and records have been verified, of the contents that were read last.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<Marks>);

#[derive(Debug, Default)]
struct Marks {
    of: BTreeMap<ContentId, Of>,
    clock: u64,
}

#[derive(Debug)]
struct Of {
    manifest: Arc<Manifest>,
    used: u64,
    data: Bits,
    records: Bits,
}

/// One bit for each part of a file, as long as the file does not change.
#[derive(Debug, Default)]
struct Bits {
    stamp: Option<Stamp>,
    words: Vec<u64>,
}

impl Bits {
    fn has(&self, at: u64, stamp: &Stamp) -> bool {
        self.stamp.as_ref() == Some(stamp)
            && self.words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn set(&mut self, at: u64, stamp: &Stamp) {
        if self.stamp.as_ref() != Some(stamp) {
            self.stamp = Some(*stamp);
            self.words.clear();
        }
        let word = (at / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (at % 64);
    }
}

impl Verified {
    pub(super) fn forget(&self, content: ContentId) {
        self.0.lock().expect("no holder panics").of.remove(&content);
    }

    fn manifest(&self, content: ContentId) -> Option<Arc<Manifest>> {
        let mut marks = self.0.lock().expect("no holder panics");
        marks.clock += 1;
        let now = marks.clock;
        let of = marks.of.get_mut(&content)?;
        of.used = now;
        Some(of.manifest.clone())
    }

    fn keep(&self, content: ContentId, manifest: Arc<Manifest>) {
        let mut marks = self.0.lock().expect("no holder panics");
        let used = marks.clock;
        if marks.of.len() >= CONTENTS_MAX {
            let oldest = marks.of.iter().min_by_key(|(_, of)| of.used).map(|(&content, _)| content);
            marks.of.remove(&oldest.expect("it is full"));
        }
        marks.of.insert(content, Of { manifest, used, data: Bits::default(), records: Bits::default() });
    }

    fn bits<T>(&self, content: ContentId, area: Area, what: impl FnOnce(&mut Bits) -> T) -> Option<T> {
        let mut marks = self.0.lock().expect("no holder panics");
        let of = marks.of.get_mut(&content)?;
        Some(what(match area {
            Area::Data => &mut of.data,
            Area::Records => &mut of.records,
        }))
    }

    fn has(&self, content: ContentId, area: Area, at: u64, stamp: &Stamp) -> bool {
        self.bits(content, area, |bits| bits.has(at, stamp)) == Some(true)
    }

    fn set(&self, content: ContentId, area: Area, at: u64, stamp: &Stamp) {
        self.bits(content, area, |bits| bits.set(at, stamp));
    }
}

/// The whole symbols that hold a range of a content.
fn whole_symbols(layout: &Layout, range: &Range<u64>) -> Range<u64> {
    let (first, last) = (layout.locate(range.start), layout.locate(range.end - 1));
    layout.symbol_range(first.0, first.1).start..layout.symbol_range(last.0, last.1).end
}

impl Store {
    /// The content's manifest, which its id proves.
    pub fn manifest(&self, content: ContentId) -> Result<Arc<Manifest>, ReadError> {
        if let Some(manifest) = self.verified.manifest(content) {
            return Ok(manifest);
        }
        let damaged = || ReadError::Damaged { why: "its manifest is lost".into() };
        let manifest = Arc::new(self.find_manifest(content).ok_or_else(damaged)?);
        self.verified.keep(content, manifest.clone());
        Ok(manifest)
    }

    /// From the journal, or from the file beside the data; whichever meets the id.
    pub(super) fn find_manifest(&self, content: ContentId) -> Option<Manifest> {
        let state = self.state(content).ok().flatten();
        let of_state = state.as_deref().and_then(peeredge_node::manifest_of_state);
        of_state.and_then(|bytes| Manifest::decode(&content, bytes).ok()).or_else(|| {
            let bytes = self.files.manifest(content).ok()?;
            Manifest::decode(&content, &bytes).ok()
        })
    }

    /// These bytes of a published content, which are what was published, or an error. Notes what is wrong.
    pub fn read_verified(
        &self,
        content: ContentId,
        area: Area,
        range: Range<u64>,
    ) -> Result<Vec<u8>, ReadError> {
        self.touch(content);
        let manifest = self.manifest(content).inspect_err(|error| self.lost(content, &error.to_string()))?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match area {
            Area::Data => self.read_data(content, &manifest, &range),
            Area::Records => self.read_records(content, &manifest, &range),
        }
    }

    fn read_data(
        &self,
        content: ContentId,
        manifest: &Manifest,
        range: &Range<u64>,
    ) -> Result<Vec<u8>, ReadError> {
        let layout = manifest.layout();
        let (first, _) = layout.locate(range.start);
        if range.end > layout.length() {
            return Err(ReadError::Io(ErrorKind::InvalidInput.into()));
        }
        let whole = whole_symbols(layout, range);
        let read =
            self.files.read_stamped(content, Area::Data, whole.start, (whole.end - whole.start) as usize);
        let (mut bytes, stamp) = read.map_err(|error| self.unreadable(content, first, error))?;
        let mut record: Option<(u32, Record)> = None;
        let mut at = whole.start;
        while at < whole.end {
            let (block, index) = layout.locate(at);
            let of_symbol = layout.symbol_range(block, index);
            let number = at / u64::from(layout.symbol_len());
            if !self.verified.has(content, Area::Data, number, &stamp) {
                if record.as_ref().is_none_or(|(of, _)| *of != block) {
                    record = Some((block, self.record(content, manifest, block)?));
                }
                let symbol =
                    &bytes[(of_symbol.start - whole.start) as usize..(of_symbol.end - whole.start) as usize];
                if !record.as_ref().is_some_and(|(_, record)| record.verifies(index, symbol)) {
                    return Err(self.wrong(content, block, "its bytes are not what was published"));
                }
                self.verified.set(content, Area::Data, number, &stamp);
            }
            at = of_symbol.end;
        }
        bytes.truncate((range.end - whole.start) as usize);
        bytes.drain(..(range.start - whole.start) as usize);
        Ok(bytes)
    }

    fn read_records(
        &self,
        content: ContentId,
        manifest: &Manifest,
        range: &Range<u64>,
    ) -> Result<Vec<u8>, ReadError> {
        let layout = manifest.layout();
        let mut out = Vec::with_capacity((range.end - range.start) as usize);
        let of_block = layout.record_range(0).end.max(1);
        let mut block = (range.start / of_block) as u32;
        while block < layout.blocks() && layout.record_range(block).start < range.end {
            let of_record = layout.record_range(block);
            let record = self.record(content, manifest, block)?.encode();
            let from = range.start.max(of_record.start) - of_record.start;
            let to = range.end.min(of_record.end) - of_record.start;
            out.extend_from_slice(&record[from as usize..to as usize]);
            block += 1;
        }
        if out.len() as u64 != range.end - range.start {
            return Err(ReadError::Io(ErrorKind::InvalidInput.into()));
        }
        Ok(out)
    }

    /// The record of one block: from its file, or made again from the block's bytes, which only those that were published give.
    fn record(&self, content: ContentId, manifest: &Manifest, block: u32) -> Result<Record, ReadError> {
        let layout = manifest.layout();
        let range = layout.record_range(block);
        let read = self.files.read(content, Area::Records, range.start, (range.end - range.start) as usize);
        if let Ok(bytes) = &read
            && let Some(record) = Record::decode(manifest, block, bytes)
        {
            return Ok(record);
        }
        if let Err(error) = &read
            && is_passing(error)
        {
            return Err(ReadError::Io(io::Error::other(error.to_string())));
        }
        let of_block = layout.block_range(block);
        let data =
            self.files.read(content, Area::Data, of_block.start, (of_block.end - of_block.start) as usize);
        let data = data.map_err(|error| self.unreadable(content, block, error))?;
        let bytes: Vec<u8> = data
            .chunks(layout.symbol_len() as usize)
            .flat_map(|symbol| *blake3::hash(symbol).as_bytes())
            .collect();
        match Record::decode(manifest, block, &bytes) {
            Some(record) => {
                tracing::warn!(%content, block, "a record was wrong or missing, and was made again from the content");
                if let Err(error) = self.files.write(content, Area::Records, range.start, &bytes) {
                    tracing::debug!(%content, block, %error, "the record was not written");
                }
                Ok(record)
            }
            None => {
                Err(self.wrong(content, block, "neither its record nor its bytes are what was published"))
            }
        }
    }

    /// Looks again at the blocks of a range that were found wrong: a copy that was put back is served.
    pub fn look_again(&self, content: ContentId, range: &Range<u64>) -> Result<(), ReadError> {
        let Some(damage) = self.damage(content) else { return Ok(()) };
        if let Some(why) = damage.whole {
            return Err(ReadError::Damaged { why });
        }
        let manifest = self.manifest(content)?;
        for block in damage.blocks {
            let of_block = manifest.layout().block_range(block);
            let both = range.start.max(of_block.start)..range.end.min(of_block.end);
            if both.start < both.end {
                self.read_data(content, &manifest, &of_block)?;
                self.mended(content, block);
            }
        }
        Ok(())
    }

    /// Reads and verifies all of a content; gives the blocks that are wrong. `progress` hears bytes done.
    pub fn verify(
        &self,
        content: ContentId,
        mut progress: impl FnMut(u64),
    ) -> Result<BTreeSet<u32>, ReadError> {
        let manifest = self.manifest(content)?;
        let layout = *manifest.layout();
        self.verified.forget(content);
        self.verified.keep(content, manifest.clone());
        let mut wrong = BTreeSet::new();
        for block in 0..layout.blocks() {
            let range = layout.block_range(block);
            match self
                .read_data(content, &manifest, &range)
                .and_then(|_| self.record(content, &manifest, block))
            {
                Ok(_) => self.mended(content, block),
                Err(ReadError::Damaged { .. }) => _ = wrong.insert(block),
                Err(error) => return Err(error),
            }
            progress(range.end);
        }
        Ok(wrong)
    }

    /// Reads a range anew, whatever was verified before, and notes what is wrong.
    pub(super) fn verify_again(&self, content: ContentId, range: Range<u64>) {
        self.verified.forget(content);
        if let Err(error) = self.read_verified(content, Area::Data, range) {
            tracing::debug!(%content, %error, "as `peeredge verify` said");
        }
    }

    fn unreadable(&self, content: ContentId, block: u32, error: io::Error) -> ReadError {
        if is_passing(&error) {
            return ReadError::Io(error);
        }
        self.wrong(content, block, &format!("it cannot be read: {error}"))
    }

    fn wrong(&self, content: ContentId, block: u32, why: &str) -> ReadError {
        let is_new = {
            let mut damaged = self.damaged.lock().expect("no holder panics");
            damaged.entry(content).or_default().blocks.insert(block)
        };
        if is_new {
            tracing::error!(%content, block, why, "a content is damaged: this block is not served");
            self.write_note(content);
        }
        ReadError::Damaged { why: format!("block {block}: {why}") }
    }

    pub(super) fn lost(&self, content: ContentId, why: &str) {
        {
            let mut damaged = self.damaged.lock().expect("no holder panics");
            let damage = damaged.entry(content).or_default();
            if damage.whole.is_some() {
                return;
            }
            damage.whole = Some(why.to_owned());
        }
        tracing::error!(%content, why, "a content is damaged: it is not served");
        self.write_note(content);
    }

    fn mended(&self, content: ContentId, block: u32) {
        {
            let mut damaged = self.damaged.lock().expect("no holder panics");
            let Some(damage) = damaged.get_mut(&content) else { return };
            if !damage.blocks.remove(&block) {
                return;
            }
            if damage.blocks.is_empty() && damage.whole.is_none() {
                damaged.remove(&content);
            }
        }
        self.write_note(content);
    }

    /// Leaves a note of what is wrong with a content, or takes it away: whoever publishes the file again then hands it over anew.
    pub(super) fn write_note(&self, content: ContentId) {
        let path = self.note_path(content);
        let text = match self.damage(content) {
            None if self.orphans().contains(&content) => "without a record".to_owned(),
            None => {
                let _ = std::fs::remove_file(path);
                return;
            }
            Some(Damage { whole: Some(_), .. }) => "lost".to_owned(),
            Some(damage) => damage.blocks.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        };
        if let Err(error) = own_file::replace(&path, text.as_bytes()) {
            tracing::debug!(%content, %error, "no note of what is wrong with it");
        }
    }

    pub(super) fn note_path(&self, content: ContentId) -> std::path::PathBuf {
        self.root.join("wrong").join(content.to_string())
    }

    /// What is known to be wrong with a content.
    pub fn damage(&self, content: ContentId) -> Option<Damage> {
        self.damaged.lock().expect("no holder panics").get(&content).cloned()
    }

    /// Contents of which something is wrong, as far as is known.
    pub fn damaged(&self) -> BTreeMap<ContentId, Damage> {
        self.damaged.lock().expect("no holder panics").clone()
    }
}

/// Whether the system could not read now, which says nothing of the bytes: out of descriptors or memory.
fn is_passing(error: &io::Error) -> bool {
    is_scarce(error)
        || matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Interrupted | ErrorKind::WouldBlock)
}
