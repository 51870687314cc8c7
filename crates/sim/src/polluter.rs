//! The test double of a cheating peer: an honest node whose symbols are falsified on their way out.

use crate::scenario::Pollution;
use peeredge_wire::peer::{Marker, PeerMessage};

/// Flips one bit in the payload if the message is a symbol of the kind that this polluter falsifies. Gives whether it did.
pub(crate) fn pollute(pollution: Pollution, frame: &mut [u8]) -> bool {
    let Ok(PeerMessage::Symbol { marker, payload, .. }) = PeerMessage::decode(frame) else { return false };
    let chosen = match marker {
        Marker::Source(_) => pollution == Pollution::Source,
        Marker::Coded { .. } => pollution == Pollution::Coded,
    };
    let at = frame.len() - payload.len() / 2 - 1;
    if !chosen || payload.is_empty() {
        return false;
    }
    frame[at] ^= 0x10;
    true
}
