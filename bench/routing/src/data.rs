//! Traces, read from the folder that PEEREDGE_DATA names, or from `../shared/data` beside the project. They are not part
//! of it: a part without its traces says that it was skipped and reports no figure.

use std::fs;
use std::io::{Cursor, Read};
use std::path::PathBuf;

/// The folder, if there is one.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("PEEREDGE_DATA") {
        Some(named) => PathBuf::from(named),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}

/// The files below `sub` whose names begin and end so, sorted, relative to the data folder.
pub fn list(sub: &str, begin: &str, end: &str) -> Vec<String> {
    let Some(folder) = folder() else { return Vec::new() };
    let Ok(entries) = fs::read_dir(folder.join(sub)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(begin) && name.ends_with(end))
        .map(|name| format!("{sub}/{name}"))
        .collect();
    names.sort();
    names
}

/// A file's bytes, unpacked as its ending says (.gz, .xz). None when it is absent; panics when it is damaged.
pub fn read(file: &str) -> Option<Vec<u8>> {
    let packed = fs::read(folder()?.join(file)).ok()?;
    let mut bytes = Vec::new();
    if file.ends_with(".gz") {
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("a whole gzip file");
    } else if file.ends_with(".xz") {
        lzma_rs::xz_decompress(&mut Cursor::new(&packed), &mut bytes).expect("a whole xz file");
    } else {
        bytes = packed;
    }
    Some(bytes)
}

/// A text file's lines.
pub fn lines(file: &str) -> Option<Vec<String>> {
    Some(String::from_utf8_lossy(&read(file)?).lines().map(str::to_owned).collect())
}

/// The files of a .tar.xz, sorted by name.
pub fn archive(file: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let bytes = read(file)?;
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut files = Vec::new();
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("a whole entry");
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a whole entry");
        files.push((name, content));
    }
    files.sort();
    Some(files)
}
