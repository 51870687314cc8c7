//! How many values an optimising engine may keep in a frame besides the locals and operands that WebAssembly names.
//!
//! An engine may compute once what the code computes twice, compute before a loop what does not change in it, and compute later what is
//! used later; in each case a value is alive where no local or operand holds it. Here every function's values are numbered as engines
//! do it, but each is taken to be alive wherever any of them might keep it: from the first place where it can be known to the last
//! one that uses it, or what is computed from it. The most that are alive at one place is what a frame is charged for.
mod loops;
mod most;
mod operators;
mod sources;

use std::collections::BTreeMap;

use super::bounds::of_loop;
pub(super) use loops::written_in_loops;
use operators::{is_commutative, is_free, key, mirrored, offset};
use wasmparser::Operator;

const NONE: u32 = u32::MAX;
/// Work in steps of a map for each operator, beyond which the function is not looked at so closely.
const WORK_PER_OP: usize = 256;
/// The same for a whole function, so that what is noted of it stays within 128 MiB.
const WORK_MAX: usize = 8 << 20;
/// Rounds in which values that meet are looked for to be one and the same.
const ROUNDS_MAX: usize = 8;
/// Offsets from here on are added by some engines before the memory is reached, and the sum is a value.
const OFFSET_FOLDED_MAX: u64 = 1 << 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Engines make it again rather than keep it.
    Constant,
    /// Made where it stands: a load, a result, a parameter.
    Fixed,
    /// It can be made anywhere behind its inputs.
    Free,
    /// One of several values, where ways meet.
    Meet,
}

struct Value {
    what: What,
    /// The first place where it may be made.
    start: u32,
    /// The last place where it is used.
    end: u32,
    inputs: [u32; 3],
    /// The block in which it was first made.
    block: u32,
    /// Whether an operator takes it, and whether it is what a loop's head takes.
    is_used: bool,
    is_head: bool,
    /// Whether an engine may keep it where no local or operand does.
    is_shared: bool,
    /// Of a chain of operators with constants: the value at its beginning, and what was added.
    root: u32,
    added: Option<i64>,
}

struct Open {
    number: u32,
    /// What each local written so far held at the start, and whether a branch left before it was written.
    written: BTreeMap<u32, (u32, bool)>,
    /// The values of locals at branches to the end.
    arriving: Vec<(u32, u32)>,
    /// The values that each result may be.
    results: Vec<Vec<u32>>,
    branches: u32,
    params: Vec<u32>,
    /// The locals that a loop's head takes, and its parameters, as values.
    heads: Vec<(u32, u32)>,
    is_loop: bool,
    is_if: bool,
}

/// The values of one function, taken in operator by operator.
pub(super) struct Values {
    values: Vec<Value>,
    known: BTreeMap<(u128, [u32; 3]), u32>,
    operands: Vec<u32>,
    locals: Vec<u32>,
    open: Vec<Open>,
    /// All blocks: the one around it, where it starts, and whether it is open.
    blocks: Vec<(u32, u32, bool)>,
    /// All loops: start, end, the one around it.
    loops: Vec<(u32, u32, u32)>,
    open_loops: Vec<u32>,
    /// By operator, the innermost loop.
    within: Vec<u32>,
    meets: Vec<(u32, u32)>,
    /// For each loop, the locals that are written in it.
    written: Vec<Vec<u32>>,
    work: usize,
    /// Units of compiling for the ways back to loops' heads.
    back: u64,
    /// Whether that was more than is done.
    gave_up: bool,
    free: u64,
}

impl Values {
    /// Of a function with so many parameters and locals, which writes these in its loops.
    pub fn new(params: u32, locals: u32, written: Vec<Vec<u32>>) -> Self {
        let mut of = Values {
            values: Vec::new(),
            known: BTreeMap::new(),
            operands: Vec::new(),
            locals: Vec::new(),
            open: Vec::new(),
            blocks: Vec::new(),
            loops: Vec::new(),
            open_loops: Vec::new(),
            within: Vec::new(),
            meets: Vec::new(),
            written,
            work: 0,
            back: 0,
            gave_up: false,
            free: 0,
        };
        of.enter(0, 0, 0, false, false);
        let zero = of.make(What::Constant, 0, [NONE; 3]);
        of.locals = vec![zero; locals as usize];
        for param in 0..params.min(locals) as usize {
            of.locals[param] = of.make(What::Fixed, 0, [NONE; 3]);
        }
        of
    }

