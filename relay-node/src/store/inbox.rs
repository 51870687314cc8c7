//! How a publisher hands a finished content to the store, whichever process has it open.
//!
//! A publisher writes a folder below `tmp/` (data, records, state, entry), syncs it, and renames it into `inbox/`. Whoever
//! holds the store imports it, and renames the folder into `done/`, with an `error` file when it was refused.

use super::{Entry, Store, StoreError};
use peeredge_node::Area;
use peeredge_wire::ContentId;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Folders that a publisher or importer left behind are removed after so long.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// A content that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it is.
    pub entry: Entry,
    /// What a node wants to hear of it.
    pub state: Vec<u8>,
}

/// Why a content was not imported.
#[derive(Debug)]
pub enum ImportError {
    /// The contents would take more bytes than the settings allow.
    Quota {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free within the quota.
        free: u64,
    },
    /// The folder holds no finished content.
    Incomplete {
        /// What is missing or wrong.
        file: &'static str,
    },
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Quota { needed, free } => {
                write!(f, "needs {needed} bytes, store_bytes_max leaves {free}")
            }
            ImportError::Incomplete { file } => write!(f, "the handed-over {file} is missing or wrong"),
            ImportError::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        ImportError::Store(error)
    }
}

impl Store {
    /// Imports everything that waits, in order of name; what cannot be imported is handed back with its reason.
    pub fn import_waiting(&self, bytes_max: u64) -> Vec<Result<Imported, ImportError>> {
        let _one_at_a_time = self.importing.lock().expect("no holder panics");
        let names = folders(&self.root.join("inbox"));
        names.into_iter().map(|name| self.import_named(&name, bytes_max)).collect()
    }

    fn import_named(&self, name: &str, bytes_max: u64) -> Result<Imported, ImportError> {
        let folder = self.root.join("inbox").join(name);
        let result = self.import(&folder, bytes_max);
        if let Err(error) = &result {
            let _ = std::fs::write(folder.join("error"), error.to_string());
        }
        let done = self.root.join("done").join(name);
        std::fs::rename(&folder, &done).map_err(StoreError::io(&folder))?;
        result
    }

    fn import(&self, folder: &Path, bytes_max: u64) -> Result<Imported, ImportError> {
        let get = |file: &'static str| {
            std::fs::read(folder.join(file)).map_err(|_| ImportError::Incomplete { file })
        };
        let mut entry = Entry::decode(&get("entry")?).ok_or(ImportError::Incomplete { file: "entry" })?;
        // What was published before stays so, though a task has the very same.
        entry.of_task &= self.entry(entry.content).is_none_or(|before| before.of_task);
        let state = get("state")?;
        let needed = entry.length + entry.records_bytes;
        let free = bytes_max.saturating_sub(self.published_bytes());
        if needed > free && self.entry(entry.content).is_none() {
            return Err(ImportError::Quota { needed, free });
        }
        for (file, area, len) in
            [("data", Area::Data, entry.length), ("records", Area::Records, entry.records_bytes)]
        {
            let from = folder.join(file);
            // An import that was interrupted has already moved the file.
            if from.exists() {
                self.files.adopt(&from, entry.content, area).map_err(StoreError::io(&from))?;
            }
            if self.files.len(entry.content, area) != Some(len) {
                return Err(ImportError::Incomplete { file });
            }
        }
        self.files.sync_folder().map_err(StoreError::io(&self.root))?;
        self.put_entry(entry.clone(), &state)?;
        Ok(Imported { entry, state })
    }

    /// Contents whose import has begun or is to come.
    pub(super) fn pending_imports(&self) -> BTreeSet<ContentId> {
        let inbox = self.root.join("inbox");
        let entry = |name: String| Entry::decode(&std::fs::read(inbox.join(name).join("entry")).ok()?);
        folders(&inbox).into_iter().filter_map(entry).map(|entry| entry.content).collect()
    }

    /// Removes what publishers left in `tmp` and `done` a day ago or earlier.
    pub fn remove_leftovers(&self) {
        for folder in ["tmp", "done"] {
            let parent = self.root.join(folder);
            for name in folders(&parent) {
                let path = parent.join(name);
                let modified = std::fs::metadata(&path).and_then(|m| m.modified());
                let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if age.is_some_and(|age| age > LEFTOVER_AGE) {
                    let _ = std::fs::remove_dir_all(&path);
                }
            }
        }
    }
}

fn folders(parent: &Path) -> BTreeSet<String> {
    let listing = std::fs::read_dir(parent).into_iter().flatten().flatten();
    listing.filter_map(|item| item.file_name().into_string().ok()).collect()
}
