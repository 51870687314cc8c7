//! Where a task's module is compiled: by the command, in a process of its own that can be ended.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use peeredge_task_runner::{NoThreads, OPTIMISED_FOR, TaskRunner, compile_stdin};

/// The command's word for it; nothing for people.
pub(crate) const COMMAND: &str = "compile-task";

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says that this process is the `peeredge` command, which can be started again to compile. A program that only uses this library
/// knows no such word, and compiles on threads.
pub(crate) fn is_the_command() {
    // What the process runs, even when the file has been replaced since.
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() { Some(own.into()) } else { std::env::current_exe().ok() };
    if let Some(program) = program {
        let _ = PROGRAM.set(program);
    }
}

/// What a process of this word does.
pub(crate) fn run() -> ! {
    compile_stdin(OPTIMISED_FOR)
}

/// A runner of so many tasks at once.
pub(super) fn runner(threads: usize) -> Result<TaskRunner, NoThreads> {
    match PROGRAM.get() {
        Some(program) => TaskRunner::with_compiler(threads, move || {
            let mut command = Command::new(program);
            command.arg(COMMAND);
            command
        }),
        None => TaskRunner::new(threads),
    }
}
