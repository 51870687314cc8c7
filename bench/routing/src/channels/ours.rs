//! The product's receiver: `dts` decides what is asked of whom, `routing` how much, and every symbol is real and verified.

use super::world::{Receiver, SYMBOL_BYTES, Symbol};
use core::time::Duration;
use peeredge_dts::{
    Bitmap, CodedId, Decoded, Encoder, Layout, Manifest, Need, Publisher, Received, Record, SourceId,
    Transfer,
};
use peeredge_routing::{Pipe, RateEstimator};
use peeredge_wire::Time;
use peeredge_wire::peer::{Marker, Pick};
use std::collections::{BTreeMap, BTreeSet};

/// Symbols are this long here, and 16 times as long on the links: hashing them is not what is measured.
const SYMBOL_LEN: u32 = 1024;
const SCALE: u64 = SYMBOL_BYTES as u64 / SYMBOL_LEN as u64;
/// As in the node.
const DEBTS_RUN_OUT: Duration = Duration::from_secs(12);
/// Symbols of a block.
const BLOCK_SYMBOLS: u32 = 128;

/// A content, published.
pub struct Content {
    layout: Layout,
    manifest: Manifest,
    records: Vec<u8>,
    data: Vec<u8>,
}

impl Content {
    /// Random bytes, this many symbols.
    pub fn new(symbols: usize) -> Self {
        let length = symbols as u64 * u64::from(SYMBOL_LEN);
        let layout = Layout::new(length, SYMBOL_LEN, BLOCK_SYMBOLS).expect("a valid layout");
        let data: Vec<u8> = (0..length).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        let mut publisher = Publisher::with_layout(layout, "", "");
        publisher.push(&data).expect("no more than was said");
        let published = publisher.finish().expect("no less than was said");
        let manifest = Manifest::decode(&published.content, &published.manifest).expect("its own manifest");
        Content { layout, manifest, records: publisher.take_records(), data }
    }

    fn block(&self, block: u32) -> &[u8] {
        let range = self.layout.block_range(block);
        &self.data[range.start as usize..range.end as usize]
    }
}

struct Link {
    source: SourceId,
    rate: RateEstimator,
    pipe: Pipe,
    owed: BTreeMap<Symbol, (u32, Marker)>,
}

/// The receiver.
pub struct Ours<'a> {
    content: &'a Content,
    transfer: Transfer,
    links: BTreeMap<usize, Link>,
    markers: Vec<(u32, Marker)>,
    parity: BTreeMap<u32, Vec<u8>>,
    done: BTreeSet<u32>,
    cancels: Vec<(usize, Symbol)>,
    sources: u32,
}

impl<'a> Ours<'a> {
    /// One that wants all of a content.
    pub fn new(content: &'a Content) -> Self {
        let layout = content.layout;
        let mut transfer = Transfer::new(layout, 7, 0);
        let need = |block| Need { block, symbols: Bitmap::full(layout.symbols_of(block)), urgent_from: None };
        transfer.set_plan((0..layout.blocks()).map(need).collect(), &[]);
        for block in 0..layout.blocks() {
            let range = layout.record_range(block);
            let bytes = &content.records[range.start as usize..range.end as usize];
            let record = Record::decode(&content.manifest, block, bytes).expect("its own record");
            assert!(transfer.open(block, record), "the plan names every block");
        }
        Ours {
            content,
            transfer,
            links: BTreeMap::new(),
            markers: Vec::new(),
            parity: BTreeMap::new(),
            done: BTreeSet::new(),
            cancels: Vec::new(),
            sources: 0,
        }
    }

    fn payload(&mut self, block: u32, marker: Marker) -> Vec<u8> {
        let bytes = self.content.block(block);
        match marker {
            Marker::Source(index) => {
                let from = (index * SYMBOL_LEN) as usize;
                bytes[from..bytes.len().min(from + SYMBOL_LEN as usize)].to_vec()
            }
            Marker::Coded { density, seed } => {
                let geometry = self.content.layout.geometry(block).expect("a block of the content");
                let parity = self.parity.entry(block).or_insert_with(|| {
                    Encoder::new(geometry, bytes).expect("a whole block").parity().to_vec()
                });
                let encoder = Encoder::with_parity(geometry, bytes, parity).expect("its own parity");
                let mut out = vec![0; SYMBOL_LEN as usize];
                encoder.write_coded(CodedId { density, seed }, &mut out).expect("a seed that was proposed");
                out
            }
        }
    }
}

