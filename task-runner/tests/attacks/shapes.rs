//! Shapes of code that compilers may take long over: where ways meet, values that are kept, and much of anything.
use std::fmt::Write;

use super::{Dice, Kind, constant, recursive, task, value};

/// Kinds of tasks, by name.
pub const KINDS: [(&str, Kind); 15] = [
    ("machine", machine),
    ("machines", machines),
    ("ladder", ladder),
    ("copies", copies),
    ("selects", selects),
    ("wide blocks", wide_blocks),
    ("wide calls", wide_calls),
    ("tiny functions", tiny_functions),
    ("types", types),
    ("vectors", vectors),
    ("constants", constants),
    ("divisions", divisions),
    ("float loops", float_loops),
    ("loops in a row", loops_in_a_row),
    ("stores", stores),
];

fn locals(count: u64) -> String {
    (0..count).map(|i| format!("(local $s{i} i32)")).collect()
}

fn sum(count: u64) -> String {
    (0..count).map(|i| format!("(local.set $a (i32.xor (local.get $a) (local.get $s{i})))")).collect()
}

fn with_locals(body: &str, count: u64) -> String {
    task(&recursive(body).replace("(local $a i32)", &format!("(local $a i32) {}", locals(count))), 0)
}

/// A loop around a branch table: each state changes a local and goes back, so that each way back brings a value for each local.
fn machine(dice: &mut Dice) -> String {
    let (states, count) = (dice.size(60_000), dice.size(4_000));
    let labels: String = (0..states).map(|i| format!("{i} ")).collect();
    let mut body = String::from("(loop $again ");
    body += &"(block ".repeat(states as usize);
    let is_table = states < 400 && dice.roll(2) == 0;
    match is_table {
        true => drop(write!(body, "(br_table {labels} {states} (local.get $p))")),
        false => body += "(local.set $b (i32.add (local.get $b) (i32.const 1)))",
    }
    for i in 0..states {
        let s = i % count;
        let _ = write!(
            body,
            ") (local.set $s{s} (i32.add (local.get $s{s}) (i32.const {i}))) (br_if $again (i32.eq (local.get $p) (i32.const {})))",
            1_000_000 + i
        );
    }
    body += ")";
    with_locals(&format!("{body} {}", sum(count)), count)
}

/// The same, one after the other, each beginning with what the one before left.
fn machines(dice: &mut Dice) -> String {
    let (loops, states, count) = (dice.size(300), dice.size(300), dice.size(1_000));
    let mut body = String::new();
    for l in 0..loops {
        let _ = write!(body, "(loop $again{l} ");
        for i in 0..states {
            let s = (i * 7 + l) % count;
            let _ = write!(
                body,
                "(local.set $s{s} (i32.add (local.get $s{s}) (i32.const {i}))) (br_if $again{l} (i32.eq (local.get $p) (i32.const {})))",
                1_000_000 + i
            );
        }
        body += ")";
    }
    with_locals(&format!("{body} {}", sum(count)), count)
}

/// Arms that change different locals, one behind the other: all of them meet each time.
fn ladder(dice: &mut Dice) -> String {
    let (steps, count, width) = (dice.size(6_000), dice.size(3_000), dice.size(60));
    let mut body = String::new();
    for i in 0..steps {
        let _ = write!(body, "(if (i32.and (local.get $p) (i32.const {})) (then ", 1 << (i % 31));
        for j in 0..width {
            let s = (i * width + j * 13) % count;
            let _ = write!(body, "(local.set $s{s} (i32.add (local.get $s{s}) (i32.const {j})))");
        }
        body += "))";
    }
    with_locals(&format!("{body} {}", sum(count)), count)
}

/// Arms that only copy one local to another, so that no operator takes what meets there before the end.
fn copies(dice: &mut Dice) -> String {
    let (steps, count, width) = (dice.size(6_000), dice.size(3_000), dice.size(8));
    let mut body = String::new();
    for i in 0..steps {
        let _ = write!(body, "(if (i32.and (local.get $p) (i32.const {})) (then ", 1 << (i % 31));
        for j in 0..width {
            let s = (i * width + j * 13) % count;
            let _ = write!(body, "(local.set $s{s} (local.get $s{}))", (s * 7 + i) % count);
        }
        body += "))";
    }
    with_locals(&format!("{body} {}", sum(count)), count)
}

/// Choices among values that are all kept.
fn selects(dice: &mut Dice) -> String {
    let (count, way) = (dice.size(20_000), dice.roll(7));
    let mut body = String::new();
    for i in 0..count {
        let _ = write!(
            body,
            "(local.set $a (select {} (local.get $a) (i32.lt_u (local.get $a) {})))",
            value(i, way),
            value(i + 3, way)
        );
    }
    task(&recursive(&body), 0)
}

