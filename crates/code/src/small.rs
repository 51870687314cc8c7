//! Blocks of at most 64 symbols: Cauchy Reed-Solomon over the source symbols themselves. Any K different rows decode.

use crate::gf256;
use crate::kernel::Program;
use crate::structure::{CodedId, Structure};
use alloc::vec;
use alloc::vec::Vec;

/// The Cauchy row of a coded symbol: its point of the field is `K + row`. Other classes are the same rows.
pub(crate) fn row_of(code: &Structure, id: CodedId) -> u32 {
    (id.seed % u64::from(256 - code.source)) as u32
}

/// The program that makes the `missing` symbols; slots are source symbols, then coded symbols. `Err(n)`: n further
/// rows are needed.
pub(crate) fn solve(code: &Structure, missing: &[u32], coded: &[CodedId]) -> Result<Program, u32> {
    let k = code.source;
    let m = missing.len();
    // (point of the field, slot), each row once.
    let mut rows: Vec<(u8, u32)> = Vec::with_capacity(m);
    let mut seen = [false; 256];
    for (slot, id) in coded.iter().enumerate() {
        let row = row_of(code, *id);
        if rows.len() < m && !core::mem::replace(&mut seen[row as usize], true) {
            rows.push(((k + row) as u8, k + slot as u32));
        }
    }
    if rows.len() < m {
        return Err((m - rows.len()) as u32);
    }

    let mut program = Program::new(k + coded.len() as u32);
    let mut is_missing = vec![false; k as usize];
    missing.iter().for_each(|&i| is_missing[i as usize] = true);
    if m < k as usize {
        for &(point, slot) in &rows {
            let known = (0..k).filter(|&i| !is_missing[i as usize]);
            let terms = known.map(|i| (i, gf256::inv(point ^ i as u8)));
            program.scaled_sum(slot, core::iter::once((slot, 1)).chain(terms));
        }
    }

    // The inverse of the Cauchy matrix 1 / (x_r + y_c) in closed form (Schechter 1959):
    // b_cr = a_r * b_c / (x_r + y_c).
    let points: Vec<u8> = rows.iter().map(|&(x, _)| x).collect();
    let columns: Vec<u8> = missing.iter().map(|&y| y as u8).collect();
    let factor = |own: u8, same: &[u8], others: &[u8]| {
        let over = others.iter().fold(1, |p, &o| gf256::mul(p, own ^ o));
        let under = same.iter().filter(|&&s| s != own).fold(1, |p, &s| gf256::mul(p, own ^ s));
        gf256::mul(over, gf256::inv(under))
    };
    let row_factors: Vec<u8> = points.iter().map(|&x| factor(x, &points, &columns)).collect();
    for &y in &columns {
        let column_factor = factor(y, &columns, &points);
        let terms = rows
            .iter()
            .zip(&row_factors)
            .map(|(&(x, slot), &a)| (slot, gf256::mul(gf256::mul(a, column_factor), gf256::inv(x ^ y))));
        program.scaled_sum(u32::from(y), terms);
    }
    Ok(program)
}
