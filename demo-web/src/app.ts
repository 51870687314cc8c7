import { createPeer, type Caps, type Consent, type Peer, type PeerEvents, type Stats } from "peeredge";
import { bytes } from "./format.ts";
import { History } from "./history.ts";
import { Collector } from "./media/collector.ts";
import { Player } from "./media/player.ts";
import { problemOf, type Problem } from "./problem.ts";
import { Rates } from "./rates.ts";
import { Gossip } from "./swarm/gossip.ts";
import { swarmOf, type Swarm, type TabReport } from "./swarm/model.ts";
import { Settings } from "./settings.ts";

/** What the relay offers. */
export interface Listed {
  id: string;
  link: string;
  name: string;
  media_type: string;
  length: number;
}

/** The content on the page, on its way in or out. */
export interface Transfer {
  origin: "publish" | "fetch";
  phase: "hashing" | "seeking" | "loading" | "done" | "failed" | "stopped";
  content: string | null;
  name: string;
  type: string;
  /** Bytes, once they are known. */
  length: number | null;
  doneBytes: number;
  startedMs: number;
  firstByteMs: number | null;
  endedMs: number | null;
  /** What the sources had given before this began. */
  before: Sources;
  /** What they gave until it ended; null while it runs. */
  after: Sources | null;
  stored: boolean;
  blob: Blob | null;
  problem: Problem | null;
}

export interface Sources {
  peers: number;
  relay: number;
  http: number;
}

export type Blame = PeerEvents["blame"];

const POLL_MS = 1000;
const NO_SOURCES: Sources = { peers: 0, relay: 0, http: 0 };

