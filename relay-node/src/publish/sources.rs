//! Remembers which file became which content, so that publishing it again costs nothing. Small files rather than the
//! database, since a running relay has that open.

use super::Stamp;
use peeredge_wire::ContentId;
use std::path::{Path, PathBuf};

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

    fn text(stamp: Stamp, content: ContentId) -> String {
        format!("{} {} {content}\n", stamp.length, stamp.modified_ns)
    }

    /// The content that this file was published as, if it has not changed and the store still holds it.
    pub fn known(&self, stamp: Stamp) -> Option<ContentId> {
        let text = std::fs::read_to_string(self.note()).ok()?;
        let content: ContentId = text.trim_end().rsplit(' ').next()?.parse().ok()?;
        let data = self.root.join("contents").join(format!("{content}.data"));
        let held = std::fs::metadata(data).ok()?.len() == stamp.length;
        (held && text == Self::text(stamp, content)).then_some(content)
    }

    /// Only a short cut: when it cannot be written, the next publish hashes the file again.
    pub fn remember(&self, stamp: Stamp, content: ContentId) {
        let note = self.note();
        let new = note.with_extension("new");
        let written = std::fs::create_dir_all(self.root.join("sources"))
            .and_then(|()| std::fs::write(&new, Self::text(stamp, content)))
            .and_then(|()| std::fs::rename(&new, &note));
        if let Err(error) = written {
            tracing::debug!(%error, "not remembered as published");
        }
    }
}
