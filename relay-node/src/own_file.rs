//! Small files that this program keeps for itself in folders into which others may write, or where a disk or an operator left something
//! else: a pipe is not waited for, a device is not read to its end, and nothing is ever written through a link.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Reads a file of at most `bytes_max` bytes. Links are followed: secrets may be mounted as such.
///
/// # Errors
/// Besides the system's: what is no regular file, or is longer.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "is no regular file"));
    }
    let mut bytes = Vec::new();
    if file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)? as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::InvalidData, "is too long"));
    }
    Ok(bytes)
}

/// As [`read`], of text.
///
/// # Errors
/// As [`read`]'s, and for what is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Puts a file of these bytes in the place of whatever file, link or pipe is there. A crash leaves the old or the new one.
///
/// # Errors
/// The system's. A folder is not replaced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, 0o666)
}

/// As [`replace`], for its owner's eyes only.
///
/// # Errors
/// The system's.
pub fn replace_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, 0o600)
}

/// Makes a file for writing where at most a file, link or pipe of an earlier run lies, which goes.
///
/// # Errors
/// The system's.
pub fn create(path: &Path) -> io::Result<File> {
    make(path, 0o666)
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = make(&new, mode)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn make(path: &Path, mode: u32) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn neither_pipes_nor_devices_nor_links_are_taken_for_files() {
        let root = std::env::temp_dir().join(format!("peeredge-own-file-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("folder")).unwrap();
        let (others, link, zero, pipe) =
            (root.join("others"), root.join("link"), root.join("zero"), root.join("pipe"));
        std::fs::write(&others, "precious").unwrap();
        symlink(&others, &link).unwrap();
        symlink("/dev/zero", &zero).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [&zero, &pipe, &root.join("folder"), &root.join("none")] {
            assert!(read(path, 100).is_err(), "{}", path.display());
        }
        assert_eq!(read(&link, 8).unwrap(), b"precious");
        assert_eq!(read(&link, 7).unwrap_err().kind(), ErrorKind::InvalidData);
        // What lies under the name that is written first is no way either.
        symlink(&others, root.join("link.new")).unwrap();
        for path in [&link, &zero, &pipe] {
            replace_secret(path, b"mine").unwrap();
            let meta = std::fs::symlink_metadata(path).unwrap();
            assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o600, "{}", path.display());
            assert_eq!(read_text(path, 4).unwrap(), "mine");
        }
        assert_eq!(std::fs::read(&others).unwrap(), b"precious");
        assert!(replace(&root.join("folder"), b"mine").is_err());
        assert!(!root.join("folder.new").exists(), "nothing is left behind");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
