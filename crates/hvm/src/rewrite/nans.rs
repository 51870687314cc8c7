//! Which results of float arithmetic must be canonical: those whose bits something looks at. Until then it does not matter which NaN
//! one is, so arithmetic on arithmetic, and locals that hold nothing else, are left as they are.
use wasmparser::{FuncValidator, ValType, ValidatorResources};

use super::function::Function;
use super::op::{Kind, Lanes};

/// What made an operand: the operator with this index, whose NaN may still be any; or one of these.
pub(super) const NONE: u32 = u32::MAX;
/// A constant that is no NaN.
pub(super) const NUMBER: u32 = u32::MAX - 1;

/// How often all that is put into locals is looked through.
const PASSES_MAX: u32 = 32;

pub(super) struct Nans {
    /// The lanes of each local that is one float and no parameter.
    locals: Vec<Option<Lanes>>,
    /// For every operator that may make any NaN: its lanes, and the local if it only reads one.
    makers: Vec<(u32, Lanes, Option<u32>)>,
    /// What was put into which local.
    sets: Vec<(u32, u32)>,
    /// The operators whose result's bits are looked at.
    observed: Vec<u32>,
}

impl Nans {
    /// For a function with this many parameters.
    pub fn new(validator: &FuncValidator<ValidatorResources>, params: u32) -> Self {
        let lanes = |local| match validator.get_local_type(local)? {
            ValType::F32 => Some(Lanes::F32),
            ValType::F64 => Some(Lanes::F64),
            _ => None,
        };
        let locals =
            (0..validator.len_locals()).map(|local| lanes(local).filter(|_| local >= params)).collect();
        Nans { locals, makers: Vec::new(), sets: Vec::new(), observed: Vec::new() }
    }

    pub fn is_float(&self, local: u32) -> bool {
        self.locals.get(local as usize).is_some_and(Option::is_some)
    }

    /// The operator makes a NaN that may be any.
    pub fn made(&mut self, op: u32, lanes: Lanes) {
        self.makers.push((op, lanes, None));
    }

    /// The operator reads a local.
    pub fn got(&mut self, op: u32, local: u32) {
        if let Some(Some(lanes)) = self.locals.get(local as usize) {
            self.makers.push((op, *lanes, Some(local)));
        }
    }

    /// What an operator made is put into a local.
    pub fn set(&mut self, local: u32, maker: u32) {
        self.sets.push((local, maker));
    }

    /// What an operator made is taken by one that takes any NaN of these lanes.
    pub fn take(&mut self, maker: u32, any_nan: Option<Lanes>) {
        if let Some((_, lanes, _)) = self.maker(maker)
            && any_nan != Some(lanes)
        {
            self.observed.push(maker);
        }
    }

    fn maker(&self, op: u32) -> Option<(u32, Lanes, Option<u32>)> {
        self.makers.binary_search_by_key(&op, |maker| maker.0).ok().map(|index| self.makers[index])
    }

    /// Decides, and notes it in the function's operators.
    pub fn settle(mut self, function: &mut Function) {
        // A local into which anything but arithmetic is put keeps its bits, so what is put there must be right.
        let mut is_closed: Vec<bool> = self.locals.iter().map(Option::is_none).collect();
        let mut passes = 0;
        loop {
            let mut has_changed = false;
            for (local, maker) in &self.sets {
                let is_open = *maker == NUMBER
                    || self.maker(*maker).is_some_and(|(_, lanes, from)| {
                        Some(lanes) == self.locals[*local as usize]
                            && from.is_none_or(|from| !is_closed[from as usize])
                    });
                if !is_open && !is_closed[*local as usize] {
                    is_closed[*local as usize] = true;
                    has_changed = true;
                }
            }
            if !has_changed {
                break;
            }
            // A chain of locals, each put into the next, takes as many; a stranger's could take very many.
            passes += 1;
            if passes == PASSES_MAX {
                is_closed.fill(true);
                break;
            }
        }
        for (local, maker) in core::mem::take(&mut self.sets) {
            if is_closed[local as usize] && self.maker(maker).is_some() {
                self.observed.push(maker);
            }
        }
        for op in &self.observed {
            let Some((_, lanes, from)) = self.maker(*op) else { continue };
            let kind = &mut function.ops[*op as usize].kind;
            match from {
                Some(local) if !is_closed[local as usize] => *kind = Kind::LocalObserved { local, lanes },
                Some(_) => continue,
                None => *kind = Kind::Float { lanes, is_observed: true },
            }
            function.observed[lanes as usize] = true;
        }
    }
}
