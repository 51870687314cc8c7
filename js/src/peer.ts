import { PeerEdgeError } from "./errors.js";
import { bodyOf, isLive, liveLink, liveOf } from "./live.js";
import { contentOf, contentOfIdOrLink, linkTo, originOf } from "./link.js";
import { PLAIN_TYPE, plainName } from "./media-type.js";
import { checkName, checkOptions, checkType } from "./names.js";
import { checkConsent, mergeCaps, mergeCompute, type Settled } from "./options.js";
import { rangeOf } from "./range.js";
import { Session, type Ways } from "./session.js";
import { forgetStores } from "./store/forget.js";
import { forgetTab } from "./tab.js";
import type { Desk, DeskHost } from "./tasks/desk.js";
import type { Caps, Compute, Computed, Consent, FetchOptions, HeadOptions, LiveOptions, LivePart, LivePublishing, Peer, Published, PublishOptions, RunOptions, Stats, TaskResult } from "./types.js";

/** At most three bytes each in UTF-8, so the name of a part is within its bound. */
const PART_NAME_CHARACTERS_MAX = 80;

/** A duration's bound, which is not one: about 49 days. */
const DURATION_MS_END = 2 ** 32;
const LIVE_HEADERS = { "content-type": PLAIN_TYPE, "x-content-type-options": "nosniff" };

const NO_STATS: Stats = {
  relayConnected: false,
  engine: "none",
  store: "none",
  fromPeersBytes: 0,
  fromRelayBytes: 0,
  fromHttpBytes: 0,
  fromOriginBytes: 0,
  sentBytes: 0,
  duplicateBytes: 0,
  rejectedBytes: 0,
  throughRelayBytes: 0,
  connectionsMade: 0,
  peers: [],
  contents: [],
};

/** Only the public types know which event has which detail. */
type Untyped<T> = Omit<T, "addEventListener" | "removeEventListener">;

/** The public face: consent, and a session while it is granted. */
export class PagePeer extends EventTarget implements Untyped<Peer> {
  readonly #settled: Settled;
  #consent: Consent = "pending";
  #caps: Caps;
  #id: string | null = null;
  #session: Session | null = null;
  #starting: { done: Promise<void>; end: AbortController } | null = null;
  /** The end of the session before, which must have let go of its store before another one starts. */
  #ending: Promise<void> = Promise.resolve();
  #closed: PeerEdgeError | null = null;
  #wantsProgress = false;
  #compute: Compute;
  #desk: Promise<Desk> | null = null;
  #wasGranted = false;
  #publishesLive = false;
  /** What this page asked for or published by itself: no task takes it away. */
  readonly #own = new Set<string>();

  constructor(settled: Settled) {
    super();
    this.#settled = settled;
    this.#caps = settled.caps;
    this.#compute = settled.compute;
  }

  get id(): string | null {
    return this.#id;
  }

  get consent(): Consent {
    return this.#consent;
  }

  get caps(): Readonly<Caps> {
    return { ...this.#caps };
  }

  get closed(): boolean {
    return this.#closed !== null;
  }

  async fetch(link: string | URL, given?: FetchOptions): Promise<Response> {
    const options = checkOptions(given);
    if (isLive(link)) return this.#fetchLive(link, options.signal ?? null);
    const { origin = null } = options;
    const where = origin instanceof Promise ? origin.then(originOf) : origin === null ? null : originOf(origin);
    return this.#request(link, options, { origin: where, pace: paceOf(options) }, false);
  }

  async head(link: string | URL, given?: HeadOptions): Promise<Response> {
    const options = checkOptions(given);
    if (!isLive(link)) return this.#request(link, options, { origin: null, pace: null }, true);
    await this.#running();
    return new Response(null, { headers: LIVE_HEADERS });
  }

  async #request(link: string | URL, options: HeadOptions, ways: Ways, headOnly: boolean): Promise<Response> {
    const content = contentOf(link);
    const range = rangeOf(options);
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    this.#own.add(content);
    return session.fetch(content, range, options.signal ?? null, ways, headOnly);
  }

