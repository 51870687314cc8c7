#![allow(dead_code, reason = "each of those who include it uses a part")]
//! Tasks that are made up to keep more in a frame than is counted, to take long to compile, or to come to other ends elsewhere.
//!
//! Everything follows from a seed. Each is a whole task whose step calls `$f` with what lies at 1,024, and whose output is the eight
//! bytes that it leaves there.
use std::fmt::Write;

#[path = "shapes.rs"]
mod shapes;

/// Draws that follow from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as u64) as usize]
    }

    /// Often small, sometimes as large as this.
    fn size(&mut self, max: u64) -> u64 {
        let bits = 64 - max.leading_zeros();
        let of = 1 << (1 + self.roll(u64::from(bits)));
        1 + self.roll(of.min(max))
    }
}

/// Writes one statement of a module, of a number and a seed.
type Statement = fn(i32, u64) -> String;
/// Makes a module's text.
type Kind = fn(&mut Dice) -> String;

/// Kinds of tasks, by name.
pub const KINDS: [(&str, Kind); 18] = [
    ("twice", twice),
    ("twice wide", twice_wide),
    ("otherwise twice", otherwise_twice),
    ("sunk", sunk),
    ("invariant", invariant),
    ("arms", arms),
    ("addresses", addresses),
    ("parameters", parameters),
    ("operands", operands),
    ("mutual", mutual),
    ("through a table", through_a_table),
    ("chain", chain),
    ("swapped", swapped),
    ("staggered", staggered),
    ("phis", phis),
    ("branches", branches),
    ("blocks", blocks),
    ("long", long),
];

/// The task of a seed, and its kind.
pub fn made(seed: u64) -> (&'static str, Vec<u8>) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d);
    let (name, make) = dice.of(&KINDS);
    (name, assembled(&make(&mut dice)))
}

/// The same of shapes that compilers take long over, which without optimisation would be minutes each.
pub fn shaped(seed: u64) -> (&'static str, Vec<u8>) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d);
    let (name, make) = dice.of(&shapes::KINDS);
    (name, assembled(&make(&mut dice)))
}

/// The task of a kind and a seed.
pub fn of_kind(kind: &str, seed: u64) -> Vec<u8> {
    let (_, make) = KINDS.iter().find(|(name, _)| *name == kind).expect("a kind that there is");
    assembled(&make(&mut Dice(seed)))
}

fn assembled(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn depth(dice: &mut Dice) -> u64 {
    dice.of(&[0, 1, 20, 300, 1_000, 3_000, 10_000, 40_000])
}

/// A module with these functions, of which `$f` takes a value and how deep to go.
fn task(functions: &str, depth: u64) -> String {
    format!(
        r#"(module (memory (export "memory") 16)
  (type $t (func (param i32 i32) (result i32)))
  (global $hidden (mut i32) (i32.const 0))
  {functions}
  (func (export "peeredge_input") (param i32) (result i32) (i32.const 1024))
  (func (export "peeredge_step") (result i32)
    (i32.store (i32.const 1024) (call $f (i32.load8_u (i32.const 1024)) (i32.const {depth}))) (i32.const 10000))
  (func (export "peeredge_output") (result i64) (i64.const {})))"#,
        1024_i64 << 32 | 8
    )
}

fn constant(i: u64, salt: u64) -> i32 {
    ((i + 1).wrapping_mul(0x9e37_79b9).wrapping_add(salt << 7) as u32 | 1) as i32
}

/// The `i`th value that follows from `$p`.
fn value(i: u64, way: u64) -> String {
    let k = constant(i, way);
    let shift = i % 31;
    match way {
        0 => format!("(i32.mul (local.get $p) (i32.const {k}))"),
        1 => format!("(i32.xor (i32.rotl (local.get $p) (i32.const {shift})) (i32.const {k}))"),
        2 => format!("(i32.add (local.get $p) (i32.const {k}))"),
        3 => format!("(i32.wrap_i64 (i64.mul (i64.extend_i32_u (local.get $p)) (i64.const {k})))"),
        4 => format!("(i32.trunc_sat_f64_s (f64.mul (f64.convert_i32_s (local.get $p)) (f64.const {k})))"),
        5 => format!("(i32.and (i32.shr_u (local.get $p) (i32.const {shift})) (i32.const {k}))"),
        _ => format!("(i32.sub (i32.mul (local.get $p) (local.get $p)) (i32.const {k}))"),
    }
}

/// Adds up so many of them in `$a`.
fn all(count: u64, way: u64, operator: &str) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "(local.set $a ({operator} (local.get $a) {}))", value(i, way));
        text
    })
}

