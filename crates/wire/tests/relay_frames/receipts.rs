//! What peers say of what others give.

use super::{CONTENT, PEER, to_relay};
use crate::support::{bytes, hex};
use peeredge_wire::relay::{Receipt, ToRelay};

const RECEIPT: Receipt = Receipt {
    sender: PEER,
    content: CONTENT,
    bytes: 0x0102,
    bytes_per_s: 3,
    epoch: 4,
    signature: [0x55; 64],
};

#[test]
fn capacity() {
    to_relay(
        ToRelay::Capacity { up_bytes_per_s: 0x0102, cost_class: 3 },
        "10                 # tag
         0201000000000000   # up_bytes_per_s
         03                 # cost_class",
    );
}

#[test]
fn met() {
    to_relay(
        ToRelay::Met { peer: PEER, opened_after_ms: Some(258) },
        "11         # tag
         aa*32      # peer
         02010000   # opened_after_ms",
    );
    to_relay(
        ToRelay::Met { peer: PEER, opened_after_ms: None },
        "11         # tag
         aa*32      # peer
         ffffffff   # never",
    );
}

#[test]
fn receipt() {
    to_relay(
        ToRelay::Receipt(RECEIPT),
        "12                 # tag
         aa*32              # sender
         cc*32              # content
         0201000000000000   # bytes
         03000000           # bytes_per_s
         04000000           # epoch
         55*64              # signature",
    );
}

#[test]
fn what_a_receipt_signs() {
    let expected = "7065657265646765 206279746573 207631   # 'peeredge bytes v1'
         22*32                                             # the challenge of the connection
         12 aa*32 cc*32 0201000000000000 03000000 04000000 # the frame up to the signature";
    assert_eq!(hex(&RECEIPT.payload(&[0x22; 32])), hex(&bytes(expected)));
}
