use crate::assembly::{Added, Assembly, Decoded, Polluter};
use crate::bitmap::Bitmap;
use crate::layout::Layout;
use crate::manifest::Record;
use crate::plan::Need;
use crate::playing::{Playing, SOON_S};
use crate::source::{Holdings, Source, SourceId};
use crate::want::URGENT_SYMBOLS;
use core::ops::Range;
use peeredge_code::CodedId;
use peeredge_wire::Time;
use peeredge_wire::peer::{Marker, Pick};
use std::collections::BTreeMap;

/// What takes so many seconds longer than its source's rate promised is late: about a round trip, which a repeated packet takes.
const LATE_S: f64 = 0.05;

/// The receiving side of one content: which blocks are being filled, who holds what, and which symbols are under way from whom.
/// What to ask next is decided in `want.rs`.
#[derive(Debug)]
pub struct Transfer {
    pub(crate) layout: Layout,
    /// This receiver's key: fellows divide the work among them by their keys.
    pub(crate) key: u64,
    pub(crate) coded_permille: u16,
    /// Blocks being filled, in the order in which they are needed.
    pub(crate) order: Vec<u32>,
    pub(crate) active: BTreeMap<u32, Active>,
    pub(crate) sources: BTreeMap<SourceId, Source>,
    /// Empty if any reader takes everything as soon as it comes.
    pub(crate) playing: Vec<Playing>,
    /// Symbols that are no longer waited for, though their sources may have sent them already.
    forgotten: BTreeMap<SourceId, u32>,
}

/// One block being filled.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) need: Bitmap,
    pub(crate) urgent_from: Option<u32>,
    /// None until the block's record is known.
    pub(crate) assembly: Option<Assembly>,
    /// Source symbols under way. The same one is under way from two sources only when the first is late.
    pub(crate) flights: BTreeMap<u32, Vec<Flight>>,
    pub(crate) coded_flights: BTreeMap<CodedId, Flight>,
    pub(crate) salt_next: u64,
}

/// One symbol that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) source: SourceId,
    pub(crate) asked: Time,
    /// Seconds in which the source's rate promised it.
    pub(crate) promised_s: f64,
}

/// What came of a symbol from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was new; a source symbol is verified, a coded one in quarantine.
    New,
    /// It was asked for, and came from elsewhere meanwhile.
    Duplicate,
    /// It is not under way from this source, and is not needed.
    Unasked,
    /// It contradicts the manifest: proof that the sender lies.
    Contradicts,
}

impl Transfer {
    /// Nothing is needed yet. `key` is this receiver's own among its fellows, who must know it by the same number.
    pub fn new(layout: Layout, key: u64, coded_permille: u16) -> Self {
        Transfer {
            layout,
            key,
            coded_permille,
            order: Vec::new(),
            active: BTreeMap::new(),
            sources: BTreeMap::new(),
            playing: Vec::new(),
            forgotten: BTreeMap::new(),
        }
    }

    /// Symbols that each source may still send though nobody waits for them: it was asked, and could not know. Each is told once.
    pub fn take_forgotten(&mut self) -> impl Iterator<Item = (SourceId, u32)> + use<> {
        core::mem::take(&mut self.forgotten).into_iter()
    }

    /// Bytes of blocks that are being filled, or are planned to be.
    pub fn filling_bytes(&self) -> u64 {
        self.active.len() as u64 * block_cost(&self.layout)
    }

    /// Takes the plan: blocks that it no longer names are put away and returned with what they hold, but for those `in_use`, of which
    /// nothing more is needed while readers take what has come.
    pub fn set_plan(&mut self, needs: Vec<Need>, in_use: &[u32]) -> Vec<(u32, Assembly)> {
        self.order = needs.iter().map(|n| n.block).collect();
        let mut dropped = Vec::new();
        // A whole block stays until its coded symbols are judged, which does not take long.
        let kept = |active: &Active| active.assembly.as_ref().is_some_and(|a| a.have().is_full());
        let is_gone =
            |(b, active): &(&u32, &Active)| !self.order.contains(b) && !in_use.contains(b) && !kept(active);
        let gone: Vec<u32> = self.active.iter().filter(is_gone).map(|(&b, _)| b).collect();
        for block in gone {
            if let Some(assembly) = self.put_away(block) {
                dropped.push((block, assembly));
            }
        }
        for need in needs {
            let active = self.active.entry(need.block).or_insert_with(|| Active {
                need: Bitmap::new(0),
                urgent_from: None,
                assembly: None,
                flights: BTreeMap::new(),
                coded_flights: BTreeMap::new(),
                salt_next: 0,
            });
            active.need = need.symbols;
            active.urgent_from = need.urgent_from;
        }
        dropped
    }

