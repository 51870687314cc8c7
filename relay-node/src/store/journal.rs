//! The record file: a redb database that is opened again after a failed write, and whose panics on damaged pages are errors here.

use super::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Once, RwLock};

/// What a node wants to hear of a content at the next start.
pub(super) const STATES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("states");
/// What was published here, and what belongs to tasks.
pub(super) const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");
/// When a content was last used.
pub(super) const USED: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("used");
/// Contents that were removed: files of theirs that a crash left behind may go.
pub(super) const REMOVED: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("removed");
/// Contents that were fetched and not published: without a state, their files may go.
pub(super) const SCRATCH: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("scratch");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The format of the tables above. A store without a number is in the first.
const FORMAT: u64 = 1;
/// Memory that redb may use for its pages: records are few and read once.
const CACHE_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// None while it could not be opened again.
    database: RwLock<Option<Database>>,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Journal, StoreError> {
        if std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
            return Err(StoreError::Kind { path: path.into() });
        }
        let journal = Journal { path: path.into(), database: RwLock::new(Some(create(path)?)) };
        journal
            .write(|tx| {
                let mut meta = tx.open_table(META)?;
                let found = meta.get("format")?.map_or(FORMAT, |found| found.value());
                if found <= FORMAT {
                    meta.insert("format", FORMAT)?;
                }
                Ok(found)
            })
            .and_then(|found| match found {
                0..=FORMAT => Ok(journal),
                found => Err(StoreError::Version { path: path.into(), found, known: FORMAT }),
            })
    }

    /// Reads; what the closure does may be done twice.
    pub(super) fn read<T>(
        &self,
        mut what: impl FnMut(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.run(|database| what(&database.begin_read()?))
    }

    /// Changes, all or nothing, durable when it returns; what the closure does may be done twice.
    pub(super) fn write<T>(
        &self,
        mut what: impl FnMut(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.run(|database| {
            let tx = database.begin_write()?;
            let out = what(&tx)?;
            tx.commit()?;
            Ok(out)
        })
    }

    /// After a failed write redb refuses everything until it is opened again, which is tried once for each call.
    fn run<T>(&self, mut what: impl FnMut(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let mut attempt = || {
            let database = self.database.read().expect("no holder panics");
            let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
            guarded(|| what(database))
        };
        match attempt() {
            Err(redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
                self.reopen()?;
                attempt().map_err(|error| StoreError::journal(&self.path, error))
            }
            other => other.map_err(|error| StoreError::journal(&self.path, error)),
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().expect("no holder panics");
        // Closed first: the lock on the file is the old one's.
        *database = None;
        *database = Some(create(&self.path)?);
        tracing::info!(journal = %self.path.display(), "opened again after a failed write");
        Ok(())
    }
}

fn create(path: &Path) -> Result<Database, StoreError> {
    guarded(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        #[cfg(test)]
        if let Some(backend) = super::journal_faults::backend(path) {
            return Ok(builder.create_with_backend(backend)?);
        }
        Ok(builder.create(path)?)
    })
    .map_err(|error| StoreError::journal(path, error))
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs redb on pages that may be damaged: where it panics, that is an error.
fn guarded<T>(what: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let nested = GUARDED.replace(true);
    let out = catch_unwind(AssertUnwindSafe(what));
    GUARDED.set(nested);
    out.unwrap_or_else(|panic| {
        let why =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(redb::Error::Corrupted(why.unwrap_or("a page contradicts itself").to_owned()))
    })
}
