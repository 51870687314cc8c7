//! Strangers at a relay: free keys, as many connections as they like, one network unless it says otherwise.

mod accusing;
mod crowding;
mod flooding;
mod listening;
mod majority;
mod money;
pub(crate) mod sequences;
mod spending;
#[path = "../support/mod.rs"]
mod support;
mod weighing;

use ed25519_dalek::{Signer, SigningKey};
use peeredge_tracker::{ConnId, TrackerInput};
use peeredge_wire::relay::{FromRelay, Receipt, ToRelay, hello_payload};
use peeredge_wire::{ContentId, PROTOCOL_VERSION, PeerId};
use std::collections::BTreeSet;
use support::{AUTHORITY, Place, RELAY_KEY, id};

/// The network of whoever attacks.
const STRANGER: u64 = 666;

/// A peer with a key of its own.
#[derive(Clone, Copy, Debug)]
struct Peer {
    n: u32,
    conn: ConnId,
    nonce: [u8; 32],
    epoch: u32,
}

fn key_of(n: u32) -> SigningKey {
    let mut secret = [9; 32];
    secret[..4].copy_from_slice(&n.to_le_bytes());
    SigningKey::from_bytes(&secret)
}

fn peer_id(n: u32) -> PeerId {
    PeerId(key_of(n).verifying_key().to_bytes())
}

fn content(n: u32) -> ContentId {
    let mut content = [3; 32];
    content[..4].copy_from_slice(&n.to_le_bytes());
    ContentId(content)
}

/// Connects from a network and proves key `n`.
fn join(place: &mut Place, n: u32, owner: u64) -> Peer {
    let (conn, nonce) = place.open();
    place.input(TrackerInput::Owner { conn, owner });
    let signature = key_of(n).sign(&hello_payload(&nonce, &id(RELAY_KEY), AUTHORITY)).to_bytes();
    let (version, authority) = (PROTOCOL_VERSION, AUTHORITY.to_owned());
    place.say(conn, &ToRelay::Hello { version, peer: peer_id(n), signature, authority });
    place.read(conn);
    Peer { n, conn, nonce, epoch: 0 }
}

/// Peers from a network each that hold all of a content.
fn holders(place: &mut Place, count: u32, of: ContentId) -> Vec<Peer> {
    (0..count)
        .map(|n| {
            let peer = join(place, 10_000 + n, 10_000 + u64::from(n));
            place.announce(peer.conn, of, 1000, 0);
            peer
        })
        .collect()
}

/// The relay's own node, which holds these.
fn relays_node(place: &mut Place, contents: &[ContentId]) -> ConnId {
    let relay = place.join(RELAY_KEY);
    contents.iter().for_each(|content| place.announce(relay, *content, 1000, 0));
    relay
}

/// A newcomer from a network of its own that wants a content: whom it is told of.
fn newcomer(place: &mut Place, n: u32, of: ContentId) -> Vec<PeerId> {
    let peer = join(place, n, 1_000_000 + u64::from(n));
    place.announce(peer.conn, of, 0, 8);
    let told = told(place, &peer);
    place.leave(peer.conn);
    told
}

/// Whom a peer was told of since it was last asked; other frames are passed over.
fn told(place: &mut Place, peer: &Peer) -> Vec<PeerId> {
    let frames = place.read(peer.conn).into_iter();
    frames
        .filter_map(|frame| match frame {
            FromRelay::Introduce { peer, .. } => Some(peer),
            _ => None,
        })
        .collect()
}

/// Asks again and again for so many seconds, a few times a second, whatever it is told: the distinct peers it learned of.
fn listens(place: &mut Place, peer: &Peer, of: ContentId, seconds: u64) -> BTreeSet<PeerId> {
    let mut learned = BTreeSet::new();
    for _ in 0..seconds * 4 {
        (0..3).for_each(|_| place.announce(peer.conn, of, 0, 255));
        learned.extend(told(place, peer));
        place.pass(250);
    }
    learned
}

fn receipt(peer: &mut Peer, sender: PeerId, of: ContentId, bytes: u64, bytes_per_s: u32) -> ToRelay {
    peer.epoch += 1;
    let mut receipt =
        Receipt { sender, content: of, bytes, bytes_per_s, epoch: peer.epoch, signature: [0; 64] };
    receipt.signature = key_of(peer.n).sign(&receipt.payload(&peer.nonce)).to_bytes();
    ToRelay::Receipt(receipt)
}
