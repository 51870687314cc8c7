//! How a publisher hands a finished content to the store, whichever process has it open.
//!
//! A publisher writes a folder below `tmp/` (data, records, state, entry), syncs it, and renames it into `inbox/`. Whoever
//! holds the store imports it, and renames the folder into `done/`, with an `error` file when it was refused.

use super::{Entry, Store, StoreError};
use crate::own_file;
use peeredge_node::{Area, StoredState};
use peeredge_wire::ContentId;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What an importer handed back is removed after so long: its publisher is gone.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);
/// A publisher locks its folder as soon as it has made it.
const LOCKED_WITHIN: Duration = Duration::from_secs(10);

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
                write!(f, "it needs {needed} bytes, and store_bytes_max leaves {free}")
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

/// Bytes of a handed-over entry and of a state: the largest are a few hundred bytes, and half of it.
const ENTRY_BYTES_MAX: u64 = 4 << 10;
const STATE_BYTES_MAX: u64 = 2 << 20;
/// Bytes of a note of what is wrong: the numbers of all blocks of the largest content.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// Names in the inbox that are looked at in one go.
const WAITING_MAX: usize = 10_000;
/// What a refused folder's name ends with in `done/`: it says so even where the disk takes no reason.
pub(crate) const REFUSED: &str = ".refused";

impl Store {
    /// Imports everything that waits, in order of name; what cannot be imported is handed back with its reason.
    pub fn import_waiting(&self, bytes_max: u64) -> Vec<Result<Imported, ImportError>> {
        let _one_at_a_time = self.importing.lock().expect("no holder panics");
        let names = names(&self.root.join("inbox"));
        names.into_iter().filter_map(|name| self.import_named(&name, bytes_max)).collect()
    }

