use crate::bitmap::Bitmap;
use crate::layout::Layout;
use crate::manifest::Record;
use crate::source::SourceId;
use peeredge_code::{CodedId, DecodeError, Decoder, Encoder, Encoding, Geometry, Step};
use std::collections::BTreeMap;

/// One block while it is being received. Source symbols are verified as they arrive; coded symbols wait in quarantine,
/// with their sender's name on them, until the block is whole and each can be made again and compared.
///
/// Memory: the block once, once more while coded symbols are about, and the quarantined symbols themselves, once.
#[derive(Debug)]
pub struct Assembly {
    geometry: Geometry,
    record: Record,
    bytes: Vec<u8>,
    have: Bitmap,
    /// Who sent each coded symbol. Its bytes wait in the decoder.
    senders: BTreeMap<CodedId, SourceId>,
    decoder: Option<Box<Decoder>>,
    /// Coded symbols that the decoder gave back, to be compared with the right ones.
    evidence: Vec<(CodedId, Vec<u8>)>,
    judging: Option<Judging>,
    polluters: Vec<Polluter>,
    /// Set when a decode met no hashes: from then on only source symbols are asked for, which always makes progress.
    sources_only: bool,
}

/// How far the making again of coded symbols has come.
#[derive(Debug)]
enum Judging {
    /// The block's parity is being made.
    Parity(Box<Encoding>),
    /// The parity; what is left of the evidence is compared.
    Compare(Vec<u8>),
}

/// What came of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was new.
    New,
    /// It was there already.
    Duplicate,
    /// It contradicts the manifest: a source symbol that does not hash to its record's entry, or one of the wrong size.
    Contradicts,
}

/// A sender of a coded symbol that the right block does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Polluter {
    /// Who sent it.
    pub sender: SourceId,
    /// Which symbol it claimed to be.
    pub id: CodedId,
}

/// What decoding came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// More symbols are needed.
    NotYet,
    /// The step's budget is used up: call again.
    Working,
    /// These source symbols became known and met their hashes. The block may be whole now.
    Recovered(Vec<u32>),
    /// Some symbols met no hash: coded symbols of this block were wrong. What met its hash was kept; the rest must be asked
    /// as source symbols.
    Polluted(Vec<u32>),
}

impl Assembly {
    /// An empty block; none when the layout has no such block.
    pub fn new(layout: &Layout, block: u32, record: Record) -> Option<Self> {
        let geometry = layout.geometry(block)?;
        Some(Assembly {
            geometry,
            record,
            bytes: vec![0; geometry.block_len() as usize],
            have: Bitmap::new(geometry.source_symbols()),
            senders: BTreeMap::new(),
            decoder: None,
            evidence: Vec::new(),
            judging: None,
            polluters: Vec::new(),
            sources_only: false,
        })
    }

    /// Source symbols that are verified.
    pub fn have(&self) -> &Bitmap {
        &self.have
    }

    /// The block's bytes; only those of verified symbols mean anything.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The block's record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// A verified source symbol.
    pub fn symbol(&self, index: u32) -> Option<&[u8]> {
        self.have.contains(index).then(|| &self.bytes[self.geometry.symbol_range(index)])
    }

    /// Coded symbols in quarantine.
    pub fn quarantined(&self) -> u32 {
        self.senders.len() as u32
    }

    /// Whether coded symbols may be asked for.
    pub fn takes_coded(&self) -> bool {
        !self.sources_only && !self.have.is_full()
    }

    /// Takes a source symbol.
    pub fn add_source(&mut self, index: u32, payload: &[u8]) -> Added {
        if self.have.contains(index) {
            return Added::Duplicate;
        }
        if !self.record.verifies(index, payload) {
            return Added::Contradicts;
        }
        let range = self.geometry.symbol_range(index);
        if range.len() != payload.len() {
            return Added::Contradicts;
        }
        self.bytes[range].copy_from_slice(payload);
        self.have.insert(index);
        if let Some(decoder) = &mut self.decoder {
            // The decoder refuses only what the checks above have refused already.
            let _ = decoder.add_source(index, payload);
        }
        Added::New
    }

    /// Takes a coded symbol into quarantine.
    pub fn add_coded(&mut self, sender: SourceId, id: CodedId, payload: &[u8]) -> Added {
        if !id.is_valid() || payload.len() != self.geometry.symbol_len() as usize {
            return Added::Contradicts;
        }
        if !self.takes_coded() {
            return Added::Duplicate;
        }
        match self.decoder().add_coded_owned(id, payload.to_vec()) {
            Ok(true) => {
                self.senders.insert(id, sender);
                Added::New
            }
            // A full decoder is not the sender's fault: the symbol is simply not kept.
            Ok(false) | Err(DecodeError::Full { .. }) => Added::Duplicate,
            Err(_) => Added::Contradicts,
        }
    }

