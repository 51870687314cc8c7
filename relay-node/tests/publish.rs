//! Files become links, whether a relay is running or not.
mod support;

use peeredge_relay::publish::{Job, PublishError, publish as publish_here};
use std::io::Write;
use std::path::Path;
use support::{Folder, Relay, command, noise, path_of, publish, run, text, wait_for};

fn words<'a>(data: &'a Path, file: &'a Path) -> Vec<&'a str> {
    vec!["publish", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()]
}

#[test]
fn the_same_link_with_a_relay_and_without_and_served_at_once() {
    let folder = Folder::new("publish");
    let file = folder.file("film.mp4", 3_000_000, 1);
    let (alone, shared) = (folder.path("alone"), folder.path("shared"));
    let link = publish(&alone, &file);
    let relay = Relay::start(&shared, &["--rtc", "false"]);
    let other = publish(&shared, &file);
    assert_eq!(path_of(&link), path_of(&other));
    assert!(other.starts_with(&relay.url()), "{other} does not name the relay that serves it");
    // It has been acknowledged, so it is there.
    let answer = relay.get(path_of(&other), &[]);
    assert!(answer.status == 200 && answer.body == noise(3_000_000, 1));
    drop(relay);
    let relay = Relay::start(&alone, &["--rtc", "false"]);
    assert!(relay.get(path_of(&link), &[]).body == noise(3_000_000, 1));
}

#[test]
fn an_unchanged_file_is_known_and_a_changed_one_is_not() {
    let folder = Folder::new("publish");
    let (data, file) = (folder.path("data"), folder.file("a.bin", 100_000, 2));
    let first = run(&words(&data, &file));
    assert!(text(&first.stderr).contains("published:"), "{}", text(&first.stderr));
    let again = run(&words(&data, &file));
    assert!(text(&again.stderr).contains("already published:"), "{}", text(&again.stderr));
    assert_eq!(first.stdout, again.stdout);
    let named = run(&[&words(&data, &file)[..], &["--name", "b.bin"]].concat());
    assert!(named.status.success() && named.stdout != first.stdout);
    std::fs::write(&file, noise(100_001, 3)).unwrap();
    let changed = run(&words(&data, &file));
    assert!(changed.status.success() && changed.stdout != first.stdout);
}

#[test]
fn what_is_of_a_task_is_not_listed_nor_kept_but_what_was_published_stays_so() {
    let folder = Folder::new("publish");
    let (data, file, copy) = (folder.path("data"), folder.file("a.bin", 100_000, 5), folder.path("copy"));
    std::fs::copy(&file, &copy).unwrap();
    let of_task = |name: &str| Job {
        path: copy.clone(),
        name: Some(name.into()),
        media_type: Some("application/octet-stream".into()),
        of_task: true,
    };
    let link = publish(&data, &file);
    for name in ["a.bin", "output"] {
        publish_here(&data, &of_task(name), u64::MAX, &mut |_, _| ()).unwrap();
    }
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let listed = text(&relay.get("/api/contents", &[]).body);
    assert!(listed.contains("a.bin") && !listed.contains("output"), "{listed}");
    assert!(relay.get(path_of(&link), &[]).body == noise(100_000, 5));
    assert_eq!(
        std::fs::read_dir(data.join("contents")).unwrap().count(),
        3,
        "data, records and manifest of the one"
    );
}

#[test]
fn a_file_that_changes_meanwhile_is_refused_and_leaves_nothing() {
    let folder = Folder::new("publish");
    let (data, file) = (folder.path("data"), folder.file("a.bin", 5 << 20, 4));
    let mut grow = |done: u64, _| {
        if done == 1 << 20 {
            std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"more").unwrap();
        }
    };
    let job = Job { path: file.clone(), name: None, media_type: None, of_task: false };
    let result = publish_here(&data, &job, u64::MAX, &mut grow);
    assert!(matches!(result, Err(PublishError::Changed { .. })), "{result:?}");
    for left in ["tmp", "inbox", "contents"] {
        let count = std::fs::read_dir(data.join(left)).map_or(0, Iterator::count);
        assert_eq!(count, 0, "{left}");
    }
}