    fn import_named(&self, name: &str, bytes_max: u64) -> Option<Result<Imported, ImportError>> {
        let folder = self.root.join("inbox").join(name);
        if self.ignored.lock().expect("no holder panics").contains(name) {
            return None;
        }
        let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir());
        if !is_folder || !folder.join("entry").exists() {
            // Not from a publisher, which renames a finished folder here. It is somebody's: it stays.
            self.ignore(name, "only `peeredge publish` hands over contents here; left alone");
            return None;
        }
        let result = self.import(&folder, bytes_max);
        let mut done = self.root.join("done").join(name);
        if let Err(error) = &result {
            let _ = own_file::replace(&folder.join("error"), error.to_string().as_bytes());
            done.as_mut_os_string().push(REFUSED);
        }
        if let Err(error) = std::fs::rename(&folder, &done) {
            self.ignore(name, &format!("cannot be moved to done/: {error}"));
            if result.is_ok() {
                self.note_failure(&format!("{}: {error}", folder.display()));
            }
        }
        Some(result)
    }

    /// Says once why something in the inbox is not taken, instead of ten times a second.
    fn ignore(&self, name: &str, why: &str) {
        let mut ignored = self.ignored.lock().expect("no holder panics");
        if ignored.len() >= WAITING_MAX {
            ignored.clear();
        }
        ignored.insert(name.to_owned());
        tracing::warn!(inbox = %self.root.join("inbox").display(), name, why, "not imported");
    }

    fn import(&self, folder: &Path, bytes_max: u64) -> Result<Imported, ImportError> {
        let get = |file: &'static str, bytes_max: u64| {
            read_small(&folder.join(file), bytes_max).map_err(|_| ImportError::Incomplete { file })
        };
        let entry = Entry::decode(&get("entry", ENTRY_BYTES_MAX)?);
        let mut entry = entry.ok_or(ImportError::Incomplete { file: "entry" })?;
        let state = get("state", STATE_BYTES_MAX)?;
        let known = StoredState::decode(&entry.content, &state).filter(|state| state.whole.is_full());
        let manifest = known.ok_or(ImportError::Incomplete { file: "state" })?.manifest;
        let said = Entry { of_task: entry.of_task, ..Entry::of_manifest(&manifest) };
        if said != entry {
            return Err(ImportError::Incomplete { file: "entry" });
        }
        // What was published before stays so, though a task has the very same.
        let before = self.entry(entry.content);
        entry.of_task &= before.as_ref().is_none_or(|before| before.of_task);
        let needed = entry.length.saturating_add(entry.records_bytes);
        let free = bytes_max.saturating_sub(self.published_bytes());
        if needed > free && before.is_none() {
            return Err(ImportError::Quota { needed, free });
        }
        let parts = [("data", Area::Data, entry.length), ("records", Area::Records, entry.records_bytes)];
        let mut adopted = Vec::new();
        let taken = self.adopt(folder, &entry, &parts, &mut adopted).and_then(|()| {
            if !entry.of_task {
                let put = self.files.put_manifest(entry.content, &manifest.encode());
                put.map_err(StoreError::io(&self.root.join("contents")))?;
            }
            self.files.sync_folder().map_err(StoreError::io(&self.root))?;
            Ok(self.put_entry(entry.clone(), &state)?)
        });
        if let Err(error) = taken {
            if let ImportError::Store(error) = &error {
                self.note_failure(&error.to_string());
            }
            // Without a record nobody would know whose bytes these are: they go back to their publisher.
            if before.is_none() {
                for (file, area) in adopted {
                    let _ = self.files.give_back(entry.content, area, &folder.join(file));
                }
                self.files.remove(entry.content);
            }
            return Err(error);
        }
        Ok(Imported { entry, state })
    }

    fn adopt(
        &self,
        folder: &Path,
        entry: &Entry,
        parts: &[(&'static str, Area, u64)],
        adopted: &mut Vec<(&'static str, Area)>,
    ) -> Result<(), ImportError> {
        for &(file, area, len) in parts {
            let from = folder.join(file);
            match std::fs::symlink_metadata(&from) {
                Ok(meta) if meta.is_file() && meta.len() == len => {
                    self.files.adopt(&from, entry.content, area).map_err(StoreError::io(&from))?;
                    adopted.push((file, area));
                }
                Ok(_) => return Err(ImportError::Incomplete { file }),
                // An import that was interrupted has already moved the file.
                Err(_) if self.files.len(entry.content, area) == Some(len) => {}
                Err(_) => return Err(ImportError::Incomplete { file }),
            }
        }
        Ok(())
    }

    /// Contents whose import has begun or is to come.
    pub(super) fn pending_imports(&self) -> BTreeSet<ContentId> {
        let inbox = self.root.join("inbox");
        let entry =
            |name: String| Entry::decode(&read_small(&inbox.join(name).join("entry"), ENTRY_BYTES_MAX).ok()?);
        names(&inbox).into_iter().filter_map(entry).map(|entry| entry.content).collect()
    }

    /// Looks at the blocks that notes say are wrong, as `peeredge verify` and earlier runs leave them. `is_old`: when the store is opened.
    pub fn look_at_wrong(&self, is_old: bool) {
        for name in names(&self.root.join("wrong")) {
            let Ok(content) = name.parse::<ContentId>() else { continue };
            if self.entry(content).is_none() {
                if is_old && self.damage(content).is_none() && !self.orphans().contains(&content) {
                    self.write_note(content);
                }
                continue;
            }
            let Ok(note) = read_small(&self.note_path(content), NOTE_BYTES_MAX) else { continue };
            let noted = String::from_utf8_lossy(&note);
            let noted: BTreeSet<u32> =
                noted.split_whitespace().filter_map(|block| block.parse().ok()).collect();
            if self.damage(content).is_some_and(|damage| noted.is_subset(&damage.blocks)) {
                continue;
            }
            let Ok(manifest) = self.manifest(content) else { continue };
            for block in noted.into_iter().filter(|block| *block < manifest.layout().blocks()) {
                self.verify_again(content, manifest.layout().block_range(block));
            }
            if is_old && let Some(damage) = self.damaged.lock().expect("no holder panics").get_mut(&content) {
                damage.is_old = true;
            }
            // What is right after all loses its note.
            self.write_note(content);
        }
    }

    /// Removes what publishers that have ended left in `tmp`, and what waited for one in `done` for a day.
    pub fn remove_leftovers(&self) {
        for folder in ["tmp", "done"] {
            let parent = self.root.join(folder);
            for name in names(&parent) {
                let path = parent.join(name);
                let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
                let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                let is_left = match folder {
                    // A folder from the future, as clocks have it, is nobody's that has just been made.
                    "tmp" => age.is_none_or(|age| age > LOCKED_WITHIN) && is_unlocked(&path),
                    _ => age.is_some_and(|age| age > LEFTOVER_AGE),
                };
                if meta.is_dir() && is_left {
                    let _ = std::fs::remove_dir_all(&path);
                }
            }
        }
    }
}

/// Whether nobody writes there any more: publishers hold a lock, which ends with them however they end.
fn is_unlocked(folder: &Path) -> bool {
    std::fs::File::open(folder).is_ok_and(|folder| folder.try_lock().is_ok())
}

/// A small regular file, whole.
fn read_small(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let file = super::files::open(path, std::fs::OpenOptions::new().read(true))?;
    let mut bytes = Vec::new();
    if file.take(bytes_max + 1).read_to_end(&mut bytes)? as u64 > bytes_max {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    Ok(bytes)
}

fn names(parent: &Path) -> BTreeSet<String> {
    let listing = std::fs::read_dir(parent).into_iter().flatten().flatten();
    listing.filter_map(|item| item.file_name().into_string().ok()).take(WAITING_MAX).collect()
}
