//! Compiles modules within a bound of time and memory, whatever is in them.
//!
//! How long an optimising compiler takes depends on the shape of the code, and no count of what is in a module foresees all shapes. So
//! it is given [`OPTIMISED_FOR`]; then the module has the code of a register allocator of one pass, whose time is about linear and which
//! runs slower. A host that has a program for it does both in a process of its own, which it ends together with
//! whatever is still at work there, and whose memory is bounded.
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime::{Config, Engine, Module, RegallocAlgorithm};

use crate::engine::config;
use crate::job::Job;

/// How long the optimising compiler is waited for. The largest accepted modules of real programs take less on one core of a server. Where
/// the compiler itself is not optimised it takes many times as long for anything.
pub const OPTIMISED_FOR: Duration = Duration::from_millis(if cfg!(debug_assertions) { 8_000 } else { 1_600 });
/// When code that is made quickly is begun beside it, so that it is there by then.
const QUICK_AFTER: Duration = Duration::from_millis(if cfg!(debug_assertions) { 4_000 } else { 400 });
/// How often whoever waits looks whether the run is over.
const TICK: Duration = Duration::from_millis(5);
/// Compilations at once on threads of this process, those included that nobody waits for any more.
const COMPILING_MAX: usize = 4;
/// Bytes of stack of a thread that compiles.
const STACK_BYTES: usize = 8 << 20;
/// Bytes that a compiling process has at rest: its program's data and the stacks of its threads.
const REST_BYTES: u64 = 48 << 20;
/// Seconds of processor time after which the system ends a compiling process, should nobody else.
const PROCESS_SECONDS: u64 = if cfg!(debug_assertions) { 60 } else { 10 };

/// Makes the command that calls [`compile_stdin`].
pub type Program = dyn Fn() -> Command + Send + Sync;

/// Where modules are compiled, and how many at present.
#[derive(Clone)]
pub(crate) struct Compiler {
    /// The command of the processes; none for threads of this process, of which one that nobody waits for any more is left to itself.
    program: Option<Arc<Program>>,
    compiling: Arc<Mutex<usize>>,
    compiling_max: usize,
}

/// Why there is no module to run.
pub(crate) enum NotCompiled {
    /// This engine does not take it.
    Refused,
    /// The run is over before it began.
    Over,
}

/// A place among those that compile.
struct Place(Arc<Mutex<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
    }
}

/// A process that is ended when nobody holds it any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Compiler {
    /// One that compiles on threads of this process.
    pub fn threads() -> Self {
        Compiler { program: None, compiling: Arc::default(), compiling_max: COMPILING_MAX }
    }

    /// One that compiles in processes of this command. Half as many at once as there are threads that run tasks: a module may take as
    /// much memory to compile as its task to run, and that is more than was agreed to where several do it at once.
    pub fn processes(program: Arc<Program>, threads: usize) -> Self {
        Compiler { program: Some(program), compiling: Arc::default(), compiling_max: (threads / 2).max(1) }
    }

    /// Compiles a job's module, unless `is_over` says that nobody waits for it any more.
    pub fn compile(
        &self,
        engine: &Engine,
        job: &Job,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Module, NotCompiled> {
        let place = self.place(is_over)?;
        let code = match &self.program {
            None => on_threads(place, &job.rewritten, is_over)?,
            Some(program) => {
                let _place = place;
                in_process(program, job, is_over)?
            }
        };
        // SAFETY: the bytes are what wasmtime's `precompile_module` gave, here or in a process of this very program; what is compiled
        // cannot reach them. wasmtime itself refuses those of another version or of other settings.
        unsafe { Module::deserialize(engine, code) }.map_err(|_| NotCompiled::Refused)
    }

    fn place(&self, is_over: &dyn Fn() -> bool) -> Result<Place, NotCompiled> {
        loop {
            if is_over() {
                return Err(NotCompiled::Over);
            }
            let mut taken = self.compiling.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if *taken < self.compiling_max {
                *taken += 1;
                return Ok(Place(self.compiling.clone()));
            }
            drop(taken);
            std::thread::sleep(TICK);
        }
    }
}

fn on_threads(place: Place, bytes: &Arc<[u8]>, is_over: &dyn Fn() -> bool) -> Result<Vec<u8>, NotCompiled> {
    let (done, compiled) = channel();
    let bytes = bytes.clone();
    let thread = std::thread::Builder::new().name("task-compile".into()).stack_size(STACK_BYTES);
    thread
        .spawn(move || done.send(within(bytes, OPTIMISED_FOR, Some(place))))
        .map_err(|_| NotCompiled::Refused)?;
    waited_for(&compiled, is_over)?.ok_or(NotCompiled::Refused)
}

