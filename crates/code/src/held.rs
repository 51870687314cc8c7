//! The symbols that a decoder holds, in the memory of one block.

use crate::geometry::Geometry;
use crate::kernel::{
    Level, Piece, Place, Places, Program, STREAM_FROM, Strip, Stripe, Tile, tile_len, tile_width,
};
use crate::solve::Budget;
use crate::structure::{CodedId, Structure, mix};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Symbols that are kept beyond K; more are refused.
const SPARE: usize = 64;

/// What lies where source symbol i belongs: nothing of use, the symbol itself, or else the coded symbol of this
/// number.
const FREE: u32 = u32::MAX;
const KNOWN: u32 = u32::MAX - 1;

/// More slots than decoding programs commonly have.
fn slots_expected(code: &Structure) -> u32 {
    let symbols = 2 * code.source + SPARE as u32;
    if code.is_small() { symbols } else { symbols + code.source / 8 + 2 * code.staircase + code.heavy + 2304 }
}

/// What a decoding program loads and stores.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    loads: Places,
    spare_loads: Places,
    /// (slot, number in `own`).
    own_loads: Vec<(u32, u32)>,
    stores: Places,
}

/// Where a coded symbol waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Where this source symbol will go.
    Block(u32),
    /// Beside the block.
    Spare(u32),
    /// In the memory that it came in: its number in `own`.
    Own(u32),
}

/// Source symbols at their places, and coded symbols in the places of missing ones.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    geometry: Geometry,
    /// K whole symbols, of which the last one is padded with zeros, then room for a tile: a buffer that is used again
    /// then brings it along, and fresh memory is dear.
    block: Vec<u8>,
    /// Bytes of the K symbols.
    block_len: usize,
    /// At most [`SPARE`] symbols, and those of them that are free again.
    spare: Vec<u8>,
    spare_free: Vec<u32>,
    /// Symbols that were given away to this decoder, those included that turned out to say nothing (the last few).
    own: Vec<(CodedId, Vec<u8>)>,
    own_needless: usize,
    occupants: Vec<u32>,
    /// No free place is below this one.
    free_from: usize,
    missing: u32,
    /// Every coded symbol ever taken, with its place unless it was pushed out.
    coded: Vec<(CodedId, Option<Waiting>)>,
    coded_held: u32,
    /// Open addressing over `coded`; FREE when empty, a power of two of places.
    table: Vec<u32>,
}

impl Held {
    pub fn new(geometry: Geometry, mut buffer: Vec<u8>) -> Self {
        let k = geometry.source_symbols();
        let symbol_len = geometry.symbol_len() as usize;
        let block_len = k as usize * symbol_len;
        let slots = slots_expected(&Structure::new(k));
        let len = block_len + tile_len(slots, tile_width(slots, k, symbol_len));
        if buffer.capacity() < len {
            // Zeroed by the allocator, which need not touch it.
            buffer = vec![0; len];
        } else {
            buffer.resize(len, 0);
        }
        Self {
            geometry,
            block: buffer,
            block_len,
            spare: Vec::new(),
            spare_free: Vec::new(),
            own: Vec::new(),
            own_needless: 0,
            occupants: vec![FREE; k as usize],
            free_from: 0,
            missing: k,
            coded: Vec::new(),
            coded_held: 0,
            table: Vec::new(),
        }
    }

    fn symbol_len(&self) -> usize {
        self.geometry.symbol_len() as usize
    }

    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Coded symbols held.
    pub fn coded(&self) -> u32 {
        self.coded_held
    }

    pub fn has(&self, index: u32) -> bool {
        self.occupants.get(index as usize) == Some(&KNOWN)
    }

    pub fn has_coded(&self, id: CodedId) -> bool {
        !self.table.is_empty() && self.table[self.find(id)] != FREE
    }

