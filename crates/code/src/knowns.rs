//! The first sums of a program: those over source symbols that are at hand. They are cut into chunks of source symbols,
//! and the tile holds one chunk at a time: so it stays near however large the block is.

use crate::kernel::{Place, Places, Program};
use alloc::vec;
use alloc::vec::Vec;

/// Source symbols of a chunk: with 256 columns of each, an eighth of a mebibyte.
const CHUNK: u32 = 512;

/// Slots that a tile keeps for source symbols.
pub(crate) fn chunk_slots(source: u32) -> u32 {
    source.min(CHUNK)
}

/// Sums being listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownSums {
    /// (slot, whether it holds something to add to, first operand) of each sum.
    heads: Vec<(u32, bool, u32)>,
    operands: Vec<u32>,
}

impl KnownSums {
    /// Begins the sum that goes to slot `dst`.
    pub fn begin(&mut self, dst: u32, adds: bool) {
        self.heads.push((dst, adds, self.operands.len() as u32));
    }

    /// An operand of the sum begun last: a source symbol.
    #[inline]
    pub fn add(&mut self, source: u32) {
        self.operands.push(source);
    }

    /// Cuts the sums. A tile has `slots` slots, the first of which are the chunk's.
    pub fn cut(&self, source: u32, slots: u32) -> Vec<Chunk> {
        // How many operands each chunk has, then where its own begin.
        let mut starts = vec![0u32; source.div_ceil(CHUNK) as usize + 1];
        for &operand in &self.operands {
            starts[(operand / CHUNK) as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut edges = vec![(0u32, 0u32); self.operands.len()];
        let mut next = starts.clone();
        let ends = self.heads.iter().skip(1).map(|h| h.2).chain([self.operands.len() as u32]);
        for (number, (head, end)) in self.heads.iter().zip(ends).enumerate() {
            for &operand in &self.operands[head.2 as usize..end as usize] {
                let place = &mut next[(operand / CHUNK) as usize];
                edges[*place as usize] = (number as u32, operand);
                *place += 1;
            }
        }

        let mut adds: Vec<bool> = self.heads.iter().map(|head| head.1).collect();
        let mut chunks = Vec::with_capacity(starts.len() - 1);
        for (number, bounds) in starts.windows(2).enumerate() {
            let first = number as u32 * CHUNK;
            let edges = &edges[bounds[0] as usize..bounds[1] as usize];
            let mut program = Program::new(slots);
            let mut used = vec![false; CHUNK.min(source - first) as usize];
            for sum in edges.chunk_by(|a, b| a.0 == b.0) {
                let (dst, adds) = (self.heads[sum[0].0 as usize].0, &mut adds[sum[0].0 as usize]);
                program.sum(dst, 1 + sum.len(), |operands| {
                    if core::mem::replace(adds, true) {
                        operands.add(dst);
                    }
                    for &(_, operand) in sum {
                        used[(operand - first) as usize] = true;
                        operands.add(operand - first);
                    }
                });
            }
            let used = (0u32..).zip(&used).filter(|(_, used)| **used);
            let loads = used.map(|(slot, _)| Place { slot, symbol: first + slot }).collect();
            chunks.push(Chunk { loads, program });
        }
        chunks
    }
}

/// One chunk: what it loads, and the sums that take it.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub loads: Places,
    pub program: Program,
}
