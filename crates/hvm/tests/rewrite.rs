//! The rewrite, looked at from outside: what it refuses and where, and that what it makes is valid and always the same.
use peeredge_hvm::rewrite::{Reason, rewrite};
use peeredge_hvm::{Limits, Refused, instrument};
use proptest::prelude::*;

const TASK: &str = r#"
  (func (export "peeredge_input") (param i32) (result i32) i32.const 0)
  (func (export "peeredge_output") (result i64) i64.const 0)
"#;

fn task(rest: &str) -> Vec<u8> {
    let memory = if rest.contains("(memory") { "" } else { r#"(memory (export "memory") 1)"# };
    let step = if rest.contains("peeredge_step") {
        ""
    } else {
        r#"(func (export "peeredge_step") (result i32) i32.const 10000)"#
    };
    wat::parse_str(format!("(module {rest} {memory} {TASK} {step})")).expect("the test's own text is right")
}

fn refused(rest: &str) -> Refused {
    instrument(&task(rest), &Limits::default()).expect_err(rest)
}

fn is_valid(bytes: &[u8]) -> bool {
    wasmparser::Validator::new().validate_all(bytes).is_ok()
}

#[test]
fn a_task_is_rewritten_the_same_way_every_time() {
    let module = task("(func (export \"other\") (loop (br 0)))");
    let once = instrument(&module, &Limits::default()).expect("a task");
    assert_eq!(instrument(&module, &Limits::default()), Ok(once.clone()));
    assert!(is_valid(&once.bytes));
    assert!(once.is_movable);
}

#[test]
fn what_hosts_differ_in_is_refused_by_name_with_the_function_and_the_offset() {
    for (text, name) in [
        ("(func) (func (drop (i32.atomic.load (i32.const 0))))", "threads"),
        ("(func) (func (param v128) (drop (f32x4.relaxed_min (local.get 0) (local.get 0))))", "relaxed_simd"),
        ("(func) (func (drop (ref.i31 (i32.const 1))))", "gc"),
        ("(func) (func (try_table))", "exceptions"),
        ("(func) (func (return_call 0))", "tail_call"),
    ] {
        let Refused { reason, function, offset } = refused(text);
        assert_eq!(reason, Reason::Feature(name), "{text}");
        assert_eq!(function, Some(1), "{text}");
        assert!(offset > 8, "{text}");
    }
    for (text, name) in [
        (r#"(memory (export "memory") i64 1)"#, "memory64"),
        (r#"(memory (export "memory") 1 1 shared)"#, "threads"),
        ("(type (struct))", "gc"),
        ("(tag)", "exceptions"),
    ] {
        let Refused { reason, function, .. } = refused(text);
        assert_eq!((reason, function), (Reason::Feature(name), None), "{text}");
    }
}

#[test]
fn a_task_has_no_imports_and_the_exports_of_the_abi() {
    let import = refused(r#"(import "env" "now" (func (result i64)))"#);
    assert_eq!(import.reason, Reason::Import { module: "env".into(), name: "now".into() });
    assert_eq!(refused(r#"(memory 1)"#).reason, Reason::MissingExport("memory"));
    let wrong = refused(r#"(func (export "peeredge_step") (result i64) i64.const 0)"#);
    assert_eq!(wrong.reason, Reason::MissingExport("peeredge_step"));
    let reserved = refused(r#"(func (export "peeredge:gas"))"#);
    assert_eq!(reserved.reason, Reason::ReservedExport("peeredge:gas".into()));
    assert!(matches!(refused("(func (param externref))").reason, Reason::Invalid(_)));
}

#[test]
fn what_would_not_fit_a_host_is_refused() {
    let large = refused(r#"(memory (export "memory") 1025)"#);
    assert_eq!(large.reason, Reason::MemoryPages { pages: 1_025, max: 1_024 });
    assert_eq!(refused("(table 2000000 funcref)").reason, Reason::TableElements(2_000_000));
    let frame = refused(&format!("(func (local {}))", "i64 ".repeat(20_000)));
    assert!(matches!(frame.reason, Reason::StackSlots(20_016)), "{frame}");
    assert_eq!(refused(&format!("(func (local {}))", "i32 ".repeat(49_999))).reason, Reason::Locals(49_999));
    let bytes = vec![0; 50 << 20];
    let Refused { reason, .. } = instrument(&bytes, &Limits::default()).expect_err("50 MB of nothing");
    assert_eq!(reason, Reason::Bytes { bytes: 50 << 20, max: 32 << 20 });
}

#[test]
fn frames_of_functions_that_cannot_recurse_add_up_along_the_calls() {
    let locals = "i64 ".repeat(3_000);
    let chain = |length: u32| {
        (0..length).map(|n| format!("(func $f{n} (local {locals}) (call $f{}))", n + 1)).collect::<String>()
            + &format!("(func $f{length})")
    };
    assert!(instrument(&task(&chain(5)), &Limits::default()).is_ok());
    assert!(matches!(refused(&chain(6)).reason, Reason::StackSlots(_)));
}

#[test]
fn a_task_that_keeps_state_where_no_checkpoint_looks_cannot_move() {
    let is_movable = |text: &str| instrument(&task(text), &Limits::default()).expect(text).is_movable;
    assert!(is_movable("(global (mut i32) (i32.const 0)) (global (mut i64) (i64.const 0))"));
    assert!(!is_movable("(global (mut f64) (f64.const 0))"));
    assert!(!is_movable("(global (mut funcref) (ref.null func))"));
    assert!(!is_movable("(table 1 funcref) (func (table.set 0 (i32.const 0) (ref.null func)))"));
    assert!(!is_movable("(data $d \"x\") (func (data.drop $d))"));
}

#[test]
fn ten_thousand_random_strings_are_refused_with_an_error() {
    // Seeded, so that a failing string is made again by its number.
    let mut dice = peeredge_wire::SplitMix64::new(20_261_125);
    let mut random = || dice.next_u64();
    for number in 0..10_000 {
        let length = (random() % 600) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        if number % 2 == 0 {
            bytes.splice(0..bytes.len().min(8), *b"\0asm\x01\0\0\0");
        }
        assert!(instrument(&bytes, &Limits::default()).is_err(), "string {number}");
    }
}

proptest! {
    #[test]
    fn a_task_with_bytes_changed_is_refused_or_rewritten_to_a_valid_module(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = task(BUSY);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(rewritten) = rewrite(&bytes, &Limits::default()) {
            prop_assert!(is_valid(&rewritten.bytes));
        }
    }
}

/// A bit of everything that the rewrite changes.
const BUSY: &str = r#"
  (table 4 funcref) (elem (i32.const 0) $fib $sum)
  (type $unary (func (param i32) (result i32)))
  (func $fib (type $unary)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func $sum (type $unary) (local $acc f64)
    (block $out
      (loop $next
        (br_if $out (i32.eqz (local.get 0)))
        (local.set $acc (f64.add (local.get $acc) (f64.sqrt (f64.convert_i32_s (local.get 0)))))
        (local.set 0 (call $less (local.get 0)))
        (br $next)))
    (i32.trunc_sat_f64_s (local.get $acc)))
  (func $less (type $unary) (i32.sub (local.get 0) (i32.const 1)))
  (func $two (param i32) (result i32 i64)
    (br_if 0 (i32.const 1) (i64.const 2) (local.get 0))
    (drop) (drop)
    (call_indirect (type $unary) (local.get 0) (local.get 0))
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 8))
    (i64.extend_i32_u (memory.grow (i32.const 0))))
  (func (param v128) (result v128) (f32x4.add (local.get 0) (f32x4.mul (local.get 0) (local.get 0))))
"#;

#[test]
fn a_loop_with_floats_that_ends_after_known_passes_at_the_latest_is_written_twice_and_any_other_once() {
    let loops = |work: &str, moved: &str| {
        let bytes = task(&format!(
            r#"(func (param i32 i32 f64)
                 (block $out
                   (loop $again
                     (br_if $out (i32.load (local.get 0)))
                     {work}
                     (br_if $out (i32.eq {moved} (local.get 1)))
                     (br $again))))"#
        ));
        let rewritten = instrument(&bytes, &Limits::default()).unwrap().bytes;
        let bodies =
            wasmparser::Parser::new(0).parse_all(&rewritten).filter_map(|part| match part.unwrap() {
                wasmparser::Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            });
        let operators =
            bodies.flat_map(|body| body.get_operators_reader().unwrap().into_iter().collect::<Vec<_>>());
        operators.filter(|operator| matches!(operator, Ok(wasmparser::Operator::Loop { .. }))).count()
    };
    let float = "(local.set 2 (f64.sqrt (local.get 2)))";
    let moved = "(local.tee 0 (i32.add (local.get 0) (i32.const 8)))";
    assert_eq!(loops(float, moved), 2);
    assert_eq!(loops("", moved), 1, "searches are left soon");
    assert_eq!(
        loops(float, "(local.tee 0 (i32.add (local.get 0) (i32.const 3)))"),
        1,
        "three may miss the end"
    );
    assert_eq!(loops(float, "(local.tee 0 (i32.mul (local.get 0) (i32.const 8)))"), 1);
    assert_eq!(
        loops(&format!("{float} (local.set 0 (i32.const 1))"), moved),
        1,
        "the counter is set elsewhere"
    );
    assert_eq!(loops(&format!("{float} (local.set 1 (i32.const 1))"), moved), 1, "the end moves");
    assert_eq!(loops(&format!("{float} (br_if $again (local.get 0))"), moved), 1, "two ways back");
}
