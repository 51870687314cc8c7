//! The bytes of contents: two sparse files each, and the manifest of what was published, with a bounded number of open handles.

use peeredge_node::Area;
use peeredge_wire::ContentId;
use rustix::fs::OFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// File handles kept open between uses.
const HANDLES_MAX: usize = 128;
/// Bytes of a manifest file: the largest manifest is half of it.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What lies in the folder of one content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Bytes of its data.
    pub data: Option<u64>,
    /// Bytes of its records.
    pub records: Option<u64>,
    /// Whether its manifest lies there.
    pub manifest: bool,
    /// Whether any of it is no regular file.
    pub odd: bool,
}

/// What changes when a file does: verified bytes are verified as long as it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    length: u64,
    changed: [i64; 4],
}

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        Stamp {
            place: (meta.dev(), meta.ino()),
            length: meta.len(),
            changed: [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()],
        }
    }
}

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// Whether nobody waits for the disk any more.
    hurries: AtomicBool,
    handles_max: AtomicUsize,
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
        Files {
            folder,
            hurries: AtomicBool::new(false),
            handles_max: AtomicUsize::new(HANDLES_MAX),
            handles: Mutex::default(),
        }
    }

    pub(super) fn path(&self, content: ContentId, area: Area) -> PathBuf {
        let suffix = match area {
            Area::Data => "data",
            Area::Records => "records",
        };
        self.folder.join(format!("{content}.{suffix}"))
    }

    fn manifest_path(&self, content: ContentId) -> PathBuf {
        self.folder.join(format!("{content}.manifest"))
    }

    /// Bytes of a regular file; links and other kinds count as absent.
    pub(super) fn len(&self, content: ContentId, area: Area) -> Option<u64> {
        let meta = std::fs::symlink_metadata(self.path(content, area)).ok()?;
        meta.is_file().then_some(meta.len())
    }

    /// The contents of which anything lies here.
    pub(super) fn list(&self) -> io::Result<BTreeMap<ContentId, Listed>> {
        let mut all: BTreeMap<ContentId, Listed> = BTreeMap::new();
        for item in std::fs::read_dir(&self.folder)? {
            let item = item?;
            let name = item.file_name();
            let Some((id, suffix)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Ok(content) = id.parse::<ContentId>() else { continue };
            if !matches!(suffix, "data" | "records" | "manifest") {
                continue;
            }
            // Gone since it was listed.
            let Ok(meta) = std::fs::symlink_metadata(item.path()) else { continue };
            let listed = all.entry(content).or_default();
            match suffix {
                _ if !meta.is_file() => listed.odd = true,
                "data" => listed.data = Some(meta.len()),
                "records" => listed.records = Some(meta.len()),
                _ => listed.manifest = true,
            }
        }
        Ok(all)
    }

    /// The bytes of the content's manifest file, whatever they are.
    pub(super) fn manifest(&self, content: ContentId) -> io::Result<Vec<u8>> {
        let path = self.manifest_path(content);
        let file = match open(&path, OpenOptions::new().read(true)) {
            Err(error) if is_scarce(&error) && self.let_go() > 0 => {
                open(&path, OpenOptions::new().read(true))
            }
            opened => opened,
        }?;
        let len = file.metadata()?.len();
        if len > MANIFEST_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Writes the manifest beside the data, durable, so that the data can be told without the journal.
    pub(super) fn put_manifest(&self, content: ContentId, bytes: &[u8]) -> io::Result<()> {
        let path = self.manifest_path(content);
        let new = path.with_extension("manifest-new");
        let mut file = open(&new, OpenOptions::new().write(true).create(true).truncate(true))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        self.handles.lock().expect("no holder panics").folder_dirty = true;
        Ok(())
    }

    pub(super) fn read(
        &self,
        content: ContentId,
        area: Area,
        offset: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        self.read_stamped(content, area, offset, len).map(|(bytes, _)| bytes)
    }

    /// Bytes, and the stamp of the file after they were read: what changed it earlier shows in the stamp.
    pub(super) fn read_stamped(
        &self,
        content: ContentId,
        area: Area,
        offset: u64,
        len: usize,
    ) -> io::Result<(Vec<u8>, Stamp)> {
        let file = self.handle(content, area, false)?;
        let bytes = read_at(&file, offset, len)?;
        let meta = file.metadata()?;
        // It was removed, or replaced, and only this process can still read it.
        if meta.nlink() == 0 {
            self.handles.lock().expect("no holder panics").open.remove(&(content, area));
            return Err(ErrorKind::NotFound.into());
        }
        Ok((bytes, Stamp::of(&meta)))
    }

    pub(super) fn write(&self, content: ContentId, area: Area, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.handle(content, area, true)?;
        // Marked after the bytes are there: a sync in between would clear the mark of bytes that it has not seen.
        // It speaks of earlier bytes, so that the missing mark of these does no harm.
        file.write_all_at(bytes, offset)?;
        self.handles.lock().expect("no holder panics").dirty.insert((content, area));
        Ok(())
    }

    /// Keeps fewer files open between uses than it would, at least one.
    pub(super) fn keep_open(&self, max: usize) {
        self.handles_max.store(max.clamp(1, HANDLES_MAX), Ordering::Relaxed);
    }

    /// Closes every file that nobody reads just now. Gives how many.
    pub(super) fn let_go(&self) -> usize {
        std::mem::take(&mut self.handles.lock().expect("no holder panics").open).len()
    }

    /// From now on what is written is left to the system, which brings it to the disk in its own time.
    pub(super) fn hurry(&self) {
        self.hurries.store(true, Ordering::Relaxed);
    }

    /// Makes everything durable that was written to this content before the call.
    pub(super) fn sync(&self, content: ContentId) -> io::Result<()> {
        if self.hurries.load(Ordering::Relaxed) {
            return Ok(());
        }
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
        let _ = std::fs::remove_file(self.manifest_path(content));
    }

    /// Moves a finished file here under its content's name.
    pub(super) fn adopt(&self, from: &Path, content: ContentId, area: Area) -> io::Result<()> {
        std::fs::rename(from, self.path(content, area))?;
        let mut handles = self.handles.lock().expect("no holder panics");
        handles.open.remove(&(content, area));
        handles.folder_dirty = true;
        Ok(())
    }

    /// Moves a file back to whoever handed it over.
    pub(super) fn give_back(&self, content: ContentId, area: Area, to: &Path) -> io::Result<()> {
        let mut handles = self.handles.lock().expect("no holder panics");
        handles.open.remove(&(content, area));
        handles.dirty.remove(&(content, area));
        std::fs::rename(self.path(content, area), to)
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
        let opened = match open_area(&path, write, &mut handles.folder_dirty) {
            // Contents that were read before must not keep this one, nor connections, from being opened.
            Err(error) if is_scarce(&error) && !handles.open.is_empty() => {
                handles.open.clear();
                open_area(&path, write, &mut handles.folder_dirty)
            }
            opened => opened,
        };
        let file = opened?;
        while handles.open.len() >= self.handles_max.load(Ordering::Relaxed) {
            let oldest = handles.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            handles.open.remove(&oldest.expect("the map is not empty"));
        }
        let file = Arc::new(file);
        handles.open.insert((content, area), (file.clone(), clock));
        Ok(file)
    }
}

/// Opens a content's file for everything that is allowed, and makes it when something is to be written.
fn open_area(path: &Path, write: bool, made: &mut bool) -> io::Result<File> {
    let both = || OpenOptions::new().read(true).write(true).clone();
    match open(path, &mut both()) {
        Err(error) if error.kind() == ErrorKind::NotFound && write => {
            *made = true;
            open(path, both().create(true))
        }
        Err(error)
            if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
                && !write =>
        {
            open(path, OpenOptions::new().read(true))
        }
        other => other,
    }
}

/// Whether the process, or the system, has as many files open as it may.
pub(crate) fn is_scarce(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// So many bytes, into memory that is not cleared before.
fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more room than was asked for.
    bytes.truncate(len);
    Ok(bytes)
}

/// Opens a regular file, and neither follows a link nor waits for a pipe.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "is no regular file"));
    }
    Ok(file)
}
