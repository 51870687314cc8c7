//! Loops whose stores of floats need not make each NaN canonical: a copy of the loop stores what arithmetic gives, and remembers only whether
//! any of it was a NaN. If so, a last copy goes the same way again, and makes canonical what lies where the first one stored.
use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{BinaryReader, Operator, OperatorsReader};

use super::function::Function;
use super::nans::Stored;
use super::op::{Kind, Lanes, arithmetic, takes_any_nan};
use super::variables::{Kept, Variables};

/// A longer loop is not copied.
const OPS_MAX: usize = 256;
/// Most locals that are kept for the last copy, so that a frame stays within what is counted for it.
const KEPT_MAX: usize = 4;
/// How often the loop is looked through for what loads are put into.
const PASSES_MAX: usize = 4;

/// Such a loop.
#[derive(Clone, Debug)]
pub(super) struct Deferred {
    /// The only float that it computes with, loads and stores.
    pub lanes: Lanes,
    /// Where these `i32` locals are multiples of the float's size before the loop, every address in it is.
    pub aligned: Vec<u32>,
    /// The `i32` locals that are carried from pass to pass, from which everything but floats follows.
    pub kept: Vec<u32>,
    /// The locals of floats that it writes.
    pub floats: BTreeSet<u32>,
}

/// What is known of an operand.
#[derive(Clone, Copy)]
enum Value {
    Whole(Whole),
    /// Whether its bits may be those of a NaN that is not canonical yet.
    Float {
        is_loaded: bool,
    },
}

#[derive(Clone, Copy)]
struct Whole {
    /// It is a multiple of the float's size if the carried locals in this set are; with none, it may not be.
    multiple_if: Option<u64>,
    constant: Option<i32>,
}

const ANY: Value = Value::Whole(Whole { multiple_if: None, constant: None });

impl Deferred {
    /// The loop that begins at `start`, of which one way leads to the branch `back` to its head, if it is one.
    pub fn of(
        function: &Function,
        variables: &Variables,
        module: &[u8],
        start: usize,
        back: usize,
    ) -> Option<Self> {
        let stores = |of: Stored| {
            let from = function.stores.partition_point(|(op, _)| (*op as usize) < start);
            let within = function.stores[from..].iter().take_while(move |(op, _)| (*op as usize) < back);
            within.filter(move |(_, value)| *value == of).count()
        };
        if back - start > OPS_MAX || stores(Stored::Deferrable) == 0 || stores(Stored::Bits) > 0 {
            return None;
        }
        let lanes = function.ops[start..back].iter().find_map(|op| match op.kind {
            Kind::FloatStore(lanes) => Some(lanes),
            _ => None,
        })?;
        let mut hold_loads = BTreeSet::new();
        for _ in 0..PASSES_MAX {
            let mut pass = Pass::new(lanes, variables, &hold_loads);
            let code = &module[function.ops[start + 1].at as usize..function.ops[back].at as usize];
            let mut reader = OperatorsReader::new(BinaryReader::new(code, 0));
            while !reader.eof() {
                pass.step(&reader.read().ok()?)?;
            }
            if matches!(function.ops[back].kind, Kind::BrIf(_)) {
                pass.whole()?;
            }
            if pass.hold_loads == hold_loads {
                // Nothing but this loop may see what they hold.
                let is_own = |local: &u32| variables.is_read_only_within(*local, start, back);
                return hold_loads.iter().all(is_own).then(|| pass.settle()).flatten();
            }
            hold_loads = pass.hold_loads;
        }
        None
    }
}

/// One pass of the loop, operator by operator.
struct Pass<'a> {
    lanes: Lanes,
    variables: &'a Variables,
    /// Locals that loads are put into, as far as is known from the pass before.
    held: &'a BTreeSet<u32>,
    /// Locals that loads are put into.
    hold_loads: BTreeSet<u32>,
    operands: Vec<Value>,
    /// Locals of floats that are written.
    floats: BTreeSet<u32>,
    /// What was put into locals of whole numbers.
    written: BTreeMap<u32, Whole>,
    /// Such locals that were read before they were written, if they were; a set of them has their positions here.
    carried: Vec<u32>,
    /// Which of the carried must be multiples of the float's size.
    needed: u64,
}

impl<'a> Pass<'a> {
    fn new(lanes: Lanes, variables: &'a Variables, held: &'a BTreeSet<u32>) -> Self {
        Pass {
            lanes,
            variables,
            held,
            hold_loads: held.clone(),
            operands: Vec::new(),
            floats: BTreeSet::new(),
            written: BTreeMap::new(),
            carried: Vec::new(),
            needed: 0,
        }
    }

