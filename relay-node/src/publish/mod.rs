//! Turns a file into a content of the store, streaming, whether or not a relay has the store open.

mod media_type;
mod sources;

pub use media_type::guess as guess_media_type;

use crate::own_file;
use crate::store::{Entry, ImportError, Imported, REFUSED, Store, StoreError, free_bytes};
use peeredge_node::Publisher;
use peeredge_wire::ContentId;
use peeredge_wire::limits::{MEDIA_TYPE_BYTES_MAX, NAME_BYTES_MAX};
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes read, hashed and written at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a publisher looks whether its content was imported, or the store has become free.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// A relay that holds the store and imports nothing for so long is stuck.
const IMPORT_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an importer's answer.
const REASON_BYTES_MAX: u64 = 4 << 10;

/// A file to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which file.
    pub path: PathBuf,
    /// The content's name; the file's own when `None`.
    pub name: Option<String>,
    /// The content's media type; guessed by the name's ending when `None`.
    pub media_type: Option<String>,
    /// Whether it is a task's: shared, but not among what is published here.
    pub of_task: bool,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its content id.
    pub content: ContentId,
    /// The content's name.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Whether it had been published before, unchanged.
    pub known: bool,
}

/// Why a file was not published.
#[derive(Debug)]
pub enum PublishError {
    /// The file is a folder, a device or a pipe.
    NotAFile {
        /// Which.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The disk of the store has less room than the content needs.
    NoRoom {
        /// The store.
        root: PathBuf,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file changed while it was read.
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// Name or media type are longer than a manifest holds.
    TooLong {
        /// `name` or `media_type`.
        field: &'static str,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// A file cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file cannot become a content.
    Content(peeredge_node::PublishError),
    /// The running relay refused it.
    Refused {
        /// In the relay's words.
        reason: String,
    },
    /// The running relay has the store open and does not answer.
    RelaySilent {
        /// The store.
        root: PathBuf,
    },
    /// The store refused it.
    Import(ImportError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::NotAFile { path, kind } => write!(f, "{} is not a file but {kind}", path.display()),
            PublishError::NoRoom { root, needed, free } => {
                write!(f, "it needs {needed} bytes, and the disk of {} has {free} left", root.display())
            }
            PublishError::Changed { path } => {
                write!(f, "{} changed while it was read; publish it again", path.display())
            }
            PublishError::TooLong { field, bytes_max } => {
                write!(f, "the {field} is longer than {bytes_max} bytes")
            }
            PublishError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            PublishError::Content(error) => write!(f, "{error}"),
            PublishError::Refused { reason } => write!(f, "the relay refused it: {reason}"),
            PublishError::RelaySilent { root } => {
                write!(f, "the relay that uses {} did not take the content", root.display())
            }
            PublishError::Import(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PublishError {}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    move |error| PublishError::Io { path: path.into(), error }
}

/// What tells whether a file is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified_ns: u128,
}

impl Stamp {
    fn of(file: &File, path: &Path) -> Result<Stamp, PublishError> {
        let meta = file.metadata().map_err(at(path))?;
        if !meta.is_file() {
            return Err(PublishError::NotAFile { path: path.into(), kind: kind(&meta) });
        }
        let modified = meta.modified().map_err(at(path))?;
        let modified_ns = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(Stamp { length: meta.len(), modified_ns })
    }
}

fn kind(meta: &Metadata) -> &'static str {
    let file_type = meta.file_type();
    match () {
        () if file_type.is_dir() => "a folder",
        () if file_type.is_fifo() => "a pipe",
        () if file_type.is_socket() => "a socket",
        () => "a device",
    }
}

/// Opens a file to read, and neither waits for a pipe's writer nor touches a device.
fn open(path: &Path) -> Result<File, PublishError> {
    let meta = std::fs::metadata(path).map_err(at(path))?;
    if !meta.is_file() {
        return Err(PublishError::NotAFile { path: path.into(), kind: kind(&meta) });
    }
    // It may have become one since.
    let options = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).clone();
    options.open(path).map_err(at(path))
}

/// A content that lies in the inbox.
#[derive(Debug)]
struct Delivered {
    folder: String,
    outcome: Outcome,
}

/// Publishes `job` into the store below `root`, which another process may have open. `progress` hears bytes done and in all.
pub fn publish(
    root: &Path,
    job: &Job,
    bytes_max: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, PublishError> {
    let mut import = |delivered: &Delivered| await_import(root, delivered, bytes_max);
    run(root, job, bytes_max, progress, &mut import)
}

/// Publishes `job` into a store that this process has open, and tells `imported` what a node wants to hear.
pub fn publish_into(
    store: &Store,
    job: &Job,
    bytes_max: u64,
    progress: &mut dyn FnMut(u64, u64),
    imported: &mut dyn FnMut(Imported),
) -> Result<Outcome, PublishError> {
    run(store.root(), job, bytes_max, progress, &mut |delivered| {
        take_all(store, bytes_max, imported);
        // The relay's own watch of the inbox may have been quicker.
        await_done(store.root(), &delivered.folder, Duration::from_secs(5))
    })
}

/// Imports what waits in the inbox.
pub fn take_all(store: &Store, bytes_max: u64, imported: &mut dyn FnMut(Imported)) {
    for result in store.import_waiting(bytes_max) {
        match result {
            Ok(item) => {
                tracing::info!(content = %item.entry.content, name = item.entry.name, length = item.entry.length, "imported");
                imported(item);
            }
            Err(error) => tracing::warn!(%error, "a content was not imported"),
        }
    }
}

fn run(
    root: &Path,
    job: &Job,
    bytes_max: u64,
    progress: &mut dyn FnMut(u64, u64),
    import: &mut dyn FnMut(&Delivered) -> Result<(), PublishError>,
) -> Result<Outcome, PublishError> {
    let path = job.path.canonicalize().map_err(at(&job.path))?;
    let mut file = open(&job.path)?;
    let stamp = Stamp::of(&file, &job.path)?;
    let own_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = job.name.clone().or(own_name).unwrap_or_default();
    let media_type = job.media_type.clone().unwrap_or_else(|| guess_media_type(&name).to_owned());
    for (field, text, bytes_max) in
        [("name", &name, NAME_BYTES_MAX), ("media_type", &media_type, MEDIA_TYPE_BYTES_MAX)]
    {
        if text.len() > bytes_max {
            return Err(PublishError::TooLong { field, bytes_max });
        }
    }
    let source = sources::Source { root, path: &path, name: &name, media_type: &media_type };
    if let Some(content) = source.known(stamp) {
        return Ok(Outcome { content, name, length: stamp.length, known: true });
    }
    // Told before anything is written; what others publish meanwhile is told by the import.
    if stamp.length > bytes_max {
        return Err(PublishError::Import(ImportError::Quota { needed: stamp.length, free: bytes_max }));
    }
    std::fs::create_dir_all(root).map_err(at(root))?;
    if let Some(free) = free_bytes(root)
        && allocated(&file, &job.path)? > free
    {
        return Err(PublishError::NoRoom { root: root.into(), needed: stamp.length, free });
    }
    let folder = unique_name();
    let tmp = root.join("tmp").join(&folder);
    std::fs::create_dir_all(&tmp).map_err(at(&tmp))?;
    // Held until it is handed over: whoever tidies up then knows that this process still runs. There are file systems without locks.
    let lock = File::open(&tmp).map_err(at(&tmp))?;
    let _ = lock.try_lock();
    let delivered = write(&mut file, stamp, job, &name, &media_type, &tmp, progress).and_then(|content| {
        let inbox = root.join("inbox");
        std::fs::create_dir_all(&inbox).map_err(at(&inbox))?;
        std::fs::rename(&tmp, inbox.join(&folder)).map_err(at(&inbox))?;
        sync_folder(&inbox)?;
        Ok(Delivered {
            folder,
            outcome: Outcome { content, name: name.clone(), length: stamp.length, known: false },
        })
    });
    if delivered.is_err() {
        let _ = std::fs::remove_dir_all(&tmp);
    }
    let delivered = delivered?;
    import(&delivered)?;
    source.remember(stamp, delivered.outcome.content);
    Ok(delivered.outcome)
}

/// Bytes that a copy of the file will take: holes stay holes.
fn allocated(file: &File, path: &Path) -> Result<u64, PublishError> {
    let meta = file.metadata().map_err(at(path))?;
    Ok(meta.len().min(meta.blocks().saturating_mul(512)))
}

/// Writes the content's files into `tmp`, durable.
fn write(
    file: &mut File,
    stamp: Stamp,
    job: &Job,
    name: &str,
    media_type: &str,
    tmp: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ContentId, PublishError> {
    let mut publisher = Publisher::new(stamp.length, name, media_type).map_err(PublishError::Content)?;
    let (data_path, records_path) = (tmp.join("data"), tmp.join("records"));
    let mut data = File::create(&data_path).map_err(at(&data_path))?;
    let mut records = File::create(&records_path).map_err(at(&records_path))?;
    let (mut buffer, mut done, mut records_bytes) = (vec![0; CHUNK_BYTES], 0, 0);
    progress(0, stamp.length);
    loop {
        let len = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at(&job.path)(error)),
        };
        done += len as u64;
        if done > stamp.length {
            return Err(PublishError::Changed { path: job.path.clone() });
        }
        publisher.push(&buffer[..len]).map_err(PublishError::Content)?;
        write_or_skip(&mut data, &buffer[..len]).map_err(at(&data_path))?;
        let finished = publisher.take_records();
        records_bytes += finished.len() as u64;
        records.write_all(&finished).map_err(at(&records_path))?;
        progress(done, stamp.length);
    }
    if done != stamp.length || Stamp::of(file, &job.path)? != stamp {
        return Err(PublishError::Changed { path: job.path.clone() });
    }
    data.set_len(done).map_err(at(&data_path))?;
    let published = publisher.finish().map_err(PublishError::Content)?;
    let finished = publisher.take_records();
    records_bytes += finished.len() as u64;
    records.write_all(&finished).map_err(at(&records_path))?;
    data.sync_all().map_err(at(&data_path))?;
    records.sync_all().map_err(at(&records_path))?;
    let entry = Entry {
        content: published.content,
        length: stamp.length,
        records_bytes,
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        of_task: job.of_task,
    };
    write_durable(&tmp.join("state"), &published.state)?;
    write_durable(&tmp.join("entry"), &entry.encode())?;
    sync_folder(tmp)?;
    Ok(published.content)
}

/// Zeros become a hole.
fn write_or_skip(data: &mut File, bytes: &[u8]) -> io::Result<()> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => data.seek_relative(bytes.len() as i64),
        false => data.write_all(bytes),
    }
}

fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let mut file = File::create(path).map_err(at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(path))
}

fn sync_folder(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

/// Waits until a running relay has imported the content, or imports it here as soon as nobody has the store open.
fn await_import(root: &Path, delivered: &Delivered, bytes_max: u64) -> Result<(), PublishError> {
    let began = std::time::Instant::now();
    loop {
        match Store::open(root) {
            Ok(store) => {
                take_all(&store, bytes_max, &mut |_| ());
                return await_done(root, &delivered.folder, Duration::ZERO);
            }
            Err(StoreError::Busy { .. }) => {}
            Err(error) => return Err(PublishError::Import(error.into())),
        }
        match await_done(root, &delivered.folder, POLL_EVERY) {
            Err(PublishError::RelaySilent { .. }) if began.elapsed() < IMPORT_PATIENCE => {}
            done => return done,
        }
    }
}

/// Looks for the importer's answer for as long as `patience`.
fn await_done(root: &Path, folder: &str, patience: Duration) -> Result<(), PublishError> {
    let done = root.join("done").join(folder);
    let refused = root.join("done").join(format!("{folder}{REFUSED}"));
    let began = std::time::Instant::now();
    loop {
        if done.exists() {
            let _ = std::fs::remove_dir_all(&done);
            return Ok(());
        }
        if refused.exists() {
            let reason = own_file::read_text(&refused.join("error"), REASON_BYTES_MAX);
            let _ = std::fs::remove_dir_all(&refused);
            // A full disk takes not even the reason.
            let reason = reason.ok().filter(|reason| !reason.is_empty());
            return Err(PublishError::Refused {
                reason: reason.unwrap_or("its store takes no writes".into()),
            });
        }
        if began.elapsed() >= patience {
            return Err(PublishError::RelaySilent { root: root.into() });
        }
        std::thread::sleep(POLL_EVERY.min(patience));
    }
}

/// Sorts by time, so that contents are imported in the order in which they were finished; unique by process and random bytes.
fn unique_name() -> String {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has a random source");
    format!("{at:016}-{:016x}", u64::from_le_bytes(random))
}