  async publish(file: Blob, given?: PublishOptions): Promise<Published> {
    const options = checkOptions(given);
    if (!(file instanceof Blob)) throw new PeerEdgeError("invalid_option", "file must be a File or a Blob");
    const name = checkName("name", options.name ?? (file instanceof File && file.name ? plainName(file.name) : "content"));
    const type = checkType("type", options.type ?? (file.type || "application/octet-stream"));
    if (options.onProgress !== undefined && typeof options.onProgress !== "function") {
      throw new PeerEdgeError("invalid_option", "onProgress must be a function");
    }
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    const progress = options.onProgress ?? (() => {});
    const { content, stored } = await session.publish(file, name, type, options.signal ?? null, progress);
    this.#own.add(content);
    return { link: linkTo(this.#settled.relay, content, name), content, length: file.size, name, type, stored };
  }

  async publishLive(options: LiveOptions): Promise<LivePublishing> {
    const name = checkName("name", options?.name);
    const type = options.type === undefined ? undefined : checkType("type", options.type);
    const session = await this.#runningLive();
    const link = liveLink({ publisher: this.#id!, name });
    session.live({ call: "begin", name, epochMs: Date.now() });
    let number = 0;
    let tail: Promise<unknown> = Promise.resolve();
    /** Parts are added in the order of the calls. */
    const queue = <T>(job: () => Promise<T>): Promise<T> => {
      const done = tail.then(async () => {
        if ((await this.#running()) !== session) throw new PeerEdgeError("closed", "this live content ended with its engine");
        return job();
      });
      tail = done.catch(() => undefined);
      return done;
    };
    return {
      link,
      append: (part, given) =>
        queue(async () => {
          const durationMs = given?.durationMs ?? 0;
          if (!(durationMs >= 0 && durationMs < DURATION_MS_END)) {
            throw new PeerEdgeError("invalid_option", `durationMs must be a number from 0 to ${DURATION_MS_END}`);
          }
          // Whole characters, or half of one would be left.
          const partName = [...`${number++} ${name}`].slice(0, PART_NAME_CHARACTERS_MAX).join("");
          const published = await this.publish(part, { name: partName, ...(type === undefined ? {} : { type }) });
          session.live({ call: "append", name, content: published.content, length: part.size, durationMs: Math.round(durationMs) });
          return published;
        }),
      end: () => queue(async () => session.live({ call: "end", name })),
    };
  }

  async followLive(link: string | URL, given?: { signal?: AbortSignal | null }): Promise<AsyncIterableIterator<LivePart>> {
    const options = checkOptions(given);
    const live = liveOf(link);
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    return session.follow(live, options.signal ?? null);
  }

  async #fetchLive(link: string | URL, signal: AbortSignal | null): Promise<Response> {
    const parts = await this.followLive(link, { signal });
    const body = bodyOf(parts, (part) => this.fetch(part, { signal }));
    return new Response(body, { headers: LIVE_HEADERS });
  }

  async remove(content: string | URL): Promise<void> {
    const id = contentOfIdOrLink(content);
    this.#own.delete(id);
    return (await this.#running()).remove(id);
  }

  async run(task: string | URL | Uint8Array | Blob, input: Uint8Array | string, given?: RunOptions): Promise<TaskResult> {
    const options = checkOptions(given);
    const module = task instanceof Uint8Array || task instanceof Blob ? task : contentOf(task);
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    if (!(bytes instanceof Uint8Array)) throw new PeerEdgeError("invalid_option", "input must be bytes or a text");
    const desk = await this.#deskOf(await this.#running());
    return desk.run(module, bytes, options);
  }

  get compute(): Readonly<Compute> {
    return { ...this.#compute };
  }

  async setCompute(compute: Partial<Compute>): Promise<void> {
    if (this.#closed) throw this.#closed;
    this.#compute = mergeCompute(this.#compute, compute);
    // Where nothing was ever computed nothing of it is even loaded.
    if (this.#session && (this.#compute.allowed || this.#desk)) {
      const session = this.#session;
      (await this.#deskOf(session)).setCompute(this.#compute);
      // What it does is remembered under this key from the next session on, too.
      if (this.#compute.allowed) void session.keepKey("work").catch(() => undefined);
    }
  }

  async computed(): Promise<Computed> {
    return (await this.#desk)?.computed ?? { tasks: 0, gas: 0, running: 0, gasPerSecond: 0, backingOff: false };
  }

  async stats(): Promise<Stats> {
    if (this.#closed) throw this.#closed;
    await this.#starting?.done;
    return this.#session?.stats() ?? NO_STATS;
  }

  setCaps(caps: Partial<Caps>): void {
    if (this.#closed) throw this.#closed;
    this.#caps = mergeCaps(this.#caps, caps);
    this.#session?.setCaps(this.#caps);
  }

  async setConsent(consent: Consent): Promise<void> {
    checkConsent(consent);
    if (this.#closed) throw this.#closed;
    this.#consent = consent;
    if (consent === "granted") {
      this.#wasGranted = true;
      return this.#start();
    }
    const withdrawn = new PeerEdgeError("consent_required", "the visitor's consent was withdrawn");
    if (consent === "denied" && this.#wasGranted) return this.#forget(withdrawn);
    await this.#end(withdrawn);
  }

  forget(): Promise<void> {
    if (this.#consent === "granted") this.#consent = "pending";
    return this.#forget(new PeerEdgeError("consent_required", "the visitor was forgotten: consent is asked for anew"));
  }

  /** Ends, and leaves nothing of the visitor behind. What begins anew begins after that. */
  #forget(reason: PeerEdgeError): Promise<void> {
    const slot = this.#session?.slot ?? null;
    const ended = this.#end(reason);
    this.#id = null;
    this.#wasGranted = false;
    this.#publishesLive = false;
    forgetTab();
    const forgotten = ended.then(() => forgetStores(slot));
    this.#ending = forgotten.catch(() => undefined);
    return this.#ending;
  }

  async close(): Promise<void> {
    const reason = new PeerEdgeError("closed", "the peer is closed");
    this.#closed ??= reason;
    await this.#end(reason);
  }

  override addEventListener(...[type, listener, options]: Parameters<EventTarget["addEventListener"]>): void {
    if (type === "progress" && listener && !this.#wantsProgress) {
      this.#wantsProgress = true;
      this.#session?.setProgress(true);
    }
    super.addEventListener(type, listener, options);
  }

  #start(): Promise<void> {
    if (this.#session) return Promise.resolve();
    if (this.#starting) return this.#starting.done;
    const end = new AbortController();
    const starting = { end, done: this.#ending.then(() => this.#startSession(end.signal)) };
    this.#starting = starting;
    const over = () => {
      if (this.#starting === starting) this.#starting = null;
    };
    starting.done.then(over, over);
    return starting.done;
  }

  async #startSession(ended: AbortSignal): Promise<void> {
    if (ended.aborted) throw ended.reason;
    const uses = { live: this.#publishesLive, work: this.#compute.allowed };
    const [session, id] = await Session.start(this.#settled, this.#caps, uses, ended, {
      event: ({ name, detail }) => {
        const shown = name === "progress" ? { ...detail, engine: session.engine } : detail;
        this.dispatchEvent(new CustomEvent(name, { detail: shown }));
      },
      failed: (error) => {
        this.#session = null;
        this.#closeDesk(error);
        this.#closed ??= error;
        this.dispatchEvent(new CustomEvent("error", { detail: error }));
      },
    });
    this.#session = session;
    this.#id = id;
    session.setCaps(this.#caps);
    if (this.#wantsProgress) session.setProgress(true);
    if (this.#compute.allowed) void this.#deskOf(session);
  }

  #end(reason: PeerEdgeError): Promise<void> {
    this.#starting?.end.abort(reason);
    this.#starting = null;
    const session = this.#session;
    this.#session = null;
    this.#closeDesk(reason);
    if (session) this.#ending = session.close(reason);
    return this.#ending;
  }

  #deskOf(session: Session): Promise<Desk> {
    this.#desk ??= import("./tasks/desk.js").then(({ Desk }) => {
      const desk = new Desk(deskHost(session, this.#own), this.#compute, session.conditions.lowBattery);
      session.onTask = (word) => desk.receive(word);
      session.onConditions = ({ lowBattery }) => desk.setLowBattery(lowBattery);
      return desk;
    });
    return this.#desk;
  }

  #closeDesk(reason: PeerEdgeError): void {
    const close = (desk: Desk) => desk.close(reason);
    this.#desk?.then(close, () => undefined);
    this.#desk = null;
  }

  /** A session whose key is the one under which this store publishes live; it begins anew if it has another. */
  async #runningLive(): Promise<Session> {
    const session = await this.#running();
    if (await session.keepKey("live")) return session;
    if (this.#session === session) {
      this.#publishesLive = true;
      await this.#end(new PeerEdgeError("closed", "the peer begins anew, with the key of its live contents"));
      if (this.#consent === "granted" && !this.#closed) await this.#start();
    }
    return this.#running();
  }

  /** The session, once it runs. */
  async #running(): Promise<Session> {
    if (this.#closed) throw this.#closed;
    if (this.#consent !== "granted") {
      throw new PeerEdgeError("consent_required", "the visitor's consent is missing: see setConsent");
    }
    await this.#starting?.done;
    if (this.#session) return this.#session;
    throw this.#closed ?? new PeerEdgeError("consent_required", "the visitor's consent was withdrawn");
  }
}

function paceOf({ bytesPerSecond }: FetchOptions): number | null {
  if (bytesPerSecond === undefined) return null;
  if (typeof bytesPerSecond === "number" && bytesPerSecond > 0 && bytesPerSecond < Infinity) return bytesPerSecond;
  throw new PeerEdgeError("invalid_option", "bytesPerSecond must be a positive number");
}

function deskHost(session: Session, own: ReadonlySet<string>): DeskHost {
  /** What a task shares, or is being taken for one, and by how many. */
  const used = new Map<string, number>();
  const use = (content: string) => used.set(content, (used.get(content) ?? 0) + 1);
  const release = (content: string) => {
    const left = (used.get(content) ?? 1) - 1;
    if (left > 0) return void used.set(content, left);
    used.delete(content);
    if (!own.has(content)) void session.remove(content).catch(() => undefined);
  };
  const fetch = async (content: string, bytesMax: number, signal: AbortSignal) => {
    const response = await session.fetch(content, null, signal, { origin: null, pace: null });
    const length = Number(response.headers.get("content-length") ?? 0);
    if (length > bytesMax) {
      await response.body?.cancel();
      throw new RangeError(`a content of ${length} bytes where at most ${bytesMax} are allowed`);
    }
    return new Uint8Array(await response.arrayBuffer());
  };
  return {
    send: (call) => session.task(call),
    fetch: async (content, bytesMax, signal) => {
      use(content);
      try {
        return await fetch(content, bytesMax, signal);
      } catch (error) {
        release(content);
        throw error;
      }
    },
    take: async (content, bytesMax, signal) => {
      use(content);
      try {
        return await fetch(content, bytesMax, signal);
      } finally {
        release(content);
      }
    },
    publish: async (bytes, name) => {
      const blob = new Blob([bytes as BlobPart], { type: "application/octet-stream" });
      const { content } = await session.publish(blob, name, blob.type, null, () => {});
      use(content);
      return content;
    },
    remove: release,
  };
}
