import { PeerEdgeError } from "./errors.js";
import type { FromEngine } from "./engine/messages.js";
import { respond, respondUnsatisfiable } from "./response.js";
import type { ErrorCode } from "./types.js";

export type RequestMessage = Extract<FromEngine, { type: "head" | "data" | "done" | "failed" }>;

/** Bytes that wait in the page for a reader that takes them: twice what it took so far, and no more than this. */
const AHEAD_BYTES = 4 << 20;
/** As many wait for one that took nothing yet. */
const AHEAD_BYTES_MIN = 256 << 10;
/** Less than this is not asked for by itself. */
const PULL_BYTES_MIN = 128 << 10;
/** Bytes that wait in the page for all of its readers together. */
const ALL_BYTES_MAX = 48 << 20;
/** A reader that waits for its next byte gets so many all the same. */
const WAITING_BYTES = 64 << 10;

/** What a page's requests hold together: bytes that were asked for or have come, and that nobody has read. */
export class Held {
  #bytes = 0;
  readonly #waiting = new Set<() => void>();

  /** Gives as many of `bytes` as there is room for; `again` is called when there may be more. */
  take(bytes: number, again: () => void): number {
    const given = Math.max(0, Math.min(bytes, ALL_BYTES_MAX - this.#bytes));
    this.#bytes += given;
    if (given < bytes) this.#waiting.add(again);
    return given;
  }

  /** Takes so many whether there is room or not. */
  force(bytes: number): void {
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    if (bytes <= 0) return;
    // Those that have waited longest first. Who gets less than it wants waits again.
    for (const again of this.#waiting) {
      if (this.#bytes > ALL_BYTES_MAX - PULL_BYTES_MIN) return;
      this.#waiting.delete(again);
      again();
    }
  }

  forget(again: () => void): void {
    this.#waiting.delete(again);
  }
}

export interface RequestEvents {
  /** The reader can take so many more bytes. */
  pull(bytes: number): void;
  /** The reader wants no more. */
  abort(): void;
  /** The request is over, however it ended. */
  ended(): void;
}

interface Answer {
  resolve(response: Response): void;
  reject(reason: unknown): void;
}

/** One request of the page: a promise of a `Response`, then its body. */
export class PageRequest {
  readonly #content: string;
  readonly #ranged: boolean;
  readonly #signal: AbortSignal | null;
  readonly #events: RequestEvents;
  readonly #held: Held;
  readonly #headOnly: boolean;
  /** Until there is one. */
  #answer: Answer | null;
  /** A reader that waits. */
  #reader: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  /** What has come and was not read. */
  #unread: Uint8Array<ArrayBuffer>[] = [];
  #unreadBytes = 0;
  /** Bytes asked of the engine that have not come. */
  #pulled = 0;
  /** Bytes that a reader has taken. */
  #taken = 0;
  /** Nothing more comes. */
  #over = false;
  #closed = false;
  #failure: { reason: unknown } | null = null;

  private constructor(content: string, ranged: boolean, signal: AbortSignal | null, events: RequestEvents, held: Held, headOnly: boolean, answer: Answer) {
    this.#content = content;
    this.#ranged = ranged;
    this.#signal = signal;
    this.#events = events;
    this.#held = held;
    this.#headOnly = headOnly;
    this.#answer = answer;
    signal?.addEventListener("abort", this.#aborted);
  }

  /** `headOnly`: nothing but status and headers is wanted. */
  static begin(
    content: string,
    ranged: boolean,
    signal: AbortSignal | null,
    events: RequestEvents,
    held: Held,
    headOnly = false,
  ): { request: PageRequest; response: Promise<Response> } {
    let request!: PageRequest;
    const response = new Promise<Response>((resolve, reject) => {
      request = new PageRequest(content, ranged, signal, events, held, headOnly, { resolve, reject });
    });
    return { request, response };
  }

  receive(message: RequestMessage): void {
    if (this.#over) return;
    switch (message.type) {
      case "head": {
        const body = this.#headOnly ? null : this.#makeBody();
        if (!body) this.cancel();
        return this.#respond(respond(this.#content, message, this.#ranged, body));
      }
      case "data":
        this.#pulled -= message.bytes.byteLength;
        this.#unread.push(message.bytes);
        this.#unreadBytes += message.bytes.byteLength;
        return this.#read();
      case "done":
        this.#end();
        return this.#read();
      case "failed":
        if (message.code === "range_not_satisfiable") {
          this.#end();
          return this.#respond(respondUnsatisfiable(message.length));
        }
        return this.fail(new PeerEdgeError(codeOf(message.code), message.message));
    }
  }

  /** Ends the request with an error: the promise's while there is no response, the body's afterwards. */
  fail(reason: unknown): void {
    if (this.#over) return;
    this.#failure = { reason };
    this.#end();
    this.#drop();
    this.#answer?.reject(reason);
    this.#answer = null;
    this.#read();
  }

  /** Nobody wants any more of it. */
  cancel(): void {
    if (!this.#over) this.#events.abort();
    this.#end();
    this.#drop();
  }

  #respond(response: Response): void {
    this.#answer?.resolve(response);
    this.#answer = null;
  }

  readonly #aborted = () => {
    this.#events.abort();
    this.fail(this.#signal?.reason);
  };

  #makeBody(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#ask();
    // That nobody refers to it any more cannot be told: Chromium may drop the object of a stream that is read, and make another.
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: (controller) => {
          this.#reader = controller;
          this.#read();
        },
        cancel: () => this.cancel(),
      },
      // What waits, waits here, where it is counted.
      { highWaterMark: 0 },
    );
  }

  /** Gives a reader that waits what there is. */
  #read(): void {
    const reader = this.#reader;
    const chunk = this.#unread[0];
    if (!reader) return;
    if (this.#failure) {
      this.#reader = null;
      reader.error(this.#failure.reason);
    } else if (chunk) {
      this.#unread.shift();
      this.#unreadBytes -= chunk.byteLength;
      this.#taken += chunk.byteLength;
      this.#reader = null;
      reader.enqueue(chunk);
      this.#held.give(chunk.byteLength);
      if (this.#over && this.#unread.length === 0) this.#close(reader);
    } else if (this.#over) this.#close(reader);
    this.#ask();
  }

  #close(reader: ReadableStreamDefaultController): void {
    // Several reads may wait: the first of them to see the end closes it.
    if (!this.#closed) reader.close();
    this.#closed = true;
    this.#reader = null;
  }

  /** Asks for more, as far as the reader took what came before. */
  readonly #ask = (): void => {
    if (this.#over) return;
    const ahead = Math.min(AHEAD_BYTES, Math.max(AHEAD_BYTES_MIN, 2 * this.#taken));
    const wanted = ahead - this.#unreadBytes - this.#pulled;
    if (wanted <= 0 || (wanted < PULL_BYTES_MIN && this.#pulled > 0)) return;
    let bytes = this.#held.take(wanted, this.#ask);
    // Others, who do not read, hold all there is: one who does goes on in small steps.
    if (bytes === 0 && this.#reader && this.#pulled === 0) this.#held.force((bytes = WAITING_BYTES));
    if (bytes === 0) return;
    this.#pulled += bytes;
    this.#events.pull(bytes);
  };

  #drop(): void {
    this.#held.give(this.#unreadBytes);
    this.#unread = [];
    this.#unreadBytes = 0;
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#held.forget(this.#ask);
    this.#held.give(this.#pulled);
    this.#pulled = 0;
    this.#signal?.removeEventListener("abort", this.#aborted);
    this.#events.ended();
  }
}

function codeOf(code: string): ErrorCode {
  return code === "unavailable" || code === "manifest_invalid" || code === "blocks_too_large" ? code : "internal";
}
