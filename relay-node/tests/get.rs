//! `peeredge get` against a relay: over WebRTC, over HTTP, in part, and when it cannot.
mod support;

use support::{Folder, Relay, command, noise, path_of, publish, run, text, wait_for};

const LEN: usize = 6_000_000;

struct Stage {
    folder: Folder,
    relay: Relay,
    link: String,
}

fn stage(flags: &[&str]) -> Stage {
    let folder = Folder::new("get");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("film.mp4", LEN, 1));
    let relay = Relay::start(&data, flags);
    let link = format!("{}{}", relay.url(), path_of(&link));
    Stage { folder, relay, link }
}

/// Bytes from peers, from the relay and by HTTP, as the last line says.
fn shares(says: &str) -> [u64; 3] {
    let numbers =
        |part: &str| part.split_whitespace().find_map(|word| word.trim_start_matches('(').parse().ok());
    let (_, rest) = says.split_once("verified ").unwrap_or_else(|| panic!("{says}"));
    let parts: Vec<u64> = rest.split(", ").filter_map(numbers).collect();
    parts.try_into().unwrap_or_else(|_| panic!("{says}"))
}

#[test]
fn over_data_channels_alone_and_over_http_alone() {
    let stage = stage(&[]);
    let out = stage.folder.path("channel.mp4");
    let done = run(&["get", &stage.link, "-o", out.to_str().unwrap(), "--no-http"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert!(std::fs::read(&out).unwrap() == noise(LEN, 1));
    assert_eq!(shares(&says), [0, LEN as u64, 0]);

    let out = stage.folder.path("http.mp4");
    let done = run(&["get", &stage.link, "-o", out.to_str().unwrap(), "--rtc", "false"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert!(std::fs::read(&out).unwrap() == noise(LEN, 1));
    assert_eq!(shares(&says), [0, 0, LEN as u64]);
    assert!(!stage.folder.path("http.mp4.peeredge-part").exists());
}

#[test]
fn a_range_to_a_file_or_a_pipe_without_the_rest() {
    let stage = stage(&[]);
    let piped = run(&["get", &stage.link, "-o", "-", "--range", "3000000-3000999", "--quiet"]);
    assert!(piped.status.success(), "{}", text(&piped.stderr));
    assert!(piped.stdout == noise(LEN, 1)[3_000_000..3_001_000]);
    let out = stage.folder.path("part.bin");
    let done = run(&["get", &stage.link, "-o", out.to_str().unwrap(), "--range", "-500"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert!(std::fs::read(&out).unwrap() == noise(LEN, 1)[LEN - 500..]);
    let fetched: u64 = shares(&says).iter().sum();
    assert!(fetched < LEN as u64 / 2, "fetched {fetched} bytes for 500");
    let beyond = run(&["get", &stage.link, "-o", "-", "--range", "6000000-"]);
    assert_eq!(beyond.status.code(), Some(5), "{}", text(&beyond.stderr));
}

#[test]
fn one_peer_shares_with_the_next_when_the_relay_only_introduces() {
    let stage = stage(&[]);
    let first = stage.folder.path("first.mp4");
    let words = ["get", &stage.link, "-o", first.to_str().unwrap(), "--seed", "--quiet"];
    let mut seeder = command(&words).spawn().unwrap();
    wait_for("the first copy", || first.exists());
    wait_for("the seeder to announce it whole", || stage.relay.metric("peeredge_announces") == Some(2.0));
    let second = stage.folder.path("second.mp4");
    let done = run(&["get", &stage.link, "-o", second.to_str().unwrap(), "--no-http"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert!(std::fs::read(&second).unwrap() == noise(LEN, 1));
    let [from_peers, ..] = shares(&says);
    assert!(from_peers > 0, "nothing came from the other peer: {says}");
    assert!(std::process::Command::new("kill").arg(seeder.id().to_string()).status().unwrap().success());
    assert!(seeder.wait().unwrap().success());
    assert!(std::fs::read(&first).unwrap() == noise(LEN, 1));
    assert!(!stage.folder.path("first.mp4.peeredge-part").exists());
}

#[test]
fn the_publishers_name_never_replaces_a_file() {
    let stage = stage(&[]);
    let here = |words: &[&str]| command(words).current_dir(&stage.folder.0).output().unwrap();
    let refused = here(&["get", &stage.link]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("film.mp4 exists"), "{}", text(&refused.stderr));
    std::fs::rename(stage.folder.path("film.mp4"), stage.folder.path("original.mp4")).unwrap();
    let done = here(&["get", &stage.link]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(std::fs::read(stage.folder.path("film.mp4")).unwrap() == noise(LEN, 1));
}

#[test]
fn wrong_words_are_told_apart_from_failures() {
    for words in [
        &["get"][..],
        &["get", "a", "b"],
        &["get", "film.mp4"],
        &["get", "http://127.0.0.1:1/c/short"],
        &["get", "peeredge:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &["get", "peeredge:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "--relay", "nowhere"],
        &[
            "get",
            "peeredge:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "--relay",
            "http://a",
            "--range",
            "9-1",
        ],
        &["get", "--sed", "x"],
    ] {
        let out = run(words);
        assert_eq!(out.status.code(), Some(2), "{words:?}: {}", text(&out.stderr));
    }
}
