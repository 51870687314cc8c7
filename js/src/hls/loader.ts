import { contentOf } from "../link.js";
import { absolute } from "../routes.js";
import type { Peer } from "../types.js";
import { Memory, Watch } from "../watch.js";
import { Ahead, type Piece } from "./ahead.js";
import type { HlsCounts, HlsLoader, HlsLoaderClass } from "./index.js";

/** Playlists and keys are text; a publisher may be a stranger, and a page has only so much memory. */
const TEXT_BYTES_MAX = 8 << 20;
const SEGMENT_BYTES_MAX = 256 << 20;
const LOOK_EVERY_MS = 50;
/** With so much of the film ahead a piece need not come as fast as possible, but at twice the rate at which it is played. */
const PACED_FROM_S = 12;
const PACED_TIMES = 2;
/** What has no address can only be waited for; as hls.js does by default. */
const FIRST_BYTE_MS = 10_000;

/** What all loaders of one {@link hlsLoader} share. */
export interface Shared {
  readonly peer: Peer;
  routes: Map<string, string>;
  readonly network: HlsLoaderClass;
  readonly stallMs: number;
  readonly counts: HlsCounts;
  readonly memory: Memory;
  readonly ahead: Ahead;
}

/** What a peer has brought of a request so far. */
interface Brought {
  start: number;
  first: number;
  loaded: number;
  total: number;
  chunks: number;
}

/**
 * One request of hls.js. Peers are asked first; where they lag behind what the player needs the engine asks the site's server as well,
 * and where that does not help hls.js's own loader is raced against them. Whoever has all of it first, answers.
 */
export class Loader implements HlsLoader {
  context: any = null;
  /** One object throughout: hls.js takes it before the request begins, and reads its bandwidth from it. */
  readonly stats: any = emptyStats();
  readonly #shared: Shared;
  readonly #config: unknown;
  readonly #controller = new AbortController();
  /** hls.js's own loader, once the request is the network's, too. */
  #network: HlsLoader | null = null;
  #networkFailed: (() => void) | null = null;
  #peerFailed = false;
  #callbacks: any = null;
  #loadConfig: any = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Whether the peer is not waited for any longer, the network has answered, and hls.js has heard the last. */
  #over = false;
  #won = false;
  #ended = false;

  constructor(shared: Shared, config: unknown) {
    this.#shared = shared;
    this.#config = config;
  }