fn in_process(program: &Arc<Program>, job: &Job, is_over: &dyn Fn() -> bool) -> Result<Vec<u8>, NotCompiled> {
    let mut command = program();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Ended(command.spawn().map_err(|_| NotCompiled::Refused)?);
    let pipes = child.0.stdin.take().zip(child.0.stdout.take());
    let (mut stdin, mut stdout) = pipes.ok_or(NotCompiled::Refused)?;
    let (done, compiled) = channel();
    let (bytes, bound) = (job.rewritten.clone(), job.compiling_bytes.to_le_bytes());
    let thread = std::thread::Builder::new().name("task-compile".into());
    let spawned = thread.spawn(move || {
        let mut code = Vec::new();
        // It reads all before it says anything.
        let is_read = stdin.write_all(&bound).and_then(|()| stdin.write_all(&bytes)).is_ok();
        drop(stdin);
        let _ = done.send((is_read && stdout.read_to_end(&mut code).is_ok()).then_some(code));
    });
    spawned.map_err(|_| NotCompiled::Refused)?;
    let code = waited_for(&compiled, is_over)?.ok_or(NotCompiled::Refused)?;
    // What a process wrote before it was ended is not whole.
    let is_whole = child.0.wait().is_ok_and(|status| status.success());
    if is_whole { Ok(code) } else { Err(NotCompiled::Refused) }
}

fn waited_for<T>(compiled: &Receiver<T>, is_over: &dyn Fn() -> bool) -> Result<T, NotCompiled> {
    loop {
        match compiled.recv_timeout(TICK) {
            Ok(code) => return Ok(code),
            Err(RecvTimeoutError::Timeout) if is_over() => return Err(NotCompiled::Over),
            Err(RecvTimeoutError::Timeout) => {}
            // A fault in the compiler is this host's matter, too.
            Err(RecvTimeoutError::Disconnected) => return Err(NotCompiled::Refused),
        }
    }
}

/// A module's code, optimised if that is done in time; none for a module that this engine does not take.
fn within(bytes: Arc<[u8]>, optimised_for: Duration, place: Option<Place>) -> Option<Vec<u8>> {
    let began = Instant::now();
    let (done, codes) = channel();
    let place = place.map(Arc::new);
    let begin = |is_optimised: bool| {
        let (done, bytes, place) = (done.clone(), bytes.clone(), place.clone());
        let thread = std::thread::Builder::new().name("task-code".into()).stack_size(STACK_BYTES);
        thread.spawn(move || {
            let _place = place;
            let _ =
                done.send((is_optimised, compiled(if is_optimised { config() } else { quick() }, &bytes)));
        })
    };
    begin(true).ok()?;
    if let Ok((_, code)) = codes.recv_timeout(QUICK_AFTER.min(optimised_for)) {
        return code;
    }
    begin(false).ok()?;
    let mut quick = None;
    loop {
        let left = optimised_for.saturating_sub(began.elapsed());
        match (quick, codes.recv_timeout(left)) {
            (_, Ok((true, code))) => return code,
            (_, Ok((false, code))) => quick = Some(code),
            (Some(code), Err(_)) => return code,
            // Late, both of them: whichever is done first.
            (None, Err(_)) => return codes.recv().ok()?.1,
        }
    }
}

fn compiled(mut config: Config, bytes: &[u8]) -> Option<Vec<u8>> {
    Engine::new(config.epoch_interruption(true)).ok()?.precompile_module(bytes).ok()
}

/// Settings under which compiling takes about as long as a module is large. Where it took longest, that was the allocation of registers;
/// what is optimised before leaves less to allocate.
fn quick() -> Config {
    let mut config = config();
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    config
}

/// What a compiling process does: reads the bytes that it may take (`u64`, little-endian) and a rewritten module, and writes the module's
/// code, which is optimised if that takes no longer than `optimised_for`.
pub fn compile_stdin(optimised_for: Duration) -> ! {
    let mut stdin = std::io::stdin().lock();
    let mut bound = [0; 8];
    if stdin.read_exact(&mut bound).is_err() {
        std::process::exit(1);
    }
    let bound = u64::from_le_bytes(bound).saturating_add(REST_BYTES);
    // Where the system has no such limits there are none; the time is bounded all the same.
    let _ = rlimit::Resource::DATA.set(bound, bound);
    let _ = rlimit::Resource::CPU.set(PROCESS_SECONDS, PROCESS_SECONDS);
    let _ = rlimit::Resource::CORE.set(0, 0);
    let mut bytes = Vec::new();
    let code = match stdin.read_to_end(&mut bytes) {
        Ok(_) => within(bytes.into(), optimised_for, None),
        Err(_) => None,
    };
    let is_said = code.is_some_and(|code| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&code).and_then(|()| stdout.flush()).is_ok()
    });
    // Ends whatever is still at work, too.
    std::process::exit(i32::from(!is_said))
}
