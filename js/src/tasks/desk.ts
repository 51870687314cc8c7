import type { TaskCall, TaskWord } from "../engine/messages.js";
import { PeerEdgeError, messageOf } from "../errors.js";
import type { Compute, Computed, ErrorCode, RunOptions, TaskAssurance, TaskProgress, TaskResult } from "../types.js";
import { End, type TaskLimits } from "./job.js";
import { answer, hash, instrument, Refused, rest, type Rewritten } from "./rewriter.js";
import { runTask } from "./runner.js";
import { Speed } from "./speed.js";

/** What goes through the relay; larger bytes are contents. */
const INLINE_BYTES_MAX = 16 * 1024;
const MODULE_BYTES_MAX = 32 << 20;
const CONTENT_BYTES_MAX = 1 << 30;
const PAGE_BYTES = 65_536;
/** Rewritten modules that are kept for the next run, and how many bytes of them. */
const MODULES_MAX = 8;
const MODULES_BYTES_MAX = 32 << 20;
/** An output that is a content is shared for so long: whoever asked fetches it at once, and a stranger's bytes are not kept. */
const OUTPUT_MS = 600_000;
/** Gas is counted in a signed 64-bit number, of which this leaves half. */
const GAS_MAX = 1n << 62n;
/** What a checkpoint has besides the memory. */
const CHECKPOINT_BYTES = 1 << 20;
const DEADLINE_MS = 600_000;
/** Checkpoints that are shared or kept for one task: one may be replaced while it is asked for. */
const MARKS_MAX = 2;
/** A checkpoint is shared for so long at least, and as long as its bytes take at this rate: whoever keeps it has to fetch it. */
const MARK_MS = 1000;
const MARK_BYTES_PER_MS = 1000;
const ENDS = ["done", "out_of_gas", "trap", "stack", "output", "memory", "cancelled", "paused"] as const;

const REFUSALS: Record<string, string> = {
  tasks_off: "this relay runs no tasks",
  too_many_tasks: "too many tasks wait already",
  no_worker: "nobody took the task in time",
  task_trouble: "those who took the task could not run it",
  task_disputed: "the answers contradict each other",
  task_limits: "the task's limits cannot hold: its input is larger than its memory, or they are beyond what this relay allows",
  nobody_fits: "nobody who is here has so much memory",
  tasks_not_allowed: "this relay runs no tasks for this page's origin",
  task_quota: "this network has had as many tasks as it may for now",
};

/** After so long the output that another voter shows is asked for, too. */
const OUTPUT_LATE_MS = 3000;
const late = () => new Promise<void>((resolve) => setTimeout(resolve, OUTPUT_LATE_MS));

/** What is offered before the visitor agreed. */
const NO_OFFER = "";

