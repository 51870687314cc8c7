/**
 * The service worker: requests of the site's pages for listed addresses are answered by a page's engine, since only pages have
 * peer connections, and by the network in every error. Only what a page shows or reads goes this way: nothing that runs.
 *
 * The build puts what is imported here into the script itself, and all of it into a block. So it has neither imports nor exports, and
 * runs as a classic script, as a module, and within a site's own service worker (`importScripts`, or an import of `peeredge/sw`).
 */
import { LINK, cleaned, rangeIn, stateOf } from "./checks.js";
import type { Answer, Demand, Patience, Routes, ToPage, ToServiceWorker } from "./messages.js";
import { OtherFile, Rest, tailOf } from "./rest.js";

/** What TypeScript's DOM library lacks of a service worker. */
interface Client {
  readonly id: string;
  readonly type: string;
  readonly url: string;
  postMessage(message: ToPage, transfer?: Transferable[]): void;
}
interface Extendable extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface FetchEvent extends Extendable {
  readonly request: Request;
  readonly clientId: string;
  respondWith(response: Promise<Response>): void;
}
interface MessageEventOfClient extends Extendable {
  readonly data: unknown;
  readonly ports: readonly MessagePort[];
  readonly source: Client | null;
}
interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: {
    get(id: string): Promise<Client | undefined>;
    matchAll(options: { type: "window" }): Promise<Client[]>;
    claim(): Promise<void>;
  };
  addEventListener(type: "activate", listener: (event: Extendable) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
  addEventListener(type: "message", listener: (event: MessageEventOfClient) => void): void;
}

const scope = globalThis as unknown as Scope;
const VERSION = 2;
const CACHE = "peeredge-sw";
/** Under the scope, so that service workers of several folders do not share it. No page can ask for it. */
const STATE = new URL("peeredge-sw-state", scope.registration.scope).href;
/** Bytes that are asked of the page ahead of the reader. */
const AHEAD_BYTES = 1 << 20;
/** What a page of the version before may send beyond what it was asked for. */
const OVER_BYTES_MAX = 1 << 20;
/** Requests answered at a time; the network answers more. */
const EXCHANGES_MAX = 128;
/** Peers that give so much are not raced against the network: they are what the reader can have. */
const PLENTY_BYTES_PER_S = 1e6;
/** How long the network has for catching up, and how long it is not tried again when it does not; doubled each time. */
const RACE_MS = 2000;
const RACE_AGAIN_MS = 5000;
/** A page hears that its answer is still waited for. */
const ALIVE_EVERY_MS = 5000;
/** An address that has another file than its link is the network's alone for so long. */
const OTHER_FILE_MS = 60_000;
const OTHER_FILES_MAX = 256;
/** Requests that mean the network. The engine's own ones are among them, or it would ask itself. */
const NETWORK_ONLY = new Set(["no-store", "only-if-cached"]);
/** What is answered: what is shown, played or read. Whatever runs or is a document comes from the network, and so do its parts. */
const DESTINATIONS = new Set(["", "audio", "font", "image", "track", "video"]);

/** `null` until it was read from the cache: the browser ends and starts service workers as it likes. */
let routes: Routes | null = null;
let patience: Patience = { takeMs: 0, stallMs: 0 };
/** Pages that said they answer. */
const engines = new Set<string>();
/** Pages that did not answer: they are not waited for again. */
const deaf = new Set<string>();
/** Requests of pages whose script has not run yet. */
const arrivals = new Map<string, Set<() => void>>();
/** Addresses of another file, and until when they are left alone. */
const otherFiles = new Map<string, number>();
let exchanges = 0;

const restored = restore();

scope.addEventListener("message", (event) => {
  const message = event.data as ToServiceWorker | null;
  const { source } = event;
  if (typeof message !== "object" || message === null) return;
  // Any page of the origin can post messages here, also one that this worker has nothing to do with.
  if (source?.type !== "window" || !source.url.startsWith(scope.registration.scope)) return;
  if (message.peeredge === "gone") {
    engines.delete(source.id);
    deaf.add(source.id);
  }
  if (message.peeredge !== "routes") return;
  const say = (answer: Answer) => event.ports[0]?.postMessage(answer);
  const state = stateOf(message);
  if (!state || (message.version ?? 1) > VERSION) return say({ type: "unsupported", version: VERSION });
  engines.add(source.id);
  deaf.delete(source.id);
  for (const arrived of arrivals.get(source.id) ?? []) arrived();
  event.waitUntil(
    restored
      .then(() => ({ routes, patience } = state))
      .then(() => remember())
      .then(() => forgetClosed())
      .then(() => scope.clients.claim())
      .finally(() => say({ type: "ready", version: VERSION })),
  );
});

