//! Runs of whole tasks: every end, the same gas whenever and wherever, and states that move.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peeredge_hvm::{Checkpoint, End, Limits, instrument};
use peeredge_task_runner::{From, Job, Progress, Ran, Spool, Stop, TaskRunner};

/// A task whose input lies at 1,024 and whose output is what lies there in the end.
fn task(functions: &str, step: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
          (memory (export "memory") 1 100)
          (global $length (mut i32) (i32.const 0))
          (global $done (mut i32) (i32.const 0))
          {functions}
          (func (export "peeredge_input") (param i32) (result i32)
            (global.set $length (local.get 0)) (i32.const 1024))
          (func (export "peeredge_step") (result i32) {step})
          (func (export "peeredge_output") (result i64)
            (i64.or (i64.const {}) (i64.extend_i32_u (global.get $length)))))"#,
        1024_i64 << 32
    );
    wat::parse_str(&text).expect("the test's own text is right")
}

fn job(module: &[u8], limits: Limits) -> Job {
    let rewritten = instrument(module, &limits).expect("a task");
    Job {
        rewritten: Arc::from(rewritten.bytes),
        is_movable: rewritten.is_movable,
        from: From::Input(Arc::from(*b"hello")),
        limits,
        deadline: Duration::from_secs(60),
        checkpoint_every_steps: 0,
        compiling_bytes: 1 << 30,
        spool: None,
    }
}

fn run(module: &[u8], limits: Limits) -> Ran {
    let runner = TaskRunner::new(1).expect("threads");
    runner.run(job(module, limits), |_| (), Stop::new())
}

const LIMITS: Limits = Limits { gas: 10_000_000, memory_pages: 10, output_bytes: 1_000 };

/// Counts to 100,000 in ten steps, and writes how far it is over the input.
fn counting() -> Vec<u8> {
    task(
        "",
        r#"(local $n i32)
           (loop $again
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))
           (global.set $done (i32.add (global.get $done) (i32.const 1000)))
           (i32.store (i32.const 1024) (global.get $done))
           (global.get $done)"#,
    )
}

#[test]
fn a_task_gives_its_output_and_twice_the_same_gas() {
    let ran = run(&counting(), LIMITS);
    assert_eq!(ran.outcome.end, End::Done);
    assert_eq!(ran.outcome.output, [0x10, 0x27, 0, 0, b'o']);
    // 100,000 passes of some operators each.
    assert!((500_000..1_500_000).contains(&ran.outcome.gas), "{}", ran.outcome.gas);
    assert_eq!(run(&counting(), LIMITS).outcome, ran.outcome);
}

#[test]
fn gas_runs_out_at_exactly_the_gas_that_is_needed() {
    let needed = run(&counting(), LIMITS).outcome.gas;
    let exact = Limits { gas: needed, ..LIMITS };
    assert_eq!(run(&counting(), exact).outcome.end, End::Done);
    let short = run(&counting(), Limits { gas: needed - 1, ..LIMITS }).outcome;
    assert_eq!((short.end, short.gas, short.output.len()), (End::OutOfGas, needed - 1, 0));
}

#[test]
fn what_a_task_does_wrong_ends_it_by_name() {
    for (functions, step, end) in [
        ("", "(loop (br 0)) (unreachable)", End::OutOfGas),
        ("", "unreachable", End::Trap),
        ("", "(i32.load (i32.const 65536))", End::Trap),
        ("", "(i32.div_u (i32.const 1) (i32.const 0))", End::Trap),
        ("", "(i32.const -1)", End::Trap),
        ("(func $deep (call $deep))", "(call $deep) (i32.const 10000)", End::Stack),
        ("", "(global.set $length (i32.const 1001)) (i32.const 10000)", End::Output),
        ("", "(global.set $length (i32.const 70000)) (i32.const 10000)", End::Output),
    ] {
        let ran = run(&task(functions, step), LIMITS);
        assert_eq!(ran.outcome.end, end, "{functions} {step}");
        assert!(ran.outcome.output.is_empty());
    }
}

#[test]
fn a_memory_bomb_gets_no_more_than_its_limit() {
    let bomb = task(
        "",
        r#"(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
           (i32.store (i32.const 1024) (memory.size)) (i32.const 10000)"#,
    );
    let ran = run(&bomb, LIMITS);
    assert_eq!((ran.outcome.end, ran.outcome.output[0]), (End::Done, 10));
}

