import { messageOf } from "../errors.js";
import type { LiveCall } from "../live.js";
import type { Engine, Output } from "../peeredge.js";
import { plainName } from "../media-type.js";
import { MemoryStore } from "../store/memory.js";
import { OpfsStore } from "../store/opfs.js";
import type { Purpose, Store } from "../store/store.js";
import { Channels } from "./channels.js";
import { Http } from "./http.js";
import type { EngineStats, FromEngine, TaskCall, ToEngine } from "./messages.js";
import { Publishing } from "./publishing.js";
import { RelaySocket } from "./relay-socket.js";

/** The module behind the slot. */
export type Slot = Pick<typeof import("../peeredge.js"), "Engine" | "Publisher" | "takePanic">;
type Start = Extract<ToEngine, { type: "start" }>;
export type Post = (message: FromEngine, transfer?: Transferable[]) => void;

/** Everything that one start of the engine owns. */
interface Running {
  engine: Engine;
  relay: string;
  /** Where the site's own server has a content. */
  origins: Map<string, string>;
  socket: RelaySocket;
  channels: Channels;
  http: Http;
  store: Store;
  secretKey: Uint8Array;
  publishing: Publishing;
  progressEveryMs: number;
}

const GOODBYE_WITHIN_MS = 500;
/** Of complaints, which others can cause, the page hears so many a second. */
const COMPLAINTS_A_SECOND = 20;
const ORIGINS_MAX = 1024;
const TIMER_MS_MAX = 2 ** 31 - 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The engine's shell: it owns the machine, the relay's socket, HTTP, the store and the data channels, in a worker or in the
 * page. Every event becomes one input, after which the outputs are carried out until there are none.
 */
export class Host {
  readonly #slot: Slot;
  readonly #post: Post;
  readonly #inWorker: boolean;
  #running: Running | null = null;
  #ended = false;
  /** Inputs that came while outputs were being carried out. */
  readonly #waiting: ((engine: Engine, nowUs: number) => void)[] = [];
  #turning = false;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #wakeUs = Infinity;
  #progressTimer: ReturnType<typeof setTimeout> | undefined;
  #progress = false;
  #complaints = { second: 0, count: 0 };
  #moved = false;

  constructor(slot: Slot, post: Post, inWorker: boolean) {
    this.#slot = slot;
    this.#post = post;
    this.#inWorker = inWorker;
  }

