//! A module, read and validated once.
use std::collections::BTreeMap;

use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, Encoding, ExternalKind, FuncType,
    FuncValidatorAllocations, GlobalType, MemoryType, Operator, Parser, Payload, RefType, TableType, TypeRef,
    ValidPayload, Validator, WasmFeatures,
};

use super::bounds::{self, Bound};
use super::function::{self, Function};
use super::refused::{Reason, Refused};
use super::{MODULE_BYTES_MAX, TABLE_ELEMENTS_MAX};
use crate::Limits;

pub(super) struct Module<'a> {
    pub bytes: &'a [u8],
    pub types: Vec<FuncType>,
    /// For each type, the first that is equal.
    pub same_type: Vec<u32>,
    pub imports: Vec<Import<'a>>,
    /// The types of all functions, imported ones first.
    pub function_types: Vec<u32>,
    pub imported_functions: u32,
    pub imported_tables: u32,
    /// The module's own tables.
    pub tables: Vec<TableType>,
    pub has_imported_memory: bool,
    /// The module's own memory.
    pub memory: Option<MemoryType>,
    /// All globals, imported ones first.
    pub globals: Vec<GlobalType>,
    pub imported_globals: u32,
    pub exports: Vec<Export<'a>>,
    pub start: Option<u32>,
    pub functions: Vec<Function>,
    /// Functions that tables, references, the host or the start can reach, imported ones included.
    pub addressed: Vec<u32>,
    /// Types of the tables that grow, by table.
    pub growing_tables: BTreeMap<u32, RefType>,
    /// The contents of the sections that are copied or added to.
    pub sections: Sections<'a>,
}

/// The contents of sections as they are, each with its count in front.
#[derive(Default)]
pub(super) struct Sections<'a> {
    pub types: Option<&'a [u8]>,
    pub imports: Option<&'a [u8]>,
    pub functions: Option<&'a [u8]>,
    pub globals: Option<&'a [u8]>,
    pub exports: Option<&'a [u8]>,
    pub elements: Option<&'a [u8]>,
    pub data_count: Option<&'a [u8]>,
    pub data: Option<&'a [u8]>,
}

pub(super) struct Import<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub offset: usize,
}

pub(super) struct Export<'a> {
    pub name: &'a str,
    pub kind: ExternalKind,
    pub index: u32,
}

impl Module<'_> {
    /// The type of a function, by its index among all.
    pub fn type_of(&self, function: u32) -> u32 {
        self.function_types[function as usize]
    }

    fn new(bytes: &[u8]) -> Module<'_> {
        Module {
            bytes,
            types: Vec::new(),
            same_type: Vec::new(),
            imports: Vec::new(),
            function_types: Vec::new(),
            imported_functions: 0,
            imported_tables: 0,
            tables: Vec::new(),
            has_imported_memory: false,
            memory: None,
            globals: Vec::new(),
            imported_globals: 0,
            exports: Vec::new(),
            start: None,
            functions: Vec::new(),
            addressed: Vec::new(),
            growing_tables: BTreeMap::new(),
            sections: Sections::default(),
        }
    }
}

/// Reads and validates a module, and refuses what it must not use.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    features: WasmFeatures,
    is_task: bool,
) -> Result<Module<'a>, Refused> {
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(Refused::module(
            Reason::Bytes { bytes: bytes.len(), max: MODULE_BYTES_MAX },
            MODULE_BYTES_MAX,
        ));
    }
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, None);
    let mut validator = Validator::new_with_features(features);
    let mut module = Module::new(bytes);
    let mut allocations = FuncValidatorAllocations::default();
    let (mut locals, mut compiling) = (0, 0);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        // What is refused gets its name before the validator finds it.
        refuse(&payload)?;
        count(&payload)?;
        if is_task {
            refuse_extended(&payload)?;
        }
        let checked = validator.payload(&payload).map_err(invalid)?;
        if let ValidPayload::Func(to_validate, body) = checked {
            let type_of_table = |table: u32| -> Option<RefType> {
                let own = table.checked_sub(module.imported_tables)?;
                Some(module.tables.get(own as usize)?.element_type)
            };
            let mut growing = Vec::new();
            let (function, given_back) =
                function::read(to_validate, &body, allocations, &mut locals, &mut |table| {
                    growing.push(table)
                })?;
            compiling = u64::saturating_add(compiling, function.compiling);
            if is_task {
                let number = module.imported_functions + module.functions.len() as u32;
                bounds::COMPILING.check(compiling, Some(number), function.declared.start)?;
            }
            allocations = given_back;
            for table in growing {
                if let Some(of) = type_of_table(table) {
                    module.growing_tables.insert(table, of);
                }
            }
            module.addressed.extend_from_slice(&function.references);
            module.functions.push(function);
            continue;
        }
        take(&mut module, payload, bytes, limits)?;
    }
    module.addressed.sort_unstable();
    module.addressed.dedup();
    if is_task {
        let exported = module.exports.iter().filter(|export| export.kind == ExternalKind::Func).count();
        let escaping = (exported + module.addressed.len()) as u64;
        let (types, functions) = (module.types.len() as u64, module.functions.len() as u64);
        compiling = compiling.saturating_add(bounds::of_module(types, functions, escaping));
        bounds::COMPILING.check(compiling, None, 0)?;
    }

    let mut first = BTreeMap::new();
    for (index, of) in module.types.iter().enumerate() {
        module.same_type.push(*first.entry((of.params(), of.results())).or_insert(index as u32));
    }
    Ok(module)
}

