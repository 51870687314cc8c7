//! Why the store cannot be opened or changed, in sentences that name the file and what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    /// Something that is no regular file, or no folder, stands where the store has one.
    Kind {
        /// Which.
        path: PathBuf,
    },
    /// The journal cannot be understood.
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The journal was written by another version of this program.
    Version {
        /// Which file.
        path: PathBuf,
        /// The format that it is in.
        found: u64,
        /// The newest format that this program knows.
        known: u64,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Busy { root } => write!(f, "{} is in use by another process", root.display()),
            StoreError::Io { path, error } => {
                write!(f, "{}: {error}", path.display())?;
                match error.kind() {
                    ErrorKind::PermissionDenied => {
                        // The nearest folder that can be seen says whose it is.
                        let seen = path.ancestors().find_map(|path| std::fs::metadata(path).ok());
                        let owner = seen
                            .map_or_else(String::new, |meta| format!("; it belongs to user {}", meta.uid()));
                        write!(
                            f,
                            "{owner}: run as its owner, give it to the user who runs this (chown), or name another data_dir"
                        )
                    }
                    ErrorKind::ReadOnlyFilesystem => {
                        write!(f, ": mount it for writing, or name another data_dir")
                    }
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                        write!(f, ": free some space there, or name another data_dir")
                    }
                    _ => Ok(()),
                }
            }
            StoreError::Kind { path } => {
                write!(
                    f,
                    "{} is neither the file nor the folder that belongs there: move it away",
                    path.display()
                )
            }
            StoreError::Corrupt { path, why } => write!(
                f,
                "{} is damaged ({why}); nothing was changed: `peeredge check --repair` with the same data_dir sets it \
                 aside and takes in again what lies in contents/",
                path.display()
            ),
            StoreError::Version { path, found, known } => write!(
                f,
                "{} is in format {found} and this program knows {known}; nothing was changed: use the version that wrote it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |error| StoreError::Io { path: path.into(), error }
    }

    /// What the database says of the journal at `path`.
    pub(super) fn journal(path: &Path, error: redb::Error) -> StoreError {
        let path = path.to_path_buf();
        match error {
            redb::Error::DatabaseAlreadyOpen => {
                StoreError::Busy { root: path.parent().map_or_else(PathBuf::new, Path::to_path_buf) }
            }
            redb::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                StoreError::Corrupt { path, why: error.to_string() }
            }
            redb::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                StoreError::Corrupt { path, why: "it ends early".into() }
            }
            redb::Error::Io(error) => StoreError::Io { path, error },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                StoreError::Io { path, error: io::Error::other("an earlier write failed") }
            }
            redb::Error::UpgradeRequired(found) => {
                StoreError::Version { path, found: found.into(), known: 3 }
            }
            other => StoreError::Corrupt { path, why: other.to_string() },
        }
    }
}
