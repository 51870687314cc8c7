//! What is done at calls, at the entry and at every way out: who counts on where, and the frame.
use wasm_encoder::{BlockType, Encode, Instruction as I, ValType};

use super::{Added, Gas, Writer};

impl Writer<'_> {
    /// Counts the frame, and traps when there is no room for it.
    pub(super) fn enter_frame(&mut self) {
        let (stack, global) = (self.stack, self.site.added.stack);
        match self.site.is_passed {
            Some(_) => self.put(&[
                I::LocalGet(stack),
                I::I64Const(self.site.slots as i64),
                I::I64Sub,
                I::LocalTee(stack),
                I::I64Const(0),
                I::I64LtS,
            ]),
            None => self.put(&[
                I::GlobalGet(global),
                I::I32Const(self.site.slots as i32),
                I::I32Sub,
                I::LocalTee(stack),
                I::GlobalSet(global),
                I::LocalGet(stack),
                I::I32Const(0),
                I::I32LtS,
            ]),
        }
        self.put(&[I::If(BlockType::Empty)]);
        self.put_stack();
        self.put(&[I::Unreachable, I::End]);
    }

    /// The stack left, from the local into the global.
    pub(super) fn put_stack(&mut self) {
        self.put(&[I::LocalGet(self.stack)]);
        if self.site.is_passed.is_some() {
            self.put(&[I::I32WrapI64]);
        }
        self.put(&[I::GlobalSet(self.site.added.stack)]);
    }

    /// Before a call: the callee goes on counting in the globals.
    pub(super) fn hand_over(&mut self, needs_stack: bool) {
        if self.gas != u32::MAX && self.state == Gas::Local {
            self.put(&[I::LocalGet(self.gas), I::GlobalSet(self.site.added.gas)]);
        }
        if needs_stack && self.site.is_passed.is_some() {
            self.put_stack();
        }
        self.state = Gas::Global;
    }

    /// Calls a function that takes gas and stack as parameters, and gives the gas back.
    pub(super) fn pass(&mut self, inner: u32) {
        let (stack, global) = (self.stack, self.site.added.stack);
        self.get();
        // As 64 bits: what does not fit in registers goes through memory, where an engine writes 32 bits and reads 64, and waits.
        if self.site.is_passed.is_some() {
            self.put(&[I::LocalGet(stack)]);
        } else if self.is_recursive {
            self.put(&[I::LocalGet(stack), I::I64ExtendI32S]);
        } else {
            self.put(&[I::GlobalGet(global), I::LocalTee(stack), I::I64ExtendI32S]);
        }
        self.put(&[I::Call(inner)]);
        if self.is_entry_only {
            self.put(&[I::GlobalSet(self.site.added.gas)]);
        } else {
            self.put(&[I::LocalSet(self.gas)]);
            self.state = Gas::Local;
        }
        if self.site.is_passed.is_none() {
            // What it called may have left its own count there.
            self.put_stack();
        }
    }

    /// Before the function is left.
    pub(super) fn leave(&mut self) {
        if self.site.is_passed.is_some() {
            return self.get();
        }
        if self.gas != u32::MAX && self.state == Gas::Local {
            self.put(&[I::LocalGet(self.gas), I::GlobalSet(self.site.added.gas)]);
        }
        if self.is_recursive {
            self.put(&[
                I::LocalGet(self.stack),
                I::I32Const(self.site.slots as i32),
                I::I32Add,
                I::GlobalSet(self.site.added.stack),
            ]);
        }
    }
}

/// The function that stands where a passed one was: it takes gas and stack from the globals, and puts them back.
pub(in super::super) fn outer(params: u32, inner: u32, added: &Added) -> Vec<u8> {
    let mut bytes = Vec::new();
    // One local: the stack left.
    1_u32.encode(&mut bytes);
    1_u32.encode(&mut bytes);
    ValType::I32.encode(&mut bytes);
    (0..params).for_each(|param| I::LocalGet(param).encode(&mut bytes));
    let rest = [
        I::GlobalGet(added.gas),
        I::GlobalGet(added.stack),
        I::LocalTee(params),
        I::I64ExtendI32S,
        I::Call(inner),
        I::GlobalSet(added.gas),
        I::LocalGet(params),
        I::GlobalSet(added.stack),
        I::End,
    ];
    rest.iter().for_each(|instruction| instruction.encode(&mut bytes));
    bytes
}
