//! The WebAssembly spec testsuite before and after the rewrite, in wasmtime: every assertion has the same outcome.
mod suite;

use std::collections::BTreeMap;

use suite::{Call, Command, Value};
use wasmtime::{
    Engine, Extern, Func, Global, GlobalType, Instance, Memory, MemoryType, Module, Mutability, Ref, RefType,
    Store, Table, TableType, Val, ValType,
};

/// One side of the comparison: all modules of a file, as they are or rewritten.
struct Side {
    engine: Engine,
    store: Store<()>,
    /// What the suite's own host module exports.
    host: BTreeMap<&'static str, Extern>,
    registered: BTreeMap<String, Instance>,
    named: BTreeMap<String, Instance>,
    current: Option<Instance>,
    is_rewritten: bool,
}

/// What an assertion comes to.
#[derive(Clone, Debug, PartialEq)]
enum Came {
    Values(Vec<Value>),
    Trap,
    Exhaustion,
    /// Its module is one that this engine, as set for tasks, does not take.
    Absent,
}

impl Side {
    fn new(is_rewritten: bool) -> Self {
        let engine = Engine::new(&peeredge_task_runner::config()).expect("wasmtime knows this machine");
        let mut store = Store::new(&engine, ());
        let mut host: BTreeMap<&'static str, Extern> = BTreeMap::new();
        let prints: [(&str, Vec<ValType>); 7] = [
            ("print", vec![]),
            ("print_i32", vec![ValType::I32]),
            ("print_i64", vec![ValType::I64]),
            ("print_f32", vec![ValType::F32]),
            ("print_f64", vec![ValType::F64]),
            ("print_i32_f32", vec![ValType::I32, ValType::F32]),
            ("print_f64_f64", vec![ValType::F64, ValType::F64]),
        ];
        for (name, params) in prints {
            let of = wasmtime::FuncType::new(&engine, params, []);
            host.insert(name, Func::new(&mut store, of, |_, _, _| Ok(())).into());
        }
        let globals = [
            ("global_i32", ValType::I32, Val::I32(666)),
            ("global_i64", ValType::I64, Val::I64(666)),
            ("global_f32", ValType::F32, Val::F32(666.6_f32.to_bits())),
            ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
        ];
        for (name, of, value) in globals {
            let global =
                Global::new(&mut store, GlobalType::new(of, Mutability::Const), value).expect("its own type");
            host.insert(name, global.into());
        }
        let table = TableType::new(RefType::FUNCREF, 10, Some(20));
        host.insert("table", Table::new(&mut store, table, Ref::Func(None)).expect("small").into());
        host.insert("memory", Memory::new(&mut store, MemoryType::new(1, Some(2))).expect("small").into());
        Side {
            engine,
            store,
            host,
            registered: BTreeMap::new(),
            named: BTreeMap::new(),
            current: None,
            is_rewritten,
        }
    }

    /// `Err(true)` when this engine does not take the module at all.
    fn instantiate(&mut self, bytes: &[u8]) -> Result<Instance, bool> {
        let module = Module::new(&self.engine, bytes).map_err(|_| true)?;
        let mut imports = Vec::new();
        for import in module.imports() {
            let found = match import.module() {
                "spectest" => self.host.get(import.name()).cloned(),
                other => {
                    let instance = self.registered.get(other).copied();
                    instance.and_then(|instance| instance.get_export(&mut self.store, import.name()))
                }
            };
            imports.push(found.ok_or(false)?);
        }
        let instance = Instance::new(&mut self.store, &module, &imports).map_err(|_| false)?;
        if self.is_rewritten {
            self.fill(&instance);
            if let Ok(start) = instance.get_typed_func::<(), ()>(&mut self.store, "peeredge:start") {
                start.call(&mut self.store, ()).map_err(|_| false)?;
            }
        }
        Ok(instance)
    }

    fn fill(&mut self, instance: &Instance) {
        for (name, value) in [("peeredge:gas", Val::I64(1 << 60)), ("peeredge:stack", Val::I32(32_768))] {
            let global = instance.get_global(&mut self.store, name).expect("the rewrite exports it");
            global.set(&mut self.store, value).expect("its own type");
        }
    }

    fn instance(&self, name: Option<&String>) -> Option<Instance> {
        match name {
            Some(name) => self.named.get(name).copied(),
            None => self.current,
        }
    }

    fn call(&mut self, call: &Call) -> Came {
        let Some(instance) = self.instance(call.module.as_ref()) else { return Came::Absent };
        let Some(args) = &call.args else {
            let Some(global) = instance.get_global(&mut self.store, &call.name) else { return Came::Absent };
            let value = global.get(&mut self.store);
            return value_of(value).map_or(Came::Absent, |value| Came::Values(vec![value]));
        };
        let Some(function) = instance.get_func(&mut self.store, &call.name) else { return Came::Absent };
        let args: Vec<Val> = args.iter().map(val_of).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        match function.call(&mut self.store, &args, &mut results) {
            Ok(()) => match results.into_iter().map(value_of).collect::<Option<Vec<Value>>>() {
                Some(values) => Came::Values(values),
                None => Came::Absent,
            },
            Err(error) => {
                let is_overflow =
                    error.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::StackOverflow);
                let mut is_deep = is_overflow;
                if self.is_rewritten {
                    let stack = instance
                        .get_global(&mut self.store, "peeredge:stack")
                        .expect("the rewrite exports it");
                    is_deep = stack.get(&mut self.store).unwrap_i32() < 0;
                    assert!(!is_overflow, "{}: the engine's own stack overflowed first", call.name);
                    let gas =
                        instance.get_global(&mut self.store, "peeredge:gas").expect("the rewrite exports it");
                    assert!(gas.get(&mut self.store).unwrap_i64() >= 0, "{}: out of gas", call.name);
                    self.fill(&instance);
                }
                if is_deep { Came::Exhaustion } else { Came::Trap }
            }
        }
    }
}

