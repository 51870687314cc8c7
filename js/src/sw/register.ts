import { PeerEdgeError } from "../errors.js";
import { contentOf } from "../link.js";
import { absoluteRoutes } from "../routes.js";
import type { Peer } from "../types.js";
import type { Answer, Demand, Patience, Routes, ToPage, ToServiceWorker } from "./messages.js";

/** Options of {@link serveThroughPeer}. Only `routes` must be given. */
export interface RoutingOptions {
  /** The addresses that go through peers, relative to the page, and the link of what is there. */
  routes: Record<string, string | URL>;
  /**
   * The service worker's script: a copy of `peeredge/sw` (`dist/sw/worker.js`), or a worker of the site's own that imports it.
   * It must lie at or above the addresses of the pages. Default `"/peeredge-sw.js"`.
   */
  script?: string | URL;
  /** `"module"` when the site's own worker has imports. Default `"classic"`. */
  type?: WorkerType;
  /** As in `ServiceWorkerContainer.register`. Default: the script's folder. */
  scope?: string;
  /**
   * How long a request waits for the page's script to run, in milliseconds; then the network is asked. Only the first requests
   * of a page wait. Default 300.
   */
  takeMs?: number;
  /** How long a request waits for its first and for each next byte, in milliseconds; then the network goes on. Default 3000. */
  stallMs?: number;
}

/** What {@link serveThroughPeer} gives. */
export interface Routing {
  /** The service worker's registration. */
  readonly registration: ServiceWorkerRegistration;
  /** Requests of this and other pages since. `failed` went on from the network after their first byte. */
  readonly counts: Readonly<{ answered: number; refused: number; failed: number; bytes: number }>;
  /** Replaces the routes. Resolves when they hold. */
  setRoutes(routes: Record<string, string | URL>): Promise<void>;
  /** From now on this page's requests go to the network. The service worker stays registered. */
  stop(): void;
}

const TAKE_MS = 300;
const STALL_MS = 3000;

/**
 * Lets the requests of `<img>`, `<video>`, `fetch` and all others for listed addresses go through `peer`. Whatever cannot be had
 * from it (no consent, a closed peer, nobody there, an error in the middle) comes from the network at the same address, which
 * must be the same file. Resolves when the service worker controls this page and knows the routes.
 *
 * @throws {PeerEdgeError} `unsupported` (no service workers: an insecure or private page), `invalid_link`, `invalid_option`.
 * @throws What `ServiceWorkerContainer.register` throws.
 */
export async function serveThroughPeer(peer: Peer, options: RoutingOptions): Promise<Routing> {
  const container = (globalThis.navigator as Navigator | undefined)?.serviceWorker;
  if (!container) throw new PeerEdgeError("unsupported", "there are no service workers here");
  const { script = "/peeredge-sw.js", type = "classic", scope, takeMs = TAKE_MS, stallMs = STALL_MS } = options;
  const patience: Patience = { takeMs: milliseconds("takeMs", takeMs), stallMs: milliseconds("stallMs", stallMs) };
  let routes = absolute(options.routes);
  const page = new Page(peer);
  const registration = await container.register(script, { type, ...(scope === undefined ? {} : { scope }) });
  const tell = () => announce(container, registration, { peeredge: "routes", routes, patience });
  const heard = ({ data, ports }: MessageEvent<ToPage | null>) => {
    if (data?.peeredge === "who") void tell();
    if (data?.peeredge === "ask") void page.answer(ports[0]!, data.link, data.range);
  };
  container.addEventListener("message", heard as (event: MessageEvent) => void);
  container.startMessages();
  await tell();
  return {
    registration,
    counts: page.counts,
    setRoutes: (next) => {
      routes = absolute(next);
      return tell();
    },
    stop: () => {
      page.stop();
      const gone: ToServiceWorker = { peeredge: "gone" };
      registration.active?.postMessage(gone);
    },
  };
}

