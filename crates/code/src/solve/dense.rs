//! The symbols set aside: those that peeling chose, then the staircase parities, then the heavy ones.

use super::Budget;
use super::graph::Graph;
use super::peel::{ASIDE, Peel};
use crate::gf256;
use crate::structure::Structure;
use alloc::vec;
use alloc::vec::Vec;

/// How far [`Dense::advance`] came.
pub(super) enum Progress {
    Working,
    /// So many unknowns stay open.
    Lacking(u32),
    Solved,
}

/// A matrix of bits in rows of whole words.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    stride: usize,
    /// A copy of the row being added to others.
    pivot: Vec<u64>,
}

impl Bits {
    pub fn new(rows: usize, columns: usize) -> Self {
        let stride = columns.div_ceil(64);
        Self { words: vec![0; rows * stride], stride, pivot: Vec::new() }
    }

    #[inline]
    pub fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.stride..][..self.stride]
    }

    #[inline]
    pub fn get(&self, row: usize, column: usize) -> bool {
        self.words[row * self.stride + column / 64] >> (column % 64) & 1 != 0
    }

    #[inline]
    pub fn flip(&mut self, row: usize, column: usize) {
        self.words[row * self.stride + column / 64] ^= 1 << (column % 64);
    }

    /// Adds the rows of `list` and flips its columns set aside into `out`.
    #[inline]
    fn gather(&self, out: &mut [u64], list: &[u32], except: u32, peel: &Peel) {
        match self.stride {
            1 => self.gather_words::<1>(out, list, except, peel),
            2 => self.gather_words::<2>(out, list, except, peel),
            3 => self.gather_words::<3>(out, list, except, peel),
            4 => self.gather_words::<4>(out, list, except, peel),
            stride => {
                for &column in list.iter().filter(|&&c| c != except) {
                    let place = peel.place[column as usize];
                    if place & ASIDE != 0 {
                        out[(place & !ASIDE) as usize / 64] ^= 1 << (place % 64);
                    } else {
                        let row = &self.words[place as usize * stride..][..stride];
                        out.iter_mut().zip(row).for_each(|(a, b)| *a ^= b);
                    }
                }
            }
        }
    }

    /// The same with the words of a row in registers.
    #[inline]
    fn gather_words<const W: usize>(&self, out: &mut [u64], list: &[u32], except: u32, peel: &Peel) {
        let mut acc = [0u64; W];
        let (rows, _) = self.words.as_chunks::<W>();
        for &column in list {
            let place = peel.place[column as usize];
            if place & ASIDE != 0 {
                acc[(place & !ASIDE) as usize / 64] ^= 1 << (place % 64);
            } else if column != except {
                acc.iter_mut().zip(&rows[place as usize]).for_each(|(a, b)| *a ^= b);
            }
        }
        out.iter_mut().zip(&acc).for_each(|(a, b)| *a ^= b);
    }

    /// Adds row `pivot` to every other row that has a bit in `column`; returns how many had.
    fn clear_column(&mut self, pivot: usize, column: usize) -> usize {
        let (stride, word, shift) = (self.stride, column / 64, column % 64);
        self.pivot.clear();
        self.pivot.extend_from_slice(&self.words[pivot * stride..][..stride]);
        // The pivot row must stay: adding zeros keeps it.
        let mut added = 0;
        for (r, row) in self.words.chunks_exact_mut(stride).enumerate() {
            let bit = row[word] >> shift & u64::from(r != pivot);
            added += bit as usize;
            if stride <= 6 {
                // Few words: cheaper to add always than to guess the branch.
                let mask = bit.wrapping_neg();
                row.iter_mut().zip(&self.pivot).for_each(|(a, b)| *a ^= b & mask);
            } else if bit != 0 {
                row.iter_mut().zip(&self.pivot).for_each(|(a, b)| *a ^= b);
            }
        }
        added
    }

    /// Set bits of a row.
    pub fn ones(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        self.row(row).iter().enumerate().flat_map(|(i, &word)| {
            core::iter::successors((word != 0).then_some(word), |w| Some(w & (w - 1)).filter(|&w| w != 0))
                .map(move |w| i * 64 + w.trailing_zeros() as usize)
        })
    }
}