/** Pages that were open before this worker was, or that had another one, are asked who has an engine. */
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim().then(askWho, () => undefined)));

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (!isMeant(request)) return;
  const url = request.url.split("#", 1)[0]!;
  if (routes && !Object.hasOwn(routes, url)) return;
  const answer = answerTo(event, url);
  event.respondWith(answer.then(({ response }) => response));
  // The worker stays until the body is through.
  event.waitUntil(answer.then(({ over }) => over, () => undefined));
});

/** Whether a request is one of those that peers may answer. */
function isMeant({ method, mode, cache, destination, url, headers }: Request): boolean {
  if (method !== "GET" || mode === "navigate" || NETWORK_ONLY.has(cache) || !DESTINATIONS.has(destination)) return false;
  // A picture that is a document: its type is stripped here, and a browser shows it by its type alone.
  if (destination === "image" && /\.svgz?$/i.test(new URL(url).pathname)) return false;
  // Who asks for a version of the file asks the server. Such a part is never joined with one of another file.
  return !["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"].some((name) => headers.has(name));
}

async function answerTo(event: FetchEvent, url: string): Promise<{ response: Response; over: Promise<void> }> {
  const over = Promise.resolve();
  const { request } = event;
  try {
    await restored;
    const link = routes && Object.hasOwn(routes, url) ? routes[url] : undefined;
    if (link !== undefined && isFree(url) && isOf(request.headers.get("if-range"), link)) {
      const page = await pageFor(event.clientId);
      if (page) {
        const { response, over } = await Exchange.ask(page, request, url, link);
        if (response) return { response, over };
      }
    }
  } catch {
    // The network then, as without us.
  }
  return { response: await fetch(request), over };
}

function isFree(url: string): boolean {
  return exchanges < EXCHANGES_MAX && (otherFiles.get(url) ?? 0) <= Date.now();
}

/** Whether a part that is to be joined with an earlier one (RFC 9110, section 13.1.5) belongs to this link's content. */
function isOf(ifRange: string | null, link: string): boolean {
  return ifRange === null || ifRange === `"${LINK.exec(link)?.[2]}"`;
}

/** The page that asks, when it may have an engine; else another one that has (the request is a frame's or a worker's). */
async function pageFor(id: string): Promise<Client | null> {
  const own = id ? await scope.clients.get(id) : undefined;
  if (own?.type === "window" && (engines.has(id) || (await arrives(id)))) return own;
  for (const page of await scope.clients.matchAll({ type: "window" })) {
    if (page.id !== id && engines.has(page.id)) return page;
  }
  return null;
}

/** Waits for a page's script. `false` when it does not come in time, now or earlier. */
function arrives(id: string): Promise<boolean> {
  if (deaf.has(id)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const waiting = arrivals.get(id) ?? new Set();
    const end = (arrived: boolean) => {
      clearTimeout(timer);
      waiting.delete(come);
      if (waiting.size === 0) arrivals.delete(id);
      if (!arrived) deaf.add(id);
      resolve(arrived);
    };
    const come = () => end(true);
    const timer = setTimeout(() => end(false), patience.takeMs);
    arrivals.set(id, waiting.add(come));
  });
}

/** One request: asked of a page, and of the network from the byte on at which the page fails or is overtaken. */
class Exchange {
  /** Resolves when the body is through. */
  readonly over: Promise<void>;
  readonly #request: Request;
  readonly #url: string;
  readonly #port: MessagePort;
  readonly #alive: ReturnType<typeof setInterval>;
  #end: () => void = () => {};
  #respond: (response: Response | null) => void = () => {};
  #body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #left = false;
  /** What an answer says that comes too late. */
  #late: (() => void) | null = null;
  /** Bytes asked of the page that have not come. */
  #pulled = 0;
  /** The next byte, the one behind the last, and how many the whole has: those behind the response's head. */
  #at = 0;
  #until = 0;
  #length = 0;
  #tail = new Uint8Array();
  /** Since when the page has owed bytes without a pause, and from which byte on. */
  #hungry: [since: number, at: number] | null = null;
  /** The network, while it is raced against the page, and once it has taken over. */
  #racing: Rest | null = null;
  #raceAgainMs = RACE_AGAIN_MS;
  #raceAfter = 0;
  #rest: Rest | null = null;