    /// Where `id` is in the table, or would go.
    fn find(&self, id: CodedId) -> usize {
        let mask = self.table.len() - 1;
        let mut at = mix(id.seed.wrapping_add(u64::from(id.density) << 56)) as usize & mask;
        while self.table[at] != FREE && self.coded[self.table[at] as usize].0 != id {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow_table(&mut self) {
        if self.table.len() > 2 * self.coded.len() {
            return;
        }
        self.table = vec![FREE; (4 * self.coded.len()).next_power_of_two().max(64)];
        for number in 0..self.coded.len() {
            let at = self.find(self.coded[number].0);
            self.table[at] = number as u32;
        }
    }

    /// A place for one more coded symbol.
    fn take_place(&mut self, number: u32) -> Option<Waiting> {
        while let Some(occupant) = self.occupants.get_mut(self.free_from) {
            if *occupant == FREE {
                *occupant = number;
                return Some(Waiting::Block(self.free_from as u32));
            }
            self.free_from += 1;
        }
        if let Some(place) = self.spare_free.pop() {
            return Some(Waiting::Spare(place));
        }
        let t = self.symbol_len();
        if self.spare.len() == SPARE * t {
            return None;
        }
        self.spare.resize(self.spare.len() + t, 0);
        Some(Waiting::Spare((self.spare.len() / t) as u32 - 1))
    }

    /// Takes a coded symbol that is new; false when there is no room.
    pub fn insert_coded(&mut self, id: CodedId, bytes: &[u8]) -> bool {
        let number = self.coded.len() as u32;
        let Some(place) = self.take_place(number) else { return false };
        let t = self.symbol_len();
        match place {
            Waiting::Block(i) => self.block[i as usize * t..][..t].copy_from_slice(bytes),
            Waiting::Spare(i) => self.spare[i as usize * t..][..t].copy_from_slice(bytes),
            Waiting::Own(_) => unreachable!("a place is in the block or beside it"),
        }
        self.list_coded(id, place);
        true
    }

    /// Takes a coded symbol that is new with its memory; gives it back when there are enough.
    pub fn own_coded(&mut self, id: CodedId, bytes: Vec<u8>) -> Result<(), Vec<u8>> {
        if self.coded_held as usize >= self.missing as usize + SPARE {
            return Err(bytes);
        }
        self.own.push((id, bytes));
        self.list_coded(id, Waiting::Own(self.own.len() as u32 - 1));
        Ok(())
    }

    fn list_coded(&mut self, id: CodedId, place: Waiting) {
        let number = self.coded.len() as u32;
        self.grow_table();
        let at = self.find(id);
        self.table[at] = number;
        self.coded.push((id, Some(place)));
        self.coded_held += 1;
    }

    /// Gives back the symbols that were given away.
    pub fn take_own(&mut self) -> Vec<(CodedId, Vec<u8>)> {
        for (_, place) in &mut self.coded {
            if matches!(place, Some(Waiting::Own(_))) {
                *place = None;
                self.coded_held -= 1;
            }
        }
        let mut own = core::mem::take(&mut self.own);
        own.retain(|(_, bytes)| !bytes.is_empty());
        own
    }

    /// Forgets a coded symbol, but not that it was here.
    pub fn drop_coded(&mut self, number: u32) {
        match self.coded[number as usize].1.take() {
            Some(Waiting::Block(place)) => {
                self.occupants[place as usize] = FREE;
                self.free_from = self.free_from.min(place as usize);
            }
            Some(Waiting::Spare(place)) => self.spare_free.push(place),
            Some(Waiting::Own(own)) => {
                self.own_needless += 1;
                if self.own_needless > SPARE {
                    self.own[own as usize].1 = Vec::new();
                }
            }
            None => return,
        }
        self.coded_held -= 1;
    }

    /// Takes a source symbol that is not known. A coded symbol in its place moves, or is pushed out when there are more
    /// symbols than can be of use.
    pub fn insert_source(&mut self, index: u32, bytes: &[u8]) {
        let t = self.symbol_len();
        let at = index as usize * t;
        let number = core::mem::replace(&mut self.occupants[index as usize], KNOWN);
        if number != FREE {
            let place = self.take_place(number);
            match place {
                Some(Waiting::Block(i)) => self.block.copy_within(at..at + t, i as usize * t),
                Some(Waiting::Spare(i)) => {
                    self.spare[i as usize * t..][..t].copy_from_slice(&self.block[at..at + t])
                }
                Some(Waiting::Own(_)) => unreachable!("a place is in the block or beside it"),
                None => self.coded_held -= 1,
            }
            self.coded[number as usize].1 = place;
        }
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self.block[at + bytes.len()..at + t].fill(0);
        self.missing -= 1;
    }

    /// Missing source symbols in rising order.
    pub fn missing_list(&self) -> Vec<u32> {
        let missing = self.occupants.iter().enumerate().filter(|(_, o)| **o != KNOWN);
        missing.map(|(i, _)| i as u32).collect()
    }

    /// Numbers and ids of the coded symbols held.
    pub fn coded_list(&self) -> (Vec<u32>, Vec<CodedId>) {
        let held = self.coded.iter().enumerate().filter(|(_, (_, place))| place.is_some());
        held.map(|(number, (id, _))| (number as u32, *id)).unzip()
    }

    /// Lists what a decoding program loads and stores. None when one of its coded symbols was pushed out.
    pub fn plan(&self, missing: &[u32], coded: &[u32]) -> Option<Transfers> {
        let k = self.geometry.source_symbols();
        let mut unknown = missing.iter().copied().peekable();
        let known = (0..k).filter(|i| unknown.next_if_eq(i).is_none());
        let mut loads: Vec<Place> = known.map(|i| Place { slot: i, symbol: i }).collect();
        let mut spare_loads = Vec::new();
        let mut own_loads = Vec::new();
        for (slot, &number) in (k..).zip(coded) {
            match self.coded[number as usize].1? {
                Waiting::Block(symbol) => loads.push(Place { slot, symbol }),
                Waiting::Spare(symbol) => spare_loads.push(Place { slot, symbol }),
                Waiting::Own(own) => own_loads.push((slot, own)),
            }
        }
        let stores = missing.iter().map(|&i| Place { slot: i, symbol: i }).collect();
        Some(Transfers {
            loads: loads.into_iter().collect(),
            spare_loads: spare_loads.into_iter().collect(),
            own_loads,
            stores,
        })
    }

    /// Makes room for a tile of `slots` slots; returns its width.
    pub fn make_tile(&mut self, slots: u32) -> usize {
        let mut width = tile_width(slots, self.geometry.source_symbols(), self.symbol_len());
        while width > 64 && self.block_len + tile_len(slots, width) > self.block.len() {
            width /= 2;
        }
        let len = self.block_len + tile_len(slots, width);
        if len > self.block.len() {
            self.block.resize(len, 0);
        }
        width
    }

    /// Cuts the columns `todo` of a decoding program, in tiles of `width`, into passes.
    pub fn passes<'p>(
        &'p mut self,
        program: &'p Program,
        width: usize,
        transfers: &'p Transfers,
        todo: &'p mut [Range<usize>],
    ) -> (Vec<Pass<'p>>, &'p mut [u8]) {
        let own = &self.own;
        let piece = |&(slot, number): &(u32, u32)| Piece { slot, bytes: &own[number as usize].1 };
        let pieces: Vec<Piece<'_>> = transfers.own_loads.iter().map(piece).collect();
        let (block, room) = self.block.split_at_mut(self.block_len);
        let (stream, symbol_len) = (block.len() >= STREAM_FROM, self.geometry.symbol_len() as usize);
        let stripes = Stripe::cut(block, todo);
        let spare = &self.spare[..];
        let pass = |(columns, stripe)| Pass {
            program,
            transfers,
            pieces: pieces.clone(),
            spare,
            stripe,
            columns,
            width,
            symbol_len,
            stream,
        };
        (todo.iter_mut().zip(stripes).map(pass).collect(), room)
    }

    /// Every source symbol is in its place now.
    pub fn complete(&mut self) {
        self.occupants.fill(KNOWN);
        self.missing = 0;
        self.coded = Vec::new();
        self.table = Vec::new();
        self.spare = Vec::new();
        self.spare_free = Vec::new();
        self.coded_held = 0;
    }

    pub fn symbol(&self, index: u32) -> Option<&[u8]> {
        let start = index as usize * self.symbol_len();
        self.has(index).then(|| &self.block[start..start + self.geometry.symbol_range(index).len()])
    }

    pub fn into_block(mut self) -> Option<Vec<u8>> {
        self.block.truncate(self.geometry.block_len() as usize);
        (self.missing == 0).then_some(self.block)
    }
}

/// Some columns of a decoding program.
#[derive(Debug)]
pub(crate) struct Pass<'p> {
    program: &'p Program,
    transfers: &'p Transfers,
    pieces: Vec<Piece<'p>>,
    spare: &'p [u8],
    stripe: Stripe<'p>,
    columns: &'p mut Range<usize>,
    width: usize,
    symbol_len: usize,
    stream: bool,
}

