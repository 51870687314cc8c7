//! Gas of an operator. Part of the rewrite: a change here is another rewrite.
//!
//! A unit is about one simple instruction of a current core. Operators that only name or place a value cost nothing that an
//! optimising engine would not remove, but still 1, so that nothing is free to compile or to interpret.
use wasmparser::Operator;

/// Gas of one pass of a loop whose body costs nothing, so that no loop is free.
pub(super) const LOOP: u32 = 1;
/// Gas of a call of a function in the same module, besides what the function itself costs.
pub(super) const CALL: u32 = 4;

/// Gas of `operator`, length-proportional parts apart.
pub(super) fn of(operator: &Operator<'_>) -> u32 {
    use Operator as O;
    match operator {
        O::Nop | O::Block { .. } | O::Loop { .. } | O::Else | O::End | O::Unreachable => 0,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 8,
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 12,
        O::F32Div | O::F64Div | O::F32Sqrt | O::F64Sqrt => 6,
        O::F32x4Div | O::F64x2Div | O::F32x4Sqrt | O::F64x2Sqrt => 8,
        O::Call { .. } => CALL,
        O::CallIndirect { .. } => 2 * CALL,
        O::BrTable { .. } => 3,
        O::MemoryGrow { .. } | O::TableGrow { .. } => 1_000,
        O::MemoryFill { .. } | O::MemoryCopy { .. } | O::MemoryInit { .. } => 20,
        O::TableFill { .. } | O::TableCopy { .. } | O::TableInit { .. } => 20,
        _ => 1,
    }
}
