//! `task_search COUNT SEED FOLDER [shapes]`: makes tasks up, rewrites, compiles and runs them; one line of JSON each, and the rewritten modules
//! in `FOLDER/modules.bin` (length, bytes) for other engines. `bench/task-attacks` compares. `shapes` are those that take long to compile;
//! `quickly` has all compiled as those are that take too long.
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peeredge_hvm::{Limits, instrument};
use peeredge_task_runner::{From, Job, OPTIMISED_FOR, Stop, TaskRunner, compile_stdin};

#[path = "../tests/attacks/made.rs"]
mod made;

/// This program's own word for itself as a compiler.
const COMPILE: &str = "compile";
const LIMITS: Limits = Limits { gas: 200_000_000, memory_pages: 1_024, output_bytes: 1_024 };

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [COMPILE] => compile_stdin(OPTIMISED_FOR),
        [COMPILE, "quickly"] => compile_stdin(Duration::ZERO),
        _ => {}
    }
    let [count, seed, folder, words @ ..] = args.as_slice() else {
        panic!("usage: task_search COUNT SEED FOLDER [shapes] [quickly]")
    };
    let has = |word: &str| words.iter().any(|has| has == word);
    let make = if has("shapes") { made::shaped } else { made::made };
    let how: &[&str] = if has("quickly") { &[COMPILE, "quickly"] } else { &[COMPILE] };
    let (count, seed): (u64, u64) = (count.parse().expect("a number"), seed.parse().expect("a number"));
    let mut modules = std::io::BufWriter::new(
        std::fs::File::create(format!("{folder}/modules.bin")).expect("the folder can be written to"),
    );
    let own = std::env::current_exe().expect("a program has a place");
    let compiler = move || {
        let mut command = Command::new(&own);
        command.args(how);
        command
    };
    let runner = TaskRunner::with_compiler(1, compiler).expect("threads");
    for number in seed..seed + count {
        let (kind, module) = make(number);
        let began = Instant::now();
        let rewritten = match instrument(&module, &LIMITS) {
            Ok(rewritten) => rewritten,
            Err(refused) => {
                println!(
                    r#"{{"seed":{number},"kind":"{kind}","refused":"{}"}}"#,
                    refused.to_string().replace('"', "'")
                );
                continue;
            }
        };
        let rewrite_ms = began.elapsed().as_secs_f64() * 1e3;
        let bytes = rewritten.bytes;
        modules.write_all(&(bytes.len() as u32).to_le_bytes()).expect("there is room");
        modules.write_all(&bytes).expect("there is room");
        let job = Job {
            rewritten: Arc::from(bytes),
            is_movable: false,
            from: From::Input(Arc::from([7_u8])),
            limits: LIMITS,
            deadline: Duration::from_secs(60),
            checkpoint_every_steps: 0,
            compiling_bytes: 1 << 30,
            spool: None,
        };
        let ran = runner.run(job, |_| (), Stop::new());
        let (outcome, compile_ms) = (ran.outcome, ran.compiling.as_secs_f64() * 1e3);
        let output: String = outcome.output.iter().map(|byte| format!("{byte:02x}")).collect();
        println!(
            r#"{{"seed":{number},"kind":"{kind}","bytes":{},"rewrite_ms":{rewrite_ms:.1},"compile_ms":{compile_ms:.1},"end":{},"gas":"{}","output":"{output}"}}"#,
            module.len(),
            outcome.end as u8,
            outcome.gas
        );
    }
    modules.flush().expect("there is room");
}
