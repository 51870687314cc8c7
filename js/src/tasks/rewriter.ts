import { PeerEdgeError } from "../errors.js";
import type { TaskLimits } from "./job.js";
import type { FromRewriter, Order, ToRewriter } from "./rewriter-worker.js";

/** A module as hosts run it. */
export interface Rewritten {
  bytes: Uint8Array;
  /** Whether a run of it can be checkpointed. */
  isMovable: boolean;
}

/** A module that is no task; the message names what it was refused for, the function and the offset. */
export class Refused extends Error {
  override readonly name = "Refused";
}

interface Asked {
  message: ToRewriter;
  transfer: Transferable[];
  resolve(answer: FromRewriter): void;
  reject(reason: unknown): void;
}

/** Without work for so long, the worker is ended; its next start takes some milliseconds. */
const IDLE_MS = 1000;

/**
 * Reading modules, and hashing, take as long as their bytes are many: a worker does it, one thing at a time, so that the page never
 * waits. It is ended when it has nothing to do, and when what it is at is given up.
 */
class Bench {
  readonly #asked: Asked[] = [];
  #worker: Worker | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  ask(order: Order, bytes: Uint8Array, signal?: AbortSignal): Promise<FromRewriter> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      // A copy, which then moves: the caller keeps its own.
      const copy = bytes.slice();
      const asked: Asked = {
        message: { ...order, bytes: copy },
        transfer: [copy.buffer],
        resolve: (answer) => {
          signal?.removeEventListener("abort", abort);
          resolve(answer);
        },
        reject: (reason) => {
          signal?.removeEventListener("abort", abort);
          reject(reason);
        },
      };
      const abort = () => {
        const place = this.#asked.indexOf(asked);
        if (place < 0) return;
        this.#asked.splice(place, 1);
        asked.reject(signal?.reason);
        if (place === 0) this.#again();
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#asked.push(asked);
      if (this.#asked.length === 1) this.#next();
    });
  }

  /** Ends the worker now if it has nothing to do. */
  rest(): void {
    if (this.#asked.length === 0) this.#end();
  }

  #next(): void {
    clearTimeout(this.#idle);
    const [asked] = this.#asked;
    if (!asked) {
      this.#idle = setTimeout(() => this.#end(), IDLE_MS);
      return;
    }
    try {
      this.#worker ??= this.#start();
      this.#worker.postMessage(asked.message, asked.transfer);
    } catch (error) {
      this.#failed(error);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL("./rewriter-worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<FromRewriter>) => {
      this.#asked.shift()?.resolve(data);
      this.#next();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#failed(event.message);
    };
    return worker;
  }

  /** What it was at is gone with it; the rest is not. */
  #failed(why: unknown): void {
    this.#asked.shift()?.reject(new PeerEdgeError("internal", `the rewriter failed: ${String(why)}`));
    this.#again();
  }

  #again(): void {
    this.#end();
    this.#next();
  }

  #end(): void {
    clearTimeout(this.#idle);
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

const bench = new Bench();

/** Ends the rewriter's worker if it has nothing to do; else it ends soon after. */
export function rest(): void {
  bench.rest();
}

/** Rewrites a task. The rewriter is fetched when this is first called. Rejects with {@link Refused}, or the signal's reason. */
export async function instrument(
  module: Uint8Array,
  limits: Pick<TaskLimits, "memoryPages">,
  signal?: AbortSignal,
): Promise<Rewritten> {
  const { verdict, bytes } = await bench.ask({ order: "rewrite", memoryPages: limits.memoryPages }, module, signal);
  if (verdict > 1) throw new Refused(new TextDecoder().decode(bytes));
  return { bytes, isMovable: verdict === 1 };
}

/** BLAKE3, by which tasks, inputs, outputs and checkpoints are named. */
export async function hash(bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return (await bench.ask({ order: "hash" }, bytes, signal)).bytes;
}

/** What receipts name as the answer of a run that ended so, with this output. */
export async function answer(end: number, output: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return (await bench.ask({ order: "answer", end }, output, signal)).bytes;
}
