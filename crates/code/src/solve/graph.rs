//! The sparse equations over the missing source symbols.

use super::{Budget, Layout};
use crate::kernel::Program;
use crate::structure::{CodedId, Structure, Tail};
use alloc::vec;
use alloc::vec::Vec;

/// Marks a source symbol that is known.
pub(super) const KNOWN: u32 = u32::MAX;

/// Rows are the sparse coded symbols, then the staircase rows; columns are the missing source symbols. The parities
/// that a row sums are kept apart: they are set aside from the start.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub layout: Layout,
    /// Source symbol of each column.
    pub missing: Vec<u32>,
    /// Column of each source symbol, or [`KNOWN`].
    column_of: Vec<u32>,
    coded: Vec<CodedId>,
    /// Sparse coded rows: the slot of each, and its parities.
    pub slots: Vec<u32>,
    pub tails: Vec<Tail>,
    /// Dense coded symbols: (slot, seed).
    pub dense: Vec<(u32, u64)>,
    /// Columns of row r: `row_columns[row_starts[r]..row_starts[r + 1]]`.
    pub row_starts: Vec<u32>,
    pub row_columns: Vec<u32>,
    pub column_starts: Vec<u32>,
    pub column_rows: Vec<u32>,
    /// Adds what is known to the right-hand sides.
    pub program: Program,
    /// Coded symbols and staircase rows read so far.
    cursor: usize,
    stairs_done: u32,
    any_known: bool,
}

impl Graph {
    pub fn new(code: &Structure, missing: Vec<u32>, coded: Vec<CodedId>) -> Self {
        let mut column_of = vec![KNOWN; code.source as usize];
        for (column, &source) in missing.iter().enumerate() {
            column_of[source as usize] = column as u32;
        }
        let layout = Layout::new(code, coded.len() as u32);
        let edges = 3 * missing.len() + 6 * coded.len();
        let mut row_starts = Vec::with_capacity(coded.len() + code.staircase as usize + 1);
        row_starts.push(0);
        Self {
            layout,
            any_known: missing.len() < column_of.len(),
            column_starts: vec![0; missing.len() + 1],
            column_of,
            slots: Vec::with_capacity(coded.len()),
            tails: Vec::with_capacity(coded.len()),
            dense: Vec::new(),
            row_starts,
            row_columns: Vec::with_capacity(edges),
            column_rows: Vec::new(),
            program: Program::new(layout.end),
            cursor: 0,
            stairs_done: 0,
            missing,
            coded,
        }
    }

    /// Rows that came from coded symbols; the staircase rows follow.
    pub fn coded_rows(&self) -> usize {
        self.tails.len()
    }

    pub fn rows(&self) -> usize {
        self.row_starts.len() - 1
    }

    pub fn row(&self, row: usize) -> &[u32] {
        &self.row_columns[self.row_starts[row] as usize..self.row_starts[row + 1] as usize]
    }

    pub fn column(&self, column: u32) -> &[u32] {
        let column = column as usize;
        &self.column_rows[self.column_starts[column] as usize..self.column_starts[column + 1] as usize]
    }

    /// Slot that holds the right-hand side of a row; none when it is zero.
    pub fn right_side(&self, row: usize) -> Option<u32> {
        match self.slots.get(row) {
            Some(&slot) => Some(slot),
            None => self.any_known.then(|| self.layout.stairs + (row - self.coded_rows()) as u32),
        }
    }

    /// True when the graph is whole.
    pub fn advance(&mut self, code: &Structure, budget: &mut Budget) -> bool {
        while self.cursor < self.coded.len() {
            if budget.is_spent() {
                return false;
            }
            let edges = self.read_coded(code);
            budget.spend(edges);
        }
        while self.stairs_done < code.staircase {
            if budget.is_spent() {
                return false;
            }
            let edges = self.read_stair(code);
            budget.spend(edges);
        }
        self.turn();
        budget.spend(self.row_columns.len());
        true
    }

    fn read_coded(&mut self, code: &Structure) -> usize {
        let id = self.coded[self.cursor];
        let slot = self.layout.coded + self.cursor as u32;
        self.cursor += 1;
        if code.is_dense(id) {
            self.dense.push((slot, id.seed));
            return 1;
        }
        let draw = code.draw(id);
        let before = self.row_columns.len();
        if self.any_known {
            let (columns, starts) = (&mut self.row_columns, &mut self.column_starts);
            let column_of = &self.column_of[..];
            self.program.sum(slot, 1 + draw.degree as usize, |sum| {
                sum.add(slot);
                code.neighbours(&draw, |source| {
                    let column = column_of[source as usize];
                    if column == KNOWN {
                        sum.add(source);
                    } else {
                        columns.push(column);
                        starts[column as usize + 1] += 1;
                    }
                });
            });
        } else {
            code.neighbours(&draw, |source| self.row_columns.push(source));
            for &column in &self.row_columns[before..] {
                self.column_starts[column as usize + 1] += 1;
            }
        }
        let (edges, tail) = (draw.degree as usize, draw.tail);
        self.row_starts.push(self.row_columns.len() as u32);
        self.slots.push(slot);
        self.tails.push(tail);
        edges
    }

    fn read_stair(&mut self, code: &Structure) -> usize {
        let row = self.stairs_done;
        self.stairs_done += 1;
        let mut edges = 0;
        if self.any_known {
            let (columns, starts) = (&mut self.row_columns, &mut self.column_starts);
            let column_of = &self.column_of[..];
            self.program.sum(self.layout.stairs + row, code.stair_most(), |sum| {
                code.stair(row, |source| {
                    edges += 1;
                    let column = column_of[source as usize];
                    if column == KNOWN {
                        sum.add(source);
                    } else {
                        columns.push(column);
                        starts[column as usize + 1] += 1;
                    }
                });
            });
        } else {
            code.stair(row, |source| {
                edges += 1;
                self.row_columns.push(source);
                self.column_starts[source as usize + 1] += 1;
            });
        }
        self.row_starts.push(self.row_columns.len() as u32);
        edges
    }

    /// Lists the rows of every column.
    fn turn(&mut self) {
        let mut at = 0;
        // Each start is left one place early: filling moves it to where the column begins.
        for start in &mut self.column_starts[1..] {
            let n = core::mem::replace(start, at);
            at += n;
        }
        self.column_rows = vec![0; self.row_columns.len()];
        for row in 0..self.rows() {
            for &column in &self.row_columns[self.row_starts[row] as usize..self.row_starts[row + 1] as usize]
            {
                let place = &mut self.column_starts[column as usize + 1];
                self.column_rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        self.column_of = Vec::new();
        self.coded = Vec::new();
    }
}
