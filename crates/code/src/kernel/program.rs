//! Sums over slots, and the memory that they work in.

use super::Level;
use super::vector::{self, Portable, Slots};
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;

/// Bit of an operation's first word: the operands carry coefficients.
pub(super) const SCALED: u32 = 1 << 31;

/// Alignment of a tile, in bytes: one cache line.
const ALIGN: usize = 64;

/// Calls one of `vector`'s functions for the level.
macro_rules! dispatch {
    ($level:expr, $function:ident($($argument:expr),*)) => {
        match $level {
            Level::Portable => vector::$function::<Portable>($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => vector::x86::avx2::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => vector::x86::avx512::$function($($argument),*),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => vector::$function::<vector::neon::Neon>($($argument),*),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Level::Simd128 => vector::$function::<vector::wasm::Simd128>($($argument),*),
        }
    };
}

/// Operations `dst = sum of operands` over slots, in order. Every slot named is below [`Program::slots`]: the
/// methods that add operations see to it, and the kernels rely on it.
///
/// In memory: words `dst`, `n`, then n slots; or `dst | SCALED`, `n`, then n pairs of slot and coefficient.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The first `used` count; those behind are room.
    words: Vec<u32>,
    used: usize,
    slots: u32,
    /// Operands summed, which is what a run costs.
    operands: u64,
}

impl Program {
    /// An empty program over `slots` slots.
    pub fn new(slots: u32) -> Self {
        Self { words: Vec::new(), used: 0, slots, operands: 0 }
    }

    /// Slots that a tile needs.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Operands that a run sums, products counted like plain ones.
    pub fn operands(&self) -> u64 {
        self.operands
    }

    /// Makes room for `n` further slots and returns the first.
    pub fn add_slots(&mut self, n: u32) -> u32 {
        let first = self.slots;
        self.slots += n;
        assert!(self.slots < SCALED, "slots are numbered below 2^31");
        first
    }

    /// `dst = ...`: `write` gives the operands, at most `most`, of which `dst` may be one. No operands make zeros.
    #[inline]
    pub fn sum<R>(&mut self, dst: u32, most: usize, write: impl FnOnce(&mut Operands<'_>) -> R) -> R {
        let start = self.used;
        self.make_room(2 + most);
        let mut operands = Operands { list: &mut self.words[start + 2..], n: 0, greatest: dst };
        let result = write(&mut operands);
        let Operands { n, greatest, .. } = operands;
        assert!(greatest < self.slots, "every operand is a slot");
        // Not for dst = dst.
        if n != 1 || self.words[start + 2] != dst {
            self.words[start] = dst;
            self.words[start + 1] = n as u32;
            self.used = start + 2 + n;
            self.operands += n as u64;
        }
        result
    }

    #[inline]
    fn make_room(&mut self, words: usize) {
        if self.words.len() < self.used + words {
            self.words.resize((self.used + words).max(2 * self.words.len()).max(1024), 0);
        }
    }

    /// `dst = sum of coefficient * slot`.
    pub fn scaled_sum(&mut self, dst: u32, operands: impl IntoIterator<Item = (u32, u8)>) {
        assert!(dst < self.slots);
        let start = self.used;
        self.make_room(2);
        self.used += 2;
        for (slot, coefficient) in operands {
            assert!(slot < self.slots);
            self.make_room(2);
            self.words[self.used..self.used + 2].copy_from_slice(&[slot, u32::from(coefficient)]);
            self.used += 2;
        }
        let n = (self.used - start - 2) / 2;
        self.words[start..start + 2].copy_from_slice(&[dst | SCALED, n as u32]);
        self.operands += n as u64;
    }

    /// Runs over the first `len` bytes of every slot of a tile.
    pub fn run(&self, level: Level, tile: &mut Tile<'_>, len: usize) {
        assert!(
            tile.bytes.len() >= tile.start + self.slots as usize * tile.width && len <= tile.width,
            "outside the tile"
        );
        let slots = Slots {
            base: tile.bytes[tile.start..].as_mut_ptr(),
            stride: tile.width,
            len: len.next_multiple_of(ALIGN),
        };
        // SAFETY: the tile holds `slots * width` bytes from its start (asserted above), every slot in the words is
        // below `slots` (asserted when it was added), `len` is a multiple of 64 and at most the width, which is one
        // too (by `Tile`), and `Level::detect` gave a level that this machine has.
        unsafe { dispatch!(level, run(&self.words[..self.used], slots)) }
    }
}

/// Bytes that a tile may take, as a share of the block, and within bounds: narrow strips of a large block cost more in
/// reaching its memory than a tile costs that fits only the last cache.
const TILE_SHARE: usize = 16;
const TILE_BYTES_LEAST: usize = 4 << 20;
const TILE_BYTES_MOST: usize = 32 << 20;

/// Columns of a strip, at most; more in blocks of which each symbol's next piece is far from every cache, pages and all.
const WIDTH_MOST: usize = 256;
const WIDTH_MOST_FAR: usize = 1024;
const FAR: usize = 128 << 20;

/// The width, in bytes, of a tile of `slots` slots for a block of `symbols` symbols of `symbol_len` bytes.
pub fn tile_width(slots: u32, symbols: u32, symbol_len: usize) -> usize {
    let block_len = symbols as usize * symbol_len;
    let most = (block_len / TILE_SHARE).clamp(TILE_BYTES_LEAST, TILE_BYTES_MOST);
    let mut width = if block_len > FAR { WIDTH_MOST_FAR } else { WIDTH_MOST };
    while width > ALIGN && (width / 2 >= symbol_len || slots as usize * width > most) {
        width /= 2;
    }
    width
}

/// The operands of one sum being written.
pub struct Operands<'p> {
    list: &'p mut [u32],
    n: usize,
    greatest: u32,
}

