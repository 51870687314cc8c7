//! `peeredge-task`: rewrites a module, or runs a task, for whoever wants to see what a host does.
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peeredge_hvm::{Limits, instrument, rewrite};
use peeredge_task_runner::{From, Job, OPTIMISED_FOR, Progress, Stop, TaskRunner, compile_stdin};

const COMPILE: &str = "compile";

const HELP: &str = "\
usage: peeredge-task COMMAND

commands:
  rewrite MODULE OUT     write the module as hosts run it
  rewrite-any MODULE OUT the same for a module that is no task: it may have imports
  run MODULE INPUT OUT   rewrite and run a task; print its end, gas and time as JSON
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let limits = Limits { memory_pages: 16_384, ..Limits::default() };
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["rewrite", module, out] => {
            write(module, out, |bytes| instrument(bytes, &limits).map(|made| made.bytes))
        }
        ["rewrite-any", module, out] => {
            write(module, out, |bytes| rewrite::rewrite(bytes, &limits).map(|made| made.bytes))
        }
        ["run", module, input, out] => run(module, input, out, limits),
        // This program itself, started by `run`; with another time in tests.
        [COMPILE] => compile_stdin(OPTIMISED_FOR),
        [COMPILE, "quickly"] => compile_stdin(Duration::ZERO),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peeredge-task: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{path}: {error}"))
}

fn write(
    module: &str,
    out: &str,
    made: impl FnOnce(&[u8]) -> Result<Vec<u8>, peeredge_hvm::Refused>,
) -> Result<(), String> {
    let made = made(&read(module)?).map_err(|refused| format!("{module}: {refused}"))?;
    std::fs::write(out, made).map_err(|error| format!("{out}: {error}"))
}

fn run(module: &str, input: &str, out: &str, limits: Limits) -> Result<(), String> {
    let rewritten = instrument(&read(module)?, &limits).map_err(|refused| format!("{module}: {refused}"))?;
    let job = Job {
        rewritten: Arc::from(rewritten.bytes),
        is_movable: rewritten.is_movable,
        from: From::Input(Arc::from(read(input)?)),
        limits,
        deadline: Duration::from_secs(600),
        checkpoint_every_steps: 0,
        compiling_bytes: 1 << 30,
        spool: None,
    };
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let compiler = move || {
        let mut command = Command::new(&own);
        command.arg(COMPILE);
        command
    };
    let runner = TaskRunner::with_compiler(1, compiler).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let ran = runner.run(job, |_: Progress| (), Stop::new());
    let outcome = ran.outcome;
    println!(
        r#"{{"end":"{}","gas":{},"bytes":{},"ms":{}}}"#,
        outcome.end,
        outcome.gas,
        outcome.output.len(),
        began.elapsed().as_millis()
    );
    std::fs::write(out, outcome.output).map_err(|error| format!("{out}: {error}"))
}
