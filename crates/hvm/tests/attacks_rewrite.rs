//! Modules that want more of a host than they show: refused by name, or bounded by what the rewrite writes.
use std::fmt::Write;

use peeredge_attacks::Attack;
use peeredge_hvm::rewrite::Reason;
use peeredge_hvm::{Limits, Refused, Rewritten, instrument};

const ABI: &str = r#"
  (func (export "peeredge_input") (param i32) (result i32) i32.const 0)
  (func (export "peeredge_step") (result i32) i32.const 10000)
  (func (export "peeredge_output") (result i64) i64.const 0)
"#;

fn rewritten(rest: &str) -> Result<Rewritten, Refused> {
    let memory = if rest.contains("(memory") { "" } else { r#"(memory (export "memory") 1)"# };
    let module =
        wat::parse_str(format!("(module {rest} {memory} {ABI})")).expect("the test's own text is right");
    instrument(&module, &Limits::default())
}

fn refused(rest: &str) -> Reason {
    rewritten(rest).map(|_| ()).expect_err("it wants too much").reason
}

fn attack(name: &'static str, spent: impl Into<String>, held: bool) {
    Attack::new("tasks", "tasks", name)
        .spent(spent)
        .lost("nothing: it is refused before anything runs")
        .end(held);
}

fn too_many(reason: &Reason) -> &'static str {
    match reason {
        Reason::TooMany { what, .. } => what,
        _ => "",
    }
}

#[test]
fn tables_of_a_million_elements_each_are_refused_together() {
    let tables = "(table 1048576 funcref)".repeat(100);
    let reason = refused(&tables);
    attack(
        "100 tables of a million elements in 629 bytes",
        "629 bytes",
        matches!(reason, Reason::TableElements(_)),
    );
    // Many that are small at first, and grow.
    let grows: String = (0..50)
        .map(|n| format!("(table $t{n} 1000 funcref) (func (drop (table.grow $t{n} (ref.null func) (i32.const 1000000))))"))
        .collect();
    let made = rewritten(&grows).expect("it starts small");
    let sum: u64 =
        tables_of(&made.bytes).iter().map(|of| of.maximum.expect("every table has a maximum")).sum();
    attack("50 tables that grow", "50 calls", sum <= 1 << 20);
}

fn tables_of(module: &[u8]) -> Vec<wasmparser::TableType> {
    let mut all = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        if let Ok(wasmparser::Payload::TableSection(tables)) = payload {
            all.extend(tables.into_iter().map(|table| table.expect("it is valid").ty));
        }
    }
    all
}