  /** Asks. Gives the page's response, or `null` when the network has to be asked. */
  static ask(page: Client, request: Request, url: string, link: string): Promise<{ response: Response | null; over: Promise<void> }> {
    const { port1, port2 } = new MessageChannel();
    const exchange = new Exchange(request, url, port1);
    const response = new Promise<Response | null>((resolve) => (exchange.#respond = resolve));
    exchange.#within(patience.takeMs, () => {
      engines.delete(page.id);
      deaf.add(page.id);
      // Its thread was busy, or the browser had frozen it: it answers when it goes on, and is asked again from then on.
      exchange.#late = () => {
        deaf.delete(page.id);
        engines.add(page.id);
      };
      exchange.#failed();
    });
    page.postMessage({ peeredge: "ask", version: VERSION, link, range: request.headers.get("range"), url }, [port2]);
    return response.then((response) => ({ response, over: exchange.over }));
  }

  private constructor(request: Request, url: string, port: MessagePort) {
    this.#request = request;
    this.#url = url;
    this.#port = port;
    exchanges += 1;
    this.over = new Promise((resolve) => {
      this.#end = () => {
        // Once.
        this.#end = () => {};
        exchanges -= 1;
        clearInterval(this.#alive);
        resolve();
      };
    });
    port.onmessage = (event: MessageEvent<Answer>) => this.#take(event.data);
    // The page was closed. Browsers without this event are patient instead.
    port.addEventListener("close", () => this.#failed());
    this.#alive = setInterval(() => this.#tell({ type: "alive" }), ALIVE_EVERY_MS);
    request.signal.addEventListener("abort", () => {
      this.#cancel(request.signal.reason);
      this.#respond(null);
    });
  }

  #take(answer: Answer): void {
    if (this.#left) {
      this.#late?.();
      return this.#port.close();
    }
    switch (answer.type) {
      case "taken":
        return this.#within(patience.stallMs, () => this.#failed());
      case "refused":
      case "failed":
        return this.#failed();
      case "head":
        clearTimeout(this.#timer);
        // A page has one say.
        if (this.#body || !this.#begin(answer)) this.#failed();
        return;
      case "data":
        return this.#takeData(answer.bytes);
      case "done":
        if (this.#at !== this.#until) return this.#failed();
        return this.#close();
    }
  }

  #takeData(bytes: unknown): void {
    const isRight = bytes instanceof Uint8Array && bytes.byteLength <= Math.min(this.#pulled + OVER_BYTES_MAX, this.#until - this.#at);
    if (!this.#body || !isRight) return this.#failed();
    this.#pulled -= bytes.byteLength;
    clearTimeout(this.#timer);
    this.#give(bytes as Uint8Array<ArrayBuffer>);
    if (this.#pulled > 0) this.#waitOn();
    else this.#hungry = null;
  }

  /** Whether the page's head is one of a response to this request; then it is given. */
  #begin({ status, headers }: Extract<Answer, { type: "head" }>): boolean {
    const clean = cleaned(headers);
    // 416 has no body.
    if (status === 416) {
      this.#leave();
      this.#respond(new Response(null, { status, headers: clean }));
      this.#end();
      return true;
    }
    const range = rangeIn(clean.get("content-range"));
    if ((status !== 200 || range) && (status !== 206 || !range || !this.#request.headers.has("range"))) return false;
    this.#length = range ? (range.length ?? NaN) : Number(clean.get("content-length") ?? NaN);
    this.#at = range?.start ?? 0;
    this.#until = range ? range.last + 1 : this.#length;
    if (!Number.isSafeInteger(this.#length) || this.#at > this.#until || this.#until > this.#length) return false;
    // Chromium takes in what a script has fetched before the script reads it, all of it, unless this header forbids that.
    if (this.#request.destination === "") clean.set("cache-control", "no-store");
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#body = controller;
        },
        pull: (controller) => (this.#rest ? this.#readRest(this.#rest) : this.#pull(controller.desiredSize ?? 0)),
        cancel: (reason) => this.#cancel(reason),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
    );
    this.#respond(new Response(body, { status, headers: clean }));
    return true;
  }

  #pull(wantedBytes: number): void {
    // One more than there are, so that the page says that it is done.
    const bytes = Math.min(wantedBytes, this.#until - this.#at + 1) - this.#pulled;
    if (bytes <= 0) return;
    this.#pulled += bytes;
    this.#tell({ type: "pull", bytes });
    this.#waitOn();
  }

  /** The page owes bytes: not for too long, and not too slowly. */
  #waitOn(): void {
    const now = performance.now();
    this.#hungry ??= [now, this.#at];
    this.#within(patience.stallMs, () => this.#failed());
    const [since, at] = this.#hungry;
    if (now - since < patience.stallMs) return;
    const isSlow = ((this.#at - at) * 1000) / (now - since) < PLENTY_BYTES_PER_S;
    this.#hungry = [now, this.#at];
    if (isSlow && !this.#racing && now >= this.#raceAfter) this.#race().catch(() => undefined);
  }

  /** Lets the network try to overtake the page. */
  async #race(): Promise<void> {
    const rest = new Rest(this.#request, this.#at, this.#until, this.#length, this.#tail, patience.stallMs);
    this.#racing = rest;
    const timer = setTimeout(() => rest.cancel(), RACE_MS + patience.stallMs);
    try {
      for (let at = this.#at; ; ) {
        const bytes = await rest.read();
        if (this.#racing !== rest || !bytes) return;
        at += bytes.byteLength;
        if (at <= this.#at) continue;
        this.#racing = null;
        this.#rest = rest;
        this.#leave();
        return this.#give(bytes.subarray(bytes.byteLength - (at - this.#at)));
      }
    } catch (error) {
      // The address has another file, or nothing: the page is the only one who can go on.
      if (!(error instanceof OtherFile)) return;
      noteOtherFile(this.#url);
      this.#raceAgainMs = Infinity;
    } finally {
      clearTimeout(timer);
      if (this.#racing === rest) {
        this.#racing = null;
        this.#raceAfter = performance.now() + this.#raceAgainMs;
        this.#raceAgainMs *= 2;
      }
      if (this.#rest !== rest) rest.cancel();
    }
  }

  /** The page cannot go on. */
  #failed(): void {
    if (this.#left) return;
    this.#leave();
    if (!this.#body) {
      this.#respond(null);
      return this.#end();
    }
    this.#racing = null;
    this.#rest = new Rest(this.#request, this.#at, this.#until, this.#length, this.#tail, patience.stallMs);
    if ((this.#body.desiredSize ?? 0) > 0) void this.#readRest(this.#rest);
  }

  async #readRest(rest: Rest): Promise<void> {
    try {
      const bytes = await rest.read();
      if (bytes) return this.#give(bytes);
      this.#close();
    } catch (error) {
      if (error instanceof OtherFile) noteOtherFile(this.#url);
      this.#body?.error(error);
      this.#end();
    }
  }

  #give(bytes: Uint8Array<ArrayBuffer>): void {
    this.#at += bytes.byteLength;
    this.#tail = tailOf(this.#tail, bytes);
    this.#body?.enqueue(bytes);
  }

  #within(ms: number, late: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(late, ms);
  }

  #tell(demand: Demand): void {
    if (!this.#left) this.#port.postMessage(demand);
  }

  /** The body is through. */
  #close(): void {
    this.#leave();
    this.#body?.close();
    this.#end();
  }

  /** The reader wants no more. */
  #cancel(reason: unknown): void {
    this.#leave();
    this.#rest?.cancel(reason);
    this.#end();
  }

  /** Has nothing to do with the page any more. */
  #leave(): void {
    clearTimeout(this.#timer);
    this.#racing?.cancel();
    this.#racing = null;
    this.#tell({ type: "cancel" });
    this.#left = true;
    if (!this.#late) this.#port.close();
  }
}

function noteOtherFile(url: string): void {
  otherFiles.delete(url);
  if (otherFiles.size >= OTHER_FILES_MAX) otherFiles.delete(otherFiles.keys().next().value!);
  otherFiles.set(url, Date.now() + OTHER_FILE_MS);
}

async function askWho(): Promise<void> {
  for (const page of await scope.clients.matchAll({ type: "window" })) page.postMessage({ peeredge: "who" });
}

/** Pages that are closed are neither waited for nor asked. */
async function forgetClosed(): Promise<void> {
  const open = new Set((await scope.clients.matchAll({ type: "window" })).map(({ id }) => id));
  for (const known of [engines, deaf]) {
    if (known.size > 64) for (const id of known) if (!open.has(id)) known.delete(id);
  }
}

async function restore(): Promise<void> {
  try {
    await askWho();
    const stored = await (await caches.open(CACHE)).match(STATE);
    if (!stored || routes) return;
    const state = stateOf(await stored.json());
    if (state) ({ routes, patience } = state);
  } catch {
    // Storage is forbidden here: until a page says what there is, everything comes from the network.
  } finally {
    routes ??= {};
  }
}

async function remember(): Promise<void> {
  try {
    await (await caches.open(CACHE)).put(STATE, new Response(JSON.stringify({ routes, patience })));
  } catch {
    // Then a page has to tell it again.
  }
}