const CALL: &str = "(if (local.get $n) (then (local.set $a (i32.add (local.get $a) \
    (call $f (i32.add (local.get $p) (i32.const 1)) (i32.sub (local.get $n) (i32.const 1)))))))";

fn recursive(body: &str) -> String {
    format!(
        "(func $f (type $t) (param $p i32) (param $n i32) (result i32) (local $a i32) (local $b i32) (local $c i32) {body} (local.get $a))"
    )
}

/// What is computed before a call is computed again behind it.
fn twice(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(3_000), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let between = dice.of(&[
        "(local.set $a (i32.rotl (local.get $a) (i32.const 7)))",
        "",
        "(global.set $hidden (local.get $a))",
    ]);
    task(&recursive(&format!("{values} {CALL} {between} {values}")), depth(dice))
}

/// The same with vectors.
fn twice_wide(dice: &mut Dice) -> String {
    let count = dice.size(1_000);
    let values: String = (0..count)
        .map(|i| format!("(local.set $v (i32x4.add (local.get $v) (i32x4.mul (local.get $w) (v128.const i32x4 {} {i} 3 {}))))\n", constant(i, 0), constant(i, 2)))
        .collect();
    let body = format!(
        "(local.set $w (i32x4.splat (local.get $p))) {values}
         (local.set $a (i32x4.extract_lane 1 (local.get $v))) {CALL} {values}
         (local.set $a (i32.add (local.get $a) (i32x4.extract_lane 2 (local.get $v))))"
    );
    let function =
        recursive(&body).replace("(local $a i32)", "(local $a i32) (local $v v128) (local $w v128)");
    task(&function, depth(dice))
}

/// The same value put in another way behind the call.
fn otherwise_twice(dice: &mut Dice) -> String {
    let count = dice.size(2_000);
    let (before, behind): (Statement, Statement) = dice.of::<(Statement, Statement)>(&[
        (
            |k, _| format!("(i32.add (i32.add (local.get $p) (i32.const {k})) (i32.const 1))"),
            |k, _| format!("(i32.add (local.get $p) (i32.const {}))", k.wrapping_add(1)),
        ),
        (
            |k, _| format!("(i32.sub (local.get $p) (i32.const {k}))"),
            |k, _| format!("(i32.add (i32.const {}) (local.get $p))", k.wrapping_neg()),
        ),
        (
            |k, i| format!("(i32.mul (i32.xor (local.get $p) (i32.const {k})) (i32.const {}))", 1 << (i % 5)),
            |k, i| format!("(i32.shl (i32.xor (local.get $p) (i32.const {k})) (i32.const {}))", i % 5),
        ),
        (
            |k, _| format!("(i32.gt_s (local.get $p) (i32.const {k}))"),
            |k, _| format!("(i32.lt_s (i32.const {k}) (local.get $p))"),
        ),
        (
            |k, _| format!("(i32.eqz (i32.lt_u (local.get $p) (i32.const {k})))"),
            |k, _| format!("(i32.ge_u (local.get $p) (i32.const {k}))"),
        ),
        (
            |k, _| format!("(i32.and (i32.and (local.get $p) (i32.const {k})) (i32.const 0xffffff))"),
            |k, _| format!("(i32.and (local.get $p) (i32.const {}))", k & 0xff_ffff),
        ),
    ]);
    let sum = |of: fn(i32, u64) -> String| -> String {
        (0..count)
            .map(|i| {
                format!(
                    "(local.set $a (i32.xor (i32.mul (local.get $a) (i32.const 3)) {}))\n",
                    of(constant(i, 1), i)
                )
            })
            .collect()
    };
    task(&recursive(&format!("{} {CALL} {}", sum(before), sum(behind))), depth(dice))
}

/// Many values are loaded, and their sum is only used behind the call.
fn sunk(dice: &mut Dice) -> String {
    let count = dice.size(2_000).next_power_of_two();
    let operator = dice.of(&["i32.add", "i32.xor", "i32.mul"]);
    let is_tree = dice.roll(2) == 0;
    let mut sum = String::new();
    for i in 1..=count {
        let _ = write!(sum, "local.get $p i32.load offset={} ", 4 * (i % 4_000));
        let operators = if is_tree { i.trailing_zeros() } else { u32::from(i > 1) };
        sum += &format!("{operator} ").repeat(operators as usize);
    }
    let body = format!("{sum} local.set $b {CALL} (local.set $a (i32.add (local.get $a) (local.get $b)))");
    task(&recursive(&body), depth(dice))
}

/// What does not change in a loop with a call in it.
fn invariant(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(2_000), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let body = format!(
        "(local.set $b (i32.const 2)) (loop $again {values} {CALL} (local.set $n (i32.const 0))
         (br_if $again (local.tee $b (i32.sub (local.get $b) (i32.const 1)))))"
    );
    task(&recursive(&body), depth(dice))
}

