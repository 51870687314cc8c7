import { decode, encode, PAGE_BYTES } from "./checkpoint.js";
import { End, type Job, type Progress, type Ran } from "./job.js";

/** What `peeredge_step` gives when there is nothing left to do. */
const DONE_PERMYRIAD = 10_000;
const GAS_MAX = 1n << 62n;

interface Exports {
  memory: WebAssembly.Memory;
  peeredge_input(length: number): number;
  peeredge_step(): number;
  peeredge_output(): bigint;
  _initialize?(): void;
}

/** Thrown through the run by what ends it. */
class Ended {
  constructor(
    readonly end: End,
    readonly checkpoint?: Uint8Array,
  ) {}
}

/** What the run asks of whoever runs it. */
export interface Watch {
  /** Asked when a checkpoint is due: gives whether there is room for one. */
  wantsCheckpoint(): boolean;
  /** Told after each step. */
  onProgress(progress: Progress): void;
  /** Asked after each step, with how long it took: gives whether to stop here. */
  between(stepMs: number): boolean | Promise<boolean>;
}

/** Runs a job to its end in this thread, as docs/task-abi.md has it. */
export async function run(job: Job, watch: Watch): Promise<Ran> {
  const gas = job.limits.gas < GAS_MAX ? job.limits.gas : GAS_MAX;
  // What it is encoded as, and then the task's memory, are here beside what it says.
  const pagesMax = Math.min(job.limits.memoryPages, Math.floor((job.hostBytesMax ?? Infinity) / PAGE_BYTES / 2));
  const isResumed = job.checkpoint !== undefined;
  const state = job.checkpoint ? decode(job.checkpoint, pagesMax) : null;
  delete job.checkpoint;
  const without = (end: End): Ran => ({ end, output: new Uint8Array(), gas: state?.gas ?? 0n });
  // Somebody else made it: that it is none, or fits nothing, says nothing about the task.
  if (isResumed && !state) return without(End.Memory);
  let instance: WebAssembly.Instance;
  try {
    const module = await WebAssembly.compile(job.rewritten as BufferSource);
    instance = await WebAssembly.instantiate(module, {});
  } catch (error) {
    // A segment that does not fit traps everywhere. An engine that does not take the module, or has no memory for it, is this host's.
    return without(error instanceof WebAssembly.RuntimeError ? End.Trap : End.Memory);
  }
  return new TaskRun(instance, job, gas).go(watch, state);
}

/** What a run may take at most, of the memory that was agreed to: an input or an output is held beside the task's memory. */
const BESIDE = 1.25;

class TaskRun {
  readonly #exports: Exports;
  readonly #gas: WebAssembly.Global<"i64">;
  readonly #stack: WebAssembly.Global<"i32">;
  readonly #host: WebAssembly.Global<"i32">;
  /** The mutable globals, in ascending order of their numbers. */
  readonly #globals: WebAssembly.Global[];
  readonly #start: (() => void) | undefined;
  readonly #job: Job;
  readonly #limit: bigint;
  #steps = 0;

  constructor(instance: WebAssembly.Instance, job: Job, gas: bigint) {
    const exports = instance.exports as Record<string, unknown>;
    this.#exports = exports as unknown as Exports;
    this.#gas = exports["peeredge:gas"] as WebAssembly.Global<"i64">;
    this.#stack = exports["peeredge:stack"] as WebAssembly.Global<"i32">;
    this.#host = exports["peeredge:host"] as WebAssembly.Global<"i32">;
    this.#start = exports["peeredge:start"] as (() => void) | undefined;
    const numbers = Object.keys(exports)
      .filter((name) => name.startsWith("peeredge:global:"))
      .map((name) => Number(name.slice("peeredge:global:".length)))
      .sort((a, b) => a - b);
    this.#globals = numbers.map((number) => exports[`peeredge:global:${number}`] as WebAssembly.Global);
    this.#job = job;
    this.#limit = gas;
  }