impl Operands<'_> {
    /// Adds an operand.
    #[inline]
    pub fn add(&mut self, slot: u32) {
        self.list[self.n] = slot;
        self.n += 1;
        self.greatest = self.greatest.max(slot);
    }
}

/// Working memory of a program: `slots` strips of `width` bytes, in memory that the caller lends.
#[derive(Debug)]
pub struct Tile<'m> {
    bytes: &'m mut [u8],
    start: usize,
    width: usize,
}

/// Bytes to lend for a tile of `slots` slots of `width` bytes, wherever they begin.
pub fn tile_len(slots: u32, width: usize) -> usize {
    slots as usize * width + ALIGN
}

impl<'m> Tile<'m> {
    /// A tile in `bytes`, whose contents do not matter; `width` (bytes) is a multiple of 64.
    pub fn new(bytes: &'m mut [u8], width: usize) -> Self {
        assert!(width > 0 && width.is_multiple_of(ALIGN));
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN).min(bytes.len());
        Self { bytes, start, width }
    }

    /// The strip of one slot.
    #[inline]
    pub fn strip(&mut self, slot: u32) -> &mut [u8] {
        &mut self.bytes[self.start + slot as usize * self.width..][..self.width]
    }

    /// Copies `len` bytes, at most the width, of each place into its slot. What lies behind keeps its old value:
    /// columns never mix, so nobody reads it.
    pub fn load(&mut self, level: Level, memory: &[u8], places: &Places, strip: Strip) {
        self.check(memory.len(), places, strip);
        let slots = Slots { base: self.bytes[self.start..].as_mut_ptr(), stride: self.width, len: strip.len };
        // SAFETY: `check` found every slot within the tile and every place within the memory.
        unsafe { dispatch!(level, load(slots, memory.as_ptr(), &places.list, strip)) }
    }

    /// As [`Tile::load`], from symbols that lie anywhere.
    pub fn load_pieces(&mut self, level: Level, pieces: &[Piece<'_>], strip: Strip) {
        let slots = (self.bytes.len() - self.start) / self.width;
        let end = strip.offset + strip.len;
        assert!(strip.len <= self.width, "outside the tile");
        assert!(pieces.iter().all(|p| (p.slot as usize) < slots && p.bytes.len() >= end), "outside the tile");
        let slots = Slots { base: self.bytes[self.start..].as_mut_ptr(), stride: self.width, len: strip.len };
        // SAFETY: every slot lies within the tile and every piece holds the strip, as was just asserted.
        unsafe { dispatch!(level, load_pieces(slots, pieces, strip)) }
    }

    /// As [`Tile::load`], from columns of a stripe.
    pub fn load_stripe(&mut self, level: Level, stripe: &Stripe<'_>, places: &Places, strip: Strip) {
        self.check(stripe.len, places, strip);
        stripe.check(strip);
        let slots = Slots { base: self.bytes[self.start..].as_mut_ptr(), stride: self.width, len: strip.len };
        // SAFETY: `check` found every slot within the tile, every place within the memory, and the columns within the
        // stripe, which alone uses them.
        unsafe { dispatch!(level, load(slots, stripe.at, &places.list, strip)) }
    }

    /// The inverse of [`Tile::load_stripe`]. `stream` writes past the caches: right for memory that is larger than they are.
    pub fn store(
        &mut self,
        level: Level,
        stripe: &mut Stripe<'_>,
        places: &Places,
        strip: Strip,
        stream: bool,
    ) {
        self.check(stripe.len, places, strip);
        stripe.check(strip);
        let slots = Slots { base: self.bytes[self.start..].as_mut_ptr(), stride: self.width, len: strip.len };
        // SAFETY: `check` found every slot within the tile, every place within the memory, and the columns within the
        // stripe, which alone uses them.
        unsafe { dispatch!(level, store(slots, stripe.at, &places.list, strip, stream)) }
    }

    fn check(&self, memory_len: usize, places: &Places, strip: Strip) {
        let slots = (self.bytes.len() - self.start) / self.width;
        let end = places.symbols as usize * strip.symbol_len;
        assert!(strip.len <= self.width && strip.offset + strip.len <= strip.symbol_len, "outside the tile");
        assert!(places.slots as usize <= slots && end <= memory_len, "outside the tile");
    }
}

