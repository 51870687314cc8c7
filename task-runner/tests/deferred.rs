//! Loops that store floats, full of NaNs, infinities and addresses that meet: rewritten, in an engine that leaves NaNs as the processor
//! makes them, they leave the memory and give the bits that the loop as it is gives in an engine that makes every NaN canonical itself.
mod support;

use peeredge_hvm::Limits;
use peeredge_hvm::rewrite::rewrite;
use support::{Dice, Engines};
use wasmparser::{Operator, Parser, Payload};
use wasmtime::{Engine, Instance, Module, Store, Val};

const PROGRAMS: u64 = 200;
const GAS: i64 = 1 << 40;

/// Numbers, infinities of both signs, zeros, and NaNs of several kinds, of this size.
fn data(dice: &mut Dice, of: &str) -> String {
    let wide =
        ["3ff8000000000000", "c000000000000000", "7ff0000000000000", "fff0000000000000", "0000000000000000"];
    let wide_nan = ["7ff8000000000123", "fff4000000000001", "7ff800000000beef"];
    let narrow = ["3fc00000", "c0000000", "7f800000", "ff800000", "00000000"];
    let narrow_nan = ["7fc00123", "ffa00001", "7fc0beef"];
    (0..48)
        .map(|_| {
            let digits = match (of, dice.roll(6)) {
                ("f64", 0) => dice.of(&wide_nan),
                ("f64", _) => dice.of(&wide),
                (_, 0) => dice.of(&narrow_nan),
                _ => dice.of(&narrow),
            };
            // The last byte first.
            (0..digits.len() / 2)
                .rev()
                .map(|byte| format!("\\{}", &digits[2 * byte..2 * byte + 2]))
                .collect::<String>()
        })
        .collect()
}

/// A module whose `run` does this with three addresses and a float, and gives a float.
fn module(of: &str, data: &str, body: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{data}")
            (func (export "run") (param i32 i32 i32 {of}) (result {of})
              (local {of} {of} i32 i32 {of}) {body}))"#
    )
}

