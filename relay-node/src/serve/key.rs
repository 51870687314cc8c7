//! Secrets of this process.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Random bytes from the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random source");
    bytes
}

/// The Ed25519 secret key in this file, which is made when it is missing and which only its owner can read.
pub fn load(path: &Path) -> io::Result<[u8; 32]> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "not 32 bytes long");
            <[u8; 32]>::try_from(bytes).map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random();
            // Written beside and renamed, so that a crash leaves a whole key or none.
            let new = path.with_extension("new");
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&secret)?;
            file.sync_all()?;
            std::fs::rename(&new, path)?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}
