import { PeerEdgeError } from "../errors.js";
import { absoluteRoutes } from "../routes.js";
import type { Peer } from "../types.js";
import type { Answer, Patience, Routes, ToPage, ToServiceWorker } from "./messages.js";
import { Page } from "./page.js";

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
  /**
   * How long a request waits for its first and for each next byte, in milliseconds; then the network goes on. Where nobody is met it
   * waits a quarter of that, and a fifth before bytes that come too slowly are asked of the site's server as well. Default 1500.
   */
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
const STALL_MS = 1500;
const VERSION = 2;
/** A service worker answers at once; one that does not is another one. */
const READY_WITHIN_MS = 10_000;

/**
 * Lets the requests of `<img>`, `<video>`, fonts and `fetch` for listed addresses go through `peer`. Whatever cannot be had
 * from it (no consent, a closed peer, nobody there, an error in the middle) comes from the network at the same address, which
 * must be the same file. Resolves when the service worker controls this page and knows the routes.
 *
 * @throws {PeerEdgeError} `unsupported` (no service workers: an insecure or private page; or the script at `script` is none of
 * `peeredge/sw`, or of another version), `invalid_link`, `invalid_option`.
 * @throws What `ServiceWorkerContainer.register` throws.
 */
export async function serveThroughPeer(peer: Peer, options: RoutingOptions): Promise<Routing> {
  const container = (globalThis.navigator as Navigator | undefined)?.serviceWorker;
  if (!container) throw new PeerEdgeError("unsupported", "there are no service workers here");
  const { script = "/peeredge-sw.js", type = "classic", scope, takeMs = TAKE_MS, stallMs = STALL_MS } = options;
  const patience: Patience = { takeMs: milliseconds("takeMs", takeMs), stallMs: milliseconds("stallMs", stallMs) };
  let routes = absolute(options.routes);
  const page = new Page(peer, patience.stallMs);
  const registration = await container.register(script, { type, ...(scope === undefined ? {} : { scope }) });
  const tell = () => announce(container, registration, { peeredge: "routes", version: VERSION, routes, patience });
  /** A worker that was started anew, or replaced, knows of no page. */
  const again = () => {
    if (!page.stopped) tell().catch(() => undefined);
  };
  const heard = ({ data, ports, source }: MessageEvent<ToPage | null>) => {
    // Every page of this origin may post messages; requests come from service workers alone.
    if (!(source instanceof ServiceWorker)) return;
    if (data?.peeredge === "who") again();
    if (data?.peeredge === "ask" && ports[0] && typeof data.link === "string") void page.answer(ports[0], data);
  };
  container.addEventListener("message", heard as (event: MessageEvent) => void);
  container.addEventListener("controllerchange", again);
  // A page that the browser had put aside, and shows again.
  addEventListener("pageshow", ({ persisted }) => persisted && again());
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
      container.removeEventListener("controllerchange", again);
      const gone: ToServiceWorker = { peeredge: "gone" };
      registration.active?.postMessage(gone);
    },
  };
}

/** Resolves when the service worker has taken the message and controls the page. */
async function announce(container: ServiceWorkerContainer, registration: ServiceWorkerRegistration, message: ToServiceWorker): Promise<void> {
  const worker = registration.active ?? (await activated(registration));
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise<Answer>((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
    worker.postMessage(message, [port2]);
  });
  const answer = await inTime(answered, "the service worker does not answer: is it peeredge/sw?").finally(() => port1.close());
  if (answer.type !== "ready") throw new PeerEdgeError("unsupported", "the service worker is of another version, or there are too many routes");
  if (container.controller) return;
  await inTime(
    new Promise((resolve) => container.addEventListener("controllerchange", resolve, { once: true })),
    "the service worker does not control this page",
  );
}

async function inTime<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PeerEdgeError("unsupported", otherwise)), READY_WITHIN_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
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

function absolute(routes: Record<string, string | URL>): Routes {
  return Object.fromEntries(absoluteRoutes(routes));
}

function milliseconds(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new PeerEdgeError("invalid_option", `${name} must be a number of milliseconds`);
}
