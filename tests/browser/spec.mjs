// Runs the WebAssembly spec testsuite in this page, each module as it is and rewritten: every assertion must come to the same.
// Calls cross by adapters whose values are integers, since JavaScript has none for vectors and may change a NaN's bits.

const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const KINDS = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c, v: 0x7b };
/** What crosses for a value of each kind. */
const CROSSING = { i: [0x7f], l: [0x7e], f: [0x7f], d: [0x7e], v: [0x7e, 0x7e] };
const adapters = new Map();

/** A module that imports a function of these types and exports one that does the same with integers. */
function adapter(params, results) {
  const key = `${params}:${results}`;
  if (!adapters.has(key)) adapters.set(key, new WebAssembly.Module(adapterBytes([...params], [...results])));
  return adapters.get(key);
}

function adapterBytes(params, results) {
  const number = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...number(n >>> 7)]);
  const list = (items) => [...number(items.length), ...items.flat()];
  const section = (id, bytes) => [id, ...number(bytes.length), ...bytes];
  const name = (text) => list([...new TextEncoder().encode(text)].map((byte) => [byte]));
  const type = (from, to) => [0x60, ...list(from.map((one) => [one])), ...list(to.map((one) => [one]))];
  const cross = (kinds) => kinds.flatMap((kind) => CROSSING[kind]);
  const code = [];
  const get = (local) => code.push(0x20, ...number(local));
  let local = 0;
  for (const kind of params) {
    get(local++);
    if (kind === "f") code.push(0xbe);
    if (kind === "d") code.push(0xbf);
    if (kind === "v") {
      code.push(0xfd, 0x12);
      get(local++);
      code.push(0xfd, 0x1e, 1);
    }
  }
  code.push(0x10, 0);
  for (let index = results.length - 1; index >= 0; index--) code.push(0x21, ...number(local + index));
  results.forEach((kind, index) => {
    get(local + index);
    if (kind === "f") code.push(0xbc);
    if (kind === "d") code.push(0xbd);
    if (kind === "v") {
      code.push(0xfd, 0x1d, 0);
      get(local + index);
      code.push(0xfd, 0x1d, 1);
    }
  });
  const locals = list(results.map((kind) => [1, KINDS[kind]]));
  const body = [...locals, ...code, 0x0b];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list([type(params.map((kind) => KINDS[kind]), results.map((kind) => KINDS[kind])), type(cross(params), cross(results))])),
    ...section(2, list([[...name("m"), ...name("f"), 0, 0]])),
    ...section(3, list([[1]])),
    ...section(7, list([[...name("call"), 0, 1]])),
    ...section(10, list([[...number(body.length), ...body]])),
  ]);
}

/** All modules of a file, as they are or rewritten. */
class Side {
  constructor(isRewritten) {
    const none = () => undefined;
    const global = (value, of) => new WebAssembly.Global({ value }, of);
    this.isRewritten = isRewritten;
    this.named = new Map();
    this.current = null;
    this.registered = {
      spectest: {
        ...Object.fromEntries(["print", "print_i32", "print_i64", "print_f32", "print_f64", "print_i32_f32", "print_f64_f64"].map((name) => [name, none])),
        global_i32: global("i32", 666),
        global_i64: global("i64", 666n),
        global_f32: global("f32", 666.6),
        global_f64: global("f64", 666.6),
        table: new WebAssembly.Table({ initial: 10, maximum: 20, element: "anyfunc" }),
        memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }),
      },
    };
  }

  instantiate(hex) {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytesOf(hex)), this.registered);
    if (this.isRewritten) {
      this.fill(exports);
      exports["peeredge:start"]?.();
    }
    return exports;
  }

  fill(exports) {
    exports["peeredge:gas"].value = 1n << 60n;
    exports["peeredge:stack"].value = 32_768;
  }

  of(name) {
    return name === null ? this.current : (this.named.get(name) ?? null);
  }

  /** What a call comes to: `values`, `trap`, `exhaustion`, or `absent` where this side has nothing to call or JavaScript no way to. */
  call({ module, name, args, params, results }) {
    const exports = this.of(module);
    const exported = exports?.[name];
    if (exported === undefined) return { came: "absent" };
    if (args === null) return { came: "values", values: [exported.value] };
    const kinds = [...params, ...results];
    const crosses = kinds.every((kind) => kind in KINDS);
    // References cross as they are, beside integers only.
    if (!crosses && !kinds.every((kind) => "ilr".includes(kind))) return { came: "absent" };
    const given = args.flatMap(([kind, bits]) => (kind === "null" ? [null] : bits.map((one) => (kind === "i" || kind === "f" ? Number(one) | 0 : BigInt(one)))));
    const call = crosses ? new WebAssembly.Instance(adapter(params, results), { m: { f: exported } }).exports.call : exported;
    try {
      const value = call(...given);
      return { came: "values", values: value === undefined ? [] : [value].flat() };
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError) && !(error instanceof RangeError)) throw error;
      if (!this.isRewritten) return { came: error instanceof RangeError ? "exhaustion" : "trap" };
      const deep = exports["peeredge:stack"].value < 0;
      if (error instanceof RangeError) return { came: "the engine's own stack overflowed first" };
      if (exports["peeredge:gas"].value < 0n) return { came: "out of gas" };
      this.fill(exports);
      return { came: deep ? "exhaustion" : "trap" };
    }
  }
}

