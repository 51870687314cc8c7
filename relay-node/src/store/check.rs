//! `peeredge check` and `peeredge verify`: what a store holds against what it says, and against what was published.

use super::files::Files;
use super::{Entry, Store, StoreError};
use crate::own_file;
use peeredge_node::{Area, HASH_BYTES, Manifest, Record, StoredState};
use peeredge_wire::ContentId;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Blocks named in one finding; more are counted.
const BLOCKS_NAMED_MAX: usize = 8;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A content's id, or a file.
    pub subject: String,
    /// What is wrong, and what to do.
    pub what: String,
    /// Whether it was mended.
    pub mended: bool,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Contents that are served.
    pub served: usize,
    /// What is wrong, or was.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether everything is as it should be now.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.mended)
    }

    fn find(&mut self, subject: impl ToString, what: impl Into<String>, mended: bool) {
        self.findings.push(Finding { subject: subject.to_string(), what: what.into(), mended });
    }
}

/// Compares the records of the store below `root` with its files; with `repair`, takes in again what can be proved to be whole. Deletes
/// nothing. `progress` hears what is being read.
pub fn check(root: &Path, repair: bool, progress: &mut dyn FnMut(&str)) -> Result<Checked, StoreError> {
    let mut checked = Checked::default();
    if !root.exists() {
        return Err(StoreError::io(root)(io::ErrorKind::NotFound.into()));
    }
    let store = match Store::open(root) {
        Err(StoreError::Corrupt { path, why }) if repair => {
            let aside = set_aside(&path)?;
            checked.find(path.display(), format!("{why}; set aside as {}", aside.display()), true);
            Store::open(root)?
        }
        other => other?,
    };
    for content in store.orphans() {
        let (what, mended) = match (repair, store.find_manifest(content)) {
            (_, None) => (
                "lies here without a record and without its manifest: publish the file again under the same name".into(),
                false,
            ),
            (false, Some(_)) => {
                ("lies here without a record: `peeredge check --repair` takes it in again".into(), false)
            }
            (true, Some(manifest)) => {
                progress(manifest.name());
                take_in(&store, content, manifest)?
            }
        };
        checked.find(content, what, mended);
    }
    for (content, damage) in store.damaged() {
        if let Some(why) = damage.whole {
            let what = format!("is not served: {why}; publish the file again, or put the copy back");
            checked.find(content, what, false);
        }
    }
    for entry in store.entries() {
        let records = store.files.len(entry.content, Area::Records) == Some(entry.records_bytes);
        let state = store.state(entry.content)?.and_then(|state| StoredState::decode(&entry.content, &state));
        if records && state.is_some_and(|state| state.whole.is_full()) {
            continue;
        }
        if !repair {
            checked.find(
                entry.content,
                "its records or its state are not whole: `peeredge check --repair` makes them again",
                false,
            );
            continue;
        }
        progress(&entry.name);
        let Some(manifest) = store.find_manifest(entry.content) else { continue };
        let (what, mended) = take_in(&store, entry.content, manifest)?;
        checked.find(entry.content, what, mended);
    }
    checked.served = store.entries().len();
    Ok(checked)
}

/// A name beside a damaged file under which it waits for whoever wants to look.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let free = (1..).map(|n| path.with_extension(format!("redb.damaged-{n}")));
    let aside = free.into_iter().find(|aside| aside.symlink_metadata().is_err()).expect("names go on");
    std::fs::rename(path, &aside).map_err(StoreError::io(path))?;
    Ok(aside)
}

