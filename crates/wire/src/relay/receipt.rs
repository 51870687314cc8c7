use crate::{ContentId, PeerId, Writer};

/// "So much of this content came from this peer, verified": signed by the receiver, who is whoever's key verifies it.
///
/// What is signed names the connection to the relay by its challenge, so a receipt is worth nothing anywhere else or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who sent it.
    pub sender: PeerId,
    /// Which content.
    pub content: ContentId,
    /// Verified payload bytes since the last receipt about this sender and content.
    pub bytes: u64,
    /// The rate of the channel as perceived, in bytes a second; 0 when it is not known.
    pub bytes_per_s: u32,
    /// Larger with every receipt of a connection.
    pub epoch: u32,
    /// Ed25519 signature of [`Receipt::payload`].
    pub signature: [u8; 64],
}

pub(super) const RECEIPT: u8 = 0x12;

impl Receipt {
    /// The bytes that the receiver signs, for the connection that was opened with this challenge.
    pub fn payload(&self, nonce: &[u8; 32]) -> Vec<u8> {
        [b"peeredge bytes v1".as_slice(), nonce, &self.signed().finish()].concat()
    }

    /// The frame up to the signature.
    pub(super) fn signed(&self) -> Writer {
        Writer::new(RECEIPT, 145)
            .raw(&self.sender.0)
            .raw(&self.content.0)
            .u64(self.bytes)
            .u32(self.bytes_per_s)
            .u32(self.epoch)
    }
}
