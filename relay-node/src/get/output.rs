//! Where a download goes: a file that appears whole, or something that is written as bytes come.

use super::place::{self, Place};
use super::{GetError, Options};
use crate::names::safe_file_name;
use crate::own_file;
use crate::store::Store;
use peeredge_node::RangeSpec;
use peeredge_wire::ContentId;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of the content's own name in the working directory; never an existing one.
    OwnName,
    /// This file, replaced when it exists; a device or a pipe is written through.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// What the part folder may hold of ours; anything else there is left alone.
const OURS: &[&str] =
    &["contents", "tmp", "inbox", "done", "sources", "wrong", "peeredge.redb", "range", "linked"];

/// How bytes leave that are written as they come.
#[derive(Debug)]
enum Stream {
    Stdout,
    /// Opened when the first bytes are due: opening a pipe waits for its reader.
    Closed(PathBuf),
    Open(PathBuf, File),
    /// A range, in the part folder.
    Part(PathBuf, File),
}

/// Takes the bytes in order. A whole content is already in the store's data file, which becomes the output; a range, and what is no
/// file, are written as they come.
#[derive(Debug)]
pub(super) struct Sink {
    content: ContentId,
    /// Where the file will be; the content's own name until it is known.
    path: Option<PathBuf>,
    own_name: bool,
    whole: bool,
    folder: Option<PathBuf>,
    /// Whether the folder was there before: then it may hold what an earlier run fetched.
    resumed: bool,
    stream: Option<Stream>,
}

impl Sink {
    /// Looks where the output goes. Nothing is made yet.
    pub(super) fn new(options: &Options) -> Result<Sink, GetError> {
        let mut sink = Sink {
            content: options.content,
            path: None,
            own_name: options.target == Target::OwnName,
            whole: options.range == RangeSpec::Whole,
            folder: None,
            resumed: false,
            stream: None,
        };
        match &options.target {
            Target::OwnName => sink.folder = Some(place::part_folder(Path::new(""), options.content)),
            Target::Stdout => {
                let stdout = || "standard output".into();
                crate::say::is_open().map_err(|error| GetError::Output { path: stdout(), error })?;
                sink.stream = Some(Stream::Stdout);
            }
            Target::File(path) => match place::resolve(path)? {
                Place::Stream(path) => sink.stream = Some(Stream::Closed(path)),
                Place::File(path) => {
                    sink.folder = Some(place::part_folder(&path, options.content));
                    sink.path = Some(path);
                }
            },
        }
        sink.resumed = sink.folder.as_ref().is_some_and(|folder| folder.exists());
        Ok(sink)
    }

    /// The folder of what has arrived so far; none for what is written as it comes, which cannot be resumed.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What comes is known.
    pub(super) fn begin(&mut self, name: &str, start: u64, end: u64, length: u64) -> Result<(), GetError> {
        self.whole &= (start, end) == (0, length);
        if self.own_name {
            let path = PathBuf::from(safe_file_name(name).unwrap_or_else(|| self.content.to_string()));
            if path.symlink_metadata().is_ok() {
                return Err(GetError::Exists { path });
            }
            self.path = Some(path);
        }
        if let (false, Some(folder)) = (self.whole, &self.folder) {
            let path = folder.join("range");
            let file =
                own_file::create(&path).map_err(|error| GetError::Output { path: path.clone(), error })?;
            self.stream = Some(Stream::Part(path, file));
        }
        Ok(())
    }

    /// The next bytes. Whoever waits for this may stop waiting; then nothing more may be written.
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> Result<(), GetError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        self.stream = Some(aside(move || stream.write(&bytes)).await?);
        Ok(())
    }

    /// Nothing more comes.
    pub(super) async fn end(&mut self) -> Result<(), GetError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        self.stream = Some(aside(move || stream.end()).await?);
        Ok(())
    }

    /// Makes the output appear while the store stays in use: a second name of the data file.
    pub(super) fn link(&self, store: Option<&Store>) -> Result<Option<PathBuf>, GetError> {
        let (Some(path), Some(folder), Some(_)) = (&self.path, &self.folder, store) else { return Ok(None) };
        let from = self.finished(folder);
        let new = folder.join("linked");
        let _ = std::fs::remove_file(&new);
        std::fs::hard_link(&from, &new)
            .or_else(|_| std::fs::copy(&from, &new).map(|_| ()))
            .map_err(|error| GetError::Output { path: path.clone(), error })?;
        self.appear(&new, path)?;
        Ok(Some(path.clone()))
    }

    /// Makes the output appear, whole, and removes the rest. The store is closed.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, GetError> {
        let (Some(path), Some(folder)) = (&self.path, &self.folder) else { return Ok(None) };
        self.appear(&self.finished(folder), path)?;
        self.discard();
        Ok(Some(path.clone()))
    }

    fn appear(&self, from: &Path, path: &Path) -> Result<(), GetError> {
        if self.own_name { place::put_new(from, path) } else { place::put(from, path) }
    }

    /// After a failure: keeps what another run goes on with, and says whether it did.
    pub(super) fn keep(&self, has_arrived: bool) -> bool {
        let keeps = self.resumed || has_arrived;
        if !keeps {
            self.discard();
        }
        keeps && self.folder.is_some()
    }

    /// Removes what is only of use to a download that goes on.
    pub(super) fn discard(&self) {
        let Some(folder) = &self.folder else { return };
        for name in OURS {
            let path = folder.join(name);
            let _ = match path.symlink_metadata() {
                Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(_) => continue,
            };
        }
        if let Err(error) = std::fs::remove_dir(folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "could not be removed");
        }
    }

    fn finished(&self, folder: &Path) -> PathBuf {
        match &self.stream {
            Some(Stream::Part(path, _)) => path.clone(),
            _ => folder.join("contents").join(format!("{}.data", self.content)),
        }
    }
}

impl Stream {
    fn write(mut self, bytes: &[u8]) -> Result<Stream, GetError> {
        if let Stream::Closed(path) = self {
            let file = place::open(&path).map_err(|error| GetError::Output { path: path.clone(), error })?;
            self = Stream::Open(path, file);
        }
        match &mut self {
            Stream::Stdout => io::stdout().lock().write_all(bytes),
            Stream::Open(_, file) | Stream::Part(_, file) => file.write_all(bytes),
            Stream::Closed(_) => unreachable!("opened above"),
        }
        .map_err(|error| self.failed(error))?;
        Ok(self)
    }

    fn end(self) -> Result<Stream, GetError> {
        // An empty content opens its output, too.
        let this = self.write(&[])?;
        match &this {
            Stream::Stdout => io::stdout().flush(),
            Stream::Part(_, file) => file.sync_all(),
            // Devices and pipes know no sync.
            Stream::Open(..) | Stream::Closed(_) => Ok(()),
        }
        .map_err(|error| this.failed(error))?;
        Ok(this)
    }

    fn failed(&self, error: io::Error) -> GetError {
        let path = match self {
            Stream::Stdout => "standard output".into(),
            Stream::Closed(path) | Stream::Open(path, _) | Stream::Part(path, _) => path.clone(),
        };
        GetError::Output { path, error }
    }
}

/// Does something that may wait on a thread of its own: whoever waits for it can be interrupted.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GetError> + Send + 'static,
) -> Result<T, GetError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(GetError::Thread(io::Error::other(error))))
}
