//! Every frame's decoder, and links: what is taken is written again as it came.
#![no_main]

use peeredge_wire::peer::PeerMessage;
use peeredge_wire::relay::{FromRelay, ToRelay};
use peeredge_wire::{Link, PeerId};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = PeerMessage::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    if let Ok(message) = ToRelay::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    if let Ok(message) = FromRelay::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = text.parse::<PeerId>();
        if let Ok(link) = text.parse::<Link>() {
            assert_eq!(link.to_string().parse(), Ok(link));
        }
    }
});
