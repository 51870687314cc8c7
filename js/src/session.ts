import { watchConditions } from "./conditions.js";
import { Connections } from "./connections.js";
import { PeerEdgeError, messageOf } from "./errors.js";
import { Follower, type LiveCall, type LiveName } from "./live.js";
import { openLocal } from "./engine/local.js";
import type { EngineEvent, EnginePort, EngineStats, FromEngine, TaskCall, TaskWord, ToEngine } from "./engine/messages.js";
import { effectiveCaps, engineSettings, type Conditions, type Settled } from "./options.js";
import { openRemote } from "./remote.js";
import { Held, PageRequest } from "./request.js";
import type { Purpose } from "./store/store.js";
import { HELD_MAX } from "./recycle.js";
import { claimTab, releaseTab, rememberLive, rememberTab } from "./tab.js";
import type { Caps, PublishProgress, Range, Stats } from "./types.js";

export interface SessionEvents {
  event(event: EngineEvent): void;
  /** The engine failed; everything is closed. */
  failed(error: PeerEdgeError): void;
}

interface Publish {
  resolve(published: { content: string; stored: boolean }): void;
  reject(reason: unknown): void;
  progress(progress: PublishProgress): void;
  lengthBytes: number;
}

/** Where else the bytes are, and how fast they are played. */
export interface Ways {
  /** A promise: in reserve until it resolves. */
  origin: string | Promise<string> | null;
  pace: number | null;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

const GOODBYE_WITHIN_MS = 700;
const BUDGET_WITHIN_MS = 50;

/** One life of the engine, from consent to its end, with all that the page holds for it. */
export class Session {
  readonly #events: SessionEvents;
  readonly #connections: Connections;
  readonly #requests = new Map<number, PageRequest>();
  readonly #held = new Held();
  readonly #follows = new Map<number, Follower>();
  readonly #publishes = new Map<number, Publish>();
  readonly #stats = new Map<number, Waiting<EngineStats>>();
  readonly #removes = new Map<number, Waiting<void>>();
  readonly #keeps = new Map<number, Waiting<boolean>>();
  readonly #unwatch: () => void;
  /** Takes what the engine says about tasks. */
  onTask: (task: TaskWord) => void = () => {};
  /** Told what the browser tells of the connection and the battery. */
  onConditions: (conditions: Conditions) => void = () => {};
  /** An IPv6 address in brackets, as STUN's addresses have it, too. */
  readonly #relayHost: string;
  #port: EnginePort | null = null;
  #started: Waiting<string> | null = null;
  #closed: (() => void) | null = null;
  #ended: PeerEdgeError | null = null;
  #caps: Caps;
  #conditions: Conditions = { metered: false, lowBattery: false };
  #nextNumber = 1;
  #slot: number | null = null;
  #connectionsMade = HELD_MAX;
  #budgetTimer: ReturnType<typeof setTimeout> | undefined;

