//! kill -9 at any point loses nothing that was acknowledged.
mod support;

use std::process::Stdio;
use std::time::Duration;
use support::{Folder, Relay, command, noise, path_of, publish, run, text, wait_for};

/// Delays from a seed: the points are arbitrary, the sequence is not.
fn delays(seed: u64) -> impl Iterator<Item = Duration> {
    noise(4096, seed).into_iter().map(|byte| Duration::from_micros(u64::from(byte) * 200))
}

#[test]
fn a_publisher_that_is_killed_leaves_a_store_that_works() {
    let folder = Folder::new("kill");
    let data = folder.path("data");
    let kept = publish(&data, &folder.file("kept.bin", 500_000, 1));
    let mut acknowledged = vec![(kept, noise(500_000, 1))];
    for (n, delay) in delays(1).take(12).enumerate() {
        let seed = 100 + n as u64;
        let file = folder.file(&format!("{n}.bin"), 4_000_000, seed);
        let words = ["publish", "--quiet", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()];
        let mut child = command(&words).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(delay);
        let _ = child.kill();
        let out = child.wait_with_output().unwrap();
        if !out.stdout.is_empty() {
            acknowledged.push((text(&out.stdout).trim().to_owned(), noise(4_000_000, seed)));
        }
    }
    let last = folder.file("last.bin", 1000, 2);
    acknowledged.push((publish(&data, &last), noise(1000, 2)));
    let relay = Relay::start(&data, &["--rtc", "false"]);
    for (link, bytes) in &acknowledged {
        assert!(relay.get(path_of(link), &[]).body == *bytes, "{link}");
    }
    // What was finished but not acknowledged may be there as well; if it is, it is right.
    for link in relay.links() {
        assert_eq!(relay.get(path_of(&link), &[]).status, 200, "{link}");
    }
}

#[test]
fn a_relay_that_is_killed_keeps_what_it_took() {
    let folder = Folder::new("kill");
    let data = folder.path("data");
    let mut acknowledged: Vec<(String, Vec<u8>)> = Vec::new();
    for (n, delay) in delays(2).take(6).enumerate() {
        let relay = Relay::start(&data, &["--rtc", "false"]);
        for (link, bytes) in &acknowledged {
            assert!(relay.get(path_of(link), &[]).body == *bytes, "{link} after {n} kills");
        }
        let seed = 200 + n as u64;
        let file = folder.file(&format!("{n}.bin"), 1_500_000, seed);
        let words = ["publish", "--quiet", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()];
        let publisher = command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(delay);
        relay.kill();
        // Without the relay, the publisher finishes by itself.
        let out = publisher.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
        acknowledged.push((text(&out.stdout).trim().to_owned(), noise(1_500_000, seed)));
    }
    let relay = Relay::start(&data, &["--rtc", "false"]);
    assert_eq!(relay.links().len(), acknowledged.len());
}

#[test]
fn a_record_without_its_bytes_is_told_and_not_served() {
    let folder = Folder::new("kill");
    let data = folder.path("data");
    let cut = publish(&data, &folder.file("cut.bin", 300_000, 3));
    let whole = publish(&data, &folder.file("whole.bin", 300_000, 4));
    let path = data.join("contents").join(format!("{}.data", support::id_of(&cut)));
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let relay = Relay::start(&data, &["--rtc", "false"]);
    // Told apart from what nobody has published.
    assert_eq!(relay.get(path_of(&cut), &[]).status, 503);
    assert!(path.exists(), "nothing is deleted that was not removed");
    assert_eq!(relay.get(path_of(&whole), &[]).status, 200);
    // Publishing it again brings it back.
    assert_eq!(path_of(&publish(&data, &folder.path("cut.bin"))), path_of(&cut));
    assert!(relay.get(path_of(&cut), &[]).body == noise(300_000, 3));
}

#[test]
fn a_download_that_is_killed_goes_on_where_it_stopped() {
    const LEN: u64 = 24 << 20;
    let folder = Folder::new("kill");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("film.mp4", LEN as usize, 5));
    let out = folder.path("got.mp4");
    let part = folder.path("got.mp4.peeredge-part/contents");
    let held = || {
        use std::os::unix::fs::MetadataExt;
        let files = std::fs::read_dir(&part).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|meta| meta.blocks() * 512).sum::<u64>()
    };
    // Slow enough that it can be caught in the middle.
    let relay = Relay::start(&data, &["--upload-bytes-per-s-max", "4 MiB"]);
    let from = format!("{}{}", relay.url(), path_of(&link));
    let words = ["get", &from, "-o", out.to_str().unwrap(), "--no-http", "--quiet"];
    let mut child = command(&words).spawn().unwrap();
    wait_for("half of it to be there", || held() > LEN / 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.exists(), "the output appears only when it is whole");
    drop(relay);

    let relay = Relay::start(&data, &[]);
    let from = format!("{}{}", relay.url(), path_of(&link));
    let done = run(&["get", &from, "-o", out.to_str().unwrap(), "--no-http"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert!(std::fs::read(&out).unwrap() == noise(LEN as usize, 5));
    let (_, rest) = says.split_once("from peers, ").unwrap();
    let fetched: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(fetched > 0 && fetched < LEN * 3 / 4, "fetched {fetched} of {LEN} bytes again: {says}");
    assert!(!folder.path("got.mp4.peeredge-part").exists(), "nothing is left beside the output");
}
