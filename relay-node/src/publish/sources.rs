//! Remembers which file became which content, so that publishing it again costs nothing. Small files rather than the
//! database, since a running relay has that open.

use super::Stamp;
use crate::own_file;
use peeredge_wire::ContentId;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of one of these files: three numbers and an id.
const NOTE_BYTES_MAX: u64 = 1 << 10;

pub(super) struct Source<'a> {
    pub root: &'a Path,
    pub path: &'a Path,
    pub name: &'a str,
    pub media_type: &'a str,
}

impl Source<'_> {
    fn note(&self) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        for part in
            [self.path.as_os_str().as_encoded_bytes(), self.name.as_bytes(), self.media_type.as_bytes()]
        {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        self.root.join("sources").join(hasher.finalize().to_hex().as_str())
    }

    /// The file as it was, and the store's copy as it is: a copy that was changed since is made again.
    fn text(&self, stamp: Stamp, content: ContentId) -> Option<String> {
        let copy = self.root.join("contents").join(format!("{content}.data"));
        let copy = std::fs::symlink_metadata(copy)
            .ok()
            .filter(|copy| copy.is_file() && copy.len() == stamp.length)?;
        let (seconds, rest) = (copy.mtime(), copy.mtime_nsec());
        Some(format!("{} {} {seconds}.{rest} {content}\n", stamp.length, stamp.modified_ns))
    }

    /// The content that this file was published as, if it has not changed and the store still holds it.
    pub fn known(&self, stamp: Stamp) -> Option<ContentId> {
        let text = own_file::read_text(&self.note(), NOTE_BYTES_MAX).ok()?;
        let content: ContentId = text.trim_end().rsplit(' ').next()?.parse().ok()?;
        // Something is wrong with the store's copy, or with its record.
        let is_wrong = self.root.join("wrong").join(content.to_string()).exists();
        (!is_wrong && Some(text) == self.text(stamp, content)).then_some(content)
    }

    /// Only a short cut: when it cannot be written, the next publish hashes the file again.
    pub fn remember(&self, stamp: Stamp, content: ContentId) {
        let Some(text) = self.text(stamp, content) else { return };
        let written = std::fs::create_dir_all(self.root.join("sources"))
            .and_then(|()| own_file::replace(&self.note(), text.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "not remembered as published");
        }
    }
}