/// The same in both arms, behind a call in each.
fn arms(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(2_000), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let body = format!(
        "(if (i32.and (local.get $p) (i32.const 1)) (then {CALL} {values})
         (else (local.set $a (i32.const 5)) {CALL} {values} (local.set $a (i32.mul (local.get $a) (i32.const 3)))))"
    );
    task(&recursive(&body), depth(dice))
}

/// The same places in memory before and behind.
fn addresses(dice: &mut Dice) -> String {
    let count = dice.size(1_500);
    let far = dice.of(&[0_u64, 900_000, 40_000_000]);
    let loads: String = (0..count)
        .map(|i| {
            let k = i * 8;
            let address = format!("(i32.and (i32.add (local.get $p) (i32.const {k})) (i32.const 0xffff))");
            match far {
                40_000_000 if i > 0 => format!("(if (i32.eq (local.get $n) (i32.const -{i})) (then (local.set $a (i32.load offset={} {address}))))\n", far + i),
                _ => format!("(local.set $a (i32.xor (local.get $a) (i32.load offset={} {address})))\n", far.min(900_000)),
            }
        })
        .collect();
    task(&recursive(&format!("{loads} {CALL} {loads}")), depth(dice))
}

/// Many parameters and results.
fn parameters(dice: &mut Dice) -> String {
    let (params, results) = (dice.size(900), dice.size(600));
    let of = dice.of(&["i32", "i64", "f64"]);
    let list = |count: u64| format!("{of} ").repeat(count as usize);
    let gets: String = (0..params).map(|i| format!("(local.get {}) ", i + 2)).collect();
    let zeros = format!("({of}.const 1) ").repeat(params as usize);
    let drops = "(drop) ".repeat(results as usize);
    let made: String = (0..results)
        .map(|i| format!("({of}.add (local.get {}) ({of}.const {i})) ", 2 + i % params))
        .collect();
    task(
        &format!(
            "(func $g (param $p i32) (param $n i32) (param {}) (result {})
               (if (local.get $n) (then (call $g (local.get $p) (i32.sub (local.get $n) (i32.const 1)) {gets}) {drops})) {made})
             (func $f (type $t) (param $p i32) (param $n i32) (result i32)
               (call $g (local.get $p) (local.get $n) {zeros}) {drops} (local.get $p))",
            list(params),
            list(results)
        ),
        depth(dice),
    )
}

/// Many operands lie below a call.
fn operands(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(3_000), dice.roll(7));
    let pushed: String = (0..count).map(|i| value(i, way)).collect::<Vec<_>>().join("\n");
    let popped = "(i32.xor) ".repeat(count as usize);
    let again = if dice.roll(2) == 0 { all(count, way, "i32.add") } else { String::new() };
    let body = format!(
        "{pushed} (if (result i32) (local.get $n) (then (call $f (i32.add (local.get $p) (i32.const 1)) (i32.sub (local.get $n) (i32.const 1)))) (else (i32.const 3)))
         {popped} (local.set $a) {again}"
    );
    task(&recursive(&body), depth(dice))
}

/// Two functions that call each other.
fn mutual(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(2_000), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let f = recursive(&format!("{values} {} {values}", CALL.replace("$f", "$g")));
    let g =
        recursive(&format!("{} {CALL}", all(dice.size(50), way, "i32.add"))).replace("(func $f", "(func $g");
    task(&format!("{f} {g}"), depth(dice))
}

/// The same through a table.
fn through_a_table(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(2_000), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let call = CALL.replace("(call $f", "(call_indirect (type $t)").replace(
        "(i32.sub (local.get $n) (i32.const 1))",
        "(i32.sub (local.get $n) (i32.const 1)) (i32.const 0)",
    );
    task(
        &format!(
            "(table 4 funcref) (elem (i32.const 0) $f) {}",
            recursive(&format!("{values} {call} {values}"))
        ),
        depth(dice),
    )
}

/// A chain of functions that cannot recurse.
fn chain(dice: &mut Dice) -> String {
    let (length, count, way) = (dice.size(60), dice.size(300), dice.roll(7));
    let values = all(count, way, "i32.xor");
    let mut functions = String::new();
    for i in 0..length {
        let call = CALL.replace("$f", &format!("$f{}", i + 1));
        let call = if i + 1 == length { String::new() } else { call };
        functions +=
            &recursive(&format!("{values} {call} {values}")).replace("(func $f", &format!("(func $f{i}"));
    }
    functions += "(func $f (type $t) (param $p i32) (param $n i32) (result i32) (call $f0 (local.get $p) (local.get $n)))";
    task(&functions, 1_000)
}

