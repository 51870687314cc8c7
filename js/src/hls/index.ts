import { PeerEdgeError } from "../errors.js";
import { contentOf } from "../link.js";
import { absolute, absoluteRoutes } from "../routes.js";
import type { Peer } from "../types.js";

/** The part of hls.js's loaders that is used here; every version from 1.0 on has it. */
export interface HlsLoader {
  context: any;
  stats: any;
  load(context: any, config: any, callbacks: any): void;
  abort(): void;
  destroy(): void;
}

/** A class of loaders, as hls.js's option `loader` takes it. */
export type HlsLoaderClass = new (config: any) => any;

/** Options of {@link hlsLoader}. */
export interface HlsOptions {
  /** hls.js's own loader, `Hls.DefaultConfig.loader`: for what is not listed, and where peers fail. */
  network: HlsLoaderClass;
  /** Addresses of playlists, initialisation and media segments, relative to the page, and the link of what is there. Default: none. */
  routes?: Record<string, string | URL>;
  /** How long a request waits for its first and for each next byte, in milliseconds; then the network is asked. Default 3000. */
  stallMs?: number;
}

/** What a loader's requests came to, in {@link HlsLoading.counts}. */
export interface HlsCounts {
  /** Requests answered by the peer. */
  peer: number;
  /** Their bytes. */
  peerBytes: number;
  /** Requests that were the network's from the beginning. */
  network: number;
  /** Requests that the network answered because the peer could not in time. */
  fallback: number;
}

/** What {@link hlsLoader} gives. */
export interface HlsLoading {
  /** For hls.js: `new Hls({ loader })`. */
  readonly loader: HlsLoaderClass;
  /** Sums over all requests so far. */
  readonly counts: Readonly<HlsCounts>;
  /** Replaces the routes, for requests from now on. */
  setRoutes(routes: Record<string, string | URL>): void;
}

/** How a film has played, in {@link Playback.stats}. Times are milliseconds. */
export interface PlaybackStats {
  /** From {@link watchPlayback} to the first picture that moved; `null` until then. */
  startupMs: number | null;
  /** How often the film stood still for want of bytes after that. Seeking is none. */
  stalls: number;
  /** How long in all. */
  stalledMs: number;
}

/** What {@link watchPlayback} gives. */
export interface Playback {
  /** As of this moment. */
  stats(): PlaybackStats;
  /** Ends the watch. */
  stop(): void;
}

const STALL_MS = 3000;

/**
 * A loader with which hls.js gets listed addresses, and links (`peeredge:ID`) in playlists or as the source, from a peer. Whatever
 * the peer cannot give in time comes from the network, where there is an address.
 *
 * @throws {PeerEdgeError} `invalid_link`, `invalid_option`.
 */
export function hlsLoader(peer: Peer, options: HlsOptions): HlsLoading {
  if (typeof options?.network !== "function") {
    throw new PeerEdgeError("invalid_option", "network must be a loader of hls.js: Hls.DefaultConfig.loader");
  }
  const shared: Shared = {
    peer,
    routes: absoluteRoutes(options.routes ?? {}),
    network: options.network,
    stallMs: options.stallMs ?? STALL_MS,
    counts: { peer: 0, peerBytes: 0, network: 0, fallback: 0 },
  };
  class PeerLoader extends Loader {
    constructor(config: unknown) {
      super(shared, config);
    }
  }
  return {
    loader: PeerLoader,
    counts: shared.counts,
    setRoutes: (routes) => {
      shared.routes = absoluteRoutes(routes);
    },
  };
}

/** Counts the start-up time and the stalls of a film from now on. */
export function watchPlayback(video: HTMLMediaElement): Playback {
  const began = performance.now();
  const controller = new AbortController();
  const { signal } = controller;
  let startupMs: number | null = null;
  let stalls = 0;
  let stalledMs = 0;
  let since: number | null = null;
  const on = (name: string, listener: () => void) => video.addEventListener(name, listener, { signal });
  const over = () => {
    if (since !== null) stalledMs += performance.now() - since;
    since = null;
  };
  on("timeupdate", () => {
    if (startupMs === null && video.currentTime > 0 && !video.paused && !video.seeking) startupMs = performance.now() - began;
  });
  on("waiting", () => {
    // A film also waits at its start, while seeking, and at its end.
    if (startupMs === null || since !== null || video.seeking || video.ended) return;
    stalls += 1;
    since = performance.now();
  });
  for (const name of ["playing", "seeking", "pause", "ended"]) on(name, over);
  return {
    stats: () => ({ startupMs, stalls, stalledMs: stalledMs + (since === null ? 0 : performance.now() - since) }),
    stop: () => {
      over();
      controller.abort();
    },
  };
}

interface Shared {
  readonly peer: Peer;
  routes: Map<string, string>;
  readonly network: HlsLoaderClass;
  readonly stallMs: number;
  readonly counts: HlsCounts;
}

