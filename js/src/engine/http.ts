import { Whole, joined } from "./whole.js";

/**
 * What a plain request gave: a body, or the server's status. 0: no usable answer; 200: the whole where a range was asked for, and
 * each further range would cost the whole again.
 */
export type HttpResult = { body: Uint8Array } | { status: number };

/** Beyond a manifest's largest form, which is a quarter of a MiB. */
const MANIFEST_BYTES_MAX = 1 << 20;
/** A server that sends nothing for so long has failed. */
const SILENT_MS = 5000;
/** A server that names a time is left alone until then, at most so long. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Servers, and contents that come whole, that are remembered. */
const REMEMBERED_MAX = 64;
const NO_RANGES = 200;
const NO_ANSWER: HttpResult = { status: 0 };

type Range = { start: number; end: number };

/** Plain HTTP requests under way, and what is known of servers. */
export class Http {
  readonly #done: (token: number, result: HttpResult) => void;
  readonly #underWay = new Map<number, AbortController>();
  /** Until when a server said that it is not to be asked. */
  readonly #rests = new Map<string, number>();
  /** Bodies of servers without ranges, read once from the beginning on. */
  readonly #wholes = new Map<string, Whole>();

  constructor(done: (token: number, result: HttpResult) => void) {
    this.#done = done;
  }

  /** Gets `url`, or its bytes from `start` up to `end` (exclusive) when they are numbers. Gives up after `timeoutMs`. */
  get(token: number, url: string, start: number, end: number, timeoutMs: number): void {
    const controller = new AbortController();
    this.#underWay.set(token, controller);
    const timer = setTimeout(() => controller.abort(), timeoutMs);
    const range = Number.isNaN(start) ? null : { start, end };
    this.#get(url, range, controller)
      .catch(() => NO_ANSWER)
      .then((result) => {
        clearTimeout(timer);
        if (this.#underWay.delete(token)) this.#done(token, result);
      });
  }

  cancel(token: number): void {
    const controller = this.#underWay.get(token);
    this.#underWay.delete(token);
    controller?.abort();
  }

  cancelAll(): void {
    for (const token of [...this.#underWay.keys()]) this.cancel(token);
    for (const whole of this.#wholes.values()) whole.end();
  }

  async #get(url: string, range: Range | null, controller: AbortController): Promise<HttpResult> {
    const { signal } = controller;
    const server = new URL(url).origin;
    if ((this.#rests.get(server) ?? 0) > performance.now()) return { status: 503 };
    const before = range && this.#wholes.get(url);
    if (before) return this.#of(before, range, signal);
    const watch = new Silence(controller);
    try {
      const response = await fetch(url, {
        signal,
        // The browser's cache takes one request at a time for a URL, and what is verified here is kept in our own store.
        cache: "no-store",
        credentials: "omit",
        headers: range ? { range: `bytes=${range.start}-${range.end - 1}` } : {},
      });
      watch.heard();
      if (response.status !== 200 && response.status !== 206) {
        this.#note(server, response);
        return unused(response, response.status);
      }
      if (!range) return await readAll(response, MANIFEST_BYTES_MAX, watch);
      const isWhole = response.status === 200 && range.start === 0 && response.headers.get("content-length") === String(range.end);
      if (response.status === 200 && !isWhole) {
        watch.end();
        return await this.#whole(url, range, response, signal);
      }
      if (isEncoded(response)) return unused(response, NO_RANGES);
      if (!beginsAt(response, range)) return unused(response, 0);
      return await readAll(response, range.end - range.start, watch);
    } finally {
      watch.end();
    }
  }

  /** A server without ranges: its one body is read as far as ranges are asked for in order. */
  #whole(url: string, range: Range, response: Response, signal: AbortSignal): Promise<HttpResult> {
    const other = this.#wholes.get(url);
    if (other || !response.body) {
      void response.body?.cancel().catch(() => undefined);
      return other ? this.#of(other, range, signal) : Promise.resolve({ status: NO_RANGES });
    }
    // The request that it came with may be cancelled, and the body is to outlive that: a reader of its own.
    const whole = new Whole(response.body);
    remember(this.#wholes, url, whole)?.end();
    return this.#of(whole, range, signal);
  }

  async #of(whole: Whole, range: Range, signal: AbortSignal): Promise<HttpResult> {
    const body = await whole.take(range.start, range.end, signal);
    return body ? { body } : { status: NO_RANGES };
  }

  #note(server: string, { status, headers }: Response): void {
    const after = headers.get("retry-after");
    if (after === null || (status !== 429 && status !== 503)) return;
    const ms = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
    if (ms > 0) remember(this.#rests, server, performance.now() + Math.min(ms, RETRY_AFTER_MS_MAX));
  }
}

/** Ends a request whose server has been silent for too long. */
class Silence {
  readonly #controller: AbortController;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(controller: AbortController) {
    this.#controller = controller;
    this.heard();
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), SILENT_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Sets an entry; gives the one that had to make room, the oldest. */
function remember<T>(map: Map<string, T>, key: string, value: T): T | undefined {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED_MAX) return undefined;
  const oldest = map.keys().next().value!;
  const gone = map.get(oldest);
  map.delete(oldest);
  return gone;
}

function unused(response: Response, status: number): HttpResult {
  void response.body?.cancel().catch(() => undefined);
  return { status };
}

/** A part of a compressed file is none of the file. */
function isEncoded({ headers }: Response): boolean {
  return !["", "identity"].includes(headers.get("content-encoding")?.trim().toLowerCase() ?? "");
}

/** Whether a 206 is of these bytes, or of the first of them; a server elsewhere may keep that to itself. */
function beginsAt({ headers }: Response, { start, end }: Range): boolean {
  const said = headers.get("content-range");
  const match = /^\s*bytes\s+(\d+)\s*-\s*(\d+)/i.exec(said ?? "");
  return said === null || (match !== null && Number(match[1]) === start && Number(match[2]) < end);
}

/** The whole body, of at most so many bytes; nothing of one that is longer. */
async function readAll(response: Response, bytesMax: number, watch: Silence): Promise<HttpResult> {
  const reader = response.body?.getReader();
  if (!reader) return NO_ANSWER;
  const chunks: Uint8Array[] = [];
  let taken = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    watch.heard();
    taken += value.byteLength;
    if (taken > bytesMax) {
      void reader.cancel().catch(() => undefined);
      return NO_ANSWER;
    }
    chunks.push(value);
  }
  return { body: joined(chunks, taken) };
}
