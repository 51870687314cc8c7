//! Secrets of this process.

use crate::own_file;
use std::io;
use std::path::Path;

/// Random bytes from the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random source");
    bytes
}

/// The Ed25519 secret key in this file, which is made when it is missing and which only its owner can read.
pub fn load(path: &Path) -> io::Result<[u8; 32]> {
    match own_file::read(path, 32) {
        Ok(bytes) => {
            let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "not 32 bytes long");
            <[u8; 32]>::try_from(bytes).map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random();
            own_file::replace_secret(path, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}
