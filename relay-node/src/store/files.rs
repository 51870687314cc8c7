//! The bytes of contents: two sparse files each, with a bounded number of open handles.

use peeredge_node::Area;
use peeredge_wire::ContentId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// File handles kept open between uses.
const HANDLES_MAX: usize = 128;

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    handles: Mutex<Handles>,
}

#[derive(Debug, Default)]
struct Handles {
    open: BTreeMap<(ContentId, Area), (Arc<File>, u64)>,
    clock: u64,
    /// Files made since the folder was last synced: their names are not yet durable.
    folder_dirty: bool,
    /// Written since the last sync.
    dirty: BTreeSet<(ContentId, Area)>,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Files {
        Files { folder, handles: Mutex::default() }
    }

    pub(super) fn path(&self, content: ContentId, area: Area) -> PathBuf {
        let suffix = match area {
            Area::Data => "data",
            Area::Records => "records",
        };
        self.folder.join(format!("{content}.{suffix}"))
    }

    pub(super) fn len(&self, content: ContentId, area: Area) -> Option<u64> {
        std::fs::metadata(self.path(content, area)).ok().map(|m| m.len())
    }

    pub(super) fn read(
        &self,
        content: ContentId,
        area: Area,
        offset: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.handle(content, area, false)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    pub(super) fn write(&self, content: ContentId, area: Area, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.handle(content, area, true)?;
        // Marked after the bytes are there: a sync in between would clear the mark of bytes that it has not seen.
        // It speaks of earlier bytes, so that the missing mark of these does no harm.
        file.write_all_at(bytes, offset)?;
        self.handles.lock().expect("no holder panics").dirty.insert((content, area));
        Ok(())
    }

    /// Makes everything durable that was written to this content before the call.
    pub(super) fn sync(&self, content: ContentId) -> io::Result<()> {
        for area in [Area::Data, Area::Records] {
            let dirty = self.handles.lock().expect("no holder panics").dirty.remove(&(content, area));
            if dirty {
                let synced = self.handle(content, area, true).and_then(|file| file.sync_data());
                if synced.is_err() {
                    self.handles.lock().expect("no holder panics").dirty.insert((content, area));
                }
                synced?;
            }
        }
        self.sync_folder()
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let dirty = std::mem::take(&mut self.handles.lock().expect("no holder panics").folder_dirty);
        if dirty {
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            if synced.is_err() {
                self.handles.lock().expect("no holder panics").folder_dirty = true;
            }
            synced?;
        }
        Ok(())
    }

    pub(super) fn remove(&self, content: ContentId) {
        let mut handles = self.handles.lock().expect("no holder panics");
        for area in [Area::Data, Area::Records] {
            handles.open.remove(&(content, area));
            handles.dirty.remove(&(content, area));
            // Absent is what was wanted.
            let _ = std::fs::remove_file(self.path(content, area));
        }
    }

    /// Moves a finished file here under its content's name.
    pub(super) fn adopt(&self, from: &std::path::Path, content: ContentId, area: Area) -> io::Result<()> {
        std::fs::rename(from, self.path(content, area))?;
        let mut handles = self.handles.lock().expect("no holder panics");
        handles.open.remove(&(content, area));
        handles.folder_dirty = true;
        Ok(())
    }

    /// Removes the files of every content that `keep` does not want.
    pub(super) fn sweep(&self, keep: impl Fn(ContentId) -> bool) {
        let Ok(listing) = std::fs::read_dir(&self.folder) else { return };
        for path in listing.flatten().map(|item| item.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let content: Option<ContentId> = stem.and_then(|stem| stem.parse().ok());
            if content.is_some_and(|content| !keep(content)) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    fn handle(&self, content: ContentId, area: Area, write: bool) -> io::Result<Arc<File>> {
        let mut handles = self.handles.lock().expect("no holder panics");
        handles.clock += 1;
        let clock = handles.clock;
        if let Some((file, used)) = handles.open.get_mut(&(content, area)) {
            *used = clock;
            return Ok(file.clone());
        }
        let path = self.path(content, area);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && write => {
                handles.folder_dirty = true;
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?
            }
            other => other?,
        };
        if handles.open.len() >= HANDLES_MAX {
            let oldest = handles.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            handles.open.remove(&oldest.expect("the map is not empty"));
        }
        let file = Arc::new(file);
        handles.open.insert((content, area), (file.clone(), clock));
        Ok(file)
    }
}
