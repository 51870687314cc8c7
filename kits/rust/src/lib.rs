//! Write PeerEdge tasks in Rust.
//!
//! A task that does its work at once is a function from input to output:
//!
//! ```ignore
//! fn invert(input: Vec<u8>) -> Vec<u8> {
//!     input.into_iter().map(|byte| !byte).collect()
//! }
//! peeredge_task::export_function!(invert);
//! ```
//!
//! A task that takes more than a second or so does it in steps, see [`Task`]: then its progress is seen, and it can move to another
//! host when this one leaves. Build it as a `cdylib`:
//!
//! ```sh
//! cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! There is no clock, no randomness, no network and no file system: what a task needs is in its input. A panic ends the run as a trap.
use std::cell::RefCell;

/// Work in steps. All its state is in memory, so between two steps it can be taken elsewhere.
pub trait Task: Sized {
    /// Takes the input.
    fn new(input: Vec<u8>) -> Self;
    /// Does one portion of the work: a tenth of a second to a second of it.
    fn step(&mut self) -> Step;
    /// Gives the output, once the last step is made.
    fn output(self) -> Vec<u8>;
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do; this many ten-thousandths are done, at most 9,999.
    More(u16),
    /// This was the last step.
    Done,
}

impl Step {
    /// `done` steps of `all` are made.
    pub fn of(done: usize, all: usize) -> Self {
        if done >= all { Step::Done } else { Step::More((done as u64 * 10_000 / all as u64) as u16) }
    }
}

/// What the exported functions share.
#[doc(hidden)]
pub struct Run<T>(RefCell<State<T>>);

enum State<T> {
    Input(Vec<u8>),
    Task(T),
    Output(Vec<u8>),
}

impl<T: Task> Run<T> {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Run(RefCell::new(State::Input(Vec::new())))
    }

    pub fn input(&self, length: usize) -> *mut u8 {
        let mut input = vec![0; length];
        let address = input.as_mut_ptr();
        *self.0.borrow_mut() = State::Input(input);
        address
    }

    pub fn step(&self) -> i32 {
        let state = &mut *self.0.borrow_mut();
        if let State::Input(input) = state {
            *state = State::Task(T::new(core::mem::take(input)));
        }
        let State::Task(task) = state else { return 10_000 };
        match task.step() {
            Step::More(permyriad) => i32::from(permyriad.min(9_999)),
            Step::Done => {
                let State::Task(task) = core::mem::replace(state, State::Input(Vec::new())) else {
                    return -1;
                };
                *state = State::Output(task.output());
                10_000
            }
        }
    }

    pub fn output(&self) -> u64 {
        match &*self.0.borrow() {
            State::Output(output) => (output.as_ptr() as u64) << 32 | output.len() as u64,
            _ => 0,
        }
    }
}

/// Makes a [`Task`] what the module exports.
#[macro_export]
macro_rules! export {
    ($task:ty) => {
        thread_local! {
            static RUN: $crate::Run<$task> = const { $crate::Run::new() };
        }

        #[unsafe(no_mangle)]
        extern "C" fn peeredge_input(length: usize) -> *mut u8 {
            RUN.with(|run| run.input(length))
        }

        #[unsafe(no_mangle)]
        extern "C" fn peeredge_step() -> i32 {
            RUN.with(|run| run.step())
        }

        #[unsafe(no_mangle)]
        extern "C" fn peeredge_output() -> u64 {
            RUN.with(|run| run.output())
        }
    };
}

/// Makes a function `fn(Vec<u8>) -> Vec<u8>` what the module exports: a task of one step.
#[macro_export]
macro_rules! export_function {
    ($function:path) => {
        struct AtOnce(Vec<u8>);

        impl $crate::Task for AtOnce {
            fn new(input: Vec<u8>) -> Self {
                AtOnce(input)
            }

            fn step(&mut self) -> $crate::Step {
                self.0 = $function(core::mem::take(&mut self.0));
                $crate::Step::Done
            }

            fn output(self) -> Vec<u8> {
                self.0
            }
        }

        $crate::export!(AtOnce);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum(Vec<u8>, u8);

    impl Task for Sum {
        fn new(input: Vec<u8>) -> Self {
            Sum(input, 0)
        }

        fn step(&mut self) -> Step {
            self.1 = self.0.pop().map_or(self.1, |byte| self.1 + byte);
            Step::of(3 - self.0.len(), 3)
        }

        fn output(self) -> Vec<u8> {
            vec![self.1]
        }
    }

    #[test]
    fn a_task_is_stepped_to_its_end_and_then_stays_there() {
        let run = Run::<Sum>::new();
        assert!(!run.input(3).is_null());
        *run.0.borrow_mut() = State::Input(vec![1, 2, 3]);
        let steps: Vec<i32> = (0..4).map(|_| run.step()).collect();
        assert_eq!(steps, [3_333, 6_666, 10_000, 10_000]);
        assert_eq!(run.output() & 0xffff_ffff, 1);
    }
}
