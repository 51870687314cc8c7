//! What is written for NaNs: each made canonical behind the arithmetic that made it, or all that a loop stored behind the loop.
use wasm_encoder::{Instruction as I, ValType};

use super::super::deferred::Deferred;
use super::super::function::Function;
use super::super::nans::Stored;
use super::super::op::{Kind, Lanes};
use super::copies::{Copy, Loop, Way};
use super::{Locals, Writer};

/// The locals that are added for it.
pub(super) struct Floats {
    /// Each holds one value, by lanes.
    scratch: [u32; 4],
    /// Of two each, the sums of what a loop has stored, of `f32` and of `f64`.
    sums: [u32; 2],
    /// The first of those that hold what a loop's counters began with.
    kept: u32,
    /// An address.
    address: u32,
    /// Whether a loop of the function had to be mended.
    has_mended: u32,
}

impl Floats {
    pub fn add<'a>(
        locals: &mut Locals,
        function: &Function,
        deferred: impl Iterator<Item = &'a Deferred> + Clone,
    ) -> Self {
        let of = |lanes| function.observed[lanes as usize];
        let f32 = locals.add(of(Lanes::F32), ValType::F32);
        let f64 = locals.add(of(Lanes::F64), ValType::F64);
        let v128 = locals.add(of(Lanes::F32x4) || of(Lanes::F64x2), ValType::V128);
        let sums = [(Lanes::F32, ValType::F32), (Lanes::F64, ValType::F64)].map(|(lanes, of)| {
            let is_needed = deferred.clone().any(|deferred| deferred.lanes == lanes);
            let first = locals.add(is_needed, of);
            locals.add(is_needed, of);
            first
        });
        let kept = deferred.clone().map(|deferred| deferred.kept.len()).max();
        let address = locals.add(kept.is_some(), ValType::I32);
        let has_mended = locals.add(kept.is_some(), ValType::I32);
        let first = locals.next;
        for _ in 0..kept.unwrap_or(0) {
            locals.add(true, ValType::I32);
        }
        Floats { scratch: [f32, f64, v128, v128], sums, kept: first, address, has_mended }
    }
}