/// How many loops there are.
fn loops(bytes: &[u8]) -> usize {
    let bodies = Parser::new(0).parse_all(bytes).filter_map(|part| match part.expect("it is valid") {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    let operators = bodies.flat_map(|body| body.get_operators_reader().expect("it is valid").into_iter());
    operators.filter(|operator| matches!(operator, Ok(Operator::Loop { .. }))).count()
}

/// What a run gave, what it left in memory, and its gas.
#[derive(Debug, PartialEq)]
struct Came {
    result: u64,
    memory: Vec<u8>,
    gas: i64,
}

fn run(engine: &Engine, bytes: &[u8], addresses: [i32; 3], gas: i64) -> Came {
    let module = Module::new(engine, bytes).expect("a valid module compiles");
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("it has no imports");
    let left = instance.get_global(&mut store, "peeredge:gas");
    if let Some(left) = left {
        left.set(&mut store, Val::I64(gas)).expect("its own type");
    }
    let run = instance.get_func(&mut store, "run").expect("it is exported");
    let is_wide = run.ty(&store).results().all(|of| matches!(of, wasmtime::ValType::F64));
    let float = if is_wide { Val::F64(0x3fe0_0000_0000_0000) } else { Val::F32(0x3f00_0000) };
    let [one, two, three] = addresses.map(Val::I32);
    let mut results = [Val::I32(0)];
    run.call(&mut store, &[one, two, three, float], &mut results).expect("nothing in it traps");
    let result = match results[0] {
        Val::F64(bits) => bits,
        Val::F32(bits) => bits.into(),
        _ => unreachable!("it gives a float"),
    };
    let memory = instance.get_memory(&mut store, "memory").expect("it is exported");
    let gas = left.map_or(0, |left| left.get(&mut store).unwrap_i64());
    Came { result, memory: memory.data(&store)[..1024].to_vec(), gas }
}

impl Engines {
    /// Compares what the module does as it is and rewritten, with more gas than it needs and with just enough. Gives how many
    /// copies there are of a loop.
    fn compare(&self, text: &str, addresses: [i32; 3]) -> usize {
        let original = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        let rewritten = rewrite(&original, &Limits::default()).expect("it can be rewritten").bytes;
        let Came { result, memory, .. } = run(&self.canonical, &original, addresses, 0);
        let plenty = run(&self.plain, &rewritten, addresses, GAS);
        assert_eq!((plenty.result, &plenty.memory), (result, &memory), "{addresses:?} {text}");
        let enough = run(&self.plain, &rewritten, addresses, GAS - plenty.gas);
        assert_eq!(enough, Came { result, memory, gas: 0 }, "{addresses:?} {text}");
        loops(&rewritten) / loops(&original)
    }
}

/// Six passes over three addresses that each go on by a double. Locals: 0 to 2 addresses, 3 to 5 floats, 6 the counter, 7 another number, 8 a float.
fn six_passes(body: &str) -> String {
    format!(
        "(loop {body}
           (local.set 0 (i32.add (local.get 0) (i32.const 8)))
           (local.set 1 (i32.add (local.get 1) (i32.const 8)))
           (local.set 2 (i32.add (local.get 2) (i32.const 8)))
           (br_if 0 (i32.ne (local.tee 6 (i32.add (local.get 6) (i32.const 1))) (i32.const 6))))
         (local.get 4)"
    )
}

/// What two numbers that are loaded come to, which is a NaN now and then.
const SUM: &str = "(f64.add (f64.mul (local.get 3) (f64.load (local.get 1))) (f64.load (local.get 2)))";

#[test]
fn a_loop_that_only_stores_what_arithmetic_gives_has_a_raw_and_a_mending_copy_and_any_other_has_none() {
    let engines = Engines::new();
    let mut dice = Dice(7);
    let store = format!("(f64.store (local.get 0) {SUM})");
    let copies = |dice: &mut Dice, body: &str| {
        let text = module("f64", &data(dice, "f64"), &six_passes(body));
        // Apart, the same, meeting, and in between.
        let bases =
            [[256, 0, 64], [0, 0, 0], [8, 0, 16], [16, 8, 0], [4, 0, 8], [8, 4, 0], [9, 2, 0], [256, 3, 5]];
        let counts: Vec<usize> = bases.iter().map(|bases| engines.compare(&text, *bases)).collect();
        counts[0]
    };
    assert_eq!(copies(&mut dice, &store), 3);
    for (body, why) in [
        ("(local.set 7 (i32.load (i32.const 16)))", "whole numbers are loaded"),
        ("(i64.store offset=512 (local.get 0) (i64.load (local.get 1)))", "bits are moved as whole numbers"),
        ("(i32.store8 (local.get 1) (i32.const 255))", "a piece of a float is stored"),
        ("(f64.store offset=512 (local.get 0) (f64.load (local.get 1)))", "a float is moved"),
        ("(f64.store offset=512 (local.get 0) (f64.neg (f64.load (local.get 1))))", "a sign is changed"),
        ("(f64.store (local.get 1) (f64.const nan:0x77))", "a NaN is stored as it is"),
        (
            "(f64.store (local.get 1) (f64.copysign (local.get 3) (f64.load (local.get 2))))",
            "a sign is taken over",
        ),
        (
            "(f64.store (local.get 1) (f64.sqrt (f64.copysign (local.get 3) (f64.load (local.get 2)))))",
            "a sign is calculated with",
        ),
        ("(local.set 4 (f64.load (local.get 1)))", "what was loaded is read behind the loop"),
        ("(local.set 5 (f64.load (local.get 0))) (local.set 4 (local.get 5))", "by way of another local"),
        (
            "(local.set 7 (i32.add (local.get 7) (f64.lt (f64.load (local.get 1)) (local.get 3))))",
            "a number follows from a float",
        ),
        ("(local.set 7 (i32.trunc_sat_f64_s (f64.load (local.get 1))))", "a number is made of a float"),
        ("(drop (f32.load (local.get 1)))", "half a float is loaded"),
        ("(drop (f64.load offset=4 (local.get 1)))", "the offset is no multiple"),
        ("(local.set 2 (i32.add (local.get 2) (i32.const 4)))", "the step is no multiple"),
        ("(local.set 1 (i32.shl (local.get 6) (i32.const 2)))", "the address is no multiple"),
        ("(memory.copy (i32.const 512) (local.get 1) (i32.const 8))", "memory is copied"),
    ] {
        for body in [format!("{body} {store}"), format!("{store} {body}")] {
            assert_eq!(copies(&mut dice, &body), 1, "{why}");
        }
    }
    // A local in which there was another NaN before.
    let kept =
        "(f64.store (local.get 0) (local.tee 4 (f64.div (f64.load (local.get 1)) (f64.load (local.get 2)))))";
    let kept = format!("(local.set 4 (f64.const -nan:0x77)) {}", six_passes(&format!("{kept} {store}")));
    for seed in 0..8 {
        assert_eq!(engines.compare(&module("f64", &data(&mut Dice(seed), "f64"), &kept), [256, 0, 64]), 3);
    }
    for body in [
        "(local.set 5 (f64.load (local.get 1))) (f64.store offset=8 (local.get 0) (f64.mul (local.get 5) (local.get 5)))",
        "(local.set 4 (f64.add (local.get 4) (f64.load (local.get 1)))) (f64.store (local.get 0) (local.get 4))",
        "(f64.store (local.get 2) (local.tee 4 (f64.div (f64.load (local.get 1)) (f64.load (local.get 2)))))",
        "(f64.store (i32.shl (local.get 6) (i32.const 3)) (f64.sub (f64.load (local.get 1)) (f64.load (local.get 0))))",
        "(f64.store (local.get 1) (f64.const 3)) (f64.store (local.get 0) (f64.sqrt (f64.neg (f64.load (local.get 1)))))",
    ] {
        assert_eq!(copies(&mut dice, body), 3, "{body}");
        assert_eq!(copies(&mut dice, &format!("{store} {body}")), 3, "{body}");
    }
}

/// An address: one of the three that go on, or what follows from the counter.
fn address(dice: &mut Dice) -> String {
    match dice.roll(8) {
        0 => "(i32.shl (local.get 6) (i32.const 3))".into(),
        1 => "(i32.add (local.get 1) (i32.and (local.get 7) (i32.const 24)))".into(),
        2 => "(local.tee 7 (i32.add (local.get 0) (i32.const 16)))".into(),
        _ => format!("(local.get {})", dice.roll(3)),
    }
}

fn value(dice: &mut Dice, of: &str, depth: u32) -> String {
    if depth == 0 || dice.roll(8) == 0 {
        return match dice.roll(8) {
            0 => format!("({of}.const {})", dice.of(&["1.5", "-0", "inf", "0"])),
            1..=3 => format!("(local.get {})", [3, 4, 5, 8][dice.roll(4) as usize]),
            _ => {
                let offset = [0, 0, 0, 8, 16][dice.roll(5) as usize];
                format!("({of}.load offset={offset} {})", address(dice))
            }
        };
    }
    let one = value(dice, of, depth - 1);
    match dice.roll(16) {
        0 => format!("(local.tee 5 {one})"),
        1 => format!("({of}.neg {one})"),
        2 => format!("({of}.sqrt {one})"),
        3 => format!("(select {one} {} (local.get 7))", value(dice, of, depth - 1)),
        _ => format!(
            "({of}.{} {one} {})",
            dice.of(&["add", "sub", "mul", "div", "min", "max"]),
            value(dice, of, depth - 1)
        ),
    }
}

fn statement(dice: &mut Dice, of: &str) -> String {
    match dice.roll(8) {
        0 => format!("(local.set {} {})", dice.of(&["4", "5", "8"]), value(dice, of, 2)),
        1 => format!("(local.set {} (i32.add (local.get {}) (i32.const 8)))", dice.roll(3), dice.roll(3)),
        2 => format!("(local.set 7 {})", address(dice)),
        _ => {
            let offset = [0, 0, 8][dice.roll(3) as usize];
            let operator = dice.of(&["add", "sub", "mul", "div"]);
            let (one, other) = (value(dice, of, 1), value(dice, of, 2));
            format!("({of}.store offset={offset} {} ({of}.{operator} {one} {other}))", address(dice))
        }
    }
}

/// A loop of five passes at most, which ends after these, or is left on the way; and code on each way out that looks at what is there.
fn program(seed: u64, of: &str) -> String {
    let mut dice = Dice(seed);
    let body = |dice: &mut Dice| (0..1 + dice.roll(3)).map(|_| statement(dice, of)).collect::<String>();
    let (first, second) = (body(&mut dice), body(&mut dice));
    let moved = "(local.tee 6 (i32.add (local.get 6) (i32.const 1)))";
    let looks = format!(
        "({of}.store offset=800 (i32.const 0) (local.get 4)) ({of}.store offset=816 (i32.const 0) ({of}.load (local.get 0)))"
    );
    let left = if dice.roll(2) == 0 { "(local.get 0) (i32.const 40)" } else { "(local.get 6) (i32.const 3)" };
    let text = match dice.roll(4) {
        0 => format!("(loop {first} {second} (br_if 0 (i32.ne {moved} (i32.const 5)))) {looks}"),
        1 => format!(
            "(block (loop {first} (br_if 1 (i32.gt_u {left})) {second} (br_if 1 (i32.eq {moved} (i32.const 5))) (br 0))) {looks}"
        ),
        2 => format!(
            "(block (loop {first} (br_if 1 (i32.gt_u {left})) {second} (br_if 0 (i32.ne {moved} (i32.const 5)))) {looks})"
        ),
        // Left to the end of a block within, with more to do there.
        _ => format!(
            "(block (loop (block {first} (br_if 0 (i32.gt_u {left})) {second} (br_if 2 (i32.eq {moved} (i32.const 5))) (br 1)) {looks} (local.set 4 ({of}.const 1)))) {looks}"
        ),
    };
    // A local in which there may also be what is not arithmetic's, so that what arithmetic puts there must be canonical.
    let before =
        dice.of(&["", "(local.set 4 (f64.const -nan:0x77))", "(local.set 5 (f64.load (i32.const 16)))"]);
    let again = if dice.roll(3) == 0 { format!("(local.set 6 (i32.const 0)) {text}") } else { String::new() };
    let text = format!("{} {text} {again}", before.replace("f64", of));
    let mut dice = Dice(seed ^ 0x5eed);
    module(
        of,
        &data(&mut dice, of),
        &format!("{text} ({of}.add (local.get 8) (local.get {}))", dice.of(&["3", "4", "5"])),
    )
}

#[test]
fn made_up_loops_leave_the_memory_that_canonical_arithmetic_leaves() {
    let engines = Engines::new();
    let mut deferred = 0;
    for seed in 0..PROGRAMS {
        let of = if seed % 3 == 0 { "f32" } else { "f64" };
        let text = program(seed, of);
        let mut dice = Dice(seed);
        for _ in 0..4 {
            let unit = [8, 8, 4, 1][dice.roll(4) as usize];
            let addresses = [0; 3].map(|_| (unit * dice.roll(96 / unit)) as i32);
            deferred += usize::from(engines.compare(&text, addresses) == 3);
        }
    }
    assert!(deferred > PROGRAMS as usize / 2, "{deferred}");
}
