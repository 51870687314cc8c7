//! The others, each used the way its documentation shows, in its fastest form.

use crate::{Codec, Input, Work};
use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, SourceBlockDecoder, SourceBlockEncoder,
    SourceBlockEncodingPlan,
};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

/// raptorq: RFC 6330. Its encoding plan, which depends on K alone, is made beforehand.
pub struct RaptorQ {
    input: Input,
    config: ObjectTransmissionInformation,
    plan: Option<SourceBlockEncodingPlan>,
    sources: Vec<EncodingPacket>,
    repair: Vec<EncodingPacket>,
    next: Vec<EncodingPacket>,
    made: usize,
    block: Vec<u8>,
}

impl RaptorQ {
    /// Makes the packets that the runs need.
    pub fn new(input: Input) -> Self {
        let (k, t) = (input.k, input.t);
        // It takes 56,403 symbols at most, and panics beyond.
        let config = ObjectTransmissionInformation::new((k.min(56_403) * t) as u64, t as u16, 1, 1, 1);
        let supported = k <= 56_403;
        let mut all = Self {
            plan: supported.then(|| SourceBlockEncodingPlan::generate(k as u16)),
            config,
            sources: Vec::new(),
            repair: Vec::new(),
            next: Vec::new(),
            made: 0,
            block: Vec::new(),
            input,
        };
        if let Some(plan) = &all.plan {
            let encoder = SourceBlockEncoder::with_encoding_plan(0, &all.config, &all.input.block, plan);
            let sources = encoder.source_packets().into_iter().enumerate();
            all.sources = sources.filter(|(i, _)| !all.input.missing[*i]).map(|(_, p)| p).collect();
            all.repair = encoder.repair_packets(0, (k + 8) as u32);
        }
        all
    }
}

impl Codec for RaptorQ {
    fn name(&self) -> &'static str {
        "raptorq"
    }

    fn can(&self, _: Work) -> bool {
        self.plan.is_some()
    }

    fn prepare(&mut self, work: Work) {
        self.block = Vec::new();
        self.made = 0;
        self.next = match work {
            Work::Encode => Vec::new(),
            Work::Decode20 => [&self.sources[..], &self.repair[..self.input.repair + 4]].concat(),
            Work::DecodeAll => self.repair.clone(),
        };
    }

    fn run(&mut self, work: Work) {
        match work {
            Work::Encode => {
                let plan = self.plan.as_ref().expect("can() said so");
                let encoder =
                    SourceBlockEncoder::with_encoding_plan(0, &self.config, &self.input.block, plan);
                let packets = encoder.repair_packets(0, self.input.repair as u32);
                self.made = std::hint::black_box(packets).len();
            }
            Work::Decode20 | Work::DecodeAll => {
                let mut decoder = SourceBlockDecoder::new(0, &self.config, self.input.block.len() as u64);
                let mut packets = std::mem::take(&mut self.next).into_iter();
                let mut result = decoder.decode(packets.by_ref().take(self.input.k));
                while result.is_none() {
                    result = decoder.decode(packets.next());
                }
                self.block = result.expect("left the loop");
            }
        }
    }

    fn check(&self, work: Work) -> bool {
        match work {
            Work::Encode => self.made == self.input.repair,
            Work::Decode20 | Work::DecodeAll => self.block == self.input.block,
        }
    }
}

/// reed-solomon-simd: Leopard's algorithm over GF(2^16).
pub struct RsSimd {
    input: Input,
    repair: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
    made: Vec<u8>,
    block: Vec<u8>,
}

impl RsSimd {
    /// Makes the shards that the runs need.
    pub fn new(input: Input) -> Self {
        let make = |n: usize| {
            if !ReedSolomonEncoder::supports(input.k, n) {
                return Vec::new();
            }
            let mut encoder = ReedSolomonEncoder::new(input.k, n, input.t).expect("supported");
            (0..input.k).for_each(|i| encoder.add_original_shard(input.symbol(i)).expect("in range"));
            encoder.encode().expect("all were given").recovery_iter().map(<[u8]>::to_vec).collect()
        };
        let (repair, all) = (make(input.repair), make(input.k));
        Self { repair, all, encoder: None, decoder: None, made: Vec::new(), block: Vec::new(), input }
    }
}

