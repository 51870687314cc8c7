//! Writing the solution down as sums over slots.

use super::Budget;
use super::dense::{Bits, Dense, coefficient, each_parity};
use super::graph::Graph;
use super::peel::{ASIDE, Peel};
use super::russians::Russians;
use crate::kernel::Program;
use crate::structure::Structure;
use alloc::vec;
use alloc::vec::Vec;

/// The program being written.
#[derive(Clone, Debug)]
pub(super) struct Emit {
    pub program: Program,
    dense: Dense,
    /// Peeled columns whose value, with all columns set aside taken as zero, some leftover row needs.
    needed: Vec<bool>,
    /// Slot of the first column set aside.
    aside_slot: u32,
    russians: Option<Russians>,
    /// Coefficients of the free columns in each pivot column.
    free_bits: Bits,
    cursor: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Peeled columns as if the columns set aside were zero.
    Forward,
    /// The leftover rows, likewise.
    Leftover,
    /// Pivot columns as if the free columns were zero.
    Pivots,
    /// The free columns.
    Heavy,
    /// The pivot columns.
    Complete,
    /// The peeled columns.
    Backward,
}

impl Emit {
    pub fn new(graph: &Graph, peel: &Peel, dense: Dense, mut program: Program) -> Self {
        let aside_slot = program.add_slots(dense.columns as u32);

        // Leftover rows that some pivot sums, and what they need in turn.
        let mut summed = vec![false; dense.leftover.len()];
        for &(_, row) in &dense.pivots {
            for (w, &word) in dense.matrix.row(row as usize)[dense.sums_at / 64..].iter().enumerate() {
                let mut word = word;
                while word != 0 {
                    summed[w * 64 + word.trailing_zeros() as usize] = true;
                    word &= word - 1;
                }
            }
        }
        let mut needed = vec![false; peel.order.len()];
        let need = |needed: &mut Vec<bool>, row: u32, except: u32| {
            for &column in graph.row(row as usize) {
                let place = peel.place[column as usize];
                if column != except && place & ASIDE == 0 {
                    needed[place as usize] = true;
                }
            }
        };
        for (l, &row) in dense.leftover.iter().enumerate() {
            if summed[l] {
                need(&mut needed, row, u32::MAX);
            }
        }
        for at in (0..peel.order.len()).rev() {
            if needed[at] {
                need(&mut needed, peel.order[at].0, peel.order[at].1);
            }
        }

        let mut free_bits = Bits::new(dense.pivots.len(), dense.free.len().max(1));
        for (o, &(_, row)) in dense.pivots.iter().enumerate() {
            for (i, &f) in dense.free.iter().enumerate() {
                if dense.matrix.get(row as usize, f as usize) {
                    free_bits.flip(o, i);
                }
            }
        }
        Self {
            program,
            dense,
            needed,
            aside_slot,
            russians: None,
            free_bits,
            cursor: 0,
            phase: Phase::Forward,
        }
    }

