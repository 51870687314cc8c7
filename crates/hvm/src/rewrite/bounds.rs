//! How much of anything a module may have: what every engine takes, of any age, and what is compiled in good time.
use wasmparser::Operator;

use super::refused::{Reason, Refused};

/// A count that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub what: &'static str,
    pub max: u64,
}

const fn bound(what: &'static str, max: u64) -> Bound {
    Bound { what, max }
}

/// V8 takes 65,520.
pub(super) const BRANCH_TARGETS: Bound = bound("targets in a branch table", 65_000);
/// V8, SpiderMonkey and JavaScriptCore take 7,654,321 before and after the rewrite.
pub(super) const BODY_BYTES: Bound = bound("bytes in a function", 7_500_000);
/// Engines took 100,000 for long, and some exports are added.
pub(super) const EXPORTS: Bound = bound("exports", 90_000);
pub(super) const NAME_BYTES: Bound = bound("bytes in a name", 10_000);
pub(super) const TYPES: Bound = bound("types", 100_000);
pub(super) const FUNCTIONS: Bound = bound("functions", 100_000);
pub(super) const GLOBALS: Bound = bound("globals", 100_000);
pub(super) const TABLES: Bound = bound("tables", 1_000);
pub(super) const SEGMENTS: Bound = bound("segments", 90_000);
/// Parameters, or results, of one function.
pub(super) const VALUES: Bound = bound("parameters or results", 1_000);
/// The parameters and locals of all functions.
pub(super) const LOCALS: Bound = bound("locals in all functions", 4_000_000);
/// Locals that loops write, counted once for each loop: engines keep a value for each, and what they do with them grows faster than
/// their number.
pub(super) const LOOP_LOCALS: Bound = bound("locals written in nested loops of one function", 5_000);
/// What compiling a task costs at most, by the units of [`of_operator`] and [`of_function`].
pub(super) const COMPILING: Bound = bound("units of compiling", 3_000_000);

impl Bound {
    pub fn check(self, count: u64, function: Option<u32>, offset: usize) -> Result<(), Refused> {
        if count <= self.max {
            return Ok(());
        }
        let reason = Reason::TooMany { what: self.what, count, max: self.max };
        Err(Refused { reason, function, offset })
    }
}

/// What an engine does for an operator that takes and gives so many operands, where so many locals and operands are alive, in units
/// of about a plain operator.
pub(super) fn of_operator(operator: &Operator<'_>, taken: u32, given: u32, alive: u32) -> u64 {
    use Operator as O;
    let ways = match operator {
        // Where ways part and meet, engines look at all that is alive.
        O::Block { .. }
        | O::Loop { .. }
        | O::If { .. }
        | O::Else
        | O::End
        | O::Br { .. }
        | O::BrIf { .. } => 1,
        O::BrTable { targets } => u64::from(targets.len()) + 1,
        _ => 0,
    };
    let call = match operator {
        O::Call { .. } | O::CallIndirect { .. } => of_call(taken, given),
        _ => 0,
    };
    1 + u64::from((taken + given).saturating_sub(4)) + ways * (1 + u64::from(alive) / 16) + call
}

/// What a call is besides: what does not go in registers is moved one by one, and kept apart from all others. 1,900 calls that gave 147
/// values took wasmtime 11 s, 2,800 calls through a table with 32 constants each 8 s.
fn of_call(taken: u32, given: u32) -> u64 {
    15 + 100 * u64::from(taken.saturating_sub(8)) + 60 * u64::from(given.saturating_sub(2))
}

/// What an engine does for one value that may come from so many sources, [`FORWARD`] for each way forward and 1 for each way back to a
/// loop's head: it looks for a place that all of them agree on, and whenever two are joined it looks through what either was joined of
/// before. 1,000 locals with 1,000 ways to one block's end took wasmtime 23 s, as many ways back to a loop's head 2 s; 400 with 800
/// places one behind the other, by a branch table or without, 16 s.
pub(super) fn of_sources(sources: u64) -> u64 {
    sources.saturating_mul(sources) / 256
}

/// What a way forward counts among the sources of a value.
pub(super) const FORWARD: u64 = 4;

/// What an engine does for a module besides: code of its own for each type, each function, and each function that can be called from
/// elsewhere (exported, or in a table). 10,000 of the last took wasmtime 2 s, 8,000 types 1.3 s.
pub(super) fn of_module(types: u64, functions: u64, escaping: u64) -> u64 {
    250 * types + 120 * functions + 180 * escaping
}

/// What it does for so many values that meet and are used, where so many locals may be kept beside them. 60,000 of them beside 1,000
/// locals took wasmtime 14 s.
pub(super) fn of_meets(meets: u64, locals: u64) -> u64 {
    meets.saturating_mul(10 + locals / 3)
}

/// What it does for a loop with so many ways back to its head, whatever they bring along. 20,000 of one loop took wasmtime 11 s, and 250
/// of each of 250 loops 6 s.
pub(super) fn of_loop(ways: u64) -> u64 {
    350 + 80 * ways + ways.saturating_mul(ways) / 24
}

/// What it does for an operator of float arithmetic besides, whose NaNs are made one. 20,000 in 2,500 loops took wasmtime 3 s.
pub(super) const FLOAT: u64 = 140;

/// What an engine does for a function besides: for the locals that its loops write and the values that they take, counted once for each
/// loop; for each pair of the values that are kept at once, as it looks for a place for each among the others; for blocks in blocks; and
/// for the types that it calls through tables.
pub(super) fn of_function(loop_values: u64, kept: u64, depth: u64, indirect: u64) -> u64 {
    let squared = |count: u64| count.saturating_mul(count);
    100 * (loop_values + indirect) + squared(kept) / 8 + (squared(depth) + squared(indirect)) / 32
}