/// Blocks that take and give many values, in each other or in a row.
fn wide_blocks(dice: &mut Dice) -> String {
    let (width, depth) = (dice.size(900), dice.size(2_000) as usize);
    let list = "i32 ".repeat(width as usize);
    let values: String = (0..width).map(|i| value(i, 0)).collect();
    let open = "(block (type $wide) ";
    let inner = match dice.roll(3) {
        0 => format!("{} {}", open.repeat(depth), ")".repeat(depth)),
        1 => format!("{open} (br_if 0 (local.get $p)) )").repeat(depth),
        _ => format!(
            "{} (br_if 0 (local.get $n)) {}",
            open.replace("block", "loop").repeat(depth),
            ")".repeat(depth)
        ),
    };
    let folded = "(i32.xor) ".repeat(width as usize - 1);
    task(
        &format!(
            "(type $wide (func (param {list}) (result {list}))) {}",
            recursive(&format!("{values} {inner} {folded} (local.set $a)"))
        ),
        0,
    )
}

/// Calls with many values, in one body.
fn wide_calls(dice: &mut Dice) -> String {
    let (params, results, calls) = (dice.size(900), dice.size(300), dice.size(3_000));
    let list = |count: u64| "i32 ".repeat(count as usize);
    let args: String =
        (0..params).map(|i| if i % 2 == 0 { "(local.get $p) ".into() } else { value(i, 0) }).collect();
    let folded = "(i32.xor) ".repeat(results as usize - 1);
    let is_indirect = dice.roll(2) == 0;
    let call = match is_indirect {
        true => format!("{args} (i32.const 0) (call_indirect (type $wide)) {folded} (local.set $a)"),
        false => format!("{args} (call $g) {folded} (local.set $a)"),
    };
    let made = "(local.get 0) ".repeat(results as usize);
    task(
        &format!(
            "(type $wide (func (param {}) (result {}))) (table 1 funcref) (elem (i32.const 0) $g)
             (func $g (type $wide) {made}) {}",
            list(params),
            list(results),
            recursive(&call.repeat(calls as usize))
        ),
        0,
    )
}

/// Thousands of functions of a few operators, in a table, exported, or called.
fn tiny_functions(dice: &mut Dice) -> String {
    let (count, how) = (dice.size(60_000), dice.roll(4));
    let mut functions = String::new();
    for i in 0..count {
        let export = if how == 1 { format!("(export \"e{i}\")") } else { String::new() };
        let call = match how {
            2 if i > 0 => format!("(call $t{} (local.get 0))", i - 1),
            3 if i > 1 => {
                format!("(i32.add (call $t{} (local.get 0)) (call $t{} (local.get 0)))", i / 2, i / 3)
            }
            _ => format!("(i32.mul (local.get 0) (i32.const {i}))"),
        };
        let _ = writeln!(functions, "(func $t{i} {export} (param i32) (result i32) {call})");
    }
    if how == 0 {
        let names: String = (0..count).map(|i| format!("$t{i} ")).collect();
        functions += &format!("(table {count} funcref) (elem (i32.const 0) {names})");
    }
    task(&format!("{functions} {}", recursive("(local.set $a (local.get $p))")), 0)
}

/// Types of many parameters, and calls of each through a table.
fn types(dice: &mut Dice) -> String {
    let (count, width) = (dice.size(20_000), dice.size(40));
    let mut text = String::new();
    let mut body = String::new();
    for i in 0..count {
        let bits: String = (0..width).map(|b| if i >> (b % 16) & 1 == 1 { "i64 " } else { "i32 " }).collect();
        let _ = writeln!(
            text,
            "(type $t{i} (func (param {bits} {} ) (result i32)))",
            "f32 ".repeat((i / 65_536) as usize)
        );
        let args: String = (0..width)
            .map(|b| if i >> (b % 16) & 1 == 1 { "(i64.const 1)" } else { "(i32.const 1)" })
            .collect();
        let _ = write!(body, "(local.set $a (call_indirect (type $t{i}) {args} (i32.const 0)))");
    }
    task(&format!("(table 1 funcref) {text} {}", recursive(&format!("(if (local.get $n) (then {body}))"))), 0)
}

/// Vectors through operators that are many instructions each.
fn vectors(dice: &mut Dice) -> String {
    let count = dice.size(20_000);
    let operator = dice.of(&[
        "i8x16.swizzle",
        "i64x2.mul",
        "i16x8.q15mulr_sat_s",
        "i8x16.shuffle 0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31",
        "f32x4.min",
        "f64x2.div",
        "i8x16.avgr_u",
        "f32x4.pmax",
        "i16x8.extmul_high_i8x16_s",
    ]);
    let more = dice.of(&[
        "",
        "i8x16.popcnt",
        "f32x4.nearest",
        "i32x4.trunc_sat_f32x4_u",
        "f64x2.convert_low_i32x4_u",
        "i64x2.abs",
    ]);
    let mut body = String::from("(local.set $w (i32x4.splat (local.get $p)))");
    for i in 0..count {
        let step = format!(
            "({operator} (local.get $v) (i32x4.replace_lane {} (local.get $w) (i32.const {i})))",
            i % 4
        );
        let step = if more.is_empty() { step } else { format!("({more} {step})") };
        let _ = write!(body, "(local.set $v {step})");
    }
    body += "(local.set $a (i32x4.extract_lane 1 (local.get $v)))";
    task(&recursive(&body).replace("(local $a i32)", "(local $a i32) (local $v v128) (local $w v128)"), 0)
}

