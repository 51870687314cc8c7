//! Loops that make a number of passes known before they begin, as compilers write them: one way through, a counter that goes by the same
//! step each pass, and the way back taken until it meets its end.
use super::function::Function;
use super::op::{Kind, Op};

/// The passes of such a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The local that counts.
    pub counter: u32,
    /// Where it ends.
    pub until: Until,
    /// Its step is two to this power.
    pub shift: u8,
    /// Whether it counts down.
    pub is_down: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Constant(i32),
    Local(u32),
}

impl Counted {
    /// The passes of the loop that begins at this operator, if they are known.
    pub fn of(function: &Function, start: usize, bound: &dyn Fn(u32) -> Option<u64>) -> Option<Self> {
        let behind = function.ops.get(start + 1..)?;
        let is_plain = |op: &Op| match op.kind {
            Kind::Call(callee) => bound(callee).is_some(),
            kind => kind.is_straight(),
        };
        let length = behind.iter().position(|op| !is_plain(op))?;
        let (body, rest) = behind.split_at(length);
        let [Op { kind: Kind::BrIf(0), .. }, Op { kind: Kind::End, .. }, ..] = rest else { return None };

        let kind = |back: usize| body.len().checked_sub(back).map(|index| body[index].kind);
        let read = |kind: Kind| match kind {
            Kind::Get(local) | Kind::Tee(local) => Some(local),
            _ => None,
        };
        let (counter, until) = match kind(1)? {
            // Until it is zero.
            Kind::Get(local) | Kind::Tee(local) => (local, Until::Constant(0)),
            Kind::I32Ne => match (kind(3)?, kind(2)?) {
                (first, Kind::I32Const(value)) => (read(first)?, Until::Constant(value)),
                (first, Kind::Get(local)) if writes(body, local) == 0 => (read(first)?, Until::Local(local)),
                // The end first, then the counter, which has just been moved on.
                (Kind::I32Add, Kind::Tee(counter)) => match kind(6)? {
                    Kind::Get(local) if writes(body, local) == 0 => (counter, Until::Local(local)),
                    Kind::I32Const(value) => (counter, Until::Constant(value)),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        if writes(body, counter) != 1 {
            return None;
        }
        let moved = moved(body, counter)?;
        // The one that is compared is the one that was moved on: nothing reads it in between but the comparison at the end.
        let size = moved.unsigned_abs();
        (size.is_power_of_two() && size <= 1 << 20).then_some(Counted {
            counter,
            until,
            shift: size.trailing_zeros() as u8,
            is_down: moved < 0,
        })
    }
}

/// By how much the counter is moved on, where that is done in place.
pub(super) fn moved(body: &[Op], counter: u32) -> Option<i32> {
    body.windows(4).find_map(|ops| match [ops[0].kind, ops[1].kind, ops[2].kind, ops[3].kind] {
        [Kind::Get(from), Kind::I32Const(step), Kind::I32Add, Kind::Set(to) | Kind::Tee(to)]
            if from == counter && to == counter =>
        {
            Some(step)
        }
        _ => None,
    })
}

/// How often a local is written.
pub(super) fn writes(body: &[Op], local: u32) -> usize {
    body.iter().filter(|op| matches!(op.kind, Kind::Set(to) | Kind::Tee(to) if to == local)).count()
}