/// Refuses sections that belong to proposals which a module must not use.
fn refuse(payload: &Payload<'_>) -> Result<(), Refused> {
    let feature = |name, offset| Err(Refused::module(Reason::Feature(name), offset));
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, None);
    match payload {
        Payload::Version { encoding: Encoding::Component, range, .. } => {
            feature("component_model", range.start)
        }
        Payload::TypeSection(types) => {
            for group in types.clone().into_iter_with_offsets() {
                let (offset, group) = group.map_err(invalid)?;
                let is_function = |of: &wasmparser::SubType| {
                    of.is_final
                        && of.supertype_idx.is_none()
                        && !of.composite_type.shared
                        && matches!(of.composite_type.inner, wasmparser::CompositeInnerType::Func(_))
                };
                if group.is_explicit_rec_group() || !group.types().all(is_function) {
                    return feature("gc", offset);
                }
            }
            Ok(())
        }
        Payload::TagSection(tags) => feature("exceptions", tags.range().start),
        Payload::MemorySection(memories) => {
            for memory in memories.clone().into_iter_with_offsets() {
                let (offset, memory) = memory.map_err(invalid)?;
                refuse_memory(&memory, offset)?;
            }
            Ok(())
        }
        Payload::ImportSection(imports) => {
            for import in imports.clone().into_imports_with_offsets() {
                let (offset, import) = import.map_err(invalid)?;
                match import.ty {
                    TypeRef::Memory(memory) => refuse_memory(&memory, offset)?,
                    TypeRef::Table(table) if table.table64 => return feature("memory64", offset),
                    TypeRef::Tag(_) => return feature("exceptions", offset),
                    _ => {}
                }
            }
            Ok(())
        }
        Payload::TableSection(tables) => {
            for table in tables.clone().into_iter_with_offsets() {
                let (offset, table) = table.map_err(invalid)?;
                if table.ty.table64 {
                    return feature("memory64", offset);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses more of anything than every engine takes.
fn count(payload: &Payload<'_>) -> Result<(), Refused> {
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, None);
    let check = |bound: Bound, count: u32, at: usize| bound.check(count.into(), None, at);
    match payload {
        Payload::TypeSection(types) => {
            check(bounds::TYPES, types.count(), types.range().start)?;
            for group in types.clone().into_iter_with_offsets() {
                let (offset, group) = group.map_err(invalid)?;
                for of in group.types() {
                    if let wasmparser::CompositeInnerType::Func(of) = &of.composite_type.inner {
                        let values = of.params().len().max(of.results().len());
                        check(bounds::VALUES, values as u32, offset)?;
                    }
                }
            }
            Ok(())
        }
        Payload::FunctionSection(of) => check(bounds::FUNCTIONS, of.count(), of.range().start),
        Payload::TableSection(of) => check(bounds::TABLES, of.count(), of.range().start),
        Payload::GlobalSection(of) => check(bounds::GLOBALS, of.count(), of.range().start),
        Payload::ElementSection(of) => check(bounds::SEGMENTS, of.count(), of.range().start),
        Payload::DataSection(of) => check(bounds::SEGMENTS, of.count(), of.range().start),
        Payload::ExportSection(exports) => {
            check(bounds::EXPORTS, exports.count(), exports.range().start)?;
            for export in exports.clone().into_iter_with_offsets() {
                let (offset, export) = export.map_err(invalid)?;
                bounds::NAME_BYTES.check(export.name.len() as u64, None, offset)?;
            }
            Ok(())
        }
        Payload::CodeSectionEntry(body) => {
            let range = body.range();
            bounds::BODY_BYTES.check(range.len() as u64, None, range.start)
        }
        _ => Ok(()),
    }
}

/// Refuses constants that are worked out.
fn refuse_extended(payload: &Payload<'_>) -> Result<(), Refused> {
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, None);
    let check = |of: &ConstExpr<'_>| {
        for operator in of.get_operators_reader() {
            use Operator as O;
            if let O::I32Add | O::I32Sub | O::I32Mul | O::I64Add | O::I64Sub | O::I64Mul =
                operator.map_err(invalid)?
            {
                let offset = of.get_binary_reader().original_position();
                return Err(Refused::module(Reason::Feature("extended_const"), offset));
            }
        }
        Ok(())
    };
    match payload {
        Payload::GlobalSection(globals) => {
            globals.clone().into_iter().try_for_each(|global| check(&global.map_err(invalid)?.init_expr))
        }
        Payload::ElementSection(elements) => elements.clone().into_iter().try_for_each(|element| {
            let element = element.map_err(invalid)?;
            if let ElementItems::Expressions(_, items) = element.items {
                items.into_iter().try_for_each(|item| check(&item.map_err(invalid)?))?;
            }
            match element.kind {
                ElementKind::Active { offset_expr, .. } => check(&offset_expr),
                _ => Ok(()),
            }
        }),
        Payload::DataSection(data) => {
            data.clone().into_iter().try_for_each(|data| match data.map_err(invalid)?.kind {
                DataKind::Active { offset_expr, .. } => check(&offset_expr),
                DataKind::Passive => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

fn refuse_memory(memory: &MemoryType, offset: usize) -> Result<(), Refused> {
    let name = match memory {
        MemoryType { memory64: true, .. } => "memory64",
        MemoryType { shared: true, .. } => "threads",
        MemoryType { page_size_log2: Some(_), .. } => "custom_page_sizes",
        _ => return Ok(()),
    };
    Err(Refused::module(Reason::Feature(name), offset))
}

/// Takes in what a valid section says.
fn take<'a>(
    module: &mut Module<'a>,
    payload: Payload<'a>,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(), Refused> {
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, None);
    let sections = &mut module.sections;
    match payload {
        Payload::TypeSection(types) => {
            sections.types = Some(&bytes[types.range()]);
            for of in types.into_iter_err_on_gc_types() {
                module.types.push(of.map_err(invalid)?);
            }
        }
        Payload::ImportSection(imports) => {
            sections.imports = Some(&bytes[imports.range()]);
            for import in imports.into_imports_with_offsets() {
                let (offset, import) = import.map_err(invalid)?;
                match import.ty {
                    TypeRef::Func(of) | TypeRef::FuncExact(of) => {
                        module.function_types.push(of);
                        module.imported_functions += 1;
                    }
                    TypeRef::Table(_) => module.imported_tables += 1,
                    TypeRef::Memory(_) => module.has_imported_memory = true,
                    TypeRef::Global(of) => {
                        module.globals.push(of);
                        module.imported_globals += 1;
                    }
                    TypeRef::Tag(_) => {}
                }
                module.imports.push(Import { module: import.module, name: import.name, offset });
            }
        }
        Payload::FunctionSection(functions) => {
            sections.functions = Some(&bytes[functions.range()]);
            for of in functions {
                module.function_types.push(of.map_err(invalid)?);
            }
        }
        Payload::TableSection(tables) => {
            for table in tables.into_iter_with_offsets() {
                let (offset, table) = table.map_err(invalid)?;
                module.tables.push(table.ty);
                let elements = module.tables.iter().map(|of| of.initial).fold(0, u64::saturating_add);
                if elements > u64::from(TABLE_ELEMENTS_MAX) {
                    return Err(Refused::module(Reason::TableElements(elements), offset));
                }
            }
        }
        Payload::MemorySection(memories) => {
            for memory in memories.into_iter_with_offsets() {
                let (offset, memory) = memory.map_err(invalid)?;
                if memory.initial > u64::from(limits.memory_pages) {
                    let reason = Reason::MemoryPages { pages: memory.initial, max: limits.memory_pages };
                    return Err(Refused::module(reason, offset));
                }
                module.memory = Some(memory);
            }
        }
        Payload::GlobalSection(globals) => {
            sections.globals = Some(&bytes[globals.range()]);
            for global in globals {
                let global = global.map_err(invalid)?;
                module.globals.push(global.ty);
                referenced(&global.init_expr, &mut module.addressed).map_err(invalid)?;
            }
        }
        Payload::ExportSection(exports) => {
            sections.exports = Some(&bytes[exports.range()]);
            for export in exports.into_iter_with_offsets() {
                let (offset, export) = export.map_err(invalid)?;
                if export.name.starts_with("peeredge:") {
                    return Err(Refused::module(Reason::ReservedExport(export.name.into()), offset));
                }
                if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                    module.addressed.push(export.index);
                }
                module.exports.push(Export { name: export.name, kind: export.kind, index: export.index });
            }
        }
        Payload::StartSection { func, .. } => {
            module.start = Some(func);
            module.addressed.push(func);
        }
        Payload::ElementSection(elements) => {
            sections.elements = Some(&bytes[elements.range()]);
            for element in elements {
                let element = element.map_err(invalid)?;
                match element.items {
                    ElementItems::Functions(functions) => {
                        for function in functions {
                            module.addressed.push(function.map_err(invalid)?);
                        }
                    }
                    ElementItems::Expressions(_, expressions) => {
                        for expression in expressions {
                            referenced(&expression.map_err(invalid)?, &mut module.addressed)
                                .map_err(invalid)?;
                        }
                    }
                }
            }
        }
        Payload::DataCountSection { range, .. } => sections.data_count = Some(&bytes[range]),
        Payload::DataSection(data) => sections.data = Some(&bytes[data.range()]),
        _ => {}
    }
    Ok(())
}

/// The functions that an initial value refers to.
fn referenced(expression: &ConstExpr<'_>, addressed: &mut Vec<u32>) -> wasmparser::Result<()> {
    for operator in expression.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            addressed.push(function_index);
        }
    }
    Ok(())
}