/// Elimination among the columns set aside.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    /// Columns set aside, parities included.
    pub columns: usize,
    /// What each peeled column sums of the columns set aside, by place in the order.
    pub vectors: Bits,
    /// One row of them.
    scratch: Vec<u64>,
    /// Rows that peeling did not use.
    pub leftover: Vec<u32>,
    /// Leftover rows: coefficients over the columns set aside, then (from `sums_at`) which leftover rows were summed.
    pub matrix: Bits,
    /// First bit of the second part, a multiple of 64.
    pub sums_at: usize,
    /// Rows of `matrix` in their order: the first `pivots.len()` are pivot rows.
    permutation: Vec<u32>,
    /// (column, row of `matrix`) of each pivot.
    pub pivots: Vec<(u32, u32)>,
    /// Columns without a pivot, which the rows over GF(256) give.
    pub free: Vec<u32>,
    /// For each free column, its coefficients over the right-hand sides of the rows over GF(256): the H heavy rows,
    /// then the dense coded symbols.
    pub weights: Vec<Vec<u8>>,
    cursor: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Vectors,
    Leftover,
    Eliminate,
    Heavy,
}

impl Dense {
    pub fn new(code: &Structure, graph: &Graph, peel: &Peel) -> Self {
        let columns = peel.aside as usize + code.parities() as usize;
        let leftover: Vec<u32> = (0..graph.rows() as u32).filter(|&r| !peel.used[r as usize]).collect();
        let sums_at = columns.next_multiple_of(64);
        Self {
            columns,
            vectors: Bits::new(peel.order.len(), columns),
            scratch: vec![0; columns.div_ceil(64)],
            matrix: Bits::new(leftover.len(), sums_at + leftover.len()),
            sums_at,
            permutation: (0..leftover.len() as u32).collect(),
            leftover,
            pivots: Vec::new(),
            free: Vec::new(),
            weights: Vec::new(),
            cursor: 0,
            phase: Phase::Vectors,
        }
    }

    pub fn advance(&mut self, code: &Structure, graph: &Graph, peel: &Peel, budget: &mut Budget) -> Progress {
        loop {
            if budget.is_spent() {
                return Progress::Working;
            }
            let ended = match self.phase {
                Phase::Vectors => self.cursor == peel.order.len(),
                Phase::Leftover => self.cursor == self.leftover.len(),
                Phase::Eliminate => self.cursor == self.columns,
                Phase::Heavy => return self.solve_heavy(code, graph, peel),
            };
            if ended {
                self.cursor = 0;
                self.phase = match self.phase {
                    Phase::Vectors => Phase::Leftover,
                    Phase::Leftover => Phase::Eliminate,
                    Phase::Eliminate | Phase::Heavy => Phase::Heavy,
                };
                continue;
            }
            let cost = match self.phase {
                Phase::Vectors => self.express(code, graph, peel),
                Phase::Leftover => self.reduce(code, graph, peel),
                _ => self.eliminate(),
            };
            budget.spend(1 + cost);
            self.cursor += 1;
        }
    }

    /// The next peeled column in terms of the columns set aside.
    fn express(&mut self, code: &Structure, graph: &Graph, peel: &Peel) -> usize {
        let at = self.cursor;
        let (row, pivot) = peel.order[at];
        let list = graph.row(row as usize);
        self.scratch.fill(0);
        self.vectors.gather(&mut self.scratch, list, pivot, peel);
        self.vectors.words[at * self.vectors.stride..][..self.vectors.stride].copy_from_slice(&self.scratch);
        each_parity(code, graph, peel, row as usize, |c| self.vectors.flip(at, c));
        list.len() * self.vectors.stride.div_ceil(8)
    }

    /// The next leftover row in terms of the columns set aside.
    fn reduce(&mut self, code: &Structure, graph: &Graph, peel: &Peel) -> usize {
        let at = self.cursor;
        let row = self.leftover[at] as usize;
        let list = graph.row(row);
        let line = &mut self.matrix.words[at * self.matrix.stride..][..self.vectors.stride];
        self.vectors.gather(line, list, u32::MAX, peel);
        each_parity(code, graph, peel, row, |c| self.matrix.flip(at, c));
        self.matrix.flip(at, self.sums_at + at);
        list.len() * self.vectors.stride.div_ceil(8)
    }

