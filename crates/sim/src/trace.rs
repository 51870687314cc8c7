use peeredge_wire::Time;

/// A running hash of all that happens: two runs with one hash went the same way.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    pub(crate) events: u64,
}

/// Bytes of a payload that go into the hash beside its length: headers and markers lie within, and contents are
/// compared byte by byte elsewhere.
const PAYLOAD_BYTES: usize = 64;

impl Trace {
    pub(crate) fn event(&mut self, now: Time, kind: &str, numbers: &[u64], payload: &[u8]) {
        self.events += 1;
        self.hasher.update(&now.as_micros().to_le_bytes());
        self.hasher.update(&[kind.len() as u8]);
        self.hasher.update(kind.as_bytes());
        for number in numbers {
            self.hasher.update(&number.to_le_bytes());
        }
        self.hasher.update(&(payload.len() as u64).to_le_bytes());
        self.hasher.update(&payload[..payload.len().min(PAYLOAD_BYTES)]);
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}
