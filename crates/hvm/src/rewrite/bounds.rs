//! How much of anything a module may have: what every engine takes, of any age, and what is compiled in good time.
use wasmparser::{BrTable, Operator};

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
pub(super) fn of_operator(operator: &Operator<'_>, operands: u32, alive: u32) -> u64 {
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
    let table = if let O::BrTable { targets } = operator { of_table(targets, alive) } else { 0 };
    1 + u64::from(operands.saturating_sub(4)) + ways * (1 + u64::from(alive) / 16) + table
}

/// What a branch table is besides: each place that it leads to may have a value of its own for each local, each of them with as many
/// sources as there are ways there. 400 locals and 800 places took wasmtime 16 s.
fn of_table(table: &BrTable<'_>, alive: u32) -> u64 {
    let mut places: Vec<u32> = table.targets().flatten().chain([table.default()]).collect();
    let ways = places.len() as u64;
    places.sort_unstable();
    places.dedup();
    let places = places.len() as u64;
    ways.saturating_mul(places).saturating_mul(places.min(u64::from(alive))) / 16
}

/// What an engine does for a function besides: for the locals that its loops write, counted once for each loop; for each pair of the
/// values that are kept at once, as it looks for a place for each among the others; and for blocks in blocks.
pub(super) fn of_function(loop_locals: u64, kept: u64, depth: u64) -> u64 {
    100 * loop_locals + kept.saturating_mul(kept) / 8 + depth.saturating_mul(depth) / 32
}
