import type { TaskCall, TaskWord } from "../engine/messages.js";
import { PeerEdgeError, messageOf } from "../errors.js";
import type { Compute, Computed, ErrorCode, RunOptions, TaskAssurance, TaskProgress, TaskResult } from "../types.js";
import { End, type TaskLimits } from "./job.js";
import { hash, instrument, Refused, type Rewritten } from "./rewriter.js";
import { runTask } from "./runner.js";
import { Speed } from "./speed.js";

/** What goes through the relay; larger bytes are contents. */
const INLINE_BYTES_MAX = 16 * 1024;
const MODULE_BYTES_MAX = 32 << 20;
const CONTENT_BYTES_MAX = 1 << 30;
const PAGE_BYTES = 65_536;
/** Rewritten modules that are kept for the next run. */
const MODULES_MAX = 8;
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
};

/** What a desk has of its page and engine. */
export interface DeskHost {
  send(call: TaskCall): void;
  /** All bytes of a content. */
  fetch(content: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array>;
  /** Shares bytes; gives the content's id. */
  publish(bytes: Uint8Array, name: string): Promise<string>;
  remove(content: string): void;
}

interface Waiting {
  resolve(result: TaskResult): void;
  reject(reason: unknown): void;
  onProgress: (progress: TaskProgress) => void;
  end: AbortController;
  /** Checkpoints of others that are kept for this task. */
  marks: string[];
}

interface Lease {
  end: AbortController;
  /** Checkpoints that are shared, newest last. */
  checkpoints: string[];
  /** When the next may take the oldest one's place. */
  nextMark: number;
}

type Word<K extends TaskWord[0]> = Extract<TaskWord, [kind: K, ...unknown[]]>;

/** What the page hands in, and what it runs for others. Loaded when tasks are first used. */
export class Desk {
  readonly #host: DeskHost;
  readonly #waiting = new Map<number, Waiting>();
  readonly #leases = new Map<number, Lease>();
  readonly #modules = new Map<string, Promise<Rewritten>>();
  readonly #shared = new WeakMap<object, Promise<string>>();
  readonly #speed = new Speed();
  #compute: Compute;
  #lowBattery: boolean;
  #offered = 0;
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

  async run(task: string | Uint8Array | Blob, input: Uint8Array, options: RunOptions): Promise<TaskResult> {
    const signal = options.signal ?? null;
    const limits = limitsOf(options);
    const assurance = assuranceOf(options.assurance ?? options.replicas ?? 2);
    const module = typeof task === "string" ? task : await this.#share(task, limits);
    const isSmall = input.length <= INLINE_BYTES_MAX;
    const inputContent = isSmall ? undefined : await this.#host.publish(input, "input");
    signal?.throwIfAborted();
    const request = this.#next++;
    const cancel = () => {
      this.#host.send({ call: "cancel", request });
      this.#end(request)?.reject(signal?.reason);
    };
    signal?.addEventListener("abort", cancel);
    try {
      return await new Promise<TaskResult>((resolve, reject) => {
        const onProgress = options.onProgress ?? (() => {});
        this.#waiting.set(request, { resolve, reject, onProgress, end: new AbortController(), marks: [] });
        this.#host.send({
          call: "submit",
          request,
          module,
          input: isSmall ? input : new Uint8Array(),
          ...(inputContent !== undefined && { inputContent }),
          gas: Number(limits.gas),
          memoryPages: limits.memoryPages,
          outputBytes: limits.outputBytes,
          checkpointSteps: options.checkpointSteps ?? 0,
          assurance,
          value: options.value ?? 0,
        });
      });
    } finally {
      signal?.removeEventListener("abort", cancel);
      if (inputContent !== undefined) this.#host.remove(inputContent);
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
  }

  readonly #offer = (): void => {
    const { allowed, slots, whileHidden, onLowBattery, memoryBytes } = this.#compute;
    const isHidden = globalThis.document?.hidden === true;
    const pauses = !allowed || (isHidden && !whileHidden) || (this.#lowBattery && !onLowBattery);
    const offered = pauses ? 0 : slots;
    // A visitor who never agreed is never mentioned to the relay.
    if (offered === this.#offered) return;
    this.#offered = offered;
    this.#host.send({ call: "offer", slots: offered, memoryPages: Math.floor(memoryBytes / PAGE_BYTES) });
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
  #share(task: Uint8Array | Blob, limits: TaskLimits): Promise<string> {
    let shared = this.#shared.get(task);
    if (!shared) {
      shared = this.#check(task, limits);
      this.#shared.set(task, shared);
      shared.catch(() => this.#shared.delete(task));
    }
    return shared;
  }

  /** What is no task fails here, before anyone else sees it. */
  async #check(task: Uint8Array | Blob, limits: TaskLimits): Promise<string> {
    const length = task instanceof Blob ? task.size : task.length;
    if (length > MODULE_BYTES_MAX) {
      throw new PeerEdgeError("task_refused", `a module has at most ${MODULE_BYTES_MAX} bytes, this one has ${length}`);
    }
    const bytes = task instanceof Blob ? new Uint8Array(await task.arrayBuffer()) : task;
    try {
      await instrument(bytes, limits);
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
      await this.#host.fetch(checkpoint, CONTENT_BYTES_MAX, waiting.end.signal);
      waiting.marks.push(checkpoint);
      while (waiting.marks.length > MARKS_MAX) this.#host.remove(waiting.marks.shift() as string);
    } catch {
      // Then the task begins again should its worker go.
    }
  }

  async #result([, request, end, gas, runs, refereed, workers, output]: Word<"result">): Promise<void> {
    const waiting = this.#waiting.get(request);
    if (!waiting) return;
    if (end !== End.Done) {
      const name = ENDS[end] ?? "unknown";
      const cause = { end: name, gas, runs, refereed, workers };
      this.#end(request)?.reject(new PeerEdgeError("task_failed", `the task ended: ${name}, after ${gas} gas`, { cause }));
      return;
    }
    try {
      const bytes = typeof output === "string" ? await this.#host.fetch(output, CONTENT_BYTES_MAX, waiting.end.signal) : output;
      this.#end(request)?.resolve({ output: bytes, gas, runs, refereed, workers });
    } catch (error) {
      this.#end(request)?.reject(error);
    }
  }

