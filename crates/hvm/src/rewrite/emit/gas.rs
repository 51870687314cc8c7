//! How gas is counted: in a local where that can be, in the global where others look.
use wasm_encoder::{BlockType, Instruction as I};

use super::super::accounts::Charge;
use super::super::counted::{Counted, Until};
use super::{Gas, Writer};

impl Writer<'_> {
    /// Puts the gas left on the operand stack.
    pub(super) fn get(&mut self) {
        match self.state {
            Gas::Global => self.put(&[I::GlobalGet(self.site.added.gas)]),
            Gas::Local => self.put(&[I::LocalGet(self.gas)]),
        }
    }

    pub(super) fn charge(&mut self, charge: &Charge) {
        self.get();
        self.put(&[I::I64Const(charge.gas.min(i64::MAX as u64) as i64), I::I64Sub]);
        if charge.is_checked {
            self.check();
        } else {
            self.put(&[I::LocalSet(self.gas)]);
        }
        self.state = Gas::Local;
    }

    /// Takes the gas left from the operand stack; when it is negative, leaves it where the host looks, and traps.
    pub(super) fn check(&mut self) {
        let (local, global) = (self.gas, self.site.added.gas);
        self.put(&[
            I::LocalTee(local),
            I::I64Const(0),
            I::I64LtS,
            I::If(BlockType::Empty),
            I::LocalGet(local),
            I::GlobalSet(global),
            I::Unreachable,
            I::End,
        ]);
    }

    /// The entry's charge, of a function that charges nothing else.
    pub(super) fn charge_into_global(&mut self, gas: u64) {
        let (local, global) = (self.gas, self.site.added.gas);
        self.put(&[
            I::GlobalGet(global),
            I::I64Const(gas.min(i64::MAX as u64) as i64),
            I::I64Sub,
            I::LocalTee(local),
            I::GlobalSet(global),
            I::LocalGet(local),
            I::I64Const(0),
            I::I64LtS,
            I::If(BlockType::Empty),
            I::Unreachable,
            I::End,
        ]);
        self.state = Gas::Global;
    }

    /// Before a loop whose passes are known: all of them at once.
    pub(super) fn charge_passes(&mut self, gas: u64, counted: &Counted) {
        self.get();
        self.passes(gas, counted);
        self.put(&[I::I64Sub]);
        if counted.shift > 0 {
            // A way that the steps do not divide is never at its end: more than there can be.
            let way = self.way(counted);
            self.put(&way);
            self.put(&[
                I::I32Const((1 << counted.shift) - 1),
                I::I32And,
                I::I32Const(0),
                I::I32Ne,
                I::I64ExtendI32U,
                I::I64Const(62),
                I::I64Shl,
                I::I64Sub,
            ]);
        }
        self.check();
        self.state = Gas::Local;
    }

    pub(super) fn charge_length(&mut self, shift: u8) {
        self.put(&[I::LocalTee(self.length)]);
        self.get();
        self.put(&[I::LocalGet(self.length), I::I64ExtendI32U]);
        if shift > 0 {
            self.put(&[I::I64Const(i64::from(shift)), I::I64ShrU]);
        }
        self.put(&[I::I64Sub]);
        self.check();
        self.state = Gas::Local;
    }

    /// Where ways meet, the gas left is in the local.
    pub(super) fn settle(&mut self) {
        if self.is_entry_only || self.gas == u32::MAX {
            return;
        }
        if self.state == Gas::Global {
            self.put(&[I::GlobalGet(self.site.added.gas), I::LocalSet(self.gas)]);
        }
        self.state = Gas::Local;
    }

    /// The counter's way to go.
    pub(super) fn way(&self, passes: &Counted) -> [I<'static>; 3] {
        let counter = I::LocalGet(self.moved(passes.counter));
        let until = match passes.until {
            Until::Constant(value) => I::I32Const(value),
            Until::Local(local) => I::LocalGet(self.moved(local)),
        };
        if passes.is_down { [counter, until, I::I32Sub] } else { [until, counter, I::I32Sub] }
    }

    /// The gas of all passes, of which each costs this.
    pub(super) fn passes(&mut self, gas: u64, passes: &Counted) {
        let way = self.way(passes);
        self.put(&way);
        // No way to go is all the way around.
        self.put(&[I::I32Const(1), I::I32Sub]);
        if passes.shift > 0 {
            self.put(&[I::I32Const(i32::from(passes.shift)), I::I32ShrU]);
        }
        let gas = I::I64Const(gas.min(i64::MAX as u64) as i64);
        self.put(&[I::I64ExtendI32U, I::I64Const(1), I::I64Add, gas, I::I64Mul]);
    }
}
