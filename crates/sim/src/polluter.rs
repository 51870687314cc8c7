//! The test double of a cheating peer: an honest node whose messages are changed on their way out.

use crate::scenario::Pollution;
use peeredge_wire::ContentId;
use peeredge_wire::peer::{Marker, PeerMessage, RefuseReason};

/// How often one that repeats itself says each symbol.
const TIMES: usize = 12;
/// Symbols that one that pushes sends beside each that it was asked for.
const PUSHED: u64 = 6;

/// What leaves instead of a message. Gives whether it is anything else; `number` grows with each message.
pub(crate) fn pollute(pollution: Pollution, frame: Vec<u8>, number: u64) -> (Vec<Vec<u8>>, bool) {
    let said = instead(pollution, &frame, number);
    let cheats = said.is_some();
    (said.unwrap_or_else(|| vec![frame]), cheats)
}

/// None where it says what it would.
fn instead(pollution: Pollution, frame: &[u8], number: u64) -> Option<Vec<Vec<u8>>> {
    let message = PeerMessage::decode(frame).ok()?;
    let flipped = |len: usize| {
        let mut frame = frame.to_vec();
        let at = frame.len() - len / 2 - 1;
        frame[at] ^= 0x10;
        Some(vec![frame])
    };
    match (pollution, &message) {
        (Pollution::Source, PeerMessage::Symbol { marker: Marker::Source(_), payload, .. })
        | (Pollution::Coded, PeerMessage::Symbol { marker: Marker::Coded { .. }, payload, .. })
            if !payload.is_empty() =>
        {
            flipped(payload.len())
        }
        (Pollution::Hashes, PeerMessage::Record { bytes, .. } | PeerMessage::Manifest { bytes, .. }) => {
            flipped(bytes.len())
        }
        (
            Pollution::Places,
            PeerMessage::Symbol { content, block, marker: Marker::Source(index), payload },
        ) => {
            let marker = Marker::Source(index ^ 1);
            Some(vec![PeerMessage::Symbol { content: *content, block: *block, marker, payload }.encode()])
        }
        (Pollution::Repeats, PeerMessage::Symbol { .. }) => Some(vec![frame.to_vec(); TIMES]),
        (Pollution::Pushes, PeerMessage::Symbol { content, block, payload, .. }) => {
            let mut said = vec![frame.to_vec()];
            for n in 0..PUSHED {
                let marker = Marker::Coded { density: 3, seed: number * PUSHED + n };
                let content = if n % 2 == 0 { *content } else { ContentId([n as u8; 32]) };
                said.push(PeerMessage::Symbol { content, block: *block, marker, payload }.encode());
            }
            Some(said)
        }
        (Pollution::Withholds, PeerMessage::Symbol { .. }) => Some(Vec::new()),
        (Pollution::Refuses, PeerMessage::Symbol { content, block, marker, .. }) => {
            let (content, block) = (*content, *block);
            let reason = RefuseReason::Busy;
            let picks = match *marker {
                Marker::Source(first) => vec![peeredge_wire::peer::Pick::Sources { first, count: 1 }],
                Marker::Coded { density, seed } => vec![peeredge_wire::peer::Pick::Coded { density, seed }],
            };
            Some(vec![PeerMessage::Refuse { content, block, reason, picks }.encode()])
        }
        (Pollution::Boasts, PeerMessage::HaveBlocks { content, .. } | PeerMessage::HaveNone { content }) => {
            Some(vec![PeerMessage::HaveBlocks { content: *content, first: 0, bits: &[0xff; 1000] }.encode()])
        }
        (Pollution::Garbles, PeerMessage::Greet { .. }) => None,
        // Now and then a bit anywhere in the frame.
        (Pollution::Garbles, _) if number % 7 == 3 => {
            let mut frame = frame.to_vec();
            let bit = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            Some(vec![frame])
        }
        _ => None,
    }
}
