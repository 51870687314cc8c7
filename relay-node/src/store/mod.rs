//! What a relay or a native peer keeps: one record a content in redb, and the content's bytes as two sparse files.
//!
//! A record is committed only after the bytes it speaks of have reached the disk, so a record that survives a crash
//! is true; bytes without a record are taken for absent. Readers still verify what they read.
//!
//! ```text
//! peeredge.redb          states, entries, last use
//! contents/ID.data       the content at its own offsets
//! contents/ID.records    the records of its blocks, one behind the other
//! tmp/                   what a publisher is writing
//! inbox/                 finished there, waiting to be imported
//! done/                  imported or refused, waiting for its publisher to look
//! sources/               which file was published as which content
//! ```

mod entry;
mod files;
mod inbox;
mod worker;

pub use entry::Entry;
pub use inbox::{ImportError, Imported};
pub use worker::{StoreJob, StoreWorker};

use files::Files;
use peeredge_node::Area;
use peeredge_wire::ContentId;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

const STATES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("states");
const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");
const USED: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("used");

/// Memory that redb may use for its pages: records are few and read once.
const DATABASE_CACHE_BYTES: usize = 8 << 20;

/// Why the store cannot be opened or changed.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has this store open.
    Busy {
        /// The folder.
        root: PathBuf,
    },
    /// A file or folder of the store cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The database refuses.
    Database(Box<redb::Error>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Busy { root } => write!(f, "{} is in use by another process", root.display()),
            StoreError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            StoreError::Database(error) => write!(f, "database: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |error| StoreError::Io { path: path.into(), error }
    }
}

fn db<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

/// A change of one content's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Replace the state.
    State(Vec<u8>),
    /// Forget the content.
    Remove,
}

/// An open store. Shared by everything in the process that reads or writes contents.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    database: Database,
    files: Files,
    entries: RwLock<BTreeMap<ContentId, Arc<Entry>>>,
    used: Mutex<BTreeMap<ContentId, u64>>,
    importing: Mutex<()>,
    failed: AtomicBool,
}

