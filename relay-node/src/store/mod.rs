//! What a relay or a native peer keeps: one record a content in redb, and the content's bytes as two sparse files.
//!
//! A record is committed only after the bytes it speaks of have reached the disk, so a record that survives a crash
//! is true. Bytes without a record are kept, unless the record file says that they were removed, or were only fetched: the manifest
//! beside published bytes lets `peeredge check --repair` take them in again. What was published is verified as it is read.
//!
//! ```text
//! peeredge.redb          states, entries, last use, what was removed
//! contents/ID.data       the content at its own offsets
//! contents/ID.records    the records of its blocks, one behind the other
//! contents/ID.manifest   of what was published: proves the other two without peeredge.redb
//! tmp/                   what a publisher is writing
//! inbox/                 finished there, waiting to be imported
//! done/                  imported or refused, waiting for its publisher to look
//! sources/               which file was published as which content
//! wrong/                 contents that `peeredge verify` found wrong, for a running relay to look at
//! ```

mod check;
mod entry;
mod error;
mod files;
mod health;
mod inbox;
mod journal;
#[cfg(test)]
mod journal_faults;
mod recover;
mod verified;
mod worker;

pub use check::{Checked, Finding, Verdict, check, verify_folder};
pub use entry::Entry;
pub use error::StoreError;
pub use health::free_bytes;
pub(crate) use inbox::REFUSED;
pub use inbox::{ImportError, Imported};
pub use verified::{Damage, ReadError};
pub use worker::{StoreJob, StoreWorker};

use crate::own_file;
use files::Files;
use health::Health;
use journal::{ENTRIES, Journal, REMOVED, SCRATCH, STATES, USED};
use peeredge_node::Area;
use peeredge_wire::ContentId;
use redb::ReadableTable;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};
use verified::Verified;

/// The record file, below the data folder.
pub const JOURNAL_FILE: &str = "peeredge.redb";
const FOLDERS: &[&str] = &["contents", "tmp", "inbox", "done", "sources", "wrong"];

/// A change of one content's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Replace the state.
    State(Vec<u8>),
    /// Forget the content.
    Remove,
}

/// What is wrong with a store, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    /// Newcomers should not be sent here: it takes no writes, or its disk rots.
    pub unready: Vec<String>,
    /// What was so when it was opened, and keeps nobody else from being served.
    pub noted: Vec<String>,
}

/// An open store. Shared by everything in the process that reads or writes contents.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    journal: Journal,
    files: Files,
    entries: RwLock<BTreeMap<ContentId, Arc<Entry>>>,
    used: Mutex<BTreeMap<ContentId, u64>>,
    importing: Mutex<()>,
    ignored: Mutex<BTreeSet<String>>,
    scratch: Mutex<BTreeSet<ContentId>>,
    verified: Verified,
    damaged: Mutex<BTreeMap<ContentId, Damage>>,
    orphans: Mutex<BTreeSet<ContentId>>,
    health: Health,
    /// Held as long as the store is open: the record file's own lock goes with that file when somebody removes it.
    _lock: File,
}

