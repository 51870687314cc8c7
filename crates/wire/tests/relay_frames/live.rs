//! The frames of live contents, as they are on the wire.

use super::{PEER, to_relay};
use crate::support::{bytes, hex};
use peeredge_wire::DecodeError;
use peeredge_wire::limits::LIVE_HEAD_BYTES_MAX;
use peeredge_wire::relay::{FromRelay, ToRelay};

#[test]
fn heads_and_who_follows_them() {
    to_relay(
        ToRelay::Head { name: "match".into(), head: b"signed".to_vec() },
        "34                 # tag
         0500 6d61746368    # name
         7369676e6564       # head, to the frame's end",
    );
    let follow = "aa*32              # publisher
                  0500 6d61746368    # name";
    to_relay(ToRelay::Follow { publisher: PEER, name: "match".into() }, &format!("35 # tag\n{follow}"));
    to_relay(ToRelay::Unfollow { publisher: PEER, name: "match".into() }, &format!("36 # tag\n{follow}"));
    let head = FromRelay::Head { publisher: PEER, name: "match".into(), head: b"signed".to_vec() };
    let frame = bytes(&format!("b5 # tag\n{follow}\n7369676e6564 # head, to the frame's end"));
    assert_eq!(hex(&head.encode()), hex(&frame));
    assert_eq!(FromRelay::decode(&frame), Ok(head));
}

#[test]
fn wrong_frames_name_the_field() {
    let head = |len| ToRelay::Head { name: "x".into(), head: vec![0; len] }.encode();
    assert!(ToRelay::decode(&head(LIVE_HEAD_BYTES_MAX)).is_ok());
    let too_long = DecodeError::TooLong { field: "head", max: LIVE_HEAD_BYTES_MAX };
    assert_eq!(ToRelay::decode(&head(LIVE_HEAD_BYTES_MAX + 1)), Err(too_long));
    let long_name = DecodeError::TooLong { field: "name", max: 255 };
    assert_eq!(ToRelay::decode(&bytes("34 0001 78*256")), Err(long_name));
    assert_eq!(ToRelay::decode(&bytes("35 aa*32 0100 78 00")), Err(DecodeError::Trailing { left: 1 }));
}
