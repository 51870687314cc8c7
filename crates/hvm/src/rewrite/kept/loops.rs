//! Which locals loops write: known before a loop's head is taken in.
use std::collections::BTreeSet;

use wasmparser::{Operator, OperatorsReader};

/// The locals that each loop writes, in the order in which loops begin; none when there are more than `max` in all.
pub(in super::super) fn written_in_loops(reader: OperatorsReader<'_>, max: usize) -> Option<Vec<Vec<u32>>> {
    let mut loops: Vec<BTreeSet<u32>> = Vec::new();
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut open_loops: Vec<usize> = Vec::new();
    let mut count = 0;
    for operator in reader {
        match operator {
            Ok(Operator::Block { .. } | Operator::If { .. }) => open.push(None),
            Ok(Operator::Loop { .. }) => {
                open.push(Some(loops.len()));
                open_loops.push(loops.len());
                loops.push(Default::default());
            }
            Ok(Operator::End) => {
                if open.pop().flatten().is_some() {
                    open_loops.pop();
                }
            }
            Ok(Operator::LocalSet { local_index } | Operator::LocalTee { local_index }) => {
                for number in open_loops.iter().rev() {
                    if !loops[*number].insert(local_index) {
                        break;
                    }
                    count += 1;
                }
                if count > max {
                    return None;
                }
            }
            Ok(_) => {}
            // The validator says what is wrong with it.
            Err(_) => break,
        }
    }
    Some(loops.into_iter().map(|locals| locals.into_iter().collect()).collect())
}
