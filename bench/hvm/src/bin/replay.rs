//! Does in wasmtime what `modules/record.mjs` recorded: for each trace in a folder one line of JSON with what came of its rewritten
//! module. `modules/replay.mjs` is the same for V8, and says what the events are.
use std::path::Path;
use std::sync::{Arc, Mutex};

use peeredge_hvm::{Limits, rewrite::rewrite};
use serde_json::Value;
use wasmtime::{
    AsContextMut, Caller, Engine, Extern, Func, Instance, Memory, MemoryType, Module, Ref, RefType, Result,
    Store, Table, TableType, Val, ValType,
};

const GAS: i64 = 1 << 60;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: replay FOLDER");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|path| path.extension().is_some_and(|of| of == "json"));
    files.sort();
    let engine = Engine::new(&peeredge_task_runner::config()).expect("wasmtime knows this machine");
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        match replay(&engine, &file) {
            Ok((results, gas, memory)) => {
                println!(r#"{{"id":"{name}","results":{results},"gas":"{gas}","memory":{memory}}}"#)
            }
            Err(error) => println!(r#"{{"id":"{name}","error":{}}}"#, Value::from(format!("{error:?}"))),
        }
    }
}

/// The trace, how far it is, and how much of it was met.
struct Tape {
    events: Vec<Value>,
    at: usize,
    results: usize,
    memory: Option<Memory>,
    instance: Option<Instance>,
}

type Shared = Arc<Mutex<Tape>>;

fn replay(engine: &Engine, file: &Path) -> Result<(usize, i64, u32)> {
    let trace: Value = serde_json::from_slice(&std::fs::read(file)?).map_err(wasmtime::Error::new)?;
    let original = std::fs::read(file.with_extension("wasm"))?;
    let limits = Limits { memory_pages: 16_384, ..Limits::default() };
    let rewritten = rewrite(&original, &limits).map_err(wasmtime::Error::new)?.bytes;
    let module = Module::new(engine, rewritten)?;
    let mut store = Store::new(engine, ());
    let events = trace["events"].as_array().cloned().unwrap_or_default();
    let tape: Shared = Arc::new(Mutex::new(Tape { events, at: 0, results: 0, memory: None, instance: None }));
    let mut imports: Vec<Extern> = Vec::new();
    for import in module.imports() {
        let key = format!("{}\0{}", import.module(), import.name());
        imports.push(match import.ty() {
            wasmtime::ExternType::Func(of) => {
                let tape = tape.clone();
                let results: Vec<ValType> = of.results().collect();
                Func::new(&mut store, of, move |mut caller: Caller<'_, ()>, _, given| {
                    let value = answer(&mut caller, &tape, &key)?;
                    for (given, of) in given.iter_mut().zip(&results) {
                        *given = val(&value, of);
                    }
                    Ok(())
                })
                .into()
            }
            wasmtime::ExternType::Memory(_) => {
                let pages = trace["importedMemory"].as_u64().unwrap_or(1) as u32;
                let memory = Memory::new(&mut store, MemoryType::new(pages, Some(32_768)))?;
                lock(&tape).memory = Some(memory);
                memory.into()
            }
            wasmtime::ExternType::Table(_) => {
                let elements = trace["importedTable"].as_u64().unwrap_or(0) as u32;
                Table::new(&mut store, TableType::new(RefType::FUNCREF, elements, None), Ref::Func(None))?
                    .into()
            }
            other => wasmtime::bail!("imports {other:?}"),
        });
    }
    let instance = Instance::new(&mut store, &module, &imports)?;
    {
        let own = instance.exports(&mut store).find_map(|export| export.clone().into_extern().into_memory());
        let mut tape = lock(&tape);
        tape.memory = tape.memory.or(own);
        tape.instance = Some(instance);
    }
    let gas = instance.get_global(&mut store, "peeredge:gas").expect("the rewrite exports it");
    gas.set(&mut store, Val::I64(GAS))?;
    if let Ok(start) = instance.get_typed_func::<(), ()>(&mut store, "peeredge:start") {
        start.call(&mut store, ())?;
    }
    loop {
        let is_over = {
            let tape = lock(&tape);
            tape.at >= tape.events.len()
        };
        if is_over {
            break;
        }
        call(&mut store, &tape)?;
    }
    let (results, memory) = {
        let tape = lock(&tape);
        (tape.results, tape.memory)
    };
    let digest = memory.map_or(0, |memory| digest(memory.data(&store)));
    Ok((results, GAS - gas.get(&mut store).unwrap_i64(), digest))
}

