import { PeerEdgeError } from "../errors.js";
import { absoluteRoutes } from "../routes.js";
import type { Peer } from "../types.js";
import { Memory } from "../watch.js";
import { Ahead } from "./ahead.js";
import { Loader, type Shared } from "./loader.js";

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
  /**
   * How long a request waits for its first and for each next byte, in milliseconds; then the network is asked. Where nobody is met
   * it waits a quarter of that, and a fifth before bytes that come too slowly are asked of the site's server as well. Default 1500.
   */
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
  /** Requests that the network answered because the peer could not, or not in time. */
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

const STALL_MS = 1500;

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
    stallMs: milliseconds(options.stallMs ?? STALL_MS),
    counts: { peer: 0, peerBytes: 0, network: 0, fallback: 0 },
    memory: new Memory(),
    ahead: new Ahead(),
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

function milliseconds(value: number): number {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw new PeerEdgeError("invalid_option", "stallMs must be a positive number of milliseconds");
}
