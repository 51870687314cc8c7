//! A client that dawdles costs one connection for a bounded time.
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Folder, PATIENCE, Relay, path_of, publish, wait_for};

#[test]
fn headers_that_do_not_end_are_not_waited_for() {
    let folder = Folder::new("timeouts");
    let relay = Relay::start(&folder.path("data"), &["--rtc", "false", "--header-timeout-ms", "300"]);
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ").unwrap();
    let mut answer = Vec::new();
    // Closed with an answer or without one, but closed.
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", support::text(&answer));
    assert_eq!(relay.get("/livez", &[]).status, 200);
}

#[test]
fn headers_without_end_are_refused() {
    let folder = Folder::new("timeouts");
    let relay = Relay::start(&folder.path("data"), &["--rtc", "false"]);
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n");
    let line = [b"x-long: ".as_slice(), &[b'a'; 1000], b"\r\n"].concat();
    for _ in 0..200 {
        if stream.write_all(&line).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", support::text(&answer));
    assert_eq!(relay.get("/livez", &[]).status, 200);
}

#[test]
fn an_answer_that_is_not_read_is_given_up() {
    let folder = Folder::new("timeouts");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("large.bin", 32 << 20, 5));
    let relay = Relay::start(&data, &["--rtc", "false", "--write-timeout-ms", "300"]);
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream
        .write_all(format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path_of(&link)).as_bytes())
        .unwrap();
    // This one and the one that asks for the metric.
    wait_for("the answer to begin", || relay.metric("peeredge_connections") == Some(2.0));
    wait_for("the answer to be given up", || relay.metric("peeredge_connections") == Some(1.0));
    drop(stream);
}

#[test]
fn an_idle_connection_gives_way_to_the_next() {
    let folder = Folder::new("timeouts");
    let relay = Relay::start(&folder.path("data"), &["--rtc", "false", "--connections-per-owner-max", "4"]);
    let mut held: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(relay.address).unwrap()).collect();
    assert_eq!(relay.get("/livez", &[]).status, 200);
    // The longest idle one made the place.
    held[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(held[0].read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(relay.metric("peeredge_connections_displaced_total"), Some(1.0));
}

#[test]
fn connections_in_use_beyond_the_limit_are_turned_away_and_places_come_back() {
    let folder = Folder::new("timeouts");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("large.bin", 32 << 20, 5));
    let relay = Relay::start(&data, &["--rtc", "false", "--connections-max", "4"]);
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path_of(&link));
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(relay.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream.read_exact(&mut [0; 1]).unwrap();
            stream
        })
        .collect();
    let mut fifth = TcpStream::connect(relay.address).unwrap();
    fifth.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let _ = fifth.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let _ = fifth.read_to_end(&mut answer);
    assert_eq!(answer, b"", "a fifth connection is answered");
    drop(held);
    wait_for("places to come back", || {
        let mut stream = TcpStream::connect(relay.address).unwrap();
        let mut answer = Vec::new();
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200")
    });
}
