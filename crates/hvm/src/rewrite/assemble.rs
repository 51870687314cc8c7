//! Puts the rewritten module together: sections as they were, with what is added behind, so that no index changes.
use wasm_encoder::{
    BlockType, ConstExpr, Encode, ExportKind, GlobalType, Instruction as I, MemoryType, Module as Out,
    RawSection, SectionId, TableType, ValType,
};

use super::accounts::{self, Charge};
use super::bounds::BODY_BYTES;
use super::emit::{self, Added, Callee, Site};
use super::graph::{Calls, Nesting};
use super::module::Module;
use super::op::Kind;
use super::refused::{Reason, Refused};
use super::{
    FREE_GAS_MAX, MODULE_BYTES_MAX, PASSED_PARAMS_MAX, PASSED_RESULTS_MAX, Rewritten, STACK_SLOTS,
    STACK_SLOTS_STATIC, TABLE_ELEMENTS_MAX,
};
use crate::Limits;

/// What hosts keep for an element of a table, for a global, and for a byte of code in machine code of two kinds.
const TABLE_ELEMENT_BYTES: u64 = 32;
const GLOBAL_BYTES: u64 = 16;
const CODE_BYTES: u64 = 10;
/// What a task may have of that beside its memory.
const BESIDE_BYTES_FREE: u64 = 16 << 20;

/// Gas of a callee that is charged by itself, or not known to be small.
const OWN: u64 = u64::MAX;

