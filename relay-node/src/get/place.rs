//! Where output may go, as curl and cp see it: links are followed, what is no file is written through, a file that may not be written
//! is said so before anything is fetched.

use super::GetError;
use peeredge_wire::ContentId;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes in the name of a file or folder; most file systems take no more.
const NAME_BYTES_MAX: usize = 255;
/// What is appended to a file's name while it is fetched.
const PART: &str = ".peeredge-part";
/// Links behind links that are followed, as the kernel does.
const LINKS_MAX: usize = 40;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Place {
    /// Nothing yet, or a file: it appears whole, under this path, which is no link.
    File(PathBuf),
    /// A device, a pipe, or a file that this process has open: it is written as bytes come.
    Stream(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> GetError {
    move |error| GetError::Output { path: path.into(), error }
}

/// Follows links from `path`, and checks that what it leads to can be written.
pub(super) fn resolve(path: &Path) -> Result<Place, GetError> {
    let mut now = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        let Some(name) = now.file_name().filter(|_| !now.as_os_str().as_encoded_bytes().ends_with(b"/"))
        else {
            return Err(GetError::Folder { path: path.into() });
        };
        let parent = match now.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = parent.canonicalize().map_err(at(parent))?;
        // What stands there are descriptors of this or another process: renaming a file over one is not writing to it.
        if parent.starts_with("/proc") {
            return Ok(Place::Stream(now));
        }
        let here = parent.join(name);
        let meta = match std::fs::symlink_metadata(&here) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place::File(here)),
            other => other.map_err(at(path))?,
        };
        if meta.is_symlink() {
            now = parent.join(std::fs::read_link(&here).map_err(at(&here))?);
        } else if meta.is_dir() {
            return Err(GetError::Folder { path: path.into() });
        } else if meta.is_file() {
            OpenOptions::new().write(true).open(&here).map_err(at(path))?;
            return Ok(Place::File(here));
        } else {
            return Ok(Place::Stream(here));
        }
    }
    Err(at(path)(io::Error::other("too many links behind each other")))
}

/// The folder of what has arrived so far of `content` for the file `path`.
pub(super) fn part_folder(path: &Path, content: ContentId) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    if name.len() + PART.len() > NAME_BYTES_MAX {
        return path.with_file_name(format!("{content}{PART}"));
    }
    let mut name = name.to_owned();
    name.push(PART);
    path.with_file_name(name)
}

/// Makes the folder of what has arrived so far, or takes an earlier run's. One of another user's, who could change what lies there behind
/// this one's back, and a link are neither: anybody can leave them in a folder that all may write to.
pub(super) fn own(folder: &Path) -> Result<(), GetError> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map_err(at(folder)),
    }
    let meta = std::fs::symlink_metadata(folder).map_err(at(folder))?;
    match meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() {
        true => Ok(()),
        false => Err(GetError::Foreign { folder: folder.into() }),
    }
}

/// Opens what is written as bytes come. Waits for a pipe's reader.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // A file that this process has open goes on where it is, as the shell meant it.
    OpenOptions::new().append(true).open(path)
}

/// Gives the finished file `from` the name `to`. What stands there keeps its owner, its rights and its other names, and is never
/// replaced when it is no file.
pub(super) fn put(from: &Path, to: &Path) -> Result<(), GetError> {
    // It may have become something else while the content was fetched.
    let to = match resolve(to)? {
        Place::File(path) => path,
        Place::Stream(path) => {
            let copied = open(&path).and_then(|mut out| io::copy(&mut File::open(from)?, &mut out));
            return copied.map(|_| ()).map_err(at(&path));
        }
    };
    let renamed = match std::fs::symlink_metadata(&to) {
        Err(_) => std::fs::rename(from, &to),
        // A power cut must not take the old one without leaving the new one.
        Ok(old) if old.nlink() == 1 => File::open(from)
            .and_then(|new| new.sync_all())
            .and_then(|()| take_over(from, &old))
            .and_then(|()| std::fs::rename(from, &to)),
        Ok(_) => Err(ErrorKind::Other.into()),
    };
    match renamed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(at(&to)(error)),
        // It has other names, another owner, or is a mount point: its bytes are replaced, not the file.
        Err(_) => copy_into(from, &to).map_err(at(&to)),
    }
}

/// The new file gets the old one's owner and rights.
fn take_over(from: &Path, old: &std::fs::Metadata) -> io::Result<()> {
    let new = std::fs::metadata(from)?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::chown(from, Some(old.uid()), Some(old.gid()))?;
    }
    // Whatever the old one might do in its owner's name, a stranger's bytes may not.
    std::fs::set_permissions(from, Permissions::from_mode(old.mode() & 0o777))
}

