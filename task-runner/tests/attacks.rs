//! Tasks that want a host to sign what is its own matter, to hold more than it agreed to, or never to hear again.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use peeredge_attacks::Attack;
use peeredge_hvm::{Checkpoint, End, Limits, instrument};
use peeredge_task_runner::{From, Job, Ran, Stop, TaskRunner};

#[path = "attacks/made.rs"]
mod made;

const LIMITS: Limits = Limits { gas: 200_000_000, memory_pages: 1_024, output_bytes: 1_024 };

fn job(rewritten: Vec<u8>) -> Job {
    Job {
        rewritten: Arc::from(rewritten),
        is_movable: true,
        from: From::Input(Arc::from([7_u8])),
        limits: LIMITS,
        deadline: Duration::from_secs(120),
        checkpoint_every_steps: 0,
        compiling_bytes: 1 << 30,
        spool: None,
    }
}

fn run(rewritten: Vec<u8>) -> Ran {
    TaskRunner::new(1).expect("threads").run(job(rewritten), |_| (), Stop::new())
}

/// What a rewritten module has, around a step of one's own.
fn as_rewritten(functions: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1)
          (global (export "peeredge:gas") (mut i64) (i64.const 0))
          (global (export "peeredge:stack") (mut i32) (i32.const 32768))
          (global (export "peeredge:host") (mut i32) (i32.const 0))
          {functions}
          (func (export "peeredge_input") (param i32) (result i32) (i32.const 1024))
          (func (export "peeredge_output") (result i64) (i64.const 0)))"#
    ))
    .expect("the test's own text is right")
}

#[test]
fn what_is_the_hosts_is_never_an_end_of_the_task() {
    let overflow = as_rewritten(
        r#"(func $f (param i64) (result i64) (i64.add (call $f (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
           (func (export "peeredge_step") (result i32) (drop (call $f (i64.const 0))) (i32.const 10000))"#,
    );
    let end = run(overflow).outcome.end;
    Attack::new("tasks", "tasks", "an overflow of the host's own stack, to be signed as a trap")
        .spent("1 task")
        .lost("nothing: the host says that it cannot run it")
        .end(end == End::Memory);

    let garbage = run(b"\0asm\x01\0\0\0no section".to_vec()).outcome.end;
    Attack::new("tasks", "tasks", "a module that this engine does not take, to be signed as a trap")
        .spent("1 task")
        .lost("nothing: the host says that it cannot run it")
        .end(garbage == End::Memory);
    // What the task does itself is still told apart.
    let trap = as_rewritten(r#"(func (export "peeredge_step") (result i32) unreachable)"#);
    assert_eq!(run(trap).outcome.end, End::Trap);
}

/// A short form of `npm run bench -- task-attacks`: the first seeds of each kind.
#[test]
fn made_up_tasks_end_by_what_is_counted_before_the_host_gives_out() {
    let runner = TaskRunner::new(1).expect("threads");
    let (mut runs, mut hosts) = (0, Vec::new());
    for (kind, _) in made::KINDS {
        for seed in 1..=3 {
            let module = made::of_kind(kind, seed);
            let Ok(rewritten) = instrument(&module, &LIMITS) else { continue };
            let end = runner.run(job(rewritten.bytes), |_| (), Stop::new()).outcome.end;
            runs += 1;
            if !end.is_of_task() {
                hosts.push((kind, seed, end));
            }
        }
    }
    Attack::new("tasks", "tasks", "frames that hold more than is counted, and modules that compile for long")
        .spent(format!("{runs} tasks"))
        .lost(format!("{} runs that ended by the host's stack or compiler: {hosts:?}", hosts.len()))
        .end(hosts.is_empty() && runs > 20);
}

#[test]
fn a_stop_is_heard_before_during_and_after_compiling() {
    let runner = TaskRunner::new(1).expect("threads");
    let stopped = Stop::new();
    stopped.now();
    let long = instrument(&made::of_kind("long", 9), &LIMITS).expect("it is accepted").bytes;
    let before = runner.run(job(long.clone()), |_| (), stopped).outcome.end;
    // Its deadline passes while it is compiled.
    let none = Job { deadline: Duration::ZERO, ..job(long) };
    let during = runner.run(none, |_| (), Stop::new()).outcome.end;
    let endless = as_rewritten(r#"(func (export "peeredge_step") (result i32) (loop (br 0)) unreachable)"#);
    let stop = Stop::new();
    let hand = stop.clone();
    let ended = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        hand.now();
    });
    let after = runner.run(job(endless), |_| (), stop).outcome.end;
    ended.join().expect("it only sleeps");
    Attack::new(
        "tasks",
        "stall",
        "a task that compiles for long or never ends, against its deadline and a stop",
    )
    .spent("3 tasks")
    .lost("nothing: the thread takes the next one")
    .end([before, during, after] == [End::Cancelled; 3]);
}

#[test]
fn checkpoints_wait_until_there_is_room_for_one() {
    let counting = wat::parse_str(
        r#"(module (memory (export "memory") 16) (global $n (mut i32) (i32.const 0))
          (func (export "peeredge_input") (param i32) (result i32) (i32.const 1024))
          (func (export "peeredge_step") (result i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (i32.mul (i32.eq (global.get $n) (i32.const 1000)) (i32.const 10000)))
          (func (export "peeredge_output") (result i64) (i64.const 0)))"#,
    )
    .expect("the test's own text is right");
    let rewritten = instrument(&counting, &LIMITS).expect("a task");
    let job = Job { checkpoint_every_steps: 1, is_movable: rewritten.is_movable, ..job(rewritten.bytes) };
    let runner = TaskRunner::new(1).expect("threads");
    let taken = Arc::new(AtomicUsize::new(0));
    let (counted, asked) = (taken.clone(), Arc::new(AtomicUsize::new(0)));
    let (send, receive) = std::sync::mpsc::channel();
    let told = asked.clone();
    runner.submit_with(
        job,
        move |progress| {
            let checkpoint: Option<Checkpoint> = progress.checkpoint;
            counted.fetch_add(usize::from(checkpoint.is_some()), Ordering::Relaxed);
        },
        move |bytes| {
            assert_eq!(bytes, 16 << 16);
            told.fetch_add(1, Ordering::Relaxed) % 400 == 0
        },
        Stop::new(),
        move |ran| drop(send.send(ran)),
    );
    let end = receive.recv().expect("it ends").outcome.end;
    let (taken, asked) = (taken.load(Ordering::Relaxed), asked.load(Ordering::Relaxed));
    Attack::new("tasks", "bursts", "a thousand steps, each with a checkpoint of a MiB")
        .spent("1 task")
        .lost(format!("{taken} MiB, of {asked} that were due"))
        .end(end == End::Done && taken == 3 && asked == 999);
}