  async #work(word: Word<"lease">): Promise<void> {
    const [, id, beatMs, module, input, gas, memoryPages, outputBytes, checkpointEverySteps, from] = word;
    const lease: Lease = { end: new AbortController(), checkpoints: [], nextMark: 0 };
    this.#leases.set(id, lease);
    const { signal } = lease.end;
    const beat = setInterval(() => this.#host.send({ call: "beat", lease: id }), beatMs);
    const fetched = (content: string) => this.#host.fetch(content, CONTENT_BYTES_MAX, signal);
    try {
      const { bytes: rewritten, isMovable } = await this.#module(module, memoryPages, signal);
      const start = from ? { checkpoint: await fetched(from) } : { input: typeof input === "string" ? await fetched(input) : input };
      const limits: TaskLimits = { gas: BigInt(gas), memoryPages, outputBytes };
      const dutyPermille = this.#compute.dutyPermille / (this.#speed.backingOff ? 2 : 1);
      const began = performance.now();
      const job = { rewritten, isMovable, ...start, limits, deadlineMs: DEADLINE_MS, checkpointEverySteps, dutyPermille };
      const ran = await runTask(job, {
        signal,
        onProgress: ({ checkpoint, gas: used }) => {
          if (checkpoint) void this.#mark(id, lease, checkpoint, Number(used));
        },
      });
      signal.throwIfAborted();
      if (ran.end > End.Output) throw new Error(`the run ended here: ${ENDS[ran.end]}`);
      if (!from) this.#speed.observe(Number(ran.gas), ((performance.now() - began) * dutyPermille) / 1000);
      const outputHash = await hash(ran.output);
      const isSmall = ran.output.length <= INLINE_BYTES_MAX;
      const outputContent = isSmall ? undefined : await this.#host.publish(ran.output, "output");
      this.#tasks++;
      this.#gas += Number(ran.gas);
      this.#host.send({
        call: "answer",
        lease: id,
        end: ran.end,
        gas: Number(ran.gas),
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

  /** Shares a checkpoint, so that the task can go on elsewhere, and lets go of older ones. */
  async #mark(id: number, lease: Lease, bytes: Uint8Array, gas: number): Promise<void> {
    const now = performance.now();
    if (now < lease.nextMark) return;
    lease.nextMark = now + MARK_MS + bytes.length / MARK_BYTES_PER_MS;
    const checkpoint = await this.#host.publish(bytes, "checkpoint");
    if (lease.end.signal.aborted) return this.#host.remove(checkpoint);
    this.#host.send({ call: "beat", lease: id, checkpoint, gas });
    // The newest comes last, also when it was there before.
    lease.checkpoints = [...lease.checkpoints.filter((other) => other !== checkpoint), checkpoint];
    while (lease.checkpoints.length > MARKS_MAX) this.#host.remove(lease.checkpoints.shift() as string);
  }

  #module(content: string, memoryPages: number, signal: AbortSignal): Promise<Rewritten> {
    const key = `${content} ${memoryPages}`;
    let rewritten = this.#modules.get(key);
    if (!rewritten) {
      rewritten = this.#host.fetch(content, MODULE_BYTES_MAX, signal).then((bytes) => instrument(bytes, { memoryPages }));
      rewritten.catch(() => this.#modules.delete(key));
    }
    // Used last, goes last.
    this.#modules.delete(key);
    this.#modules.set(key, rewritten);
    const [oldest] = this.#modules.keys();
    if (this.#modules.size > MODULES_MAX && oldest !== undefined) this.#modules.delete(oldest);
    return rewritten;
  }
}

function limitsOf({ gas = 100e9, memoryBytes = 64 << 20, outputBytes = 16 << 20 }: RunOptions): TaskLimits {
  whole("gas", gas, 1, Number.MAX_SAFE_INTEGER);
  whole("memoryBytes", memoryBytes, 0, 2 ** 32);
  whole("outputBytes", outputBytes, 0, CONTENT_BYTES_MAX);
  return { gas: BigInt(gas), memoryPages: Math.ceil(memoryBytes / PAGE_BYTES), outputBytes };
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
