//! `peeredge run` and `peeredge work` as real processes around a real relay.
mod support;

use peeredge_node::{Config, Input, Node, Output, TaskInput};
use peeredge_relay::peer::{Driver, Endpoint, Parts, RelayLink};
use peeredge_wire::relay::{Blob, TaskFromRelay, TaskOf};
use std::process::{Child, Stdio};
use support::{Folder, Relay, command, run, text, wait_for};

/// Adds up its input's bytes, one a step, and puts the sum out; an input of one 255 never ends, an empty one traps, and one that begins
/// with 7 takes about a millisecond a step.
const SUM: &str = r#"(module
  (memory (export "memory") 2 8)
  (global $length (mut i32) (i32.const 0))
  (global $done (mut i32) (i32.const 0))
  (func (export "peeredge_input") (param i32) (result i32) (global.set $length (local.get 0)) (i32.const 1024))
  (func (export "peeredge_step") (result i32) (local $rounds i32)
    (if (i32.eqz (global.get $length)) (then (unreachable)))
    (if (i32.and (i32.eq (global.get $length) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 255)))
      (then (loop $again (br $again))))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 7))
      (then (loop $more
        (local.set $rounds (i32.add (local.get $rounds) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $rounds) (i32.const 2000000))))))
    (i32.store (i32.const 16)
      (i32.add (i32.load (i32.const 16)) (i32.load8_u (i32.add (i32.const 1024) (global.get $done)))))
    (global.set $done (i32.add (global.get $done) (i32.const 1)))
    (i32.div_u (i32.mul (global.get $done) (i32.const 10000)) (global.get $length)))
  (func (export "peeredge_output") (result i64) (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 4))))"#;

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stage(flags: &[&str], workers: usize) -> (Folder, Relay, Vec<Worker>) {
    let folder = Folder::new("tasks");
    std::fs::write(folder.path("sum.wasm"), wat::parse_str(SUM).unwrap()).unwrap();
    let relay = Relay::start(&folder.path("data"), flags);
    let work = |_| {
        let words = ["work", "--relay", &relay.url(), "--slots", "1"];
        let words: Vec<&str> = words.to_vec();
        Worker(command(&words).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    };
    let workers = (0..workers).map(work).collect();
    (folder, relay, workers)
}

fn ask(folder: &Folder, relay: &Relay, input: &[u8], flags: &[&str]) -> std::process::Output {
    let (module, file) = (folder.path("sum.wasm"), folder.path("input"));
    std::fs::write(&file, input).unwrap();
    let url = relay.url();
    let mut words = vec!["run", module.to_str().unwrap(), "--input", file.to_str().unwrap(), "--relay", &url];
    words.extend(flags);
    run(&words)
}

#[test]
fn two_workers_agree_on_a_result_and_the_caller_is_told_who() {
    let (folder, relay, _workers) = stage(&["--task-slots", "0"], 2);
    let done = ask(&folder, &relay, &[100; 1000], &["--replicas", "2"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert_eq!(done.stdout, 100_000u32.to_le_bytes());
    assert!(says.contains("4 bytes") && says.contains("2 runs, agreed"), "{says}");
}

#[test]
fn a_large_input_and_module_travel_as_contents() {
    let (folder, relay, _workers) = stage(&["--task-slots", "0"], 1);
    let done = ask(&folder, &relay, &[1; 100_000], &["--replicas", "1"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(done.stdout, 100_000u32.to_le_bytes());
}

#[test]
fn a_task_that_ends_in_an_error_says_how_and_one_that_is_none_is_refused_before_anyone_sees_it() {
    let (folder, relay, _workers) = stage(&["--task-slots", "0"], 1);
    let trap = ask(&folder, &relay, &[], &["--replicas", "1"]);
    assert_eq!(trap.status.code(), Some(5));
    assert!(text(&trap.stderr).contains("the task ended: trap"), "{}", text(&trap.stderr));
    let endless = ask(&folder, &relay, &[255], &["--replicas", "1", "--gas", "10000000"]);
    assert_eq!(endless.status.code(), Some(5));
    assert!(text(&endless.stderr).contains("out of gas, after 10000000 gas"), "{}", text(&endless.stderr));
    std::fs::write(folder.path("sum.wasm"), b"no module").unwrap();
    let none = ask(&folder, &relay, &[1], &[]);
    assert_eq!(none.status.code(), Some(4), "{}", text(&none.stderr));
}

#[test]
fn a_worker_that_is_killed_changes_nothing_but_who_does_the_work() {
    let (folder, relay, mut workers) = stage(&["--task-slots", "0"], 1);
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&folder, &relay, &[100; 1000], &["--replicas", "2"]));
        wait_for("the task to be under way", || {
            relay.metric("peeredge_tasks").is_some_and(|tasks| tasks > 0.0)
        });
        workers.clear();
        for _ in 0..2 {
            let words = ["work", "--relay", &relay.url(), "--slots", "1"];
            let child = command(&words).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            workers.push(Worker(child));
        }
        asking.join().unwrap()
    });
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    assert_eq!(asked.stdout, 100_000u32.to_le_bytes());
}

#[test]
fn a_task_in_steps_goes_on_from_the_checkpoint_that_its_submitter_kept() {
    let (folder, relay, mut workers) = stage(&["--task-slots", "0"], 1);
    let flags = ["--replicas", "1", "--checkpoint-steps", "100"];
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&folder, &relay, &[7; 5_000], &flags));
        wait_for("a checkpoint to be kept", || {
            relay.metric("peeredge_task_checkpoints_kept_total").is_some_and(|kept| kept > 0.0)
        });
        workers.clear();
        let words = ["work", "--relay", &relay.url(), "--slots", "1"];
        workers.push(Worker(command(&words).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()));
        asking.join().unwrap()
    });
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    assert_eq!(asked.stdout, 35_000u32.to_le_bytes());
    assert_eq!(relay.metric("peeredge_task_leases_resumed_total"), Some(1.0));
}

/// A worker that puts out the same four bytes whatever it is asked.
fn lie(relay: &Relay) {
    let relay: Endpoint = relay.url().parse().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut config = Config::new([7; 32], 7);
            config.relay_authority = relay.proved();
            let node = Node::new(config);
            let parts = Parts::new(node, RelayLink::Remote(relay));
            let mut handle = Driver::spawn(parts).unwrap();
            let say = |task| drop(handle.inputs.send(Input::Task(task)));
            say(TaskInput::Offer { slots: 1, memory_pages: 1_024, whose: TaskOf::Anybody });
            while let Some(told) = handle.told.recv().await {
                if let Output::Task(TaskFromRelay::Lease { lease, .. }) = told {
                    let output = Blob::Inline(b"lies".to_vec());
                    let output_hash = *blake3::hash(b"lies").as_bytes();
                    say(TaskInput::Answer { lease, end: 0, gas: 1_000, output, output_hash });
                }
            }
        });
    });
}

#[test]
fn the_relay_itself_decides_between_workers_that_disagree() {
    let (folder, relay, _workers) = stage(&[], 1);
    lie(&relay);
    wait_for("both to be at the relay", || {
        relay.metric("peeredge_task_workers").is_some_and(|workers| workers >= 2.0)
    });
    let done = ask(&folder, &relay, &[100; 1000], &["--replicas", "2"]);
    let says = text(&done.stderr);
    assert!(done.status.success(), "{says}");
    assert_eq!(done.stdout, 100_000u32.to_le_bytes());
    assert!(says.contains("decided by the relay"), "{says}");
    assert_eq!(relay.metric("peeredge_task_workers_exposed_total"), Some(1.0), "it was a dispute");
}
