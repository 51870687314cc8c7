//! Loops that can be left early, but at the latest after a number of passes known before they begin: slices with bounds checks, searches.
//! Who can pay for all passes runs a copy that counts nothing and works out at each way out what was run.
use super::accounts::Charge;
use super::counted::{Counted, Until, moved, writes};
use super::function::Function;
use super::op::Kind;

/// A larger loop is not copied.
const OPS_MAX: usize = 128;

/// Such a loop.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    /// Its passes at most.
    pub passes: Counted,
    /// Its `end`, by operator.
    pub end: usize,
    /// The branch back to its head, by operator.
    pub back: usize,
    /// Where the counter has been moved on, by operator.
    pub moved: usize,
    /// Gas of a pass.
    pub gas: u64,
}

impl Bounded {
    /// The loop that begins at this operator, if it is one: one way through, from which branches without values lead out, up to the one back.
    pub fn of(
        function: &Function,
        start: usize,
        charges: &[Charge],
        bound: &dyn Fn(u32) -> bool,
    ) -> Option<Self> {
        let ops = &function.ops[start + 1..];
        let ops = &ops[..ops.len().min(OPS_MAX)];
        if function.valued_loops.binary_search(&(start as u32)).is_ok() {
            return None;
        }
        // The way through: the blocks that it is in, and whether something has branched to their ends.
        let mut blocks: Vec<bool> = Vec::new();
        let mut back = None;
        for (number, op) in ops.iter().enumerate() {
            match op.kind {
                Kind::Block => blocks.push(false),
                // Behind an end that something branches to, ways meet.
                Kind::End => (!blocks.pop()?).then_some(())?,
                Kind::Br(label) | Kind::BrIf(label) if label as usize == blocks.len() => {
                    back = Some(number);
                    break;
                }
                Kind::BrIf(label) => {
                    if function.valued.binary_search(&((start + 1 + number) as u32)).is_ok() {
                        return None;
                    }
                    if let Some(block) = blocks.len().checked_sub(label as usize + 1) {
                        blocks[block] = true;
                    }
                }
                Kind::Call(callee) if bound(callee) => {}
                _ if op.kind.is_straight() => {}
                _ => return None,
            }
        }
        let back = back?;
        // What lies behind the branch back does not come back.
        let mut depth = blocks.len();
        let mut end = None;
        for (number, op) in ops.iter().enumerate().skip(back + 1) {
            match op.kind {
                Kind::Block | Kind::If => depth += 1,
                Kind::End if depth == 0 => {
                    end = Some(number);
                    break;
                }
                Kind::End => depth -= 1,
                Kind::Br(label) | Kind::BrIf(label) if label as usize == depth => return None,
                Kind::Loop { .. } | Kind::BrTable(_) => return None,
                _ => {}
            }
        }
        let end = start + 1 + end?;
        let body = &ops[..back];
        // Loops that search and copy are mostly left after few passes, for which two copies do not pay.
        if !body.iter().any(|op| matches!(op.kind, Kind::Float { .. })) {
            return None;
        }
        let kind = |at: usize, before: usize| at.checked_sub(before).map(|at| body[at].kind);
        let is_fixed = |until: Kind| match until {
            Kind::I32Const(value) => Some(Until::Constant(value)),
            Kind::Get(local) if writes(&function.ops[start..end], local) == 0 => Some(Until::Local(local)),
            _ => None,
        };
        // A comparison of the counter, just moved on, with its end; it stands before the branch.
        let meets = |at: usize, equal: Kind| {
            if kind(at, 1)? != equal {
                return None;
            }
            match (kind(at, 3)?, kind(at, 2)?) {
                (Kind::Tee(counter), until) => Some((counter, is_fixed(until)?, at - 3)),
                (Kind::I32Add, Kind::Tee(counter)) => Some((counter, is_fixed(kind(at, 6)?)?, at - 2)),
                _ => None,
            }
        };
        let leaves = (0..back).filter(|at| matches!(body[*at].kind, Kind::BrIf(_)));
        let found = leaves
            .filter_map(|at| meets(at, Kind::I32Eq))
            .chain(matches!(ops[back].kind, Kind::BrIf(_)).then(|| meets(back, Kind::I32Ne)).flatten())
            .next();
        let (counter, until, at) = found?;
        if writes(&function.ops[start..end], counter) != 1 {
            return None;
        }
        let step = moved(body, counter)?;
        let size = step.unsigned_abs();
        let shift = (size.is_power_of_two() && size <= 1 << 20).then(|| size.trailing_zeros() as u8)?;
        let gas = charged(charges, start, start + 1 + back);
        let passes = Counted { counter, until, shift, is_down: step < 0 };
        (gas < 1 << 20).then_some(Bounded { passes, end, back: start + 1 + back, moved: start + 1 + at, gas })
    }

    /// What is owed where the operator leaves, besides the passes by the counter: what this pass has come to, and less than none where the
    /// counter is already moved on.
    pub fn begun(&self, charges: &[Charge], start: usize, op: usize) -> i64 {
        let begun = charged(charges, start, op) as i64;
        if op > self.moved { begun - self.gas as i64 } else { begun }
    }
}

/// Gas of the charges behind the operator `start`, up to the operator `last`.
fn charged(charges: &[Charge], start: usize, last: usize) -> u64 {
    let at = |op: usize| charges.partition_point(|charge| charge.before as usize <= op);
    charges[at(start)..at(last)].iter().map(|charge| charge.gas).fold(0, u64::saturating_add)
}
