//! Whether the disk takes what it is given: what failed last, and whether that is over.

use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::Path;
use std::sync::Mutex;

/// With less room than this the journal cannot grow.
const FREE_BYTES_MIN: u64 = 1 << 20;

/// What went wrong.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    first: Option<String>,
    now: Option<String>,
}

impl Health {
    pub(super) fn failed(&self, why: &str) {
        let mut inner = self.0.lock().expect("no holder panics");
        inner.first.get_or_insert_with(|| why.to_owned());
        inner.now = Some(why.to_owned());
    }

    /// What failed first since the store was opened, whether or not it works again.
    pub(super) fn first(&self) -> Option<String> {
        self.0.lock().expect("no holder panics").first.clone()
    }

    /// What does not work now.
    pub(super) fn now(&self) -> Option<String> {
        self.0.lock().expect("no holder panics").now.clone()
    }

    pub(super) fn works(&self) {
        self.0.lock().expect("no holder panics").now = None;
    }
}

/// Bytes that can still be written below `path`; `None` where the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Why nothing can be written below `path`, as far as the system says without being asked to write.
pub(super) fn cannot_write(path: &Path) -> Option<String> {
    let stat = statvfs(path).ok()?;
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(format!("{} is on a disk that is mounted read-only", path.display()));
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    (free < FREE_BYTES_MIN).then(|| format!("the disk of {} is full: {free} bytes are left", path.display()))
}
