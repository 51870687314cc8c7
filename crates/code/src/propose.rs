//! Which coded symbols a receiver should ask for.

use crate::held::Held;
use crate::small::row_of;
use crate::solve::{Budget, Solver};
use crate::structure::{CodedId, DENSITY_CLASSES, Structure, mix, scale};
use alloc::vec;
use alloc::vec::Vec;

/// With at most so many missing, dense symbols cost less than sparse ones of the degree that they would need.
const DENSE_MISSING_MAX: u32 = 48;

/// One in so many of the symbols that touch one missing source symbol is proposed.
const LONE_ONE_IN: u64 = 32;

/// The sparsest class whose symbols touch enough of what is missing.
fn density_for(code: &Structure, missing: u32) -> u8 {
    let wanted = u64::from(code.source) * 256;
    let enough = |&class: &u8| u64::from(scale(class)) * u64::from(missing) * 100 >= wanted * 40;
    (1..DENSITY_CLASSES).find(enough).unwrap_or(DENSITY_CLASSES - 1)
}

/// Blocks of which more is missing are not looked at beforehand.
const LOOKED_AT_MISSING_MAX: u32 = 4096;

/// Work that a call spends at most on looking, in bytes of XOR that take as long: two milliseconds, tries again included. It is
/// enough for blocks of 16,384 symbols.
const LOOK_BYTES: usize = 32 << 20;

/// How often proposals are replaced by others before they are let go as they are.
const TRIES: usize = 8;

/// See [`crate::Decoder::propose_beside`]; `failed`: with the symbols held, decoding was tried in vain.
pub(crate) fn propose(
    code: &Structure,
    held: &Held,
    failed: bool,
    asked: &[CodedId],
    count: u32,
    salt: u64,
) -> Vec<CodedId> {
    let mut proposed = Vec::new();
    if held.missing() == 0 {
        return proposed;
    }
    // What is on its way already: sorted, each once, without what is held.
    let mut asked: Vec<CodedId> = asked.iter().copied().filter(|id| !held.has_coded(*id)).collect();
    asked.sort_unstable();
    asked.dedup();
    let is_new = |id: CodedId| !held.has_coded(id) && asked.binary_search(&id).is_err();
    if code.is_small() {
        // Rows are worth what their numbers are: classes and greater seeds only repeat them.
        let rows = 256 - u64::from(code.source);
        let mut taken = [false; 256];
        let (_, ids) = held.coded_list();
        ids.iter().chain(&asked).for_each(|id| taken[row_of(code, *id) as usize] = true);
        let start = mix(salt) % rows;
        let ids = (0..rows).map(|i| CodedId { density: 0, seed: (start + i) % rows });
        proposed.extend(ids.filter(|id| !taken[id.seed as usize]).take(count as usize));
        return proposed;
    }
    let mut draw = Draw { code, held, density: None, salt, counter: 0 };
    let few = held.missing() <= DENSE_MISSING_MAX.min(code.staircase * 3 / 4);
    if failed || !few || !parities_tell(code, held) {
        draw.density = Some(density_for(code, held.missing()));
    }
    draw.more(&mut proposed, count as usize, is_new);

    // When these are to complete the block, they shall: what follows from the others is replaced.
    let enough = held.coded() as usize + asked.len() + proposed.len() >= held.missing() as usize;
    if !enough || failed || held.missing() > LOOKED_AT_MISSING_MAX {
        return proposed;
    }
    let (_, ids) = held.coded_list();
    let fixed = ids.len() + asked.len();
    let mut budget = Budget::new(LOOK_BYTES);
    for tried in 0..TRIES {
        let all = [&ids[..], &asked[..], &proposed[..]].concat();
        let mut solver = Solver::new(*code, held.missing_list(), all);
        let Some(redundant) = solver.lacks(&mut budget) else { break };
        let count = proposed.len();
        let mut needless: Vec<usize> =
            redundant.iter().filter_map(|&at| (at as usize).checked_sub(fixed)).collect();
        if needless.is_empty() {
            if !redundant.is_empty() {
                // What is held or asked says too little: no other proposals of this number would do.
                break;
            }
            // The equations over the larger field are at odds. Most symbols have their part in that: the last one goes, and
            // more where that did not help.
            needless.extend(count.saturating_sub(1 << tried)..count);
        }
        needless.sort_unstable();
        for at in needless.into_iter().rev() {
            proposed.swap_remove(at);
        }
        draw.more(&mut proposed, count, is_new);
    }
    proposed
}

/// Draws ids from a salt.
struct Draw<'d> {
    code: &'d Structure,
    held: &'d Held,
    /// None: dense symbols over the parities.
    density: Option<u8>,
    salt: u64,
    counter: u64,
}

impl Draw<'_> {
    /// Adds new ids until there are `count`; gives up after many draws in vain.
    fn more(&mut self, proposed: &mut Vec<CodedId>, count: usize, is_new: impl Fn(CodedId) -> bool) {
        let end = self.counter + 64 * (count - proposed.len()) as u64;
        while proposed.len() < count && self.counter < end {
            let seed = mix(mix(self.salt).wrapping_add(self.counter));
            let id = CodedId { density: self.density.unwrap_or(0), seed };
            self.counter += 1;
            if (self.density.is_none() || self.is_worth_asking(id)) && is_new(id) {
                proposed.push(id);
            }
        }
    }

    fn is_worth_asking(&mut self, id: CodedId) -> bool {
        let mut touched = 0;
        self.code.neighbours(&self.code.draw(id), |i| touched += u32::from(!self.held.has(i)));
        // A symbol that touches one missing source symbol says little that others do not say.
        touched > 1 || (touched == 1 && self.counter.is_multiple_of(LONE_ONE_IN))
    }
}

/// Whether the staircase parities alone would give what is missing. Dense symbols sum parities only, so that some losses
/// stay hidden from any number of them: sets of source symbols that cancel out in every staircase row.
fn parities_tell(code: &Structure, held: &Held) -> bool {
    let words = code.staircase.div_ceil(64) as usize;
    // Rows in echelon form: (leading bit, words).
    let mut basis: Vec<(usize, Vec<u64>)> = Vec::new();
    for index in held.missing_list() {
        let mut row = vec![0u64; words];
        for hit in code.hits(index) {
            row[hit as usize / 64] ^= 1 << (hit % 64);
        }
        for (lead, other) in &basis {
            if row[lead / 64] >> (lead % 64) & 1 != 0 {
                row.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
            }
        }
        let Some(word) = row.iter().position(|w| *w != 0) else { return false };
        basis.push((word * 64 + row[word].trailing_zeros() as usize, row));
    }
    true
}