#[test]
fn what_is_no_file_or_too_large_is_named() {
    let folder = Folder::new("publish");
    let data = folder.path("data");
    let missing = run(&words(&data, &folder.path("missing.mp4")));
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("missing.mp4"), "{}", text(&missing.stderr));
    let directory = run(&words(&data, &folder.0));
    assert!(text(&directory.stderr).contains("not a file"), "{}", text(&directory.stderr));
    let file = folder.file("a.bin", 100_000, 5);
    let tight = run(&[&words(&data, &file)[..], &["--store-bytes-max", "64 KiB"]].concat());
    assert_eq!(tight.status.code(), Some(1));
    assert!(text(&tight.stderr).contains("store_bytes_max"), "{}", text(&tight.stderr));
    let relay = Relay::start(&data, &["--rtc", "false", "--store-bytes-max", "64 KiB"]);
    let tight = run(&words(&data, &file));
    assert!(text(&tight.stderr).contains("the relay refused it"), "{}", text(&tight.stderr));
    assert!(relay.links().is_empty());
    let long = run(&[&words(&data, &file)[..], &["--name", &"n".repeat(256)]].concat());
    assert!(text(&long.stderr).contains("longer than 255"), "{}", text(&long.stderr));
}

#[test]
fn an_empty_file_is_a_content_too() {
    let folder = Folder::new("publish");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("empty.txt", 0, 0));
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let answer = relay.get(path_of(&link), &[]);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn serve_publishes_what_it_is_told_to() {
    let folder = Folder::new("publish");
    let (one, two) = (folder.file("one.txt", 1000, 6), folder.file("two.txt", 2000, 7));
    let flags = ["--rtc", "false", "--publish", one.to_str().unwrap(), "--publish", two.to_str().unwrap()];
    let relay = Relay::start(&folder.path("data"), &flags);
    wait_for("both to be published", || relay.links().len() == 2);
    for link in relay.links() {
        assert!(link.starts_with(&relay.url()), "{link}");
        assert_eq!(relay.get(path_of(&link), &[]).status, 200);
    }
}

/// A pipe whose reader has gone.
fn nobody() -> std::process::Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[test]
fn a_relay_whose_output_nobody_reads_publishes_all_the_same() {
    let folder = Folder::new("publish");
    let (data, file) = (folder.path("data"), folder.file("first.bin", 10_000, 1));
    let second = folder.file("second.bin", 10_000, 2);
    let mut serve = command(&["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir"]);
    serve.arg(&data).arg("--publish").arg(&file).arg("--publish").arg(&second);
    let mut relay = serve.stdout(nobody()).stderr(nobody()).spawn().unwrap();
    let noted = data.join("relay.url");
    let is_listed = |name: &str| {
        let Ok(url) = std::fs::read_to_string(&noted) else { return false };
        let Ok(mut stream) = std::net::TcpStream::connect(url.trim().trim_start_matches("http://")) else {
            return false;
        };
        let request = "GET /api/contents HTTP/1.0\r\n\r\n";
        let mut said = String::new();
        stream.write_all(request.as_bytes()).is_ok()
            && std::io::Read::read_to_string(&mut stream, &mut said).is_ok()
            && said.contains(name)
    };
    wait_for("both to be published", || is_listed("first.bin") && is_listed("second.bin"));
    publish(&data, &folder.file("third.bin", 10_000, 3));
    wait_for("what was handed over to be published", || is_listed("third.bin"));
    assert!(relay.try_wait().unwrap().is_none(), "it goes on");
    relay.kill().unwrap();
    relay.wait().unwrap();
}

