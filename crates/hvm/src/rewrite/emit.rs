//! Writes a function's code anew: its own operators byte for byte, and between them what counts gas, bounds the stack and makes
//! NaNs canonical.
use wasm_encoder::{BlockType, Encode, Instruction as I, ValType};

use super::accounts::Charge;
use super::counted::{Counted, Until};
use super::function::Function;
use super::op::{Kind, Lanes};

/// Indexes that the rewritten module gives to what the rewrite adds.
pub(super) struct Added {
    /// The global that holds the gas left.
    pub gas: u32,
    /// The global that holds the stack slots left.
    pub stack: u32,
    /// The function that stands for `memory.grow`, where the memory is the module's own.
    pub grow_memory: Option<u32>,
    /// The functions that stand for `table.grow`, for each of the module's own tables.
    pub grow_table: Vec<Option<u32>>,
}

/// What is known of the function besides its code.
pub(super) struct Site<'a> {
    pub module: &'a [u8],
    pub added: &'a Added,
    pub charges: &'a [Charge],
    /// Its results, as the type of a block around its body.
    pub results: BlockType,
    /// Slots to be counted while it runs; zero when it cannot recurse.
    pub slots: u64,
    /// Its parameters, if it is given the gas and the stack left as two more, and gives the gas left as one more result.
    pub is_passed: Option<u32>,
    /// How a function is called.
    pub callee: &'a dyn Fn(u32) -> Callee,
}

/// How a function of the module is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    /// It counts nothing: its callers are charged for it.
    Free,
    /// It takes gas and stack as parameters, under this index.
    Passed(u32),
    /// It finds gas and stack in the globals; or only gas, when nothing below it can recurse.
    Global { needs_stack: bool },
}

/// Where the gas left is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gas {
    /// In the local; the global is behind.
    Local,
    /// In the global; the local is behind.
    Global,
}

/// Locals that the rewrite adds, each where it is needed.
struct Locals {
    next: u32,
    types: Vec<ValType>,
}

impl Locals {
    fn add(&mut self, needed: bool, of: ValType) -> u32 {
        if !needed {
            return u32::MAX;
        }
        self.types.push(of);
        self.next += 1;
        self.next - 1
    }
}