/** One request of hls.js. */
class Loader implements HlsLoader {
  context: any = null;
  readonly #shared: Shared;
  readonly #config: unknown;
  readonly #controller = new AbortController();
  #stats = emptyStats();
  /** hls.js's own loader, once the request is the network's. */
  #network: HlsLoader | null = null;
  #callbacks: any = null;
  #over = false;

  constructor(shared: Shared, config: unknown) {
    this.#shared = shared;
    this.#config = config;
  }

  get stats(): any {
    return this.#network?.stats ?? this.#stats;
  }

  load(context: any, config: any, callbacks: any): void {
    this.context = context;
    this.#callbacks = callbacks;
    const link = linkOf(this.#shared.routes, context.url);
    if (link === null) {
      this.#shared.counts.network += 1;
      return this.#askNetwork(config);
    }
    this.#askPeer(link).catch((error: unknown) => {
      if (this.#over) return;
      if (/^https?:/.test(absoluteOrSame(context.url))) {
        this.#shared.counts.fallback += 1;
        return this.#askNetwork(config);
      }
      this.#over = true;
      const text = error instanceof Error ? error.message : String(error);
      callbacks.onError({ code: 0, text }, context, null, this.#stats);
    });
  }

  abort(): void {
    if (this.#over) return;
    this.#stop();
    this.#stats.aborted = true;
    if (this.#network) this.#network.abort();
    else this.#callbacks?.onAbort?.(this.#stats, this.context, null);
  }

  destroy(): void {
    this.#stop();
    this.#network?.destroy();
    this.#callbacks = this.context = null;
  }

  getCacheAge(): number | null {
    return (this.#network as any)?.getCacheAge?.() ?? null;
  }

  getResponseHeader(name: string): string | null {
    return (this.#network as any)?.getResponseHeader?.(name) ?? null;
  }

  #stop(): void {
    this.#over = true;
    this.#controller.abort();
  }

  #askNetwork(config: any): void {
    this.#network = new this.#shared.network(this.#config) as HlsLoader;
    this.#network.load(this.context, config, this.#callbacks);
  }

  async #askPeer(link: string): Promise<void> {
    const { context } = this;
    const { loading } = this.#stats;
    loading.start = performance.now();
    const start = context.rangeStart ?? 0;
    const range = context.rangeEnd ? { start, end: context.rangeEnd - 1 } : start > 0 ? { start } : null;
    const { signal } = this.#controller;
    const response = await this.#inTime(this.#shared.peer.fetch(link, { signal, ...(range ? { range } : {}) }));
    if (!response.ok) throw new Error(`the peer answered ${response.status}`);
    const chunks: Uint8Array[] = [];
    const reader = response.body!.getReader();
    this.#stats.total = Number(response.headers.get("content-length"));
    for (;;) {
      const { done, value } = await this.#inTime(reader.read());
      if (done) break;
      loading.first ||= performance.now();
      this.#stats.loaded += value.byteLength;
      this.#stats.chunkCount += 1;
      chunks.push(value);
    }
    loading.end = performance.now();
    loading.first ||= loading.end;
    this.#stats.bwEstimate = (this.#stats.loaded * 8000) / Math.max(loading.end - loading.first, 1);
    const data = await as(context.responseType, new Blob(chunks as BlobPart[]));
    if (this.#over) return;
    this.#over = true;
    this.#shared.counts.peer += 1;
    this.#shared.counts.peerBytes += this.#stats.loaded;
    if (context.responseType === "arraybuffer") this.#callbacks.onProgress?.(this.#stats, context, data, null);
    this.#callbacks.onSuccess({ url: baseOf(context.url), data, code: response.status }, this.#stats, context, null);
  }

  /** The same, or an error when it takes too long; then the request is aborted. */
  async #inTime<T>(promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the peer is too slow")), this.#shared.stallMs);
    });
    try {
      return await Promise.race([promise, late]);
    } catch (error) {
      this.#controller.abort();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

function linkOf(routes: Map<string, string>, address: string): string | null {
  const listed = routes.get(absoluteOrSame(address));
  if (listed !== undefined) return listed;
  try {
    contentOf(address);
    return address;
  } catch {
    return null;
  }
}

/** An address that names no place, such as `peeredge:ID`, stays as it is. */
function absoluteOrSame(address: string): string {
  return address.startsWith("peeredge:") ? address : absolute(address);
}

/** What a playlist's relative addresses are relative to: a link is no place, so the page then. */
function baseOf(address: string): string {
  return address.startsWith("peeredge:") ? document.baseURI : address;
}

async function as(type: string, blob: Blob): Promise<unknown> {
  if (type === "arraybuffer") return blob.arrayBuffer();
  return type === "json" ? JSON.parse(await blob.text()) : blob.text();
}

function emptyStats() {
  return {
    aborted: false,
    loaded: 0,
    retry: 0,
    total: 0,
    chunkCount: 0,
    bwEstimate: 0,
    loading: { start: 0, first: 0, end: 0 },
    parsing: { start: 0, end: 0 },
    buffering: { start: 0, first: 0, end: 0 },
  };
}