    /// True when the program is whole.
    pub fn advance(&mut self, code: &Structure, graph: &Graph, peel: &Peel, budget: &mut Budget) -> bool {
        loop {
            if budget.is_spent() {
                return false;
            }
            match self.phase {
                Phase::Forward if self.cursor < peel.order.len() => {
                    if self.needed[self.cursor] {
                        budget.spend(self.forward(graph, peel));
                    }
                    self.cursor += 1;
                }
                Phase::Forward => self.enter(Phase::Leftover),
                Phase::Leftover if self.cursor < self.dense.leftover.len() => {
                    budget.spend(self.leftover(graph, peel));
                    self.cursor += 1;
                }
                Phase::Leftover => {
                    let first = self.aside_slot;
                    let inputs = self.dense.leftover.iter().map(|&r| row_slot(graph, r as usize)).collect();
                    let outputs = self.dense.pivots.iter().map(|&(c, _)| first + c).collect();
                    self.russians = Some(Russians::new(&mut self.program, inputs, outputs, false));
                    self.enter(Phase::Pivots);
                }
                Phase::Pivots => {
                    let russians = self.russians.as_mut().expect("made on entering this phase");
                    let (dense, words) = (&self.dense, self.dense.sums_at / 64);
                    let (ended, cost) = russians.advance(&mut self.program, |o| {
                        &dense.matrix.row(dense.pivots[o].1 as usize)[words..]
                    });
                    budget.spend(cost);
                    if ended {
                        self.enter(Phase::Heavy);
                    }
                }
                Phase::Heavy => {
                    budget.spend(self.heavy(code, graph, peel));
                    let first = self.aside_slot;
                    let inputs = self.dense.free.iter().map(|&f| first + f).collect();
                    let outputs = self.dense.pivots.iter().map(|&(c, _)| first + c).collect();
                    self.russians = Some(Russians::new(&mut self.program, inputs, outputs, true));
                    self.enter(Phase::Complete);
                }
                Phase::Complete => {
                    let russians = self.russians.as_mut().expect("made on entering this phase");
                    let bits = &self.free_bits;
                    let (ended, cost) = russians.advance(&mut self.program, |o| bits.row(o));
                    budget.spend(cost);
                    if ended {
                        self.set_aside(graph, peel);
                        self.enter(Phase::Backward);
                    }
                }
                Phase::Backward if self.cursor < peel.order.len() => {
                    budget.spend(self.backward(code, graph, peel));
                    self.cursor += 1;
                }
                Phase::Backward => return true,
            }
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.cursor = 0;
    }

    fn forward(&mut self, graph: &Graph, peel: &Peel) -> usize {
        let (row, pivot) = peel.order[self.cursor];
        let list = graph.row(row as usize);
        self.program.sum(graph.missing[pivot as usize], 1 + list.len(), |sum| {
            if let Some(slot) = graph.right_side(row as usize) {
                sum.add(slot);
            }
            for &column in list {
                if column != pivot && peel.place[column as usize] & ASIDE == 0 {
                    sum.add(graph.missing[column as usize]);
                }
            }
        });
        list.len()
    }

    fn leftover(&mut self, graph: &Graph, peel: &Peel) -> usize {
        let row = self.dense.leftover[self.cursor] as usize;
        let list = graph.row(row);
        self.program.sum(row_slot(graph, row), 1 + list.len(), |sum| {
            if let Some(slot) = graph.right_side(row) {
                sum.add(slot);
            }
            for &column in list {
                if peel.place[column as usize] & ASIDE == 0 {
                    sum.add(graph.missing[column as usize]);
                }
            }
        });
        list.len()
    }

    /// The free columns: the right-hand sides of the rows over GF(256), then their weighted sums.
    fn heavy(&mut self, code: &Structure, graph: &Graph, peel: &Peel) -> usize {
        let free = self.dense.free.len();
        if free == 0 {
            return 0;
        }
        let rows = self.dense.weights[0].len();
        let first = self.program.add_slots(rows as u32);
        let heavy = code.heavy as usize;
        for r in (0..rows).filter(|&r| self.dense.weights.iter().any(|w| w[r] != 0)) {
            let own = (r >= heavy).then(|| (graph.dense[r - heavy].0, 1));
            let pivots = self.dense.pivots.iter().filter_map(|&(column, _)| {
                let c = coefficient(code, graph, r, column.checked_sub(peel.aside)?);
                (c != 0).then_some((self.aside_slot + column, c))
            });
            self.program.scaled_sum(first + r as u32, own.into_iter().chain(pivots));
        }
        for (&column, weights) in self.dense.free.iter().zip(&self.dense.weights) {
            let terms = weights.iter().enumerate().filter(|(_, w)| **w != 0);
            self.program.scaled_sum(self.aside_slot + column, terms.map(|(r, &w)| (first + r as u32, w)));
        }
        rows * self.dense.pivots.len()
    }

    /// Puts the source symbols among the columns set aside in their own slots.
    fn set_aside(&mut self, graph: &Graph, peel: &Peel) {
        for (column, &place) in peel.place.iter().enumerate() {
            if place & ASIDE != 0 {
                let from = self.aside_slot + (place & !ASIDE);
                self.program.sum(graph.missing[column], 1, |sum| sum.add(from));
            }
        }
    }

    fn backward(&mut self, code: &Structure, graph: &Graph, peel: &Peel) -> usize {
        let at = self.cursor;
        let (row, pivot) = peel.order[at];
        let dst = graph.missing[pivot as usize];
        let list = graph.row(row as usize);
        let ones: u32 = self.dense.vectors.row(at).iter().map(|w| w.count_ones()).sum();
        if self.needed[at] && ones == 0 {
            return 1;
        }
        if self.needed[at] && (ones as usize) < list.len() + 2 {
            self.program.sum(dst, 1 + ones as usize, |sum| {
                sum.add(dst);
                for column in self.dense.vectors.ones(at) {
                    sum.add(self.aside_slot + column as u32);
                }
            });
            return ones as usize + self.dense.vectors.row(at).len();
        }
        self.program.sum(dst, list.len() + 4, |sum| {
            if let Some(slot) = graph.right_side(row as usize) {
                sum.add(slot);
            }
            for &column in list {
                if column != pivot {
                    sum.add(graph.missing[column as usize]);
                }
            }
            each_parity(code, graph, peel, row as usize, |c| sum.add(self.aside_slot + c as u32));
        });
        list.len() + 3
    }
}

/// Slot of a row's right-hand side, whether or not anything is in it yet.
fn row_slot(graph: &Graph, row: usize) -> u32 {
    match graph.slots.get(row) {
        Some(&slot) => slot,
        None => graph.layout.stairs + (row - graph.coded_rows()) as u32,
    }
}
