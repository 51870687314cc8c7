//! One function, read and validated once: its operators in short form, and what the call graph needs of it.
use wasmparser::{
    BlockType, FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, ValType,
    ValidatorResources, WasmModuleResources,
};

use super::kept::{self, Values};
use super::nans::{NONE, NUMBER, Nans, Stored};
use super::op::{self, Kind, Lanes, Op};
use super::refused::{Reason, Refused};
use super::{bounds, cost, proposals};

/// Slots that a frame takes besides its locals and operands: what engines save around calls, and the rewrite's own locals (some
/// more where stores are deferred, in functions that cannot recurse).
const FRAME_SLOTS: u64 = 16;
/// Locals that the rewrite may add.
const LOCALS_ADDED_MAX: u32 = 8;
/// Most locals of a function, parameters included, that WebAssembly's implementations agreed on.
const LOCALS_MAX: u32 = 50_000;

pub(super) struct Function {
    /// Its type's index.
    pub type_index: u32,
    /// Parameters and declared locals.
    pub locals: u32,
    /// The declared locals as the module has them: groups of a count and a type.
    pub declared: core::ops::Range<usize>,
    /// How many groups.
    pub groups: u32,
    pub ops: Vec<Op>,
    /// Where the last operator ends.
    pub end: u32,
    /// The labels of each `br_table`, the default last.
    pub tables: Vec<Vec<u32>>,
    /// The operators `br_if` whose label takes values.
    pub valued: Vec<u32>,
    /// The loops that take or give values.
    pub valued_loops: Vec<u32>,
    /// Functions called by name.
    pub calls: Vec<u32>,
    /// Functions that it makes references to.
    pub references: Vec<u32>,
    /// Types called through tables.
    pub indirect: Vec<u32>,
    /// Slots of 8 bytes that its frame takes at most, in any engine.
    pub slots: u64,
    /// Whether it may change what a checkpoint does not hold: tables, or which segments are still there.
    pub is_fixed: bool,
    /// Float arithmetic of these lanes has observed results.
    pub observed: [bool; 4],
    /// The operators that store one float, and what they store.
    pub stores: Vec<(u32, Stored)>,
    /// The operators that may make any NaN, and whose bits only stores look at.
    pub only_stored: Vec<u32>,
    /// It has a bulk operator.
    pub has_bulk: bool,
    /// What compiling it costs, in units of about a plain operator.
    pub compiling: u64,
}

