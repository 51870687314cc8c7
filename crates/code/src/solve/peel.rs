//! Peeling with symbols set aside ("inactivation", RFC 6330, section 5.4.2.2).

use super::Budget;
use super::graph::Graph;
use alloc::vec;
use alloc::vec::Vec;

/// Bit of a column's place: it was set aside, and the other bits are its number among those.
pub(super) const ASIDE: u32 = 1 << 31;
const ACTIVE: u32 = u32::MAX;

/// The order found.
#[derive(Clone, Debug)]
pub(super) struct Peel {
    /// (row, column): the row gives the column from earlier columns and those set aside.
    pub order: Vec<(u32, u32)>,
    /// Place of each column in `order`, or its number among those set aside, marked by [`ASIDE`].
    pub place: Vec<u32>,
    /// Columns set aside.
    pub aside: u32,
    /// Whether a row gave a column.
    pub used: Vec<bool>,
    /// Active columns of each row: their number and the XOR of their numbers.
    active: Vec<(u32, u32)>,
    /// Rows that reached one active column, and two.
    ones: Vec<u32>,
    twos: Vec<u32>,
    /// Columns by falling degree, for when no row of two is left; made when first needed.
    fallback: Option<Vec<u32>>,
}

impl Peel {
    pub fn new(graph: &Graph) -> Self {
        let columns = graph.missing.len();
        let rows = graph.rows();
        let mut peel = Self {
            order: Vec::with_capacity(columns),
            place: vec![ACTIVE; columns],
            aside: 0,
            used: vec![false; rows],
            active: Vec::with_capacity(rows),
            ones: Vec::new(),
            twos: Vec::new(),
            fallback: None,
        };
        for row in 0..rows {
            let list = graph.row(row);
            peel.active.push((list.len() as u32, list.iter().fold(0, |x, c| x ^ c)));
            match list.len() {
                1 => peel.ones.push(row as u32),
                2 => peel.twos.push(row as u32),
                _ => {}
            }
        }
        peel
    }

    /// True when no column is active any more.
    pub fn advance(&mut self, graph: &Graph, budget: &mut Budget) -> bool {
        let columns = graph.missing.len();
        while self.order.len() + (self.aside as usize) < columns {
            if budget.is_spent() {
                return false;
            }
            let column = match self.next_single() {
                Some((row, column)) => {
                    self.used[row as usize] = true;
                    self.place[column as usize] = self.order.len() as u32;
                    self.order.push((row, column));
                    column
                }
                None => {
                    let column = self.choose(graph);
                    self.place[column as usize] = ASIDE | self.aside;
                    self.aside += 1;
                    column
                }
            };
            let rows = graph.column(column);
            budget.spend(rows.len());
            for &row in rows {
                let (left, xor) = &mut self.active[row as usize];
                *left -= 1;
                *xor ^= column;
                match *left {
                    1 => self.ones.push(row),
                    2 => self.twos.push(row),
                    _ => {}
                }
            }
        }
        true
    }

    fn next_single(&mut self) -> Option<(u32, u32)> {
        while let Some(row) = self.ones.pop() {
            if let (1, column) = self.active[row as usize] {
                return Some((row, column));
            }
        }
        None
    }

    /// The column to set aside: of a row of two the one in more equations, so that the row gives the other.
    fn choose(&mut self, graph: &Graph) -> u32 {
        while let Some(row) = self.twos.pop() {
            let (2, both) = self.active[row as usize] else { continue };
            let list = graph.row(row as usize);
            let first = list.iter().copied().find(|&c| self.place[c as usize] == ACTIVE);
            let first = first.expect("the row has two active columns");
            let second = both ^ first;
            let more = graph.column(first).len() >= graph.column(second).len();
            return if more { first } else { second };
        }
        let fallback = self.fallback.get_or_insert_with(|| {
            let mut all: Vec<u32> = (0..graph.missing.len() as u32).collect();
            all.sort_unstable_by_key(|&c| (graph.column(c).len(), c));
            all
        });
        loop {
            let column = fallback.pop().expect("a column is still active, and the list began with all");
            if self.place[column as usize] == ACTIVE {
                return column;
            }
        }
    }
}
