//! The deterministic rewrite: a module that counts its gas, bounds its stack and memory, and has one kind of NaN.
//!
//! The same bytes in give the same bytes out on every host, so whoever doubts a rewritten module makes it again.
//! `docs/task-rewrite.md` says what is written, well enough to write it again.
mod accounts;
mod assemble;
mod bounded;
mod bounds;
mod cost;
mod counted;
mod deferred;
mod emit;
mod function;
mod graph;
mod kept;
mod module;
mod nans;
mod op;
mod proposals;
mod refused;
mod task;
mod variables;

pub use refused::{Reason, Refused};

use crate::Limits;

/// Version of the rewrite: another one gives other bytes, and maybe other gas, for the same module. 2 to 5 give the gas of 1.
pub const REWRITE_VERSION: u16 = 5;
/// Largest module that is rewritten, and largest that comes out, in bytes.
pub const MODULE_BYTES_MAX: usize = 32 << 20;
/// Most elements that all tables may start with, or grow to, together.
pub const TABLE_ELEMENTS_MAX: u32 = 1 << 20;
/// Slots of 8 bytes for the frames of functions that can recurse. With [`STACK_SLOTS_STATIC`] it stays below what a worker's stack
/// holds in any engine.
pub const STACK_SLOTS: u32 = 32_768;
/// Slots of 8 bytes for the frames of functions that cannot recurse, along any chain of calls.
pub const STACK_SLOTS_STATIC: u32 = 16_384;
/// Gas up to which a function without loops is charged by its callers.
const FREE_GAS_MAX: u64 = 64;

/// Most parameters and results of a function that is given gas and stack as two parameters more.
const PASSED_PARAMS_MAX: usize = 64;
const PASSED_RESULTS_MAX: usize = 8;

/// A module as hosts run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The module.
    pub bytes: Vec<u8>,
    /// Whether its memory and its exported globals are all its state, so that it can move between steps.
    pub is_movable: bool,
}

/// Rewrites a task: what the ABI asks of a module is there, and nothing that a task must not have.
///
/// # Errors
/// Whatever the module is refused for, with the function and the offset. Nothing panics, whatever the bytes.
pub fn instrument(bytes: &[u8], limits: &Limits) -> Result<Rewritten, Refused> {
    // Not every engine in use has extended constants; a page's engine is what it is.
    let features = proposals::FEATURES.difference(wasmparser::WasmFeatures::EXTENDED_CONST);
    let module = module::read(bytes, limits, features, true)?;
    task::check(&module)?;
    assemble::assemble(&module, limits, true)
}

/// Rewrites any module, with imports, other exports and references to host values: what its imports do to its result is the
/// caller's business. Imported memories and tables grow as their owner lets them.
///
/// # Errors
/// As [`instrument`].
pub fn rewrite(bytes: &[u8], limits: &Limits) -> Result<Rewritten, Refused> {
    let features = proposals::FEATURES.union(wasmparser::WasmFeatures::GC_TYPES);
    let module = module::read(bytes, limits, features, false)?;
    assemble::assemble(&module, limits, false)
}
