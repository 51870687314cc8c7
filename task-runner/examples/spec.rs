//! Writes the WebAssembly spec testsuite as JSON, its modules before and after the rewrite, for engines that are not in this process:
//! `spec OUT`. Every call is told with the types of its function, so that what JavaScript has no value for can cross as integers.
#[path = "../tests/suite/mod.rs"]
#[allow(dead_code)] // It does not compare.
mod suite;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use suite::{Call, Command, Value};
use wasmtime::{Engine, ExternType, Module, RefType, ValType};

fn main() {
    let out = std::env::args().nth(1).expect("usage: spec OUT");
    let engine = Engine::new(&peeredge_task_runner::config()).expect("wasmtime knows this machine");
    let files: Vec<Json> = suite::files()
        .into_iter()
        .filter_map(|(name, text)| {
            let mut types = Types { engine: &engine, current: BTreeMap::new(), named: BTreeMap::new() };
            let commands: Vec<Json> = suite::commands(text)?
                .into_iter()
                .filter(|(line, _)| !suite::is_without_gas(&name, *line))
                .filter_map(|(line, command)| {
                    let mut told = types.command(command)?;
                    told["line"] = line.into();
                    Some(told)
                })
                .collect();
            Some(json!({ "name": name, "commands": commands }))
        })
        .collect();
    std::fs::write(&out, Json::from(files).to_string()).expect("it can be written");
}

/// The types of a module's exported functions: of parameters and of results.
type Exports = BTreeMap<String, [String; 2]>;

struct Types<'a> {
    engine: &'a Engine,
    current: Exports,
    named: BTreeMap<String, Exports>,
}

impl Types<'_> {
    fn command(&mut self, command: Command) -> Option<Json> {
        Some(match command {
            Command::Module { name, original, rewritten } => {
                self.current = self.exports(&original);
                if let Some(name) = &name {
                    self.named.insert(name.clone(), self.current.clone());
                }
                json!({ "does": "module", "name": name, "modules": [hex(&original), hex(&rewritten)] })
            }
            Command::Unsupported => json!({ "does": "unsupported" }),
            Command::Register { name, as_name } => json!({ "does": "register", "name": name, "as": as_name }),
            Command::Invoke(call) => json!({ "does": "invoke", "call": self.call(&call) }),
            Command::Return { call, expected } => {
                let expected: Vec<Vec<Json>> =
                    expected.iter().map(|any| any.iter().map(value).collect()).collect();
                json!({ "does": "return", "call": self.call(&call), "expected": expected })
            }
            Command::Trap(call) | Command::Exhaustion(call) => {
                json!({ "does": "trap", "call": self.call(&call) })
            }
            Command::Uninstantiable { original, rewritten } => {
                json!({ "does": "uninstantiable", "modules": [hex(&original), hex(&rewritten)] })
            }
            // What is refused is refused before any engine sees it.
            Command::Invalid { .. } => return None,
        })
    }

    fn exports(&self, module: &[u8]) -> Exports {
        let Ok(module) = Module::new(self.engine, module) else { return Exports::new() };
        let functions = module.exports().filter_map(|export| {
            let ExternType::Func(of) = export.ty() else { return None };
            Some((
                export.name().to_string(),
                [of.params().map(letter).collect(), of.results().map(letter).collect()],
            ))
        });
        functions.collect()
    }

    fn call(&self, call: &Call) -> Json {
        let exports = match &call.module {
            Some(name) => self.named.get(name),
            None => Some(&self.current),
        };
        // Of what this engine does not take, the types are not known.
        let known = exports.and_then(|of| of.get(&call.name)).cloned();
        let [params, results] = known.unwrap_or(["?".into(), "?".into()]);
        let args: Option<Vec<Json>> = call.args.as_ref().map(|args| args.iter().map(value).collect());
        json!({ "module": call.module, "name": call.name, "args": args, "params": params, "results": results })
    }
}

fn letter(of: ValType) -> char {
    match of {
        ValType::I32 => 'i',
        ValType::I64 => 'l',
        ValType::F32 => 'f',
        ValType::F64 => 'd',
        ValType::V128 => 'v',
        ValType::Ref(of) if RefType::eq(&of, &RefType::FUNCREF) => 'r',
        ValType::Ref(_) => '?',
    }
}

/// A value's kind, and its bits as integers; of a NaN that may be any, null.
fn value(of: &Value) -> Json {
    let lanes = |lanes: &[Option<u64>]| -> Vec<Json> {
        lanes.iter().map(|lane| lane.map_or(Json::Null, |bits| bits.to_string().into())).collect()
    };
    let (kind, bits) = match of {
        Value::I32(value) => ("i", lanes(&[Some(u64::from(*value as u32))])),
        Value::I64(value) => ("l", lanes(&[Some(*value as u64)])),
        Value::F32(bits) => ("f", lanes(&[Some(u64::from(*bits))])),
        Value::F64(bits) => ("d", lanes(&[Some(*bits)])),
        Value::Nan32 => ("f", lanes(&[None])),
        Value::Nan64 => ("d", lanes(&[None])),
        Value::V128(bits) => ("v", lanes(&[Some(*bits as u64), Some((*bits >> 64) as u64)])),
        Value::Lanes32(of) => ("v", lanes(&of.map(|lane| lane.map(u64::from)))),
        Value::Lanes64(of) => ("v", lanes(of)),
        Value::Null => ("null", vec![]),
        Value::Function => ("function", vec![]),
    };
    json!([kind, bits])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
