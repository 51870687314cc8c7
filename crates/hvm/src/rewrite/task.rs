use wasmparser::{ExternalKind, ValType};

use super::module::Module;
use super::refused::{Reason, Refused};

/// Checks that a module is a task: no imports, and the exports of the ABI.
pub(super) fn check(module: &Module<'_>) -> Result<(), Refused> {
    if let Some(import) = module.imports.first() {
        let reason = Reason::Import { module: import.module.into(), name: import.name.into() };
        return Err(Refused::module(reason, import.offset));
    }
    const I32: ValType = ValType::I32;
    const FUNCTIONS: [(&str, &[ValType], &[ValType]); 3] = [
        ("peeredge_input", &[I32], &[I32]),
        ("peeredge_step", &[], &[I32]),
        ("peeredge_output", &[], &[ValType::I64]),
    ];
    let missing = |name| Err(Refused::module(Reason::MissingExport(name), 0));
    if !module.exports.iter().any(|export| export.name == "memory" && export.kind == ExternalKind::Memory) {
        return missing("memory");
    }
    for (name, params, results) in FUNCTIONS {
        if !has_function(module, name, params, results) {
            return missing(name);
        }
    }
    let has_initialize = module.exports.iter().any(|export| export.name == "_initialize");
    if has_initialize && !has_function(module, "_initialize", &[], &[]) {
        return missing("_initialize");
    }
    Ok(())
}

fn has_function(module: &Module<'_>, name: &str, params: &[ValType], results: &[ValType]) -> bool {
    module.exports.iter().any(|export| {
        let of = || &module.types[module.type_of(export.index) as usize];
        export.name == name
            && matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact)
            && of().params() == params
            && of().results() == results
    })
}