  /** Takes a message from the page. */
  receive(message: ToEngine): void {
    if (this.#ended) return;
    if (message.type === "start") {
      this.#start(message).catch((error: unknown) => {
        if (!this.#ended) this.#post({ type: "startFailed", code: "internal", message: messageOf(error) });
      });
      return;
    }
    if (message.type === "close") {
      void this.#close();
      return;
    }
    const running = this.#running;
    if (!running) return;
    switch (message.type) {
      case "fetch": {
        const { request, content, start, end, last, origin, pace } = message;
        if (origin) rememberOrigin(running.origins, content, origin);
        return this.#input((engine, now) => {
          engine.fetch(now, request, content, start, end, last);
          if (origin) engine.origin(now, content, hostOf(origin));
          if (pace !== null) engine.pace(now, request, pace);
        });
      }
      case "origin":
        rememberOrigin(running.origins, message.content, message.origin);
        return this.#input((engine, now) => engine.origin(now, message.content, hostOf(message.origin)));
      case "pull":
        return this.#input((engine, now) => engine.pull(now, message.request, message.bytes));
      case "abort":
        return this.#input((engine, now) => engine.abort(now, message.request));
      case "publish":
        return running.publishing.start(message.publish, message.blob, message.name, message.mediaType);
      case "abortPublish":
        return running.publishing.abort(message.publish);
      case "remove":
        return this.#remove(running, message.remove, message.content);
      case "keepKey":
        void this.#keepKey(running, message.keep, message.purpose);
        return;
      case "caps":
        return this.#input((engine, now) => engine.caps(now, message.caps));
      case "task":
        return this.#input((engine, now) => callTask(engine, now, message.task));
      case "live":
        return this.#input((engine, now) => callLive(engine, now, message.live));
      case "stats":
        this.#post({ type: "stats", stats: message.stats, value: this.#stats(running) });
        return;
      case "online":
        // A socket of the network before would be waited for until its packets are given up, for many minutes.
        running.socket.close();
        return this.#input((engine, now) => engine.relayClosed(now));
      case "progress":
        this.#progress = message.on;
        return this.#activity();
      case "channel":
        return running.channels.add(message.connection, message.channel);
      case "signal":
        return this.#input((engine, now) => engine.signal(now, message.connection, encoder.encode(message.signal)));
      case "closed":
        running.channels.close(message.connection);
        return this.#input((engine, now) => engine.closed(now, message.connection));
      case "roundTrip":
        return this.#input((engine, now) => engine.roundTrip(now, message.connection, message.ms * 1000));
    }
  }

  /** Lets go of everything at once. */
  terminate(): void {
    this.#ended = true;
    clearTimeout(this.#wakeTimer);
    clearTimeout(this.#progressTimer);
    const running = this.#running;
    this.#running = null;
    if (!running) return;
    running.publishing.abortAll();
    running.http.cancelAll();
    running.channels.closeAll();
    running.socket.close();
    void running.store.close();
    // Not freed while it is in use: the engine may be what calls this.
    if (!this.#turning) running.engine.free();
  }

  async #start(message: Start): Promise<void> {
    let store: Store;
    try {
      store = await this.#openStore(message);
    } catch (error) {
      this.#post({ type: "startFailed", code: "storage", message: messageOf(error) });
      return;
    }
    const contents = await store.load();
    const { secretKey, remembered } = await keyOf(store, message);
    if (this.#ended) return void store.close();
    const settings = { ...message.settings, storeBytes: store.bytesMax };
    const seed = crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n;
    const engine = new this.#slot.Engine(secretKey, seed, settings);
    this.#running = {
      engine,
      store,
      secretKey,
      relay: message.relay,
      origins: new Map(),
      progressEveryMs: message.progressEveryMs,
      socket: new RelaySocket(message.relay, {
        opened: () => this.#input((engine, now) => engine.relayOpened(now)),
        message: (frame) => this.#input((engine, now) => engine.relayMessage(now, frame)),
        closed: () => this.#input((engine, now) => engine.relayClosed(now)),
      }),
      channels: new Channels({
        opened: (connection, bytes) => this.#input((engine, now) => engine.opened(now, connection, bytes)),
        message: (connection, bytes) => {
          this.#activity();
          this.#input((engine, now) => engine.message(now, connection, bytes));
        },
        credit: (connection, bytes) => this.#input((engine, now) => engine.credit(now, connection, bytes)),
        closed: (connection) => {
          this.#post({ type: "closeConnection", connection });
          this.#input((engine, now) => engine.closed(now, connection));
        },
      }),
      http: new Http((token, result) => {
        this.#activity();
        if ("body" in result) this.#input((engine, now) => engine.httpBody(now, token, result.body));
        else this.#input((engine, now) => engine.httpFailed(now, token, result.status));
      }),
      publishing: new Publishing(this.#slot, store, this.#post, (content, state) => {
        this.#input((engine, now) => engine.stored(now, content, state));
      }),
    };
    this.#post({ type: "started", peer: engine.id(), store: store.kind, slot: store.slot, key: remembered });
    for (const { content, state } of contents) this.#input((engine, now) => engine.stored(now, content, state));
    this.#input((engine, now) => engine.wake(now));
  }

  async #openStore(message: Start): Promise<Store> {
    const bytesMax = Number.isFinite(message.settings.storeBytes) ? message.settings.storeBytes : null;
    if (message.store === "memory") return new MemoryStore(bytesMax);
    if (message.store === "opfs" && !this.#inWorker) throw new Error("files can be kept only by an engine in a worker");
    if (this.#inWorker) {
      try {
        return await OpfsStore.open(bytesMax, message.memory.slot);
      } catch (error) {
        if (message.store === "opfs") throw error;
      }
    }
    return new MemoryStore(bytesMax);
  }

  /** One input, then all outputs, then the timer. What comes meanwhile waits its turn. */
  #input(input: (engine: Engine, nowUs: number) => void): void {
    this.#waiting.push(input);
    if (this.#turning || this.#ended) return;
    this.#turning = true;
    try {
      for (let next = this.#waiting.shift(); next && this.#running; next = this.#waiting.shift()) {
        const running: Running = this.#running;
        next(running.engine, performance.now() * 1000);
        for (let output = running.engine.poll(); output && !this.#ended; output = running.engine.poll()) {
          this.#carryOut(running, output);
        }
      }
      this.#setTimer();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#turning = false;
    }
  }

  #setTimer(): void {
    const deadlineUs = this.#running?.engine.deadline() ?? Infinity;
    // A timer that fires too early does no harm, and setting it anew with every message would cost something.
    if (this.#wakeUs <= deadlineUs) return;
    clearTimeout(this.#wakeTimer);
    this.#wakeUs = deadlineUs;
    const delayMs = Math.ceil(deadlineUs / 1000 - performance.now());
    this.#wakeTimer = setTimeout(
      () => {
        this.#wakeUs = Infinity;
        this.#input((engine, now) => engine.wake(now));
      },
      Math.min(Math.max(delayMs, 0), TIMER_MS_MAX),
    );
  }

  #carryOut(running: Running, output: Output): void {
    switch (output[0]) {
      case "relayConnect":
        return running.socket.connect();
      case "relaySend":
        return running.socket.send(output[1]);
      case "relayClose":
        return running.socket.close();
      case "stun":
        return this.#post({ type: "stun", port: output[1] });
      case "open":
        return this.#post({ type: "open", connection: output[1], peer: output[2], offerer: output[3] });
      case "signal":
        return this.#post({ type: "signal", connection: output[1], signal: decoder.decode(output[2]) });
      case "send":
        this.#activity();
        return running.channels.send(output[1], output[2]);
      case "close":
        running.channels.close(output[1]);
        return this.#post({ type: "closeConnection", connection: output[1] });
      case "httpGet": {
        const [, token, content, path, start, end, timeoutMs] = output;
        const url = path === "o" ? (running.origins.get(content) ?? "") : `${running.relay}/${path}/${content}`;
        return running.http.get(token, url, start, end, timeoutMs);
      }
      case "httpCancel":
        return running.http.cancel(output[1]);
      case "head": {
        const [, request, start, end, length, name, mediaType] = output;
        return this.#post({ type: "head", request, start, end, length, name: plainName(name), mediaType });
      }
      case "data":
        this.#activity();
        return this.#post({ type: "data", request: output[1], bytes: output[2] }, [output[2].buffer]);
      case "done":
        return this.#post({ type: "done", request: output[1] });
      case "failed": {
        const [, request, code, message, length] = output;
        return this.#post({ type: "failed", request, code, message, length });
      }
      case "storeRead":
      case "storeWrite":
      case "storeState":
      case "storeRemove":
        return this.#carryToStore(running.store, output);
      case "lease":
      case "revoke":
      case "result":
      case "taskProgress":
      case "marked":
      case "refused":
        return this.#post({ type: "task", task: output });
      case "live": {
        const [, follow, first, gapFrom, newBroadcast, ended, parts] = output;
        return this.#post({ type: "live", follow, news: { first, gapFrom, newBroadcast, ended, parts } });
      }
      case "liveForked":
        return this.#post({ type: "liveForked", follow: output[1] });
      case "relayReady":
        return this.#post({ type: "event", name: "relay", detail: { state: "ready", relay: output[1] } });
      case "relayLost":
        return this.#post({ type: "event", name: "relay", detail: { state: "lost" } });
      case "relayRefused": {
        const [, code, detail] = output;
        if (!this.#mayComplain()) return;
        return this.#post({ type: "event", name: "relay", detail: { state: "refused", code, detail: plainName(detail) } });
      }
      case "peerOpened":
        this.#activity();
        return this.#post({ type: "event", name: "peer", detail: { peer: output[1], state: "opened" } });
      case "peerClosed":
        this.#activity();
        return this.#post({ type: "event", name: "peer", detail: { peer: output[1], state: "closed" } });
      case "peerBlamed": {
        const [, peer, content, block, coded] = output;
        if (!this.#mayComplain()) return;
        return this.#post({ type: "event", name: "blame", detail: { peer, content, block, coded } });
      }
      case "complete":
        return this.#post({ type: "event", name: "complete", detail: { content: output[1] } });
    }
  }

  #carryToStore(store: Store, output: Extract<Output, [`store${string}`, ...unknown[]]>): void {
    switch (output[0]) {
      case "storeRead": {
        const [, token, content, area, offset, len] = output;
        const answer = (bytes: Uint8Array | null) =>
          this.#input((engine, now) => engine.read(now, token, bytes ?? undefined));
        store.read(content, area, offset, len).then(answer, () => answer(null));
        return;
      }
      case "storeWrite": {
        const [, content, area, offset, bytes] = output;
        store.write(content, area, offset, bytes).catch(() => this.#storeFailed(store, content));
        return;
      }
      case "storeState":
        store.writeState(output[1], output[2]).catch(() => this.#storeFailed(store, output[1]));
        return;
      case "storeRemove":
        store.remove(output[1]).catch(() => undefined);
        return;
    }
  }

  #storeFailed(store: Store, content: string): void {
    store.remove(content).catch(() => undefined);
    this.#input((engine, now) => engine.storeFailed(now, content));
  }

  #remove(running: Running, remove: number, content: string): void {
    this.#input((engine, now) => engine.remove(now, content));
    // Also what the engine did not know of; and the answer comes when the disk has let go of it.
    const done = () => this.#post({ type: "removed", remove });
    running.store.remove(content).then(done, done);
  }

  /** Keeps the engine's key for a purpose, unless another one is kept already. */
  async #keepKey(running: Running, keep: number, purpose: Purpose): Promise<void> {
    const { store, secretKey } = running;
    let kept = await store.keptKey(purpose);
    if (!kept) await store.keepKey(purpose, (kept = secretKey)).catch(() => undefined);
    const own = kept.every((byte, at) => byte === secretKey[at]);
    if (!this.#ended) this.#post({ type: "keptKey", keep, own });
  }

  #mayComplain(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#complaints.second) this.#complaints = { second, count: 0 };
    return ++this.#complaints.count <= COMPLAINTS_A_SECOND;
  }

  /** Bytes moved: a `progress` event is due, one more when they stop. */
  #activity(): void {
    this.#moved = true;
    const running = this.#running;
    if (!this.#progress || this.#progressTimer !== undefined || !running) return;
    this.#progressTimer = setTimeout(() => {
      this.#progressTimer = undefined;
      if (this.#ended) return;
      const again = this.#moved;
      this.#moved = false;
      this.#post({ type: "event", name: "progress", detail: this.#stats(running) });
      if (again) this.#activityAgain();
    }, running.progressEveryMs);
  }

  #activityAgain(): void {
    this.#activity();
    this.#moved = false;
  }

  #stats(running: Running): EngineStats {
    const stats = running.engine.stats() as Omit<EngineStats, "store">;
    for (const content of stats.contents ?? []) {
      content.name = plainName(content.name);
      content.type = plainName(content.type);
    }
    return { ...stats, store: running.store.kind };
  }

  /** The machine trapped or refused what it must not refuse: nothing of it can be trusted any more. */
  #fail(error: unknown): void {
    const message = this.#slot.takePanic() ?? messageOf(error);
    this.terminate();
    this.#post({ type: "fatal", message });
  }

  async #close(): Promise<void> {
    const running = this.#running;
    if (!running) {
      this.terminate();
      this.#post({ type: "closed" });
      return;
    }
    running.publishing.abortAll();
    this.#input((engine, now) => engine.close(now));
    // What the engine's last words write has to reach the disk.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, GOODBYE_WITHIN_MS)));
    await Promise.race([running.store.close(), late]);
    clearTimeout(timer);
    this.terminate();
    this.#post({ type: "closed" });
  }
}

