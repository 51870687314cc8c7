/** Not read for so long, a body is let go of: the server holds a connection for it. */
const IDLE_MS = 10_000;

/**
 * The body of a server that knows no ranges, and sends everything each time. It is read once, from the beginning on: ranges that are
 * asked for in order are parts of it, and nothing else is.
 */
export class Whole {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Behind what was given so far, and what was read beyond. */
  #at = 0;
  #rest: Uint8Array | null = null;
  #ended = false;
  /** One range after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The bytes from `start` up to `end`, fewer where the body ends; `null` when they are over already. */
  take(start: number, end: number, signal: AbortSignal): Promise<Uint8Array | null> {
    const taken = this.#turn.then(() => this.#take(start, end, signal));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    void this.#reader.cancel().catch(() => undefined);
  }

  async #take(start: number, end: number, signal: AbortSignal): Promise<Uint8Array | null> {
    signal.throwIfAborted();
    if (this.#ended || start < this.#at) return null;
    clearTimeout(this.#timer);
    const chunks: Uint8Array[] = [];
    try {
      while (this.#at < end) {
        const chunk = this.#rest ?? (await this.#read(signal));
        this.#rest = null;
        if (!chunk) break;
        const skip = Math.min(Math.max(start - this.#at, 0), chunk.byteLength);
        const part = chunk.subarray(skip, Math.max(skip, end - this.#at));
        if (part.byteLength > 0) chunks.push(part);
        const used = skip + part.byteLength;
        if (used < chunk.byteLength) this.#rest = chunk.subarray(used);
        this.#at += used;
      }
    } finally {
      if (!this.#ended) this.#timer = setTimeout(() => this.end(), IDLE_MS);
    }
    return joined(
      chunks,
      chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
    );
  }

  /** The next chunk; `null` at the end. A request that is given up leaves the body at a place that nobody knows: it is over then. */
  async #read(signal: AbortSignal): Promise<Uint8Array | null> {
    const given = () => this.end();
    signal.addEventListener("abort", given);
    try {
      const { done, value } = await this.#reader.read();
      if (signal.aborted) throw signal.reason;
      if (!done) return value;
      this.end();
      return null;
    } finally {
      signal.removeEventListener("abort", given);
    }
  }
}

export function joined(chunks: Uint8Array[], length: number): Uint8Array {
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}
