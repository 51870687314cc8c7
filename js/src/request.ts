import { PeerEdgeError } from "./errors.js";
import type { FromEngine } from "./engine/messages.js";
import { respond, respondUnsatisfiable } from "./response.js";
import type { ErrorCode } from "./types.js";

export type RequestMessage = Extract<FromEngine, { type: "head" | "data" | "done" | "failed" }>;

/** Bytes that are fetched ahead of the reader. */
const AHEAD_BYTES = 4 << 20;
/** Less than this is not asked for by itself. */
const PULL_BYTES_MIN = 128 << 10;

export interface RequestEvents {
  /** The reader can take so many more bytes. */
  pull(bytes: number): void;
  /** The reader wants no more. */
  abort(): void;
  /** The request is over, however it ended. */
  ended(): void;
}

/** One request of the page: a promise of a `Response`, then its body. */
export class PageRequest {
  readonly response: Promise<Response>;
  readonly #content: string;
  readonly #ranged: boolean;
  readonly #signal: AbortSignal | null;
  readonly #events: RequestEvents;
  #resolve!: (response: Response) => void;
  #reject!: (reason: unknown) => void;
  #body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  /** Bytes asked of the engine that have not come. */
  #pulled = 0;
  #over = false;

  constructor(content: string, ranged: boolean, signal: AbortSignal | null, events: RequestEvents) {
    this.#content = content;
    this.#ranged = ranged;
    this.#signal = signal;
    this.#events = events;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener("abort", this.#aborted);
  }

  receive(message: RequestMessage): void {
    if (this.#over) return;
    switch (message.type) {
      case "head":
        return this.#resolve(respond(this.#content, message, this.#ranged, this.#makeBody()));
      case "data":
        this.#pulled -= message.bytes.byteLength;
        this.#body?.enqueue(message.bytes);
        return;
      case "done":
        this.#end();
        this.#body?.close();
        return;
      case "failed":
        if (message.code === "range_not_satisfiable") {
          this.#end();
          return this.#resolve(respondUnsatisfiable(message.length));
        }
        return this.fail(new PeerEdgeError(codeOf(message.code), message.message));
    }
  }

  /** Ends the request with an error: the promise's while there is no response, the body's afterwards. */
  fail(reason: unknown): void {
    if (this.#over) return;
    this.#end();
    this.#reject(reason);
    this.#body?.error(reason);
  }

  readonly #aborted = () => {
    this.#events.abort();
    this.fail(this.#signal?.reason);
  };

  #makeBody(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#body = controller;
        },
        pull: (controller) => {
          const bytes = (controller.desiredSize ?? 0) - this.#pulled;
          if (bytes < PULL_BYTES_MIN && this.#pulled > 0) return;
          this.#pulled += bytes;
          this.#events.pull(bytes);
        },
        cancel: () => {
          if (this.#over) return;
          this.#events.abort();
          this.#end();
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
    );
  }

  #end(): void {
    this.#over = true;
    this.#signal?.removeEventListener("abort", this.#aborted);
    this.#events.ended();
  }
}

function codeOf(code: string): ErrorCode {
  return code === "unavailable" || code === "manifest_invalid" ? code : "internal";
}