/// Locals that change places in a loop and hold the same, and what follows from them.
fn swapped(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(1_000), dice.roll(7));
    let (values, others) = (all(count, way, "i32.xor"), all(count, way, "i32.xor").replace("$p", "$c"));
    let body = format!(
        "(local.set $b (local.get $p)) (local.set $c (local.get $p)) {values}
         (loop $again
           (local.get $b) (local.set $b (local.get $c)) (local.set $c)
           {CALL} (local.set $n (i32.const 0)) {others}
           (br_if $again (i32.eq (local.get $a) (i32.const 123456789))))"
    );
    task(&recursive(&body), depth(dice))
}

/// Values whose lives begin and end one after the other.
fn staggered(dice: &mut Dice) -> String {
    let (count, width) = (dice.size(3_000), 1 + dice.roll(40));
    let locals: String = (0..width).map(|i| format!("(local $s{i} i32)")).collect();
    let mut body = String::new();
    for i in 0..count {
        let slot = i % width;
        let _ = writeln!(
            body,
            "(local.set $a (i32.xor (local.get $a) (local.get $s{slot}))) (local.set $s{slot} (i32.load offset={} (local.get $p)))",
            4 * (i % 2_000)
        );
        if i == count / 2 {
            body += CALL;
        }
    }
    task(&recursive(&body).replace("(local $a i32)", &format!("(local $a i32) {locals}")), depth(dice))
}

/// Many locals change in nested loops.
fn phis(dice: &mut Dice) -> String {
    let (count, loops) = (dice.size(3_000), dice.size(400));
    let locals: String = (0..count).map(|i| format!("(local $s{i} i32)")).collect();
    let inner: String = (0..count)
        .map(|i| format!("(local.set $s{i} (i32.add (local.get $s{i}) (i32.const {i})))"))
        .collect();
    let sum: String =
        (0..count).map(|i| format!("(local.set $a (i32.xor (local.get $a) (local.get $s{i})))")).collect();
    let open = "(loop ".repeat(loops as usize);
    let close = "(br_if 0 (i32.eqz (local.get $b)))) ".repeat(loops as usize);
    let body = format!("(local.set $b (i32.const 1)) {open} {inner} {close} {sum}");
    task(&recursive(&body).replace("(local $a i32)", &format!("(local $a i32) {locals}")), 0)
}

/// Branch tables with many targets, many locals alive.
fn branches(dice: &mut Dice) -> String {
    let (targets, depth, locals) = (dice.size(8_000), dice.size(400), dice.size(1_000));
    let names: String = (0..locals).map(|i| format!("(local $s{i} i32)")).collect();
    let labels: String = (0..targets).map(|i| format!("{} ", i % depth)).collect();
    let mut body = String::from("(block ").repeat(depth as usize);
    let _ = write!(body, "(br_table {labels} 0 (local.get $p))");
    for i in 0..depth {
        let s = i % locals;
        let _ =
            write!(body, ") (local.set $s{s} (i32.add (local.get $s{}) (i32.const {i})))", (i + 1) % locals);
    }
    let sum: String =
        (0..locals).map(|i| format!("(local.set $a (i32.xor (local.get $a) (local.get $s{i})))")).collect();
    task(
        &recursive(&format!("{body} {sum}")).replace("(local $a i32)", &format!("(local $a i32) {names}")),
        0,
    )
}

/// Blocks in blocks, with values or conditions.
fn blocks(dice: &mut Dice) -> String {
    let depth = dice.size(8_000) as usize;
    let body = match dice.roll(3) {
        0 => format!(
            "{} (local.set $a (i32.const 3)) {}",
            "(block (br_if 0 (local.get $p)) ".repeat(depth),
            ")".repeat(depth)
        ),
        1 => format!(
            "(local.set $a {} (i32.const 1) {})",
            "(block (result i32) ".repeat(depth),
            ")".repeat(depth)
        ),
        _ => format!(
            "{} (local.set $a (i32.const 3)) {}",
            "(if (i32.and (local.get $p) (i32.const 64)) (then ".repeat(depth),
            "))".repeat(depth)
        ),
    };
    task(&recursive(&body), 0)
}

/// One long function, or many.
fn long(dice: &mut Dice) -> String {
    let (count, functions, way) = (dice.size(20_000), dice.size(20), dice.roll(7));
    let values = all(count, way, dice.of(&["i32.xor", "i32.add", "i32.mul"]));
    let others: String =
        (1..functions).map(|i| recursive(&values).replace("(func $f", &format!("(func $f{i}"))).collect();
    task(&format!("{} {others}", recursive(&values)), 0)
}
