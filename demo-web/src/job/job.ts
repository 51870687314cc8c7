import type { Peer, TaskResult } from "peeredge";
import { inputOf, tiles, type Place, type Tile } from "./fractal.ts";

/** Tasks that are handed in at a time: enough for everyone, and a stop is felt at once. */
const AHEAD = 24;

/** What a worker contributed to a job. */
export interface Share {
  worker: string;
  tiles: number;
  gas: number;
}

export interface JobEvents {
  /** A tile was given to somebody. */
  given(tile: Tile, worker: string): void;
  done(tile: Tile, result: TaskResult): void;
  changed(): void;
}

/** One picture, from its first tile to its last. */
export class Job {
  readonly place: Place;
  readonly all: number;
  readonly startedMs = performance.now();
  readonly shares = new Map<string, Share>();
  phase: "running" | "done" | "stopped" | "failed" = "running";
  done = 0;
  runs = 0;
  gas = 0;
  refereed = 0;
  endedMs: number | null = null;
  error: unknown = null;
  readonly #end = new AbortController();

  constructor(place: Place) {
    this.place = place;
    this.all = tiles().length;
  }

  /** Has the picture computed; resolves when it is there, or cannot be. */
  async run(peer: Peer, module: Blob, replicas: number, events: JobEvents): Promise<void> {
    const waiting = tiles();
    const one = async () => {
      for (let tile = waiting.shift(); tile && this.phase === "running"; tile = waiting.shift()) {
        const at = tile;
        const result = await peer.run(module, inputOf(this.place, at), {
          replicas,
          signal: this.#end.signal,
          onProgress: ({ worker }) => events.given(at, worker),
        });
        this.#take(result);
        events.done(at, result);
        events.changed();
      }
    };
    try {
      await Promise.all(Array.from({ length: AHEAD }, one));
      if (this.phase === "running") this.phase = "done";
    } catch (error) {
      if (this.phase === "running") {
        this.phase = "failed";
        this.error = error;
        this.#end.abort();
      }
    }
    this.endedMs = performance.now();
    events.changed();
  }

  stop(): void {
    if (this.phase !== "running") return;
    this.phase = "stopped";
    this.#end.abort();
  }

  #take(result: TaskResult): void {
    this.done++;
    this.runs += result.runs;
    this.gas += Number(result.gas);
    if (result.refereed) this.refereed++;
    for (const worker of result.workers) {
      const share = this.shares.get(worker) ?? { worker, tiles: 0, gas: 0 };
      this.shares.set(worker, { worker, tiles: share.tiles + 1, gas: share.gas + Number(result.gas) });
    }
  }
}
