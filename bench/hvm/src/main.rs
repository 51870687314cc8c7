//! Times workloads in wasmtime, the module as it is beside the rewritten one, and that as a host runs it, which can be interrupted; and how
//! fast the rewrite is. Prints a line of JSON a workload: `{"name":…,"original_ms":…,"rewritten_ms":…,"host_ms":…,"gas":…,"result":…}`;
//! last, one of the rewrite.
use std::time::Instant;

use peeredge_hvm::{Limits, rewrite::rewrite};
use wasmtime::{Engine, Instance, Module, Store, TypedFunc, Val};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, rounds, work @ ..] = &args[..] else {
        eprintln!("usage: peeredge-bench-hvm MODULE ROUNDS NAME=N...");
        std::process::exit(2);
    };
    let original = std::fs::read(module).expect("the module is there");
    let rounds: usize = rounds.parse().expect("a number of rounds");
    let limits = Limits { memory_pages: 16_384, ..Limits::default() };
    let rewritten = rewrite(&original, &limits).expect("the workloads can be rewritten").bytes;

    let engine = Engine::new(&peeredge_task_runner::config()).expect("wasmtime knows this machine");
    // As native hosts run tasks: every loop and function asks whether the run is to stop.
    let host = Engine::new(peeredge_task_runner::config().epoch_interruption(true)).expect("as before");
    let mut sides =
        [Side::new(&engine, &original), Side::new(&engine, &rewritten), Side::new(&host, &rewritten)];
    let compile_ms = sides.each_ref().map(|side| side.compile_ms);
    for work in work {
        let (name, n) = work.split_once('=').expect("NAME=N");
        let n: u32 = n.parse().expect("a number");
        let mut times = [const { Vec::new() }; 3];
        let mut results = [0; 3];
        for _ in 0..rounds {
            for (side, (times, result)) in sides.iter_mut().zip(times.iter_mut().zip(&mut results)) {
                let (ms, given) = side.time(name, n);
                times.push(ms);
                *result = given;
            }
        }
        assert!(results.iter().all(|result| *result == results[0]), "{name}: all give the same");
        let [original, rewritten, host] = times.map(|times| times.into_iter().fold(f64::INFINITY, f64::min));
        let gas = sides[1].gas(name, n);
        println!(
            r#"{{"name":"{name}","original_ms":{original:.3},"rewritten_ms":{rewritten:.3},"host_ms":{host:.3},"gas":{gas},"result":"{}"}}"#,
            results[0] as u64
        );
    }
    let began = Instant::now();
    let times = 20;
    for _ in 0..times {
        std::hint::black_box(rewrite(&original, &limits).expect("as before"));
    }
    let mb_per_s = f64::from(times) * original.len() as f64 / 1e6 / began.elapsed().as_secs_f64();
    println!(
        r#"{{"rewrite_mb_per_s":{mb_per_s:.2},"original_bytes":{},"rewritten_bytes":{},"compile_ms":[{:.1},{:.1}]}}"#,
        original.len(),
        rewritten.len(),
        compile_ms[0],
        compile_ms[1]
    );
}

/// A module, instantiated anew for every run, as tasks are.
struct Side {
    module: Module,
    compile_ms: f64,
}

impl Side {
    fn new(engine: &Engine, bytes: &[u8]) -> Self {
        let began = Instant::now();
        let module = Module::new(engine, bytes).expect("it compiles");
        Side { module, compile_ms: began.elapsed().as_secs_f64() * 1e3 }
    }

    fn start(&self) -> (Store<()>, Instance) {
        let mut store = Store::new(self.module.engine(), ());
        // Never reached here; without epochs it says nothing.
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &self.module, &[]).expect("it has no imports");
        if let Some(gas) = instance.get_global(&mut store, "peeredge:gas") {
            gas.set(&mut store, Val::I64(1 << 60)).expect("a mutable i64");
        }
        (store, instance)
    }

    fn time(&self, name: &str, n: u32) -> (f64, i64) {
        let (mut store, instance) = self.start();
        let run: TypedFunc<i32, i64> = instance.get_typed_func(&mut store, name).expect("a workload's name");
        let began = Instant::now();
        let result = run.call(&mut store, n as i32).expect("workloads do not trap");
        (began.elapsed().as_secs_f64() * 1e3, result)
    }

    fn gas(&self, name: &str, n: u32) -> i64 {
        let (mut store, instance) = self.start();
        let run: TypedFunc<i32, i64> = instance.get_typed_func(&mut store, name).expect("a workload's name");
        run.call(&mut store, n as i32).expect("workloads do not trap");
        let gas = instance.get_global(&mut store, "peeredge:gas").expect("it is rewritten");
        (1 << 60) - gas.get(&mut store).unwrap_i64()
    }
}