    fn put_away(&mut self, block: u32) -> Option<Assembly> {
        let active = self.active.remove(&block)?;
        let symbol_len = u64::from(self.layout.symbol_len());
        for flight in active.flights.values().flatten().chain(active.coded_flights.values()) {
            *self.forgotten.entry(flight.source).or_default() += 1;
            if let Some(source) = self.sources.get_mut(&flight.source) {
                source.in_flight_bytes = source.in_flight_bytes.saturating_sub(symbol_len);
            }
        }
        active.assembly
    }

    /// Blocks being filled, in the order in which they are needed.
    pub fn blocks(&self) -> &[u32] {
        &self.order
    }

    /// Blocks of which something is held here, rising.
    pub fn assembled(&self) -> impl Iterator<Item = u32> + '_ {
        self.active.iter().filter(|(_, active)| active.assembly.is_some()).map(|(&block, _)| block)
    }

    /// Blocks being filled whose record is not known.
    pub fn blocks_without_record(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied().filter(|&block| self.waits_for_record(block))
    }

    /// Whether no block is being filled, nor judged.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether a block is being filled whose record is not known.
    pub fn waits_for_record(&self, block: u32) -> bool {
        self.active.get(&block).is_some_and(|active| active.assembly.is_none())
    }

    /// The record of a block being filled has come. False when the block is not being filled, or is open already.
    pub fn open(&mut self, block: u32, record: Record) -> bool {
        match self.active.get_mut(&block) {
            Some(active) if active.assembly.is_none() => {
                active.assembly = Assembly::new(&self.layout, block, record);
                true
            }
            _ => false,
        }
    }

    /// A block being filled.
    pub fn assembly(&self, block: u32) -> Option<&Assembly> {
        self.active.get(&block)?.assembly.as_ref()
    }

    /// Source symbols of a block being filled that are needed and not held.
    pub fn missing(&self, block: u32) -> u32 {
        let Some(active) = self.active.get(&block) else { return 0 };
        match &active.assembly {
            Some(assembly) => active.need.iter().filter(|&i| !assembly.have().contains(i)).count() as u32,
            None => active.need.count(),
        }
    }

    /// Makes a source known, or finds it. `key` is its own among the receivers of this content.
    pub fn source(&mut self, id: SourceId, key: u64) -> &mut Holdings {
        let layout = self.layout;
        let source = self.sources.entry(id).or_insert_with(|| Source {
            key,
            holdings: Holdings::none(&layout),
            in_flight_bytes: 0,
            window_bytes: 0,
            rate_bytes_per_s: 0.0,
            late_share: 0.0,
            busy: None,
        });
        &mut source.holdings
    }

    /// What a source holds, as far as is known.
    pub fn holdings(&self, id: SourceId) -> Option<&Holdings> {
        self.sources.get(&id).map(|s| &s.holdings)
    }

    /// How many bytes may be under way from a source, how fast it is thought to be, and which share of its symbols comes late.
    pub fn set_window(&mut self, id: SourceId, window_bytes: u64, rate_bytes_per_s: f64, late_share: f64) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.window_bytes = window_bytes;
            source.rate_bytes_per_s = rate_bytes_per_s;
            source.late_share = late_share;
        }
    }

    /// Bytes under way from a source.
    pub fn in_flight_bytes(&self, id: SourceId) -> u64 {
        self.sources.get(&id).map_or(0, |s| s.in_flight_bytes)
    }

    /// A source left: what was under way from it can be asked of others at once.
    pub fn source_gone(&mut self, id: SourceId) {
        self.sources.remove(&id);
        self.forget_flights(id, false);
    }

    /// A source will not send what was asked of it so far, though it stays.
    pub fn give_up_on_flights(&mut self, id: SourceId) {
        self.forget_flights(id, false);
        if let Some(source) = self.sources.get_mut(&id) {
            source.in_flight_bytes = 0;
        }
    }

    /// A source has fallen silent: what waiting readers come to next is not left to it.
    pub fn give_up_on_urgent(&mut self, id: SourceId) {
        let bytes = u64::from(self.forget_flights(id, true)) * u64::from(self.layout.symbol_len());
        if let Some(source) = self.sources.get_mut(&id) {
            source.in_flight_bytes = source.in_flight_bytes.saturating_sub(bytes);
        }
    }

    /// What waiting readers come to next in a block, or what is played soon.
    pub(crate) fn urgent(&self, block: u32) -> Range<u32> {
        let mut soon = 0..0;
        while self.is_played()
            && soon.end < self.layout.symbols_of(block)
            && self.due_s(block, soon.end) < SOON_S
        {
            soon.end += 1;
        }
        match self.active.get(&block).and_then(|active| active.urgent_from) {
            Some(from) => from..from.saturating_add(URGENT_SYMBOLS).min(self.layout.symbols_of(block)),
            None => soon,
        }
    }

    /// Gives how many source symbols it was.
    fn forget_flights(&mut self, id: SourceId, only_urgent: bool) -> u32 {
        let (mut forgotten, mut coded) = (0, 0);
        let blocks: Vec<u32> = self.active.keys().copied().collect();
        for block in blocks {
            let urgent = self.urgent(block);
            let Some(active) = self.active.get_mut(&block) else { continue };
            active.flights.retain(|index, flights| {
                if only_urgent && !urgent.contains(index) {
                    return true;
                }
                let before = flights.len();
                flights.retain(|f| f.source != id);
                forgotten += (before - flights.len()) as u32;
                !flights.is_empty()
            });
            if !only_urgent {
                let before = active.coded_flights.len();
                active.coded_flights.retain(|_, f| f.source != id);
                coded += (before - active.coded_flights.len()) as u32;
            }
        }
        if forgotten + coded > 0 {
            *self.forgotten.entry(id).or_default() += forgotten + coded;
        }
        forgotten
    }

    /// A source refused these symbols. False when it was asked for none of them.
    pub fn refused(&mut self, id: SourceId, block: u32, picks: &[Pick], not_held: bool) -> bool {
        let mut landed = false;
        // Who names more symbols than a block has repeats itself: the rest is not looked at.
        let mut left = self.layout.symbols_of(block);
        for pick in picks {
            match *pick {
                Pick::Sources { first, count } => {
                    if left == 0 {
                        continue;
                    }
                    let Some(active) = self.active.get(&block) else { break };
                    let end = first.saturating_add(count.min(left));
                    left -= count.min(left);
                    let asked: Vec<u32> = active.flights.range(first..end).map(|(&index, _)| index).collect();
                    for index in asked {
                        landed |= self.land(id, block, Marker::Source(index));
                    }
                }
                Pick::Coded { density, seed } => {
                    landed |= self.land(id, block, Marker::Coded { density, seed });
                }
            }
        }
        if not_held && let Some(source) = self.sources.get_mut(&id) {
            source.holdings.forget(block);
        }
        landed
    }

    /// Takes a symbol out of what is under way; false when it was not.
    fn land(&mut self, id: SourceId, block: u32, marker: Marker) -> bool {
        let Some(active) = self.active.get_mut(&block) else { return false };
        let landed = match marker {
            Marker::Source(index) => match active.flights.get_mut(&index) {
                Some(flights) => {
                    let before = flights.len();
                    flights.retain(|f| f.source != id);
                    let landed = flights.len() < before;
                    if flights.is_empty() {
                        active.flights.remove(&index);
                    }
                    landed
                }
                None => false,
            },
            Marker::Coded { density, seed } => {
                let coded = CodedId { density, seed };
                let landed = active.coded_flights.get(&coded).is_some_and(|f| f.source == id);
                if landed {
                    active.coded_flights.remove(&coded);
                }
                landed
            }
        };
        if landed && let Some(source) = self.sources.get_mut(&id) {
            source.in_flight_bytes =
                source.in_flight_bytes.saturating_sub(u64::from(self.layout.symbol_len()));
        }
        landed
    }

    /// Whether a symbol that arrives now comes late, by what its source's rate promised; none when it was not asked of that source.
    /// Where the channel repeats what the path loses, loss shows as lateness.
    pub fn comes_late(&self, now: Time, id: SourceId, block: u32, marker: Marker) -> Option<bool> {
        let active = self.active.get(&block)?;
        let flight = match marker {
            Marker::Source(index) => active.flights.get(&index)?.iter().find(|f| f.source == id)?,
            Marker::Coded { density, seed } => active.coded_flights.get(&CodedId { density, seed })?,
        };
        Some(now.since(flight.asked).as_secs_f64() > flight.promised_s + LATE_S)
    }

    /// A symbol arrived.
    pub fn receive(&mut self, id: SourceId, block: u32, marker: Marker, payload: &[u8]) -> Received {
        let asked = self.land(id, block, marker);
        let useless = if asked { Received::Duplicate } else { Received::Unasked };
        let Some(assembly) = self.active.get_mut(&block).and_then(|a| a.assembly.as_mut()) else {
            return useless;
        };
        let added = match marker {
            // A source symbol proves itself, so one that comes unasked (late, after it was asked elsewhere) is welcome.
            Marker::Source(index) => assembly.add_source(index, payload),
            // Only seeds that this receiver chose: or a sender could choose what its garbage covers.
            Marker::Coded { .. } if !asked => return Received::Unasked,
            Marker::Coded { density, seed } => assembly.add_coded(id, CodedId { density, seed }, payload),
        };
        match added {
            Added::New => Received::New,
            Added::Duplicate => useless,
            Added::Contradicts => Received::Contradicts,
        }
    }

    /// Takes verified bytes from the own store into a block being filled. False when they do not verify.
    pub fn restore(&mut self, block: u32, index: u32, payload: &[u8]) -> bool {
        match self.active.get_mut(&block).and_then(|a| a.assembly.as_mut()) {
            Some(assembly) => assembly.add_source(index, payload) != Added::Contradicts,
            None => false,
        }
    }

    /// Works on decoding a block for about `budget_bytes`.
    pub fn decode(&mut self, block: u32, budget_bytes: usize) -> Decoded {
        match self.active.get_mut(&block).and_then(|a| a.assembly.as_mut()) {
            Some(assembly) => assembly.decode(budget_bytes),
            None => Decoded::NotYet,
        }
    }

    /// When every source symbol of the block is held and its coded symbols are judged: takes it out, with those who were proved to have sent wrong coded symbols,
    /// and those from whom something of it is still under way.
    pub fn take_whole(&mut self, block: u32) -> Option<WholeBlock> {
        let active = self.active.get(&block)?;
        let assembly = active.assembly.as_ref()?;
        if !assembly.have().is_full() || !assembly.is_judged() {
            return None;
        }
        let polluters = assembly.polluters().to_vec();
        let flights = || active.flights.values().flatten().chain(active.coded_flights.values());
        let owes = |id: &SourceId| flights().any(|flight| flight.source == *id);
        let late: Vec<SourceId> = self.sources.keys().copied().filter(owes).collect();
        let record = assembly.record().clone();
        let assembly = self.put_away(block)?;
        self.order.retain(|&b| b != block);
        Some(WholeBlock { bytes: assembly.into_bytes()?, record, polluters, late })
    }
}

/// Bytes that a receiver holds for one block that it fills, beside its record. While coded symbols are about, the decoder holds as much
/// again, and the symbols themselves.
pub fn block_cost(layout: &Layout) -> u64 {
    layout.block_len().min(layout.length())
}

/// A block that became whole.
#[derive(Debug)]
pub struct WholeBlock {
    /// Its bytes, verified.
    pub bytes: Vec<u8>,
    /// Its record.
    pub record: Record,
    /// Who was proved to have sent wrong coded symbols.
    pub polluters: Vec<Polluter>,
    /// Who need not send what it was asked.
    pub late: Vec<SourceId>,
}