#[test]
fn tables_and_code_count_in_the_memory_limit() {
    let grows = "(table $t 1 funcref) (func (drop (table.grow $t (ref.null func) (i32.const 1))))";
    let all = format!(r#"{grows} (memory (export "memory") 1024)"#);
    let reason = refused(&all);
    attack(
        "a memory of the whole limit, and a table of 32 MiB beside it",
        "100 bytes",
        matches!(reason, Reason::MemoryPages { pages: 1024, max } if max < 1024),
    );
    assert!(rewritten(r#"(memory (export "memory") 1024)"#).is_ok());
    assert!(rewritten(&format!(r#"{grows} (memory (export "memory") 512)"#)).is_ok());
}

#[test]
fn what_some_engine_refuses_is_refused_by_name_everywhere() {
    let targets = format!("(func (param i32) (block (br_table {} (local.get 0))))", "0 ".repeat(65_100));
    attack(
        "a branch table of 65,100 targets",
        "65 kB",
        too_many(&refused(&targets)) == "targets in a branch table",
    );
    let body = format!("(func (drop (i32.const 1)) {})", "(drop (i32.const 1000000))".repeat(1_600_000));
    attack("a function of 7.8 MB", "7.8 MB", too_many(&refused(&body)) == "bytes in a function");
    let exports: String = (0..90_100).fold(String::new(), |mut text, n| {
        let _ = write!(text, r#"(export "{n}" (func $f))"#);
        text
    });
    attack("90,100 exports", "900 kB", too_many(&refused(&format!("(func $f) {exports}"))) == "exports");
    let name = "n".repeat(10_100);
    let named = refused(&format!(r#"(func (export "{name}"))"#));
    attack("a name of 10,100 bytes", "10 kB", too_many(&named) == "bytes in a name");
    for extended in [
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
        r#"(memory (export "memory") 1) (data (offset (i32.mul (i32.const 1) (i32.const 2))) "x")"#,
        "(table 9 funcref) (func $f) (elem (offset (i32.sub (i32.const 3) (i32.const 2))) $f)",
    ] {
        let reason = refused(extended);
        attack("a constant that is worked out", "10 bytes", reason == Reason::Feature("extended_const"));
    }
}

#[test]
fn what_compiles_for_minutes_is_refused_by_name() {
    let locals = |count: usize| "i32 ".repeat(count);
    let nested = |count: usize, loops: usize| {
        let mut inner = String::new();
        for local in 0..count {
            let _ = write!(inner, "(local.set {local} (i32.add (local.get {local}) (i32.const 1)))");
        }
        let (open, close) = ("(loop ".repeat(loops), "(br_if 0 (local.get 0)))".repeat(loops));
        format!("(func (local {}) {open} {inner} {close})", locals(count))
    };
    let reason = refused(&nested(1_000, 50));
    attack(
        "1,000 locals that change in 50 nested loops",
        "13 kB",
        too_many(&reason) == "locals written in nested loops of one function",
    );
    assert!(rewritten(&nested(100, 20)).is_ok());

    let many = format!("(func (local {}))", locals(49_000)).repeat(100);
    attack(
        "49,000 locals in each of 100 functions",
        "1 kB",
        too_many(&refused(&many)) == "locals in all functions",
    );

    let ways = "(block (br_if 0 (local.get 0)))".repeat(20_000);
    let branchy = format!("(func (param i32) (local {}) {ways})", locals(40_000));
    attack(
        "20,000 conditional branches over 40,000 locals",
        "200 kB",
        too_many(&refused(&branchy)) == "units of compiling",
    );

    // Locals of which all are taken at the end, with another value by each way there.
    let used = |count: usize, body: &str| {
        let sum: String = (0..count).map(|local| format!("(i32.add (local.get {})", 1 + local)).collect();
        let ends = ")".repeat(count);
        format!("(func (param i32) (result i32) (local {}) {body} {sum} (i32.const 0) {ends})", locals(count))
    };
    let set = |at: usize, count: usize| {
        let local = 1 + at % count;
        format!("(local.set {local} (i32.add (local.get {local}) (i32.const {at})))")
    };
    let branch = |depth: usize, at: usize| format!("(br_if {depth} (i32.eq (local.get 0) (i32.const {at})))");
    let places = |begin: &str, places: usize, count: usize| {
        let ends: String = (0..places).map(|place| format!(") {}", set(place, count))).collect();
        used(count, &format!("{} {begin} {ends}", "(block ".repeat(places)))
    };
    let switch = |count: usize, locals: usize| {
        let targets: String = (0..count).map(|target| format!("{target} ")).collect();
        places(&format!("(br_table {targets} 0 (local.get 0))"), count, locals)
    };
    let branches = |count: usize, locals: usize| {
        places(&(0..count).map(|place| branch(place, place)).collect::<String>(), count, locals)
    };
    let ways = |label: &str, ways: usize, count: usize| {
        let ways: String = (0..ways).map(|way| set(way, count) + &branch(0, way)).collect();
        used(count, &format!("({label} {ways})"))
    };
    for (name, bytes, body) in [
        ("a branch table to 800 places that write 400 locals", "20 kB", switch(800, 400)),
        ("branches to 800 places that write 400 locals", "24 kB", branches(800, 400)),
        ("1,000 ways to the end of a block, each with 1,000 locals", "33 kB", ways("block", 1_000, 1_000)),
        ("2,000 ways back to a loop's head, each with 1,000 locals", "52 kB", ways("loop", 2_000, 1_000)),
    ] {
        attack(name, bytes, too_many(&refused(&body)) == "units of compiling");
    }
    // As large as the main loop of an interpreter, and as what compilers make of large functions.
    let interpreter = |codes: usize, count: usize| {
        let targets: String = (0..codes).map(|code| format!("{code} ")).collect();
        let arms: String =
            (0..codes).map(|code| format!(") {} (br {})", set(code, count), codes - 1 - code)).collect();
        let blocks = "(block ".repeat(codes);
        used(count, &format!("(loop {blocks} (br_table {targets} {codes} (local.get 0)) {arms})"))
    };
    assert_eq!(rewritten(&interpreter(256, 200)).map(drop), Ok(()));
    assert!(rewritten(&switch(256, 50)).is_ok());
    assert!(rewritten(&ways("block", 300, 50)).is_ok());
    assert!(rewritten(&ways("loop", 300, 200)).is_ok());
}

#[test]
fn a_chain_of_functions_is_charged_for_what_engines_keep() {
    let mut chain = String::new();
    for n in 0..40 {
        let mut values = String::new();
        for k in 0..300 {
            let _ = write!(
                values,
                "(local.set 1 (i32.xor (local.get 1) (i32.mul (local.get 0) (i32.const {}))))",
                2 * k + 7
            );
        }
        let call = if n == 0 {
            "".into()
        } else {
            format!("(local.set 1 (i32.add (local.get 1) (call $f{} (local.get 0))))", n - 1)
        };
        let _ = write!(
            chain,
            "(func $f{n} (param i32) (result i32) (local i32) {values} {call} {values} (local.get 1))"
        );
    }
    let reason = refused(&chain);
    attack(
        "40 functions that each keep 300 values across a call",
        "400 kB",
        matches!(reason, Reason::StackSlots(_)),
    );
}
