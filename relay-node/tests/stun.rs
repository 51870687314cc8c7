//! The relay's STUN port tells who asks under which address it sees them, and nobody else anything.

mod support;

use std::net::UdpSocket;
use std::time::Duration;
use support::{Folder, Relay};

const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes";

/// A relay that answers at a port of the test's choice.
fn start(folder: &Folder, flags: &[&str]) -> (Relay, u16) {
    let free = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let bind = format!("--stun-bind=127.0.0.1:{port}");
    let flags: Vec<&str> = [bind.as_str()].into_iter().chain(flags.iter().copied()).collect();
    (Relay::start(&folder.path("data"), &flags), port)
}

/// Asks from a socket of its own; gives the answer, and where it was asked from.
fn ask(port: u16, request: &[u8]) -> (Option<Vec<u8>>, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket.send_to(request, ("127.0.0.1", port)).expect("sent");
    let mut buffer = [0; 1500];
    let answer = socket.recv_from(&mut buffer).ok().map(|(len, _)| buffer[..len].to_vec());
    (answer, socket.local_addr().expect("an address").port())
}

#[test]
fn a_page_learns_the_address_under_which_it_is_seen() {
    let folder = Folder::new("stun");
    let (_relay, port) = start(&folder, &[]);
    let (answer, own_port) = ask(port, &REQUEST);
    let answer = answer.expect("an answer");
    assert_eq!(answer[..2], [1, 1]);
    assert_eq!(answer[8..20], REQUEST[8..]);
    let mapped = [answer[26] ^ 0x21, answer[27] ^ 0x12];
    assert_eq!(u16::from_be_bytes(mapped), own_port);
    let ip: Vec<u8> = answer[28..32].iter().zip([0x21, 0x12, 0xa4, 0x42]).map(|(a, b)| a ^ b).collect();
    assert_eq!(ip, [127, 0, 0, 1]);
    assert_eq!(answer.len(), 32, "nothing that would make the answer longer");
}

#[test]
fn what_is_no_plain_request_gets_no_answer_and_does_no_harm() {
    let folder = Folder::new("stun");
    let (_relay, port) = start(&folder, &[]);
    let mut check = REQUEST.to_vec();
    check[3] = 12;
    check.extend(b"\x00\x06\x00\x05a:b:c\0\0\0");
    for wrong in [&REQUEST[..19], b"\x00\x01", &check[..], b"\x01\x01\x00\x00\x21\x12\xa4\x42twelve bytes"] {
        assert_eq!(ask(port, wrong).0, None);
    }
    assert!(ask(port, &REQUEST).0.is_some());
}

#[test]
fn a_flood_from_one_address_is_answered_within_the_limit() {
    let folder = Folder::new("stun");
    let (_relay, port) = start(&folder, &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    for _ in 0..600 {
        socket.send_to(&REQUEST, ("127.0.0.1", port)).expect("sent");
    }
    let mut buffer = [0; 1500];
    let answers = std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).count();
    // 100 at once and 100 a second; the flood may take some seconds on a busy machine.
    assert!((100..=400).contains(&answers), "{answers} answers");
}

#[test]
fn an_operator_can_switch_it_off() {
    let folder = Folder::new("stun");
    let (_relay, port) = start(&folder, &["--stun=false"]);
    assert_eq!(ask(port, &REQUEST).0, None);
}