/** Resolves when the service worker has taken the message and controls the page. */
async function announce(container: ServiceWorkerContainer, registration: ServiceWorkerRegistration, message: ToServiceWorker): Promise<void> {
  const worker = registration.active ?? (await activated(registration));
  const { port1, port2 } = new MessageChannel();
  await new Promise<void>((resolve) => {
    port1.onmessage = () => resolve();
    worker.postMessage(message, [port2]);
  });
  port1.close();
  if (!container.controller) await new Promise((resolve) => container.addEventListener("controllerchange", resolve, { once: true }));
}

function activated(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  const worker = registration.waiting ?? registration.installing;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (registration.active) resolve(registration.active);
      else if (!worker || worker.state === "redundant") reject(new PeerEdgeError("unsupported", "the service worker cannot be installed"));
    };
    worker?.addEventListener("statechange", look);
    look();
  });
}

/** Answers the service worker's requests. */
class Page {
  readonly counts = { answered: 0, refused: 0, failed: 0, bytes: 0 };
  readonly #peer: Peer;
  /** Whether the relay was there and is gone. */
  #relayLost = false;
  #stopped = false;

  constructor(peer: Peer) {
    this.#peer = peer;
    peer.addEventListener("relay", ({ detail }) => {
      this.#relayLost = detail.state === "lost";
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  async answer(port: MessagePort, link: string, range: string | null): Promise<void> {
    const say = (answer: Answer, transfer: Transferable[] = []) => port.postMessage(answer, transfer);
    const controller = new AbortController();
    const credit = new Credit();
    port.onmessage = ({ data }: MessageEvent<Demand>) => {
      if (data.type === "pull") return credit.add(data.bytes);
      controller.abort();
      credit.add(0);
    };
    let begun = false;
    try {
      if (this.#stopped || this.#peer.closed || this.#peer.consent !== "granted" || (await this.#isAlone(link))) {
        this.counts.refused += 1;
        return say({ type: "refused" });
      }
      say({ type: "taken" });
      const { signal } = controller;
      const response = await this.#peer.fetch(link, { signal, ...(range === null ? {} : { headers: { range } }) });
      const headers: [string, string][] = [];
      response.headers.forEach((value, name) => headers.push([name, value]));
      say({ type: "head", status: response.status, headers });
      begun = true;
      this.counts.answered += 1;
      const reader = response.body?.getReader();
      for (;;) {
        await credit.some(signal);
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) break;
        const bytes = owned(value);
        this.counts.bytes += bytes.byteLength;
        credit.add(-bytes.byteLength);
        say({ type: "data", bytes }, [bytes.buffer]);
      }
      say({ type: "done" });
    } catch {
      if (controller.signal.aborted) return;
      this.counts[begun ? "failed" : "refused"] += 1;
      say({ type: begun ? "failed" : "refused" });
    } finally {
      controller.abort();
    }
  }

  /** Whether there is nobody to ask and the content is not here whole: then the network is not kept waiting. */
  async #isAlone(link: string): Promise<boolean> {
    if (!this.#relayLost) return false;
    const { peers, contents } = await this.#peer.stats();
    const content = contents.find((entry) => entry.content === contentOf(link));
    return !peers.some((peer) => peer.open) && !(content && content.length > 0 && content.heldBytes === content.length);
  }
}

/** Bytes that the service worker asked for. */
class Credit {
  #bytes = 0;
  #wake: (() => void) | null = null;

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#wake?.();
  }

  /** Resolves when there is some, or the request is over. */
  async some(signal: AbortSignal): Promise<void> {
    while (this.#bytes <= 0) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** The same bytes in a buffer that can be given away. */
function owned(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

function absolute(routes: Record<string, string | URL>): Routes {
  return Object.fromEntries(absoluteRoutes(routes));
}

function milliseconds(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new PeerEdgeError("invalid_option", `${name} must be a number of milliseconds`);
}