pub(super) fn assemble(module: &Module<'_>, limits: &Limits, is_task: bool) -> Result<Rewritten, Refused> {
    let defined_addressed: Vec<u32> = module
        .addressed
        .iter()
        .filter_map(|function| function.checked_sub(module.imported_functions))
        .collect();
    let calls = Calls {
        functions: &module.functions,
        imported: module.imported_functions,
        same_type: &module.same_type,
        addressed: &defined_addressed,
    };
    let nesting = calls.nesting();
    for (index, slots) in nesting.slots.iter().enumerate() {
        let own = module.functions[index].slots;
        if slots.max(&own) > &u64::from(STACK_SLOTS_STATIC) {
            return Err(Refused {
                reason: Reason::StackSlots(*slots.max(&own)),
                function: Some(module.imported_functions + index as u32),
                offset: module.functions[index].declared.start,
            });
        }
    }
    let bounds = bounds(module, &nesting, &defined_addressed);

    let mut types = Appended::new(module.sections.types, module.types.len());
    let mut functions = Appended::new(module.sections.functions, module.functions.len());
    let mut globals =
        Appended::new(module.sections.globals, module.globals.len() - module.imported_globals as usize);
    let mut exports = Appended::new(module.sections.exports, module.exports.len());

    // Globals.
    let mut global = |of: ValType, init: ConstExpr| {
        let index = module.imported_globals + globals.count;
        globals.add(|bytes| {
            GlobalType { val_type: of, mutable: true, shared: false }.encode(bytes);
            init.encode(bytes);
        });
        index
    };
    let gas = global(ValType::I64, ConstExpr::i64_const(0));
    let stack = global(ValType::I32, ConstExpr::i32_const(STACK_SLOTS as i32));
    let host = global(ValType::I32, ConstExpr::i32_const(0));
    let mut export = |name: &str, kind: ExportKind, index: u32| {
        exports.add(|bytes| {
            name.encode(bytes);
            kind.encode(bytes);
            index.encode(bytes);
        });
    };
    export("peeredge:gas", ExportKind::Global, gas);
    export("peeredge:stack", ExportKind::Global, stack);
    export("peeredge:host", ExportKind::Global, host);
    if let Some(start) = module.start {
        export("peeredge:start", ExportKind::Func, start);
    }
    let is_movable = is_task && is_movable(module);
    if is_movable {
        for (index, of) in module.globals.iter().enumerate().filter(|(_, of)| of.mutable) {
            debug_assert!(matches!(of.content_type, wasmparser::ValType::I32 | wasmparser::ValType::I64));
            export(&format!("peeredge:global:{index}"), ExportKind::Global, index as u32);
        }
    }

    // Functions that stand for what a host may refuse.
    let table_max = table_max(module, is_task);
    let memory = match module.memory {
        Some(memory) => Some((memory, memory_max(module, &memory, &table_max, limits, is_task)?)),
        None => None,
    };
    let mut added = Added { gas, stack, grow_memory: None, grow_table: Vec::new() };
    let mut helpers: Vec<Vec<u8>> = Vec::new();
    let mut helper = |params: &[ValType], body: Vec<u8>| {
        let of = types.function(params, &[ValType::I32]);
        let index = module.imported_functions + functions.count;
        functions.add(|bytes| of.encode(bytes));
        helpers.push(body);
        index
    };
    let grows = module.functions.iter().any(|of| of.ops.iter().any(|op| op.kind == Kind::MemoryGrow));
    if let Some((_, max)) = memory.filter(|_| grows) {
        added.grow_memory =
            Some(helper(&[ValType::I32], grow(0, I::MemorySize(0), I::MemoryGrow(0), max, host)));
    }
    added.grow_table = vec![None; module.imported_tables as usize + module.tables.len()];
    for (table, of) in &module.growing_tables {
        let max = table_max[(table - module.imported_tables) as usize];
        let element = ValType::Ref(reference(*of));
        let body = grow(1, I::TableSize(*table), I::TableGrow(*table), max, host);
        added.grow_table[*table as usize] = Some(helper(&[element, ValType::I32], body));
    }

    // Functions that are called by name in their own cycle, with gas and stack as parameters.
    let is_passed = |index: usize| {
        let of = &module.types[module.functions[index].type_index as usize];
        nesting.is_called_in_cycle[index]
            && of.params().len() <= PASSED_PARAMS_MAX
            && of.results().len() <= PASSED_RESULTS_MAX
    };
    let inner: Vec<Option<u32>> = (0..module.functions.len())
        .map(|index| {
            is_passed(index).then(|| {
                let of = &module.types[module.functions[index].type_index as usize];
                let behind = |of: &[wasmparser::ValType], more: &[ValType]| -> Vec<ValType> {
                    of.iter().map(|of| value(*of)).chain(more.iter().copied()).collect()
                };
                let params = behind(of.params(), &[ValType::I64, ValType::I64]);
                let of = types.function(&params, &behind(of.results(), &[ValType::I64]));
                let index = module.imported_functions + functions.count;
                functions.add(|bytes| of.encode(bytes));
                index
            })
        })
        .collect();

    // The code.
    let mut code = Vec::new();
    functions.count.encode(&mut code);
    let own_bound = |callee: u32| {
        let defined = callee.checked_sub(module.imported_functions)?;
        bounds.get(defined as usize).copied().filter(|bound| *bound != OWN)
    };
    let callee = |callee: u32| match callee.checked_sub(module.imported_functions) {
        // An import may call back.
        None => Callee::Global { needs_stack: true },
        Some(_) if own_bound(callee).is_some() => Callee::Free,
        Some(index) => match inner[index as usize] {
            Some(inner) => Callee::Passed(inner),
            None => Callee::Global { needs_stack: nesting.reaches_cycle[index as usize] },
        },
    };
    let mut inners: Vec<Vec<u8>> = Vec::new();
    for (index, function) in module.functions.iter().enumerate() {
        let charges: Vec<Charge> = match bounds[index] {
            OWN => accounts::charges(function, &own_bound, false),
            _ => Vec::new(),
        };
        let of = &module.types[function.type_index as usize];
        let params = of.params().len() as u32;
        let site = Site {
            module: module.bytes,
            added: &added,
            charges: &charges,
            params: of.params(),
            results: types.block(of.results()),
            slots: if nesting.is_recursive[index] { function.slots } else { 0 },
            is_passed: inner[index].map(|_| params),
            callee: &callee,
        };
        let body = emit::function(function, &site);
        let number = module.imported_functions + index as u32;
        BODY_BYTES.check(body.len() as u64, Some(number), function.declared.start)?;
        match inner[index] {
            Some(inner) => {
                emit::outer(params, inner, &added).encode(&mut code);
                inners.push(body);
            }
            None => body.encode(&mut code),
        }
        if code.len() > MODULE_BYTES_MAX {
            return Err(Refused {
                reason: Reason::Bytes { bytes: code.len(), max: MODULE_BYTES_MAX },
                function: Some(module.imported_functions + index as u32),
                offset: function.declared.start,
            });
        }
    }
    for body in helpers.iter().chain(&inners) {
        body.as_slice().encode(&mut code);
    }

    // In the order in which sections must come.
    let mut out = Out::new();
    types.section(&mut out, SectionId::Type);
    copy(&mut out, SectionId::Import, module.sections.imports);
    functions.section(&mut out, SectionId::Function);
    if !module.tables.is_empty() {
        let mut tables = wasm_encoder::TableSection::new();
        for (of, max) in module.tables.iter().zip(&table_max) {
            tables.table(TableType {
                element_type: reference(of.element_type),
                table64: false,
                minimum: of.initial,
                maximum: Some((*max).into()),
                shared: false,
            });
        }
        out.section(&tables);
    }
    if let Some((of, max)) = memory {
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(MemoryType {
            minimum: of.initial,
            maximum: Some(max.into()),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        out.section(&memories);
    }
    globals.section(&mut out, SectionId::Global);
    exports.section(&mut out, SectionId::Export);
    copy(&mut out, SectionId::Element, module.sections.elements);
    copy(&mut out, SectionId::DataCount, module.sections.data_count);
    if functions.count > 0 {
        copy(&mut out, SectionId::Code, Some(&code));
    }
    copy(&mut out, SectionId::Data, module.sections.data);
    let bytes = out.finish();
    if bytes.len() > MODULE_BYTES_MAX {
        let reason = Reason::Bytes { bytes: bytes.len(), max: MODULE_BYTES_MAX };
        return Err(Refused::module(reason, module.bytes.len()));
    }
    Ok(Rewritten { bytes, is_movable })
}

/// For each function, the gas that its callers are charged for it, or [`OWN`]: small functions without loops that only other
/// functions of the module call by name.
fn bounds(module: &Module<'_>, nesting: &Nesting, addressed: &[u32]) -> Vec<u64> {
    const OPS_MAX: usize = 256;
    let mut bounds = vec![OWN; module.functions.len()];
    for index in &nesting.callees_first {
        let function = &module.functions[*index as usize];
        let known = |callee: u32| -> u64 {
            callee.checked_sub(module.imported_functions).map_or(OWN, |callee| bounds[callee as usize])
        };
        let is_candidate = !nesting.is_recursive[*index as usize]
            && function.ops.len() <= OPS_MAX
            && function.indirect.is_empty()
            && !function.has_bulk
            && addressed.binary_search(index).is_err()
            && function.calls.iter().all(|callee| known(*callee) != OWN)
            && !function.ops.iter().any(|op| matches!(op.kind, Kind::Loop { is_target: true }));
        if !is_candidate {
            continue;
        }
        let charges = accounts::charges(function, &|callee| Some(known(callee)), true);
        let gas = charges.iter().map(|charge| charge.gas).fold(0, u64::saturating_add);
        if gas <= FREE_GAS_MAX {
            bounds[*index as usize] = gas;
        }
    }
    bounds
}

/// Whether memory and globals that hosts can read and write are all the state there is.
fn is_movable(module: &Module<'_>) -> bool {
    use wasmparser::ValType::{I32, I64};
    let mutable = || module.globals.iter().filter(|of| of.mutable);
    module.functions.iter().all(|function| function.is_fixed)
        && mutable().all(|of| matches!(of.content_type, I32 | I64))
        && mutable().count() <= crate::task::CHECKPOINT_GLOBALS_MAX
}

/// The memory's most pages: what the limit leaves beside what tables, globals and code take of a host's memory.
fn memory_max(
    module: &Module<'_>,
    of: &wasmparser::MemoryType,
    table_max: &[u32],
    limits: &Limits,
    is_task: bool,
) -> Result<u32, Refused> {
    let elements: u64 = table_max.iter().map(|max| u64::from(*max)).sum();
    let code: u64 = module
        .functions
        .iter()
        .map(|function| u64::from(function.end) - function.declared.start as u64)
        .sum();
    let beside =
        elements * TABLE_ELEMENT_BYTES + module.globals.len() as u64 * GLOBAL_BYTES + code * CODE_BYTES;
    let pages = match is_task {
        true => (beside.saturating_sub(BESIDE_BYTES_FREE)).div_ceil(crate::task::PAGE_BYTES as u64),
        false => 0,
    };
    let max = u64::from(limits.memory_pages).saturating_sub(pages) as u32;
    if of.initial > u64::from(max) {
        return Err(Refused::module(Reason::MemoryPages { pages: of.initial, max }, 0));
    }
    Ok(of.maximum.map_or(max, |own| own.min(max.into()) as u32))
}

/// The most elements of each table. All that a task grows share what the tables' beginnings leave; what is no task may be grown by others.
fn table_max(module: &Module<'_>, is_task: bool) -> Vec<u32> {
    let initial: u64 = module.tables.iter().map(|of| of.initial).sum();
    let left = u64::from(TABLE_ELEMENTS_MAX).saturating_sub(initial);
    let share = left / (module.growing_tables.len() as u64).max(1);
    (module.imported_tables..)
        .zip(&module.tables)
        .map(|(index, of)| {
            let max = match (is_task, module.growing_tables.contains_key(&index)) {
                (false, _) => u64::from(TABLE_ELEMENTS_MAX),
                (true, true) => of.initial + share,
                (true, false) => of.initial,
            };
            of.maximum.map_or(max, |own| own.min(max)) as u32
        })
        .collect()
}

fn reference(of: wasmparser::RefType) -> wasm_encoder::RefType {
    if of.is_extern_ref() { wasm_encoder::RefType::EXTERNREF } else { wasm_encoder::RefType::FUNCREF }
}

/// A function that grows by as much as its last parameter says, or gives -1 where that would pass `max`, on every host; where
/// only this host cannot, it says so and traps.
fn grow(count: u32, size: I<'_>, grow: I<'_>, max: u32, host: u32) -> Vec<u8> {
    let mut body = Vec::new();
    // One more local: what growing gave.
    let result = count + 1;
    1_u32.encode(&mut body);
    1_u32.encode(&mut body);
    ValType::I32.encode(&mut body);
    let mut put =
        |instructions: &[I<'_>]| instructions.iter().for_each(|instruction| instruction.encode(&mut body));
    put(&[
        I::LocalGet(count),
        I::I64ExtendI32U,
        size,
        I::I64ExtendI32U,
        I::I64Add,
        I::I64Const(max.into()),
        I::I64GtU,
        I::If(BlockType::Empty),
        I::I32Const(-1),
        I::Return,
        I::End,
    ]);
    (0..=count).for_each(|param| put(&[I::LocalGet(param)]));
    put(&[
        grow,
        I::LocalTee(result),
        I::I32Const(-1),
        I::I32Eq,
        I::If(BlockType::Empty),
        I::I32Const(1),
        I::GlobalSet(host),
        I::Unreachable,
        I::End,
        I::LocalGet(result),
        I::End,
    ]);
    body
}

/// A section's entries as they were, and others behind.
struct Appended<'a> {
    /// The section without its count.
    before: &'a [u8],
    count: u32,
    behind: Vec<u8>,
}

impl<'a> Appended<'a> {
    fn new(section: Option<&'a [u8]>, count: usize) -> Self {
        let section = section.unwrap_or_default();
        // The count is a number of 7 bits a byte; the last byte is the one without the mark.
        let skip = section.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
        Appended { before: &section[skip..], count: count as u32, behind: Vec::new() }
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.behind);
        self.count += 1;
    }

    /// Adds a function type; gives its index.
    fn function(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        self.add(|bytes| {
            bytes.push(0x60);
            params.encode(bytes);
            results.encode(bytes);
        });
        self.count - 1
    }

    /// The type of a block that gives these results.
    fn block(&mut self, results: &[wasmparser::ValType]) -> BlockType {
        match results {
            [] => BlockType::Empty,
            [result] => BlockType::Result(value(*result)),
            results => {
                let results: Vec<ValType> = results.iter().map(|result| value(*result)).collect();
                BlockType::FunctionType(self.function(&[], &results))
            }
        }
    }

    fn section(&self, out: &mut Out, id: SectionId) {
        if self.count == 0 {
            return;
        }
        let mut bytes = Vec::with_capacity(5 + self.before.len() + self.behind.len());
        self.count.encode(&mut bytes);
        bytes.extend_from_slice(self.before);
        bytes.extend_from_slice(&self.behind);
        copy(out, id, Some(&bytes));
    }
}

fn copy(out: &mut Out, id: SectionId, section: Option<&[u8]>) {
    if let Some(data) = section {
        out.section(&RawSection { id: id as u8, data });
    }
}

fn value(of: wasmparser::ValType) -> ValType {
    match of {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(of) => ValType::Ref(reference(of)),
    }
}
