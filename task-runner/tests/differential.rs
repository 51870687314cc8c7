//! Modules that wasm-smith makes up: the rewrite never panics, what it makes is valid, and it runs as the original does, in two engines
//! that share no code, with the same gas, out of gas at the same point.
use peeredge_hvm::Limits;
use peeredge_hvm::rewrite::rewrite;
use wasm_smith::{Config, Module};

const MODULES: u64 = 150;
const GAS: i64 = 200_000;

/// What every exported function came to, and what is left in memory and gas.
#[derive(Clone, Debug, PartialEq)]
struct Came {
    /// `None` where it trapped.
    results: Vec<Option<Vec<u64>>>,
    gas: Vec<i64>,
    is_deep: bool,
    memory: Option<Vec<u8>>,
}

fn bytes(mut state: u64) -> Vec<u8> {
    (0..2_048)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

fn config() -> Config {
    Config {
        allow_start_export: false,
        bulk_memory_enabled: true,
        canonicalize_nans: false,
        exceptions_enabled: false,
        export_everything: true,
        gc_enabled: false,
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 1 << 20,
        max_tables: 2,
        memory64_enabled: false,
        min_funcs: 2,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: true,
        tail_call_enabled: false,
        threads_enabled: false,
        ..Config::default()
    }
}

fn number(value: &wasmtime::Val) -> u64 {
    match value {
        wasmtime::Val::I32(value) => *value as u32 as u64,
        wasmtime::Val::I64(value) => *value as u64,
        wasmtime::Val::F32(bits) => u64::from(*bits),
        wasmtime::Val::F64(bits) => *bits,
        wasmtime::Val::V128(bits) => {
            let bits = bits.as_u128();
            (bits as u64) ^ ((bits >> 64) as u64).rotate_left(1)
        }
        _ => 0,
    }
}

/// Runs every export without arguments that are not zero; `gas` is `None` for a module as it is.
fn in_wasmtime(engine: &wasmtime::Engine, module: &[u8], gas: Option<i64>) -> Option<Came> {
    use wasmtime::{Extern, Instance, Module, Store, Val, ValType};
    let module = Module::new(engine, module).expect("a valid module compiles");
    let mut store = Store::new(engine, ());
    if gas.is_none() {
        // The original may loop for ever.
        store.set_fuel(2_000_000).expect("fuel is counted");
    } else {
        store.set_fuel(u64::MAX).expect("fuel is counted");
    }
    let instance = Instance::new(&mut store, &module, &[]).ok()?;
    let mut exports: Vec<(String, Extern)> = instance
        .exports(&mut store)
        .map(|export| (export.name().to_string(), export.clone().into_extern()))
        .collect();
    // Each engine has an order of its own, and a call may see what the one before left.
    exports.sort_by(|one, other| one.0.cmp(&other.0));
    let global = |name: &str| {
        exports.iter().find(|(other, _)| other == name).and_then(|(_, of)| of.clone().into_global())
    };
    let (gas_left, stack) = (global("peeredge:gas"), global("peeredge:stack"));
    let mut came = Came { results: Vec::new(), gas: Vec::new(), is_deep: false, memory: None };
    for (name, of) in &exports {
        let Some(function) = of.clone().into_func() else { continue };
        if name.starts_with("peeredge:") {
            continue;
        }
        if let (Some(left), Some(gas)) = (&gas_left, gas) {
            left.set(&mut store, Val::I64(gas)).expect("its own type");
        }
        let of = function.ty(&store);
        let args: Vec<Val> = of
            .params()
            .map(|of| match of {
                ValType::I32 => Val::I32(3),
                ValType::I64 => Val::I64(5),
                ValType::F32 => Val::F32(1.5_f32.to_bits()),
                ValType::F64 => Val::F64(f64::NAN.to_bits()),
                ValType::V128 => Val::V128(7_u128.into()),
                _ => Val::FuncRef(None),
            })
            .collect();
        let mut results = vec![Val::I32(0); of.results().len()];
        let called = function.call(&mut store, &args, &mut results);
        let is_over = called.as_ref().err().and_then(|error| error.downcast_ref::<wasmtime::Trap>())
            == Some(&wasmtime::Trap::OutOfFuel);
        came.results.push(called.is_ok().then(|| results.iter().map(number).collect()));
        if is_over {
            return None;
        }
        if let Some(left) = &gas_left {
            came.gas.push(left.get(&mut store).unwrap_i64());
        }
        if let Some(stack) = &stack {
            came.is_deep |= stack.get(&mut store).unwrap_i32() < 0;
            // A trap leaves frames counted; every run has a fresh instance, so here they are given back.
            stack.set(&mut store, Val::I32(32_768)).expect("its own type");
        }
    }
    let memory = exports.iter().find_map(|(_, of)| of.clone().into_memory());
    came.memory = memory.map(|memory| memory.data(&store).to_vec());
    Some(came)
}

fn in_wasmi(engine: &wasmi::Engine, module: &[u8], gas: i64) -> Option<Came> {
    use wasmi::{Extern, Module, Store, Val, ValType};
    let module = Module::new(engine, module).expect("a valid module compiles");
    let mut store = Store::new(engine, ());
    let instance = wasmi::Linker::<()>::new(engine).instantiate_and_start(&mut store, &module).ok()?;
    let mut exports: Vec<(String, Extern)> =
        instance.exports(&store).map(|export| (export.name().to_string(), export.into_extern())).collect();
    exports.sort_by(|one, other| one.0.cmp(&other.0));
    let global =
        |name: &str| exports.iter().find(|(other, _)| other == name).and_then(|(_, of)| of.into_global());
    let (left, stack) = (global("peeredge:gas")?, global("peeredge:stack")?);
    let mut came = Came { results: Vec::new(), gas: Vec::new(), is_deep: false, memory: None };
    for (name, of) in &exports {
        let Some(function) = of.into_func() else { continue };
        if name.starts_with("peeredge:") {
            continue;
        }
        left.set(&mut store, Val::I64(gas)).expect("its own type");
        let of = function.ty(&store);
        let args: Vec<Val> = of
            .params()
            .iter()
            .map(|of| match of {
                ValType::I32 => Val::I32(3),
                ValType::I64 => Val::I64(5),
                ValType::F32 => Val::F32(1.5_f32.into()),
                ValType::F64 => Val::F64(f64::NAN.into()),
                ValType::V128 => Val::V128(7_u128.into()),
                _ => Val::default_for_ty(ValType::FuncRef),
            })
            .collect();
        let mut results: Vec<Val> = of.results().iter().map(|of| Val::default_for_ty(*of)).collect();
        let called = function.call(&mut store, &args, &mut results);
        came.results.push(called.is_ok().then(|| {
            results
                .iter()
                .map(|value| match value {
                    Val::I32(value) => *value as u32 as u64,
                    Val::I64(value) => *value as u64,
                    Val::F32(value) => u64::from(value.to_bits()),
                    Val::F64(value) => value.to_bits(),
                    Val::V128(value) => {
                        let bits = value.as_u128();
                        (bits as u64) ^ ((bits >> 64) as u64).rotate_left(1)
                    }
                    _ => 0,
                })
                .collect()
        }));
        came.gas.push(left.get(&store).i64().expect("its own type"));
        came.is_deep |= stack.get(&store).i32().expect("its own type") < 0;
        stack.set(&mut store, Val::I32(32_768)).expect("its own type");
    }
    let memory = exports.iter().find_map(|(_, of)| of.into_memory());
    came.memory = memory.map(|memory| memory.data(&store).to_vec());
    Some(came)
}

#[test]
fn made_up_modules_run_as_before_and_with_the_same_gas_in_both_engines() {
    // Compiled code may use more stack than a test's thread has.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(compare_all).expect("a thread");
    thread.join().expect("both engines agree");
}

fn compare_all() {
    let mut settings = peeredge_task_runner::config();
    settings.consume_fuel(true);
    let fueled = wasmtime::Engine::new(&settings).expect("wasmtime knows this machine");
    // What the original's arithmetic gives for a NaN is its host's choice; this host chooses as the rewrite does.
    let mut settings = peeredge_task_runner::config();
    settings.consume_fuel(true).cranelift_nan_canonicalization(true);
    let canonical = wasmtime::Engine::new(&settings).expect("wasmtime knows this machine");
    let mut settings = wasmi::Config::default();
    settings.set_max_recursion_depth(100_000).set_max_stack_height(64 << 20);
    let wasmi = wasmi::Engine::new(&settings);
    let limits = Limits { memory_pages: 16, ..Limits::default() };
    let (mut compared, mut finished, mut out_of_gas) = (0, 0, 0);
    for seed in 0..MODULES {
        let noise = bytes(seed);
        let mut source = arbitrary::Unstructured::new(&noise);
        let Ok(module) = Module::new(config(), &mut source) else { continue };
        let original = module.to_bytes();
        let rewritten = match rewrite(&original, &limits) {
            Ok(rewritten) => rewritten.bytes,
            Err(refused) => {
                // Only what is too large for a host; wasm-smith was told to leave out the rest.
                assert!(
                    !matches!(refused.reason, peeredge_hvm::rewrite::Reason::Feature(_)),
                    "seed {seed}: {refused}"
                );
                continue;
            }
        };
        assert!(
            rewritten.len() < 16 * original.len() + 65_536,
            "seed {seed}: {} from {}",
            rewritten.len(),
            original.len()
        );
        let Some(one) = in_wasmtime(&fueled, &rewritten, Some(GAS)) else { continue };
        let Some(other) = in_wasmi(&wasmi, &rewritten, GAS) else {
            panic!("seed {seed}: only one engine takes it")
        };
        assert_eq!(one, other, "seed {seed}");
        compared += 1;
        out_of_gas += one.gas.iter().filter(|left| **left < 0).count();
        let is_whole = !one.is_deep && one.gas.iter().all(|left| *left >= 0);
        if let (true, Some(before)) = (is_whole, in_wasmtime(&canonical, &original, None)) {
            let size = |came: &Came| came.memory.as_ref().map(Vec::len);
            if size(&before) != size(&one) {
                // It grew beyond what the rewrite was told to allow.
                continue;
            }
            assert_eq!(before.results, one.results, "seed {seed}");
            assert!(before.memory == one.memory, "seed {seed}: memory differs");
            finished += 1;
        }
    }
    println!("{compared} compared, {finished} of them with the original, {out_of_gas} calls out of gas");
    assert!(compared > MODULES as usize / 2 && finished > MODULES as usize / 8, "{compared} {finished}");
}