    /// The float's size as a mask.
    fn mask(&self) -> i32 {
        if self.lanes == Lanes::F32 { 3 } else { 7 }
    }

    fn whole(&mut self) -> Option<Whole> {
        match self.operands.pop()? {
            Value::Whole(whole) => Some(whole),
            Value::Float { .. } => None,
        }
    }

    fn float(&mut self) -> Option<bool> {
        match self.operands.pop()? {
            Value::Float { is_loaded } => Some(is_loaded),
            Value::Whole(_) => None,
        }
    }

    /// Takes an address, which must be a multiple of the float's size.
    fn address(&mut self, memarg: &wasmparser::MemArg) -> Option<()> {
        let needed = self.whole()?.multiple_if?;
        self.needed |= needed;
        (memarg.offset & self.mask() as u64 == 0).then_some(())
    }

    fn get(&mut self, local: u32) -> Option<Value> {
        Some(match self.variables.kept(local)? {
            Kept::Float => {
                Value::Float { is_loaded: self.held.contains(&local) || self.hold_loads.contains(&local) }
            }
            Kept::Whole { is_32: _ } if self.written.contains_key(&local) => {
                Value::Whole(self.written[&local])
            }
            Kept::Whole { is_32: false } => {
                self.carry(local)?;
                ANY
            }
            Kept::Whole { is_32: true } => {
                let position = self.carry(local)?;
                Value::Whole(Whole { multiple_if: Some(1 << position), constant: None })
            }
        })
    }

    fn carry(&mut self, local: u32) -> Option<usize> {
        if let Some(position) = self.carried.iter().position(|carried| *carried == local) {
            return Some(position);
        }
        self.carried.push(local);
        (self.carried.len() <= 64).then_some(self.carried.len() - 1)
    }

    fn set(&mut self, local: u32, value: Value) {
        match value {
            Value::Whole(whole) => drop(self.written.insert(local, whole)),
            Value::Float { is_loaded } => {
                self.floats.insert(local);
                if is_loaded {
                    self.hold_loads.insert(local);
                }
            }
        }
    }

