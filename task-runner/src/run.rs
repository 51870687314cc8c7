//! One run, as `docs/task-abi.md` has it.
use std::io::{Read, Seek};
use std::time::{Duration, Instant};

use peeredge_hvm::task::PAGE_BYTES;
use peeredge_hvm::{Checkpoint, End, Limits, Outcome};
use wasmtime::{
    Global, Instance, Memory, Module, Store, Trap, TypedFunc, UpdateDeadline, Val, WasmParams, WasmResults,
};

use crate::compile::NotCompiled;
use crate::engine::Ticking;
use crate::job::{From, Job, Progress, Ran};
use crate::stop::Stop;

/// What `peeredge_step` gives when there is nothing left to do.
const DONE_PERMYRIAD: i32 = 10_000;

/// Runs a job on this thread. `wants_checkpoint` is asked, with the memory's bytes, when one is due.
pub(crate) fn run(
    ticking: &Ticking,
    job: Job,
    on_progress: &mut dyn FnMut(Progress),
    wants_checkpoint: &mut dyn FnMut(usize) -> bool,
    stop: &Stop,
) -> Ran {
    let began = Instant::now();
    let engine = &ticking.engine;
    let limits = job.limits.clamped();
    let used = match &job.from {
        From::Input(_) | From::File(_) => 0,
        From::Checkpoint(checkpoint) => checkpoint.gas,
    };
    let is_over = || stop.is_now() || began.elapsed() >= job.deadline;
    let compiled = ticking.compiler.compile(engine, &job, &is_over);
    let compiling = began.elapsed();
    let ran = |end, gas| Ran {
        outcome: Outcome::without_output(end, gas),
        spooled: None,
        checkpoint: None,
        compiling,
    };
    let module = match compiled {
        Ok(module) => module,
        // An engine that does not take a module is this host's matter.
        Err(NotCompiled::Refused) => return ran(End::Memory, used),
        Err(NotCompiled::Over) => return ran(End::Cancelled, used),
    };
    if is_over() {
        return ran(End::Cancelled, used);
    }
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1);
    let (watched, deadline) = (stop.clone(), job.deadline);
    store.epoch_deadline_callback(move |_| {
        let is_over = watched.is_now() || began.elapsed() >= deadline;
        Ok(if is_over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
    });
    let instance = match Instance::new(&mut store, &module, &[]) {
        Ok(instance) => instance,
        // An active segment that does not fit traps everywhere; the memory may be what only this host lacks.
        Err(error) if error.is::<Trap>() => return ran(End::Trap, used),
        Err(_) => return ran(End::Memory, used),
    };
    let Some(exports) = Exports::of(&instance, &module, &mut store) else { return ran(End::Memory, used) };
    let mut run = Run { store, exports, limits, began, deadline, stop };
    let (outcome, spooled, checkpoint) = run.go(job, on_progress, wants_checkpoint);
    Ran { outcome, spooled, checkpoint, compiling }
}

struct Exports {
    memory: Memory,
    gas: Global,
    stack: Global,
    host: Global,
    /// The mutable globals of a module that can move, in ascending order of their numbers.
    globals: Vec<Global>,
    before: Vec<TypedFunc<(), ()>>,
    input: TypedFunc<i32, i32>,
    step: TypedFunc<(), i32>,
    output: TypedFunc<(), i64>,
}

impl Exports {
    fn of(instance: &Instance, module: &Module, store: &mut Store<()>) -> Option<Self> {
        let mut numbered: Vec<(u32, &str)> = module
            .exports()
            .filter_map(|export| {
                Some((export.name().strip_prefix("peeredge:global:")?.parse().ok()?, export.name()))
            })
            .collect();
        numbered.sort_unstable();
        let before = ["peeredge:start", "_initialize"];
        Some(Exports {
            memory: instance.get_memory(&mut *store, "memory")?,
            gas: instance.get_global(&mut *store, "peeredge:gas")?,
            stack: instance.get_global(&mut *store, "peeredge:stack")?,
            host: instance.get_global(&mut *store, "peeredge:host")?,
            globals: numbered
                .into_iter()
                .map(|(_, name)| instance.get_global(&mut *store, name))
                .collect::<Option<_>>()?,
            before: before
                .into_iter()
                .filter_map(|name| instance.get_typed_func(&mut *store, name).ok())
                .collect(),
            input: instance.get_typed_func(&mut *store, "peeredge_input").ok()?,
            step: instance.get_typed_func(&mut *store, "peeredge_step").ok()?,
            output: instance.get_typed_func(&mut *store, "peeredge_output").ok()?,
        })
    }
}