/** What a desk has of its page and engine. */
export interface DeskHost {
  send(call: TaskCall): void;
  /** All bytes of a content, which this peer then holds, and shares. */
  fetch(content: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array>;
  /** The same, of a content that this peer then no longer holds, unless it is the page's own. */
  take(content: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array>;
  /** Shares bytes; gives the content's id. */
  publish(bytes: Uint8Array, name: string): Promise<string>;
  remove(content: string): void;
}

interface Waiting {
  resolve(result: TaskResult): void;
  reject(reason: unknown): void;
  onProgress: (progress: TaskProgress) => void;
  end: AbortController;
  limits: TaskLimits;
  /** Checkpoints of others that are kept for this task. */
  marks: string[];
  /** Whether the relay was told that no output was what its workers signed for. */
  isContested: boolean;
}

interface Lease {
  end: AbortController;
  /** Checkpoints that are shared, newest last. */
  checkpoints: string[];
}

type Word<K extends TaskWord[0]> = Extract<TaskWord, [kind: K, ...unknown[]]>;

/** What the page hands in, and what it runs for others. Loaded when tasks are first used. */
export class Desk {
  readonly #host: DeskHost;
  readonly #waiting = new Map<number, Waiting>();
  readonly #leases = new Map<number, Lease>();
  readonly #modules = new Map<string, { rewritten: Promise<Rewritten>; bytes: number }>();
  /** Outputs that others may still fetch: their bytes, and what ends it. */
  readonly #outputs = new Map<string, { bytes: number; timer: ReturnType<typeof setTimeout> }>();
  readonly #shared = new WeakMap<object, Promise<string>>();
  readonly #speed = new Speed();
  #compute: Compute;
  #lowBattery: boolean;
  #offered = NO_OFFER;
  #next = 1;
  #tasks = 0;
  #gas = 0;

  constructor(host: DeskHost, compute: Compute, lowBattery: boolean) {
    this.#host = host;
    this.#compute = compute;
    this.#lowBattery = lowBattery;
    globalThis.document?.addEventListener("visibilitychange", this.#offer);
    this.#offer();
  }

  get computed(): Computed {
    const { gasPerSecond, backingOff } = this.#speed;
    return { tasks: this.#tasks, gas: this.#gas, running: this.#leases.size, gasPerSecond, backingOff };
  }

  setCompute(compute: Compute): void {
    this.#compute = compute;
    this.#offer();
    if (!compute.allowed) this.#stopAll();
  }

  setLowBattery(lowBattery: boolean): void {
    this.#lowBattery = lowBattery;
    this.#offer();
  }

  /** As {@link Peer.run}: whatever it ends in besides a result is a {@link PeerEdgeError}. */
  async run(task: string | Uint8Array | Blob, input: Uint8Array, options: RunOptions): Promise<TaskResult> {
    const signal = options.signal ?? null;
    const end = new AbortController();
    const cancel = () => end.abort(aborted(signal));
    if (signal?.aborted) throw aborted(signal);
    signal?.addEventListener("abort", cancel);
    try {
      return await this.#run(task, input, options, end.signal);
    } catch (error) {
      if (end.signal.aborted) throw end.signal.reason;
      if (error instanceof PeerEdgeError) throw error;
      throw new PeerEdgeError("unavailable", messageOf(error), { cause: error });
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  async #run(task: string | Uint8Array | Blob, input: Uint8Array, options: RunOptions, signal: AbortSignal): Promise<TaskResult> {
    const limits = limitsOf(options, input);
    const assurance = assuranceOf(options.assurance ?? options.replicas ?? 2);
    const value = options.value ?? 0;
    const checkpointSteps = options.checkpointSteps ?? 0;
    whole("value", value, 0, 0xffff_ffff);
    whole("checkpointSteps", checkpointSteps, 0, 0xffff_ffff);
    // Nobody waits for what goes on behind an abort; what was shared by then is let go.
    const module = typeof task === "string" ? task : await until(signal, this.#share(task, limits, signal));
    const isSmall = input.length <= INLINE_BYTES_MAX;
    const shared = isSmall ? undefined : this.#host.publish(input, "input");
    const request = this.#next++;
    const cancel = () => {
      const waiting = this.#end(request);
      if (!waiting) return;
      this.#host.send({ call: "cancel", request });
      waiting.reject(signal.reason);
    };
    signal.addEventListener("abort", cancel);
    try {
      const inputContent = shared && (await until(signal, shared));
      signal.throwIfAborted();
      return await new Promise<TaskResult>((resolve, reject) => {
        const onProgress = options.onProgress ?? (() => {});
        this.#waiting.set(request, { resolve, reject, onProgress, end: new AbortController(), limits, marks: [], isContested: false });
        this.#host.send({
          call: "submit",
          request,
          module,
          input: isSmall ? input : new Uint8Array(),
          ...(inputContent !== undefined && { inputContent }),
          gas: limits.gas,
          memoryPages: limits.memoryPages,
          outputBytes: limits.outputBytes,
          checkpointSteps,
          assurance,
          value,
        });
      });
    } finally {
      signal.removeEventListener("abort", cancel);
      shared?.then((content) => this.#host.remove(content), () => undefined);
    }
  }

  /** Takes a word of the engine. */
  receive(word: TaskWord): void {
    switch (word[0]) {
      case "lease":
        void this.#work(word);
        return;
      case "revoke":
        this.#leases.get(word[1])?.end.abort();
        return;
      case "taskProgress":
        this.#waiting.get(word[1])?.onProgress({ runs: word[2], worker: word[3] });
        return;
      case "marked":
        void this.#keep(word[1], word[2]);
        return;
      case "refused": {
        const [, request, why] = word;
        this.#end(request)?.reject(new PeerEdgeError(why as ErrorCode, REFUSALS[why] ?? why));
        return;
      }
      case "result":
        void this.#result(word);
        return;
    }
  }

  /** Everything under way fails with `reason`. */
  close(reason: unknown): void {
    globalThis.document?.removeEventListener("visibilitychange", this.#offer);
    this.#stopAll();
    for (const request of [...this.#waiting.keys()]) this.#end(request)?.reject(reason);
    for (const { timer } of this.#outputs.values()) clearTimeout(timer);
    this.#outputs.clear();
    // What the leases had asked for is given up by now.
    queueMicrotask(rest);
  }

  readonly #offer = (): void => {
    const { allowed, slots, whileHidden, onLowBattery, memoryBytes, anybody } = this.#compute;
    const isHidden = globalThis.document?.hidden === true;
    const pauses = !allowed || (isHidden && !whileHidden) || (this.#lowBattery && !onLowBattery);
    const offer = { slots: pauses ? 0 : slots, memoryPages: Math.floor(memoryBytes / PAGE_BYTES), anybody };
    const offered = pauses ? NO_OFFER : JSON.stringify(offer);
    // A visitor who never agreed is never mentioned to the relay.
    if (offered === this.#offered) return;
    this.#offered = offered;
    this.#host.send({ call: "offer", ...offer });
  };

  #stopAll(): void {
    for (const { end } of this.#leases.values()) end.abort();
  }

  #end(request: number): Waiting | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    waiting?.end.abort();
    for (const mark of waiting?.marks ?? []) this.#host.remove(mark);
    return waiting;
  }

  /** A module of the page, published once. */
  #share(task: Uint8Array | Blob, limits: TaskLimits, signal: AbortSignal): Promise<string> {
    let shared = this.#shared.get(task);
    if (!shared) {
      shared = this.#check(task, limits, signal);
      this.#shared.set(task, shared);
      shared.catch(() => this.#shared.delete(task));
    }
    return shared;
  }

  /** What is no task fails here, before anyone else sees it. */
  async #check(task: Uint8Array | Blob, limits: TaskLimits, signal: AbortSignal): Promise<string> {
    const length = task instanceof Blob ? task.size : task.length;
    if (length > MODULE_BYTES_MAX) {
      throw new PeerEdgeError("task_refused", `a module has at most ${MODULE_BYTES_MAX} bytes, this one has ${length}`);
    }
    const bytes = task instanceof Blob ? new Uint8Array(await task.arrayBuffer()) : task;
    try {
      await instrument(bytes, limits, signal);
    } catch (error) {
      if (error instanceof Refused) throw new PeerEdgeError("task_refused", `the module is no task: ${error.message}`);
      throw error;
    }
    return this.#host.publish(bytes, "task.wasm");
  }

  async #keep(request: number, checkpoint: string): Promise<void> {
    const waiting = this.#waiting.get(request);
    if (!waiting || waiting.marks.includes(checkpoint)) return;
    try {
      const bytesMax = waiting.limits.memoryPages * (PAGE_BYTES + 1) + CHECKPOINT_BYTES;
      await this.#host.fetch(checkpoint, bytesMax, waiting.end.signal);
      waiting.marks.push(checkpoint);
      while (waiting.marks.length > MARKS_MAX) this.#host.remove(waiting.marks.shift() as string);
    } catch {
      // Then the task begins again should its worker go.
    }
  }

  async #result(word: Word<"result">): Promise<void> {
    const [, request, end, gas, runs, refereed, workers, output, digest, doubtPpm, others] = word;
    const waiting = this.#waiting.get(request);
    if (!waiting) return;
    const doubt = doubtPpm / 1e6;
    try {
      const bytes = await this.#output([output, ...others], end, digest, waiting);
      if (!bytes) {
        // Only the relay can say who showed something else: it runs the task itself, once.
        if (typeof output === "string" && !waiting.isContested) {
          waiting.isContested = true;
          return this.#host.send({ call: "untrue", request });
        }
        throw new PeerEdgeError("task_disputed", "the output is not what its workers signed for", { cause: { workers } });
      }
      if (end !== End.Done) {
        const name = ENDS[end] ?? "unknown";
        const cause = { end: name, gas, runs, refereed, doubt, workers };
        throw new PeerEdgeError("task_failed", `the task ended: ${name}, after ${gas} gas`, { cause });
      }
      this.#end(request)?.resolve({ output: bytes, gas, runs, refereed, doubt, workers });
    } catch (error) {
      this.#end(request)?.reject(error);
    }
  }

  /**
   * The first of these outputs that is what the workers signed for, whoever delivered it. Each next one is begun when those before have
   * ended or are late: a voter may have left, or have shown what nobody has.
   */
  async #output(shown: (Uint8Array | string)[], end: number, digest: Uint8Array, waiting: Waiting): Promise<Uint8Array | null> {
    const { signal } = waiting.end;
    const found = new AbortController();
    const stop = () => found.abort(signal.reason);
    signal.addEventListener("abort", stop);
    let failed: unknown;
    const check = async (output: Uint8Array | string): Promise<Uint8Array> => {
      try {
        const bytes = typeof output === "string" ? await this.#host.take(output, waiting.limits.outputBytes, found.signal) : output;
        if (isEqual(await answer(end, bytes, found.signal), digest)) return bytes;
      } catch (error) {
        failed = error;
      }
      throw null;
    };
    try {
      signal.throwIfAborted();
      const begun: Promise<Uint8Array>[] = [];
      let bytes: Uint8Array | null | void = null;
      for (const output of shown) {
        begun.push(check(output));
        const any = Promise.any(begun).catch(() => null);
        bytes = await (begun.length < shown.length ? Promise.race([any, late()]) : any);
        if (bytes) return bytes;
      }
      signal.throwIfAborted();
      if (failed && waiting.isContested) throw failed;
      return null;
    } finally {
      signal.removeEventListener("abort", stop);
      found.abort();
    }
  }

  async #work(word: Word<"lease">): Promise<void> {
    const [, id, beatMs, module, input, gas, memoryPages, outputBytes, checkpointEverySteps, from] = word;
    const lease: Lease = { end: new AbortController(), checkpoints: [] };
    this.#leases.set(id, lease);
    const { signal } = lease.end;
    const beat = setInterval(() => this.#host.send({ call: "beat", lease: id }), beatMs);
    const hostBytesMax = this.#compute.memoryBytes;
    const memoryBytes = memoryPages * PAGE_BYTES;
    try {
      if (memoryBytes > hostBytesMax) throw new Error(`the task may take ${memoryBytes} bytes, of ${hostBytesMax} here`);
      const { bytes: rewritten, isMovable } = await this.#module(module, memoryPages, signal);
      const start = from
        ? { checkpoint: await this.#host.take(from, memoryBytes + memoryPages + CHECKPOINT_BYTES, signal) }
        : { input: typeof input === "string" ? await this.#host.take(input, Math.min(memoryBytes, CONTENT_BYTES_MAX), signal) : input };
      const limits: TaskLimits = { gas, memoryPages, outputBytes };
      const dutyPermille = this.#compute.dutyPermille / (this.#speed.backingOff ? 2 : 1);
      const began = performance.now();
      const job = { rewritten, isMovable, ...start, limits, deadlineMs: DEADLINE_MS, checkpointEverySteps, dutyPermille, hostBytesMax };
      const ran = await runTask(job, {
        signal,
        onProgress: ({ checkpoint, gas: used }) => {
          if (checkpoint) return this.#mark(id, lease, checkpoint, used);
        },
      });
      signal.throwIfAborted();
      if (ran.end > End.Output) throw new Error(`the run ended here: ${ENDS[ran.end]}`);
      if (!from) this.#speed.observe(Number(ran.gas), ((performance.now() - began) * dutyPermille) / 1000);
      const outputHash = await hash(ran.output, signal);
      const isSmall = ran.output.length <= INLINE_BYTES_MAX;
      const outputContent = isSmall ? undefined : await this.#shareOutput(ran.output);
      this.#tasks++;
      this.#gas += Number(ran.gas);
      this.#host.send({
        call: "answer",
        lease: id,
        end: ran.end,
        gas: ran.gas,
        output: isSmall ? ran.output : new Uint8Array(),
        ...(outputContent !== undefined && { outputContent }),
        outputHash,
      });
    } catch (error) {
      // A run that was revoked is over already; then nobody hears this.
      this.#host.send({ call: "trouble", lease: id, detail: messageOf(error) });
    } finally {
      clearInterval(beat);
      this.#leases.delete(id);
      lease.end.abort();
      lease.checkpoints.forEach((checkpoint) => this.#host.remove(checkpoint));
    }
  }

  /** Shares an output until whoever asked had time to fetch it, the oldest ones less long where they are many. */
  async #shareOutput(output: Uint8Array): Promise<string> {
    const content = await this.#host.publish(output, "output");
    // Answered before: shared once more, let go once less.
    if (this.#outputs.has(content)) this.#host.remove(content);
    clearTimeout(this.#outputs.get(content)?.timer);
    this.#outputs.delete(content);
    const forget = (content: string) => {
      clearTimeout(this.#outputs.get(content)?.timer);
      this.#outputs.delete(content);
      this.#host.remove(content);
    };
    this.#outputs.set(content, { bytes: output.length, timer: setTimeout(() => forget(content), OUTPUT_MS) });
    const sum = () => [...this.#outputs.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    while (this.#outputs.size > 1 && sum() > this.#compute.memoryBytes) forget([...this.#outputs.keys()][0] as string);
    return content;
  }

  /** Shares a checkpoint, so that the task can go on elsewhere, and lets go of older ones. Gives how long to rest before the next. */
  async #mark(id: number, lease: Lease, bytes: Uint8Array, gas: bigint): Promise<number> {
    const rest = MARK_MS + bytes.length / MARK_BYTES_PER_MS;
    const checkpoint = await this.#host.publish(bytes, "checkpoint");
    if (lease.end.signal.aborted) {
      this.#host.remove(checkpoint);
      return rest;
    }
    this.#host.send({ call: "beat", lease: id, checkpoint, gas });
    // The newest comes last, also when it was there before.
    if (lease.checkpoints.includes(checkpoint)) this.#host.remove(checkpoint);
    lease.checkpoints = [...lease.checkpoints.filter((other) => other !== checkpoint), checkpoint];
    while (lease.checkpoints.length > MARKS_MAX) this.#host.remove(lease.checkpoints.shift() as string);
    return rest;
  }

  #module(content: string, memoryPages: number, signal: AbortSignal): Promise<Rewritten> {
    const key = `${content} ${memoryPages}`;
    let module = this.#modules.get(key);
    if (!module) {
      const rewritten = this.#host.take(content, MODULE_BYTES_MAX, signal).then((bytes) => instrument(bytes, { memoryPages }, signal));
      module = { rewritten, bytes: 0 };
      const made = module;
      rewritten.then(({ bytes }) => (made.bytes = bytes.length), () => this.#modules.delete(key));
    }
    // Used last, goes last.
    this.#modules.delete(key);
    this.#modules.set(key, module);
    const sum = () => [...this.#modules.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    while (this.#modules.size > 1 && (this.#modules.size > MODULES_MAX || sum() > MODULES_BYTES_MAX)) {
      this.#modules.delete([...this.#modules.keys()][0] as string);
    }
    // Another lease may have begun this, and been revoked since: then it is begun again.
    return module.rewritten.catch((error: unknown) => {
      if (signal.aborted || !isAbort(error)) throw error;
      return this.#module(content, memoryPages, signal);
    });
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function aborted(signal: AbortSignal | null): PeerEdgeError {
  return new PeerEdgeError("aborted", `the task was given up: ${messageOf(signal?.reason)}`, { cause: signal?.reason });
}

/** What the work comes to, or the signal's reason, whichever is first. */
function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function limitsOf({ gas = 100_000_000_000n, memoryBytes = 64 << 20, outputBytes = 16 << 20 }: RunOptions, input: Uint8Array): TaskLimits {
  if (typeof gas !== "bigint") whole("gas", gas, 1, Number.MAX_SAFE_INTEGER);
  else if (gas < 1n || gas > GAS_MAX) throw new PeerEdgeError("invalid_option", `gas must be from 1 to ${GAS_MAX}`);
  whole("memoryBytes", memoryBytes, 0, 2 ** 32);
  whole("outputBytes", outputBytes, 0, CONTENT_BYTES_MAX);
  const memoryPages = Math.ceil(memoryBytes / PAGE_BYTES);
  if (input.length > memoryPages * PAGE_BYTES) {
    throw new PeerEdgeError("invalid_option", `the input has ${input.length} bytes, more than memoryBytes: ${memoryBytes}`);
  }
  return { gas: BigInt(gas), memoryPages, outputBytes };
}

function assuranceOf(assurance: TaskAssurance | number): number {
  if (assurance === "cheap") return 254;
  if (assurance === "strict") return 255;
  whole("replicas", assurance, 1, 32);
  return assurance;
}

function whole(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new PeerEdgeError("invalid_option", `${name} must be a whole number from ${min} to ${max}`);
}
