import { PeerEdgeError } from "./errors.js";
import { bodyOf, isLive, liveLink, liveOf } from "./live.js";
import { contentOf, contentOfIdOrLink, linkTo, originOf } from "./link.js";
import { checkConsent, mergeCaps, mergeCompute, type Settled } from "./options.js";
import { rangeOf } from "./range.js";
import { Session } from "./session.js";
import type { Desk, DeskHost } from "./tasks/desk.js";
import type { Caps, Compute, Computed, Consent, FetchOptions, LiveOptions, LivePart, LivePublishing, Peer, Published, PublishOptions, RunOptions, Stats, TaskResult } from "./types.js";

const NAME_BYTES_MAX = 255;
const TYPE_BYTES_MAX = 127;
/** At most three bytes each in UTF-8, so the name of a part is within its bound. */
const PART_NAME_CHARACTERS_MAX = 80;

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

  async fetch(link: string | URL, options: FetchOptions = {}): Promise<Response> {
    if (isLive(link)) return this.#fetchLive(link, options.signal ?? null);
    const content = contentOf(link);
    const range = rangeOf(options);
    const ways = { origin: options.origin === undefined ? null : originOf(options.origin), pace: paceOf(options) };
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    return session.fetch(content, range, options.signal ?? null, ways);
  }

  async publish(file: Blob, options: PublishOptions = {}): Promise<Published> {
    if (!(file instanceof Blob)) throw new PeerEdgeError("invalid_option", "file must be a File or a Blob");
    const name = options.name ?? (file instanceof File && file.name ? file.name : "content");
    const type = options.type ?? (file.type || "application/octet-stream");
    checkLength("name", name, NAME_BYTES_MAX);
    checkLength("type", type, TYPE_BYTES_MAX);
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    const progress = options.onProgress ?? (() => {});
    const { content, stored } = await session.publish(file, name, type, options.signal ?? null, progress);
    return { link: linkTo(this.#settled.relay, content, name), content, length: file.size, name, type, stored };
  }

  async publishLive(options: LiveOptions): Promise<LivePublishing> {
    checkLength("name", options?.name, NAME_BYTES_MAX);
    const { name, type } = options;
    if (name === "") throw new PeerEdgeError("invalid_option", "name must not be empty");
    const session = await this.#running();
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
      append: (part, { durationMs = 0 } = {}) =>
        queue(async () => {
          const partName = `${number++} ${name}`.slice(0, PART_NAME_CHARACTERS_MAX);
          const published = await this.publish(part, { name: partName, ...(type === undefined ? {} : { type }) });
          session.live({ call: "append", name, content: published.content, length: part.size, durationMs: Math.round(durationMs) });
          return published;
        }),
      end: () => queue(async () => session.live({ call: "end", name })),
    };
  }

  async followLive(link: string | URL, options: { signal?: AbortSignal | null } = {}): Promise<AsyncIterableIterator<LivePart>> {
    const live = liveOf(link);
    options.signal?.throwIfAborted();
    const session = await this.#running();
    options.signal?.throwIfAborted();
    return session.follow(live, options.signal ?? null);
  }

  async #fetchLive(link: string | URL, signal: AbortSignal | null): Promise<Response> {
    const parts = await this.followLive(link, { signal });
    const body = bodyOf(parts, (part) => this.fetch(part, { signal }));
    return new Response(body, { headers: { "content-type": "application/octet-stream", "x-content-type-options": "nosniff" } });
  }

  async remove(content: string | URL): Promise<void> {
    const id = contentOfIdOrLink(content);
    return (await this.#running()).remove(id);
  }

  async run(task: string | URL | Uint8Array | Blob, input: Uint8Array | string, options: RunOptions = {}): Promise<TaskResult> {
    const module = task instanceof Uint8Array || task instanceof Blob ? task : contentOf(task);
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    if (!(bytes instanceof Uint8Array)) throw new PeerEdgeError("invalid_option", "input must be bytes or a text");
    options.signal?.throwIfAborted();
    const desk = await this.#deskOf(await this.#running());
    options.signal?.throwIfAborted();
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
      (await this.#deskOf(this.#session)).setCompute(this.#compute);
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
    if (consent === "granted") return this.#start();
    await this.#end(new PeerEdgeError("consent_required", "the visitor's consent was withdrawn"));
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
    const [session, id] = await Session.start(this.#settled, this.#caps, ended, {
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
      const desk = new Desk(deskHost(session), this.#compute, session.conditions.lowBattery);
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

function checkLength(name: string, text: unknown, max: number): void {
  if (typeof text === "string" && new TextEncoder().encode(text).byteLength <= max) return;
  throw new PeerEdgeError("invalid_option", `${name} must be a text of at most ${max} bytes`);
}

function deskHost(session: Session): DeskHost {
  return {
    send: (call) => session.task(call),
    fetch: async (content, bytesMax, signal) => {
      const response = await session.fetch(content, null, signal, { origin: null, pace: null });
      const length = Number(response.headers.get("content-length") ?? 0);
      if (length > bytesMax) {
        await response.body?.cancel();
        throw new RangeError(`a content of ${length} bytes where at most ${bytesMax} are allowed`);
      }
      return new Uint8Array(await response.arrayBuffer());
    },
    publish: async (bytes, name) => {
      const blob = new Blob([bytes as BlobPart], { type: "application/octet-stream" });
      return (await session.publish(blob, name, blob.type, null, () => {})).content;
    },
    remove: (content) => void session.remove(content).catch(() => undefined),
  };
}
