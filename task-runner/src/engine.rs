use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use wasmtime::{Config, Engine, Module, OptLevel};

/// How often a run looks whether it is to stop.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of stack that compiled code may use; far above what the rewrite's bound needs: where live ranges have gaps, wasmtime finds
/// free places in a frame only among the next few. What is not touched takes no memory.
const WASM_STACK_BYTES: usize = 16 << 20;
/// Compilations at once, those included that nobody waits for any more.
const COMPILING_MAX: usize = 4;
/// Bytes of stack of a thread that runs tasks.
pub(crate) const THREAD_STACK_BYTES: usize = 2 * WASM_STACK_BYTES;

/// wasmtime, and a thread that moves its epoch while anything runs.
#[derive(Clone)]
pub(crate) struct Ticking {
    pub engine: Engine,
    runs: Arc<Runs>,
    compiling: Arc<Mutex<usize>>,
}

/// Why there is no module to run.
pub(crate) enum NotCompiled {
    /// This engine does not take it.
    Refused,
    /// The run is over before it began.
    Over,
}

/// A place among those that compile.
struct Compiling(Arc<Mutex<usize>>);

impl Drop for Compiling {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
    }
}

struct Runs {
    count: Mutex<usize>,
    some: Condvar,
}

/// Held while a task runs.
pub(crate) struct Run(Arc<Runs>);

impl Ticking {
    pub fn new() -> Result<Self, wasmtime::Error> {
        let engine = Engine::new(config().epoch_interruption(true))?;
        let runs = Arc::new(Runs { count: Mutex::new(0), some: Condvar::new() });
        let (ticked, weak) = (engine.clone(), Arc::downgrade(&runs));
        let thread = std::thread::Builder::new().name("task-tick".into());
        thread.spawn(move || tick(&ticked, &weak))?;
        Ok(Ticking { engine, runs, compiling: Arc::default() })
    }

    /// Compiles a module on a thread of its own, which is left to itself when the run is over before it is done: the rewrite bounds
    /// how long that can be.
    pub fn compiled(&self, bytes: &Arc<[u8]>, is_over: &dyn Fn() -> bool) -> Result<Module, NotCompiled> {
        let place = loop {
            if is_over() {
                return Err(NotCompiled::Over);
            }
            let mut count = self.compiling.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if *count < COMPILING_MAX {
                *count += 1;
                break Compiling(self.compiling.clone());
            }
            drop(count);
            std::thread::sleep(TICK);
        };
        let (done, compiled) = channel();
        let (engine, bytes) = (self.engine.clone(), bytes.clone());
        let thread = std::thread::Builder::new().name("task-compile".into()).stack_size(8 << 20);
        let spawned = thread.spawn(move || {
            let _place = place;
            let _ = done.send(Module::new(&engine, &bytes));
        });
        if spawned.is_err() {
            return Err(NotCompiled::Refused);
        }
        loop {
            match compiled.recv_timeout(TICK) {
                Ok(module) => return module.map_err(|_| NotCompiled::Refused),
                Err(RecvTimeoutError::Timeout) if is_over() => return Err(NotCompiled::Over),
                Err(RecvTimeoutError::Timeout) => {}
                // A fault in the compiler is this host's matter, too.
                Err(RecvTimeoutError::Disconnected) => return Err(NotCompiled::Refused),
            }
        }
    }

    pub fn run(&self) -> Run {
        *self.runs.count.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        self.runs.some.notify_one();
        Run(self.runs.clone())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
    }
}

/// wasmtime's settings, deadlines apart. What NaNs are and what traps when is the rewrite's; nothing here changes a result.
pub fn config() -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    // wasmtime wants the one below the other even where nothing is asynchronous.
    config.async_stack_size(2 * WASM_STACK_BYTES);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_tail_call(false);
    config
}

fn tick(engine: &Engine, runs: &Weak<Runs>) {
    while let Some(runs) = runs.upgrade() {
        // Asleep while nothing runs, but not for ever: the runner may be gone.
        let count = runs.count.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if *count == 0 {
            drop(runs.some.wait_timeout(count, Duration::from_secs(1)));
            continue;
        }
        drop(count);
        drop(runs);
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}