/// Reads and validates a function's body.
pub(super) fn read(
    to_validate: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: FuncValidatorAllocations,
    locals_so_far: &mut u64,
    table_of: &mut dyn FnMut(u32),
) -> Result<(Function, FuncValidatorAllocations), Refused> {
    let index = to_validate.index;
    let type_index = to_validate.ty;
    let invalid = |error: wasmparser::BinaryReaderError| Refused::invalid(&error, Some(index));
    let mut validator = to_validate.into_validator(allocations);

    let mut reader = body.get_binary_reader();
    let (code, code_at) = (body.as_bytes(), body.range().start);
    let start = reader.original_position();
    let groups = reader.clone().read_var_u32().map_err(invalid)?;
    let declared_from = {
        let mut count = reader.clone();
        count.read_var_u32().map_err(invalid)?;
        count.original_position()
    };
    validator.read_locals(&mut reader).map_err(invalid)?;
    let declared = declared_from..reader.original_position();
    let locals = validator.len_locals();
    if locals + LOCALS_ADDED_MAX > LOCALS_MAX {
        return Err(Refused { reason: Reason::Locals(locals), function: Some(index), offset: start });
    }
    *locals_so_far += u64::from(locals);
    bounds::LOCALS.check(*locals_so_far, Some(index), start)?;
    let params = match validator.resources().sub_type_at(type_index) {
        Some(of) => of.unwrap_func().params().len() as u32,
        None => locals,
    };
    let wide =
        (0..locals).filter(|local| validator.get_local_type(*local) == Some(ValType::V128)).count() as u64;

    let mut function = Function {
        type_index,
        locals,
        declared,
        groups,
        ops: Vec::new(),
        end: 0,
        tables: Vec::new(),
        valued: Vec::new(),
        valued_loops: Vec::new(),
        calls: Vec::new(),
        references: Vec::new(),
        indirect: Vec::new(),
        slots: 0,
        is_fixed: true,
        observed: [false; 4],
        stores: Vec::new(),
        only_stored: Vec::new(),
        has_bulk: false,
        compiling: 0,
    };
    let mut height_max = 0;
    let mut has_vectors = wide > 0;
    // For every operand on the stack, the float operator that made it, while nothing has looked at its bits.
    let mut makers: Vec<u32> = Vec::new();
    let mut nans = Nans::new(&validator, params);
    // The open blocks: the operator that is a loop's head, or NONE.
    let mut heads: Vec<u32> = vec![NONE];

    let written =
        kept::written_in_loops(OperatorsReader::new(reader.clone()), bounds::LOOP_LOCALS.max as usize);
    let Some(written) = written else {
        bounds::LOOP_LOCALS.check(bounds::LOOP_LOCALS.max + 1, Some(index), start)?;
        return Err(Refused { reason: Reason::Locals(locals), function: Some(index), offset: start });
    };
    let mut loop_values = written.iter().map(|locals| locals.len() as u64).sum::<u64>();
    let mut depth_max = 0;
    let mut values = Values::new(params, locals, written);
    let mut passed_max = 0;

    let mut reader = OperatorsReader::new(reader);
    while !reader.eof() {
        let at = reader.original_position();
        let operator = reader.read().map_err(invalid)?;
        if let Some(name) = proposals::forbidden(&operator) {
            return Err(Refused { reason: Reason::Feature(name), function: Some(index), offset: at });
        }
        // Known only of operators that are valid; the others are refused just below.
        let (taken, given) = operator.operator_arity(&validator.visitor(at)).unwrap_or_default();
        let is_dead = validator.get_control_frame(0).is_some_and(|frame| frame.unreachable);
        validator.op(at, &operator).map_err(invalid)?;
        let written = &code[at - code_at..reader.original_position() - code_at];
        values.op(&operator, written, (taken, given), is_dead);
        values.set_height(validator.operand_stack_height() as usize);
        function.compiling += bounds::of_operator(&operator, taken, given, locals + makers.len() as u32);
        depth_max = depth_max.max(heads.len() as u64);
        if matches!(operator, Operator::Call { .. } | Operator::CallIndirect { .. }) {
            passed_max = passed_max.max(u64::from(taken) + u64::from(given));
        }

        let op_index = function.ops.len() as u32;
        let lanes = op::arithmetic(&operator);
        let any_nan = op::takes_any_nan(&operator);
        let mut made = if lanes.is_some() { op_index } else { NONE };
        match &operator {
            Operator::LocalGet { local_index } if nans.is_float(*local_index) => made = op_index,
            Operator::F32Const { value } if !f32::from_bits(value.bits()).is_nan() => made = NUMBER,
            Operator::F64Const { value } if !f64::from_bits(value.bits()).is_nan() => made = NUMBER,
            _ => {}
        }
        match &operator {
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index }
                if nans.is_float(*local_index) =>
            {
                let maker = makers.pop().unwrap_or(NONE);
                nans.set(*local_index, maker);
                // What is kept on the stack is what was put into the local.
                made = maker;
            }
            Operator::F32Store { .. } | Operator::F64Store { .. } => {
                nans.store(op_index, makers.pop().unwrap_or(NONE));
                makers.pop();
            }
            _ => {
                for _ in 0..taken {
                    let maker = makers.pop().unwrap_or(NONE);
                    if !matches!(operator, Operator::Drop) {
                        nans.take(maker, any_nan);
                    }
                }
            }
        }
        makers.resize(makers.len() + given as usize, made);
        // Behind a branch the validator's stack is open below; what it has is the truth.
        makers.resize(validator.operand_stack_height() as usize, NONE);
        height_max = height_max.max(makers.len() as u64);
        has_vectors |= matches!(lanes, Some(Lanes::F32x4 | Lanes::F64x2))
            || validator.get_operand_type(0).flatten() == Some(ValType::V128);

        if let Operator::RefFunc { function_index } = operator {
            function.references.push(function_index);
        }
        let cost = cost::of(&operator);
        let kind = match operator {
            Operator::Block { .. } => {
                heads.push(NONE);
                Kind::Block
            }
            Operator::Loop { blockty } => {
                loop_values += u64::from(taken);
                heads.push(op_index);
                if blockty != BlockType::Empty {
                    function.valued_loops.push(op_index);
                }
                Kind::Loop { is_target: false }
            }
            Operator::If { .. } => {
                heads.push(NONE);
                Kind::If
            }
            Operator::Else => Kind::Else,
            Operator::End => {
                heads.pop();
                Kind::End
            }
            Operator::Br { relative_depth } => {
                mark(&mut function.ops, &heads, relative_depth);
                Kind::Br(relative_depth)
            }
            Operator::BrIf { relative_depth } => {
                // What is taken besides the condition goes to the label.
                if taken > 1 {
                    function.valued.push(op_index);
                }
                mark(&mut function.ops, &heads, relative_depth);
                Kind::BrIf(relative_depth)
            }
            Operator::BrTable { targets } => {
                let mut labels = targets.targets().collect::<Result<Vec<_>, _>>().map_err(invalid)?;
                bounds::BRANCH_TARGETS.check(labels.len() as u64, Some(index), at)?;
                labels.push(targets.default());
                for label in &labels {
                    mark(&mut function.ops, &heads, *label);
                }
                function.tables.push(labels);
                Kind::BrTable(function.tables.len() as u32 - 1)
            }
            Operator::Return => Kind::Return,
            Operator::Unreachable => Kind::Unreachable,
            Operator::LocalGet { local_index } => {
                nans.got(op_index, local_index);
                Kind::Get(local_index)
            }
            Operator::LocalSet { local_index } => Kind::Set(local_index),
            Operator::LocalTee { local_index } => Kind::Tee(local_index),
            Operator::I32Const { value } => Kind::I32Const(value),
            Operator::I32Add => Kind::I32Add,
            Operator::I32Eq => Kind::I32Eq,
            Operator::I32Ne => Kind::I32Ne,
            Operator::Call { function_index } => {
                function.calls.push(function_index);
                Kind::Call(function_index)
            }
            Operator::CallIndirect { type_index, .. } => {
                function.indirect.push(type_index);
                Kind::CallIndirect
            }
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } => Kind::Bulk(3),
            Operator::MemoryInit { .. } => Kind::Bulk(3),
            Operator::TableFill { .. } | Operator::TableCopy { .. } | Operator::TableInit { .. } => {
                function.is_fixed = false;
                Kind::Bulk(0)
            }
            Operator::TableSet { .. } | Operator::DataDrop { .. } | Operator::ElemDrop { .. } => {
                function.is_fixed = false;
                Kind::Plain
            }
            Operator::F32Store { .. } => Kind::FloatStore(Lanes::F32),
            Operator::F64Store { .. } => Kind::FloatStore(Lanes::F64),
            Operator::MemoryGrow { .. } => Kind::MemoryGrow,
            Operator::TableGrow { table } => {
                function.is_fixed = false;
                table_of(table);
                Kind::TableGrow(table)
            }
            _ => match lanes {
                Some(lanes) => {
                    function.compiling += bounds::FLOAT;
                    nans.made(op_index, lanes);
                    Kind::Float { lanes, is_observed: false }
                }
                None => Kind::Plain,
            },
        };
        function.has_bulk |= matches!(kind, Kind::Bulk(_));
        function.ops.push(Op { kind, cost, at: at as u32 });
    }
    function.end = reader.original_position() as u32;
    reader.finish().map_err(invalid)?;
    nans.settle(&mut function);

    function.calls.sort_unstable();
    function.calls.dedup();
    function.indirect.sort_unstable();
    function.indirect.dedup();
    // What is kept, and what is handed over at calls, is as wide as the widest.
    let meeting = values.meeting();
    let more = height_max + passed_max + values.most();
    let besides = bounds::of_function(loop_values, more, depth_max, function.indirect.len() as u64)
        .saturating_add(meeting);
    function.compiling = function.compiling.saturating_add(besides);
    function.slots = FRAME_SLOTS + u64::from(locals) + wide + if has_vectors { 2 * more } else { more };
    function.ops.shrink_to_fit();
    Ok((function, validator.into_allocations()))
}

/// Notes that the label `depth` blocks out is branched to.
fn mark(ops: &mut [Op], heads: &[u32], depth: u32) {
    let head = heads.len().checked_sub(depth as usize + 1).map_or(NONE, |block| heads[block]);
    if let Some(Op { kind: Kind::Loop { is_target }, .. }) = ops.get_mut(head as usize) {
        *is_target = true;
    }
}