#[test]
fn every_task_can_be_cancelled_and_has_a_deadline() {
    let endless = task("", "(loop (br 0)) (unreachable)");
    let limits = Limits { gas: Limits::GAS_MAX, ..LIMITS };
    let deadline = Job { deadline: Duration::from_millis(50), ..job(&endless, limits) };
    let runner = TaskRunner::new(1).expect("threads");
    assert_eq!(runner.run(deadline, |_| (), Stop::new()).outcome.end, End::Cancelled);

    let stop = Stop::new();
    let (send, ended) = std::sync::mpsc::channel();
    runner.submit(job(&endless, limits), |_| (), stop.clone(), move |ran| drop(send.send(ran)));
    stop.now();
    assert_eq!(ended.recv().expect("it ends").outcome.end, End::Cancelled);
}

#[test]
fn a_task_moves_from_a_checkpoint_and_ends_with_the_same_output_and_gas() {
    let whole = run(&counting(), LIMITS).outcome;
    let runner = TaskRunner::new(1).expect("threads");

    // Paused after its first step, as a tab that is to be closed would be.
    let stop = Stop::new();
    stop.at_step();
    let first = runner.run(job(&counting(), LIMITS), |_| (), stop);
    assert_eq!(first.outcome.end, End::Paused);
    let state = first.checkpoint.expect("paused with a state");
    assert_eq!(state.steps, 1);
    let sent = Checkpoint::decode(&state.encode(), LIMITS.memory_pages).expect("its own bytes");
    let second = Job { from: From::Checkpoint(Box::new(sent)), ..job(&counting(), LIMITS) };
    assert_eq!(runner.run(second, |_| (), Stop::new()).outcome, whole);

    // From any of those that were taken on the way, as after a crash.
    let states: Arc<Mutex<Vec<Checkpoint>>> = Arc::default();
    let kept = states.clone();
    let keep = move |progress: Progress| kept.lock().expect("no panics").extend(progress.checkpoint);
    let watched = Job { checkpoint_every_steps: 3, ..job(&counting(), LIMITS) };
    assert_eq!(runner.run(watched.clone(), keep, Stop::new()).outcome, whole);
    let states = states.lock().expect("no panics").clone();
    assert_eq!(states.iter().map(|state| state.steps).collect::<Vec<_>>(), [3, 6, 9]);
    for state in states {
        let resumed = Job { from: From::Checkpoint(Box::new(state)), ..watched.clone() };
        assert_eq!(runner.run(resumed, |_| (), Stop::new()).outcome, whole);
    }
}

#[test]
fn a_checkpoint_of_another_task_ends_in_an_error() {
    let state = Checkpoint { steps: 1, gas: 5, globals: vec![1], memory: vec![0; 65_536] };
    let foreign = Job { from: From::Checkpoint(Box::new(state)), ..job(&counting(), LIMITS) };
    let runner = TaskRunner::new(1).expect("threads");
    assert_eq!(runner.run(foreign, |_| (), Stop::new()).outcome.end, End::Memory);
}

#[test]
fn nans_are_the_same_number_everywhere() {
    let module = task(
        "(global $zero (mut f32) (f32.const 0)) (global $minus (mut f64) (f64.const -1))",
        r#"(f32.store (i32.const 1024) (f32.div (global.get $zero) (global.get $zero)))
           (i32.store8 (i32.const 1028)
             (i32.wrap_i64 (i64.shr_u (i64.reinterpret_f64 (f64.sqrt (global.get $minus))) (i64.const 56))))
           (i32.const 10000)"#,
    );
    // The positive quiet NaN: fresh ones are negative on x86.
    assert_eq!(run(&module, LIMITS).outcome.output, [0, 0, 0xc0, 0x7f, 0x7f]);
}

