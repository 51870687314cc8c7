import { PeerEdgeError } from "./errors.js";
import type { LiveGap, LivePart } from "./types.js";

/** A live link: who publishes, and under which name. */
export interface LiveName {
  publisher: string;
  name: string;
}

/** Parts that wait for a reader; beyond, the oldest are dropped, as if it had come later. */
const UNREAD_MAX = 1024;
const PREFIX = "peeredge-live:";

export const isLive = (link: string | URL): boolean => String(link).trim().startsWith(PREFIX);

export function liveLink({ publisher, name }: LiveName): string {
  try {
    return `${PREFIX}${publisher}/${encodeURIComponent(name)}`;
  } catch {
    throw new PeerEdgeError("invalid_option", "name must be a text that UTF-8 can hold");
  }
}

/** Reads `peeredge-live:KEY/NAME`. */
export function liveOf(link: string | URL): LiveName {
  const match = /^peeredge-live:([a-z2-7]{51}[aq])\/([^/?#]+)$/.exec(String(link).trim());
  try {
    if (match) return { publisher: match[1]!, name: decodeURIComponent(match[2]!) };
  } catch {
    // No UTF-8.
  }
  throw new PeerEdgeError("invalid_link", `a live link is peeredge-live:KEY/NAME, this is ${String(link).slice(0, 200)}`);
}

/** What the page tells the engine of live contents. */
export type LiveCall =
  | { call: "begin"; name: string; epochMs: number }
  | { call: "append"; name: string; content: string; length: number; durationMs: number }
  | { call: "end"; name: string }
  | { call: "follow"; follow: number; publisher: string; name: string }
  | { call: "unfollow"; follow: number };

/** What the engine tells of a live content. */
export interface LiveNews {
  first: number;
  /** Parts from here to `first` were missed, and what follows is not checked against what was before; NaN where nothing was. */
  gapFrom: number;
  newBroadcast: boolean;
  ended: boolean;
  /** Content, length in bytes, milliseconds. */
  parts: [content: string, length: number, durationMs: number][];
}

/** Parts that came and have not been read: those of the latest broadcast, in order, each once. */
export class Follower implements AsyncIterableIterator<LivePart> {
  readonly #stop: () => void;
  #parts: LivePart[] = [];
  #ended = false;
  #failed: unknown = null;
  #waiting: (() => void)[] = [];
  /** The number that comes next, once there was one. */
  #next: number | null = null;
  /** The last part that was not proved to extend those before. */
  #unproved = 0;

  constructor(signal: AbortSignal | null, stop: () => void) {
    const aborted = () => this.fail(signal?.reason);
    signal?.addEventListener("abort", aborted);
    this.#stop = () => {
      signal?.removeEventListener("abort", aborted);
      stop();
    };
  }

  receive(news: LiveNews): void {
    // The rest of the broadcast before is of no use behind the beginning of another.
    if (news.newBroadcast) {
      this.#parts = [];
      if (this.#next !== null) this.#next = 0;
    }
    if (news.newBroadcast || news.gapFrom >= 0) this.#unproved = news.first;
    news.parts.forEach(([content, length, durationMs], at) => {
      this.#parts.push({ content, link: `peeredge:${content}`, number: news.first + at, gap: null, length, durationMs });
    });
    if (this.#parts.length > UNREAD_MAX) this.#parts = this.#parts.slice(-UNREAD_MAX);
    this.#ended = news.ended;
    this.#wake();
  }

  fail(reason: unknown): void {
    if (this.#failed !== null) return;
    this.#failed = reason ?? new PeerEdgeError("closed", "the peer is closed");
    this.#stop();
    this.#wake();
  }

  async next(): Promise<IteratorResult<LivePart>> {
    for (;;) {
      const part = this.#parts.shift();
      if (part) {
        part.gap = this.#gapBefore(part.number);
        return { done: false, value: part };
      }
      if (this.#ended) return this.return();
      if (this.#failed !== null) throw this.#failed;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#parts = [];
    this.#ended = true;
    this.#stop();
    this.#wake();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #gapBefore(number: number): LiveGap | null {
    const from = this.#next ?? number;
    this.#next = number + 1;
    return number > from ? { from, to: number, checked: !(this.#unproved > from && this.#unproved <= number) } : null;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** All parts of one broadcast one behind the other, each asked for when the reader comes to it. */
export function bodyOf(parts: AsyncIterator<LivePart>, fetch: (link: string) => Promise<Response>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | null = null;
  let expected: number | null = null;
  return new ReadableStream({
    pull: async (controller) => {
      for (;;) {
        if (!reader) {
          const { done, value } = await parts.next();
          if (done) return controller.close();
          if (value.number < (expected ??= value.number)) {
            // Another broadcast is another file.
            await parts.return?.();
            return controller.close();
          }
          if (value.number > expected || value.gap) throw new PeerEdgeError("unavailable", "parts of this live content were missed");
          expected++;
          reader = (await fetch(value.link)).body!.getReader();
        }
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        reader = null;
      }
    },
    cancel: async () => {
      await parts.return?.();
      await reader?.cancel();
    },
  });
}