impl Store {
    /// Opens the store below `root`, making what is missing. Deletes nothing but what its records say may go.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        let (lock, journal) = Self::lock(root)?;
        let store = Store::of(root, lock, journal);
        store.recover()?;
        Ok(store)
    }

    fn of(root: &Path, lock: File, journal: Journal) -> Store {
        Store {
            root: root.into(),
            journal,
            files: Files::new(root.join("contents")),
            entries: RwLock::default(),
            used: Mutex::default(),
            importing: Mutex::default(),
            ignored: Mutex::default(),
            scratch: Mutex::default(),
            verified: Verified::default(),
            damaged: Mutex::default(),
            orphans: Mutex::default(),
            health: Health::default(),
            _lock: lock,
        }
    }

    fn lock(root: &Path) -> Result<(File, Journal), StoreError> {
        let lock = lock_folder(root)?;
        for folder in FOLDERS {
            let path = root.join(folder);
            std::fs::create_dir_all(&path).map_err(StoreError::io(&path))?;
            if !path.is_dir() {
                return Err(StoreError::Kind { path });
            }
        }
        let journal = Journal::open(&root.join(JOURNAL_FILE))?;
        Ok((lock, journal))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps at most so many files of contents open between uses, 128 at the most.
    pub fn keep_open(&self, max: usize) {
        self.files.keep_open(max);
    }

    /// Closes the files of contents that nobody reads just now: somebody needs their descriptors. Gives how many.
    pub fn let_go(&self) -> usize {
        self.files.let_go()
    }

    /// The state of every content that can be served, least recently used first.
    pub fn states(&self) -> Result<Vec<(ContentId, Vec<u8>)>, StoreError> {
        let mut out = self.journal.read(|read| {
            let states = read.open_table(STATES)?;
            let used = read.open_table(USED)?;
            let mut out = Vec::new();
            for row in states.iter()? {
                let (content, state) = row?;
                let at = used.get(content.value())?.map_or(0, |at| at.value());
                out.push((at, ContentId(*content.value()), state.value().to_vec()));
            }
            Ok(out)
        })?;
        let (lost, orphans) = (self.damaged(), self.orphans());
        out.retain(|(_, content, _)| {
            lost.get(content).is_none_or(|damage| damage.whole.is_none()) && !orphans.contains(content)
        });
        out.sort_unstable();
        Ok(out.into_iter().map(|(_, content, state)| (content, state)).collect())
    }

    /// One content's state.
    pub fn state(&self, content: ContentId) -> Result<Option<Vec<u8>>, StoreError> {
        self.journal.read(|read| {
            let states = read.open_table(STATES)?;
            let state = states.get(&content.0)?.map(|state| state.value().to_vec());
            Ok(state)
        })
    }

    /// What is published here, by content; what belongs to tasks is not.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().expect("no holder panics");
        entries.values().filter(|entry| !entry.of_task).cloned().collect()
    }

    /// At most so many of what is published here, by content, behind `after`.
    pub fn entries_after(&self, after: Option<ContentId>, count_max: usize) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().expect("no holder panics");
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = entries.range((from, Bound::Unbounded)).filter(|(_, entry)| !entry.of_task);
        listed.take(count_max).map(|(_, entry)| entry.clone()).collect()
    }

    /// One content that is whole here, published or a task's.
    pub fn entry(&self, content: ContentId) -> Option<Arc<Entry>> {
        self.entries.read().expect("no holder panics").get(&content).cloned()
    }

    /// Bytes that all published contents take, and those of tasks.
    pub fn published_bytes(&self) -> u64 {
        let entries = self.entries.read().expect("no holder panics");
        entries.values().fold(0, |sum, e| sum.saturating_add(e.length).saturating_add(e.records_bytes))
    }

    /// The first write or commit that has failed since the store was opened, in the system's words.
    pub fn failure(&self) -> Option<String> {
        self.health.first()
    }

    /// Why the store takes nothing now, in a sentence.
    pub fn trouble(&self) -> Option<String> {
        self.health.now().or_else(|| health::cannot_write(&self.root))
    }

    /// After a failure: tries whether the store takes something again. Blocks.
    pub fn try_again(&self) {
        if self.health.now().is_none() || health::cannot_write(&self.root).is_some() {
            return;
        }
        let probe = self.root.join("tmp/probe");
        let written = own_file::replace(&probe, &vec![0; 64 << 10]);
        let _ = std::fs::remove_file(&probe);
        if written.is_ok() && self.commit(&BTreeMap::new()).is_ok() {
            tracing::info!(store = %self.root.display(), "the store takes writes again");
            self.health.works();
        }
    }

    /// What an operator is to know.
    pub fn complaints(&self) -> Complaints {
        let mut out = Complaints::default();
        out.unready.extend(self.trouble());
        let damaged = self.damaged.lock().expect("no holder panics");
        for (is_old, lines) in [(false, &mut out.unready), (true, &mut out.noted)] {
            let of_then = || damaged.values().filter(|damage| damage.is_old == is_old);
            let (lost, all) = (of_then().filter(|damage| damage.whole.is_some()).count(), of_then().count());
            if all > lost {
                let damaged = all - lost;
                lines.push(format!(
                    "damaged: {damaged} contents are not what was published; see `peeredge verify`"
                ));
            }
            if lost > 0 {
                lines.push(format!("lost: {lost} contents have a record and no data; see `peeredge check`"));
            }
        }
        let orphans = self.orphans.lock().expect("no holder panics").len();
        if orphans > 0 {
            out.noted.push(format!("without a record: {orphans} contents; see `peeredge check --repair`"));
        }
        out
    }

    pub(crate) fn note_failure(&self, why: &str) {
        self.health.failed(why);
    }

    /// Contents whose bytes lie here without a record: kept, not served, taken in again by `peeredge check --repair`.
    pub fn orphans(&self) -> BTreeSet<ContentId> {
        self.orphans.lock().expect("no holder panics").clone()
    }

    /// Reads exactly `len` bytes. What was published is verified on the way.
    pub fn read(&self, content: ContentId, area: Area, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if self.entry(content).is_some() {
            let read = self.read_verified(content, area, offset..offset.saturating_add(len as u64));
            return read.map_err(|error| match error {
                ReadError::Io(error) => error,
                damaged => io::Error::new(io::ErrorKind::InvalidData, damaged.to_string()),
            });
        }
        self.touch(content);
        self.files.read(content, area, offset, len)
    }

    /// Writes bytes; they are durable once [`Store::commit`] has returned for a state that came later.
    pub fn write(&self, content: ContentId, area: Area, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note_scratch(content);
        self.files.write(content, area, offset, bytes)
    }

    /// Says once, durable, that a content's bytes were only fetched: without it a crash would leave bytes of which nobody knows.
    fn note_scratch(&self, content: ContentId) {
        if self.entry(content).is_some() || !self.scratch.lock().expect("no holder panics").insert(content) {
            return;
        }
        let noted = self.journal.write(|tx| Ok(_ = tx.open_table(SCRATCH)?.insert(&content.0, unix_s())?));
        if let Err(error) = noted {
            tracing::warn!(%content, %error, "not noted as fetched");
        }
    }

    /// Takes a content's bytes away. That it was removed is durable before; its record goes with the next [`Change::Remove`].
    pub fn remove_files(&self, content: ContentId) {
        self.entries.write().expect("no holder panics").remove(&content);
        let noted = self.journal.write(|tx| {
            tx.open_table(REMOVED)?.insert(&content.0, unix_s())?;
            tx.open_table(STATES)?.remove(&content.0)?;
            tx.open_table(ENTRIES)?.remove(&content.0)?;
            Ok(())
        });
        if let Err(error) = noted {
            // It goes nevertheless: what it takes may be the room that is missing.
            tracing::warn!(%content, %error, "not noted as removed");
        }
        self.forget_damage(content);
        self.files.remove(content);
        self.scratch.lock().expect("no holder panics").remove(&content);
    }

    fn forget_damage(&self, content: ContentId) {
        self.verified.forget(content);
        let damaged = self.damaged.lock().expect("no holder panics").remove(&content).is_some();
        let orphan = self.orphans.lock().expect("no holder panics").remove(&content);
        if damaged || orphan {
            self.write_note(content);
        }
    }

    /// Waits for the disk no more: of a store that is removed next, when all that it was for has come.
    pub(crate) fn hurry(&self) {
        self.files.hurry();
    }

    /// Makes all bytes of these contents durable, then all the changes, together.
    pub fn commit(&self, changes: &BTreeMap<ContentId, Change>) -> Result<(), StoreError> {
        for (content, change) in changes {
            if let Change::State(_) = change {
                self.files.sync(*content).map_err(StoreError::io(&self.root.join("contents")))?;
            }
        }
        let touched = std::mem::take(&mut *self.used.lock().expect("no holder panics"));
        self.journal.write(|tx| {
            let mut states = tx.open_table(STATES)?;
            let mut entries = tx.open_table(ENTRIES)?;
            let mut used = tx.open_table(USED)?;
            let mut removed = tx.open_table(REMOVED)?;
            for (content, change) in changes {
                match change {
                    Change::State(state) => {
                        states.insert(&content.0, state.as_slice())?;
                        used.insert(&content.0, unix_s())?;
                        removed.remove(&content.0)?;
                    }
                    Change::Remove => {
                        states.remove(&content.0)?;
                        entries.remove(&content.0)?;
                        used.remove(&content.0)?;
                    }
                }
            }
            for (content, at) in &touched {
                // Only what has a record: a content removed meanwhile must not leave a trace.
                if states.get(&content.0)?.is_some() {
                    used.insert(&content.0, *at)?;
                }
            }
            Ok(())
        })
    }

    fn put_entry(&self, entry: Entry, state: &[u8]) -> Result<(), StoreError> {
        let id = entry.content;
        self.journal.write(|tx| {
            tx.open_table(STATES)?.insert(&id.0, state)?;
            tx.open_table(ENTRIES)?.insert(&id.0, entry.encode().as_slice())?;
            tx.open_table(USED)?.insert(&id.0, unix_s())?;
            tx.open_table(REMOVED)?.remove(&id.0)?;
            tx.open_table(SCRATCH)?.remove(&id.0)?;
            Ok(())
        })?;
        self.forget_damage(id);
        self.entries.write().expect("no holder panics").insert(id, Arc::new(entry));
        Ok(())
    }

    fn touch(&self, content: ContentId) {
        self.used.lock().expect("no holder panics").insert(content, unix_s());
    }
}

/// Takes the folder for this process, making it if it is missing.
fn lock_folder(root: &Path) -> Result<File, StoreError> {
    std::fs::create_dir_all(root).map_err(StoreError::io(root))?;
    let folder = File::open(root).map_err(StoreError::io(root))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Busy { root: root.into() }),
        // A file system without locks: the record file's own lock, if any, is what is left.
        Err(std::fs::TryLockError::Error(error)) => {
            tracing::debug!(%error, "the data folder cannot be locked");
            Ok(folder)
        }
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