fn val_of(value: &Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(*value),
        Value::I64(value) => Val::I64(*value),
        Value::F32(bits) => Val::F32(*bits),
        Value::F64(bits) => Val::F64(*bits),
        Value::V128(bits) => Val::V128((*bits).into()),
        _ => Val::FuncRef(None),
    }
}

fn value_of(value: Val) -> Option<Value> {
    Some(match value {
        Val::I32(value) => Value::I32(value),
        Val::I64(value) => Value::I64(value),
        Val::F32(bits) => Value::F32(bits),
        Val::F64(bits) => Value::F64(bits),
        Val::V128(bits) => Value::V128(bits.as_u128()),
        Val::FuncRef(None) => Value::Null,
        Val::FuncRef(Some(_)) => Value::Function,
        _ => return None,
    })
}

/// Invalid in the proposal's own folder; the standard made it valid (its `meet-bottom` in unreached-valid.wast).
const VALID_SINCE: (&str, usize) = ("reference-types/unreached-invalid.wast", 539);

#[derive(Default)]
struct Count {
    same: usize,
    refused: usize,
    /// Of modules that are not rewritten, or that hold references to host values.
    left_out: usize,
}

fn compare(file: &str, text: &str, count: &mut Count) {
    let Some(commands) = suite::commands(text) else { return };
    let mut sides = [Side::new(false), Side::new(true)];
    for (line, command) in commands {
        if suite::is_without_gas(file, line) {
            count.left_out += 1;
            continue;
        }
        let place = format!("{file}:{line}");
        let call_both = |sides: &mut [Side; 2], call: &Call| sides.each_mut().map(|side| side.call(call));
        match command {
            Command::Unsupported => {
                sides.iter_mut().for_each(|side| side.current = None);
                count.left_out += 1;
            }
            Command::Module { name, original, rewritten } => {
                let made = [sides[0].instantiate(&original), sides[1].instantiate(&rewritten)];
                assert_eq!(made[0].is_ok(), made[1].is_ok(), "{place}: {made:?}");
                for (side, made) in sides.iter_mut().zip(made) {
                    side.current = made.ok();
                    if let (Some(name), Some(instance)) = (&name, side.current) {
                        side.named.insert(name.clone(), instance);
                    }
                }
            }
            Command::Register { name, as_name } => {
                for side in &mut sides {
                    if let Some(instance) = side.instance(name.as_ref()) {
                        side.registered.insert(as_name.clone(), instance);
                    }
                }
            }
            Command::Invoke(call) => {
                let came = call_both(&mut sides, &call);
                assert_eq!(came[0], came[1], "{place}");
            }
            Command::Return { call, expected } => {
                let came = call_both(&mut sides, &call);
                let is_met = came.each_ref().map(|came| match came {
                    Came::Values(values) => {
                        values.len() == expected.len()
                            && values
                                .iter()
                                .zip(&expected)
                                .all(|(given, any)| any.iter().any(|one| suite::is_met(one, given)))
                    }
                    _ => false,
                });
                if came[0] == Came::Absent {
                    assert_eq!(came[1], Came::Absent, "{place}");
                    count.left_out += 1;
                    continue;
                }
                assert_eq!(is_met, [true, true], "{place}: {came:?}, expected {expected:?}");
                count.same += 1;
            }
            Command::Trap(call) | Command::Exhaustion(call) => {
                let came = call_both(&mut sides, &call);
                assert_eq!(came[0], came[1], "{place}");
                if came[0] == Came::Absent {
                    count.left_out += 1;
                } else {
                    count.same += 1;
                }
            }
            Command::Uninstantiable { original, rewritten } => {
                let made = [sides[0].instantiate(&original), sides[1].instantiate(&rewritten)];
                assert!(made[0].is_err() && made[1].is_err(), "{place}: {made:?}");
                count.same += 1;
            }
            Command::Invalid { is_refused } => {
                if (file, line) == VALID_SINCE {
                    count.left_out += 1;
                    continue;
                }
                assert!(is_refused, "{place}");
                count.refused += 1;
            }
        }
    }
}

#[test]
fn every_assertion_of_the_spec_testsuite_has_the_same_outcome_after_the_rewrite() {
    // The suite recurses until the stack that compiled code may use is gone, which is more than a test's thread has.
    let all = || {
        let mut count = Count::default();
        for (name, text) in suite::files() {
            compare(&name, text, &mut count);
        }
        count
    };
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(all).expect("a thread");
    let count = thread.join().expect("every assertion holds");
    println!(
        "{} assertions the same, {} invalid modules refused, {} left out",
        count.same, count.refused, count.left_out
    );
    assert!(count.same > 35_000, "{}", count.same);
    assert!(count.refused > 2_000, "{}", count.refused);
}
