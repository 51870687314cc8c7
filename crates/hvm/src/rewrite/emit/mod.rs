//! Writes a function's code anew: its own operators byte for byte, and between them what counts gas, bounds the stack and makes
//! NaNs canonical.
mod calls;
mod copies;
mod floats;
mod gas;

use core::ops::Range;
use std::collections::BTreeMap;

use wasm_encoder::{BlockType, Encode, Instruction as I, ValType};

use super::accounts::Charge;
use super::function::Function;
use super::op::Kind;
pub(super) use calls::outer;
use copies::{Copy, Way};
use floats::Floats;

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
    /// The types of its parameters.
    pub params: &'a [wasmparser::ValType],
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
    let loops = copies::loops(function, site);
    // Parameters come before the function's own locals, whose numbers then change.
    let shift = site.is_passed.map_or(0, |_| 2);
    locals.next += shift;
    let gas = site.is_passed.unwrap_or_else(|| locals.add(is_metered, ValType::I64));
    let stack = match site.is_passed {
        Some(params) => params + 1,
        None => locals.add(is_recursive || calls_passed, ValType::I32),
    };
    let length = locals.add(function.has_bulk, ValType::I32);
    let begin = locals.add(loops.values().any(|of| of.bounded.is_some()), ValType::I32);
    let floats = Floats::add(&mut locals, function, loops.values().filter_map(|of| of.deferred.as_ref()));

    let mut bytes = Vec::with_capacity(2 * (function.end as usize - function.declared.end) + 64);
    (function.groups + locals.types.len() as u32).encode(&mut bytes);
    bytes.extend_from_slice(&site.module[function.declared.clone()]);
    for of in &locals.types {
        1_u32.encode(&mut bytes);
        of.encode(&mut bytes);
    }

    let nests = Nests::of(function);
    let has_epilogue = (is_metered && !is_entry_only) || is_recursive;
    let is_wrapped = has_epilogue && nests.is_left_by_branch;
    let mut writer = Writer {
        bytes,
        function,
        site,
        loops,
        gas,
        stack,
        length,
        begin,
        floats,
        state: if site.is_passed.is_some() { Gas::Local } else { Gas::Global },
        is_entry_only,
        is_recursive,
        is_wrapped,
        copied: 0,
    };

    if is_recursive {
        writer.enter_frame();
    }
    if let Some(entry) = site.charges.first() {
        if is_entry_only {
            writer.charge_into_global(entry.gas);
        } else {
            writer.charge(entry);
        }
    }
    if is_wrapped {
        writer.put(&[I::Block(site.results)]);
    }
    writer.ops(0..function.ops.len(), None);
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
    function: &'a Function,
    site: &'a Site<'a>,
    loops: BTreeMap<usize, copies::Loop>,
    /// The local that holds the gas left.
    gas: u32,
    /// The local that holds the stack slots left.
    stack: u32,
    /// The local that holds the length of a bulk operator.
    length: u32,
    /// The local that holds what a bounded loop's counter began with.
    begin: u32,
    floats: Floats,
    state: Gas,
    is_entry_only: bool,
    is_recursive: bool,
    /// The body is in a block of its own.
    is_wrapped: bool,
    /// Up to where in the module everything is written.
    copied: u32,
}

