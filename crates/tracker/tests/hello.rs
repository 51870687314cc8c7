//! Only a proved key is a peer.

mod support;

use ed25519_dalek::Signer;
use peeredge_tracker::{ConnId, TrackerInput};
use peeredge_wire::relay::{ErrorCode, FromRelay, ToRelay, hello_payload};
use peeredge_wire::{PROTOCOL_VERSION, PeerId};
use support::{AUTHORITY, Place, RELAY_KEY, content, hello, id, key};

#[test]
fn a_signed_challenge_is_welcome() {
    let mut place = Place::new();
    let (conn, nonce) = place.open();
    place.say(conn, &hello(1, &nonce));
    assert_eq!(
        place.read(conn),
        [FromRelay::Welcome {
            version: PROTOCOL_VERSION,
            report_every_s: 30,
            frames_per_s: 50,
            frames_burst: 400
        }]
    );
    assert_eq!(place.tracker.stats().peers, 1);
    assert_eq!(place.tracker.deadline(), None, "nothing is left to wait for");
}

#[test]
fn every_challenge_is_another() {
    let mut place = Place::new();
    let nonces: std::collections::BTreeSet<[u8; 32]> = (0..100).map(|_| place.open().1).collect();
    assert_eq!(nonces.len(), 100);
}

#[test]
fn a_signature_for_another_connection_proves_nothing() {
    let mut place = Place::new();
    let (_, other_nonce) = place.open();
    let (conn, _) = place.open();
    place.say(conn, &hello(1, &other_nonce));
    assert_eq!(place.error(conn), ErrorCode::Unauthorised);
    assert_eq!(place.closed(conn), Some(ErrorCode::Unauthorised));
    assert_eq!(place.tracker.stats().peers, 0);
}

#[test]
fn a_key_that_is_no_point_or_of_small_order_is_refused() {
    for peer in [PeerId([0; 32]), PeerId([1; 32]), PeerId([255; 32])] {
        let mut place = Place::new();
        let (conn, _) = place.open();
        place.say(
            conn,
            &ToRelay::Hello {
                version: PROTOCOL_VERSION,
                peer,
                signature: [0; 64],
                authority: AUTHORITY.into(),
            },
        );
        assert_eq!(place.error(conn), ErrorCode::Unauthorised, "{peer}");
    }
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    let mut place = Place::new();
    let (conn, _) = place.open();
    place.say(
        conn,
        &ToRelay::Hello {
            version: PROTOCOL_VERSION + 1,
            peer: id(1),
            signature: [0; 64],
            authority: AUTHORITY.into(),
        },
    );
    assert_eq!(place.error(conn), ErrorCode::Version);
    assert_eq!(place.closed(conn), Some(ErrorCode::Version));
}

#[test]
fn nothing_comes_before_the_hello() {
    let messages = [
        ToRelay::Announce { content: content(1), have_permille: 0, wants: 1 },
        ToRelay::Withdraw { content: content(1) },
        ToRelay::Signal { to: id(1), session: 1, signal: vec![1] },
        ToRelay::Report(Default::default()),
        ToRelay::Blame { accused: id(1), content: content(1), block: 0 },
    ];
    for message in messages {
        let mut place = Place::new();
        let (conn, _) = place.open();
        place.say(conn, &message);
        assert_eq!(place.error(conn), ErrorCode::OutOfOrder, "{message:?}");
        assert_eq!(place.closed(conn), Some(ErrorCode::OutOfOrder));
    }
}

#[test]
fn a_second_hello_is_out_of_order() {
    let mut place = Place::new();
    let (conn, nonce) = place.open();
    place.say(conn, &hello(1, &nonce));
    place.read(conn);
    place.say(conn, &hello(1, &nonce));
    assert_eq!(place.error(conn), ErrorCode::OutOfOrder);
    assert_eq!(place.tracker.stats().peers, 0);
}

#[test]
fn a_silent_connection_is_closed_at_the_deadline_and_not_before() {
    let mut place = Place::new();
    let (silent, _) = place.open();
    place.pass(5_000);
    let peer = place.join(1);
    let deadline = place.tracker.deadline().expect("somebody has not said hello");
    assert_eq!(deadline.since(place.now).as_millis(), 5_000);
    place.pass(4_999);
    assert_eq!(place.closed(silent), None);
    place.pass(1);
    assert_eq!(place.error(silent), ErrorCode::Unauthorised);
    place.pass(1_000_000);
    assert_eq!(place.closed(peer), None);
}

#[test]
fn the_same_key_again_replaces_the_older_connection() {
    let mut place = Place::new();
    let older = place.join(1);
    place.announce(older, content(1), 1000, 0);
    let newer = place.join(1);
    assert_eq!(place.error(older), ErrorCode::Replaced);
    assert_eq!(place.closed(older), Some(ErrorCode::Replaced));
    assert_eq!(place.tracker.stats().peers, 1);
    assert_eq!(place.tracker.stats().announces, 0, "what the older one announced went with it");
    // The shell tells of the older one's end late: the newer one stays.
    place.leave(older);
    let other = place.join(2);
    place.introduce(other, newer);
    place.say(other, &ToRelay::Signal { to: id(1), session: 7, signal: vec![1] });
    assert_eq!(place.read(newer), [FromRelay::Signal { from: id(2), session: 7, signal: vec![1] }]);
}

#[test]
fn a_full_relay_says_so() {
    let mut place = Place::with(|config| config.peers_max = 2);
    let first = place.join(1);
    place.join(2);
    let third = ConnId(1000);
    place.input(TrackerInput::Connected { conn: third, authorities: Vec::new() });
    assert_eq!(place.error(third), ErrorCode::Full);
    assert_eq!(place.closed(third), Some(ErrorCode::Full));
    place.leave(first);
    place.join(3);
}

#[test]
fn a_proof_made_for_another_relays_address_is_not_taken() {
    let mut place = Place::new();
    let say = |place: &mut Place, signed: &str, named: &str| {
        let (conn, nonce) = place.open();
        let signature = key(1).sign(&hello_payload(&nonce, &id(RELAY_KEY), signed)).to_bytes();
        let authority = named.to_owned();
        place.say(conn, &ToRelay::Hello { version: PROTOCOL_VERSION, peer: id(1), signature, authority });
        place.closed(conn)
    };
    // A relay in between passes on what its visitor signed for it, or puts this relay's name in its place.
    assert_eq!(say(&mut place, "evil.example", "evil.example"), Some(ErrorCode::Unauthorised));
    assert_eq!(say(&mut place, "evil.example", AUTHORITY), Some(ErrorCode::Unauthorised));
    assert_eq!(say(&mut place, AUTHORITY, "localhost"), Some(ErrorCode::Unauthorised));
    assert_eq!(say(&mut place, "", ""), Some(ErrorCode::Unauthorised));
    assert_eq!(say(&mut place, "localhost", "localhost"), None);
}