/// Some columns of every symbol of a memory. Stripes of one memory share no column, so that each can be used by another
/// thread.
#[derive(Debug)]
pub struct Stripe<'m> {
    at: *mut u8,
    /// Bytes of the whole memory.
    len: usize,
    columns: Range<usize>,
    memory: PhantomData<&'m mut [u8]>,
}

// SAFETY: a stripe stands for the exclusive borrow of its columns: nothing else reads or writes them while it lives (`cut`
// makes the columns disjoint, `Tile` stays within them), and bytes can be sent.
unsafe impl Send for Stripe<'_> {}

impl<'m> Stripe<'m> {
    /// The stripe of these columns.
    pub fn new(memory: &'m mut [u8], columns: Range<usize>) -> Self {
        Self { at: memory.as_mut_ptr(), len: memory.len(), columns, memory: PhantomData }
    }

    /// One stripe of `memory` for each of `columns`, which follow each other without overlap.
    pub fn cut(memory: &'m mut [u8], columns: &[Range<usize>]) -> Vec<Self> {
        assert!(columns.iter().all(|c| c.start <= c.end));
        assert!(columns.windows(2).all(|pair| pair[0].end <= pair[1].start), "stripes share no column");
        let (at, len) = (memory.as_mut_ptr(), memory.len());
        let stripe = |columns: &Range<usize>| Self { at, len, columns: columns.clone(), memory: PhantomData };
        columns.iter().map(stripe).collect()
    }

    /// Where the memory begins.
    pub fn addr(&self) -> usize {
        self.at.addr()
    }

    fn check(&self, strip: Strip) {
        let (start, end) = (strip.offset, strip.offset + strip.len);
        assert!(self.columns.start <= start && end <= self.columns.end, "a strip stays within its stripe");
    }
}

/// Cuts what is left of `columns` into at most `n` parts at multiples of `grain`.
pub fn cut_columns(columns: &Range<usize>, n: usize, grain: usize) -> Vec<Range<usize>> {
    let each = columns.len().div_ceil(n.max(1)).next_multiple_of(grain).max(grain);
    columns.clone().step_by(each).map(|start| start..columns.end.min(start + each)).collect()
}

/// A slot, and the number of a symbol in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slot of the tile.
    pub slot: u32,
    /// The symbol lies `symbol * symbol_len` bytes into the memory.
    pub symbol: u32,
}

