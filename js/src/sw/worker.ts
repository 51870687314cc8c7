/**
 * The service worker: requests of the site's pages for listed addresses are answered by a page's engine, since only pages have
 * peer connections, and by the network in every error. It has neither imports nor exports, so it runs as a classic script, as a
 * module, and within a site's own service worker (`importScripts`, or an import of `peeredge/sw`).
 */
{
  type Answer = import("./messages.js").Answer;
  type Demand = import("./messages.js").Demand;
  type Patience = import("./messages.js").Patience;
  type Routes = import("./messages.js").Routes;
  type ToPage = import("./messages.js").ToPage;
  type ToServiceWorker = import("./messages.js").ToServiceWorker;

  /** What TypeScript's DOM library lacks of a service worker. */
  interface Client {
    readonly id: string;
    readonly type: string;
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
    addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
    addEventListener(type: "message", listener: (event: MessageEventOfClient) => void): void;
  }

  const scope = globalThis as unknown as Scope;
  const CACHE = "peeredge-sw";
  /** Under the scope, so that service workers of several folders do not share it. No page can ask for it. */
  const STATE = new URL("peeredge-sw-state", scope.registration.scope).href;
  /** Bytes that are asked of the page ahead of the reader. */
  const AHEAD_BYTES = 1 << 20;
  /** Requests that mean the network. The engine's own ones are among them, or it would ask itself. */
  const NETWORK_ONLY = new Set(["no-store", "only-if-cached"]);

  /** `null` until it was read from the cache: the browser ends and starts service workers as it likes. */
  let routes: Routes | null = null;
  let patience: Patience = { takeMs: 0, stallMs: 0 };
  /** Pages that said they answer. */
  const engines = new Set<string>();
  /** Pages that did not answer: they are not waited for again. */
  const deaf = new Set<string>();
  /** Requests of pages whose script has not run yet. */
  const arrivals = new Map<string, Set<() => void>>();

  const restored = restore();

  scope.addEventListener("message", (event) => {
    const message = event.data as ToServiceWorker | null;
    const { source } = event;
    if (!source || typeof message !== "object" || message === null) return;
    if (message.peeredge === "gone") {
      engines.delete(source.id);
      deaf.add(source.id);
    }
    if (message.peeredge !== "routes") return;
    engines.add(source.id);
    deaf.delete(source.id);
    for (const arrived of arrivals.get(source.id) ?? []) arrived();
    const ready: Answer = { type: "ready" };
    event.waitUntil(
      restored
        .then(() => ({ routes, patience } = message))
        .then(() => remember())
        .then(() => scope.clients.claim())
        .finally(() => event.ports[0]?.postMessage(ready)),
    );
  });

  scope.addEventListener("fetch", (event) => {
    const { request } = event;
    if (request.method !== "GET" || request.mode === "navigate" || NETWORK_ONLY.has(request.cache)) return;
    const url = request.url.split("#", 1)[0]!;
    if (routes && !Object.hasOwn(routes, url)) return;
    const answer = answerTo(event, url);
    event.respondWith(answer.then(({ response }) => response));
    // The worker stays until the body is through.
    event.waitUntil(answer.then(({ over }) => over));
  });

  async function answerTo(event: FetchEvent, url: string): Promise<{ response: Response; over: Promise<void> }> {
    const over = Promise.resolve();
    try {
      await restored;
      const link = routes && Object.hasOwn(routes, url) ? routes[url] : undefined;
      const page = link === undefined ? null : await pageFor(event.clientId);
      if (link !== undefined && page) {
        const { response, over } = await Exchange.ask(page, event.request, link);
        if (response) return { response, over };
      }
    } catch {
      // The network then, as without us.
    }
    return { response: await fetch(event.request), over };
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

  /** One request: asked of a page, and of the network from the byte on at which the page fails. */
  class Exchange {
    /** Resolves when the body is through. */
    readonly over: Promise<void>;
    readonly #request: Request;
    readonly #port: MessagePort;
    #end: () => void = () => {};
    #respond: (response: Response | null) => void = () => {};
    #body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
    #timer: ReturnType<typeof setTimeout> | undefined;
    /** Bytes asked of the page that have not come. */
    #pulled = 0;
    /** The next byte, the one behind the last, and how many the whole has: those behind the response's head. */
    #at = 0;
    #until = 0;
    #length = 0;
    /** What the network gives instead of the page. */
    #rest: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | null = null;

    /** Asks. Gives the page's response, or `null` when the network has to be asked. */
    static ask(page: Client, request: Request, link: string): Promise<{ response: Response | null; over: Promise<void> }> {
      const { port1, port2 } = new MessageChannel();
      const exchange = new Exchange(request, port1);
      const response = new Promise<Response | null>((resolve) => (exchange.#respond = resolve));
      exchange.#within(patience.takeMs, () => {
        engines.delete(page.id);
        deaf.add(page.id);
        exchange.#failed();
      });
      page.postMessage({ peeredge: "ask", link, range: request.headers.get("range") }, [port2]);
      return response.then((response) => ({ response, over: exchange.over }));
    }

    private constructor(request: Request, port: MessagePort) {
      this.#request = request;
      this.#port = port;
      this.over = new Promise((resolve) => (this.#end = resolve));
      port.onmessage = (event: MessageEvent<Answer>) => this.#take(event.data);
      request.signal.addEventListener("abort", () => {
        this.#leave();
        this.#respond(null);
        this.#end();
      });
    }

    #take(answer: Answer): void {
      switch (answer.type) {
        case "ready":
          return;
        case "taken":
          return this.#within(patience.stallMs, () => this.#failed());
        case "refused":
        case "failed":
          return this.#failed();
        case "head":
          clearTimeout(this.#timer);
          return this.#begin(answer.status, new Headers(answer.headers));
        case "data":
          this.#pulled -= answer.bytes.byteLength;
          this.#at += answer.bytes.byteLength;
          clearTimeout(this.#timer);
          if (this.#pulled > 0) this.#within(patience.stallMs, () => this.#failed());
          return this.#body?.enqueue(answer.bytes);
        case "done":
          this.#leave();
          this.#body?.close();
          return this.#end();
      }
    }

    #begin(status: number, headers: Headers): void {
      const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "");
      this.#length = Number(range ? range[3] : headers.get("content-length"));
      this.#at = range ? Number(range[1]) : 0;
      this.#until = range ? Number(range[2]) + 1 : this.#length;
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
        {
          start: (controller) => {
            this.#body = controller;
          },
          pull: (controller) => (this.#rest ? this.#readRest() : this.#pull(controller.desiredSize ?? 0)),
          cancel: (reason) => {
            this.#leave();
            void this.#rest?.cancel(reason);
            this.#end();
          },
        },
        new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
      );
      // 416 has no body.
      this.#respond(new Response(status === 416 ? null : body, { status, headers }));
      if (status === 416) this.#end();
    }

    #pull(wantedBytes: number): void {
      const bytes = wantedBytes - this.#pulled;
      if (bytes <= 0) return;
      if (this.#pulled === 0) this.#within(patience.stallMs, () => this.#failed());
      this.#pulled += bytes;
      this.#tell({ type: "pull", bytes });
    }

    /** The page cannot go on. */
    #failed(): void {
      this.#leave();
      if (!this.#body) {
        this.#respond(null);
        return this.#end();
      }
      this.#continue().catch((error: unknown) => {
        this.#body?.error(error);
        this.#end();
      });
    }

    /** Goes on from the network at the next byte, if that has a file of this length. */
    async #continue(): Promise<void> {
      const { url, credentials, signal } = this.#request;
      const mode = new URL(url).origin === location.origin ? "same-origin" : "cors";
      const range = `bytes=${this.#at}-${this.#until - 1}`;
      const response = await fetch(url, { headers: { range }, mode, credentials, signal });
      const partial = `bytes ${this.#at}-${this.#until - 1}/${this.#length}`;
      const whole = response.status === 200 && [null, String(this.#length)].includes(response.headers.get("content-length"));
      const part = response.status === 206 && response.headers.get("content-range") === partial;
      if (!response.body || (!whole && !part)) throw new TypeError("the network has something else there");
      this.#rest = response.body.getReader();
      // A server without ranges sends everything: the part before is skipped.
      for (let skip = whole ? this.#at : 0; skip > 0; ) {
        const { done, value } = await this.#rest.read();
        if (done) throw new TypeError("the network's file is too short");
        if (value.byteLength > skip) this.#give(value.subarray(skip));
        skip -= Math.min(skip, value.byteLength);
      }
      await this.#readRest();
    }

    async #readRest(): Promise<void> {
      const { done, value } = await this.#rest!.read();
      if (!done) return this.#give(value);
      if (this.#at !== this.#until) throw new TypeError("the network's file is too short");
      this.#body?.close();
      this.#end();
    }

    #give(bytes: Uint8Array<ArrayBuffer>): void {
      const taken = bytes.subarray(0, this.#until - this.#at);
      this.#at += taken.byteLength;
      this.#body?.enqueue(taken);
    }

    #within(ms: number, late: () => void): void {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(late, ms);
    }

    #tell(demand: Demand): void {
      this.#port.postMessage(demand);
    }

    /** Has nothing to do with the page any more. */
    #leave(): void {
      clearTimeout(this.#timer);
      this.#tell({ type: "cancel" });
      this.#port.close();
    }
  }

  async function restore(): Promise<void> {
    try {
      for (const page of await scope.clients.matchAll({ type: "window" })) page.postMessage({ peeredge: "who" });
      const stored = await (await caches.open(CACHE)).match(STATE);
      if (!stored || routes) return;
      ({ routes, patience } = (await stored.json()) as { routes: Routes; patience: Patience });
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
}
