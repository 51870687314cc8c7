//! Compiling within a bound, whatever the module: in a process that is ended, and with code that is made quickly where that takes too long.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use peeredge_attacks::Attack;
use peeredge_hvm::{End, Limits, instrument};
use peeredge_task_runner::{From, Job, Stop, TaskRunner};

#[path = "attacks/made.rs"]
mod made;

const LIMITS: Limits = Limits { gas: 200_000_000, memory_pages: 1_024, output_bytes: 1_024 };
const PROGRAM: &str = env!("CARGO_BIN_EXE_peeredge-task");

fn job(rewritten: Vec<u8>) -> Job {
    Job {
        rewritten: Arc::from(rewritten),
        is_movable: false,
        from: From::Input(Arc::from([7_u8])),
        limits: LIMITS,
        deadline: Duration::from_secs(300),
        checkpoint_every_steps: 0,
        compiling_bytes: 1 << 30,
        spool: None,
    }
}

fn compiling(words: &'static [&'static str]) -> TaskRunner {
    let program = move || {
        let mut command = Command::new(PROGRAM);
        command.args(words);
        command
    };
    TaskRunner::with_compiler(1, program).expect("threads")
}

/// Thousands of conditionals that each add 0 to a local: where ways meet there are values that nothing takes, and the allocator of registers
/// looks through all that meet for each.
fn ladder(steps: usize, locals: usize) -> Vec<u8> {
    let arms: String = (0..steps)
        .map(|i| {
            let (bit, s) = (1 << (i % 31), i % locals);
            format!("(if (i32.and (local.get $p) (i32.const {bit})) (then (local.set $s{s} (i32.add (local.get $s{s}) (i32.const 0)))))")
        })
        .collect();
    let named: String = (0..locals).map(|i| format!("(local $s{i} i32)")).collect();
    let sum: String =
        (0..locals).map(|i| format!("(local.set $p (i32.xor (local.get $p) (local.get $s{i})))")).collect();
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1)
          (func $f (param $p i32) (result i32) {named} {arms} {sum} (local.get $p))
          (func (export "peeredge_input") (param i32) (result i32) (i32.const 1024))
          (func (export "peeredge_step") (result i32)
            (i32.store (i32.const 1024) (call $f (i32.load8_u (i32.const 1024)))) (i32.const 10000))
          (func (export "peeredge_output") (result i64) (i64.const {})))"#,
        1024_i64 << 32 | 4
    ))
    .expect("the test's own text is right")
}

#[test]
fn what_the_optimiser_takes_too_long_over_runs_all_the_same() {
    let bomb = instrument(&ladder(3_948, 132), &LIMITS).expect("its cost is not foreseen").bytes;
    let ran = compiling(&["compile"]).run(job(bomb), |_| (), Stop::new());
    let is_right = ran.outcome.output == 7_u32.to_le_bytes();
    Attack::new(
        "tasks",
        "tasks",
        "a module whose registers take 15 s to allocate, and minutes if it is a little larger",
    )
    .spent("69 kB")
    .lost("the time that the optimiser is waited for; then the code of one pass runs")
    .end(ran.outcome.end == End::Done && is_right);
}

#[test]
fn code_of_one_pass_comes_to_the_same_ends() {
    let (optimised, quickly) = (compiling(&["compile"]), compiling(&["compile", "quickly"]));
    let mut compared = 0;
    for (kind, _) in made::KINDS {
        for seed in 1..=2 {
            let Ok(rewritten) = instrument(&made::of_kind(kind, seed), &LIMITS) else { continue };
            let [here, there] = [&optimised, &quickly].map(|runner| {
                let outcome = runner.run(job(rewritten.bytes.clone()), |_| (), Stop::new()).outcome;
                (outcome.end, outcome.gas, outcome.output)
            });
            assert!(here.0.is_of_task(), "{kind} {seed}: {:?}", here.0);
            assert_eq!(here, there, "{kind} {seed}");
            compared += 1;
        }
    }
    assert!(compared > 20);
}

