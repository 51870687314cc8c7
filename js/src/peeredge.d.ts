/**
 * The slot as the hand-written code sees it. `npm run build` puts the module itself beside the compiled code; its Rust side is
 * `sdk-wasm/src`. Times are microseconds, ids are texts of 52 characters.
 */

/** What {@link Engine.poll} gives: kind, then fields, as `sdk-wasm/src/output.rs` makes them. */
export type Output =
  | [kind: "relayConnect"]
  | [kind: "relaySend", frame: Uint8Array<ArrayBuffer>]
  | [kind: "relayClose"]
  | [kind: "stun", port: number]
  | [kind: "open", connection: number, peer: string, offerer: boolean]
  | [kind: "signal", connection: number, signal: Uint8Array<ArrayBuffer>]
  | [kind: "send", connection: number, message: Uint8Array<ArrayBuffer>]
  | [kind: "close", connection: number]
  | [kind: "storeRead", token: number, content: string, area: Area, offset: number, len: number]
  | [kind: "storeWrite", content: string, area: Area, offset: number, bytes: Uint8Array<ArrayBuffer>]
  | [kind: "storeState", content: string, state: Uint8Array<ArrayBuffer>]
  | [kind: "storeRemove", content: string]
  | [kind: "httpGet", token: number, content: string, path: "m" | "r" | "c" | "o", start: number, end: number, timeoutMs: number]
  | [kind: "httpCancel", token: number]
  | [kind: "head", request: number, start: number, end: number, length: number, name: string, mediaType: string]
  | [kind: "data", request: number, bytes: Uint8Array<ArrayBuffer>]
  | [kind: "done", request: number]
  | [kind: "failed", request: number, code: string, message: string, length: number]
  | [
      kind: "lease",
      lease: number,
      beatMs: number,
      module: string,
      input: Uint8Array | string,
      gas: bigint,
      memoryPages: number,
      outputBytes: number,
      checkpointSteps: number,
      checkpoint: string | undefined,
      checkpointGas: bigint,
    ]
  | [kind: "revoke", lease: number]
  | [
      kind: "result",
      request: number,
      end: number,
      gas: bigint,
      runs: number,
      refereed: boolean,
      workers: string[],
      output: Uint8Array | string,
      digest: Uint8Array,
      doubtPpm: number,
      others: string[],
    ]
  | [kind: "taskProgress", request: number, runs: number, worker: string]
  | [kind: "marked", request: number, checkpoint: string]
  | [kind: "refused", request: number, why: string]
  | [kind: "live", follow: number, first: number, gapFrom: number, newBroadcast: boolean, ended: boolean, parts: [string, number, number][]]
  | [kind: "liveForked", follow: number]
  | [kind: "relayReady", relay: string]
  | [kind: "relayLost"]
  | [kind: "relayRefused", code: string, detail: string]
  | [kind: "peerOpened", peer: string]
  | [kind: "peerClosed", peer: string]
  | [kind: "peerBlamed", peer: string, content: string, block: number, coded: boolean]
  | [kind: "complete", content: string];

/** The content itself, or the records of its blocks. */
export type Area = "data" | "records";

/** Caps as they hold now, conditions such as a metered connection taken into account. */
export interface EngineCaps {
  upload: boolean;
  uploadBytesPerSecond: number;
  uploadBytes: number;
  connections: number;
  /** Connections that the page may be asked for in all. */
  connectionsMade: number;
  prefetchBytes: number;
}

export interface EngineSettings {
  caps: EngineCaps;
  cacheBytes: number;
  storeBytes: number;
  http: boolean;
  httpAfterMs: number;
  giveUpAfterMs: number;
  codedPermille: number;
  direct: boolean;
  throughRelayAfterMs: number;
  /** `host[:port]` of the relay, as `URL.host` gives it. */
  relayAuthority: string;
}

export class Engine {
  constructor(secretKey: Uint8Array, seed: bigint, settings: EngineSettings);
  id(): string;
  poll(): Output | undefined;
  deadline(): number | undefined;
  /** `Stats` of the public types, without `engine` and `store`. */
  stats(): unknown;
  relayOpened(nowUs: number): void;
  relayMessage(nowUs: number, frame: Uint8Array): void;
  relayClosed(nowUs: number): void;
  signal(nowUs: number, connection: number, signal: Uint8Array): void;
  opened(nowUs: number, connection: number, creditBytes: number): void;
  message(nowUs: number, connection: number, message: Uint8Array): void;
  credit(nowUs: number, connection: number, bytes: number): void;
  closed(nowUs: number, connection: number): void;
  roundTrip(nowUs: number, connection: number, micros: number): void;
  stored(nowUs: number, content: string, state: Uint8Array): void;
  read(nowUs: number, token: number, bytes?: Uint8Array): void;
  storeFailed(nowUs: number, content: string): void;
  httpBody(nowUs: number, token: number, body: Uint8Array): void;
  httpFailed(nowUs: number, token: number, status: number): void;
  fetch(nowUs: number, request: number, content: string, start?: number, end?: number, last?: number): void;
  pace(nowUs: number, request: number, bytesPerSecond: number): void;
  origin(nowUs: number, content: string, host: number): void;
  pull(nowUs: number, request: number, bytes: number): void;
  abort(nowUs: number, request: number): void;
  remove(nowUs: number, content: string): void;
  caps(nowUs: number, caps: EngineCaps): void;
  offerTasks(nowUs: number, slots: number, memoryPages: number, anybody: boolean): void;
  taskUntrue(nowUs: number, request: number): void;
  submitTask(
    nowUs: number,
    request: number,
    module: string,
    input: Uint8Array,
    inputContent: string | undefined,
    gas: bigint,
    memoryPages: number,
    outputBytes: number,
    checkpointSteps: number,
    assurance: number,
    value: number,
  ): void;
  cancelTask(nowUs: number, request: number): void;
  taskBeat(nowUs: number, lease: number, checkpoint: string | undefined, gas: bigint): void;
  taskAnswer(
    nowUs: number,
    lease: number,
    end: number,
    gas: bigint,
    output: Uint8Array,
    outputContent: string | undefined,
    outputHash: Uint8Array,
  ): void;
  taskTrouble(nowUs: number, lease: number, detail: string): void;
  liveClock(nowUs: number, unixMs: number): void;
  liveBegin(nowUs: number, name: string, epochMs: number): void;
  liveAppend(nowUs: number, name: string, content: string, length: number, durationMs: number): void;
  liveEnd(nowUs: number, name: string): void;
  follow(nowUs: number, follow: number, publisher: string, name: string): void;
  unfollow(nowUs: number, follow: number): void;
  wake(nowUs: number): void;
  close(nowUs: number): void;
  free(): void;
}

/** Makes a content of a file that is pushed through it. */
export class Publisher {
  constructor(length: number, name: string, mediaType: string);
  push(bytes: Uint8Array): void;
  /** The records made since the last call, to be appended to the records area. */
  takeRecords(): Uint8Array<ArrayBuffer>;
  /** Ends the file: content id and state. What {@link takeRecords} gives then is the last of it. */
  finish(): [content: string, state: Uint8Array<ArrayBuffer>];
  free(): void;
}

/** The text of the panic that ended the engine, if one did. */
export function takePanic(): string | undefined;

/** Loads the module; without an argument from `peeredge_bg.wasm` beside this file. */
export default function init(options?: { module_or_path: BufferSource | URL | Response }): Promise<unknown>;
