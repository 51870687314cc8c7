//! What a store is found to hold when it is opened. Only what its records say may go is deleted; all else is kept and reported.

use super::journal::{ENTRIES, REMOVED, SCRATCH, STATES, USED};
use super::{Entry, Store, StoreError};
use peeredge_node::{Area, Manifest, StoredState};
use peeredge_wire::ContentId;
use redb::ReadableTable;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One content's rows.
#[derive(Clone, Debug, Default)]
struct Rows {
    state: Option<Vec<u8>>,
    entry: Option<Vec<u8>>,
}

/// What becomes of them.
#[derive(Debug)]
enum Fate {
    /// Published and served; the rows as they should be, and what is wrong with the files.
    Published { entry: Entry, state: Vec<u8>, rewrite: bool, lost: Option<String> },
    /// Published, and nobody can tell as what.
    Unknown,
    /// Fetched for use here.
    Fetched,
    /// Of no use, and nothing says that it may go.
    Orphan,
    /// May go: a task's, removed before, or fetched and of no use.
    Gone,
}

fn content_of(key: &[u8; 32]) -> ContentId {
    ContentId(*key)
}

impl Store {
    /// Reads all records and looks for what they speak of.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let folder = self.root.join("contents");
        let listed = self.files.list().map_err(StoreError::io(&folder))?;
        let pending = self.pending_imports();
        let (rows, marked) = self.journal.write(|tx| {
            let mut rows: BTreeMap<ContentId, Rows> = BTreeMap::new();
            for row in tx.open_table(STATES)?.iter()? {
                let (content, state) = row?;
                rows.entry(content_of(content.value())).or_default().state = Some(state.value().to_vec());
            }
            for row in tx.open_table(ENTRIES)?.iter()? {
                let (content, entry) = row?;
                rows.entry(content_of(content.value())).or_default().entry = Some(entry.value().to_vec());
            }
            tx.open_table(USED)?;
            let mut marked = BTreeMap::new();
            for (table, is_removed) in [(SCRATCH, false), (REMOVED, true)] {
                for row in tx.open_table(table)?.iter()? {
                    marked.insert(content_of(row?.0.value()), is_removed);
                }
            }
            Ok((rows, marked))
        })?;
        let fates: BTreeMap<ContentId, Fate> =
            rows.iter().map(|(&content, rows)| (content, self.fate(content, rows, &marked))).collect();
        self.write_fates(&fates)?;
        for (&content, fate) in &fates {
            self.apply(content, fate);
        }
        for (&content, found) in
            listed.iter().filter(|(id, _)| !fates.contains_key(id) && !pending.contains(id))
        {
            match marked.get(&content) {
                Some(true) => self.files.remove(content),
                // Only what was published has its manifest beside it.
                Some(false) if !found.manifest => self.files.remove(content),
                _ => _ = self.orphans.lock().expect("no holder panics").insert(content),
            }
        }
        let settled: Vec<ContentId> = marked
            .into_keys()
            .filter(|content| !listed.contains_key(content) && !rows.contains_key(content))
            .collect();
        if !settled.is_empty() {
            self.journal.write(|tx| {
                let (mut removed, mut scratch) = (tx.open_table(REMOVED)?, tx.open_table(SCRATCH)?);
                for content in &settled {
                    removed.remove(&content.0)?;
                    scratch.remove(&content.0)?;
                }
                Ok(())
            })?;
        }
        for damage in self.damaged.lock().expect("no holder panics").values_mut() {
            damage.is_old = true;
        }
        self.look_at_wrong(true);
        self.report(&folder);
        Ok(())
    }

    fn fate(&self, content: ContentId, rows: &Rows, marked: &BTreeMap<ContentId, bool>) -> Fate {
        let state = rows.state.as_deref().and_then(|state| StoredState::decode(&content, state));
        let Some(entry) = &rows.entry else {
            let useful = state.is_some() && self.files.len(content, Area::Records).is_some();
            return match marked.contains_key(&content) {
                _ if useful => Fate::Fetched,
                true => Fate::Gone,
                false => Fate::Orphan,
            };
        };
        let entry = Entry::decode(entry).filter(|entry| entry.content == content);
        if entry.as_ref().is_some_and(|entry| entry.of_task) || marked.get(&content) == Some(&true) {
            // Whoever waited for a task has gone with the process before.
            return Fate::Gone;
        }
        let of_file = || Manifest::decode(&content, &self.files.manifest(content).ok()?).ok();
        let manifest = match &state {
            Some(state) => Some(state.manifest.clone()),
            // The state is wrong as a whole, but the manifest in it may still be proved by the id.
            None => rows
                .state
                .as_deref()
                .and_then(peeredge_node::manifest_of_state)
                .and_then(|bytes| Manifest::decode(&content, bytes).ok())
                .or_else(of_file),
        };
        let Some(manifest) = manifest else { return Fate::Unknown };
        let expected = Entry::of_manifest(&manifest);
        let rewrite = state.is_none() || entry.as_ref() != Some(&expected);
        let lost = match self.files.len(content, Area::Data) {
            Some(length) if length == expected.length => None,
            Some(length) => Some(format!("{length} of {} bytes are there", expected.length)),
            None => Some("its data is missing, or is no regular file".into()),
        };
        let state = state.unwrap_or_else(|| StoredState::whole(manifest)).encode();
        Fate::Published { entry: expected, state, rewrite, lost }
    }

    fn write_fates(&self, fates: &BTreeMap<ContentId, Fate>) -> Result<(), StoreError> {
        let changes = fates.values().any(|fate| match fate {
            Fate::Published { rewrite, .. } => *rewrite,
            Fate::Gone => true,
            Fate::Unknown | Fate::Fetched | Fate::Orphan => false,
        });
        if !changes {
            return Ok(());
        }
        self.journal.write(|tx| {
            let mut states = tx.open_table(STATES)?;
            let mut entries = tx.open_table(ENTRIES)?;
            let mut used = tx.open_table(USED)?;
            let mut removed = tx.open_table(REMOVED)?;
            for (content, fate) in fates {
                match fate {
                    Fate::Published { entry, state, rewrite: true, .. } => {
                        states.insert(&content.0, state.as_slice())?;
                        entries.insert(&content.0, entry.encode().as_slice())?;
                    }
                    Fate::Gone => {
                        states.remove(&content.0)?;
                        entries.remove(&content.0)?;
                        used.remove(&content.0)?;
                        removed.insert(&content.0, super::unix_s())?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn apply(&self, content: ContentId, fate: &Fate) {
        match fate {
            Fate::Published { entry, state, rewrite, lost } => {
                if *rewrite {
                    tracing::warn!(%content, "its record was wrong, and was made again from its manifest");
                }
                if let Some(why) = lost {
                    return self.lost(content, why);
                }
                self.entries.write().expect("no holder panics").insert(content, Arc::new(entry.clone()));
                // Stores of earlier versions have none.
                let written = match (self.files.manifest(content), peeredge_node::manifest_of_state(state)) {
                    (Err(error), Some(bytes)) if error.kind() == std::io::ErrorKind::NotFound => {
                        self.files.put_manifest(content, bytes)
                    }
                    _ => Ok(()),
                };
                if let Err(error) = written {
                    tracing::warn!(%content, %error, "its manifest was not written beside it");
                }
            }
            Fate::Unknown => self.lost(content, "neither its record nor its manifest can be read"),
            Fate::Fetched => _ = self.scratch.lock().expect("no holder panics").insert(content),
            Fate::Orphan => _ = self.orphans.lock().expect("no holder panics").insert(content),
            Fate::Gone => {
                tracing::debug!(%content, "a task's content, or a useless part of one: dropped");
                self.files.remove(content);
            }
        }
    }

    fn report(&self, folder: &std::path::Path) {
        let orphans = self.orphans();
        orphans.iter().for_each(|&content| self.write_note(content));
        if !orphans.is_empty() {
            tracing::warn!(
                contents = orphans.len(),
                folder = %folder.display(),
                "contents without a record are kept and not served; `peeredge check --repair` takes them in again"
            );
        }
    }
}
