import type { LiveCall, LiveNews } from "../live.js";
import type { EngineSettings, EngineCaps, Output } from "../peeredge.js";
import type { Purpose } from "../store/store.js";
import type { PeerEvents, Stats, StoreOptions } from "../types.js";

/** What the page tells the engine, wherever that runs. */
export type ToEngine =
  | { type: "start"; settings: EngineSettings; relay: string; store: StoreKind; memory: SessionMemory; work: boolean; progressEveryMs: number }
  | { type: "fetch"; request: number; content: string; start?: number; end?: number; last?: number; origin: string | null; pace: number | null }
  | { type: "origin"; content: string; origin: string }
  | { type: "pull"; request: number; bytes: number }
  | { type: "abort"; request: number }
  | { type: "publish"; publish: number; blob: Blob; name: string; mediaType: string }
  | { type: "abortPublish"; publish: number }
  | { type: "remove"; remove: number; content: string }
  | { type: "keepKey"; keep: number; purpose: Purpose }
  | { type: "caps"; caps: EngineCaps }
  | { type: "stats"; stats: number }
  /** The browser has a network again, maybe another one. */
  | { type: "online" }
  | { type: "progress"; on: boolean }
  | { type: "channel"; connection: number; channel: RTCDataChannel }
  | { type: "signal"; connection: number; signal: string }
  | { type: "closed"; connection: number }
  | { type: "task"; task: TaskCall }
  | { type: "live"; live: LiveCall }
  | { type: "roundTrip"; connection: number; ms: number }
  | { type: "close" };

/** What the engine tells the page. */
export type FromEngine =
  /** The worker's first word: whether data channels can be handed to it. */
  | { type: "hello"; channels: boolean }
  | { type: "started"; peer: string; store: "opfs" | "memory"; slot: number | null; key: Uint8Array | null }
  | { type: "startFailed"; code: "storage" | "internal"; message: string }
  | { type: "stun"; port: number }
  | { type: "open"; connection: number; peer: string; offerer: boolean }
  | { type: "signal"; connection: number; signal: string }
  | { type: "closeConnection"; connection: number }
  | { type: "head"; request: number; start: number; end: number; length: number; name: string; mediaType: string }
  | { type: "data"; request: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: "done"; request: number }
  | { type: "failed"; request: number; code: string; message: string; length: number }
  | { type: "publishProgress"; publish: number; doneBytes: number }
  | { type: "published"; publish: number; content: string; stored: boolean }
  | { type: "publishFailed"; publish: number; code: PublishFailure; message: string }
  | { type: "removed"; remove: number }
  /** Whether the engine has the key that is kept now. */
  | { type: "keptKey"; keep: number; own: boolean }
  | { type: "stats"; stats: number; value: EngineStats }
  | { type: "task"; task: TaskWord }
  | { type: "live"; follow: number; news: LiveNews }
  | { type: "liveForked"; follow: number }
  | EngineEvent
  | { type: "fatal"; message: string }
  | { type: "closed" };

/** What a tab remembers of its peer over a reload. */
export interface SessionMemory {
  slot: number | null;
  /** The session's secret key. */
  key: Uint8Array | null;
  /** Whether it published live. */
  live: boolean;
}

/** What the page says about tasks; numbers of leases stay below 2^53, gas does not. */
export type TaskCall =
  | { call: "offer"; slots: number; memoryPages: number; anybody: boolean }
  | { call: "untrue"; request: number }
  | {
      call: "submit";
      request: number;
      module: string;
      input: Uint8Array;
      inputContent?: string;
      gas: bigint;
      memoryPages: number;
      outputBytes: number;
      checkpointSteps: number;
      assurance: number;
      value: number;
    }
  | { call: "cancel"; request: number }
  | { call: "beat"; lease: number; checkpoint?: string; gas?: bigint }
  | { call: "answer"; lease: number; end: number; gas: bigint; output: Uint8Array; outputContent?: string; outputHash: Uint8Array }
  | { call: "trouble"; lease: number; detail: string };

/** What the engine says about tasks. */
export type TaskWord = Extract<
  Output,
  [kind: "lease" | "revoke" | "result" | "taskProgress" | "marked" | "refused", ...fields: unknown[]]
>;

export type EngineEvent = {
  [K in Exclude<keyof PeerEvents, "error" | "progress">]: { type: "event"; name: K; detail: PeerEvents[K] };
}[Exclude<keyof PeerEvents, "error" | "progress">] | { type: "event"; name: "progress"; detail: EngineStats };

export type EngineStats = Omit<Stats, "engine">;
export type StoreKind = NonNullable<StoreOptions["kind"]>;
export type PublishFailure = "invalid_option" | "unreadable";

/** One end of the wire between page and engine: the engine here and the engine behind a port look alike. */
export interface EnginePort {
  readonly kind: "worker" | "page";
  send(message: ToEngine, transfer?: Transferable[]): void;
  /** Ends the engine at once. */
  terminate(): void;
}