  async go(watch: Watch, from: ReturnType<typeof decode>): Promise<Ran> {
    try {
      if (from) this.#restore(from);
      else this.#begin();
      const output = await this.#toTheEnd(watch);
      return { end: End.Done, output, gas: this.#used() };
    } catch (thrown) {
      if (!(thrown instanceof Ended)) throw thrown;
      const { end, checkpoint } = thrown;
      return { end, output: new Uint8Array(), gas: this.#used(), ...(checkpoint && { checkpoint }) };
    }
  }

  #begin(): void {
    const { input = new Uint8Array() } = this.#job;
    // It is held no longer than until it is in the task's memory.
    delete this.#job.input;
    this.#gas.value = this.#limit;
    const exports = this.#exports;
    if (this.#start) this.#call(this.#start);
    if (exports._initialize) this.#call(exports._initialize);
    const address = this.#call(() => exports.peeredge_input(input.length)) >>> 0;
    const memory = new Uint8Array(exports.memory.buffer);
    if (address + input.length > memory.length) throw new Ended(End.Output);
    if (!this.#holds(input.length)) throw new Ended(End.Memory);
    memory.set(input, address);
  }

  async #toTheEnd(watch: Watch): Promise<Uint8Array> {
    const every = this.#job.checkpointEverySteps ?? 0;
    for (;;) {
      const began = performance.now();
      const permyriad = this.#call(this.#exports.peeredge_step);
      if (permyriad < 0) throw new Ended(End.Trap);
      this.#steps = Math.min(this.#steps + 1, 0xffff_ffff);
      const isDone = permyriad >= DONE_PERMYRIAD;
      const isDue = this.#job.isMovable && every > 0 && this.#steps % every === 0 && !isDone && this.#hasRoom() && watch.wantsCheckpoint();
      const progress = { permyriad: Math.min(permyriad, DONE_PERMYRIAD), steps: this.#steps, gas: this.#used() };
      watch.onProgress(isDue ? { ...progress, checkpoint: this.#checkpoint() } : progress);
      if (isDone) break;
      const asked = watch.between(performance.now() - began);
      if ((asked === true || (asked !== false && (await asked))) && this.#job.isMovable) {
        throw new Ended(End.Paused, this.#checkpoint());
      }
    }
    const place = BigInt.asUintN(64, this.#call(this.#exports.peeredge_output));
    const [address, length] = [Number(place >> 32n), Number(place & 0xffff_ffffn)];
    const memory = new Uint8Array(this.#exports.memory.buffer);
    if (length > this.#job.limits.outputBytes || address + length > memory.length) throw new Ended(End.Output);
    if (!this.#holds(length)) throw new Ended(End.Memory);
    return memory.slice(address, address + length);
  }

  /** Calls into the task, and says how it ended if it did: in the same order as every host. */
  #call<T>(work: () => T): T {
    let given: T | undefined;
    let thrown: unknown;
    try {
      given = work();
    } catch (error) {
      thrown = error;
    }
    // Whatever is no trap is this host's: its own stack, by another name in each engine, or its memory.
    const isOfHost = thrown !== undefined && !(thrown instanceof WebAssembly.RuntimeError);
    if (thrown !== undefined && (this.#host.value !== 0 || isOfHost)) throw new Ended(End.Memory);
    if (this.#gas.value < 0n) throw new Ended(End.OutOfGas);
    if (thrown === undefined) return given as T;
    throw new Ended(this.#stack.value < 0 ? End.Stack : End.Trap);
  }

  /** Whether a checkpoint fits beside the memory that it is of. */
  /** Whether so many bytes may be here beside the task's memory. */
  #holds(bytes: number): boolean {
    return this.#exports.memory.buffer.byteLength + bytes <= (this.#job.hostBytesMax ?? Infinity) * BESIDE;
  }

  #hasRoom(): boolean {
    return 2 * this.#exports.memory.buffer.byteLength <= (this.#job.hostBytesMax ?? Infinity);
  }

  #checkpoint(): Uint8Array {
    const globals = this.#globals.map(({ value }) => (typeof value === "bigint" ? BigInt.asUintN(64, value) : BigInt(Number(value) >>> 0)));
    return encode({ steps: this.#steps, gas: this.#used(), globals, memory: new Uint8Array(this.#exports.memory.buffer) });
  }

  #restore(state: NonNullable<ReturnType<typeof decode>>): void {
    const { memory } = this.#exports;
    const more = (state.memory.length - memory.buffer.byteLength) / PAGE_BYTES;
    if (more < 0 || state.globals.length !== this.#globals.length || state.gas > this.#limit) throw new Ended(End.Memory);
    try {
      memory.grow(more);
    } catch {
      throw new Ended(End.Memory);
    }
    new Uint8Array(memory.buffer).set(state.memory);
    this.#globals.forEach((global, index) => {
      const value = state.globals[index] as bigint;
      global.value = typeof global.value === "bigint" ? value : Number(BigInt.asIntN(32, value));
    });
    this.#gas.value = this.#limit - state.gas;
    this.#steps = state.steps;
  }

  /** Gas used; all of it once it has run out. */
  #used(): bigint {
    const left = this.#gas.value;
    return this.#limit - (left > 0n ? left : 0n);
  }
}
