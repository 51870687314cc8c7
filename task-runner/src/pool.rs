use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::compile::Compiler;
use crate::engine::{THREAD_STACK_BYTES, Ticking};
use crate::job::{Job, Progress, Ran};
use crate::run;
use crate::stop::Stop;

/// Runs tasks on threads of its own, one a thread, in the order in which they came.
pub struct TaskRunner {
    queue: Arc<Queue>,
}

/// The runner's threads, or wasmtime, could not be started.
#[derive(Debug)]
pub struct NoThreads(String);

type Work = Box<dyn FnOnce(&Ticking) + Send>;

struct Queue {
    state: Mutex<State>,
    some: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    is_over: bool,
}

impl TaskRunner {
    /// A runner of this many tasks at once, at least one, which compiles them on threads of its own.
    ///
    /// # Errors
    /// When this machine gives no threads, or wasmtime does not know it.
    pub fn new(threads: usize) -> Result<Self, NoThreads> {
        Self::with(threads, Compiler::threads())
    }

    /// The same, which compiles each module in a process of the command that `program` makes, and that does
    /// [`compile_stdin`](crate::compile_stdin).
    ///
    /// # Errors
    /// As [`TaskRunner::new`].
    pub fn with_compiler(
        threads: usize,
        program: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Result<Self, NoThreads> {
        Self::with(threads, Compiler::processes(Arc::new(program), threads))
    }

    fn with(threads: usize, compiler: Compiler) -> Result<Self, NoThreads> {
        let ticking = Ticking::new(compiler).map_err(|error| NoThreads(error.to_string()))?;
        let queue = Arc::new(Queue { state: Mutex::default(), some: Condvar::new() });
        let runner = TaskRunner { queue: queue.clone() };
        for number in 0..threads.max(1) {
            let (queue, ticking) = (queue.clone(), ticking.clone());
            thread::Builder::new()
                .name(format!("task-{number}"))
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || {
                    while let Some(work) = queue.next() {
                        // A fault in the engine costs one run, whose asker hears that it ended, and not the thread.
                        let _ = catch_unwind(AssertUnwindSafe(|| work(&ticking)));
                    }
                })
                .map_err(|error| NoThreads(error.to_string()))?;
        }
        Ok(runner)
    }

    /// Queues a job that takes every checkpoint that is due. `on_progress` and, once, `on_end` are called on the runner's thread: they only pass on what they are told.
    pub fn submit(
        &self,
        job: Job,
        on_progress: impl FnMut(Progress) + Send + 'static,
        stop: Stop,
        on_end: impl FnOnce(Ran) + Send + 'static,
    ) {
        self.submit_with(job, on_progress, |_| true, stop, on_end);
    }

    /// As [`TaskRunner::submit`], but a checkpoint that is due is only taken if `wants_checkpoint` says so for the bytes of the
    /// task's memory: it is as large as that, and whoever gets them says when there is room for another.
    pub fn submit_with(
        &self,
        job: Job,
        mut on_progress: impl FnMut(Progress) + Send + 'static,
        mut wants_checkpoint: impl FnMut(usize) -> bool + Send + 'static,
        stop: Stop,
        on_end: impl FnOnce(Ran) + Send + 'static,
    ) {
        let work = move |ticking: &Ticking| {
            let _run = ticking.run();
            on_end(run::run(ticking, job, &mut on_progress, &mut wants_checkpoint, &stop));
        };
        self.queue.lock().work.push_back(Box::new(work));
        self.queue.some.notify_one();
    }

    /// Runs a job to its end while this thread waits.
    pub fn run(&self, job: Job, on_progress: impl FnMut(Progress) + Send + 'static, stop: Stop) -> Ran {
        let (send, receive) = std::sync::mpsc::channel();
        self.submit(job, on_progress, stop, move |ran| drop(send.send(ran)));
        receive.recv().expect("a submitted job always ends, and says so")
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                return Some(work);
            }
            if state.is_over {
                return None;
            }
            state = self.some.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

impl Drop for TaskRunner {
    fn drop(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.some.notify_all();
    }
}

impl fmt::Display for NoThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tasks cannot be run here: {}", self.0)
    }
}

impl std::error::Error for NoThreads {}
