//! What a worker signs for: this task, this input, this output, this much gas, in this lease, and no other.

use crate::{End, Outcome};
use core::fmt;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use peeredge_wire::PeerId;
use peeredge_wire::relay::Blob;

/// Where a task ended and what it cost: what voters must agree on, both or nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    /// BLAKE3, with the context `peeredge answer v1`, of how the task ended and of BLAKE3 of its output.
    pub digest: [u8; 32],
    /// Gas used.
    pub gas: u64,
}

impl Answer {
    /// The answer that a run came to; none when it says nothing about the task.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        Answer::parts(outcome.end as u8, &outcome.output, outcome.gas)
    }

    /// The same from an outcome's parts, as they come over the wire; none when there is no such end.
    pub fn parts(end: u8, output: &[u8], gas: u64) -> Option<Self> {
        Answer::of_hash(end, blake3::hash(output).as_bytes(), gas)
    }

    /// The same from BLAKE3 of the output, for outputs that are elsewhere.
    pub fn of_hash(end: u8, output_hash: &[u8; 32], gas: u64) -> Option<Self> {
        let end = End::from_number(end).filter(|end| end.is_of_task())?;
        let mut hasher = blake3::Hasher::new_derive_key("peeredge answer v1");
        hasher.update(&[end as u8]).update(output_hash);
        Some(Answer { digest: *hasher.finalize().as_bytes(), gas })
    }
}

/// What receipts name as the input: BLAKE3 of the bytes, or the content's id, which is a hash of them, too.
pub fn name_of_input(input: &Blob) -> [u8; 32] {
    match input {
        Blob::Inline(bytes) => *blake3::hash(bytes).as_bytes(),
        Blob::Content(id) => id.0,
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.digest;
        write!(f, "Answer({a:02x}{b:02x}{c:02x}{d:02x}…, {} gas)", self.gas)
    }
}

/// What a worker states. The lease makes it good for one time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The relay's number of the lease under which the task ran.
    pub lease: u64,
    /// The module: its content id, which is a hash.
    pub module: [u8; 32],
    /// The input: its content id, or BLAKE3 of its bytes where they go through the relay.
    pub input: [u8; 32],
    /// Who ran it.
    pub worker: PeerId,
    /// What came out.
    pub answer: Answer,
}

impl Claim {
    fn bytes(&self) -> Vec<u8> {
        let Claim { lease, module, input, worker, answer } = self;
        [
            b"peeredge receipt v1".as_slice(),
            &lease.to_le_bytes(),
            module,
            input,
            &worker.0,
            &answer.digest,
            &answer.gas.to_le_bytes(),
        ]
        .concat()
    }

    /// What a worker sends before anything is revealed: bound to its claim, its key within, and unguessable by `nonce`.
    pub fn commitment(&self, nonce: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(nonce, &self.bytes()).as_bytes()
    }

    /// A nonce for the commitment that only the worker can know, without a source of chance: it follows from its secret key.
    pub fn nonce(&self, secret_key: &[u8; 32]) -> [u8; 32] {
        let key = blake3::derive_key("peeredge commitment nonce v1", secret_key);
        *blake3::keyed_hash(&key, &self.bytes()).as_bytes()
    }

    /// The claim with its worker's signature. The key must be the worker's own, or nobody takes the receipt.
    pub fn sign(self, key: &SigningKey) -> Receipt {
        Receipt { signature: key.sign(&self.bytes()).to_bytes(), claim: self }
    }
}

/// A claim and its worker's Ed25519 signature (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What is stated.
    pub claim: Claim,
    /// Signature of the claim.
    pub signature: [u8; 64],
}

/// Why a receipt is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptError {
    /// The signature is not the worker's.
    Signature,
    /// It was made for another lease: an old receipt, or somebody else's.
    Lease {
        /// The lease that it names.
        named: u64,
        /// The lease under which it was handed in.
        expected: u64,
    },
    /// It names another module or input.
    Task,
    /// It names another worker.
    Worker,
    /// It is not what the worker committed to.
    Commitment,
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiptError::Signature => f.write_str("the signature is not the worker's"),
            ReceiptError::Lease { named, expected } => {
                write!(f, "made for lease {named}, handed in for {expected}")
            }
            ReceiptError::Task => f.write_str("names another module or input"),
            ReceiptError::Worker => f.write_str("names another worker"),
            ReceiptError::Commitment => f.write_str("not what the worker committed to"),
        }
    }
}

impl core::error::Error for ReceiptError {}

impl Receipt {
    /// The claim, if its worker signed it.
    pub fn verify(&self) -> Result<Claim, ReceiptError> {
        VerifyingKey::from_bytes(&self.claim.worker.0)
            .and_then(|key| key.verify_strict(&self.claim.bytes(), &Signature::from_bytes(&self.signature)))
            .map(|()| self.claim)
            .map_err(|_| ReceiptError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn done(output: &[u8], gas: u64) -> Answer {
        Answer::of(&Outcome { end: End::Done, output: output.to_vec(), gas }).expect("done is of the task")
    }

    fn claim(worker: &SigningKey) -> Claim {
        Claim {
            lease: 7,
            module: [1; 32],
            input: [2; 32],
            worker: PeerId(worker.verifying_key().to_bytes()),
            answer: done(b"out", 99),
        }
    }

    #[test]
    fn a_receipt_is_good_only_as_its_worker_signed_it() {
        let receipt = claim(&key(1)).sign(&key(1));
        assert_eq!(receipt.verify(), Ok(receipt.claim));
        let changes: [fn(&mut Receipt); 6] = [
            |r| r.claim.lease += 1,
            |r| r.claim.module[0] ^= 1,
            |r| r.claim.input[0] ^= 1,
            |r| r.claim.answer.digest[0] ^= 1,
            |r| r.claim.answer.gas += 1,
            |r| r.signature[5] ^= 1,
        ];
        for change in changes {
            let mut changed = receipt;
            change(&mut changed);
            assert_eq!(changed.verify(), Err(ReceiptError::Signature));
        }
        assert_eq!(claim(&key(1)).sign(&key(2)).verify(), Err(ReceiptError::Signature));
    }

    #[test]
    fn a_commitment_hides_and_binds_and_is_nobody_elses() {
        let mine = claim(&key(1));
        let commitment = mine.commitment(&[9; 32]);
        assert_ne!(commitment, mine.commitment(&[8; 32]));
        assert_ne!(commitment, Claim { answer: done(b"other", 99), ..mine }.commitment(&[9; 32]));
        assert_ne!(commitment, claim(&key(2)).commitment(&[9; 32]));
    }

    #[test]
    fn a_trap_is_an_answer_that_no_output_has_and_a_hosts_trouble_is_none() {
        let trap = Answer::of(&Outcome::without_output(End::Trap, 5));
        assert_ne!(trap, None);
        assert_ne!(trap, Answer::of(&Outcome::without_output(End::Stack, 5)));
        assert_ne!(trap, Some(done(b"", 5)));
        assert_eq!(Answer::of(&Outcome::without_output(End::Memory, 5)), None);
    }
}