    /// None where the operator has no place in such a loop.
    fn step(&mut self, operator: &Operator<'_>) -> Option<()> {
        use Operator as O;
        let mask = self.mask();
        let multiple = |multiple_if| Value::Whole(Whole { multiple_if, constant: None });
        let both = |one: Whole, other: Whole| Some(one.multiple_if? | other.multiple_if?);
        let either = |one: Whole, other: Whole| one.multiple_if.or(other.multiple_if);
        let given = match operator {
            O::Nop | O::Block { .. } | O::End => return Some(()),
            O::BrIf { .. } => return self.whole().map(drop),
            O::Drop => return self.operands.pop().map(drop),
            O::LocalGet { local_index } => self.get(*local_index)?,
            O::LocalSet { local_index } => {
                let value = self.operands.pop()?;
                self.set(*local_index, value);
                return Some(());
            }
            O::LocalTee { local_index } => {
                let value = *self.operands.last()?;
                self.set(*local_index, value);
                return Some(());
            }
            O::I32Const { value } => {
                Value::Whole(Whole { multiple_if: (value & mask == 0).then_some(0), constant: Some(*value) })
            }
            O::I64Const { .. } => ANY,
            O::I32Add | O::I32Sub | O::I32Or | O::I32Xor => {
                let (two, one) = (self.whole()?, self.whole()?);
                multiple(both(one, two))
            }
            O::I32Mul | O::I32And => {
                let (two, one) = (self.whole()?, self.whole()?);
                // A constant needs no local.
                multiple(if two.multiple_if == Some(0) { Some(0) } else { either(one, two) })
            }
            O::I32Shl => {
                let (by, of) = (self.whole()?, self.whole()?);
                let is_far = by.constant.is_some_and(|by| 1 << (by & 31) & mask == 0);
                multiple(if is_far { Some(0) } else { of.multiple_if })
            }
            O::I32ShrS | O::I32ShrU | O::I32Rotl | O::I32Rotr => self.wholes(2)?,
            O::I32Eq | O::I32Ne | O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU => self.wholes(2)?,
            O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU => self.wholes(2)?,
            O::I64Eq | O::I64Ne | O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU => self.wholes(2)?,
            O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU => self.wholes(2)?,
            O::I64Add | O::I64Sub | O::I64Mul | O::I64And | O::I64Or | O::I64Xor => self.wholes(2)?,
            O::I64Shl | O::I64ShrS | O::I64ShrU | O::I64Rotl | O::I64Rotr => self.wholes(2)?,
            O::I32Eqz | O::I32Clz | O::I32Ctz | O::I32Popcnt | O::I32Extend8S | O::I32Extend16S => {
                self.wholes(1)?
            }
            O::I64Eqz | O::I64Clz | O::I64Ctz | O::I64Popcnt | O::I64Extend8S | O::I64Extend16S => {
                self.wholes(1)?
            }
            O::I64Extend32S | O::I64ExtendI32S | O::I64ExtendI32U | O::I32WrapI64 => self.wholes(1)?,
            O::Select => {
                self.whole()?;
                match (self.operands.pop()?, self.operands.pop()?) {
                    (Value::Whole(two), Value::Whole(one)) => multiple(both(one, two)),
                    (Value::Float { is_loaded: two }, Value::Float { is_loaded: one }) => {
                        Value::Float { is_loaded: one || two }
                    }
                    _ => return None,
                }
            }
            O::F32Const { .. } if self.lanes == Lanes::F32 => Value::Float { is_loaded: false },
            O::F64Const { .. } if self.lanes == Lanes::F64 => Value::Float { is_loaded: false },
            O::F32ConvertI32S | O::F32ConvertI32U | O::F32ConvertI64S | O::F32ConvertI64U
                if self.lanes == Lanes::F32 =>
            {
                self.wholes(1)?;
                Value::Float { is_loaded: false }
            }
            O::F64ConvertI32S | O::F64ConvertI32U | O::F64ConvertI64S | O::F64ConvertI64U
                if self.lanes == Lanes::F64 =>
            {
                self.wholes(1)?;
                Value::Float { is_loaded: false }
            }
            O::F32Neg | O::F32Abs | O::F64Neg | O::F64Abs => Value::Float { is_loaded: self.float()? },
            O::F32Load { memarg } if self.lanes == Lanes::F32 => {
                self.address(memarg)?;
                Value::Float { is_loaded: true }
            }
            O::F64Load { memarg } if self.lanes == Lanes::F64 => {
                self.address(memarg)?;
                Value::Float { is_loaded: true }
            }
            O::F32Store { memarg } if self.lanes == Lanes::F32 => {
                self.float()?;
                return self.address(memarg);
            }
            O::F64Store { memarg } if self.lanes == Lanes::F64 => {
                self.float()?;
                return self.address(memarg);
            }
            _ if arithmetic(operator) == Some(self.lanes) && takes_any_nan(operator) == Some(self.lanes) => {
                self.float()?;
                if takes_two(operator) {
                    self.float()?;
                }
                Value::Float { is_loaded: false }
            }
            _ => return None,
        };
        self.operands.push(given);
        Some(())
    }

    /// Takes so many whole numbers, and gives one of which nothing is known.
    fn wholes(&mut self, count: usize) -> Option<Value> {
        for _ in 0..count {
            self.whole()?;
        }
        Some(ANY)
    }

    /// What must hold before the loop, so that it holds in every pass.
    fn settle(mut self) -> Option<Deferred> {
        // What goes on to behind the loop would have to be there in the last copy, too.
        if !self.operands.is_empty() {
            return None;
        }
        loop {
            let mut needed = self.needed;
            for (position, local) in self.carried.iter().enumerate() {
                if let Some(written) = self.written.get(local)
                    && self.needed & 1 << position != 0
                {
                    needed |= written.multiple_if?;
                }
            }
            if needed == self.needed {
                break;
            }
            self.needed = needed;
        }
        let is_needed = |position: &usize| self.needed & 1 << position != 0;
        let aligned =
            (0..self.carried.len()).filter(is_needed).map(|position| self.carried[position]).collect();
        let kept: Vec<u32> =
            self.carried.iter().copied().filter(|local| self.written.contains_key(local)).collect();
        let is_32 = |local: &u32| self.variables.kept(*local) == Some(Kept::Whole { is_32: true });
        let is_kept = kept.len() <= KEPT_MAX && kept.iter().all(is_32);
        is_kept.then_some(Deferred { lanes: self.lanes, aligned, kept, floats: self.floats })
    }
}

/// Whether float arithmetic of one lane takes two operands.
fn takes_two(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(operator, O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max)
        || matches!(operator, O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max)
}