/// What is longer than the old file is written first: a disk that is full by then has taken nothing of it.
fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    let mut new = File::open(from)?;
    let mut out = OpenOptions::new().write(true).create(true).truncate(false).open(to)?;
    let (length, before) = (new.metadata()?.len(), out.metadata()?.len());
    let behind =
        [&mut new, &mut out].into_iter().try_for_each(|file| file.seek(SeekFrom::Start(before)).map(|_| ()));
    let behind = behind.and_then(|()| io::copy(&mut new, &mut out)).and_then(|_| out.sync_all());
    if let Err(error) = behind {
        let _ = out.set_len(before);
        return Err(error);
    }
    new.rewind()?;
    out.rewind()?;
    io::copy(&mut new.take(before), &mut out)?;
    out.set_len(length)?;
    std::fs::remove_file(from)
}

/// Gives the finished file `from` the name `to`, which must be free.
pub(super) fn put_new(from: &Path, to: &Path) -> Result<(), GetError> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(GetError::Exists { path: to.into() }),
        // A file system without second names.
        Err(_) if std::fs::symlink_metadata(to).is_err() => std::fs::rename(from, to).map_err(at(to)),
        Err(_) => Err(GetError::Exists { path: to.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("peeredge-place-{test}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Folder(path.canonicalize().unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn links_are_followed_to_what_can_be_written() {
        let folder = Folder::new("links");
        let (file, link, dangling) =
            (folder.0.join("file"), folder.0.join("link"), folder.0.join("dangling"));
        std::fs::write(&file, "old").unwrap();
        symlink("file", &link).unwrap();
        symlink("nowhere", &dangling).unwrap();
        for (path, end) in [(&file, &file), (&link, &file), (&dangling, &folder.0.join("nowhere"))] {
            assert!(matches!(resolve(path), Ok(Place::File(found)) if found == *end), "{}", path.display());
        }
        let round = folder.0.join("round");
        symlink("round", &round).unwrap();
        assert!(matches!(resolve(&round), Err(GetError::Output { .. })));
        for path in [folder.0.clone(), folder.0.join("file/"), folder.0.join(".."), "/".into()] {
            assert!(matches!(resolve(&path), Err(GetError::Folder { .. })), "{}", path.display());
        }
        assert!(matches!(resolve(&folder.0.join("missing/file")), Err(GetError::Output { .. })));
    }

    #[test]
    fn what_is_no_file_is_written_through() {
        for path in ["/dev/null", "/dev/full", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/2"] {
            assert!(matches!(resolve(Path::new(path)), Ok(Place::Stream(_))), "{path}");
        }
    }

    #[test]
    fn a_file_keeps_its_rights_and_its_other_names() {
        let folder = Folder::new("put");
        let (new, old, other) = (folder.0.join("new"), folder.0.join("old"), folder.0.join("other"));
        std::fs::write(&new, "new").unwrap();
        std::fs::write(&old, "a longer old one").unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o6640)).unwrap();
        put(&new, &old).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"new");
        assert_eq!(
            std::fs::metadata(&old).unwrap().mode() & 0o7777,
            0o640,
            "but for those to act as its owner"
        );

        std::fs::write(&new, "newer").unwrap();
        std::fs::hard_link(&old, &other).unwrap();
        put(&new, &old).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"newer", "the other name shows the same file");
        assert!(!new.exists());
    }

    #[test]
    fn a_name_that_must_be_free_is_not_taken_over() {
        let folder = Folder::new("free");
        let (new, taken, link) = (folder.0.join("new"), folder.0.join("taken"), folder.0.join("link"));
        std::fs::write(&new, "new").unwrap();
        std::fs::write(&taken, "old").unwrap();
        symlink("nowhere", &link).unwrap();
        for path in [&taken, &link] {
            assert!(matches!(put_new(&new, path), Err(GetError::Exists { .. })), "{}", path.display());
        }
        assert_eq!(std::fs::read(&taken).unwrap(), b"old");
        put_new(&new, &folder.0.join("free")).unwrap();
    }

    #[test]
    fn the_part_folder_lies_beside_the_file_under_a_name_that_fits() {
        let content = ContentId([1; 32]);
        assert_eq!(part_folder(Path::new("/a/b.mp4"), content), Path::new("/a/b.mp4.peeredge-part"));
        for len in 1..=255 {
            let folder = part_folder(&Path::new("/a").join("n".repeat(len)), content);
            assert!(folder.file_name().unwrap().len() <= 255, "{len}");
        }
    }
}
