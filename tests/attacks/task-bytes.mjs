// Tasks as bytes, made of WebAssembly's text.
import binaryen from "binaryen";

/** A task of this step, whose output is the four bytes at 1,024 and whose input lies at 2,048. */
export function task(step, { functions = "", pages = "1 1000" } = {}) {
  const module = binaryen.parseText(`(module
    (memory (export "memory") ${pages})
    ${functions}
    (func (export "peeredge_input") (param i32) (result i32) (i32.const 2048))
    (func (export "peeredge_step") (result i32) ${step})
    (func (export "peeredge_output") (result i64) (i64.const ${(1024n << 32n) | 4n})))`);
  const bytes = [...module.emitBinary()];
  module.dispose();
  return bytes;
}

/** A task that fills all memory it is given. */
export const filling = () =>
  task(`(local $at i32)
    (loop $grow (br_if $grow (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))
    (loop $fill
      (i32.store (local.get $at) (i32.const 0x01010101))
      (local.set $at (i32.add (local.get $at) (i32.const 1024)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (i32.const 10000)`, { pages: "1 65536" });

/** A task that gives its input back, for which it grows. */
export function echoing() {
  const module = binaryen.parseText(`(module
    (memory (export "memory") 1 65536)
    (global $length (mut i32) (i32.const 0))
    (func (export "peeredge_input") (param $length i32) (result i32)
      (drop (memory.grow (i32.shr_u (i32.add (local.get $length) (i32.const 65535)) (i32.const 16))))
      (global.set $length (local.get $length))
      (i32.const 65536))
    (func (export "peeredge_step") (result i32) (i32.const 10000))
    (func (export "peeredge_output") (result i64)
      (i64.or (i64.const ${65536n << 32n}) (i64.extend_i32_u (global.get $length)))))`);
  const bytes = [...module.emitBinary()];
  module.dispose();
  return bytes;
}

/** A task with a table of so many elements. */
export const tabled = (elements) => task("(i32.const 10000)", { functions: `(table $t ${elements} funcref)` });

/** So many locals, all of them changed in the innermost of so many loops: what engines take long to compile. */
export function bomb(locals, loops) {
  const names = Array.from({ length: locals }, (_, n) => n);
  const inner = names.map((n) => `(local.set $v${n} (i32.add (local.get $v${n}) (i32.const 1)))`).join("\n");
  const used = names.map((n) => `(local.set $sum (i32.xor (local.get $sum) (local.get $v${n})))`).join("\n");
  const nested = Array.from({ length: loops }).reduceRight((body, _, n) => `(loop $l${n} ${body} (br_if $l${n} (i32.eqz (local.get $one))))`, inner);
  return task(`(local $one i32) (local $sum i32) ${names.map((n) => `(local $v${n} i32)`).join(" ")}
    (local.set $one (i32.const 1)) ${nested} ${used} (i32.store (i32.const 1024) (local.get $sum)) (i32.const 10000)`);
}

const leb = (value) => {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
};
const sized = (bytes) => [...leb(bytes.length), ...bytes];
const section = (id, items) => [id, ...sized([...leb(items.length), ...items.flat()])];

/** A task of so many MiB of code, in functions as small as those of real modules; each keeps to the bounds of the rewrite. */
export function large(mib) {
  const wide = Array.from({ length: 80 }).flatMap(() => [0x42, ...Array(8).fill(0xff), 0x3f, 0x1a]);
  const filler = sized([0, ...wide, 0x41, 0, 0x0b]);
  const count = Math.floor((mib * 2 ** 20) / filler.length);
  const name = (text) => sized([...Buffer.from(text)]);
  const head = [
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, 1, 0x7f, 1, 0x7f], [0x60, 0, 1, 0x7f], [0x60, 0, 1, 0x7e]]),
    ...section(3, [[0], [1], [2], ...Array.from({ length: count }, () => [1])]),
    ...section(5, [[0, 1]]),
    ...section(7, [[...name("memory"), 2, 0], [...name("peeredge_input"), 0, 0], [...name("peeredge_step"), 0, 1], [...name("peeredge_output"), 0, 2]]),
  ];
  const own = [sized([0, 0x41, ...[0x80, 0x10], 0x0b]), sized([0, 0x41, ...[0x90, 0xce, 0], 0x0b]), sized([0, 0x42, 0, 0x0b])].flat();
  const code = Buffer.concat([Buffer.from([...leb(count + 3), ...own]), ...Array.from({ length: count }, () => Buffer.from(filler))]);
  return Buffer.concat([Buffer.from(head), Buffer.from([10, ...leb(code.length)]), code]);
}
