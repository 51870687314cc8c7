//! A disk that fails under the record file: at each place in turn, once or until it is mended. What was acknowledged is still there, what
//! was not is told as an error, and the next change is taken when the disk works again.

use super::journal::{ENTRIES, Journal};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
enum Disk {
    /// Not looked at: the file is opened as ever.
    Real,
    Sound,
    /// So many changes from now on succeed, the next one fails.
    FailsOnce(u32),
    /// The same, and all that follow fail.
    Fails(u32),
}

thread_local! {
    static DISK: Cell<Disk> = const { Cell::new(Disk::Real) };
}

#[derive(Debug)]
struct Faulty(FileBackend);

/// What `journal` opens the file through, on threads that test faults.
pub(super) fn backend(path: &Path) -> Option<impl StorageBackend + use<>> {
    if let Disk::Real = DISK.get() {
        return None;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).ok()?;
    FileBackend::new(file).ok().map(Faulty)
}

/// One change of the disk: whether it fails.
fn changes() -> io::Result<()> {
    let (next, fails) = match DISK.get() {
        Disk::FailsOnce(0) => (Disk::Sound, true),
        Disk::FailsOnce(left) => (Disk::FailsOnce(left - 1), false),
        Disk::Fails(0) => (Disk::Fails(0), true),
        Disk::Fails(left) => (Disk::Fails(left - 1), false),
        as_before => (as_before, false),
    };
    DISK.set(next);
    if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        changes()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        changes()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        changes()?;
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn put(journal: &Journal, key: u8) -> bool {
    journal
        .write(|tx| {
            tx.open_table(ENTRIES)?.insert(&[key; 32], [key; 5000].as_slice())?;
            Ok(())
        })
        .is_ok()
}

fn has(journal: &Journal, key: u8) -> bool {
    let found =
        journal.read(|tx| Ok(tx.open_table(ENTRIES)?.get(&[key; 32])?.map(|value| value.value().len())));
    found.expect("the file is whole") == Some(5000)
}

#[test]
fn a_disk_that_fails_at_any_change_loses_nothing_that_was_acknowledged() {
    let root = std::env::temp_dir().join(format!("peeredge-faults-{}", std::process::id()));
    std::fs::create_dir_all(&root).expect("there is room");
    let mut told = 0;
    for fails in [Disk::FailsOnce, Disk::Fails] {
        for place in 0..200 {
            let path = root.join(format!("{place}.redb"));
            let _ = std::fs::remove_file(&path);
            DISK.set(Disk::Sound);
            let journal = Journal::open(&path).expect("the disk is sound");
            assert!(put(&journal, 1));
            DISK.set(fails(place));
            let acknowledged: Vec<u8> = (2..5).filter(|&key| put(&journal, key)).collect();
            let was_reached = !matches!(DISK.get(), Disk::FailsOnce(_) | Disk::Fails(1..));
            DISK.set(Disk::Sound);
            assert!(put(&journal, 5), "place {place}: the disk is mended, and nothing is taken");
            told += u32::from(acknowledged.len() < 3);
            drop(journal);
            DISK.set(Disk::Real);
            let journal = Journal::open(&path).expect("the file is whole");
            for key in [1, 5].iter().chain(&acknowledged) {
                assert!(has(&journal, *key), "place {place}: {key} was acknowledged, of {acknowledged:?}");
            }
            drop(journal);
            let _ = std::fs::remove_file(&path);
            if !was_reached {
                break;
            }
        }
    }
    let _ = std::fs::remove_dir_all(&root);
    assert!(told > 10, "{told} changes failed");
}