/** What the page knows and does; the views show it. */
export class App {
  readonly player = new Player();
  readonly rates = new Rates();
  readonly history = new History();
  readonly settings = new Settings();
  peer: Peer | null = null;
  consent: Consent = "pending";
  starting = false;
  stats: Stats | null = null;
  relay: "connecting" | "ready" | "lost" = "connecting";
  transfer: Transfer | null = null;
  listed: Listed[] | null = null;
  blames: Blame[] = [];
  /** What keeps the whole page from working. */
  problem: Problem | null = null;
  /** What the relay refused. */
  refusal: string | null = null;
  swarm: Swarm = { nodes: [], edges: [] };
  #gossip: Gossip | null = null;
  #abort: AbortController | null = null;
  #source: { link: string } | { file: File } | null = null;
  #polled: ReturnType<typeof setInterval> | undefined;
  #statsAtMs = 0;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Makes the peer, which opens nothing yet; goes on where this tab was before a reload. */
  async begin(): Promise<void> {
    try {
      this.peer = await createPeer({ relay: location.origin, consent: "pending", caps: this.settings.caps, compute: { allowed: this.settings.computes } });
    } catch (error) {
      this.problem = problemOf(error);
      return this.#changed();
    }
    this.#listen(this.peer);
    addEventListener("pagehide", () => this.#gossip?.close(this.peer?.id ?? null));
    if (this.settings.agreed) await this.agree();
    this.#changed();
  }

  async agree(): Promise<void> {
    if (!this.peer || this.starting) return;
    this.starting = true;
    this.problem = null;
    this.#changed();
    try {
      await this.peer.setConsent("granted");
    } catch (error) {
      this.problem = problemOf(error);
      return;
    } finally {
      this.starting = false;
      this.#changed();
    }
    this.consent = "granted";
    this.settings.agreed = true;
    this.relay = "connecting";
    this.#gossip = new Gossip();
    this.#polled = setInterval(() => void this.#poll(), POLL_MS);
    void this.#poll();
    void this.list();
    const wanted = new URLSearchParams(location.search).get("c");
    if (wanted) void this.open(`peeredge:${wanted}`);
    this.#changed();
  }

  async withdraw(): Promise<void> {
    this.consent = "denied";
    this.settings.agreed = false;
    clearInterval(this.#polled);
    this.#gossip?.close(this.peer?.id ?? null);
    this.#gossip = null;
    this.stats = null;
    this.blames = [];
    this.swarm = { nodes: [], edges: [] };
    this.rates.clear();
    this.history.clear();
    this.leave();
    this.#changed();
    await this.peer?.setConsent("denied").catch((error: unknown) => (this.problem = problemOf(error)));
    this.#changed();
  }

  setCaps(caps: Partial<Caps>): void {
    this.peer?.setCaps(caps);
    if (this.peer) this.settings.caps = { ...this.peer.caps };
    this.#changed();
  }

  /** Asks the relay what it offers. */
  async list(): Promise<void> {
    try {
      const answer = await fetch("/api/contents");
      this.listed = answer.ok ? ((await answer.json()) as Listed[]) : [];
    } catch {
      this.listed = [];
    }
    this.#changed();
  }

  /** Gets what a link names, and shows it. */
  async open(link: string): Promise<void> {
    const transfer = this.#begin("fetch", { link });
    const { signal } = (this.#abort = new AbortController());
    try {
      if (!this.peer) return;
      const response = await this.peer.fetch(link, { signal });
      transfer.content = /"(\w+)"/.exec(response.headers.get("etag") ?? "")?.[1] ?? null;
      transfer.type = response.headers.get("content-type") ?? "application/octet-stream";
      transfer.name = nameOf(response.headers.get("content-disposition")) || "content";
      transfer.length = Number(response.headers.get("content-length"));
      transfer.phase = "loading";
      remember(transfer.content);
      this.player.begin(transfer.type);
      this.#changed();
      await this.#read(response, transfer, signal);
    } catch (error) {
      this.#failed(transfer, error, signal);
    }
  }

  /** Makes a link for a file, and shares it from this tab. */
  async publish(file: File): Promise<void> {
    const transfer = this.#begin("publish", { file });
    Object.assign(transfer, { name: file.name, type: file.type || "application/octet-stream", length: file.size, phase: "hashing" });
    const { signal } = (this.#abort = new AbortController());
    try {
      const onProgress = ({ doneBytes }: { doneBytes: number }) => {
        transfer.doneBytes = doneBytes;
        this.#changed();
      };
      const published = await this.peer?.publish(file, { signal, onProgress });
      if (!published || this.transfer !== transfer) return;
      transfer.content = published.content;
      transfer.stored = published.stored;
      remember(transfer.content);
      this.player.begin(transfer.type);
      this.#finished(transfer, file);
    } catch (error) {
      this.#failed(transfer, error, signal);
    }
  }

  /** Stops what is under way, and keeps what has come. */
  stop(): void {
    this.#abort?.abort();
  }

  retry(): void {
    const source = this.#source;
    if (!source) return;
    if ("file" in source) void this.publish(source.file);
    else void this.open(source.link);
  }

  /** Back to the choice of contents. What was loaded goes on being shared. */
  leave(): void {
    this.#abort?.abort();
    this.#abort = this.#source = this.transfer = null;
    this.player.clear();
    if (this.consent === "granted") remember(null);
    this.#changed();
  }

  async remove(content: string): Promise<void> {
    if (this.transfer?.content === content) this.leave();
    await this.peer?.remove(content).catch(() => undefined);
    await this.#poll();
  }

  /** What came from where since this transfer began. */
  sourcesOf(transfer: Transfer): Sources {
    const until = transfer.after ?? this.#sources();
    const { before } = transfer;
    return { peers: until.peers - before.peers, relay: until.relay - before.relay, http: until.http - before.http };
  }

  /** Bytes of the shown content that are held, as the engine or the reader knows. */
  heldBytes(): number {
    const transfer = this.transfer;
    const held = this.stats?.contents.find(({ content }) => content === transfer?.content)?.heldBytes ?? 0;
    return Math.min(Math.max(held, transfer?.doneBytes ?? 0), transfer?.length ?? Infinity);
  }

  #begin(origin: Transfer["origin"], source: { link: string } | { file: File }): Transfer {
    this.#abort?.abort();
    this.player.clear();
    this.#source = source;
    const transfer: Transfer = {
      origin,
      phase: "seeking",
      content: null,
      name: "",
      type: "",
      length: null,
      doneBytes: 0,
      startedMs: performance.now(),
      firstByteMs: null,
      endedMs: null,
      before: this.#sources(),
      after: null,
      stored: true,
      blob: null,
      problem: null,
    };
    this.transfer = transfer;
    this.#changed();
    return transfer;
  }

  async #read(response: Response, transfer: Transfer, signal: AbortSignal): Promise<void> {
    const collector = new Collector();
    const reader = response.body?.getReader();
    for (;;) {
      const { done, value: piece } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done || !piece) break;
      signal.throwIfAborted();
      transfer.firstByteMs ??= performance.now();
      transfer.doneBytes += piece.byteLength;
      collector.push(piece);
      this.player.chunk(piece);
      this.#changed();
    }
    if (this.transfer === transfer) this.#finished(transfer, collector.finish(transfer.type));
  }

  #finished(transfer: Transfer, blob: Blob): void {
    transfer.blob = blob;
    transfer.phase = "done";
    transfer.endedMs = performance.now();
    this.player.finish(blob);
    this.#changed();
    // The sums as they are once the last bytes have been counted.
    void this.#poll().then(() => {
      transfer.after = this.#sources();
      this.#changed();
    });
  }

  #failed(transfer: Transfer, error: unknown, signal: AbortSignal): void {
    transfer.endedMs = performance.now();
    transfer.after = this.#sources();
    transfer.phase = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) transfer.problem = problemOf(error);
    this.#changed();
  }

  #sources(): Sources {
    const stats = this.stats;
    return stats ? { peers: stats.fromPeersBytes, relay: stats.fromRelayBytes, http: stats.fromHttpBytes } : NO_SOURCES;
  }

  #listen(peer: Peer): void {
    peer.addEventListener("progress", ({ detail }) => this.#take(detail));
    peer.addEventListener("peer", () => void this.#poll());
    peer.addEventListener("blame", ({ detail }) => {
      this.blames = [...this.blames, detail];
      this.#changed();
    });
    peer.addEventListener("relay", ({ detail }) => {
      if (detail.state === "refused") this.refusal = `${detail.code}: ${detail.detail}`;
      else this.relay = detail.state;
      this.#changed();
    });
    peer.addEventListener("error", ({ detail }) => {
      this.problem = problemOf(detail);
      this.#changed();
    });
  }

  async #poll(): Promise<void> {
    if (!this.peer || this.consent !== "granted") return;
    // Progress events bring the same.
    if (performance.now() - this.#statsAtMs < 200) await new Promise((resolve) => setTimeout(resolve, 200));
    const stats = await this.peer.stats().catch(() => null);
    if (stats) this.#take(stats);
  }

  #take(stats: Stats): void {
    if (this.consent !== "granted") return;
    const now = performance.now();
    this.#statsAtMs = now;
    this.stats = stats;
    if (stats.relayConnected) this.relay = "ready";
    const counters = new Map<string, number>([
      ["peers", stats.fromPeersBytes],
      ["relay", stats.fromRelayBytes],
      ["http", stats.fromHttpBytes],
      ["sent", stats.sentBytes],
    ]);
    for (const { peer, receivedBytes, sentBytes } of stats.peers) {
      counters.set(`${peer} down`, receivedBytes);
      counters.set(`${peer} up`, sentBytes);
    }
    for (const [key, total] of counters) this.rates.note(key, now, total);
    this.rates.keep(new Set(counters.keys()));
    const [peers, relay, http] = ["peers", "relay", "http"].map((key) => this.rates.of(key, now));
    this.history.note({ atMs: now, peers: peers ?? 0, relay: relay ?? 0, http: http ?? 0 });
    this.#picture(stats, now);
    this.#changed();
  }

  #picture(stats: Stats, now: number): void {
    const content = this.transfer?.content ?? stats.contents[0]?.content ?? null;
    const held = stats.contents.find((one) => one.content === content);
    const report: TabReport = {
      id: this.peer?.id ?? "",
      content,
      share: held && held.length > 0 ? held.heldBytes / held.length : null,
      httpBytesPerSecond: this.rates.of("http", now),
      peers: stats.peers.map(({ peer, isRelay, open }) => ({
        peer,
        isRelay,
        open,
        downBytesPerSecond: this.rates.of(`${peer} down`, now),
        upBytesPerSecond: this.rates.of(`${peer} up`, now),
      })),
    };
    this.#gossip?.tell(report);
    const blamed = new Set(this.blames.map(({ peer }) => peer));
    this.swarm = swarmOf(report, stats, this.#gossip?.heard() ?? [], blamed);
  }
}

/** The address under which another tab opens a content. */
export function shareUrl(content: string): string {
  return `${location.origin}/?c=${content}`;
}

/** The link that programs take: the relay's address, and what to ask of it. */
export function programLink(content: string, name: string): string {
  return `${location.origin}/c/${content}/${encodeURIComponent(name)}`;
}

export function sizeOf(transfer: Transfer): string {
  return transfer.length === null ? "" : bytes(transfer.length);
}

/** The name in a Content-Disposition header (RFC 8187). */
function nameOf(disposition: string | null): string {
  const encoded = /filename\*=UTF-8''([^;]*)/.exec(disposition ?? "")?.[1];
  try {
    return encoded ? decodeURIComponent(encoded) : "";
  } catch {
    return "";
  }
}

/** So that a reload goes on with the same content. */
function remember(content: string | null): void {
  history.replaceState(null, "", content ? `/?c=${content}` : "/");
}
