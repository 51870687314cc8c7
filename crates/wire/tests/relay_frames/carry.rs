//! The frames of messages that pass through the relay, as they are on the wire.

use super::{PEER, from_relay, to_relay};
use crate::support::bytes;
use peeredge_wire::limits::CARRIED_PIECE_BYTES_MAX;
use peeredge_wire::relay::{CarryEnd, FromRelay, ToRelay};
use peeredge_wire::{DecodeError, PeerId};
use proptest::prelude::*;

#[test]
fn what_a_peer_says() {
    to_relay(
        ToRelay::CarryOpen { to: PEER, session: 7, credit_bytes: 65_536 },
        "30                 # tag
         aa*32              # to
         0700000000000000   # session
         00000100           # credit_bytes",
    );
    to_relay(
        ToRelay::Carry { to: PEER, session: 7, last: true, piece: b"abc".to_vec() },
        "31                 # tag
         aa*32              # to
         0700000000000000   # session
         01                 # last
         616263             # piece, to the frame's end",
    );
    to_relay(
        ToRelay::CarryCredit { to: PEER, session: 7, bytes: 258 },
        "32                 # tag
         aa*32              # to
         0700000000000000   # session
         02010000           # bytes",
    );
    to_relay(
        ToRelay::CarryClose { to: PEER, session: 7 },
        "33                 # tag
         aa*32              # to
         0700000000000000   # session",
    );
}

#[test]
fn what_the_relay_says() {
    from_relay(
        FromRelay::Paths { stun_port: 8080, carried_bytes_per_s: 1_000_000 },
        "b0                 # tag
         901f               # stun_port
         40420f00           # carried_bytes_per_s",
    );
    from_relay(
        FromRelay::CarryOpen { from: PEER, session: 7, credit_bytes: 65_536 },
        "b1                 # tag
         aa*32              # from
         0700000000000000   # session
         00000100           # credit_bytes",
    );
    from_relay(
        FromRelay::Carried { from: PEER, session: 7, last: false, piece: b"abc".to_vec() },
        "b2                 # tag
         aa*32              # from
         0700000000000000   # session
         00                 # last
         616263             # piece, to the frame's end",
    );
    from_relay(
        FromRelay::CarryCredit { from: PEER, session: 7, bytes: 258 },
        "b3                 # tag
         aa*32              # from
         0700000000000000   # session
         02010000           # bytes",
    );
    for (number, end) in
        [(1, CarryEnd::Gone), (2, CarryEnd::Refused), (3, CarryEnd::Capped), (4, CarryEnd::Idle)]
    {
        from_relay(
            FromRelay::CarryClosed { peer: PEER, session: 7, end },
            &format!(
                "b4                 # tag
                 aa*32              # peer
                 0700000000000000   # session
                 {number:02x}       # end"
            ),
        );
    }
}

#[test]
fn wrong_frames_name_the_field() {
    let carry = |len| ToRelay::Carry { to: PEER, session: 1, last: true, piece: vec![0; len] }.encode();
    assert!(ToRelay::decode(&carry(CARRIED_PIECE_BYTES_MAX)).is_ok());
    let too_long = DecodeError::TooLong { field: "piece", max: CARRIED_PIECE_BYTES_MAX };
    assert_eq!(ToRelay::decode(&carry(CARRIED_PIECE_BYTES_MAX + 1)), Err(too_long));
    let flag = bytes("31 aa*32 0700000000000000 02");
    assert_eq!(ToRelay::decode(&flag), Err(DecodeError::Value { field: "last" }));
    for number in ["00", "05", "ff"] {
        let frame = bytes(&format!("b4 aa*32 0700000000000000 {number}"));
        assert_eq!(FromRelay::decode(&frame), Err(DecodeError::Value { field: "end" }));
    }
}

proptest! {
    #[test]
    fn every_piece_survives_its_frame(
        peer in any::<[u8; 32]>(), session: u64, last: bool, piece in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let peer = PeerId(peer);
        let sent = ToRelay::Carry { to: peer, session, last, piece: piece.clone() };
        prop_assert_eq!(ToRelay::carried_in(&sent.encode()), Some((peer, session)));
        prop_assert_eq!(ToRelay::decode(&sent.encode()), Ok(sent));
        let received = FromRelay::Carried { from: peer, session, last, piece };
        prop_assert_eq!(FromRelay::decode(&received.encode()), Ok(received));
    }
}