    /// Takes in an operator: its bytes, what it takes and gives, and whether it can be reached; then the operands' true number.
    pub fn op(&mut self, operator: &Operator<'_>, bytes: &[u8], arity: (u32, u32), is_dead: bool) {
        let at = self.within.len() as u32;
        self.within.push(self.open_loops.last().copied().unwrap_or(NONE));
        let (taken, given) = (arity.0 as usize, arity.1 as usize);
        if self.is_too_much() {
            // For good: what was not looked at is not known later either.
            self.gave_up = true;
            self.free += u64::from(given > 0);
            return;
        }
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let is_if = matches!(operator, Operator::If { .. });
                if is_if {
                    self.take(1, at);
                }
                let params = if is_if { taken.saturating_sub(1) } else { taken };
                self.enter(at, params, given, matches!(operator, Operator::Loop { .. }), is_if);
            }
            Operator::Else => self.otherwise(taken, is_dead),
            Operator::End => self.leave(at, given, is_dead),
            _ if is_dead => self.fill(taken, given, at),
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth, taken, at);
                self.take(taken, at);
            }
            Operator::BrIf { relative_depth } => {
                self.take(1, at);
                self.branch(*relative_depth, taken.saturating_sub(1), at);
            }
            Operator::BrTable { targets } => {
                self.take(1, at);
                let mut labels: Vec<u32> = targets.targets().flatten().collect();
                labels.push(targets.default());
                self.work += labels.len();
                labels.sort_unstable();
                labels.dedup();
                for label in labels {
                    self.branch(label, taken.saturating_sub(1), at);
                }
                self.take(taken.saturating_sub(1), at);
            }
            Operator::LocalGet { local_index } => {
                let value = self.local(*local_index);
                self.operands.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.operands.pop().unwrap_or(0);
                self.write(*local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.operands.last().copied().unwrap_or(0);
                self.write(*local_index, value);
            }
            Operator::Nop | Operator::Unreachable => {}
            Operator::Drop => drop(self.operands.pop()),
            Operator::I32Const { .. } | Operator::I64Const { .. } => {
                let constant = match operator {
                    Operator::I32Const { value } => i64::from(*value),
                    Operator::I64Const { value } => *value,
                    _ => 0,
                };
                let key = (key(bytes), [NONE; 3]);
                let value = match self.known.get(&key) {
                    Some(value) => *value,
                    None => {
                        let value = self.make(What::Constant, 0, [NONE; 3]);
                        self.values[value as usize].added = Some(constant);
                        self.known.insert(key, value);
                        value
                    }
                };
                self.operands.push(value);
            }
            _ if given == 1 && taken <= 3 && is_free(bytes) => {
                let mut inputs = [NONE; 3];
                let from = self.operands.len().saturating_sub(taken);
                for (input, value) in inputs.iter_mut().zip(self.operands.drain(from..)) {
                    *input = value;
                }
                let value = self.computed(bytes, inputs, at);
                self.operands.push(value);
            }
            _ => {
                if let Some(offset) = offset(bytes) {
                    let address = self.operands.len().checked_sub(taken).map(|index| self.operands[index]);
                    let beyond = if offset < OFFSET_FOLDED_MAX { 0 } else { offset };
                    let key = (u128::from(beyond) << 8 | 1 << 120, [address.unwrap_or(0), NONE, NONE]);
                    let place = self.shared(key, at);
                    self.use_at(place, at);
                }
                self.fill(taken, given, at);
            }
        }
    }

    /// Whether the function is not looked at so closely any more.
    fn is_too_much(&self) -> bool {
        self.gave_up || self.work > WORK_MAX.min(WORK_PER_OP * (self.within.len() + 64))
    }

    /// The operands' number, as the validator has it.
    pub fn set_height(&mut self, height: usize) {
        self.operands.resize(height, 0);
    }

    fn make(&mut self, what: What, at: u32, inputs: [u32; 3]) -> u32 {
        let block = self.open.last().map_or(0, |open| open.number);
        let number = self.values.len() as u32;
        self.values.push(Value {
            what,
            start: at,
            end: at,
            inputs,
            block,
            is_used: false,
            is_head: false,
            is_shared: false,
            root: number,
            added: None,
        });
        number
    }

    /// What a loop's head takes.
    fn make_head(&mut self, at: u32) -> u32 {
        let value = self.make(What::Meet, at, [NONE; 3]);
        self.values[value as usize].is_head = true;
        value
    }

    fn use_at(&mut self, value: u32, at: u32) {
        let value = &mut self.values[value as usize];
        value.end = value.end.max(at);
        value.is_used = true;
    }

    fn take(&mut self, count: usize, at: u32) {
        for _ in 0..count {
            let value = self.operands.pop().unwrap_or(0);
            self.use_at(value, at);
        }
    }

    /// Takes operands, and gives values that are made right here.
    fn fill(&mut self, taken: usize, given: usize, at: u32) {
        self.take(taken, at);
        self.work += taken + given;
        for _ in 0..given {
            let value = self.make(What::Fixed, at, [NONE; 3]);
            self.operands.push(value);
        }
    }

    fn local(&self, local: u32) -> u32 {
        self.locals.get(local as usize).copied().unwrap_or(0)
    }

    fn write(&mut self, local: u32, value: u32) {
        let before = self.local(local);
        if before == value {
            return;
        }
        for open in self.open.iter_mut().rev() {
            if open.written.contains_key(&local) {
                break;
            }
            self.work += 1;
            open.written.insert(local, (before, open.branches > 0));
        }
        if let Some(held) = self.locals.get_mut(local as usize) {
            *held = value;
        }
    }

    fn enter(&mut self, at: u32, params: usize, given: usize, is_loop: bool, is_if: bool) {
        let number = self.blocks.len() as u32;
        self.blocks.push((self.open.last().map_or(NONE, |open| open.number), at, true));
        let from = self.operands.len().saturating_sub(params);
        self.work += params + given;
        let mut heads = Vec::new();
        if is_loop {
            let around = self.open_loops.last().copied().unwrap_or(NONE);
            let index = self.loops.len();
            self.loops.push((at, at, around));
            self.open_loops.push(index as u32);
            if let Some(last) = self.within.last_mut() {
                *last = index as u32;
            }
            for operand in from..self.operands.len() {
                let value = self.make_head(at);
                let before = std::mem::replace(&mut self.operands[operand], value);
                self.meets.push((value, before));
                heads.push((NONE, value));
            }
            let written = self.written.get_mut(index).map(std::mem::take).unwrap_or_default();
            self.work += written.len();
            // What comes later may be no valid code.
            for local in written {
                if local as usize >= self.locals.len() {
                    continue;
                }
                let value = self.make_head(at);
                self.meets.push((value, self.local(local)));
                self.write(local, value);
                heads.push((local, value));
            }
        }
        self.open.push(Open {
            number,
            written: BTreeMap::new(),
            arriving: Vec::new(),
            results: Vec::new(),
            branches: 0,
            params: self.operands[from..].to_vec(),
            heads,
            is_loop,
            is_if,
        });
    }

    fn branch(&mut self, label: u32, values: usize, at: u32) {
        let Some(target) = self.open.len().checked_sub(label as usize + 1) else { return };
        let from = self.operands.len().saturating_sub(values);
        self.work += values;
        for operand in from..self.operands.len() {
            self.use_at(self.operands[operand], at);
        }
        let open = &mut self.open[target];
        open.branches += 1;
        if open.is_loop {
            self.work += open.heads.len();
            let mut operands = self.operands[from..].iter();
            for (local, value) in &open.heads {
                let now = match *local {
                    NONE => operands.next().copied().unwrap_or(0),
                    local => self.locals[local as usize],
                };
                self.meets.push((*value, now));
            }
            return;
        }
        self.work += open.written.len();
        for local in open.written.keys() {
            open.arriving.push((*local, self.locals[*local as usize]));
        }
        open.results.resize(open.results.len().max(values), Vec::new());
        for (result, operand) in open.results.iter_mut().zip(&self.operands[from..]) {
            result.push(*operand);
        }
    }

    fn otherwise(&mut self, results: usize, is_dead: bool) {
        let from = self.operands.len().saturating_sub(results);
        let Some(open) = self.open.last_mut() else { return };
        self.work += open.written.len() + results;
        if !is_dead {
            // The first arm's end is one more way to the end of both.
            open.branches += 1;
            for local in open.written.keys() {
                open.arriving.push((*local, self.locals[*local as usize]));
            }
            open.results.resize(open.results.len().max(results), Vec::new());
            for (result, operand) in open.results.iter_mut().zip(&self.operands[from..]) {
                result.push(*operand);
            }
        }
        for (local, (before, _)) in &open.written {
            self.locals[*local as usize] = *before;
        }
        open.is_if = false;
        // The arms are blocks of their own: neither lies before the other.
        let (around, start, _) = self.blocks[open.number as usize];
        self.blocks[open.number as usize].2 = false;
        open.number = self.blocks.len() as u32;
        self.blocks.push((around, start, true));
        self.operands.truncate(from);
        self.operands.extend_from_slice(&open.params);
    }

    fn leave(&mut self, at: u32, given: usize, is_dead: bool) {
        let Some(open) = self.open.pop() else { return };
        self.blocks[open.number as usize].2 = false;
        if open.is_loop {
            self.back = self.back.saturating_add(of_loop(open.branches.into()));
            if let Some(index) = self.open_loops.pop() {
                self.loops[index as usize].1 = at;
            }
            return;
        }
        if self.open.is_empty() {
            let count = given.min(self.operands.len());
            self.take(count, at);
            return;
        }
        self.work += open.written.len() + open.arriving.len() + given;
        let is_met = open.branches > 0 || open.is_if;
        if !is_met {
            return;
        }
        // Locals.
        let mut inputs: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (local, (before, is_left)) in &open.written {
            let of = inputs.entry(*local).or_default();
            if !is_dead {
                of.push(self.locals[*local as usize]);
            }
            if *is_left || open.is_if {
                of.push(*before);
            }
        }
        for (local, value) in &open.arriving {
            inputs.entry(*local).or_default().push(*value);
        }
        for (local, of) in inputs {
            if let Some(value) = self.meet(&of, at) {
                self.write(local, value);
            }
        }
        // Results.
        let from = self.operands.len().saturating_sub(given);
        for (number, operand) in (from..self.operands.len()).enumerate() {
            let mut of = open.results.get(number).cloned().unwrap_or_default();
            if !is_dead {
                of.push(self.operands[operand]);
            }
            if open.is_if {
                of.extend(open.params.get(number));
            }
            if let Some(value) = self.meet(&of, at) {
                self.operands[operand] = value;
            }
        }
    }

    /// What these values are where they meet.
    fn meet(&mut self, of: &[u32], at: u32) -> Option<u32> {
        let first = *of.first()?;
        if of.iter().all(|value| *value == first) {
            return Some(first);
        }
        let meet = self.make(What::Meet, at, [NONE; 3]);
        self.work += of.len();
        for value in of {
            let source = &mut self.values[*value as usize];
            source.end = source.end.max(at);
            self.meets.push((meet, *value));
        }
        Some(meet)
    }

    /// The value of an operator that can be made anywhere.
    fn computed(&mut self, bytes: &[u8], mut inputs: [u32; 3], at: u32) -> u32 {
        self.free += 1;
        self.work += 1;
        let mut opcode = key(bytes);
        let constant = |of: &Self, input: u32| {
            let value = of.values.get(input as usize)?;
            (value.what == What::Constant).then_some(value.added.unwrap_or(0))
        };
        if let [byte] = bytes {
            if let Some(other) = mirrored(*byte) {
                opcode = key(&[other]);
                inputs.swap(0, 1);
            } else if is_commutative(*byte) {
                inputs[..2].sort_unstable();
            }
        }
        for input in inputs.into_iter().filter(|input| *input != NONE) {
            self.use_at(input, at);
        }
        // Sums with constants, however they are put, are one sum.
        let mut sum = None;
        if let [byte @ (0x6a | 0x6b | 0x7c | 0x7d)] = bytes {
            let is_wide = *byte >= 0x7c;
            let is_minus = matches!(byte, 0x6b | 0x7d);
            let (a, b) = (constant(self, inputs[0]), constant(self, inputs[1]));
            let of = match (a, b) {
                (None, Some(more)) => Some((inputs[0], if is_minus { more.wrapping_neg() } else { more })),
                (Some(more), None) if !is_minus => Some((inputs[1], more)),
                _ => None,
            };
            if let Some((base, more)) = of {
                let base_is_sum = self.values[base as usize].added.is_some();
                let (root, before) = match base_is_sum {
                    true => (self.values[base as usize].root, self.values[base as usize].added.unwrap_or(0)),
                    false => (base, 0),
                };
                let all = before.wrapping_add(more);
                let all = if is_wide { all } else { i64::from(all as i32) };
                opcode = u128::from(all as u64) << 16 | if is_wide { 0x7c } else { 0x6a };
                opcode |= 2 << 120;
                inputs = [root, NONE, NONE];
                sum = Some((root, all));
            }
        }
        let value = self.shared((opcode, inputs), at);
        if let Some((root, all)) = sum {
            let of = &mut self.values[value as usize];
            (of.root, of.added) = (root, Some(all));
        } else {
            // A longer chain of operators with constants may be another one's equal in ways that are not followed here.
            let mut others = inputs.into_iter().filter(|input| {
                self.values.get(*input as usize).is_some_and(|value| value.what != What::Constant)
            });
            let (input, more) = (others.next(), others.next());
            if let (Some(input), None) = (input, more) {
                let root = self.values[input as usize].root;
                if self.values[input as usize].what == What::Free && root != input {
                    let start = self.values[root as usize].start.min(self.values[value as usize].start);
                    self.values[value as usize].start = start;
                    self.values[value as usize].is_shared = true;
                }
                self.values[value as usize].root = root;
            }
        }
        value
    }

    /// A value that may have been made before.
    fn shared(&mut self, key: (u128, [u32; 3]), at: u32) -> u32 {
        let ready = (key.1.iter())
            .filter_map(|input| self.values.get(*input as usize))
            .map(|value| value.start)
            .max()
            .unwrap_or(0);
        // Before the outermost loop in which it does not change.
        let outermost = self.open_loops.partition_point(|index| self.loops[*index as usize].0 <= ready);
        let hoisted = self.open_loops.get(outermost).map(|index| self.loops[*index as usize].0);
        let value = match self.known.get(&key) {
            Some(value) => {
                let value = *value;
                // Where the first one is not always passed before this one: at the beginning of the block that it is in.
                let mut block = self.values[value as usize].block;
                let mut start = self.values[value as usize].start;
                while let Some((around, begins, false)) = self.blocks.get(block as usize).copied() {
                    self.work += 1;
                    start = start.min(begins.max(ready));
                    block = around;
                }
                let of = &mut self.values[value as usize];
                of.is_shared = true;
                (of.start, of.block) = (start, block);
                value
            }
            None => {
                let value = self.make(What::Free, at, key.1);
                self.known.insert(key, value);
                value
            }
        };
        if let Some(begins) = hoisted {
            let of = &mut self.values[value as usize];
            of.is_shared = true;
            of.start = of.start.min(begins);
        }
        self.use_at(value, at);
        value
    }
}
