//! Where a download goes: a file that appears whole, or standard output.

use super::{GetError, Options};
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
    /// This file, replaced when it exists.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// The folder of what has arrived so far; none for standard output, which cannot be resumed.
    pub fn part_folder(&self, content: ContentId) -> Option<PathBuf> {
        match self {
            Target::OwnName => Some(PathBuf::from(format!("{content}.peeredge-part"))),
            Target::File(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(".peeredge-part");
                Some(path.with_file_name(name))
            }
            Target::Stdout => None,
        }
    }
}

/// Takes the bytes in order. A whole content is already in the store's data file, which becomes the output; a range, and
/// standard output, are written as they come.
#[derive(Debug)]
pub(super) struct Sink {
    content: ContentId,
    target: Target,
    whole: bool,
    folder: Option<PathBuf>,
    own_name: String,
    range: Option<(PathBuf, File)>,
}

impl Sink {
    pub(super) fn new(options: &Options, folder: Option<PathBuf>) -> Sink {
        Sink {
            content: options.content,
            target: options.target.clone(),
            whole: options.range == RangeSpec::Whole,
            folder,
            own_name: String::new(),
            range: None,
        }
    }

    /// What comes is known.
    pub(super) fn begin(&mut self, name: &str, start: u64, end: u64, length: u64) -> Result<(), GetError> {
        self.own_name = safe_name(name, self.content);
        self.whole &= (start, end) == (0, length);
        if self.target == Target::OwnName {
            let path = PathBuf::from(&self.own_name);
            if path.exists() {
                return Err(GetError::Exists { path });
            }
        }
        if let (false, Some(folder)) = (self.whole, &self.folder) {
            let path = folder.join("range");
            let file = File::create(&path).map_err(|error| GetError::Output { path: path.clone(), error })?;
            self.range = Some((path, file));
        }
        Ok(())
    }

    /// The next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), GetError> {
        if let Some((path, file)) = &mut self.range {
            return file.write_all(bytes).map_err(|error| GetError::Output { path: path.clone(), error });
        }
        if self.target == Target::Stdout {
            let mut out = io::stdout().lock();
            return out
                .write_all(bytes)
                .map_err(|error| GetError::Output { path: "standard output".into(), error });
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(super) async fn end(&mut self) -> Result<(), GetError> {
        if let Some((path, file)) = &mut self.range {
            return file.sync_all().map_err(|error| GetError::Output { path: path.clone(), error });
        }
        if self.target == Target::Stdout {
            let flushed = io::stdout().flush();
            return flushed.map_err(|error| GetError::Output { path: "standard output".into(), error });
        }
        Ok(())
    }

    /// Makes the output appear while the store stays in use: a second name of the data file.
    pub(super) fn link(&self, store: Option<&Store>) -> Result<Option<PathBuf>, GetError> {
        let (Some(path), Some(folder), Some(_)) = (self.path(), &self.folder, store) else { return Ok(None) };
        let from = self.finished(folder);
        let new = folder.join("linked");
        let _ = std::fs::remove_file(&new);
        std::fs::hard_link(&from, &new)
            .or_else(|_| std::fs::copy(&from, &new).map(|_| ()))
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|error| GetError::Output { path: path.clone(), error })?;
        Ok(Some(path))
    }

    /// Makes the output appear, whole, and removes the rest. The store is closed.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, GetError> {
        let (Some(path), Some(folder)) = (self.path(), &self.folder) else { return Ok(None) };
        let renamed = std::fs::rename(self.finished(folder), &path);
        renamed.map_err(|error| GetError::Output { path: path.clone(), error })?;
        self.discard();
        Ok(Some(path))
    }

    /// Removes what is only of use to a download that goes on.
    pub(super) fn discard(&self) {
        if let Some(folder) = &self.folder
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            tracing::warn!(folder = %folder.display(), %error, "could not be removed");
        }
    }

    fn finished(&self, folder: &Path) -> PathBuf {
        match &self.range {
            Some((path, _)) => path.clone(),
            None => folder.join("contents").join(format!("{}.data", self.content)),
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match &self.target {
            Target::OwnName => Some(PathBuf::from(&self.own_name)),
            Target::File(path) => Some(path.clone()),
            Target::Stdout => None,
        }
    }
}

/// A publisher's name as a file of the working directory: no folders, nothing hidden, no control characters.
fn safe_name(name: &str, content: ContentId) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    match clean.trim().trim_start_matches('.') {
        "" => content.to_string(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_stays_in_the_folder() {
        let content = ContentId([1; 32]);
        assert_eq!(safe_name("film.mp4", content), "film.mp4");
        assert_eq!(safe_name("../../etc/passwd", content), "passwd");
        assert_eq!(safe_name("..\\..\\boot.ini", content), "boot.ini");
        assert_eq!(safe_name(".bashrc", content), "bashrc");
        assert_eq!(safe_name("a\u{1b}[2Jb", content), "a[2Jb");
        for empty in ["", "..", "/", "a/", "\n"] {
            assert_eq!(safe_name(empty, content), content.to_string(), "{empty:?}");
        }
    }

    #[test]
    fn the_part_folder_lies_beside_the_output() {
        let content = ContentId([1; 32]);
        let folder = Target::File("/a/b.mp4".into()).part_folder(content);
        assert_eq!(folder, Some("/a/b.mp4.peeredge-part".into()));
        assert_eq!(Target::Stdout.part_folder(content), None);
    }
}