    /// Seeds worth asking for now, beside those `asked` already; none when coded symbols may not be asked for.
    pub fn propose(&mut self, asked: &[CodedId], count: u32, salt: u64) -> Vec<CodedId> {
        if !self.takes_coded() || count == 0 {
            return Vec::new();
        }
        self.decoder().propose_beside(asked, count, salt)
    }

    /// How many further symbols, of either kind, would very probably complete the block.
    pub fn symbols_wanted(&self) -> u32 {
        match &self.decoder {
            Some(decoder) if self.takes_coded() => decoder.coded_wanted(),
            _ => self.have.len() - self.have.count(),
        }
    }

    fn decoder(&mut self) -> &mut Decoder {
        self.decoder.get_or_insert_with(|| {
            let mut decoder = Decoder::new(self.geometry);
            for index in self.have.iter() {
                let _ = decoder.add_source(index, &self.bytes[self.geometry.symbol_range(index)]);
            }
            Box::new(decoder)
        })
    }

    /// Decodes for a while, about `budget_bytes` of XORed bytes; once the block is whole, makes coded symbols again instead,
    /// until all are judged. Cheap when nothing is in quarantine.
    pub fn decode(&mut self, budget_bytes: usize) -> Decoded {
        if self.have.is_full() {
            return if self.is_judged() { Decoded::NotYet } else { self.judge(budget_bytes) };
        }
        if self.senders.is_empty() || !self.takes_coded() {
            return Decoded::NotYet;
        }
        let step = match &mut self.decoder {
            Some(decoder) => decoder.step(budget_bytes),
            None => return Decoded::NotYet,
        };
        match step {
            Step::NeedMore { .. } => Decoded::NotYet,
            Step::Working => Decoded::Working,
            Step::Done => self.take_decoded(),
        }
    }

    fn take_decoded(&mut self) -> Decoded {
        let Some(mut decoder) = self.decoder.take() else { return Decoded::NotYet };
        self.evidence = decoder.take_owned();
        let missing: Vec<u32> =
            (0..self.geometry.source_symbols()).filter(|&i| !self.have.contains(i)).collect();
        let (mut recovered, mut clean) = (Vec::new(), true);
        for index in missing {
            match decoder.symbol(index) {
                Some(symbol) if self.record.verifies(index, symbol) => {
                    self.bytes[self.geometry.symbol_range(index)].copy_from_slice(symbol);
                    self.have.insert(index);
                    recovered.push(index);
                }
                _ => clean = false,
            }
        }
        if clean {
            Decoded::Recovered(recovered)
        } else {
            self.sources_only = true;
            Decoded::Polluted(recovered)
        }
    }

    /// Whether nothing is left in quarantine that could be judged: true of a whole block whose coded symbols were all made again
    /// and compared.
    pub fn is_judged(&self) -> bool {
        self.senders.is_empty()
    }

    /// Those who sent something else than the right coded symbols, each once; known when the block is judged.
    pub fn polluters(&self) -> &[Polluter] {
        &self.polluters
    }

    /// Goes on making every quarantined symbol again. The quarantine is empty at the end.
    fn judge(&mut self, budget_bytes: usize) -> Decoded {
        if let Some(mut decoder) = self.decoder.take() {
            self.evidence = decoder.take_owned();
        }
        let judging = match self.judging.take() {
            Some(judging) => judging,
            None => match Encoding::new(self.geometry, &[]) {
                Ok(encoding) => Judging::Parity(Box::new(encoding)),
                Err(_) => return self.judged(),
            },
        };
        let parity = match judging {
            Judging::Compare(parity) => parity,
            Judging::Parity(mut encoding) => match encoding.step(&self.bytes, &mut [], budget_bytes) {
                Ok(false) => {
                    self.judging = Some(Judging::Parity(encoding));
                    return Decoded::Working;
                }
                _ => encoding.into_parity().unwrap_or_default(),
            },
        };
        let Ok(encoder) = Encoder::with_parity(self.geometry, &self.bytes, &parity) else {
            return self.judged();
        };
        let mut again = vec![0; self.geometry.symbol_len() as usize];
        let mut done = 0;
        while let Some((id, payload)) = self.evidence.pop() {
            if encoder.write_coded(id, &mut again).is_ok()
                && again != payload
                && let Some(&sender) = self.senders.get(&id)
            {
                self.polluters.push(Polluter { sender, id });
            }
            // A coded symbol sums about ten others.
            done += 10 * payload.len();
            if done >= budget_bytes && !self.evidence.is_empty() {
                self.judging = Some(Judging::Compare(parity));
                return Decoded::Working;
            }
        }
        self.judged()
    }

    fn judged(&mut self) -> Decoded {
        self.senders.clear();
        self.evidence.clear();
        for found in core::mem::take(&mut self.polluters) {
            if self.polluters.iter().all(|p| p.sender != found.sender) {
                self.polluters.push(found);
            }
        }
        Decoded::Recovered(Vec::new())
    }

    /// The whole block; none while symbols are missing.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.have.is_full().then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests;