fn lock(tape: &Shared) -> std::sync::MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn next(tape: &Shared) -> (usize, Value) {
    let mut tape = lock(tape);
    tape.at += 1;
    (tape.at - 1, tape.events.get(tape.at - 1).cloned().unwrap_or_default())
}

fn call(mut store: impl AsContextMut<Data = ()>, tape: &Shared) -> Result<()> {
    let (at, event) = next(tape);
    apply(&mut store, tape, &event[3], &event[4])?;
    let name = event[1].as_str().unwrap_or_default();
    let instance = lock(tape).instance.expect("calls come after instantiation");
    let function = instance.get_func(&mut store, name).expect("the trace calls what is exported");
    let of = function.ty(&store);
    let args: Vec<Val> = of.params().enumerate().map(|(number, of)| val(&event[2][number], &of)).collect();
    let mut given: Vec<Val> = of.results().map(|of| val(&Value::Null, &of)).collect();
    let called = function.call(&mut store, &args, &mut given);
    let (_, left) = next(tape);
    match (called, left[0].as_str()) {
        (Ok(()), Some("leave")) => {
            if let Some(given) = given
                .first()
                .filter(|given| bits(given) != bits(&val(&left[1], &of.result(0).expect("it gives one"))))
            {
                wasmtime::bail!("event {at}: {name} gives {given:?}, not {}", left[1]);
            }
        }
        (Err(error), Some("trap")) if error.is::<wasmtime::Trap>() => {}
        (called, _) => wasmtime::bail!("event {at}: {name} comes to {called:?}, not {left}"),
    }
    lock(tape).results += 1;
    Ok(())
}

/// The host's part of a call out: what it was, other calls in, and the answer.
fn answer(caller: &mut Caller<'_, ()>, tape: &Shared, key: &str) -> Result<Value> {
    let (at, event) = next(tape);
    if event[0] != "import" || event[1] != key {
        wasmtime::bail!("event {at}: calls {key}, not {event}");
    }
    loop {
        let is_call = {
            let tape = lock(tape);
            tape.events.get(tape.at).is_some_and(|event| event[0] == "enter")
        };
        if !is_call {
            break;
        }
        call(&mut *caller, tape)?;
    }
    let (_, event) = next(tape);
    apply(caller, tape, &event[2], &event[3])?;
    Ok(event[1].clone())
}

/// What the host wrote.
fn apply(
    mut store: impl AsContextMut<Data = ()>,
    tape: &Shared,
    writes: &Value,
    pages: &Value,
) -> Result<()> {
    let Some(memory) = lock(tape).memory else { return Ok(()) };
    let has = memory.size(&store);
    let pages = pages.as_u64().unwrap_or(0);
    if pages > has {
        memory.grow(&mut store, pages - has)?;
    }
    for write in writes.as_array().into_iter().flatten() {
        let at = write[0].as_u64().unwrap_or(0) as usize;
        memory.write(&mut store, at, &base64(write[1].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn val(of: &Value, as_type: &ValType) -> Val {
    let text = of.as_str().map(|text| text.trim_end_matches('n'));
    let float = || {
        of.as_f64().or_else(|| text?.parse().ok()).unwrap_or(if text == Some("NaN") { f64::NAN } else { 0.0 })
    };
    let integer = || {
        of.as_i64()
            .or_else(|| text?.parse::<i128>().ok().map(|wide| wide as i64))
            .or_else(|| of.as_f64().map(|float| float as i64))
            .unwrap_or(0)
    };
    match as_type {
        ValType::I32 => Val::I32(integer() as i32),
        ValType::I64 => Val::I64(integer()),
        ValType::F32 => Val::F32((float() as f32).to_bits()),
        ValType::F64 => Val::F64(float().to_bits()),
        _ => Val::FuncRef(None),
    }
}

fn bits(of: &Val) -> u64 {
    match of {
        Val::I32(value) => *value as u32 as u64,
        Val::I64(value) => *value as u64,
        Val::F32(bits) => u64::from(*bits),
        Val::F64(bits) => *bits,
        _ => 0,
    }
}

/// FNV-1a over 32-bit words, as `replay.mjs` has it.
fn digest(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(4).fold(0x811c_9dc5, |sum, word| {
        (sum ^ u32::from_le_bytes(word.try_into().unwrap_or_default())).wrapping_mul(0x0100_0193)
    })
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let word = group.iter().fold(0_u32, |word, byte| word << 6 | u32::from(digit(*byte)))
            << (6 * (4 - group.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..][..group.len() * 6 / 8]);
    }
    bytes
}
