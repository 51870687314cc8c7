//! Every decoder of frames, links and ids, given what is almost right: no panic, and what is taken is written again as it came.

use peeredge_attacks::fuzz::{Dice, fuzz};
use peeredge_wire::peer::PeerMessage;
use peeredge_wire::relay::{FromRelay, ToRelay};
use peeredge_wire::{ContentId, Link, PeerId};

const CASES: u32 = 60_000;

/// Frames that a decoder takes, found by trying each tag with bodies of each length: so a frame that is added later is among them.
fn valid(takes: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(1);
    let mut found = Vec::new();
    for tag in 0..=u8::MAX {
        let before = found.len();
        for len in 0..260 {
            // Zeros, a length or a flag somewhere, and noise.
            for fill in 0..6 {
                let mut frame = vec![tag; 1];
                frame.resize(1 + len, 0);
                match fill {
                    0 => {}
                    1 => frame[1..].fill(1),
                    2 => frame[1..].iter_mut().for_each(|byte| *byte = dice.next() as u8),
                    _ => (0..3).for_each(|_| {
                        let at = 1 + dice.below(len.max(1));
                        frame.get_mut(at).into_iter().for_each(|byte| *byte = dice.below(len + 1) as u8);
                    }),
                }
                if found.len() < before + 60 && takes(&frame) {
                    found.push(frame);
                }
            }
        }
    }
    found
}

fn tags(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(|frame| frame[0]).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn between_peers() {
    let frames = valid(|frame| PeerMessage::decode(frame).is_ok());
    assert!(tags(&frames) >= 14, "{} kinds", tags(&frames));
    fuzz(1, CASES, &frames, |frame| {
        if let Ok(message) = PeerMessage::decode(frame) {
            assert_eq!(message.encode(), frame);
        }
    });
}

#[test]
fn from_a_peer_to_its_relay() {
    let frames = valid(|frame| ToRelay::decode(frame).is_ok());
    assert!(tags(&frames) >= 20, "{} kinds", tags(&frames));
    fuzz(2, CASES, &frames, |frame| {
        if let Ok(message) = ToRelay::decode(frame) {
            assert_eq!(message.encode(), frame);
        }
    });
}

#[test]
fn from_a_relay_to_its_peer() {
    let frames = valid(|frame| FromRelay::decode(frame).is_ok());
    assert!(tags(&frames) >= 16, "{} kinds", tags(&frames));
    fuzz(3, CASES, &frames, |frame| {
        if let Ok(message) = FromRelay::decode(frame) {
            assert_eq!(message.encode(), frame);
        }
    });
}

#[test]
fn links_and_ids() {
    let id = ContentId([7; 32]).to_string();
    let texts = [
        format!("peeredge:{id}"),
        format!("https://relay.example/c/{id}"),
        format!(" http://[::1]:8080/c/{id}/a%20name.mp4?x#y "),
        id,
    ];
    let texts = texts.map(String::into_bytes);
    fuzz(4, CASES, &texts, |text| {
        let Ok(text) = str::from_utf8(text) else { return };
        if let Ok(link) = text.parse::<Link>() {
            assert_eq!(link.to_string().parse(), Ok(link));
        }
        if let Ok(id) = text.parse::<PeerId>() {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    });
}
