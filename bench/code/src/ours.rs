//! PeerDTS's code, driven as a peer does: the receiver proposes the symbols, the sender makes them in one batch.

use crate::{Codec, Input, Work};
use peeredge_code::{CodedId, Decoder, Encoder, Geometry, Step};

/// The code with its inputs.
pub struct Ours {
    input: Input,
    geometry: Geometry,
    /// Proposed by a receiver that lacks a fifth, and by one that lacks everything; a few to spare at the end.
    repair_ids: Vec<CodedId>,
    all_ids: Vec<CodedId>,
    repair: Vec<u8>,
    all: Vec<u8>,
    /// Written by [`Work::Encode`].
    out: Vec<u8>,
    parity_len: usize,
    /// The coded symbols of the next run, each in its own memory as it would come from the network: raptorq's packets are
    /// given away likewise.
    next: Vec<Vec<u8>>,
    /// The decoded block, whose memory the next decoder uses.
    block: Vec<u8>,
    /// Coded symbols beyond the missing ones that the last decoding took.
    pub extra: usize,
}

const SPARE: usize = 8;

impl Ours {
    /// Makes every coded symbol that the runs need.
    pub fn new(input: Input) -> Self {
        let geometry =
            Geometry::new((input.k * input.t) as u64, input.t as u32).expect("the sizes are in range");
        let mut receiver = Decoder::new(geometry);
        let all_ids = receiver.propose((input.k + SPARE) as u32, 1);
        for i in (0..input.k).filter(|&i| !input.missing[i]) {
            receiver.add_source(i as u32, input.symbol(i)).expect("a symbol of the block");
        }
        let repair_ids = receiver.propose((input.repair + SPARE) as u32, 2);
        drop(receiver);
        let encoder = Encoder::new(geometry, &input.block).expect("the block fits");
        let make = |ids: &[CodedId]| {
            let mut out = vec![0; ids.len() * input.t];
            encoder.write_coded_batch(ids, &mut out).expect("proposed ids are valid");
            out
        };
        let (repair, all) = (make(&repair_ids), make(&all_ids));
        let parity_len = Encoder::parity_len(geometry);
        let out = vec![0; input.repair * input.t];
        Self {
            geometry,
            repair_ids,
            all_ids,
            repair,
            all,
            out,
            parity_len,
            next: Vec::new(),
            block: Vec::new(),
            extra: 0,
            input,
        }
    }

    /// Bytes that an encoder keeps beyond the block, over the block.
    pub fn memory_share(&self) -> f64 {
        self.parity_len as f64 / self.input.block.len() as f64
    }

    /// Symbols that the last [`Work::Encode`] left in `out` are those of the batch.
    fn repair_is_right(&self) -> bool {
        self.out[..] == self.repair[..self.out.len()]
    }

    fn decode(&mut self, with_sources: bool) {
        let mut decoder = Decoder::with_buffer(self.geometry, std::mem::take(&mut self.block));
        if with_sources {
            for i in (0..self.input.k).filter(|&i| !self.input.missing[i]) {
                decoder.add_source(i as u32, self.input.symbol(i)).expect("a symbol of the block");
            }
        }
        let ids = if with_sources { &self.repair_ids } else { &self.all_ids };
        let mut coded = ids.iter().zip(core::mem::take(&mut self.next));
        let missing = decoder.missing() as usize;
        let mut given = 0;
        loop {
            match decoder.step(usize::MAX) {
                Step::Done => break,
                Step::Working => {}
                Step::NeedMore { coded: n } => {
                    for (id, symbol) in coded.by_ref().take(n as usize) {
                        decoder.add_coded_owned(*id, symbol).expect("proposed ids are valid");
                        given += 1;
                    }
                }
            }
        }
        self.extra = given - missing;
        self.next = decoder.take_owned().into_iter().map(|(_, symbol)| symbol).collect();
        self.block = decoder.into_block().expect("done");
    }
}

impl Codec for Ours {
    fn name(&self) -> &'static str {
        "peeredge"
    }

    fn can(&self, _: Work) -> bool {
        true
    }

    fn prepare(&mut self, work: Work) {
        match work {
            Work::Encode => self.out.fill(0),
            Work::Decode20 | Work::DecodeAll => {
                self.block.fill(0);
                let symbols = if work == Work::Decode20 { &self.repair } else { &self.all };
                self.next = symbols.chunks_exact(self.input.t).map(<[u8]>::to_vec).collect();
            }
        }
    }

    fn run(&mut self, work: Work) {
        match work {
            Work::Encode => {
                let ids = &self.repair_ids[..self.input.repair];
                let encoder = Encoder::new_with_coded(self.geometry, &self.input.block, ids, &mut self.out);
                std::hint::black_box(encoder.expect("the block fits").parity());
            }
            Work::Decode20 => self.decode(true),
            Work::DecodeAll => self.decode(false),
        }
    }

    fn check(&self, work: Work) -> bool {
        match work {
            Work::Encode => self.repair_is_right(),
            Work::Decode20 | Work::DecodeAll => self.block == self.input.block,
        }
    }
}