impl Writer<'_> {
    /// Before the first copy of a loop: whether all its addresses are multiples of the float's size, and nothing had to be mended yet: where there
    /// was one NaN there will be others.
    pub(super) fn may_store_raw(&mut self, deferred: &Deferred) {
        let mask = if deferred.lanes == Lanes::F32 { 3 } else { 7 };
        for (number, local) in deferred.aligned.iter().enumerate() {
            self.put(&[I::LocalGet(*local)]);
            if number > 0 {
                self.put(&[I::I32Or]);
            }
        }
        if !deferred.aligned.is_empty() {
            self.put(&[I::I32Const(mask), I::I32And]);
        }
        self.put(&[I::LocalGet(self.floats.has_mended)]);
        if !deferred.aligned.is_empty() {
            self.put(&[I::I32Or]);
        }
        self.put(&[I::I32Eqz]);
    }

    /// Before the copy that stores what arithmetic gives.
    pub(super) fn before_raw(&mut self, deferred: &Deferred) {
        for (local, kept) in deferred.kept.iter().zip(self.floats.kept..) {
            self.put(&[I::LocalGet(*local), I::LocalSet(kept)]);
        }
        let sum = self.floats.sums[deferred.lanes as usize];
        let zero = match deferred.lanes {
            Lanes::F32 => I::F32Const(0.0.into()),
            _ => I::F64Const(0.0.into()),
        };
        self.put(&[zero.clone(), I::LocalSet(sum), zero, I::LocalSet(sum + 1)]);
    }

    /// Before the copy that mends it.
    pub(super) fn before_mending(&mut self, deferred: &Deferred) {
        for (local, kept) in deferred.kept.iter().zip(self.floats.kept..) {
            self.put(&[I::LocalGet(kept), I::LocalSet(*local)]);
        }
        self.put(&[I::I32Const(1), I::LocalSet(self.floats.has_mended)]);
    }

    /// Goes to this label if what was stored may have been a NaN: then the sums are.
    pub(super) fn mend_if_needed(&mut self, start: usize, label: u32) {
        let Some(deferred) = &self.loops[&start].deferred else { return };
        let (add, is_number) = match deferred.lanes {
            Lanes::F32 => (I::F32Add, I::F32Ge),
            _ => (I::F64Add, I::F64Ge),
        };
        let sum = self.floats.sums[deferred.lanes as usize];
        self.put(&[I::LocalGet(sum), I::LocalGet(sum + 1), add, I::LocalTee(sum), I::LocalGet(sum)]);
        self.put(&[is_number, I::I32Eqz, I::BrIf(label)]);
    }

    /// An operator that is another one in this copy of a loop; false if it is written as anywhere.
    pub(super) fn float_in_copy(&mut self, index: usize, copy: Copy) -> bool {
        let Some(Loop { deferred: Some(deferred), .. }) = self.loops.get(&copy.start) else { return false };
        let sets_float = |local: u32| copy.way == Way::Mending && deferred.floats.contains(&local);
        let op = &self.function.ops[index];
        let next = self.at(index + 1);
        let is_only_stored = self.function.only_stored.binary_search(&(index as u32)).is_ok();
        match (copy.way, op.kind) {
            // Left as it is: the store looks after it, or nothing needs it.
            (Way::Raw, Kind::Float { .. }) if is_only_stored => {}
            (Way::Mending, Kind::Float { .. }) => {}
            (Way::Raw, Kind::LocalObserved { .. }) if is_only_stored => {}
            (Way::Mending, Kind::LocalObserved { .. }) => {}
            (Way::Raw, Kind::FloatStore(lanes)) => {
                let stores = &self.function.stores;
                let is_raw = stores
                    .binary_search_by_key(&(index as u32), |(op, _)| *op)
                    .is_ok_and(|found| stores[found].1 == Stored::Deferrable);
                if is_raw {
                    self.flush(op.at);
                    let (value, sum) =
                        (self.floats.scratch[lanes as usize], self.floats.sums[lanes as usize]);
                    let add = if lanes == Lanes::F32 { I::F32Add } else { I::F64Add };
                    // In turn, so that one addition need not wait for the one before.
                    self.put(&[I::LocalTee(value), I::LocalGet(sum), I::LocalGet(value), add]);
                    self.put(&[I::LocalGet(sum + 1), I::LocalSet(sum), I::LocalSet(sum + 1)]);
                }
            }
            (Way::Mending, Kind::FloatStore(lanes)) => {
                self.flush(op.at);
                let address = self.floats.address;
                self.put(&[I::Drop, I::LocalTee(address), I::LocalGet(address)]);
                self.bytes.push(if lanes == Lanes::F32 { 0x2a } else { 0x2b });
                // The load's offset is the store's.
                self.bytes.extend_from_slice(&self.site.module[op.at as usize + 1..next as usize]);
                self.canonical(lanes);
                self.copied = op.at;
            }
            // The raw copy has left the floats as they must be.
            (Way::Mending, Kind::Set(local)) if sets_float(local) => {
                self.flush(op.at);
                self.put(&[I::Drop]);
                self.copied = next;
            }
            (Way::Mending, Kind::Tee(local)) if sets_float(local) => {
                self.flush(op.at);
                self.copied = next;
            }
            _ => return false,
        }
        true
    }

    /// Behind float arithmetic: any NaN becomes the canonical one, without a branch.
    pub(super) fn canonical(&mut self, lanes: Lanes) {
        let local = self.floats.scratch[lanes as usize];
        const F32: u32 = 0x7fc0_0000;
        const F64: u64 = 0x7ff8_0000_0000_0000;
        let wide =
            |lane: u128, bits: u32| (0..128 / bits).fold(0, |all, number| all | lane << (number * bits));
        // At least itself: processors have one flag for that, and two for equal.
        let (nan, is_number, choose) = match lanes {
            Lanes::F32 => (I::F32Const(f32::from_bits(F32).into()), I::F32Ge, I::Select),
            Lanes::F64 => (I::F64Const(f64::from_bits(F64).into()), I::F64Ge, I::Select),
            Lanes::F32x4 => (I::V128Const(wide(F32.into(), 32) as i128), I::F32x4Eq, I::V128Bitselect),
            Lanes::F64x2 => (I::V128Const(wide(F64.into(), 64) as i128), I::F64x2Eq, I::V128Bitselect),
        };
        self.put(&[I::LocalTee(local), nan, I::LocalGet(local), I::LocalGet(local), is_number, choose]);
    }
}
