//! Which results of float arithmetic must be canonical: those whose bits something looks at. Until then it does not matter which NaN
//! one is, so arithmetic on arithmetic, and locals whose bits nothing looks at or that hold nothing else, are left as they are.
use wasmparser::{FuncValidator, ValType, ValidatorResources};

use super::function::Function;
use super::op::{Kind, Lanes};

/// What made an operand: the operator with this index, whose NaN may still be any; or one of these.
pub(super) const NONE: u32 = u32::MAX;
/// A constant that is no NaN.
pub(super) const NUMBER: u32 = u32::MAX - 1;

/// How often all that is put into locals is looked through.
const PASSES_MAX: u32 = 32;

/// What a store stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Arithmetic's result, which only stores look at.
    Deferrable,
    /// Arithmetic's result, canonical by then, or a number.
    Canonical,
    /// Bits that must stay as they are.
    Bits,
}

pub(super) struct Nans {
    /// The lanes of each local that is one float.
    locals: Vec<Option<Lanes>>,
    params: u32,
    /// For every operator that may make any NaN: its lanes, and the local if it only reads one.
    makers: Vec<(u32, Lanes, Option<u32>)>,
    /// What was put into which local.
    sets: Vec<(u32, u32)>,
    /// The operators whose result's bits are looked at, and whether a store is what does.
    observed: Vec<(u32, bool)>,
    /// The stores of one float, and what made it.
    stores: Vec<(u32, u32)>,
}

impl Nans {
    /// For a function with this many parameters.
    pub fn new(validator: &FuncValidator<ValidatorResources>, params: u32) -> Self {
        let lanes = |local| match validator.get_local_type(local)? {
            ValType::F32 => Some(Lanes::F32),
            ValType::F64 => Some(Lanes::F64),
            _ => None,
        };
        let locals = (0..validator.len_locals()).map(lanes).collect();
        Nans {
            locals,
            params,
            makers: Vec::new(),
            sets: Vec::new(),
            observed: Vec::new(),
            stores: Vec::new(),
        }
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
            self.observed.push((maker, false));
        }
    }

    /// What an operator made is stored by this one.
    pub fn store(&mut self, op: u32, maker: u32) {
        self.stores.push((op, maker));
        if self.maker(maker).is_some() {
            self.observed.push((maker, true));
        }
    }

    fn maker(&self, op: u32) -> Option<(u32, Lanes, Option<u32>)> {
        self.makers.binary_search_by_key(&op, |maker| maker.0).ok().map(|index| self.makers[index])
    }

    /// Decides, and notes it in the function's operators.
    pub fn settle(mut self, function: &mut Function) {
        let is_closed = self.closed();
        let is_watched = self.watched();
        for (local, maker) in core::mem::take(&mut self.sets) {
            if is_closed[local as usize] && is_watched[local as usize] && self.maker(maker).is_some() {
                self.observed.push((maker, false));
            }
        }
        self.observed.sort_unstable();
        for (op, _) in &self.observed {
            let Some((_, lanes, from)) = self.maker(*op) else { continue };
            let kind = &mut function.ops[*op as usize].kind;
            match from {
                Some(local) if !is_closed[local as usize] => *kind = Kind::LocalObserved { local, lanes },
                Some(_) => continue,
                None => *kind = Kind::Float { lanes, is_observed: true },
            }
            function.observed[lanes as usize] = true;
        }
        let by_stores_only = |maker: u32| {
            // Whatever else looks is sorted before.
            let first = self.observed.partition_point(|(op, _)| *op < maker);
            self.observed.get(first) == Some(&(maker, true))
        };
        for (op, maker) in &self.stores {
            let is_open = |local: Option<u32>| local.is_none_or(|local| !is_closed[local as usize]);
            let value = match self.maker(*maker) {
                Some((_, _, from)) if is_open(from) && by_stores_only(*maker) => {
                    function.only_stored.push(*maker);
                    Stored::Deferrable
                }
                Some((_, _, from)) if is_open(from) => Stored::Canonical,
                None if *maker == NUMBER => Stored::Canonical,
                _ => Stored::Bits,
            };
            function.stores.push((*op, value));
        }
        function.only_stored.sort_unstable();
        function.only_stored.dedup();
    }

    /// Locals that may hold what is not arithmetic's: they keep its bits, so what arithmetic puts there must be right.
    fn closed(&self) -> Vec<bool> {
        let mut is_closed: Vec<bool> =
            (self.locals.iter().zip(0..)).map(|(of, local)| of.is_none() || local < self.params).collect();
        spread(&mut is_closed, |is_closed| {
            let mut has_changed = false;
            for (local, maker) in &self.sets {
                let is_open = *maker == NUMBER
                    || self.maker(*maker).is_some_and(|(_, lanes, from)| {
                        Some(lanes) == self.locals[*local as usize]
                            && from.is_none_or(|from| !is_closed[from as usize])
                    });
                has_changed |= !is_open && !is_closed[*local as usize];
                is_closed[*local as usize] |= !is_open;
            }
            has_changed
        });
        is_closed
    }

    /// Locals whose bits something looks at, maybe by way of others.
    fn watched(&self) -> Vec<bool> {
        let mut is_watched = vec![false; self.locals.len()];
        for (op, _) in &self.observed {
            if let Some((_, _, Some(local))) = self.maker(*op) {
                is_watched[local as usize] = true;
            }
        }
        spread(&mut is_watched, |is_watched| {
            let mut has_changed = false;
            for (local, maker) in &self.sets {
                if let Some((_, _, Some(from))) = self.maker(*maker)
                    && is_watched[*local as usize]
                    && !is_watched[from as usize]
                {
                    is_watched[from as usize] = true;
                    has_changed = true;
                }
            }
            has_changed
        });
        is_watched
    }
}

/// Applies a rule until it changes nothing more. A chain of locals, each put into the next, takes as many passes; a stranger's could
/// take very many, and is then taken to be all that the rule looks for.
fn spread(locals: &mut [bool], mut pass: impl FnMut(&mut [bool]) -> bool) {
    for _ in 0..PASSES_MAX {
        if !pass(locals) {
            return;
        }
    }
    locals.fill(true);
}