/**
 * A session has a key of its own, so that nobody can tell two visits of one visitor; it is remembered for a reload of the tab. Who
 * publishes live or works has the key that was kept for that.
 */
async function keyOf(store: Store, message: Start): Promise<{ secretKey: Uint8Array; remembered: Uint8Array | null }> {
  const { memory, work } = message;
  const kept = (memory.live ? await store.keptKey("live") : null) ?? (work ? await store.keptKey("work") : null);
  if (kept) return { secretKey: kept, remembered: null };
  const remembered = store.kind === "opfs" ? memory.key : null;
  const secretKey = remembered ?? crypto.getRandomValues(new Uint8Array(32));
  if (work) await store.keepKey("work", secretKey).catch(() => undefined);
  return { secretKey, remembered: store.kind === "opfs" ? secretKey : null };
}

/** A number for an address's server: the engine judges a server by all that it gives. Two with the same number are taken for one. */
function hostOf(url: string): number {
  let hash = 0;
  for (const char of new URL(url).host) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0;
  return hash;
}

/** The latest ones: an address is needed for as long as its content is fetched. */
function rememberOrigin(origins: Map<string, string>, content: string, origin: string): void {
  origins.delete(content);
  origins.set(content, origin);
  if (origins.size > ORIGINS_MAX) origins.delete(origins.keys().next().value!);
}

