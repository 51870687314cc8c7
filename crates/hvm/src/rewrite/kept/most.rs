//! How many values are alive at once, when all of a function's are known.
use super::{NONE, ROUNDS_MAX, Values, What};

impl Values {
    /// The most values that are alive at once besides locals and operands.
    pub fn most(mut self) -> u64 {
        let ops = self.within.len();
        if self.is_too_much() || self.has_hidden_meets() {
            return self.free;
        }
        let mut sunk: Vec<u32> = self.values.iter().map(|value| value.end).collect();
        for index in (0..self.values.len()).rev() {
            let value = &self.values[index];
            if value.what == What::Free {
                for input in value.inputs.into_iter().filter(|input| *input != NONE) {
                    sunk[input as usize] = sunk[input as usize].max(sunk[index]);
                }
            }
        }
        // How many more are alive from an operator on.
        let mut changes = vec![0_i64; ops + 2];
        let mut count = |weight: i64, start: u32, end: u32| {
            changes[start as usize] += weight;
            changes[end as usize + 1] -= weight;
        };
        #[allow(clippy::needless_range_loop, reason = "several tables are looked up by it")]
        for index in 0..self.values.len() {
            let value = &self.values[index];
            if value.what != What::Free {
                continue;
            }
            if value.is_shared {
                count(1, value.start, self.with_loops(value.start, value.end.max(value.start)));
            }
            let mut inputs: Vec<u32> = (value.inputs.into_iter())
                .filter(|input| *input != NONE && self.values[*input as usize].what != What::Constant)
                .collect();
            inputs.sort_unstable();
            inputs.dedup();
            if inputs.len() > 1 {
                let end = self.with_loops(value.start, sunk[index].max(value.start));
                count(inputs.len() as i64 - 1, value.start, end);
            }
        }
        let mut alive = 0;
        let mut most = 0;
        for change in changes {
            alive += change;
            most = most.max(alive);
        }
        // Never more than there are.
        (most.max(0) as u64).min(2 * self.free)
    }

    /// Where a value's life ends that begins here and is last used there: what a loop uses again is kept to its end.
    fn with_loops(&self, start: u32, end: u32) -> u32 {
        let mut last = end;
        let mut around = self.within.get(end as usize).copied().unwrap_or(NONE);
        while let Some((begins, ends, outer)) = self.loops.get(around as usize) {
            if *begins <= start {
                break;
            }
            last = last.max(*ends);
            around = *outer;
        }
        last.min(self.within.len() as u32)
    }

    /// Whether values that meet, and were taken for new ones, are one and the same after all. No compiler writes such code.
    fn has_hidden_meets(&mut self) -> bool {
        let mut same: Vec<u32> = vec![NONE; self.values.len()];
        for round in 0.. {
            if round == ROUNDS_MAX {
                return true;
            }
            let mut is_changed = false;
            for (meet, input) in &self.meets {
                let of = match self.values[*input as usize].what {
                    What::Meet => same[*input as usize],
                    _ => *input,
                };
                let known = same[*meet as usize];
                if of == NONE || of == known || known == *meet {
                    continue;
                }
                same[*meet as usize] = if known == NONE { of } else { *meet };
                is_changed = true;
            }
            if !is_changed {
                break;
            }
        }
        self.meets.iter().any(|(meet, _)| {
            let of = same[*meet as usize];
            of != NONE && of != *meet && self.values[of as usize].what != What::Constant
        })
    }
}
