//! A relay that is told to stop says so, finishes what it is doing, and leaves nothing behind.
mod support;

use peeredge_wire::relay::{ErrorCode, FromRelay};
use std::io::{Read, Write};
use std::net::TcpStream;
use support::peer::{Heard, Peer};
use support::{Folder, PATIENCE, Relay, path_of, publish};

#[tokio::test]
async fn peers_are_told_and_a_running_answer_ends_whole() {
    const LEN: usize = 24 << 20;
    let folder = Folder::new("shutdown");
    let data = folder.path("data");
    let link = publish(&data, &folder.file("large.bin", LEN, 6));
    let mut relay = Relay::start(&data, &[]);
    let mut peer = Peer::join(relay.address, 1).await;
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", path_of(&link));
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();

    relay.signal("-TERM");
    let Heard::Message(FromRelay::Error { code, .. }) = peer.hear().await else {
        panic!("no word of the end")
    };
    assert_eq!(code, ErrorCode::ShuttingDown);
    assert_eq!(peer.hear().await, Heard::Closed(Some(1001)));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > LEN, "the answer was cut at {} bytes", rest.len());

    let status = relay.child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(TcpStream::connect(relay.address).is_err(), "the port is still open");
}

#[test]
fn an_idle_relay_stops_at_once_by_either_signal() {
    let folder = Folder::new("shutdown");
    for signal in ["-TERM", "-INT"] {
        let mut relay = Relay::start(&folder.path("data"), &["--shutdown-grace-ms", "60000"]);
        relay.signal(signal);
        support::wait_for("the relay to stop", || relay.child.try_wait().unwrap().is_some());
        assert!(relay.child.wait().unwrap().success(), "{signal}");
    }
}
