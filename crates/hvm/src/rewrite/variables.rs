//! A function's locals: what they hold, and where they are read.
use std::collections::BTreeMap;

use wasmparser::{BinaryReader, ValType};

use super::function::Function;
use super::op::Kind;

/// What a local holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Whole { is_32: bool },
    Float,
}

pub(super) struct Variables {
    /// Behind the last local of a group, and its type: parameters one by one, then as declared.
    groups: Vec<(u32, ValType)>,
    /// The first and the last operator that reads a local without one before it that wrote it, with no place in between where ways part or meet.
    reads: BTreeMap<u32, (u32, u32)>,
}

impl Variables {
    pub fn of(function: &Function, params: &[ValType], module: &[u8]) -> Self {
        let mut groups: Vec<(u32, ValType)> = params.iter().zip(1..).map(|(of, end)| (end, *of)).collect();
        let mut end = params.len() as u32;
        let mut reader = BinaryReader::new(&module[function.declared.clone()], 0);
        for _ in 0..function.groups {
            // Read before, when the function was validated.
            let (Ok(count), Ok(of)) = (reader.read_var_u32(), reader.read::<ValType>()) else { break };
            end += count;
            groups.push((end, of));
        }

        let mut reads = BTreeMap::new();
        // The stretch in which a local was last written.
        let mut written: BTreeMap<u32, u32> = BTreeMap::new();
        let mut stretch = 0;
        for (index, op) in (0..).zip(&function.ops) {
            match op.kind {
                Kind::Get(local) | Kind::LocalObserved { local, .. }
                    if written.get(&local) != Some(&stretch) =>
                {
                    reads.entry(local).or_insert((index, index)).1 = index;
                }
                Kind::Set(local) | Kind::Tee(local) => drop(written.insert(local, stretch)),
                kind if kind.is_straight() => {}
                Kind::Get(_) | Kind::LocalObserved { .. } | Kind::Call(_) | Kind::CallIndirect => {}
                _ => stretch += 1,
            }
        }
        Variables { groups, reads }
    }

    /// None for vectors and references.
    pub fn kept(&self, local: u32) -> Option<Kept> {
        let group = self.groups.partition_point(|(end, _)| *end <= local);
        match self.groups.get(group)?.1 {
            ValType::I32 => Some(Kept::Whole { is_32: true }),
            ValType::I64 => Some(Kept::Whole { is_32: false }),
            ValType::F32 | ValType::F64 => Some(Kept::Float),
            _ => None,
        }
    }

    /// Whether every read of the local that is not just behind a write of it lies between these operators.
    pub fn is_read_only_within(&self, local: u32, first: usize, last: usize) -> bool {
        self.reads.get(&local).is_none_or(|reads| {
            (first..=last).contains(&(reads.0 as usize)) && (first..=last).contains(&(reads.1 as usize))
        })
    }
}