/// Memory for a tile.
pub(crate) enum Room<'r> {
    /// Behind the block, large enough.
    Lent(&'r mut [u8]),
    /// Grown as needed.
    Own(&'r mut Vec<u8>),
}

impl Pass<'_> {
    /// Makes the columns, strip by strip, until the budget is spent. Coded symbols are read before the source symbols that
    /// replace them are written, column by column.
    pub fn run(mut self, room: &mut Room<'_>, budget: &mut Budget) {
        let level = Level::detect();
        let room = match room {
            Room::Lent(room) => &mut room[..],
            Room::Own(room) => {
                room.resize(tile_len(self.program.slots(), self.width), 0);
                &mut room[..]
            }
        };
        let mut tile = Tile::new(room, self.width);
        while self.columns.start < self.columns.end && !budget.is_spent() {
            let strip =
                Strip::new(self.stripe.addr(), self.stream, self.symbol_len, self.columns, self.width);
            tile.load_stripe(level, &self.stripe, &self.transfers.loads, strip);
            tile.load(level, self.spare, &self.transfers.spare_loads, strip);
            tile.load_pieces(level, &self.pieces, strip);
            self.program.run(level, &mut tile, strip.len);
            tile.store(level, &mut self.stripe, &self.transfers.stores, strip, self.stream);
            self.columns.start += strip.len;
            budget.spend_bytes(self.program.operands() as usize * strip.len);
        }
    }
}