fn at(now_s: f64) -> Time {
    Time::from_millis(1000) + Duration::from_secs_f64(now_s)
}

impl Receiver for Ours<'_> {
    fn joined(&mut self, now_s: f64, link: usize) {
        self.sources += 1;
        let source = SourceId(self.sources);
        let blocks = self.content.layout.blocks();
        let all = vec![0xff; blocks.div_ceil(8) as usize];
        self.transfer.source(source, u64::from(self.sources)).add_blocks(0, &all);
        let link_state =
            Link { source, rate: RateEstimator::new(), pipe: Pipe::new(at(now_s)), owed: BTreeMap::new() };
        self.links.insert(link, link_state);
    }

    fn left(&mut self, _: f64, link: usize) {
        if let Some(gone) = self.links.remove(&link) {
            self.transfer.source_gone(gone.source);
        }
    }

    fn arrived(&mut self, now_s: f64, link: usize, symbol: Symbol) -> bool {
        let (block, marker) = self.markers[symbol as usize];
        let payload = self.payload(block, marker);
        let Some(state) = self.links.get_mut(&link) else { return false };
        state.owed.remove(&symbol);
        let busy = state.pipe.arrived(at(now_s), SYMBOL_BYTES as u64);
        state.rate.fragment(at(now_s), SYMBOL_BYTES as u64, busy);
        let received = self.transfer.receive(state.source, block, marker, &payload);
        loop {
            match self.transfer.decode(block, usize::MAX / 2) {
                Decoded::Working => {}
                Decoded::Recovered(_) | Decoded::Polluted(_) => {}
                Decoded::NotYet => break,
            }
        }
        if self.transfer.take_whole(block).is_some() {
            self.done.insert(block);
            for (&link, state) in &mut self.links {
                let owed = core::mem::take(&mut state.owed);
                for (symbol, (of, marker)) in owed {
                    if of == block {
                        self.cancels.push((link, symbol));
                    } else {
                        state.owed.insert(symbol, (of, marker));
                    }
                }
            }
        }
        received == Received::New
    }

    fn asks(&mut self, now_s: f64, link: usize) -> Vec<Symbol> {
        // As the node does it.
        let known: Vec<f64> =
            self.links.values().filter_map(|l| l.rate.rate()).map(|rate| rate.bytes_per_s).collect();
        let others = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        let sources = self.links.len() as u64;
        let Some(state) = self.links.get_mut(&link) else { return Vec::new() };
        let now = at(now_s);
        let in_flight = self.transfer.in_flight_bytes(state.source) * SCALE;
        let owes = in_flight > 0;
        let rate = state.rate.rate();
        if owes {
            if state.pipe.stalls(now, rate, others, in_flight) {
                self.transfer.give_up_on_urgent(state.source);
            }
            if state.pipe.runs_out(now, DEBTS_RUN_OUT) {
                self.transfer.give_up_on_flights(state.source);
            }
        }
        let believed = state.pipe.believed_bytes_per_s(now, rate, others, owes);
        let window = state.pipe.window_bytes(rate, None, SYMBOL_BYTES as u64, sources);
        self.transfer.set_window(state.source, window / SCALE, believed / SCALE as f64, 0.0);
        if !owes {
            state.pipe.is_idle(now);
        }
        let wants = self.transfer.wants(now, state.source);
        let mut asks = Vec::new();
        for want in wants {
            for pick in want.picks {
                let markers: Vec<Marker> = match pick {
                    Pick::Sources { first, count } => (first..first + count).map(Marker::Source).collect(),
                    Pick::Coded { density, seed } => vec![Marker::Coded { density, seed }],
                };
                for marker in markers {
                    let symbol = self.markers.len() as Symbol;
                    self.markers.push((want.block, marker));
                    state.owed.insert(symbol, (want.block, marker));
                    asks.push(symbol);
                }
            }
        }
        asks
    }

    fn cancels(&mut self) -> Vec<(usize, Symbol)> {
        core::mem::take(&mut self.cancels)
    }

    fn is_done(&self) -> bool {
        self.done.len() as u32 == self.content.layout.blocks()
    }
}
