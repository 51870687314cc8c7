use wasmparser::Operator;

/// What the rewrite needs to know of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Block,
    /// Whether anything branches back to it.
    Loop {
        is_target: bool,
    },
    If,
    Else,
    End,
    Br(u32),
    BrIf(u32),
    /// An index into the function's branch tables.
    BrTable(u32),
    Return,
    Unreachable,
    /// Reads this local.
    Get(u32),
    /// Writes this local.
    Set(u32),
    /// Writes this local and keeps the value.
    Tee(u32),
    I32Const(i32),
    I32Add,
    I32Eq,
    I32Ne,
    /// Reads this local, whose NaN may still be any, where its bits are looked at.
    LocalObserved {
        local: u32,
        lanes: Lanes,
    },
    Call(u32),
    CallIndirect,
    /// Work in proportion to the length on top of the stack: gas is the length, shifted right by this.
    Bulk(u8),
    MemoryGrow,
    TableGrow(u32),
    /// Stores one float.
    FloatStore(Lanes),
    /// Float arithmetic, whose result may be a NaN.
    Float {
        lanes: Lanes,
        is_observed: bool,
    },
}

impl Kind {
    /// Whether it takes and gives operands and what is next is next, whatever they are.
    pub fn is_straight(self) -> bool {
        use Kind as K;
        matches!(
            self,
            K::Plain | K::Get(_) | K::Set(_) | K::Tee(_) | K::I32Const(_) | K::I32Add | K::I32Eq | K::I32Ne
        ) || matches!(self, K::Float { .. } | K::LocalObserved { .. } | K::FloatStore(_))
    }
}

/// How the bits of a float are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    F32,
    F64,
    F32x4,
    F64x2,
}

/// One operator of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub kind: Kind,
    /// Gas.
    pub cost: u32,
    /// Where it starts in the module.
    pub at: u32,
}

/// The lanes of the result, if the operator is float arithmetic whose NaNs are not determined.
pub(super) fn arithmetic(operator: &Operator<'_>) -> Option<Lanes> {
    use Operator as O;
    Some(match operator {
        O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest | O::F32Sqrt => Lanes::F32,
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max | O::F32DemoteF64 => Lanes::F32,
        O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest | O::F64Sqrt => Lanes::F64,
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max | O::F64PromoteF32 => {
            Lanes::F64
        }
        O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest | O::F32x4Sqrt => Lanes::F32x4,
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Min | O::F32x4Max => Lanes::F32x4,
        O::F32x4DemoteF64x2Zero => Lanes::F32x4,
        O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest | O::F64x2Sqrt => Lanes::F64x2,
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Min | O::F64x2Max => Lanes::F64x2,
        O::F64x2PromoteLowF32x4 => Lanes::F64x2,
        _ => return None,
    })
}

/// The lanes of the operands that the operator takes without looking at which NaN they are: what it gives is the same for all.
pub(super) fn takes_any_nan(operator: &Operator<'_>) -> Option<Lanes> {
    use Operator as O;
    Some(match operator {
        O::F64PromoteF32 => Lanes::F32,
        O::F32DemoteF64 => Lanes::F64,
        O::F64x2PromoteLowF32x4 => Lanes::F32x4,
        O::F32x4DemoteF64x2Zero => Lanes::F64x2,
        O::F32Eq | O::F32Ne | O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge => Lanes::F32,
        O::I32TruncF32S | O::I32TruncF32U | O::I64TruncF32S | O::I64TruncF32U => Lanes::F32,
        O::I32TruncSatF32S | O::I32TruncSatF32U | O::I64TruncSatF32S | O::I64TruncSatF32U => Lanes::F32,
        O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => Lanes::F64,
        O::I32TruncF64S | O::I32TruncF64U | O::I64TruncF64S | O::I64TruncF64U => Lanes::F64,
        O::I32TruncSatF64S | O::I32TruncSatF64U | O::I64TruncSatF64S | O::I64TruncSatF64U => Lanes::F64,
        O::F32x4Eq | O::F32x4Ne | O::F32x4Lt | O::F32x4Gt | O::F32x4Le | O::F32x4Ge => Lanes::F32x4,
        O::I32x4TruncSatF32x4S | O::I32x4TruncSatF32x4U => Lanes::F32x4,
        O::F64x2Eq | O::F64x2Ne | O::F64x2Lt | O::F64x2Gt | O::F64x2Le | O::F64x2Ge => Lanes::F64x2,
        O::I32x4TruncSatF64x2SZero | O::I32x4TruncSatF64x2UZero => Lanes::F64x2,
        _ => return arithmetic(operator),
    })
}