impl Writer<'_> {
    fn put(&mut self, instructions: &[I<'_>]) {
        for instruction in instructions {
            instruction.encode(&mut self.bytes);
        }
    }

    /// Where the operator begins; behind the last one, where it ends.
    fn at(&self, op: usize) -> u32 {
        self.function.ops.get(op).map_or(self.function.end, |op| op.at)
    }

    /// Everything before this place as it is, so that only changes cost anything.
    fn flush(&mut self, to: u32) {
        self.bytes.extend_from_slice(&self.site.module[self.copied as usize..to as usize]);
        self.copied = to;
    }

    /// The local's number, parameters that were added counted.
    fn moved(&self, local: u32) -> u32 {
        match self.site.is_passed {
            Some(params) if local >= params => local + 2,
            _ => local,
        }
    }

    /// Writes these operators, and what goes between them.
    fn ops(&mut self, range: Range<usize>, copy: Option<Copy>) {
        let last = self.function.ops.len() - 1;
        self.copied = self.at(range.start);
        let (mut index, mut depth) = (range.start, 0_u32);
        while index < range.end {
            let op = &self.function.ops[index];
            let next = self.at(index + 1);
            // Up to its branch back, a copy is as it is for.
            let within = copy.filter(|copy| index <= copy.back);
            // What comes before a loop is charged before its copies.
            if within.is_none_or(|copy| copy.way == Way::Counting && index > range.start) {
                self.charges_before(index);
            }
            if copy.is_none() && self.loops.contains_key(&index) {
                self.flush(op.at);
                index = self.copies(index);
                continue;
            }
            match op.kind {
                Kind::Block | Kind::Loop { .. } | Kind::If => depth += 1,
                Kind::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            if within.is_some_and(|copy| self.float_in_copy(index, copy)) {
                index += 1;
                continue;
            }
            match op.kind {
                Kind::Br(label) | Kind::BrIf(label) if copy.is_some() => {
                    self.flush(op.at);
                    self.settle();
                    let lift = copy.map_or(0, |copy| copy.lift);
                    let lifted = if label >= depth { label + lift } else { label };
                    match (op.kind, within) {
                        (Kind::BrIf(_), Some(copy)) => self.leave_copy(copy, index, depth, lifted),
                        (Kind::BrIf(_), None) => self.put(&[I::BrIf(lifted)]),
                        _ => self.put(&[I::Br(lifted)]),
                    }
                    self.copied = next;
                }
                Kind::If
                | Kind::Else
                | Kind::Br(_)
                | Kind::BrIf(_)
                | Kind::BrTable(_)
                | Kind::Loop { is_target: true } => {
                    self.flush(op.at);
                    self.settle();
                }
                Kind::End if index == last => {
                    self.flush(op.at);
                    if self.is_wrapped {
                        self.settle();
                        self.put(&[I::End]);
                    }
                    self.leave();
                }
                Kind::End => {
                    self.flush(op.at);
                    self.settle();
                }
                Kind::Return => {
                    self.flush(op.at);
                    self.leave();
                }
                Kind::Get(local) | Kind::Set(local) | Kind::Tee(local) if self.moved(local) != local => {
                    self.flush(op.at);
                    // The operator's own byte, then another number.
                    self.bytes.push(self.site.module[op.at as usize]);
                    self.moved(local).encode(&mut self.bytes);
                    self.copied = next;
                }
                Kind::LocalObserved { local, lanes } => {
                    self.flush(op.at);
                    self.put(&[I::LocalGet(self.moved(local))]);
                    self.copied = next;
                    self.canonical(lanes);
                }
                Kind::Call(callee) => match (self.site.callee)(callee) {
                    Callee::Free => {}
                    Callee::Global { needs_stack } => {
                        self.flush(op.at);
                        self.hand_over(needs_stack);
                    }
                    Callee::Passed(inner) => {
                        self.flush(op.at);
                        self.pass(inner);
                        self.copied = next;
                    }
                },
                Kind::CallIndirect => {
                    self.flush(op.at);
                    self.hand_over(true);
                }
                Kind::Bulk(shift) => {
                    self.flush(op.at);
                    self.charge_length(shift);
                }
                Kind::MemoryGrow => {
                    if let Some(grow) = self.site.added.grow_memory {
                        self.flush(op.at);
                        self.put(&[I::Call(grow)]);
                        self.copied = next;
                    }
                }
                Kind::TableGrow(table) => {
                    if let Some(grow) = self.site.added.grow_table.get(table as usize).copied().flatten() {
                        self.flush(op.at);
                        self.put(&[I::Call(grow)]);
                        self.copied = next;
                    }
                }
                Kind::Float { lanes, is_observed: true } => {
                    self.flush(next);
                    self.canonical(lanes);
                }
                _ => {}
            }
            index += 1;
        }
        self.flush(self.at(range.end));
    }

    /// What is charged before an operator.
    fn charges_before(&mut self, index: usize) {
        // The entry's own is written already.
        let charges = self.site.charges.get(1..).unwrap_or_default();
        let from = charges.partition_point(|charge| (charge.before as usize) < index);
        for charge in charges[from..].iter().take_while(|charge| charge.before as usize == index) {
            self.flush(self.at(index));
            match &charge.counted {
                Some(counted) => self.charge_passes(charge.gas, counted),
                None => self.charge(charge),
            }
        }
    }
}