/// A program that notes its own number and then compiles.
fn noting(note: &Path) -> TaskRunner {
    let note = note.to_owned();
    let program = move || {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$1.part" && mv "$1.part" "$1" && exec "$2" compile"#, "sh"]);
        command.arg(&note).arg(PROGRAM);
        command
    };
    TaskRunner::with_compiler(1, program).expect("threads")
}

#[test]
fn a_run_that_is_stopped_leaves_no_process_that_compiles() {
    let note: PathBuf = std::env::temp_dir().join(format!("peeredge-compile-{}", std::process::id()));
    let runner = noting(&note);
    let bomb = instrument(&ladder(3_948, 132), &LIMITS).expect("its cost is not foreseen").bytes;
    let stop = Stop::new();
    let (hand, seen) = (stop.clone(), note.clone());
    let stopped = std::thread::spawn(move || {
        while !seen.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        hand.now();
        std::fs::read_to_string(&seen).expect("it was written whole")
    });
    let end = runner.run(job(bomb), |_| (), stop).outcome.end;
    let process = stopped.join().expect("it only waits");
    let is_left = Path::new("/proc").join(process.trim()).exists();
    std::fs::remove_file(&note).expect("it was there");
    Attack::new("tasks", "stall", "a task that is taken back while it is compiled")
        .spent("1 task")
        .lost("nothing: the process is ended with the run")
        .end(end == End::Cancelled && !is_left);
}

#[test]
fn a_compiler_that_dies_is_the_hosts_matter() {
    let module = instrument(&ladder(1, 1), &LIMITS).expect("a task").bytes;
    let dying: [fn() -> Command; 4] = [
        || Command::new("false"),
        || Command::new("/nowhere/peeredge-task"),
        // Ends well, and gives nothing, or what is no code.
        || Command::new("true"),
        || Command::new("env"),
    ];
    for program in dying {
        let runner = TaskRunner::with_compiler(1, program).expect("threads");
        let end = runner.run(job(module.clone()), |_| (), Stop::new()).outcome.end;
        assert_eq!(end, End::Memory, "{:?}", program());
    }
}

#[test]
fn compiling_takes_no_more_memory_than_was_agreed() {
    let module = instrument(&ladder(3_948, 132), &LIMITS).expect("a task").bytes;
    let with = |compiling_bytes| {
        let runner = compiling(&["compile", "quickly"]);
        runner.run(Job { compiling_bytes, ..job(module.clone()) }, |_| (), Stop::new()).outcome.end
    };
    let (little, enough) = (with(1 << 20), with(1 << 30));
    Attack::new("tasks", "memory", "a module that takes far more memory to compile than to run")
        .spent("69 kB")
        .lost("nothing: the host says that it cannot run it, and one with more memory does")
        .end(little == End::Memory && enough == End::Done);
}

#[test]
fn half_of_the_threads_compile_at_once() {
    let folder = std::env::temp_dir().join(format!("peeredge-compiling-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder of its own");
    let to = folder.clone();
    // Notes how many compile beside it, and takes its time.
    let program = move || {
        let mut command = Command::new("sh");
        let script = r#"touch "$1/at.$$"; ls "$1" | grep -c at >> "$1/seen"; sleep 0.2; rm "$1/at.$$"; exec "$2" compile"#;
        command.args(["-c", script, "sh"]).arg(&to).arg(PROGRAM);
        command
    };
    let runner = TaskRunner::with_compiler(4, program).expect("threads");
    let module = instrument(&ladder(1, 1), &LIMITS).expect("a task").bytes;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let end = runner.run(job(module.clone()), |_| (), Stop::new()).outcome.end;
                assert_eq!(end, End::Done);
            });
        }
    });
    let seen = std::fs::read_to_string(folder.join("seen")).expect("each noted it");
    let seen: Vec<u32> = seen.lines().map(|line| line.parse().expect("a number")).collect();
    std::fs::remove_dir_all(&folder).expect("it was there");
    assert_eq!((seen.len(), seen.iter().max()), (8, Some(&2)), "{seen:?}");
}