/// Constants, all of them different, that are kept apart from the code.
fn constants(dice: &mut Dice) -> String {
    let (count, of) = (dice.size(40_000), dice.roll(3));
    let mut body = String::new();
    for i in 0..count {
        let k = constant(i, 7);
        let _ = match of {
            0 => write!(body, "(local.set $v (v128.xor (local.get $v) (v128.const i32x4 {k} {i} {k} 9)))"),
            1 => write!(body, "(local.set $d (f64.add (local.get $d) (f64.const {k}.{i})))"),
            _ => write!(
                body,
                "(local.set $l (i64.xor (local.get $l) (i64.const {})))",
                i64::from(k) << 31 ^ i as i64
            ),
        };
    }
    body += "(local.set $a (i32.wrap_i64 (local.get $l)))";
    let extra = "(local $a i32) (local $v v128) (local $d f64) (local $l i64)";
    task(&recursive(&body).replace("(local $a i32)", extra), 0)
}

/// Divisions by constants and by what is not known, conversions that are checked.
fn divisions(dice: &mut Dice) -> String {
    let (count, of) = (dice.size(20_000), dice.roll(4));
    let mut body = String::from("(local.set $a (i32.or (local.get $p) (i32.const 1)))");
    for i in 0..count {
        let k = constant(i, 5);
        let _ = match of {
            0 => write!(
                body,
                "(local.set $a (i32.add (i32.div_s (local.get $a) (i32.const {k})) (i32.const {k})))"
            ),
            1 => write!(
                body,
                "(local.set $a (i32.or (i32.rem_u (i32.const {k}) (local.get $a)) (i32.const 1)))"
            ),
            2 => write!(
                body,
                "(local.set $a (i32.trunc_sat_f32_u (f32.convert_i32_s (i32.xor (local.get $a) (i32.const {k})))))"
            ),
            _ => write!(
                body,
                "(local.set $a (i32.wrap_i64 (i64.div_u (i64.const -{}) (i64.extend_i32_u (i32.or (local.get $a) (i32.const 1))))))",
                i + 1
            ),
        };
    }
    task(&recursive(&body), 0)
}

/// Loops whose passes are known, with floats that are stored: each is written twice or more.
fn float_loops(dice: &mut Dice) -> String {
    let (count, wide) = (dice.size(3_000), dice.size(25));
    let mut body = String::new();
    for l in 0..count {
        let stores: String = (0..wide)
            .map(|i| format!("(f64.store offset={} (local.get $c) (f64.div (f64.load offset={} (local.get $c)) (f64.const {l})))", 8 * i + 2_048, 8 * i + 4_096))
            .collect();
        let _ = write!(
            body,
            "(local.set $b (i32.const 8)) (loop $l{l} {stores} (br_if $l{l} (local.tee $b (i32.add (local.get $b) (i32.const -1)))))"
        );
    }
    task(&recursive(&body), 0)
}

/// Many loops behind each other, each changing some of many locals.
fn loops_in_a_row(dice: &mut Dice) -> String {
    let (loops, count, width) = (dice.size(3_000), dice.size(3_000), dice.size(40));
    let mut body = String::new();
    for l in 0..loops {
        let _ = write!(body, "(loop $l{l} ");
        for j in 0..width {
            let s = (l * width + j) % count;
            let _ = write!(
                body,
                "(local.set $s{s} (i32.add (local.get $s{s}) (local.get $s{})))",
                (s + 1) % count
            );
        }
        let _ = write!(body, "(br_if $l{l} (i32.eq (local.get $p) (i32.const 77))))");
    }
    with_locals(&format!("{body} {}", sum(count)), count)
}

/// Loads and stores that may be the same place, with calls in between.
fn stores(dice: &mut Dice) -> String {
    let (count, far) = (dice.size(20_000), dice.of(&[0_u64, 900_000, 4_000_000_000]));
    let mut body = String::new();
    for i in 0..count {
        let offset = if i % 50 == 0 { far } else { 0 } + i % 512;
        let guard = if offset > 900_000 { "(if (local.get $n) (then " } else { "((" };
        let store = format!(
            "(i32.store offset={offset} (i32.and (local.get $a) (i32.const 4092)) (i32.load offset={} (i32.and (local.get $p) (i32.const 4092))))",
            i % 1_000
        );
        match guard {
            "((" => body += &store,
            guard => drop(write!(body, "{guard} {store}))")),
        }
        let _ = write!(body, "(local.set $a (i32.load8_u offset={} (local.get $p)))", 1_024 + i % 512);
    }
    task(&recursive(&body), 0)
}