    /// Clears the next column from all rows but one.
    fn eliminate(&mut self) -> usize {
        let column = self.cursor;
        let rank = self.pivots.len();
        let found =
            (rank..self.permutation.len()).find(|&i| self.matrix.get(self.permutation[i] as usize, column));
        let Some(found) = found else {
            self.free.push(column as u32);
            return self.permutation.len() / 8;
        };
        self.permutation.swap(rank, found);
        let pivot = self.permutation[rank] as usize;
        let added = self.matrix.clear_column(pivot, column);
        self.pivots.push((column as u32, pivot as u32));
        self.permutation.len() / 8 + added * self.matrix.stride.div_ceil(8)
    }

    /// Rows that are sums of others, once elimination is over.
    pub fn redundant(&self) -> impl Iterator<Item = u32> + '_ {
        self.permutation[self.pivots.len()..].iter().map(|&row| self.leftover[row as usize])
    }

    /// Solves the free columns from the rows over GF(256).
    fn solve_heavy(&mut self, code: &Structure, graph: &Graph, peel: &Peel) -> Progress {
        let rows = code.heavy as usize + graph.dense.len();
        let free = self.free.len();
        if free > rows {
            return Progress::Lacking((free - rows) as u32);
        }
        // One line per row: coefficients of the free columns, then which rows were summed.
        let width = free + rows;
        let mut lines = vec![0u8; rows * width];
        for (r, line) in lines.chunks_exact_mut(width).enumerate() {
            line[free + r] = 1;
        }
        let parities_at = peel.aside;
        let mut add = |column: u32, at: usize| {
            if let Some(parity) = column.checked_sub(parities_at) {
                for (r, line) in lines.chunks_exact_mut(width).enumerate() {
                    line[at] ^= coefficient(code, graph, r, parity);
                }
            }
        };
        for (at, &column) in self.free.iter().enumerate() {
            add(column, at);
        }
        for &(column, row) in &self.pivots {
            if column >= parities_at {
                for (at, &f) in self.free.iter().enumerate() {
                    if self.matrix.get(row as usize, f as usize) {
                        add(column, at);
                    }
                }
            }
        }

        let mut lacking = 0;
        let mut done = 0;
        let mut pivot_rows = vec![0; free];
        for (at, pivot_row) in pivot_rows.iter_mut().enumerate() {
            let Some(found) = (done..rows).find(|&r| lines[r * width + at] != 0) else {
                lacking += 1;
                continue;
            };
            for i in 0..width {
                lines.swap(done * width + i, found * width + i);
            }
            let mut line = lines[done * width..][..width].to_vec();
            let scale = gf256::inv(line[at]);
            line.iter_mut().for_each(|v| *v = gf256::mul(*v, scale));
            for (r, other) in lines.chunks_exact_mut(width).enumerate() {
                let factor = other[at];
                if r != done && factor != 0 {
                    other.iter_mut().zip(&line).for_each(|(a, b)| *a ^= gf256::mul(factor, *b));
                }
            }
            lines[done * width..][..width].copy_from_slice(&line);
            *pivot_row = done;
            done += 1;
        }
        if lacking > 0 {
            return Progress::Lacking(lacking);
        }
        self.weights = pivot_rows.iter().map(|r| lines[r * width + free..][..rows].to_vec()).collect();
        Progress::Solved
    }
}

/// Coefficient of a parity (staircase, then heavy) in a row over GF(256).
pub(super) fn coefficient(code: &Structure, graph: &Graph, row: usize, parity: u32) -> u8 {
    let heavy = code.heavy as usize;
    if parity >= code.staircase {
        return u8::from((parity - code.staircase) as usize == row);
    }
    if row < heavy {
        code.heavy_coefficient(row as u32, parity)
    } else {
        code.dense_coefficient(graph.dense[row - heavy].1, parity)
    }
}

/// Calls `each` with the number, among the columns set aside, of every parity that a row sums.
#[inline]
pub(super) fn each_parity(
    code: &Structure,
    graph: &Graph,
    peel: &Peel,
    row: usize,
    mut each: impl FnMut(usize),
) {
    let aside = peel.aside as usize;
    match graph.tails.get(row) {
        Some(tail) => {
            each(aside + tail.staircase[0] as usize);
            each(aside + tail.staircase[1] as usize);
            each(aside + (code.staircase + tail.heavy) as usize);
        }
        None => {
            let stair = row - graph.coded_rows();
            each(aside + stair);
            if stair > 0 {
                each(aside + stair - 1);
            }
        }
    }
}
