import { contentOf } from "../link.js";
import type { Peer } from "../types.js";
import { Memory, Watch } from "../watch.js";
import type { Answer, Demand, ToPage } from "./messages.js";

type Ask = Extract<ToPage, { peeredge: "ask" }>;

/** Requests answered at a time: each holds what its peer fetched ahead. The network answers more. */
const ANSWERS_MAX = 64;
const LOOK_EVERY_MS = 50;
/** A worker says that it is alive every few seconds; one that the browser has ended says nothing. */
const SILENT_MS_MAX = 30_000;

/** Answers the service worker's requests. */
export class Page {
  readonly counts = { answered: 0, refused: 0, failed: 0, bytes: 0 };
  stallMs: number;
  readonly #peer: Peer;
  readonly #memory = new Memory();
  #answering = 0;
  /** Whether the relay was there and is gone. */
  #relayLost = false;
  #stopped = false;

  constructor(peer: Peer, stallMs: number) {
    this.#peer = peer;
    this.stallMs = stallMs;
    peer.addEventListener("relay", ({ detail }) => {
      this.#relayLost = detail.state === "lost";
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  async answer(port: MessagePort, ask: Ask): Promise<void> {
    this.#answering += 1;
    const request = new Request(port, this.stallMs, this.#memory, ask);
    try {
      if (this.#answering > ANSWERS_MAX || (await this.#isAway(ask.link))) {
        this.counts.refused += 1;
        return request.say({ type: "refused" });
      }
      request.say({ type: "taken" });
      await request.run(this.#peer, this.counts);
    } catch {
      if (!request.cancelled) {
        this.counts[request.begun ? "failed" : "refused"] += 1;
        request.say({ type: request.begun ? "failed" : "refused" });
      }
    } finally {
      this.#answering -= 1;
      request.end();
    }
  }

  /** Whether the network need not be kept waiting. */
  async #isAway(link: string): Promise<boolean> {
    return this.#stopped || this.#peer.closed || this.#peer.consent !== "granted" || this.#isAlone(link);
  }

  /** Whether there is nobody to ask and the content is not here whole. */
  async #isAlone(link: string): Promise<boolean> {
    if (!this.#relayLost) return false;
    const { peers, contents } = await this.#peer.stats();
    const content = contents.find((entry) => entry.content === contentOf(link));
    return !peers.some((peer) => peer.open) && !(content && content.length > 0 && content.heldBytes === content.length);
  }
}

/** One of them. */
class Request {
  begun = false;
  /** Whether the service worker wants no more. */
  cancelled = false;
  readonly #port: MessagePort;
  readonly #ask: Ask;
  readonly #memory: Memory;
  readonly #watch: Watch;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  /** Bytes that the service worker asked for, and has not got. */
  #credit = 0;
  #heardAt = performance.now();
  #wake: (() => void) | null = null;
  #met = true;
  #reserve: (origin: string) => void = () => {};
  #peer: Peer | null = null;

  constructor(port: MessagePort, stallMs: number, memory: Memory, ask: Ask) {
    this.#port = port;
    this.#ask = ask;
    this.#memory = memory;
    this.#watch = new Watch(performance.now(), stallMs, memory);
    port.onmessage = ({ data }: MessageEvent<Demand>) => this.#heard(data);
    // The worker, or the page that it answers, is gone. Browsers without this event are found out by their silence.
    port.addEventListener("close", () => this.#cancel());
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  say(answer: Answer, transfer: Transferable[] = []): void {
    this.#port.postMessage(answer, transfer);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#controller.abort();
  }

  async run(peer: Peer, counts: { answered: number; bytes: number }): Promise<void> {
    const { link, range, url } = this.#ask;
    const { signal } = this.#controller;
    this.#peer = peer;
    this.#askWho();
    const origin = new Promise<string>((resolve) => (this.#reserve = resolve));
    const options = { signal, ...(range === null ? {} : { headers: { range } }), ...(url === undefined ? {} : { origin }) };
    const response = await peer.fetch(link, options);
    const headers: [string, string][] = [];
    response.headers.forEach((value, name) => headers.push([name, value]));
    this.#watch.head(performance.now());
    this.say({ type: "head", status: response.status, headers });
    this.begun = true;
    counts.answered += 1;
    const reader = response.body?.getReader();
    for (;;) {
      await this.#demand();
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) break;
      this.#watch.got(performance.now(), value.byteLength);
      // Never more than was asked for: the worker has a bound, too.
      for (let at = 0; at < value.byteLength; ) {
        await this.#demand();
        const bytes = owned(value.subarray(at, at + this.#credit));
        at += bytes.byteLength;
        counts.bytes += bytes.byteLength;
        this.#credit -= bytes.byteLength;
        this.say({ type: "data", bytes }, [bytes.buffer]);
      }
    }
    this.#memory.met(performance.now(), !this.#watch.reserved);
    this.say({ type: "done" });
  }

  #heard(demand: Demand): void {
    this.#heardAt = performance.now();
    if (demand.type === "alive") return;
    if (demand.type === "cancel") return this.#cancel();
    this.#credit += demand.bytes;
    this.#watch.want(performance.now(), demand.bytes);
    this.#wake?.();
  }

  #cancel(): void {
    this.cancelled = true;
    this.#controller.abort();
    this.#wake?.();
  }

  /** Resolves when the service worker wants bytes. */
  async #demand(): Promise<void> {
    while (this.#credit <= 0) {
      this.#controller.signal.throwIfAborted();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    this.#controller.signal.throwIfAborted();
  }

  #look(): void {
    const now = performance.now();
    const { version = 1, url } = this.#ask;
    if (version > 1 && now - this.#heardAt > SILENT_MS_MAX) return this.#cancel();
    if (!this.#met) this.#askWho();
    const advice = this.#watch.advise(now, this.#met);
    if (advice === "reserve" && url !== undefined) this.#reserve(url);
    // Before the head the network is asked at once; afterwards the worker races it against what comes from here.
    if (advice === "network" && !this.begun) this.#controller.abort();
  }

  #askWho(): void {
    this.#peer?.stats().then(
      ({ peers }) => (this.#met = peers.length > 0),
      () => undefined,
    );
  }
}

/** The same bytes in a buffer that can be given away. */
function owned(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}
