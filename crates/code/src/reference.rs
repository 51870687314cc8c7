//! The code written for reading: one field, one dense matrix, one elimination. Slow; the fast engine is held
//! against it.

use crate::geometry::Geometry;
use crate::gf256;
use crate::structure::{CodedId, Structure};
use alloc::vec;
use alloc::vec::Vec;

/// `out += coefficient * symbol` over GF(256); a `symbol` shorter than `out` counts as zero padded.
pub fn add_scaled(out: &mut [u8], coefficient: u8, symbol: &[u8]) {
    for (o, s) in out.iter_mut().zip(symbol) {
        *o ^= gf256::mul(coefficient, *s);
    }
}

/// The parities of a block: S staircase symbols, then H heavy ones. Empty for a small block.
pub fn parity(geometry: Geometry, block: &[u8]) -> Vec<u8> {
    let t = geometry.symbol_len() as usize;
    let code = Structure::new(geometry.source_symbols());
    let mut rows = vec![vec![0u8; t]; code.parities() as usize];
    if code.is_small() {
        return Vec::new();
    }
    for i in 0..code.source {
        for row in code.hits(i) {
            add_scaled(&mut rows[row as usize], 1, &block[geometry.symbol_range(i)]);
        }
    }
    for j in 1..code.staircase as usize {
        let (before, here) = rows.split_at_mut(j);
        add_scaled(&mut here[0], 1, &before[j - 1]);
    }
    let (staircase, heavy) = rows.split_at_mut(code.staircase as usize);
    for (h, row) in heavy.iter_mut().enumerate() {
        for (j, p) in staircase.iter().enumerate() {
            add_scaled(row, code.heavy_coefficient(h as u32, j as u32), p);
        }
    }
    rows.concat()
}

/// One coded symbol of a block with its parity.
pub fn coded(geometry: Geometry, block: &[u8], parity: &[u8], id: CodedId) -> Vec<u8> {
    let t = geometry.symbol_len() as usize;
    let mut out = vec![0u8; t];
    for (column, coefficient) in coded_row(&Structure::new(geometry.source_symbols()), id) {
        let k = geometry.source_symbols();
        let symbol = if column < k {
            &block[geometry.symbol_range(column)]
        } else {
            &parity[(column - k) as usize * t..][..t]
        };
        add_scaled(&mut out, coefficient, symbol);
    }
    out
}

/// A coded symbol as (column, coefficient) pairs; columns are the K source symbols, then the parities.
pub(crate) fn coded_row(code: &Structure, id: CodedId) -> Vec<(u32, u8)> {
    let k = code.source;
    let mut row = Vec::new();
    if code.is_small() {
        row.extend((0..k).map(|i| (i, code.dense_coefficient(id.seed, i))));
    } else if id.density == 0 {
        row.extend((0..code.staircase).map(|j| (k + j, code.dense_coefficient(id.seed, j))));
    } else {
        let draw = code.draw(id);
        code.neighbours(&draw, |i| row.push((i, 1)));
        row.extend(draw.tail.staircase.map(|j| (k + j, 1)));
        row.push((k + code.staircase + draw.tail.heavy, 1));
    }
    row
}

/// Solves for the block from known source symbols and coded symbols, by Gaussian elimination over GF(256).
/// `sources[i]` is source symbol `i` padded to the symbol length. `Err(n)`: n more symbols are needed at least.
pub fn decode(
    geometry: Geometry,
    sources: &[Option<Vec<u8>>],
    coded: &[(CodedId, Vec<u8>)],
) -> Result<Vec<u8>, u32> {
    let t = geometry.symbol_len() as usize;
    let code = Structure::new(geometry.source_symbols());
    let k = code.source as usize;
    let columns = k + code.parities() as usize;

    // Every equation: its coefficients over all columns, and the symbol they sum to.
    let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let blank = || (vec![0u8; columns], vec![0u8; t]);
    for j in 0..code.staircase as usize {
        let mut row = blank();
        row.0[k + j] = 1;
        if j > 0 {
            row.0[k + j - 1] = 1;
        }
        rows.push(row);
    }
    if !code.is_small() {
        for i in 0..k {
            for hit in code.hits(i as u32) {
                rows[hit as usize].0[i] ^= 1;
            }
        }
    }
    for h in 0..code.heavy {
        let mut row = blank();
        for j in 0..code.staircase {
            row.0[k + j as usize] = code.heavy_coefficient(h, j);
        }
        row.0[k + (code.staircase + h) as usize] = 1;
        rows.push(row);
    }
    for (id, bytes) in coded {
        let mut row = blank();
        for (column, coefficient) in coded_row(&code, *id) {
            row.0[column as usize] = coefficient;
        }
        row.1[..bytes.len()].copy_from_slice(bytes);
        rows.push(row);
    }

    // Known source symbols move to the right-hand sides.
    for (coefficients, sum) in &mut rows {
        for (i, known) in sources.iter().enumerate() {
            if let Some(bytes) = known {
                add_scaled(sum, coefficients[i], bytes);
                coefficients[i] = 0;
            }
        }
    }

    // Gauss-Jordan; the pivot of column c ends up in rows[pivot[c]].
    let mut done = 0;
    let mut lacking = 0;
    let mut pivot = vec![usize::MAX; columns];
    for c in 0..columns {
        if c < k && sources[c].is_some() {
            continue;
        }
        let Some(found) = (done..rows.len()).find(|&r| rows[r].0[c] != 0) else {
            lacking += 1;
            continue;
        };
        rows.swap(done, found);
        let (mut line, mut sum) = core::mem::take(&mut rows[done]);
        let scale = gf256::inv(line[c]);
        line.iter_mut().chain(sum.iter_mut()).for_each(|v| *v = gf256::mul(*v, scale));
        for (coefficients, other) in &mut rows {
            if let Some(&f) = coefficients.get(c).filter(|&&f| f != 0) {
                add_scaled(&mut coefficients[c..], f, &line[c..]);
                add_scaled(other, f, &sum);
            }
        }
        rows[done] = (line, sum);
        pivot[c] = done;
        done += 1;
    }
    if lacking > 0 {
        return Err(lacking);
    }
    let mut block = Vec::with_capacity(k * t);
    for c in 0..k {
        block.extend_from_slice(sources[c].as_deref().unwrap_or_else(|| &rows[pivot[c]].1));
    }
    block.truncate(geometry.block_len() as usize);
    Ok(block)
}