/// The function's body, as the code section has it, without its length.
pub(super) fn function(function: &Function, site: &Site<'_>) -> Vec<u8> {
    let mut locals = Locals { next: function.locals, types: Vec::new() };
    let is_metered = !site.charges.is_empty();
    let is_recursive = site.slots > 0;
    let calls_passed =
        function.calls.iter().any(|callee| matches!((site.callee)(*callee), Callee::Passed(_)));
    // With nothing to charge behind the entry, the global is right from there on.
    let is_entry_only = site.charges.len() == 1 && !function.has_bulk && site.is_passed.is_none();
    // Parameters come before the function's own locals, whose numbers then change.
    let shift = site.is_passed.map_or(0, |_| 2);
    locals.next += shift;
    let gas = site.is_passed.unwrap_or_else(|| locals.add(is_metered, ValType::I64));
    let stack = match site.is_passed {
        Some(params) => params + 1,
        None => locals.add(is_recursive || calls_passed, ValType::I32),
    };
    let length = locals.add(function.has_bulk, ValType::I32);
    let of = |lanes| function.observed[lanes as usize];
    let f32 = locals.add(of(Lanes::F32), ValType::F32);
    let f64 = locals.add(of(Lanes::F64), ValType::F64);
    let v128 = locals.add(of(Lanes::F32x4) || of(Lanes::F64x2), ValType::V128);

    let mut bytes = Vec::with_capacity(2 * (function.end as usize - function.declared.end) + 64);
    (function.groups + locals.types.len() as u32).encode(&mut bytes);
    bytes.extend_from_slice(&site.module[function.declared.clone()]);
    for of in &locals.types {
        1_u32.encode(&mut bytes);
        of.encode(&mut bytes);
    }

    let nests = Nests::of(function);
    let has_epilogue = (is_metered && !is_entry_only) || is_recursive;
    let parameters = site.is_passed.unwrap_or(u32::MAX);
    let moved = |local: u32| if local >= parameters { local + shift } else { local };
    let is_wrapped = has_epilogue && nests.is_left_by_branch;
    let state = if site.is_passed.is_some() { Gas::Local } else { Gas::Global };
    let mut writer = Writer { bytes, site, gas, stack, length, state, is_entry_only, is_recursive };

    if is_recursive {
        writer.enter_frame();
    }
    let mut charges = site.charges.iter().peekable();
    if let Some(entry) = charges.next() {
        if is_entry_only {
            writer.charge_into_global(entry.gas);
        } else {
            writer.charge(entry);
        }
    }
    if is_wrapped {
        writer.put(&[I::Block(site.results)]);
    }

    let mut copied = function.ops.first().map_or(function.end, |op| op.at);
    let last = function.ops.len().saturating_sub(1);
    for (index, op) in function.ops.iter().enumerate() {
        let next = function.ops.get(index + 1).map_or(function.end, |op| op.at);
        // Everything up to here as it is, so that only changes cost anything.
        macro_rules! flush {
            () => {
                writer.bytes.extend_from_slice(&site.module[copied as usize..op.at as usize]);
                #[allow(unused_assignments)]
                {
                    copied = op.at;
                }
            };
        }
        if charges.peek().is_some_and(|charge| charge.before == index as u32) {
            flush!();
            while let Some(charge) = charges.next_if(|charge| charge.before == index as u32) {
                match &charge.counted {
                    Some(counted) => writer.charge_passes(charge.gas, counted, &moved),
                    None => writer.charge(charge),
                }
            }
        }
        match op.kind {
            Kind::If
            | Kind::Else
            | Kind::Br(_)
            | Kind::BrIf(_)
            | Kind::BrTable(_)
            | Kind::Loop { is_target: true } => {
                flush!();
                writer.settle();
            }
            Kind::End if index == last => {
                flush!();
                if is_wrapped {
                    writer.settle();
                    writer.put(&[I::End]);
                }
                writer.leave();
            }
            Kind::End => {
                flush!();
                writer.settle();
            }
            Kind::Return => {
                flush!();
                writer.leave();
            }
            Kind::Get(local) | Kind::Set(local) | Kind::Tee(local) if local >= parameters => {
                flush!();
                // The operator's own byte, then another number.
                writer.bytes.push(site.module[op.at as usize]);
                moved(local).encode(&mut writer.bytes);
                copied = next;
            }
            Kind::LocalObserved { local, lanes } => {
                flush!();
                writer.put(&[I::LocalGet(moved(local))]);
                copied = next;
                writer.canonical(lanes, [f32, f64, v128, v128][lanes as usize]);
            }
            Kind::Call(callee) => match (site.callee)(callee) {
                Callee::Free => {}
                Callee::Global { needs_stack } => {
                    flush!();
                    writer.hand_over(needs_stack);
                }
                Callee::Passed(inner) => {
                    flush!();
                    writer.pass(inner);
                    copied = next;
                }
            },
            Kind::CallIndirect => {
                flush!();
                writer.hand_over(true);
            }
            Kind::Bulk(shift) => {
                flush!();
                writer.charge_length(shift);
            }
            Kind::MemoryGrow => {
                if let Some(grow) = site.added.grow_memory {
                    flush!();
                    writer.put(&[I::Call(grow)]);
                    copied = next;
                }
            }
            Kind::TableGrow(table) => {
                if let Some(grow) = site.added.grow_table.get(table as usize).copied().flatten() {
                    flush!();
                    writer.put(&[I::Call(grow)]);
                    copied = next;
                }
            }
            Kind::Float { lanes, is_observed: true } => {
                writer.bytes.extend_from_slice(&site.module[copied as usize..next as usize]);
                copied = next;
                writer.canonical(lanes, [f32, f64, v128, v128][lanes as usize]);
            }
            _ => {}
        }
    }
    writer.bytes.extend_from_slice(&site.module[copied as usize..function.end as usize]);
    writer.bytes
}

/// How the body is left.
struct Nests {
    /// Whether a branch leads to the function's own end.
    is_left_by_branch: bool,
}