  load(context: any, config: any, callbacks: any): void {
    this.context = context;
    this.#callbacks = callbacks;
    this.#loadConfig = config;
    const link = linkOf(this.#shared.routes, context.url);
    if (link === null) {
      this.#peerFailed = true;
      return this.#askNetwork(() => (this.#shared.counts.network += 1));
    }
    this.#askPeer(link).catch((error: unknown) => {
      clearInterval(this.#timer);
      if (this.#over) return;
      this.#peerFailed = true;
      if (this.#hasAddress) return this.#networkFailed ? this.#networkFailed() : this.#fallBack();
      this.#end();
      if (error instanceof Late) return callbacks.onTimeout(this.stats, context, null);
      const text = error instanceof Error ? error.message : String(error);
      callbacks.onError({ code: 0, text }, context, null, this.stats);
    });
  }

  abort(): void {
    if (this.#ended) return;
    this.#end();
    this.#network?.destroy();
    this.stats.aborted = true;
    this.#callbacks?.onAbort?.(this.stats, this.context, null);
  }

  destroy(): void {
    this.#end();
    this.#network?.destroy();
    this.#network = this.#callbacks = this.context = null;
  }

  getCacheAge(): number | null {
    return (this.#network as any)?.getCacheAge?.() ?? null;
  }

  getResponseHeader(name: string): string | null {
    return (this.#network as any)?.getResponseHeader?.(name) ?? null;
  }

  get #hasAddress(): boolean {
    return /^https?:/.test(absoluteOrSame(this.context.url));
  }

  /** The segment, or the part of it, that this is. */
  get #piece(): Piece | null {
    const { frag, part } = this.context;
    return part ? { start: part.start, duration: part.duration, type: frag?.type } : (frag ?? null);
  }

  /** The peer is out of it. */
  #finish(): void {
    this.#over = true;
    clearInterval(this.#timer);
    this.#controller.abort();
  }

  /** hls.js hears the last of this request. */
  #end(): void {
    this.#ended = true;
    this.#finish();
  }

  #fallBack(): void {
    if (!this.#network) this.#askNetwork(() => (this.#shared.counts.fallback += 1));
  }

  /** Asks hls.js's own loader. What it says is passed on, unless a peer has answered meanwhile or still may. */
  #askNetwork(won: () => void): void {
    const { context, stats } = this;
    const callbacks = this.#callbacks;
    // What is measured is the network's from here on.
    Object.assign(stats, emptyStats());
    const network = new this.#shared.network(this.#config) as HlsLoader;
    this.#network = network;
    try {
      network.stats = stats;
    } catch {
      // A loader with statistics of its own: they are copied.
    }
    const copy = (theirs: any) => {
      if (theirs && theirs !== stats) Object.assign(stats, theirs);
    };
    const wins = (theirs: any): boolean => {
      copy(theirs);
      if (this.#over && !this.#won) return false;
      if (!this.#won) won();
      this.#won = true;
      this.#finish();
      return true;
    };
    const fails = (tell: () => void) => {
      if (this.#over && !this.#won) return;
      const failed = () => {
        this.#end();
        tell();
      };
      // A peer that is late is better than none.
      if (this.#peerFailed || this.#won) failed();
      else this.#networkFailed = failed;
    };
    network.load(context, this.#loadConfig, {
      ...callbacks,
      onSuccess: (response: any, theirs: any, _: any, details: any) => {
        if (!wins(theirs)) return;
        this.#end();
        this.#shared.ahead.loaded(performance.now(), this.#piece, stats.loaded);
        callbacks.onSuccess(response, stats, context, details);
      },
      onError: (error: any, _: any, details: any, theirs: any) =>
        fails(() => {
          copy(theirs);
          callbacks.onError(error, context, details, stats);
        }),
      onTimeout: (theirs: any, _: any, details: any) =>
        fails(() => {
          copy(theirs);
          callbacks.onTimeout(stats, context, details);
        }),
      onAbort: () => {},
      ...(callbacks.onProgress && {
        // Bytes that the player has taken cannot be taken back.
        onProgress: (theirs: any, _: any, data: any, details: any) => {
          if (data?.byteLength === 0 || !wins(theirs)) return;
          callbacks.onProgress(stats, context, data, details);
        },
      }),
    });
  }

  async #askPeer(link: string): Promise<void> {
    const { context } = this;
    const { peer, stallMs, memory, ahead } = this.#shared;
    const now = performance.now();
    const brought: Brought = { start: now, first: 0, loaded: 0, total: 0, chunks: 0 };
    this.#mirror(brought);
    const address = this.#hasAddress ? absolute(context.url) : null;
    const config = this.#loadConfig;
    const patience = address === null ? Math.max(stallMs, finite(config?.loadPolicy?.maxTimeToFirstByteMs) ?? FIRST_BYTE_MS) : stallMs;
    const watch = new Watch(now, patience, memory);
    const reserve = new Reserve();
    const { signal } = this.#controller;
    const late = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Late())));
    late.catch(() => undefined);
    let met = true;
    void this.#hasMet().then((answer) => (met = answer));
    this.#timer = setInterval(() => {
      const now = performance.now();
      if (!met) void this.#hasMet().then((answer) => (met = answer));
      const advice = watch.advise(now, met || address === null);
      if (advice === "reserve" && address !== null) reserve.call(address);
      if (advice !== "network") return;
      if (address !== null) return this.#fallBack();
      // A trickle of what has no address is all there is.
      if (now - Math.max(watch.last, brought.start) >= patience) this.#controller.abort();
    }, LOOK_EVERY_MS);
    const start = context.rangeStart ?? 0;
    const range = context.rangeEnd ? { start, end: context.rangeEnd - 1 } : start > 0 ? { start } : null;
    const seconds = ahead.seconds(now, this.#piece);
    const rate = seconds >= PACED_FROM_S ? ahead.bytesPerSecond(this.#piece) : null;
    const response = await Promise.race([
      late,
      peer.fetch(link, {
        signal,
        ...(range ? { range } : {}),
        ...(address !== null ? { origin: reserve.called } : {}),
        ...(rate ? { bytesPerSecond: rate * PACED_TIMES } : {}),
      }),
    ]);
    if (!response.ok) throw new Error(`the peer answered ${response.status}`);
    brought.total = Number(response.headers.get("content-length"));
    const most = context.responseType === "arraybuffer" ? SEGMENT_BYTES_MAX : TEXT_BYTES_MAX;
    if (brought.total > most) throw new Error(`${brought.total} bytes, where at most ${most} are taken`);
    const headAt = performance.now();
    watch.head(headAt);
    const allowedS = Math.min(seconds / 2, this.#piece?.duration ?? 0);
    watch.want(headAt, brought.total, allowedS * 1000);
    const chunks: Uint8Array[] = [];
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await Promise.race([late, reader.read()]);
      if (done) break;
      const now = performance.now();
      watch.got(now, value.byteLength);
      brought.first ||= now;
      brought.loaded += value.byteLength;
      brought.chunks += 1;
      this.#mirror(brought);
      chunks.push(value);
    }
    const data = await as(context.responseType, new Blob(chunks as BlobPart[]));
    if (this.#over) return;
    this.#answer(brought, data, response.status, watch);
  }

  #answer(brought: Brought, data: unknown, code: number, watch: Watch): void {
    const { context, stats } = this;
    const { counts, memory, ahead } = this.#shared;
    const now = performance.now();
    this.#end();
    this.#network?.destroy();
    this.#network = null;
    this.#mirror(brought);
    stats.aborted = false;
    stats.loading.end = now;
    stats.loading.first ||= now;
    stats.bwEstimate = (stats.loaded * 8000) / Math.max(now - stats.loading.first, 1);
    memory.met(now, !watch.reserved);
    ahead.loaded(now, this.#piece, stats.loaded);
    counts.peer += 1;
    counts.peerBytes += stats.loaded;
    if (context.responseType === "arraybuffer") this.#callbacks.onProgress?.(stats, context, data, null);
    this.#callbacks.onSuccess({ url: baseOf(context.url), data, code }, stats, context, null);
  }

  /** hls.js sees what the peer has brought, unless it sees what the network brings. */
  #mirror({ start, first, loaded, total, chunks }: Brought): void {
    if (this.#network) return;
    Object.assign(this.stats, { loaded, total, chunkCount: chunks });
    Object.assign(this.stats.loading, { start, first });
  }

  /** Whether there is anybody to ask: met, or being met. */
  async #hasMet(): Promise<boolean> {
    try {
      return (await this.#shared.peer.stats()).peers.length > 0;
    } catch {
      return false;
    }
  }
}

/** The peer is not waited for any longer. */
class Late extends Error {
  override readonly message = "the peer is too slow";
}

/** The address of a server that the engine may ask once it is called for. */
class Reserve {
  call!: (address: string) => void;
  readonly called = new Promise<string>((resolve) => (this.call = resolve));
}

function finite(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : null;
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
  if (address.startsWith("peeredge:")) return address;
  try {
    return absolute(address);
  } catch {
    // A playlist may name anything: hls.js's own loader says what is wrong with it.
    return address;
  }
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
