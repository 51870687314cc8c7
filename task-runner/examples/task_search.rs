//! `task_search COUNT SEED FOLDER [shapes]`: makes tasks up, rewrites, compiles and runs them; one line of JSON each, and the rewritten modules
//! in `FOLDER/modules.bin` (length, bytes) for other engines. `bench/task-attacks` compares. `shapes` are those that take long to compile.
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peeredge_hvm::{Limits, instrument};
use peeredge_task_runner::{From, Job, Stop, TaskRunner};

#[path = "../tests/attacks/made.rs"]
mod made;

const LIMITS: Limits = Limits { gas: 200_000_000, memory_pages: 1_024, output_bytes: 1_024 };

/// Time of this thread on a core, so that what else the machine does is not in it; where that is not told, time of the wall.
enum Cpu {
    Nanoseconds(u64),
    Wall(Instant),
}

impl Cpu {
    fn now() -> Cpu {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let used = told.and_then(|text| text.split(' ').next()?.parse().ok());
        used.map_or_else(|| Cpu::Wall(Instant::now()), Cpu::Nanoseconds)
    }

    fn elapsed_ms(&self) -> f64 {
        match (self, Cpu::now()) {
            (Cpu::Nanoseconds(before), Cpu::Nanoseconds(now)) => (now - before) as f64 / 1e6,
            (Cpu::Wall(began), _) => began.elapsed().as_secs_f64() * 1e3,
            _ => 0.0,
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [count, seed, folder, shapes @ ..] = args.as_slice() else {
        panic!("usage: task_search COUNT SEED FOLDER [shapes]")
    };
    let make = if shapes.is_empty() { made::made } else { made::shaped };
    let (count, seed): (u64, u64) = (count.parse().expect("a number"), seed.parse().expect("a number"));
    let mut modules = std::io::BufWriter::new(
        std::fs::File::create(format!("{folder}/modules.bin")).expect("the folder can be written to"),
    );
    let engine = wasmtime::Engine::new(&peeredge_task_runner::config()).expect("wasmtime knows this machine");
    let runner = TaskRunner::new(1).expect("threads");
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
        let began = Cpu::now();
        let compiled = wasmtime::Module::new(&engine, &rewritten.bytes).is_ok();
        let compile_ms = began.elapsed_ms();
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
        };
        let outcome = runner.run(job, |_| (), Stop::new()).outcome;
        let output: String = outcome.output.iter().map(|byte| format!("{byte:02x}")).collect();
        println!(
            r#"{{"seed":{number},"kind":"{kind}","bytes":{},"compiled":{compiled},"rewrite_ms":{rewrite_ms:.1},"compile_ms":{compile_ms:.1},"end":{},"gas":"{}","output":"{output}"}}"#,
            module.len(),
            outcome.end as u8,
            outcome.gas
        );
    }
    modules.flush().expect("there is room");
}
