//! Made-up float programs full of NaNs: rewritten, in an engine that leaves NaNs as the processor makes them, they give the bits that the
//! program as it is gives in an engine that makes every result of arithmetic canonical itself.
mod support;

use peeredge_hvm::Limits;
use peeredge_hvm::rewrite::rewrite;
use support::{Dice, Engines};
use wasmtime::{Engine, Instance, Module, Store, Val};

const PROGRAMS: u64 = 80;

/// A value of type `f32` or `f64`. Locals 0 to 2 are parameters of `f64`, 3 to 5 locals; with 6 to 8 and 9 to 11 it is the same for `f32`.
fn value(dice: &mut Dice, of: &str, depth: u32) -> String {
    let local = if of == "f64" { 0 } else { 6 } + dice.roll(6);
    if depth == 0 {
        let nan = dice.of(&["1.5", "-0", "inf", "nan", "-nan:0x123", "0"]);
        return match dice.roll(4) {
            0 => format!("({of}.const {nan})"),
            1 => format!("({of}.load (i32.const {}))", 8 * dice.roll(6)),
            _ => format!("(local.get {local})"),
        };
    }
    let one = value(dice, of, depth - 1);
    match dice.roll(9) {
        0 => format!("(local.tee {local} {one})"),
        1 => format!("({of}.{} {one})", dice.of(&["neg", "abs"])),
        2 => format!("({of}.{} {one})", dice.of(&["sqrt", "floor", "nearest"])),
        3 if of == "f64" => format!("(f64.promote_f32 {})", value(dice, "f32", depth - 1)),
        3 => format!("(f32.demote_f64 {})", value(dice, "f64", depth - 1)),
        4 => {
            let other = value(dice, of, depth - 1);
            format!("(select {one} {other} ({of}.lt {one} {other}))")
        }
        5 => format!("({of}.copysign {one} {})", value(dice, of, depth - 1)),
        _ => {
            let operator = dice.of(&["add", "sub", "mul", "div", "min", "max"]);
            format!("({of}.{operator} {one} {})", value(dice, of, depth - 1))
        }
    }
}

fn statement(dice: &mut Dice, depth: u32) -> String {
    let of = dice.of(&["f64", "f64", "f32"]);
    let local = if of == "f64" { 0 } else { 6 } + dice.roll(6);
    match dice.roll(if depth > 0 { 7 } else { 5 }) {
        0 | 1 => format!("(local.set {local} {})", value(dice, of, 2)),
        2 | 3 => format!("({of}.store (i32.const {}) {})", 8 * dice.roll(6), value(dice, of, 2)),
        4 => format!(
            "(i64.store (i32.const {}) (i64.load (i32.const {})))",
            8 * dice.roll(6),
            4 * dice.roll(12)
        ),
        5 => {
            let condition = value(dice, of, 1);
            format!(
                "(if ({of}.eq {condition} {condition}) (then {}) (else {}))",
                statement(dice, depth - 1),
                statement(dice, depth - 1)
            )
        }
        // Left early, or after four passes.
        _ => format!(
            "(local.set 12 (i32.const 0)) (block (loop {} (br_if 1 ({of}.gt {} {})) (br_if 1 (i32.eq (local.tee 12 (i32.add (local.get 12) (i32.const 1))) (i32.const 4))) (br 0)))",
            statement(dice, 0),
            value(dice, of, 1),
            value(dice, of, 1)
        ),
    }
}

fn program(seed: u64) -> String {
    let mut dice = Dice(seed);
    let body: String = (0..12).map(|_| statement(&mut dice, 2)).collect();
    let results: String = (3..6).map(|local| format!("(local.get {local})")).collect();
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "\01\00\00\00\00\00\f4\ff\ff\ff\ff\7f\00\00\a0\7f\00\00\00\00\00\00\f0\3f")
            (func (export "run") (param f64 f64 f64) (result f64 f64 f64)
              (local f64 f64 f64 f32 f32 f32 f32 f32 f32 i32) {body} {results}))"#
    )
}

fn bits(engine: &Engine, module: &[u8], gas: Option<i64>) -> (Vec<u64>, Vec<u8>, i64) {
    let module = Module::new(engine, module).expect("a valid module compiles");
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("it has no imports");
    let left = instance.get_global(&mut store, "peeredge:gas");
    if let (Some(left), Some(gas)) = (left, gas) {
        left.set(&mut store, Val::I64(gas)).expect("its own type");
    }
    let run = instance.get_func(&mut store, "run").expect("it is exported");
    let given = [0x7ff8_0000_0000_0001, 0xfff4_0000_0000_0000, 0x3ff0_0000_0000_0000].map(Val::F64);
    let mut results = [Val::F64(0), Val::F64(0), Val::F64(0)];
    run.call(&mut store, &given, &mut results).expect("nothing in it traps");
    let bits = results.iter().map(|value| value.unwrap_f64().to_bits()).collect();
    let memory = instance.get_memory(&mut store, "memory").expect("it is exported");
    let gas = left.map_or(0, |left| left.get(&mut store).unwrap_i64());
    (bits, memory.data(&store)[..64].to_vec(), gas)
}

#[test]
fn float_programs_give_the_bits_that_canonical_arithmetic_gives() {
    let Engines { canonical, plain } = Engines::new();
    let mut nans = 0;
    for seed in 0..PROGRAMS {
        let original = wat::parse_str(program(seed)).expect("it is well-formed");
        let rewritten = rewrite(&original, &Limits::default()).expect("it can be rewritten").bytes;
        let (results, memory, _) = bits(&canonical, &original, None);
        let plenty = bits(&plain, &rewritten, Some(1 << 40));
        assert_eq!((&plenty.0, &plenty.1), (&results, &memory), "seed {seed}: {}", program(seed));
        // With just enough, whatever counts beforehand cannot.
        let needed = (1 << 40) - plenty.2;
        let exact = bits(&plain, &rewritten, Some(needed));
        assert_eq!(
            (exact.0, exact.1, exact.2),
            (results.clone(), memory, 0),
            "seed {seed}: {}",
            program(seed)
        );
        nans += results.iter().filter(|bits| f64::from_bits(**bits).is_nan()).count();
    }
    assert!(nans > PROGRAMS as usize / 8, "{nans}");
}
