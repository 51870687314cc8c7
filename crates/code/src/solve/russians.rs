//! Many sums of the same symbols, by tables of the sums of a few at a time ("four Russians").

use crate::kernel::Program;
use alloc::vec;
use alloc::vec::Vec;

/// Most temporary slots that tables take at once.
const TEMPORARY_SLOTS_MAX: usize = 2048;

/// Sums being written. Output o is the sum of the inputs i whose bit i is set in `bits(o)`, added to what `dst` holds
/// when `adds` says so.
#[derive(Clone, Debug)]
pub(super) struct Russians {
    inputs: Vec<u32>,
    /// Slots of the outputs.
    outputs: Vec<u32>,
    /// Whether the outputs hold something to add to.
    adds: bool,
    group: usize,
    groups_at_once: usize,
    temporary: u32,
    cursor: usize,
}

impl Russians {
    pub fn new(program: &mut Program, inputs: Vec<u32>, outputs: Vec<u32>, adds: bool) -> Self {
        // The group size with the least operands: a table costs two operands an entry.
        let cost = |g: usize| inputs.len().div_ceil(g) * (2 * ((1 << g) - 1 - g) + outputs.len());
        let group = (1..=8).min_by_key(|&g| cost(g)).unwrap_or(1);
        let groups = inputs.len().div_ceil(group);
        let groups_at_once = (TEMPORARY_SLOTS_MAX >> group).min(groups).max(1);
        let temporary = if group > 1 { program.add_slots((groups_at_once << group) as u32) } else { 0 };
        Self { inputs, outputs, adds, group, groups_at_once, temporary, cursor: 0 }
    }

    /// Writes the next tables and what the outputs take from them; true at the end. Returns the work done too.
    pub fn advance<'b>(&mut self, program: &mut Program, bits: impl Fn(usize) -> &'b [u64]) -> (bool, usize) {
        let first = self.cursor;
        if first >= self.inputs.len() && (first > 0 || self.adds) {
            return (true, 0);
        }
        let span = self.inputs.len().min(first + self.groups_at_once * self.group) - first;
        let groups = span.div_ceil(self.group);
        let size = 1usize << self.group;
        let code = |words: &[u64], g: usize| {
            let at = first + g * self.group;
            let low = words[at / 64] >> (at % 64);
            let high = if at.is_multiple_of(64) {
                0
            } else {
                words.get(at / 64 + 1).map_or(0, |w| w << (64 - at % 64))
            };
            ((low | high) as usize) & ((1 << self.group.min(first + span - at)) - 1)
        };

        let mut wanted = vec![false; groups * size];
        for o in 0..self.outputs.len() {
            let words = bits(o);
            for g in 0..groups {
                wanted[g * size + code(words, g)] = true;
            }
        }
        let slot = |g: usize, v: usize| {
            if v.is_power_of_two() {
                self.inputs[first + g * self.group + v.trailing_zeros() as usize]
            } else {
                self.temporary + (g * size + v) as u32
            }
        };
        for g in 0..groups {
            for v in (1..size).rev() {
                if wanted[g * size + v] {
                    wanted[g * size + (v & (v - 1))] = true;
                }
            }
            for v in 1..size {
                if wanted[g * size + v] && !v.is_power_of_two() {
                    program.sum(slot(g, v), 2, |sum| {
                        sum.add(slot(g, v & (v - 1)));
                        sum.add(slot(g, v & v.wrapping_neg()));
                    });
                }
            }
        }
        let adds = self.adds || first > 0;
        for (o, &dst) in self.outputs.iter().enumerate() {
            let words = bits(o);
            program.sum(dst, 1 + groups, |sum| {
                if adds {
                    sum.add(dst);
                }
                for g in 0..groups {
                    let v = code(words, g);
                    if v != 0 {
                        sum.add(slot(g, v));
                    }
                }
            });
        }
        self.cursor = first + span;
        (self.cursor >= self.inputs.len(), groups * (size + self.outputs.len()))
    }
}