impl Nests {
    fn of(function: &Function) -> Self {
        let mut depth = 0_u32;
        let mut is_left_by_branch = false;
        for op in &function.ops {
            match op.kind {
                Kind::Block | Kind::Loop { .. } | Kind::If => depth += 1,
                Kind::End => depth = depth.saturating_sub(1),
                Kind::Br(label) | Kind::BrIf(label) => is_left_by_branch |= label == depth,
                Kind::BrTable(table) => is_left_by_branch |= function.tables[table as usize].contains(&depth),
                _ => {}
            }
        }
        Nests { is_left_by_branch }
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    site: &'a Site<'a>,
    /// The local that holds the gas left.
    gas: u32,
    /// The local that holds the stack slots left.
    stack: u32,
    /// The local that holds the length of a bulk operator.
    length: u32,
    state: Gas,
    is_entry_only: bool,
    is_recursive: bool,
}

impl Writer<'_> {
    fn put(&mut self, instructions: &[I<'_>]) {
        for instruction in instructions {
            instruction.encode(&mut self.bytes);
        }
    }

    /// Counts the frame, and traps when there is no room for it.
    fn enter_frame(&mut self) {
        let (stack, global) = (self.stack, self.site.added.stack);
        let slots = I::I32Const(self.site.slots as i32);
        match self.site.is_passed {
            Some(_) => self.put(&[
                I::LocalGet(stack),
                slots,
                I::I32Sub,
                I::LocalTee(stack),
                I::I32Const(0),
                I::I32LtS,
            ]),
            None => self.put(&[
                I::GlobalGet(global),
                slots,
                I::I32Sub,
                I::LocalTee(stack),
                I::GlobalSet(global),
                I::LocalGet(stack),
                I::I32Const(0),
                I::I32LtS,
            ]),
        }
        self.put(&[
            I::If(BlockType::Empty),
            I::LocalGet(stack),
            I::GlobalSet(global),
            I::Unreachable,
            I::End,
        ]);
    }

    /// Puts the gas left on the operand stack.
    fn get(&mut self) {
        match self.state {
            Gas::Global => self.put(&[I::GlobalGet(self.site.added.gas)]),
            Gas::Local => self.put(&[I::LocalGet(self.gas)]),
        }
    }

    fn charge(&mut self, charge: &Charge) {
        self.get();
        self.put(&[I::I64Const(charge.gas.min(i64::MAX as u64) as i64), I::I64Sub]);
        if charge.is_checked {
            self.check();
        } else {
            self.put(&[I::LocalSet(self.gas)]);
        }
        self.state = Gas::Local;
    }

    /// Takes the gas left from the operand stack; when it is negative, leaves it where the host looks, and traps.
    fn check(&mut self) {
        let (local, global) = (self.gas, self.site.added.gas);
        self.put(&[
            I::LocalTee(local),
            I::I64Const(0),
            I::I64LtS,
            I::If(BlockType::Empty),
            I::LocalGet(local),
            I::GlobalSet(global),
            I::Unreachable,
            I::End,
        ]);
    }

    /// The entry's charge, of a function that charges nothing else.
    fn charge_into_global(&mut self, gas: u64) {
        let (local, global) = (self.gas, self.site.added.gas);
        self.put(&[
            I::GlobalGet(global),
            I::I64Const(gas.min(i64::MAX as u64) as i64),
            I::I64Sub,
            I::LocalTee(local),
            I::GlobalSet(global),
            I::LocalGet(local),
            I::I64Const(0),
            I::I64LtS,
            I::If(BlockType::Empty),
            I::Unreachable,
            I::End,
        ]);
        self.state = Gas::Global;
    }

    /// Before a loop whose passes are known: all of them at once.
    fn charge_passes(&mut self, gas: u64, counted: &Counted, moved: &dyn Fn(u32) -> u32) {
        let counter = I::LocalGet(moved(counted.counter));
        let until = match counted.until {
            Until::Constant(value) => I::I32Const(value),
            Until::Local(local) => I::LocalGet(moved(local)),
        };
        let way = if counted.is_down { [counter, until, I::I32Sub] } else { [until, counter, I::I32Sub] };
        self.get();
        self.put(&way);
        // No way to go is all the way around.
        self.put(&[I::I32Const(1), I::I32Sub]);
        if counted.shift > 0 {
            self.put(&[I::I32Const(i32::from(counted.shift)), I::I32ShrU]);
        }
        self.put(&[
            I::I64ExtendI32U,
            I::I64Const(1),
            I::I64Add,
            I::I64Const(gas.min(i64::MAX as u64) as i64),
            I::I64Mul,
            I::I64Sub,
        ]);
        if counted.shift > 0 {
            // A way that the steps do not divide is never at its end: more than there can be.
            self.put(&way);
            self.put(&[
                I::I32Const((1 << counted.shift) - 1),
                I::I32And,
                I::I32Const(0),
                I::I32Ne,
                I::I64ExtendI32U,
                I::I64Const(62),
                I::I64Shl,
                I::I64Sub,
            ]);
        }
        self.check();
        self.state = Gas::Local;
    }

    fn charge_length(&mut self, shift: u8) {
        self.put(&[I::LocalTee(self.length)]);
        self.get();
        self.put(&[I::LocalGet(self.length), I::I64ExtendI32U]);
        if shift > 0 {
            self.put(&[I::I64Const(i64::from(shift)), I::I64ShrU]);
        }
        self.put(&[I::I64Sub]);
        self.check();
        self.state = Gas::Local;
    }

    /// Where ways meet, the gas left is in the local.
    fn settle(&mut self) {
        if self.is_entry_only || self.gas == u32::MAX {
            return;
        }
        if self.state == Gas::Global {
            self.put(&[I::GlobalGet(self.site.added.gas), I::LocalSet(self.gas)]);
        }
        self.state = Gas::Local;
    }

    /// Before a call: the callee goes on counting in the globals.
    fn hand_over(&mut self, needs_stack: bool) {
        if self.gas != u32::MAX && self.state == Gas::Local {
            self.put(&[I::LocalGet(self.gas), I::GlobalSet(self.site.added.gas)]);
        }
        if needs_stack && self.site.is_passed.is_some() {
            self.put(&[I::LocalGet(self.stack), I::GlobalSet(self.site.added.stack)]);
        }
        self.state = Gas::Global;
    }

    /// Calls a function that takes gas and stack as parameters, and gives the gas back.
    fn pass(&mut self, inner: u32) {
        let (stack, global) = (self.stack, self.site.added.stack);
        self.get();
        let has_stack = self.is_recursive;
        let left = if has_stack {
            [I::LocalGet(stack)].to_vec()
        } else {
            [I::GlobalGet(global), I::LocalTee(stack)].to_vec()
        };
        self.put(&left);
        self.put(&[I::Call(inner)]);
        if self.is_entry_only {
            self.put(&[I::GlobalSet(self.site.added.gas)]);
        } else {
            self.put(&[I::LocalSet(self.gas)]);
            self.state = Gas::Local;
        }
        if self.site.is_passed.is_none() {
            // What it called may have left its own count there.
            self.put(&[I::LocalGet(stack), I::GlobalSet(global)]);
        }
    }

    /// Before the function is left.
    fn leave(&mut self) {
        if self.site.is_passed.is_some() {
            return self.get();
        }
        if self.gas != u32::MAX && self.state == Gas::Local {
            self.put(&[I::LocalGet(self.gas), I::GlobalSet(self.site.added.gas)]);
        }
        if self.is_recursive {
            self.put(&[
                I::LocalGet(self.stack),
                I::I32Const(self.site.slots as i32),
                I::I32Add,
                I::GlobalSet(self.site.added.stack),
            ]);
        }
    }

    /// Behind float arithmetic: any NaN becomes the canonical one, without a branch.
    fn canonical(&mut self, lanes: Lanes, local: u32) {
        const F32: u32 = 0x7fc0_0000;
        const F64: u64 = 0x7ff8_0000_0000_0000;
        let wide =
            |lane: u128, bits: u32| (0..128 / bits).fold(0, |all, number| all | lane << (number * bits));
        let (nan, eq, choose) = match lanes {
            Lanes::F32 => (I::F32Const(f32::from_bits(F32).into()), I::F32Eq, I::Select),
            Lanes::F64 => (I::F64Const(f64::from_bits(F64).into()), I::F64Eq, I::Select),
            Lanes::F32x4 => (I::V128Const(wide(F32.into(), 32) as i128), I::F32x4Eq, I::V128Bitselect),
            Lanes::F64x2 => (I::V128Const(wide(F64.into(), 64) as i128), I::F64x2Eq, I::V128Bitselect),
        };
        self.put(&[I::LocalTee(local), nan, I::LocalGet(local), I::LocalGet(local), eq, choose]);
    }
}

/// The function that stands where a passed one was: it takes gas and stack from the globals, and puts them back.
pub(super) fn outer(params: u32, inner: u32, added: &Added) -> Vec<u8> {
    let mut bytes = Vec::new();
    // One local: the stack left.
    1_u32.encode(&mut bytes);
    1_u32.encode(&mut bytes);
    ValType::I32.encode(&mut bytes);
    (0..params).for_each(|param| I::LocalGet(param).encode(&mut bytes));
    let rest = [
        I::GlobalGet(added.gas),
        I::GlobalGet(added.stack),
        I::LocalTee(params),
        I::Call(inner),
        I::GlobalSet(added.gas),
        I::LocalGet(params),
        I::GlobalSet(added.stack),
        I::End,
    ];
    rest.iter().for_each(|instruction| instruction.encode(&mut bytes));
    bytes
}