const [f32, u32] = floats(Float32Array, Uint32Array);
const [f64, u64] = floats(Float64Array, BigUint64Array);
function floats(Float, Bits) {
  const float = new Float(1);
  return [float, new Bits(float.buffer)];
}

/** Whether values as they crossed are one of those expected, each. */
function isMet(values, expected, isGlobal) {
  let at = 0;
  const met = expected.every((any) => {
    const [kind] = any[0];
    if (kind === "null" || kind === "function") {
      const value = values[at++];
      return kind === "null" ? value === null : typeof value === "function";
    }
    const words = values.slice(at, (at += CROSSING[kind].length));
    if (isGlobal && kind === "f") (f32[0] = words[0]), (words[0] = u32[0]);
    if (isGlobal && kind === "d") (f64[0] = words[0]), (words[0] = u64[0]);
    return any.some((one) => isOne(words, one));
  });
  return met && at === values.length;
}

function isOne(words, [kind, bits]) {
  if (words.length !== CROSSING[kind].length || words.some((word) => word === undefined)) return false;
  const size = kind === "i" || kind === "f" ? 32 : 64;
  let all = 0n;
  words.forEach((word, index) => (all |= BigInt.asUintN(size, BigInt(word)) << BigInt(size * index)));
  const lane = BigInt((size * words.length) / bits.length);
  return bits.every((expected, index) => {
    const given = (all >> (lane * BigInt(index))) & ((1n << lane) - 1n);
    const quiet = lane === 32n ? 0x7fc00000n : 0x7ff8000000000000n;
    return expected === null ? (given & quiet) === quiet : given === BigInt(expected);
  });
}

/** Runs all files. Gives how many assertions are the same, how many could not be made here, and the first that differ. */
export function spec(files) {
  const count = { same: 0, leftOut: 0, differ: [] };
  for (const { name, commands } of files) {
    const sides = [new Side(false), new Side(true)];
    for (const command of commands) assert(sides, command, count, `${name}:${command.line}`);
  }
  return count;
}

function assert(sides, command, count, place) {
  const differ = (what) => count.differ.push(`${place}: ${what}`);
  const instantiated = () =>
    sides.map((side, index) => {
      try {
        return side.instantiate(command.modules[index]);
      } catch (error) {
        return error;
      }
    });
  switch (command.does) {
    case "module": {
      const made = instantiated();
      if (made[0] instanceof Error !== made[1] instanceof Error) differ(made.map(String).join(" / "));
      sides.forEach((side, index) => {
        side.current = made[index] instanceof Error ? null : made[index];
        if (command.name !== null && side.current) side.named.set(command.name, side.current);
      });
      return;
    }
    case "unsupported":
      count.leftOut++;
      for (const side of sides) side.current = null;
      return;
    case "register":
      for (const side of sides) if (side.of(command.name)) side.registered[command.as] = side.of(command.name);
      return;
    case "uninstantiable":
      if (instantiated().every((made) => made instanceof Error)) count.same++;
      else differ("is instantiated");
      return;
  }
  const came = sides.map((side) => side.call(command.call));
  if (came[0].came === "absent") {
    if (came[1].came !== "absent") differ("only the rewritten side can be called");
    else if (command.does !== "invoke") count.leftOut++;
    return;
  }
  if (came[0].came !== came[1].came) return differ(came.map(({ came }) => came).join(" / "));
  if (command.does === "invoke") return;
  if (command.does === "return") {
    if (!came.every(({ values }) => values && isMet(values, command.expected, command.call.args === null))) return differ(`${command.call.name} gives ${came.map(({ values }) => values)}`);
  } else if (came[0].came === "values") return differ("does not trap");
  count.same++;
}
