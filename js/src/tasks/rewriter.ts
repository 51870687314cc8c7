import type { TaskLimits } from "./job.js";

interface Exports {
  memory: WebAssembly.Memory;
  room(length: number): number;
  left(): number;
  left_length(): number;
  rewrite_task(memoryPages: number): number;
  hash(): void;
}

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

let loaded: Promise<Exports> | undefined;

/** Rewrites a task. The rewriter is fetched when this is first called. Rejects with {@link Refused}. */
export async function instrument(module: Uint8Array, limits: Pick<TaskLimits, "memoryPages">): Promise<Rewritten> {
  const rewriter = await load();
  write(rewriter, module);
  const verdict = rewriter.rewrite_task(limits.memoryPages);
  const bytes = left(rewriter);
  if (verdict > 1) throw new Refused(new TextDecoder().decode(bytes));
  return { bytes, isMovable: verdict === 1 };
}

/** BLAKE3, by which tasks, inputs, outputs and checkpoints are named. */
export async function hash(bytes: Uint8Array): Promise<Uint8Array> {
  const rewriter = await load();
  write(rewriter, bytes);
  rewriter.hash();
  return left(rewriter);
}

function load(): Promise<Exports> {
  loaded ??= (async () => {
    const response = await fetch(new URL("../peeredge_rewriter.wasm", import.meta.url));
    if (!response.ok) throw new TypeError(`the rewriter could not be fetched: ${response.status}`);
    const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), {});
    return instance.exports as unknown as Exports;
  })();
  loaded.catch(() => (loaded = undefined));
  return loaded;
}

function write(rewriter: Exports, bytes: Uint8Array): void {
  const address = rewriter.room(bytes.length);
  new Uint8Array(rewriter.memory.buffer, address, bytes.length).set(bytes);
}

/** What the last call left; a copy, and the rewriter's is given back. */
function left(rewriter: Exports): Uint8Array {
  const bytes = new Uint8Array(rewriter.memory.buffer, rewriter.left(), rewriter.left_length()).slice();
  rewriter.room(0);
  return bytes;
}