#[test]
fn commands_whose_output_nobody_reads_end_in_a_sentence() {
    for words in [&["print-config"][..], &["check-config"], &["--help"], &["serve", "--help"], &["--version"]]
    {
        let ran = command(words).stdout(nobody()).output().unwrap();
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.starts_with("peeredge: standard output: ") && said.lines().count() == 1,
            "{words:?}: {said}"
        );
        let quiet = command(words).stdout(nobody()).stderr(nobody()).status().unwrap();
        assert_eq!(quiet.code(), Some(1), "{words:?}");
    }
}

#[test]
fn a_relay_whose_output_is_held_publishes_all_the_same() {
    let folder = Folder::new("publish");
    let data = folder.path("data");
    let file = folder.file("file.bin", 1000, 1);
    // Both are as full as a pipe gets, as a pager's is that waits for a key.
    let held = || {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (done, full) = std::sync::mpsc::channel();
        let mut filling = writer.try_clone().unwrap();
        std::thread::spawn(move || {
            for _ in 0..1 << 20 {
                if filling.write_all(b"x").is_err() || done.send(()).is_err() {
                    return;
                }
            }
        });
        // It waits once nothing more is taken.
        while full.recv_timeout(std::time::Duration::from_secs(2)).is_ok() {}
        let _ = writer.flush();
        (reader, writer)
    };
    let (out, err) = (held(), held());
    let mut serve = command(&["serve", "--bind", "127.0.0.1:0", "--rtc", "false", "--data-dir"]);
    serve.arg(&data).arg("--publish").arg(&file);
    let mut relay = serve.stdout(out.1).stderr(err.1).spawn().unwrap();
    drop(serve);
    wait_for("it to say where it is", || data.join("relay.url").exists());
    publish(&data, &folder.file("second.bin", 1000, 2));
    let contents = || std::fs::read_dir(data.join("contents")).map_or(0, |listing| listing.count());
    wait_for("both to be published", || contents() == 6);
    assert!(relay.try_wait().unwrap().is_none(), "it goes on");
    relay.kill().unwrap();
    relay.wait().unwrap();
    drop((out.0, err.0));
}

/// With its standard output closed.
fn closed(words: &str) -> std::process::Output {
    let line = format!("exec {} {words} >&-", env!("CARGO_BIN_EXE_peeredge"));
    std::process::Command::new("sh").args(["-c", &line]).output().unwrap()
}

#[test]
fn a_closed_standard_output_is_no_place_for_what_was_asked_for() {
    let folder = Folder::new("publish");
    let (data, file) = (folder.path("data"), folder.file("file.bin", 10_000, 1));
    let publishing = format!("publish --data-dir {} {}", data.display(), file.display());
    for words in ["--version", "print-config", &publishing] {
        let ran = closed(words);
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains("standard output: Bad file descriptor"), "{words}: {said}");
    }
    // A relay has nothing to say there that its log does not say.
    let link = publish(&data, &file);
    let relay = Relay::start(&data, &["--rtc", "false"]);
    let of = format!("http://{}{}", relay.address, path_of(&link));
    let ran = closed(&format!("get {of} -o -"));
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output: Bad file descriptor"), "{said}");
    let out = folder.path("out");
    let ran = closed(&format!("get {of} --quiet -o {}", out.display()));
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&file).unwrap());
}

#[test]
fn a_limit_on_files_is_a_failed_write() {
    let folder = Folder::new("publish");
    let (data, file) = (folder.path("data"), folder.file("large.bin", 4_000_000, 1));
    let program = env!("CARGO_BIN_EXE_peeredge");
    let limited =
        format!("ulimit -f 2000; exec {program} publish --data-dir {} {}", data.display(), file.display());
    let ran = std::process::Command::new("sh").args(["-c", &limited]).output().unwrap();
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{:?}: {said}", ran.status);
    assert!(said.contains("large.bin") && !said.contains("panicked"), "{said}");
}