impl Codec for RsSimd {
    fn name(&self) -> &'static str {
        "rs-simd"
    }

    fn can(&self, work: Work) -> bool {
        match work {
            Work::Encode | Work::Decode20 => !self.repair.is_empty(),
            Work::DecodeAll => !self.all.is_empty(),
        }
    }

    fn prepare(&mut self, work: Work) {
        let (k, t) = (self.input.k, self.input.t);
        self.made = Vec::new();
        // Codecs are kept from run to run, as its documentation advises: their memory is warm.
        match work {
            Work::Encode => {
                let new = || ReedSolomonEncoder::new(k, self.input.repair, t).expect("supported");
                self.encoder.get_or_insert_with(new);
            }
            Work::Decode20 | Work::DecodeAll => {
                self.block.resize(k * t, 0);
                self.block.fill(0);
                let n = if work == Work::Decode20 { self.repair.len() } else { self.all.len() };
                let decoder =
                    self.decoder.get_or_insert_with(|| ReedSolomonDecoder::new(k, n, t).expect("supported"));
                decoder.reset(k, n, t).expect("supported");
            }
        }
    }

    fn run(&mut self, work: Work) {
        let (k, t) = (self.input.k, self.input.t);
        match work {
            Work::Encode => {
                let encoder = self.encoder.as_mut().expect("prepared");
                (0..k).for_each(|i| encoder.add_original_shard(self.input.symbol(i)).expect("in range"));
                let result = encoder.encode().expect("all were given");
                self.made = std::hint::black_box(result.recovery_iter().last()).unwrap_or(&[]).to_vec();
            }
            Work::Decode20 | Work::DecodeAll => {
                let decoder = self.decoder.as_mut().expect("prepared");
                let shards = if work == Work::Decode20 { &self.repair } else { &self.all };
                if work == Work::Decode20 {
                    for i in (0..k).filter(|&i| !self.input.missing[i]) {
                        decoder.add_original_shard(i, self.input.symbol(i)).expect("in range");
                        self.block[i * t..][..t].copy_from_slice(self.input.symbol(i));
                    }
                }
                for (i, shard) in shards.iter().enumerate() {
                    decoder.add_recovery_shard(i, shard).expect("in range");
                }
                let result = decoder.decode().expect("enough were given");
                for (i, symbol) in result.restored_original_iter() {
                    self.block[i * t..][..t].copy_from_slice(symbol);
                }
            }
        }
    }

    fn check(&self, work: Work) -> bool {
        match work {
            Work::Encode => self.repair.last().is_some_and(|last| *last == self.made),
            Work::Decode20 | Work::DecodeAll => self.block == self.input.block,
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use erasure::RsErasure;

#[cfg(not(target_arch = "wasm32"))]
mod erasure {
    use crate::{Codec, Input, Work};
    use reed_solomon_erasure::galois_8::ReedSolomon;

    /// reed-solomon-erasure: a matrix over GF(256), so at most 256 symbols in all.
    pub struct RsErasure {
        input: Input,
        codec: ReedSolomon,
        shards: Vec<Vec<u8>>,
        next: Vec<Option<Vec<u8>>>,
        parity: Vec<Vec<u8>>,
    }

    impl RsErasure {
        /// None when the block has too many symbols.
        pub fn new(input: Input) -> Option<Self> {
            let codec = ReedSolomon::new(input.k, input.repair).ok()?;
            let mut shards: Vec<Vec<u8>> = (0..input.k).map(|i| input.symbol(i).to_vec()).collect();
            shards.resize(input.k + input.repair, vec![0; input.t]);
            codec.encode(&mut shards).ok()?;
            let parity = vec![vec![0; input.t]; input.repair];
            Some(Self { input, codec, shards, next: Vec::new(), parity })
        }
    }

    impl Codec for RsErasure {
        fn name(&self) -> &'static str {
            "rs-erasure"
        }

        fn can(&self, work: Work) -> bool {
            work != Work::DecodeAll
        }

        fn prepare(&mut self, work: Work) {
            if work == Work::Decode20 {
                let lost = |i: usize| i < self.input.k && self.input.missing[i];
                self.next =
                    self.shards.iter().enumerate().map(|(i, s)| (!lost(i)).then(|| s.clone())).collect();
            }
        }

        fn run(&mut self, work: Work) {
            match work {
                Work::Encode => {
                    let sources: Vec<&[u8]> = (0..self.input.k).map(|i| self.input.symbol(i)).collect();
                    self.codec.encode_sep(&sources, &mut self.parity).expect("the shapes fit");
                }
                _ => self.codec.reconstruct_data(&mut self.next).expect("enough were given"),
            }
        }

        fn check(&self, work: Work) -> bool {
            match work {
                Work::Encode => self.parity[..] == self.shards[self.input.k..],
                _ => (0..self.input.k).all(|i| self.next[i].as_deref() == Some(self.input.symbol(i))),
            }
        }
    }
}