/// A slot, and a symbol that is loaded into it.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'s> {
    /// Slot of the tile.
    pub slot: u32,
    /// The whole symbol.
    pub bytes: &'s [u8],
}

/// A list of places, and its bounds.
#[derive(Clone, Debug, Default)]
pub struct Places {
    list: Vec<Place>,
    /// One more than the greatest slot, and than the greatest symbol.
    slots: u32,
    symbols: u32,
}

impl Places {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes out the place of a symbol that is the last of the list, if it is; returns its slot.
    pub fn take(&mut self, symbol: u32) -> Option<u32> {
        let slot = self.list.last().filter(|place| place.symbol == symbol)?.slot;
        self.list.pop();
        *self = core::mem::take(&mut self.list).into_iter().collect();
        Some(slot)
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let list = Vec::from_iter(places);
        let slots = list.iter().map(|p| p.slot + 1).max().unwrap_or(0);
        let symbols = list.iter().map(|p| p.symbol + 1).max().unwrap_or(0);
        Self { list, slots, symbols }
    }
}

/// Some columns of all symbols, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Length of every symbol.
    pub symbol_len: usize,
    /// First column.
    pub offset: usize,
    /// Columns.
    pub len: usize,
}

impl Strip {
    /// The strip of at most `width` columns from the first of `columns`. When it will be streamed to memory at `addr` it ends
    /// at a cache line there, if symbols begin alike in their lines.
    pub fn new(addr: usize, stream: bool, symbol_len: usize, columns: &Range<usize>, width: usize) -> Self {
        let offset = columns.start;
        let skew = if stream && symbol_len.is_multiple_of(ALIGN) && width > ALIGN {
            (addr + offset) % ALIGN
        } else {
            0
        };
        Self { symbol_len, offset, len: (width - skew).min(columns.end - offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gf256;
    use crate::structure::mix;
    use alloc::vec;

    #[test]
    fn every_level_sums_like_the_field() {
        for level in Level::available() {
            let widths = [64usize, 128, 192, 256, 320, 512, 1024];
            for width in widths.into_iter().take(if cfg!(miri) { 2 } else { 7 }) {
                let slots = 9u32;
                let mut memory = vec![0; tile_len(slots, width)];
                let mut tile = Tile::new(&mut memory, width);
                let mut model = vec![vec![0u8; width]; slots as usize];
                for (s, strip) in model.iter_mut().enumerate() {
                    for (i, b) in strip.iter_mut().enumerate() {
                        *b = mix((s * 10_000 + i) as u64) as u8;
                    }
                    tile.strip(s as u32).copy_from_slice(strip);
                }
                let mut program = Program::new(slots);
                for step in 0..if cfg!(miri) { 60u64 } else { 600 } {
                    let r = mix(step);
                    let dst = (r % slots as u64) as u32;
                    let n = (r >> 8) % 8;
                    let operand = |i: u64| (mix(r ^ i) % slots as u64) as u32;
                    let mut out = vec![0u8; width];
                    if step % 3 == 0 {
                        let pairs: Vec<_> =
                            (0..n).map(|i| (operand(i), mix(r.wrapping_add(i)) as u8)).collect();
                        for (s, c) in &pairs {
                            for (o, b) in out.iter_mut().zip(&model[*s as usize]) {
                                *o ^= gf256::mul(*c, *b);
                            }
                        }
                        program.scaled_sum(dst, pairs);
                    } else {
                        program.sum(dst, n as usize, |sum| {
                            for i in 0..n {
                                sum.add(operand(i));
                                for (o, b) in out.iter_mut().zip(&model[operand(i) as usize]) {
                                    *o ^= b;
                                }
                            }
                        });
                    }
                    model[dst as usize] = out;
                }
                program.run(level, &mut tile, width);
                for s in 0..slots {
                    assert_eq!(tile.strip(s), &model[s as usize][..], "{level:?} width {width} slot {s}");
                }
            }
        }
    }

    /// Bytes that depend on `seed` alone.
    fn noise(len: usize, seed: u64) -> Vec<u8> {
        (0..len as u64).map(|i| mix(mix(seed) ^ i) as u8).collect()
    }

    /// The lengths of a strip that tests try: all up to two lines, then around every step of every vector's loops.
    fn lengths() -> impl Iterator<Item = usize> {
        let few = if cfg!(miri) { 40 } else { 130 };
        (1..few).chain([191, 192, 193, 255, 256, 257, 319, 511, 512]).chain(if cfg!(miri) {
            None
        } else {
            Some(1023)
        })
    }

    /// How far from a multiple of 64 the memory begins that tests lend.
    fn skews() -> impl Iterator<Item = usize> {
        (0..64).step_by(if cfg!(miri) { 21 } else { 1 })
    }

    #[test]
    fn every_level_loads_and_stores_every_length_at_every_alignment() {
        for level in Level::available() {
            for (len, skew) in lengths().flat_map(|len| skews().map(move |skew| (len, skew))) {
                let (symbols, slots, width) = (3u32, 4u32, len.next_multiple_of(64));
                // Columns 5 to 5 + len of symbols that have three columns more.
                let symbol_len = len + 8;
                let lent = noise(skew + symbols as usize * symbol_len, len as u64);
                let memory = &lent[skew..];
                let mut room = vec![0xaa; tile_len(slots, width)];
                let mut tile = Tile::new(&mut room, width);
                let place = |symbol: u32| Place { slot: 3 - symbol, symbol };
                let places: Places = (0..symbols).map(place).collect();
                let strip = Strip { symbol_len, offset: 5, len };
                tile.load(level, memory, &places, strip);
                for symbol in 0..symbols {
                    let from = symbol as usize * symbol_len + 5;
                    assert_eq!(
                        tile.strip(3 - symbol)[..len],
                        memory[from..from + len],
                        "{level:?} {len} {skew}"
                    );
                }
                for stream in [false, true] {
                    let mut back = vec![0x55u8; skew + memory.len()];
                    let mut stripe = Stripe::new(&mut back[skew..], 5..5 + len);
                    tile.store(level, &mut stripe, &places, strip, stream);
                    for (i, (&b, &m)) in back[skew..].iter().zip(memory).enumerate() {
                        let inside = (5..5 + len).contains(&(i % symbol_len));
                        assert_eq!(b, if inside { m } else { 0x55 }, "{level:?} {len} {skew} byte {i}");
                    }
                    assert!(back[..skew].iter().all(|&b| b == 0x55), "nothing before the memory is written");
                }
            }
        }
    }

    #[test]
    fn every_level_multiplies_by_every_coefficient() {
        for level in Level::available() {
            let width = 256;
            let mut room = vec![0; tile_len(2, width)];
            let mut tile = Tile::new(&mut room, width);
            let all: Vec<u8> = (0..=255).collect();
            for c in (0..=255u8).step_by(if cfg!(miri) { 51 } else { 1 }) {
                tile.strip(0).copy_from_slice(&all);
                let mut program = Program::new(2);
                program.scaled_sum(1, [(0, c)]);
                program.run(level, &mut tile, width);
                let expected: Vec<u8> = all.iter().map(|&b| gf256::mul_const(c, b)).collect();
                assert_eq!(tile.strip(1), &expected[..], "{level:?} times {c}");
            }
        }
    }

    /// Wherever the lent memory begins, slots begin at cache lines and stay inside it.
    #[test]
    fn a_tile_fits_what_is_lent_wherever_it_begins() {
        for skew in skews() {
            let mut lent = vec![0x55; skew + tile_len(3, 128) + 7];
            let mut tile = Tile::new(&mut lent[skew..skew + tile_len(3, 128)], 128);
            for slot in 0..3 {
                assert!(tile.strip(slot).as_ptr().addr().is_multiple_of(64));
                tile.strip(slot).fill(slot as u8);
            }
            let mut program = Program::new(3);
            program.sum(0, 2, |sum| {
                sum.add(1);
                sum.add(2);
            });
            program.run(Level::detect(), &mut tile, 128);
            assert!(tile.strip(0).iter().all(|&b| b == 1 ^ 2));
            assert!(lent[..skew].iter().chain(&lent[skew + tile_len(3, 128)..]).all(|&b| b == 0x55));
        }
    }
}