impl Store {
    /// Opens the store below `root`, making what is missing.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        for folder in ["contents", "tmp", "inbox", "done", "sources"] {
            let path = root.join(folder);
            std::fs::create_dir_all(&path).map_err(StoreError::io(&path))?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(DATABASE_CACHE_BYTES);
        let database = match builder.create(root.join("peeredge.redb")) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::Busy { root: root.into() }),
            Err(error) => return Err(db(error)),
        };
        let files = Files::new(root.join("contents"));
        let store = Store {
            root: root.into(),
            database,
            files,
            entries: RwLock::default(),
            used: Mutex::default(),
            importing: Mutex::default(),
            failed: AtomicBool::new(false),
        };
        store.recover()?;
        Ok(store)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Drops records without bytes and bytes without a record: what a crash can leave behind.
    fn recover(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(db)?;
        {
            let mut states = write.open_table(STATES).map_err(db)?;
            let mut entries = write.open_table(ENTRIES).map_err(db)?;
            let mut used = write.open_table(USED).map_err(db)?;
            let mut known = BTreeMap::new();
            for row in states.iter().map_err(db)? {
                let content = ContentId(*row.map_err(db)?.0.value());
                let entry = entries.get(&content.0).map_err(db)?.map(|bytes| Entry::decode(bytes.value()));
                let whole = match &entry {
                    // Whoever waited for it has gone with the process before.
                    Some(Some(entry)) if entry.of_task => false,
                    Some(Some(entry)) => self.files.len(content, Area::Data) == Some(entry.length),
                    Some(None) => false,
                    None => self.files.len(content, Area::Records).is_some(),
                };
                known.insert(content, (whole, entry.flatten()));
            }
            let mut kept = self.entries.write().expect("no holder panics");
            for (content, (whole, entry)) in &known {
                if *whole {
                    kept.extend(entry.clone().map(|entry| (*content, Arc::new(entry))));
                    continue;
                }
                match entry {
                    Some(entry) if entry.of_task => tracing::debug!(%content, "a task's content: dropped"),
                    _ => tracing::warn!(%content, "record without its bytes: dropped"),
                }
                states.remove(&content.0).map_err(db)?;
                entries.remove(&content.0).map_err(db)?;
                used.remove(&content.0).map_err(db)?;
            }
            let pending = self.pending_imports();
            self.files
                .sweep(|content| known.get(&content).is_some_and(|k| k.0) || pending.contains(&content));
        }
        write.commit().map_err(db)
    }

    /// Every content's state, least recently used first.
    pub fn states(&self) -> Result<Vec<(ContentId, Vec<u8>)>, StoreError> {
        let read = self.database.begin_read().map_err(db)?;
        let states = read.open_table(STATES).map_err(db)?;
        let used = read.open_table(USED).map_err(db)?;
        let mut out = Vec::new();
        for row in states.iter().map_err(db)? {
            let (content, state) = row.map_err(db)?;
            let at = used.get(content.value()).map_err(db)?.map_or(0, |at| at.value());
            out.push((at, ContentId(*content.value()), state.value().to_vec()));
        }
        out.sort_unstable();
        Ok(out.into_iter().map(|(_, content, state)| (content, state)).collect())
    }

    /// One content's state.
    pub fn state(&self, content: ContentId) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.database.begin_read().map_err(db)?;
        let states = read.open_table(STATES).map_err(db)?;
        Ok(states.get(&content.0).map_err(db)?.map(|state| state.value().to_vec()))
    }

    /// What is published here, by content; what belongs to tasks is not.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().expect("no holder panics");
        entries.values().filter(|entry| !entry.of_task).cloned().collect()
    }

    /// One content that is whole here, published or a task's.
    pub fn entry(&self, content: ContentId) -> Option<Arc<Entry>> {
        self.entries.read().expect("no holder panics").get(&content).cloned()
    }

    /// Bytes that all published contents take, and those of tasks.
    pub fn published_bytes(&self) -> u64 {
        self.entries.read().expect("no holder panics").values().map(|e| e.length + e.records_bytes).sum()
    }

    /// Whether any write or commit has failed since the store was opened.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn note_failure(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Reads exactly `len` bytes.
    pub fn read(&self, content: ContentId, area: Area, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.touch(content);
        self.files.read(content, area, offset, len)
    }

    /// Writes bytes; they are durable once [`Store::commit`] has returned for a state that came later.
    pub fn write(&self, content: ContentId, area: Area, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.write(content, area, offset, bytes)
    }

    /// Takes a content's bytes away at once. Its record goes with the next [`Change::Remove`].
    pub fn remove_files(&self, content: ContentId) {
        self.entries.write().expect("no holder panics").remove(&content);
        self.files.remove(content);
    }

    /// Makes all bytes of these contents durable, then all the changes, together.
    pub fn commit(&self, changes: &BTreeMap<ContentId, Change>) -> Result<(), StoreError> {
        for (content, change) in changes {
            if let Change::State(_) = change {
                self.files.sync(*content).map_err(StoreError::io(&self.root.join("contents")))?;
            }
        }
        let write = self.database.begin_write().map_err(db)?;
        {
            let mut states = write.open_table(STATES).map_err(db)?;
            let mut entries = write.open_table(ENTRIES).map_err(db)?;
            let mut used = write.open_table(USED).map_err(db)?;
            for (content, change) in changes {
                match change {
                    Change::State(state) => {
                        states.insert(&content.0, state.as_slice()).map_err(db)?;
                        used.insert(&content.0, unix_s()).map_err(db)?;
                    }
                    Change::Remove => {
                        states.remove(&content.0).map_err(db)?;
                        entries.remove(&content.0).map_err(db)?;
                        used.remove(&content.0).map_err(db)?;
                    }
                }
            }
            for (content, at) in std::mem::take(&mut *self.used.lock().expect("no holder panics")) {
                // Only what has a record: a content removed meanwhile must not leave a trace.
                if states.get(&content.0).map_err(db)?.is_some() {
                    used.insert(&content.0, at).map_err(db)?;
                }
            }
        }
        write.commit().map_err(db)
    }

    fn put_entry(&self, entry: Entry, state: &[u8]) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(db)?;
        {
            let id = &entry.content.0;
            write.open_table(STATES).map_err(db)?.insert(id, state).map_err(db)?;
            write.open_table(ENTRIES).map_err(db)?.insert(id, entry.encode().as_slice()).map_err(db)?;
            write.open_table(USED).map_err(db)?.insert(id, unix_s()).map_err(db)?;
        }
        write.commit().map_err(db)?;
        self.entries.write().expect("no holder panics").insert(entry.content, Arc::new(entry));
        Ok(())
    }

    fn touch(&self, content: ContentId) {
        self.used.lock().expect("no holder panics").insert(content, unix_s());
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
