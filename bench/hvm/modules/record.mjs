// Records what a package does with its WebAssembly modules: every call in and out, and what the host writes between, so that the
// same can be done again with another module of the same exports, on another host.
//
// A trace is { imports, events }. Events come in the order in which they happen:
//   ["enter", EXPORT, ARGS, WRITES, PAGES]   the host wrote, grew the memory to PAGES, and calls
//   ["import", KEY]                          the module calls out
//   ["return", VALUE, WRITES, PAGES]         and is answered
//   ["leave", VALUE]                         the call comes back; "trap" instead of ["leave"] when it does not
import { createHash } from "node:crypto";

const EVENTS_MAX = 4_000;
const BYTES_MAX = 24 << 20;
const PAGE = 65_536;

/** Traces by the SHA-256 of their module. */
export const traces = new Map();

const real = { Instance: WebAssembly.Instance, instantiate: WebAssembly.instantiate, compile: WebAssembly.compile, Module: WebAssembly.Module };
const bytesOf = new WeakMap();

export const value = (of) => (typeof of === "bigint" ? `${of}n` : of === undefined ? null : Object.is(of, -0) ? "-0" : Number.isFinite(of) ? of : typeof of === "number" ? String(of) : Number(of));

class Recorder {
  constructor(bytes, module, imports) {
    this.bytes = bytes;
    this.events = [];
    this.size = 0;
    this.open = true;
    this.broken = null;
    this.kinds = WebAssembly.Module.imports(module);
    this.imports = {};
    for (const { module: from, name, kind } of this.kinds) {
      const of = imports?.[from]?.[name];
      this.imports[from] ??= {};
      if (kind === "function") this.imports[from][name] = this.wrapImport(`${from}\0${name}`, of);
      else {
        this.imports[from][name] = of;
        if (kind === "memory") this.memory = of;
        if (kind === "memory") this.importedMemory = of.buffer.byteLength / PAGE;
        if (kind === "global") this.broken = "imports a global";
        if (kind === "table") this.importedTable = of.length;
      }
    }
  }

  push(event) {
    this.events.push(event);
    if (this.events.length > EVENTS_MAX || this.size > BYTES_MAX) this.open = false;
  }

  /** What the host changed since the module was last left. */
  writes() {
    if (!this.memory) return [];
    const now = new Uint8Array(this.memory.buffer);
    const then = this.shadow ?? new Uint8Array();
    const writes = [];
    const [a, b] = [Buffer.from(now.buffer), Buffer.from(then.buffer ?? new ArrayBuffer(0))];
    const STEP = 256;
    for (let at = 0; at < now.length; at += STEP) {
      const end = Math.min(at + STEP, now.length);
      const same = end <= then.length ? a.subarray(at, end).equals(b.subarray(at, end)) : !a.subarray(at, end).some((byte) => byte);
      if (same) continue;
      const last = writes.at(-1);
      if (last && last[0] + last[1].length === at) last[1] = Buffer.concat([last[1], a.subarray(at, end)]);
      else writes.push([at, Buffer.from(a.subarray(at, end))]);
      this.size += end - at;
    }
    return writes.map(([at, bytes]) => [at, bytes.toString("base64")]);
  }

  pages() {
    return this.memory ? this.memory.buffer.byteLength / PAGE : 0;
  }

  left() {
    if (this.memory) this.shadow = new Uint8Array(this.memory.buffer).slice();
  }

  wrapImport(key, of) {
    return (...args) => {
      if (!this.open) return of(...args);
      this.left();
      this.push(["import", key]);
      let given;
      try {
        given = of(...args);
      } catch (error) {
        this.broken = "an import throws";
        throw error;
      }
      if (this.open) this.push(["return", value(given), this.writes(), this.pages()]);
      return given;
    };
  }

  wrap(exports) {
    const memory = Object.values(exports).find((of) => of instanceof WebAssembly.Memory);
    this.memory ??= memory;
    // What active segments put there is there again.
    this.left();
    const wrapped = {};
    for (const [name, of] of Object.entries(exports)) {
      wrapped[name] = of instanceof Function ? this.wrapExport(name, of) : of;
    }
    return wrapped;
  }

  wrapExport(name, of) {
    const wrapper = (...args) => {
      if (!this.open) return of(...args);
      this.push(["enter", name, args.slice(0, of.length).map(value), this.writes(), this.pages()]);
      let given;
      try {
        given = of(...args);
      } catch (error) {
        this.push(["trap"]);
        this.open = false;
        throw error;
      }
      this.left();
      if (this.open) this.push(["leave", value(given)]);
      return given;
    };
    return wrapper;
  }

  trace() {
    // Up to the last call that came back to the outermost level.
    let depth = 0;
    let whole = 0;
    this.events.forEach(([kind], index) => {
      if (kind === "enter") depth++;
      if (kind === "leave" || kind === "trap") depth--;
      if (depth === 0) whole = index + 1;
    });
    return { kinds: this.kinds, importedMemory: this.importedMemory, importedTable: this.importedTable, events: this.events.slice(0, whole) };
  }
}

const recorders = [];

function bytesFrom(source) {
  return source instanceof ArrayBuffer ? new Uint8Array(source.slice(0)) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
}

WebAssembly.Module = function (source) {
  const module = new real.Module(source);
  bytesOf.set(module, bytesFrom(source));
  return module;
};
Object.assign(WebAssembly.Module, { imports: real.Module.imports, exports: real.Module.exports, customSections: real.Module.customSections });
Object.defineProperty(WebAssembly.Module, Symbol.hasInstance, { value: (of) => bytesOf.has(of) });

WebAssembly.Instance = function (module, imports) {
  const recorder = new Recorder(bytesOf.get(module), module, imports);
  const instance = new real.Instance(module, recorder.imports);
  recorders.push(recorder);
  return { exports: recorder.wrap(instance.exports) };
};
WebAssembly.compile = async (source) => new WebAssembly.Module(source);
WebAssembly.instantiate = async (source, imports) => {
  if (source instanceof WebAssembly.Module) return new WebAssembly.Instance(source, imports);
  const module = new WebAssembly.Module(source);
  return { module, instance: new WebAssembly.Instance(module, imports) };
};
WebAssembly.instantiateStreaming = async (response, imports) => WebAssembly.instantiate(await (await response).arrayBuffer(), imports);

/** The traces of what has been recorded so far: one a module, the longest. */
export function recorded() {
  const found = new Map();
  for (const recorder of recorders) {
    const trace = recorder.trace();
    if (recorder.broken || trace.events.length === 0) continue;
    const id = createHash("sha256").update(recorder.bytes).digest("hex");
    if (!found.has(id) || found.get(id).trace.events.length < trace.events.length) found.set(id, { bytes: recorder.bytes, trace });
  }
  return found;
}