/// Reads all of a content, and records what of it is what was published.
fn take_in(store: &Store, content: ContentId, manifest: Manifest) -> Result<(String, bool), StoreError> {
    let entry = Entry::of_manifest(&manifest);
    if store.files.len(content, Area::Data) != Some(entry.length) {
        let what =
            format!("is not all there ({} bytes were published): publish the file again", entry.length);
        return Ok((what, false));
    }
    let wrong = match store.verify(content, |_| ()) {
        Ok(wrong) => wrong,
        Err(error) => return Ok((format!("cannot be read: {error}"), false)),
    };
    let mut state = StoredState::whole(manifest);
    for &block in &wrong {
        state.whole.remove(block);
    }
    store.files.sync(content).map_err(StoreError::io(&store.root))?;
    let name = entry.name.clone();
    store.put_entry(entry, &state.encode())?;
    Ok(match wrong.is_empty() {
        true => (format!("taken in again: {name}"), true),
        false => (format!("{name} is damaged: {}; publish the file again", named(&wrong)), false),
    })
}

/// What `peeredge verify` says of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub content: ContentId,
    /// Its name, as published.
    pub name: String,
    /// What is wrong with it; nothing if it is what was published.
    pub wrong: Option<String>,
}

/// Reads every published content below `root`, or one, and compares it with its manifest; a relay may be running, and is told what is
/// wrong. `progress` hears names, and bytes of the content done and in all.
pub fn verify_folder(
    root: &Path,
    only: Option<ContentId>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<Verdict>, StoreError> {
    let folder = root.join("contents");
    let files = Files::new(folder.clone());
    let mut verdicts = Vec::new();
    for (content, listed) in files.list().map_err(StoreError::io(&folder))? {
        if only.is_some_and(|only| only != content) || !(listed.manifest || listed.odd || only.is_some()) {
            continue;
        }
        let manifest = files.manifest(content).ok().and_then(|bytes| Manifest::decode(&content, &bytes).ok());
        let Some(manifest) = manifest else {
            let wrong = Some("its manifest is lost, or not what the id says".into());
            verdicts.push(Verdict { content, name: String::new(), wrong });
            continue;
        };
        let wrong = wrong_blocks(&files, content, &manifest, progress);
        // A running relay, or the next one, looks at what the note says.
        let note = root.join("wrong").join(content.to_string());
        let blocks: Vec<String> = wrong.iter().map(u32::to_string).collect();
        if !blocks.is_empty() || note.exists() {
            let _ = std::fs::create_dir_all(root.join("wrong"))
                .and_then(|()| own_file::replace(&note, blocks.join(" ").as_bytes()));
        }
        let wrong = (!wrong.is_empty()).then(|| named(&wrong));
        verdicts.push(Verdict { content, name: manifest.name().to_owned(), wrong });
    }
    Ok(verdicts)
}

fn wrong_blocks(
    files: &Files,
    content: ContentId,
    manifest: &Manifest,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> BTreeSet<u32> {
    let layout = manifest.layout();
    let mut wrong = BTreeSet::new();
    for block in 0..layout.blocks() {
        let range = layout.block_range(block);
        progress(manifest.name(), range.start, layout.length());
        let data = files.read(content, Area::Data, range.start, (range.end - range.start) as usize);
        // The record is made from the bytes: only those that were published give the one that the manifest names.
        let sound = data.is_ok_and(|data| {
            let mut record = Vec::with_capacity(layout.symbols_of(block) as usize * HASH_BYTES);
            for symbol in data.chunks(layout.symbol_len() as usize) {
                record.extend_from_slice(blake3::hash(symbol).as_bytes());
            }
            Record::decode(manifest, block, &record).is_some()
        });
        if !sound {
            wrong.insert(block);
        }
    }
    progress(manifest.name(), layout.length(), layout.length());
    wrong
}

fn named(blocks: &BTreeSet<u32>) -> String {
    let names: Vec<String> = blocks.iter().take(BLOCKS_NAMED_MAX).map(u32::to_string).collect();
    let more = blocks.len().saturating_sub(BLOCKS_NAMED_MAX);
    let word = if blocks.len() == 1 { "block" } else { "blocks" };
    match more {
        0 => format!("{word} {}", names.join(", ")),
        more => format!("{word} {} and {more} more", names.join(", ")),
    }
}
