// Does again what record.mjs recorded, with a module of the same exports. Runs in Node and in a page.
const PAGE = 65_536;

const unpack = (of) => (of === null ? undefined : typeof of === "string" && of.endsWith("n") ? BigInt(of.slice(0, -1)) : Number(of));

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
}

/** FNV-1a over 32-bit words: what all hosts compare. */
export function digest(bytes) {
  let sum = 0x811c9dc5;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  for (const word of words) sum = Math.imul(sum ^ word, 0x01000193);
  return sum >>> 0;
}

/** Gives { results, gas, memory }: the number of results, which all met the trace, the gas used, and a digest of the memory. */
export function replay(bytes, trace, gasLimit = 1n << 60n) {
  const { events, kinds } = trace;
  let at = 0;
  let memory;
  let results = 0;
  const imports = {};
  const apply = (writes, pages) => {
    if (!memory) return;
    const has = memory.buffer.byteLength / PAGE;
    if (pages > has) memory.grow(pages - has);
    for (const [address, base64] of writes) new Uint8Array(memory.buffer).set(bytesOf(base64), address);
  };
  for (const { module: from, name, kind } of kinds) {
    imports[from] ??= {};
    const key = `${from}\0${name}`;
    if (kind === "function") imports[from][name] = () => {
      const event = events[at++];
      if (event?.[0] !== "import" || event[1] !== key) throw new Error(`event ${at - 1}: calls ${key}, not ${event}`);
      while (events[at]?.[0] === "enter") call();
      const [kind, value, writes, pages] = events[at++];
      if (kind !== "return") throw new Error(`event ${at - 1}: no answer`);
      apply(writes, pages);
      return unpack(value);
    };
    if (kind === "memory") memory = imports[from][name] = new WebAssembly.Memory({ initial: trace.importedMemory, maximum: 32_768 });
    if (kind === "table") imports[from][name] = new WebAssembly.Table({ initial: trace.importedTable, element: "anyfunc" });
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  memory ??= Object.values(exports).find((of) => of instanceof WebAssembly.Memory);
  const gas = exports["peeredge:gas"];
  if (gas) {
    gas.value = gasLimit;
    exports["peeredge:start"]?.();
  }
  function call() {
    const [, name, args, writes, pages] = events[at++];
    apply(writes, pages);
    let given;
    let trapped = false;
    try {
      given = exports[name](...args.map(unpack));
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      trapped = true;
    }
    const [kind, expected] = events[at++];
    if (trapped !== (kind === "trap")) throw new Error(`event ${at - 1}: ${name} ${trapped ? "traps" : "does not trap"}`);
    if (!trapped && !Object.is(given, unpack(expected))) throw new Error(`event ${at - 1}: ${name} gives ${given}, not ${expected}`);
    results++;
  }
  while (at < events.length) call();
  return { results, gas: gas ? String(gasLimit - gas.value) : null, memory: memory ? digest(new Uint8Array(memory.buffer)) : 0 };
}
