use peeredge_wire::DecodeError;

/// Bytes of a page of WebAssembly's memory.
pub const PAGE_BYTES: usize = 65_536;
/// First bytes of every checkpoint: a name, and a version.
const HEAD: [u8; 5] = *b"PEHC\x01";
/// Most globals that a task that moves may change. A checkpoint says how many it has.
pub const CHECKPOINT_GLOBALS_MAX: usize = 4_096;

/// All that a task is between two of its steps: any host can go on from it, and two honest hosts have the same one after the
/// same step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps made.
    pub steps: u32,
    /// Gas used by them.
    pub gas: u64,
    /// The mutable globals in the order of the rewritten module's exports; 32-bit ones are zero-extended.
    pub globals: Vec<u64>,
    /// The memory, whole pages.
    pub memory: Vec<u8>,
}

impl Checkpoint {
    /// The canonical bytes: head, steps, gas, number of globals, globals, number of pages; then for each page a byte that
    /// says whether it holds anything but zeros, and its bytes if so. Numbers are little-endian.
    ///
    /// # Panics
    /// When the memory is not whole pages.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.memory.len().is_multiple_of(PAGE_BYTES), "a memory is whole pages");
        let mut bytes = Vec::with_capacity(64 + self.globals.len() * 8 + self.memory.len());
        bytes.extend_from_slice(&HEAD);
        bytes.extend_from_slice(&self.steps.to_le_bytes());
        bytes.extend_from_slice(&self.gas.to_le_bytes());
        bytes.extend_from_slice(&(self.globals.len() as u32).to_le_bytes());
        for global in &self.globals {
            bytes.extend_from_slice(&global.to_le_bytes());
        }
        bytes.extend_from_slice(&((self.memory.len() / PAGE_BYTES) as u32).to_le_bytes());
        for page in self.memory.chunks_exact(PAGE_BYTES) {
            let is_used = page.iter().any(|byte| *byte != 0);
            bytes.push(u8::from(is_used));
            if is_used {
                bytes.extend_from_slice(page);
            }
        }
        bytes
    }

    /// The checkpoint that these bytes are, if its memory has at most `pages_max` pages.
    ///
    /// # Errors
    /// When the bytes are not canonical. Nothing beyond `pages_max` pages is ever allocated.
    pub fn decode(bytes: &[u8], pages_max: u32) -> Result<Self, DecodeError> {
        let mut reader = peeredge_wire::Reader::new(bytes);
        if reader.raw(HEAD.len())? != HEAD {
            return Err(DecodeError::Value { field: "head" });
        }
        let steps = reader.u32()?;
        let gas = reader.u64()?;
        let count = reader.u32()? as usize;
        if count > CHECKPOINT_GLOBALS_MAX {
            return Err(DecodeError::TooLong { field: "globals", max: CHECKPOINT_GLOBALS_MAX });
        }
        let globals = (0..count).map(|_| reader.u64()).collect::<Result<_, _>>()?;
        let pages = reader.u32()?;
        if pages > pages_max {
            return Err(DecodeError::TooLong { field: "pages", max: pages_max as usize });
        }
        // Each page has a byte of its own, so a short frame cannot ask for much.
        if (pages as usize) > reader.left() {
            return Err(DecodeError::Short { needed: pages as usize, left: reader.left() });
        }
        let mut memory = vec![0; pages as usize * PAGE_BYTES];
        for page in memory.chunks_exact_mut(PAGE_BYTES) {
            match reader.u8()? {
                0 => {}
                1 => {
                    page.copy_from_slice(reader.raw(PAGE_BYTES)?);
                    // One state has one form, else its hash would not be its name.
                    if page.iter().all(|byte| *byte == 0) {
                        return Err(DecodeError::Value { field: "page" });
                    }
                }
                _ => return Err(DecodeError::Value { field: "page" }),
            }
        }
        reader.end()?;
        Ok(Checkpoint { steps, gas, globals, memory })
    }

    /// The name of this state: the [`hash`] of [`Checkpoint::encode`].
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.encode())
    }
}

/// BLAKE3, by which tasks, inputs, outputs and checkpoints are named.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let mut memory = vec![0; 3 * PAGE_BYTES];
        memory[PAGE_BYTES + 7] = 9;
        Checkpoint { steps: 4, gas: 1 << 40, globals: vec![1_048_576, u64::MAX], memory }
    }

    #[test]
    fn a_checkpoint_comes_back_and_empty_pages_cost_a_byte() {
        let checkpoint = sample();
        let bytes = checkpoint.encode();
        assert_eq!(bytes.len(), 5 + 4 + 8 + 4 + 16 + 4 + 3 + PAGE_BYTES);
        assert_eq!(Checkpoint::decode(&bytes, 3), Ok(checkpoint));
    }

    #[test]
    fn a_checkpoint_has_one_form() {
        let mut bytes = sample().encode();
        assert_eq!(Checkpoint::decode(&bytes, 2), Err(DecodeError::TooLong { field: "pages", max: 2 }));
        let dirty = bytes.len() - 1 - PAGE_BYTES + 7;
        assert_eq!(bytes[dirty], 9);
        bytes[dirty] = 0;
        assert_eq!(Checkpoint::decode(&bytes, 3), Err(DecodeError::Value { field: "page" }));
        for len in 0..60 {
            assert!(Checkpoint::decode(&bytes[..len], 3).is_err());
        }
    }
}