function callLive(engine: Engine, now: number, live: LiveCall): void {
  engine.liveClock(now, Date.now());
  switch (live.call) {
    case "begin":
      return engine.liveBegin(now, live.name, live.epochMs);
    case "append":
      return engine.liveAppend(now, live.name, live.content, live.length, live.durationMs);
    case "end":
      return engine.liveEnd(now, live.name);
    case "follow":
      return engine.follow(now, live.follow, live.publisher, live.name);
    case "unfollow":
      return engine.unfollow(now, live.follow);
  }
}

function callTask(engine: Engine, now: number, task: TaskCall): void {
  switch (task.call) {
    case "offer":
      return engine.offerTasks(now, task.slots, task.memoryPages, task.anybody);
    case "untrue":
      return engine.taskUntrue(now, task.request);
    case "submit": {
      const { request, module, input, inputContent, gas, memoryPages, outputBytes, checkpointSteps, assurance, value } = task;
      return engine.submitTask(now, request, module, input, inputContent, gas, memoryPages, outputBytes, checkpointSteps, assurance, value);
    }
    case "cancel":
      return engine.cancelTask(now, task.request);
    case "beat":
      return engine.taskBeat(now, task.lease, task.checkpoint, task.gas ?? 0n);
    case "answer": {
      const { lease, end, gas, output, outputContent, outputHash } = task;
      return engine.taskAnswer(now, lease, end, gas, output, outputContent, outputHash);
    }
    case "trouble":
      return engine.taskTrouble(now, task.lease, task.detail);
  }
}