struct Run<'a> {
    store: Store<()>,
    exports: Exports,
    limits: Limits,
    began: Instant,
    deadline: Duration,
    stop: &'a Stop,
}

impl Run<'_> {
    fn go(
        &mut self,
        job: Job,
        on_progress: &mut dyn FnMut(Progress),
        wants_checkpoint: &mut dyn FnMut(usize) -> bool,
    ) -> (Outcome, Option<u64>, Option<Checkpoint>) {
        match self.steps(job, on_progress, wants_checkpoint) {
            Ok(Output::Here(output)) => (Outcome { end: End::Done, output, gas: self.used() }, None, None),
            Ok(Output::Spooled(bytes)) => {
                (Outcome::without_output(End::Done, self.used()), Some(bytes), None)
            }
            Err(Ended { end, checkpoint }) => (Outcome::without_output(end, self.used()), None, checkpoint),
        }
    }

    fn steps(
        &mut self,
        job: Job,
        on_progress: &mut dyn FnMut(Progress),
        wants_checkpoint: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Output, Ended> {
        // What it begins with is not held any longer than until it is in the task's memory.
        let mut steps = match job.from {
            From::Input(input) => {
                self.set_gas(0);
                self.begin(input.len() as u64, &input[..])?;
                0
            }
            From::File(file) => {
                self.set_gas(0);
                let (mut file, length) = (&*file, file.metadata().map_or(u64::MAX, |data| data.len()));
                file.rewind().map_err(|_| Ended::from(End::Memory))?;
                self.begin(length, file)?;
                0
            }
            From::Checkpoint(checkpoint) => {
                self.restore(&checkpoint)?;
                checkpoint.steps
            }
        };
        let can_move = job.is_movable;
        loop {
            let step = self.exports.step.clone();
            let permyriad = self.call(&step, ())?;
            if permyriad < 0 {
                return Err(End::Trap.into());
            }
            steps = steps.saturating_add(1);
            let is_due = job.checkpoint_every_steps > 0 && steps.is_multiple_of(job.checkpoint_every_steps);
            let is_done = permyriad >= DONE_PERMYRIAD;
            let is_taken = can_move
                && is_due
                && !is_done
                && wants_checkpoint(self.exports.memory.data_size(&self.store));
            let checkpoint = is_taken.then(|| self.checkpoint(steps));
            on_progress(Progress {
                permyriad: permyriad.min(DONE_PERMYRIAD) as u32,
                steps,
                gas: self.used(),
                checkpoint,
            });
            if is_done {
                break;
            }
            if self.is_over() {
                return Err(End::Cancelled.into());
            }
            if can_move && self.stop.is_at_step() {
                return Err(Ended { end: End::Paused, checkpoint: Some(self.checkpoint(steps)) });
            }
        }
        let output = self.exports.output.clone();
        let place = self.call(&output, ())? as u64;
        let (address, length) = ((place >> 32) as usize, (place & u64::from(u32::MAX)) as usize);
        if length > self.limits.output_bytes as usize {
            return Err(End::Output.into());
        }
        let bytes =
            self.exports.memory.data(&self.store).get(address..).and_then(|behind| behind.get(..length));
        let bytes = bytes.ok_or(Ended::from(End::Output))?;
        match &job.spool {
            // A disk that is full is this host's matter.
            Some(spool) if length > spool.above => match std::fs::write(&spool.path, bytes) {
                Ok(()) => Ok(Output::Spooled(length as u64)),
                Err(_) => Err(End::Memory.into()),
            },
            _ => Ok(Output::Here(bytes.to_vec())),
        }
    }

    fn begin(&mut self, length: u64, mut input: impl Read) -> Result<(), Ended> {
        for function in self.exports.before.clone() {
            self.call(&function, ())?;
        }
        let length = i32::try_from(length).map_err(|_| Ended::from(End::Output))?;
        let function = self.exports.input.clone();
        let address = self.call(&function, length)? as u32 as usize;
        let memory = self.exports.memory.data_mut(&mut self.store);
        let room = memory.get_mut(address..).and_then(|behind| behind.get_mut(..length as usize));
        // A file that can no longer be read is this host's matter.
        input.read_exact(room.ok_or(Ended::from(End::Output))?).map_err(|_| Ended::from(End::Memory))
    }

    /// Calls into the task, and says how it ended if it did.
    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R, Ended> {
        let called = function.call(&mut self.store, params);
        let trap = called.as_ref().err().map(|error| error.downcast_ref::<Trap>().copied());
        if trap == Some(Some(Trap::Interrupt)) || (trap.is_some() && self.is_over()) {
            return Err(End::Cancelled.into());
        }
        // This host's memory, its stack, which the counted one stays below, or something of its own that is no trap at all.
        let is_of_host = matches!(trap, Some(None | Some(Trap::StackOverflow | Trap::AllocationTooLarge)));
        if is_of_host || (trap.is_some() && self.global(&self.exports.host.clone()) != 0) {
            return Err(End::Memory.into());
        }
        if self.gas_left() < 0 {
            return Err(End::OutOfGas.into());
        }
        if called.is_err() && self.global(&self.exports.stack.clone()) < 0 {
            return Err(End::Stack.into());
        }
        called.map_err(|_| End::Trap.into())
    }

    fn checkpoint(&mut self, steps: u32) -> Checkpoint {
        let gas = self.used();
        let globals = self.exports.globals.clone();
        let globals = globals.iter().map(|global| match global.get(&mut self.store) {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            _ => 0,
        });
        let globals = globals.collect();
        Checkpoint { steps, gas, globals, memory: self.exports.memory.data(&self.store).to_vec() }
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Ended> {
        let memory = self.exports.memory;
        let pages = (checkpoint.memory.len() / PAGE_BYTES) as u64;
        let has = memory.size(&self.store);
        let globals = self.exports.globals.clone();
        let is_of_module = pages >= has
            && memory.ty(&self.store).maximum().is_none_or(|max| pages <= max)
            && globals.len() == checkpoint.globals.len()
            && checkpoint.gas <= self.limits.gas;
        // Somebody else made it: that it fits nothing says nothing about the task.
        if !is_of_module {
            return Err(End::Memory.into());
        }
        memory.grow(&mut self.store, pages - has).map_err(|_| Ended::from(End::Memory))?;
        memory.data_mut(&mut self.store).copy_from_slice(&checkpoint.memory);
        for (global, value) in globals.iter().zip(&checkpoint.globals) {
            let value = match global.get(&mut self.store) {
                Val::I32(_) => Val::I32(*value as u32 as i32),
                _ => Val::I64(*value as i64),
            };
            global.set(&mut self.store, value).map_err(|_| Ended::from(End::Memory))?;
        }
        self.set_gas(checkpoint.gas);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stop.is_now() || self.began.elapsed() >= self.deadline
    }

    fn set_gas(&mut self, used: u64) {
        let left = self.limits.gas as i64 - used.min(Limits::GAS_MAX) as i64;
        let set = self.exports.gas.set(&mut self.store, Val::I64(left));
        set.expect("the rewrite makes it a mutable i64");
    }

    fn gas_left(&mut self) -> i64 {
        self.global(&self.exports.gas.clone())
    }

    fn global(&mut self, global: &Global) -> i64 {
        match global.get(&mut self.store) {
            Val::I32(value) => value.into(),
            Val::I64(value) => value,
            _ => 0,
        }
    }

    /// Gas used; all of it once it has run out.
    fn used(&mut self) -> u64 {
        self.limits.gas - self.gas_left().max(0) as u64
    }
}

/// A task's output.
enum Output {
    Here(Vec<u8>),
    /// So many bytes in the job's spool.
    Spooled(u64),
}

/// Why there is no output.
struct Ended {
    end: End,
    checkpoint: Option<Checkpoint>,
}

impl std::convert::From<End> for Ended {
    fn from(end: End) -> Self {
        Ended { end, checkpoint: None }
    }
}
