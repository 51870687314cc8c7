//! What a store makes of files that are wrong: a link out of a handed-over folder, a record that says something else, a removal cut short.
mod support;

use peeredge_node::{Area, Publisher};
use peeredge_relay::store::{Change, Entry, Store, check};
use peeredge_wire::ContentId;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{Folder, noise};

/// Hands a content over as a publisher does.
fn hand_over(root: &Path, name: &str, bytes: &[u8]) -> ContentId {
    let mut publisher = Publisher::new(bytes.len() as u64, name, "video/mp4").unwrap();
    publisher.push(bytes).unwrap();
    let mut records = publisher.take_records();
    let published = publisher.finish().unwrap();
    records.extend(publisher.take_records());
    let folder = root.join("inbox").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let entry = Entry {
        content: published.content,
        length: bytes.len() as u64,
        records_bytes: records.len() as u64,
        name: name.into(),
        media_type: "video/mp4".into(),
        of_task: false,
    };
    for (file, bytes) in
        [("data", bytes), ("records", &records), ("state", &published.state), ("entry", &entry.encode())]
    {
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    published.content
}

#[test]
fn a_link_out_of_a_handed_over_folder_is_not_taken() {
    let folder = Folder::new("faults");
    let (root, bytes) = (folder.path("data"), noise(200_000, 1));
    let victim = folder.file("victim", 200_000, 1);
    let store = Store::open(&root).unwrap();
    hand_over(&root, "film", &bytes);
    let data = root.join("inbox/film/data");
    std::fs::remove_file(&data).unwrap();
    symlink(&victim, &data).unwrap();
    assert!(store.import_waiting(u64::MAX)[0].is_err());
    assert!(root.join("done/film.refused/error").exists());
    assert_eq!(std::fs::read(&victim).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(root.join("contents")).unwrap().count(), 0);
    // The same, honestly.
    std::fs::remove_dir_all(root.join("done/film.refused")).unwrap();
    hand_over(&root, "film", &bytes);
    assert!(store.import_waiting(u64::MAX)[0].is_ok());
}

#[test]
fn an_entry_that_says_other_than_its_manifest_is_refused() {
    let folder = Folder::new("faults");
    let root = folder.path("data");
    let store = Store::open(&root).unwrap();
    let content = hand_over(&root, "film", &noise(1000, 2));
    let lie = Entry {
        content,
        length: u64::MAX,
        records_bytes: u64::MAX,
        name: "other".into(),
        media_type: "text/html".into(),
        of_task: false,
    };
    std::fs::write(root.join("inbox/film/entry"), lie.encode()).unwrap();
    assert!(store.import_waiting(u64::MAX)[0].is_err());
    assert!(store.entries().is_empty() && store.published_bytes() == 0);
}

#[test]
fn what_was_fetched_or_removed_goes_and_what_nobody_knows_stays() {
    let folder = Folder::new("faults");
    let root = folder.path("data");
    let (removed, fetched, unknown) = (ContentId([1; 32]), ContentId([2; 32]), ContentId([3; 32]));
    let file = |content: ContentId| root.join("contents").join(format!("{content}.data"));
    {
        let store = Store::open(&root).unwrap();
        for content in [removed, fetched] {
            store.write(content, Area::Data, 0, b"bytes").unwrap();
        }
        store.remove_files(removed);
        store.commit(&BTreeMap::from([(removed, Change::Remove)])).unwrap();
    }
    // As a crash between the note and the removal leaves it.
    std::fs::write(file(removed), b"bytes").unwrap();
    std::fs::write(file(unknown), b"bytes").unwrap();
    let store = Store::open(&root).unwrap();
    assert!(!file(removed).exists() && !file(fetched).exists());
    assert!(file(unknown).exists());
    assert_eq!(store.orphans().into_iter().collect::<Vec<_>>(), [unknown]);
    drop(store);
    let checked = check(&root, true, &mut |_| ()).unwrap();
    assert!(!checked.is_sound() && file(unknown).exists(), "without its manifest nobody can tell what it is");
}

#[test]
fn a_state_that_is_torn_is_made_again_and_deletes_nothing() {
    let folder = Folder::new("faults");
    let (root, bytes) = (folder.path("data"), noise(500_000, 3));
    let content = {
        let store = Store::open(&root).unwrap();
        let content = hand_over(&root, "film", &bytes);
        store.import_waiting(u64::MAX).pop().unwrap().unwrap();
        store.commit(&BTreeMap::from([(content, Change::State(b"torn".to_vec()))])).unwrap();
        content
    };
    let store = Store::open(&root).unwrap();
    assert_eq!(store.entries().len(), 1);
    assert_eq!(store.read_verified(content, Area::Data, 0..500_000).unwrap(), bytes);
    assert!(store.states().unwrap()[0].1.len() > 100, "the node hears a whole state");
}
