//! Which coded symbols a receiver should ask for.

use crate::held::Held;
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

/// See [`crate::Decoder::propose`]; `failed`: with the symbols held, decoding was tried in vain.
pub(crate) fn propose(code: &Structure, held: &Held, failed: bool, count: u32, salt: u64) -> Vec<CodedId> {
    let mut proposed = Vec::new();
    if held.missing() == 0 {
        return proposed;
    }
    if code.is_small() {
        let rows = 256 - u64::from(code.source);
        let start = mix(salt) % rows;
        let ids = (0..rows).map(|i| CodedId { density: 0, seed: (start + i) % rows });
        proposed.extend(ids.filter(|id| !held.has_coded(*id)).take(count as usize));
        return proposed;
    }
    if !failed && held.missing() <= DENSE_MISSING_MAX.min(code.staircase * 3 / 4) && parities_tell(code, held)
    {
        let ids =
            (0..u64::from(count) * 2).map(|i| CodedId { density: 0, seed: mix(mix(salt).wrapping_add(i)) });
        proposed.extend(ids.filter(|id| !held.has_coded(*id)).take(count as usize));
        return proposed;
    }
    let density = density_for(code, held.missing());
    let mut counter = 0u64;
    while proposed.len() < count as usize && counter < 64 * u64::from(count) {
        let id = CodedId { density, seed: mix(mix(salt).wrapping_add(counter)) };
        counter += 1;
        let mut touched = 0;
        code.neighbours(&code.draw(id), |i| touched += u32::from(!held.has(i)));
        // A symbol that touches one missing source symbol says little that others do not say.
        let lone = counter.is_multiple_of(LONE_ONE_IN);
        if (touched > 1 || (touched == 1 && lone)) && !held.has_coded(id) {
            proposed.push(id);
        }
    }
    proposed
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