#[test]
fn a_start_function_and_initialize_run_first_and_are_charged() {
    let bytes = wat::parse_str(
        r#"(module
          (memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
          (func $start (global.set $n (i32.const 7)))
          (start $start)
          (func (export "_initialize") (i32.store8 (i32.const 0) (global.get $n)))
          (func (export "peeredge_input") (param i32) (result i32) (i32.const 100))
          (func (export "peeredge_step") (result i32) (i32.const 10000))
          (func (export "peeredge_output") (result i64) (i64.const 1)))"#,
    )
    .expect("the test's own text is right");
    let outcome = run(&bytes, LIMITS).outcome;
    assert_eq!((outcome.end, outcome.output), (End::Done, vec![7]));
    assert!(outcome.gas > 0);
}

/// A loop that counts its passes into the output, with a counter from `start` by `step` until `until`.
fn counted(start: i32, step: i32, until: &str, condition: &str) -> Vec<u8> {
    task(
        "",
        &format!(
            r#"(local $i i32) (local $end i32)
               (local.set $i (i32.const {start})) (local.set $end (i32.const {until}))
               (loop $again
                 (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
                 (local.set $i (i32.add (local.get $i) (i32.const {step})))
                 (br_if $again {condition}))
               (i32.const 10000)"#
        ),
    )
}

#[test]
fn loops_whose_passes_are_known_are_charged_for_exactly_those() {
    let limits = Limits { gas: 1 << 40, ..LIMITS };
    let zeros = |module: &[u8]| Job { from: From::Input(Arc::from([0; 4])), ..job(module, limits) };
    let runner = TaskRunner::new(1).expect("threads");
    let mut points = Vec::new();
    for (start, step, until, condition) in [
        (7, -1, "0", "(local.get $i)"),
        (-48, 8, "0", "(local.get $i)"),
        (-5, 1, "100", "(i32.ne (local.get $i) (local.get $end))"),
        (1_000, -4, "-24", "(i32.ne (local.get $i) (local.get $end))"),
        (3, 1, "4", "(i32.ne (local.get $i) (i32.const 4))"),
        // All the way around.
        (16, 65_536, "16", "(i32.ne (local.get $i) (local.get $end))"),
    ] {
        let outcome = runner.run(zeros(&counted(start, step, until, condition)), |_| (), Stop::new()).outcome;
        assert_eq!(outcome.end, End::Done, "{start} {step} {until}");
        let passes = u32::from_le_bytes(outcome.output.try_into().expect("four bytes"));
        let is_local = condition.contains("$end");
        points.push((is_local || condition.contains("const 4"), u64::from(passes), outcome.gas));
    }
    assert_eq!(points.iter().map(|point| point.1).collect::<Vec<_>>(), [7, 6, 105, 256, 1, 65_536]);
    for kind in [false, true] {
        let of_kind: Vec<_> = points.iter().filter(|point| point.0 == kind).collect();
        let per_pass =
            (of_kind[1].2 as i64 - of_kind[0].2 as i64) / (of_kind[1].1 as i64 - of_kind[0].1 as i64);
        for point in &of_kind {
            let expected = of_kind[0].2 as i64 + per_pass * (point.1 as i64 - of_kind[0].1 as i64);
            assert_eq!(point.2 as i64, expected, "{point:?}");
        }
    }
    // Three is never a multiple of two away from zero.
    let endless = counted(3, -2, "0", "(local.get $i)");
    let forever = Job { limits: Limits { gas: Limits::GAS_MAX, ..limits }, ..zeros(&endless) };
    assert_eq!(runner.run(forever, |_| (), Stop::new()).outcome.end, End::OutOfGas);
}

/// A loop with a float in it that is left where its counter is what the input says, where it is odd, or in the end by `back`.
fn searching(until: i32, back: &str) -> Vec<u8> {
    task(
        "",
        &format!(
            r#"(local $i i32) (local $end i32)
               (local.set $end (i32.const {until}))
               (block $out
                 (loop $again
                   (br_if $out (i32.eq (local.get $i) (i32.load (i32.const 1024))))
                   (f64.store (i32.const 1040) (f64.add (f64.load (i32.const 1040)) (f64.const 1)))
                   (block $odd
                     (br_if $odd (i32.and (local.get $i) (i32.const 1)))
                     {back})
                   (i32.store (i32.const 1032) (i32.const 1))))
               (i32.const 10000)"#
        ),
    )
}

#[test]
fn a_loop_that_may_be_left_early_costs_what_it_ran_whether_or_not_all_its_passes_could_be_paid() {
    let runner = TaskRunner::new(1).expect("threads");
    let run = |module: &[u8], leave_at: i32, gas: u64| {
        let input = From::Input(Arc::from(leave_at.to_le_bytes()));
        let job = Job { from: input, ..job(module, Limits { gas, ..LIMITS }) };
        runner.run(job, |_| (), Stop::new()).outcome
    };
    for step in [2, -2, 1] {
        let moved = format!("(local.tee $i (i32.add (local.get $i) (i32.const {step})))");
        for back in [
            format!("(br_if $out (i32.eq {moved} (local.get $end))) (br $again)"),
            format!("(br_if $out (i32.eq (local.get $end) {moved})) (br $again)"),
            format!("(br_if $again (i32.ne {moved} (local.get $end))) (br $out)"),
        ] {
            let module = searching(100 * step, &back);
            let mut costs = Vec::new();
            for passes in [0, 1, 2, 57, 99, 100] {
                let leave_at = passes * step;
                let outcome = run(&module, leave_at, Limits::GAS_MAX);
                assert_eq!(outcome.end, End::Done, "{back} {passes}");
                let exact = run(&module, leave_at, outcome.gas);
                assert_eq!((exact.end, exact.gas), (End::Done, outcome.gas), "{back} {passes}");
                assert_eq!(run(&module, leave_at, outcome.gas - 1).end, End::OutOfGas, "{back} {passes}");
                costs.push((passes as u64, outcome.gas));
            }
            if step == 1 {
                // The second pass leaves where the counter is odd.
                assert_eq!(costs[2].1, costs[5].1);
                continue;
            }
            let pass = costs[1].1 - costs[0].1;
            for (passes, gas) in &costs[..5] {
                assert_eq!(*gas, costs[0].1 + passes * pass, "{back} {passes}");
            }
        }
    }
}

#[test]
fn a_large_input_and_output_pass_through_files() {
    let echo = wat::parse_str(
        r#"(module (memory (export "memory") 1 10) (global $length (mut i32) (i32.const 0))
          (func (export "peeredge_input") (param i32) (result i32) (global.set $length (local.get 0)) (i32.const 8))
          (func (export "peeredge_step") (result i32) (i32.const 10000))
          (func (export "peeredge_output") (result i64)
            (i64.or (i64.const 34359738368) (i64.extend_i32_u (global.get $length)))))"#,
    )
    .expect("the test's own text is right");
    let limits = Limits { output_bytes: 60_000, ..LIMITS };
    let bytes: Vec<u8> = (0..50_000_u32).map(|i| (i % 251) as u8).collect();
    let folder = std::env::temp_dir().join(format!("peeredge-spool-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder of its own");
    let (input, path) = (folder.join("input"), folder.join("output"));
    let runner = TaskRunner::new(1).expect("threads");
    let through = |bytes: &[u8], path: &std::path::Path| {
        std::fs::write(&input, bytes).expect("there is room");
        let file = std::fs::File::open(&input).expect("it was written");
        let spool = Some(Spool { above: 1_000, path: path.to_owned() });
        let job = Job { from: From::File(Arc::new(file)), spool, ..job(&echo, limits) };
        runner.run(job, |_| (), Stop::new())
    };
    let large = through(&bytes, &path);
    assert_eq!((large.outcome.end, large.spooled), (End::Done, Some(50_000)));
    assert!(large.outcome.output.is_empty());
    assert_eq!(std::fs::read(&path).expect("it was spooled"), bytes);
    let small = through(&bytes[..1_000], &folder.join("none"));
    assert_eq!((small.outcome.end, small.spooled), (End::Done, None));
    assert_eq!(small.outcome.output, bytes[..1_000]);
    assert!(!folder.join("none").exists());
    // A file that cannot be written is the host's matter.
    let nowhere = through(&bytes, &folder.join("no/folder"));
    assert_eq!((nowhere.outcome.end, nowhere.spooled), (End::Memory, None));
    // An input beyond the task's memory is the task's.
    let beyond = through(&vec![1; 200_000], &folder.join("beyond"));
    assert_eq!(beyond.outcome.end, End::Output);
    std::fs::remove_dir_all(&folder).expect("it was there");
}
