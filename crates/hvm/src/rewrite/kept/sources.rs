//! How many sources the values have that meet: what compilers join into one.
use super::super::bounds::{COMPILING, FORWARD, of_meets, of_sources};
use super::{Values, What};

impl Values {
    /// The units of compiling for all values that meet and are used. Where that was not looked at to the end, more than any task may have.
    pub fn meeting(&self) -> u64 {
        if self.is_too_much() {
            return COMPILING.max + 1;
        }
        let mut meets = self.meets.clone();
        meets.sort_unstable();
        let is_live = self.live(&meets);
        // Values that meet one behind the other are one to a compiler.
        let mut joined: Vec<u32> = (0..self.values.len() as u32).collect();
        for (meet, input) in meets.iter().filter(|(meet, _)| is_live[*meet as usize]) {
            if self.values[*input as usize].what == What::Meet {
                let (a, b) = (root(&mut joined, *meet), root(&mut joined, *input));
                joined[a.max(b) as usize] = a.min(b);
            }
        }
        let mut sources = vec![0_u64; self.values.len()];
        for (meet, _) in meets.iter().filter(|(meet, _)| is_live[*meet as usize]) {
            let is_head = self.values[*meet as usize].is_head;
            sources[root(&mut joined, *meet) as usize] += if is_head { 1 } else { FORWARD };
        }
        let met = is_live.iter().filter(|is_live| **is_live).count() as u64;
        let units = of_meets(met, self.locals.len() as u64).saturating_add(self.back);
        sources.into_iter().map(of_sources).fold(units, u64::saturating_add)
    }

    /// Which values that meet are taken by an operator, or are sources of such.
    fn live(&self, sorted: &[(u32, u32)]) -> Vec<bool> {
        let mut is_live = vec![false; self.values.len()];
        let mut next: Vec<u32> = (0..self.values.len() as u32)
            .filter(|value| {
                self.values[*value as usize].what == What::Meet && self.values[*value as usize].is_used
            })
            .collect();
        next.iter().for_each(|value| is_live[*value as usize] = true);
        while let Some(meet) = next.pop() {
            let from = sorted.partition_point(|(value, _)| *value < meet);
            for (_, input) in sorted[from..].iter().take_while(|(value, _)| *value == meet) {
                if self.values[*input as usize].what == What::Meet && !is_live[*input as usize] {
                    is_live[*input as usize] = true;
                    next.push(*input);
                }
            }
        }
        is_live
    }
}

/// What a value is joined with, shortening the way there.
fn root(joined: &mut [u32], mut value: u32) -> u32 {
    while joined[value as usize] != value {
        joined[value as usize] = joined[joined[value as usize] as usize];
        value = joined[value as usize];
    }
    value
}