  private constructor(settled: Settled, caps: Caps, events: SessionEvents) {
    this.#events = events;
    this.#caps = caps;
    this.#relayHost = new URL(settled.relay).hostname;
    this.#connections = new Connections(settled.iceServers, {
      channel: (connection, channel) => this.#send({ type: "channel", connection, channel }, [channel]),
      signal: (connection, signal) => this.#send({ type: "signal", connection, signal }),
      closed: (connection) => this.#send({ type: "closed", connection }),
      roundTrip: (connection, ms) => this.#send({ type: "roundTrip", connection, ms }),
      budget: (madeMax) => {
        if (this.#ended) return;
        this.#connectionsMade = madeMax;
        // Many come at once.
        this.#budgetTimer ??= setTimeout(() => this.#sendCaps(), BUDGET_WITHIN_MS);
      },
    });
    const unwatch = watchConditions((conditions) => {
      this.#conditions = conditions;
      this.#sendCaps();
      this.onConditions(conditions);
    });
    const online = () => this.#send({ type: "online" });
    globalThis.addEventListener?.("online", online);
    this.#unwatch = () => {
      unwatch();
      globalThis.removeEventListener?.("online", online);
    };
  }

  /** Starts an engine, with the keys that are kept for what it is used for. `ended` ends the start, too. */
  static async start(
    settled: Settled,
    caps: Caps,
    uses: { live: boolean; work: boolean },
    ended: AbortSignal,
    events: SessionEvents,
  ): Promise<[Session, id: string]> {
    const session = new Session(settled, caps, events);
    const end = () => session.end(ended.reason as PeerEdgeError);
    ended.addEventListener("abort", end);
    try {
      const id = await session.#start(settled, uses);
      return [session, id];
    } catch (error) {
      session.end(error instanceof PeerEdgeError ? error : new PeerEdgeError("internal", messageOf(error)));
      throw session.#ended;
    } finally {
      ended.removeEventListener("abort", end);
    }
  }

  get engine(): Stats["engine"] {
    return this.#port?.kind ?? "none";
  }

  /** `headOnly`: the response has no body, and none is fetched. */
  fetch(content: string, range: Range | null, signal: AbortSignal | null, { origin, pace }: Ways, headOnly = false): Promise<Response> {
    const number = this.#nextNumber++;
    const events = {
      pull: (bytes: number) => this.#send({ type: "pull", request: number, bytes }),
      abort: () => this.#send({ type: "abort", request: number }),
      ended: () => this.#requests.delete(number),
    };
    const { request, response } = PageRequest.begin(content, range !== null, signal, events, this.#held, headOnly);
    this.#requests.set(number, request);
    const reserve = origin instanceof Promise ? origin : null;
    this.#send({ type: "fetch", request: number, content, origin: origin instanceof Promise ? null : origin, pace, ...range });
    // A reserve that comes to nothing is none.
    reserve?.then((origin) => this.#requests.has(number) && this.#send({ type: "origin", content, origin })).catch(() => undefined);
    return response;
  }

  publish(
    blob: Blob,
    name: string,
    mediaType: string,
    signal: AbortSignal | null,
    progress: (progress: PublishProgress) => void,
  ): Promise<{ content: string; stored: boolean }> {
    const publish = this.#nextNumber++;
    let aborted: (() => void) | null = null;
    const result = new Promise<{ content: string; stored: boolean }>((resolve, reject) => {
      aborted = () => {
        this.#send({ type: "abortPublish", publish });
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", aborted);
      this.#publishes.set(publish, { resolve, reject, progress, lengthBytes: blob.size });
      this.#send({ type: "publish", publish, blob, name, mediaType });
    });
    return result.finally(() => {
      this.#publishes.delete(publish);
      if (aborted) signal?.removeEventListener("abort", aborted);
    });
  }

  live(live: LiveCall): void {
    this.#send({ type: "live", live });
  }

  follow({ publisher, name }: LiveName, signal: AbortSignal | null): Follower {
    const follow = this.#nextNumber++;
    const follower = new Follower(signal, () => {
      this.#follows.delete(follow);
      this.live({ call: "unfollow", follow });
    });
    this.#follows.set(follow, follower);
    this.live({ call: "follow", follow, publisher, name });
    return follower;
  }

  remove(content: string): Promise<void> {
    const remove = this.#nextNumber++;
    return this.#ask(this.#removes, remove, { type: "remove", remove, content });
  }

  /** Keeps this session's key for a purpose. Gives whether it is the one that is kept, or another was. */
  async keepKey(purpose: Purpose): Promise<boolean> {
    const keep = this.#nextNumber++;
    if (purpose === "live") rememberLive(this);
    return this.#ask(this.#keeps, keep, { type: "keepKey", keep, purpose });
  }

  /** The store's folder; null where nothing survives. */
  get slot(): number | null {
    return this.#slot;
  }

  get conditions(): Conditions {
    return this.#conditions;
  }

  task(task: TaskCall): void {
    this.#send({ type: "task", task });
  }

  async stats(): Promise<Stats> {
    const stats = this.#nextNumber++;
    const value = await this.#ask<EngineStats>(this.#stats, stats, { type: "stats", stats });
    return { ...value, engine: this.engine };
  }

  setCaps(caps: Caps): void {
    this.#caps = caps;
    this.#sendCaps();
  }

  setProgress(on: boolean): void {
    this.#send({ type: "progress", on });
  }

  /** Says goodbye, then ends. `reason` is what everything under way fails with. */
  async close(reason: PeerEdgeError): Promise<void> {
    if (this.#ended) return;
    this.#failAll(reason);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      timer = setTimeout(resolve, GOODBYE_WITHIN_MS);
      this.#send({ type: "close" });
    });
    clearTimeout(timer);
    this.end(reason);
  }

  /** Ends at once: no worker, connection or watch is left. */
  end(reason: PeerEdgeError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#unwatch();
    clearTimeout(this.#budgetTimer);
    releaseTab(this);
    this.#port?.terminate();
    this.#connections.closeAll();
    this.#failAll(reason);
    this.#closed?.();
  }

  async #start(settled: Settled, { live, work }: { live: boolean; work: boolean }): Promise<string> {
    const receive = (message: FromEngine) => this.#receive(message);
    const port = await openPort(settled.worker, receive);
    if (this.#ended) {
      port.terminate();
      throw this.#ended;
    }
    this.#port = port;
    const memory = claimTab(this);
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject };
      this.#send({
        type: "start",
        settings: engineSettings(settled, effectiveCaps(this.#caps, this.#conditions)),
        relay: settled.relay,
        store: settled.storeKind,
        memory: { ...memory, live: memory.live || live },
        work,
        progressEveryMs: settled.tuning.progressEveryMs,
      });
    });
  }

  #send(message: ToEngine, transfer?: Transferable[]): void {
    if (!this.#ended) this.#port?.send(message, transfer);
  }

  #sendCaps(): void {
    clearTimeout(this.#budgetTimer);
    this.#budgetTimer = undefined;
    this.#send({ type: "caps", caps: effectiveCaps(this.#caps, this.#conditions, this.#connectionsMade) });
  }

  #ask<T>(waiting: Map<number, Waiting<T>>, number: number, message: ToEngine): Promise<T> {
    return new Promise((resolve, reject) => {
      waiting.set(number, { resolve, reject });
      this.#send(message);
    });
  }

  #receive(message: FromEngine): void {
    if (this.#ended) return;
    switch (message.type) {
      case "hello":
        return;
      case "started":
        this.#slot = message.slot;
        rememberTab(this, message.slot, message.key);
        return this.#started?.resolve(message.peer);
      case "startFailed":
        return this.#started?.reject(new PeerEdgeError(message.code, message.message));
      case "stun":
        return this.#connections.setStun(`stun:${this.#relayHost}:${message.port}`);
      case "open":
        return this.#connections.open(message.connection, message.offerer);
      case "signal":
        return this.#connections.signal(message.connection, message.signal);
      case "closeConnection":
        return this.#connections.close(message.connection);
      case "head":
      case "data":
      case "done":
      case "failed":
        return this.#requests.get(message.request)?.receive(message);
      case "publishProgress": {
        const publish = this.#publishes.get(message.publish);
        return publish?.progress({ doneBytes: message.doneBytes, lengthBytes: publish.lengthBytes });
      }
      case "published":
        return this.#publishes.get(message.publish)?.resolve(message);
      case "publishFailed":
        return this.#publishes.get(message.publish)?.reject(new PeerEdgeError(message.code, message.message));
      case "keptKey":
        return settle(this.#keeps, message.keep, message.own);
      case "removed":
        return settle(this.#removes, message.remove, undefined);
      case "live":
        return this.#follows.get(message.follow)?.receive(message.news);
      case "liveForked":
        return this.#follows.get(message.follow)?.fail(new PeerEdgeError("live_forked", "the publisher of this live content signed two that contradict each other"));
      case "task":
        return this.onTask(message.task);
      case "stats":
        return settle(this.#stats, message.stats, message.value);
      case "event":
        return this.#events.event(message);
      case "fatal": {
        const error = new PeerEdgeError("internal", `the engine failed: ${message.message}`);
        this.end(error);
        return this.#events.failed(error);
      }
      case "closed":
        return this.#closed?.();
    }
  }

  #failAll(reason: PeerEdgeError): void {
    this.#started?.reject(reason);
    for (const request of [...this.#requests.values()]) request.fail(reason);
    for (const follower of [...this.#follows.values()]) follower.fail(reason);
    for (const waiting of [this.#publishes, this.#stats, this.#removes, this.#keeps]) {
      for (const { reject } of waiting.values()) reject(reason);
      waiting.clear();
    }
  }
}

async function openPort(worker: boolean, receive: (message: FromEngine) => void): Promise<EnginePort> {
  if (worker && typeof Worker === "function") {
    try {
      return await openRemote(receive);
    } catch {
      // A content security policy, a script from elsewhere, a browser whose workers take no channels: the page then.
    }
  }
  try {
    return await openLocal(receive);
  } catch (error) {
    throw new PeerEdgeError("unsupported", `the engine cannot be loaded: ${messageOf(error)}`, { cause: error });
  }
}

function settle<T>(waiting: Map<number, Waiting<T>>, number: number, value: T): void {
  const entry = waiting.get(number);
  waiting.delete(number);
  entry?.resolve(value);
}
