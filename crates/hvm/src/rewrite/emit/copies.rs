//! Loops that are written more than once: a copy that does less than the loop must, for whoever can make up for it where it is left.
use std::collections::BTreeMap;

use wasm_encoder::{BlockType, Instruction as I};

use super::super::accounts::Charge;
use super::super::bounded::Bounded;
use super::super::deferred::Deferred;
use super::super::function::Function;
use super::super::op::Kind;
use super::super::variables::Variables;
use super::{Callee, Gas, Site, Writer};

/// With more locals, no loop's stores are deferred: that adds some.
const LOCALS_MAX: u32 = 49_000;

/// A loop that is written more than once.
#[derive(Clone)]
pub(super) struct Loop {
    /// Its branch back, by operator.
    back: usize,
    /// Its `end`, by operator.
    end: usize,
    /// If a copy counts nothing on the way.
    pub bounded: Option<Bounded>,
    /// If a copy stores what arithmetic gives.
    pub deferred: Option<Deferred>,
}

/// A copy of a loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    /// The operator that begins the loop.
    pub start: usize,
    /// Its branch back, by operator.
    pub back: usize,
    pub way: Way,
    /// In how many blocks more it is.
    pub lift: u32,
}

/// How a copy of a loop is written up to its branch back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As any loop.
    Counting,
    /// It counts nothing, but works out what is owed where it is left.
    Silent,
    /// As silent, or as any loop that is paid before; stored NaNs may be any.
    Raw,
    /// It goes the way of the raw one again, and makes canonical what that one stored.
    Mending,
}

/// The loops that are written more than once, by the operator that begins them.
pub(super) fn loops(function: &Function, site: &Site<'_>) -> BTreeMap<usize, Loop> {
    let is_free = |callee: u32| matches!((site.callee)(callee), Callee::Free);
    // Its registers would be more than what is counted for a frame.
    let may_defer = site.slots == 0 && !function.only_stored.is_empty() && function.locals <= LOCALS_MAX;
    let variables = may_defer.then(|| Variables::of(function, site.params, site.module));
    let of = |charge: &Charge| {
        let before = charge.before as usize;
        // Loops are charged behind their heads, but those whose passes are known.
        let start = if charge.counted.is_some() { before } else { before.checked_sub(1)? };
        if !matches!(function.ops[start].kind, Kind::Loop { is_target: true })
            || function.valued_loops.binary_search(&(start as u32)).is_ok()
        {
            return None;
        }
        let bounded = match charge.counted {
            Some(_) => None,
            None => Some(Bounded::of(function, start, site.charges, &is_free)?),
        };
        let (back, end) = match &bounded {
            Some(bounded) => (bounded.back, bounded.end),
            None => {
                let back = (start..).find(|op| matches!(function.ops[*op].kind, Kind::BrIf(_)))?;
                (back, back + 1)
            }
        };
        let deferred = variables
            .as_ref()
            .and_then(|variables| Deferred::of(function, variables, site.module, start, back));
        (bounded.is_some() || deferred.is_some()).then_some((start, Loop { back, end, bounded, deferred }))
    };
    site.charges
        .iter()
        .filter(|charge| charge.is_checked || charge.counted.is_some())
        .filter_map(of)
        .collect()
}

impl Writer<'_> {
    /// The copies of a loop. Gives what is behind it.
    pub(super) fn copies(&mut self, start: usize) -> usize {
        let Loop { back, end, bounded, deferred } = self.loops[&start].clone();
        let copy = |way, lift| Some(Copy { start, back, way, lift });
        self.settle();
        if let Some(Bounded { passes, gas, .. }) = &bounded {
            self.put(&[I::LocalGet(self.moved(passes.counter)), I::LocalSet(self.begin)]);
            self.get();
            self.passes(*gas, passes);
            self.put(&[I::I64GeS]);
            if passes.shift > 0 {
                // Only a way that the steps divide has an end.
                let way = self.way(passes);
                self.put(&way);
                self.put(&[I::I32Const((1 << passes.shift) - 1), I::I32And, I::I32Eqz, I::I32And]);
            }
        }
        if let Some(deferred) = &deferred {
            self.may_store_raw(deferred);
            if bounded.is_some() {
                self.put(&[I::I32And]);
            }
        }
        self.put(&[I::If(BlockType::Empty)]);
        match &deferred {
            None => self.ops(start..end + 1, copy(Way::Silent, 1)),
            Some(deferred) => {
                self.before_raw(deferred);
                self.put(&[I::Block(BlockType::Empty)]);
                self.ops(start..end + 1, copy(Way::Raw, 2));
                self.put(&[I::Br(1), I::End]);
                self.state = Gas::Local;
                self.before_mending(deferred);
                self.ops(start..end + 1, copy(Way::Mending, 1));
            }
        }
        self.put(&[I::Else]);
        self.state = Gas::Local;
        self.ops(start..end + 1, copy(Way::Counting, 1));
        self.put(&[I::End]);
        end + 1
    }

    /// A conditional branch in a copy, up to that back to its head; the label is what it is in there, as many blocks deep.
    pub(super) fn leave_copy(&mut self, copy: Copy, op: usize, depth: u32, label: u32) {
        if matches!(copy.way, Way::Counting | Way::Mending) {
            return self.put(&[I::BrIf(label)]);
        }
        if op < copy.back {
            self.put(&[I::If(BlockType::Empty)]);
            self.owe(copy.start, op);
            if copy.way == Way::Raw {
                self.mend_if_needed(copy.start, depth + 1);
            }
            self.put(&[I::Br(label + 1), I::End]);
        } else {
            self.put(&[I::BrIf(label)]);
            self.owe(copy.start, op);
            if copy.way == Way::Raw {
                self.mend_if_needed(copy.start, depth);
            }
        }
    }

    /// Where a silent loop is left: the passes so far, and what is begun of this one.
    fn owe(&mut self, start: usize, op: usize) {
        let Some(bounded) = &self.loops[&start].bounded else { return };
        let (passes, gas) = (bounded.passes, bounded.gas);
        let begun = bounded.begun(self.site.charges, start, op);
        let (counter, begin) = (I::LocalGet(self.moved(passes.counter)), I::LocalGet(self.begin));
        self.get();
        let way = if passes.is_down { [begin, counter, I::I32Sub] } else { [counter, begin, I::I32Sub] };
        self.put(&way);
        if passes.shift > 0 {
            self.put(&[I::I32Const(i32::from(passes.shift)), I::I32ShrU]);
        }
        self.put(&[I::I64ExtendI32U, I::I64Const(gas as i64), I::I64Mul, I::I64Sub]);
        if begun != 0 {
            self.put(&[I::I64Const(begun), I::I64Sub]);
        }
        self.put(&[I::LocalSet(self.gas)]);
        self.state = Gas::Local;
    }
}
