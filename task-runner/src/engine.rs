use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel};

use crate::compile::Compiler;

/// How often a run looks whether it is to stop.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of stack that compiled code may use; far above what the rewrite's bound needs: where live ranges have gaps, wasmtime finds
/// free places in a frame only among the next few. What is not touched takes no memory.
const WASM_STACK_BYTES: usize = 16 << 20;
/// Bytes of stack of a thread that runs tasks.
pub(crate) const THREAD_STACK_BYTES: usize = 2 * WASM_STACK_BYTES;

/// wasmtime, and a thread that moves its epoch while anything runs.
#[derive(Clone)]
pub(crate) struct Ticking {
    pub engine: Engine,
    pub compiler: Compiler,
    runs: Arc<Runs>,
}

struct Runs {
    count: Mutex<usize>,
    some: Condvar,
}

/// Held while a task runs.
pub(crate) struct Run(Arc<Runs>);

impl Ticking {
    pub fn new(compiler: Compiler) -> Result<Self, wasmtime::Error> {
        let engine = Engine::new(config().epoch_interruption(true))?;
        let runs = Arc::new(Runs { count: Mutex::new(0), some: Condvar::new() });
        let (ticked, weak) = (engine.clone(), Arc::downgrade(&runs));
        let thread = std::thread::Builder::new().name("task-tick".into());
        thread.spawn(move || tick(&ticked, &weak))?;
        Ok(Ticking { engine, compiler, runs })
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
