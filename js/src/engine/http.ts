/** What a plain request gave: a body, or the server's status (0: no usable answer). */
export type HttpResult = { body: Uint8Array } | { status: number };

/** Beyond a manifest's largest form, which is a quarter of a MiB. */
const MANIFEST_BYTES_MAX = 1 << 20;

/** Plain HTTP requests under way. */
export class Http {
  readonly #done: (token: number, result: HttpResult) => void;
  readonly #underWay = new Map<number, AbortController>();

  constructor(done: (token: number, result: HttpResult) => void) {
    this.#done = done;
  }

  /** Gets `url`, or its bytes from `start` up to `end` (exclusive) when they are numbers. Gives up after `timeoutMs`. */
  get(token: number, url: string, start: number, end: number, timeoutMs: number): void {
    const controller = new AbortController();
    this.#underWay.set(token, controller);
    const timer = setTimeout(() => controller.abort(), timeoutMs);
    const range = Number.isNaN(start) ? null : { start, end };
    get(url, range, controller.signal)
      .catch((): HttpResult => ({ status: 0 }))
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
  }
}

async function get(url: string, range: { start: number; end: number } | null, signal: AbortSignal): Promise<HttpResult> {
  const response = await fetch(url, {
    signal,
    // The browser's cache takes one request at a time for a URL, and what is verified here is kept in our own store.
    cache: "no-store",
    credentials: "omit",
    headers: range ? { range: `bytes=${range.start}-${range.end - 1}` } : {},
  });
  if (response.status !== 200 && response.status !== 206) {
    await response.body?.cancel();
    return { status: response.status };
  }
  if (!range) return readSlice(response, 0, MANIFEST_BYTES_MAX, true);
  // A server without ranges sends everything: the part before is skipped, the part behind never read.
  const skip = response.status === 200 ? range.start : 0;
  return readSlice(response, skip, range.end - range.start, response.status === 206);
}

/** Reads `length` bytes behind the first `skip`. `whole`: whether more than that makes the answer unusable. */
async function readSlice(response: Response, skip: number, length: number, whole: boolean): Promise<HttpResult> {
  const reader = response.body?.getReader();
  if (!reader) return { status: 0 };
  const chunks: Uint8Array[] = [];
  let taken = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let chunk = value;
    if (skip > 0) {
      const skipped = Math.min(skip, chunk.byteLength);
      skip -= skipped;
      chunk = chunk.subarray(skipped);
    }
    if (taken + chunk.byteLength > length) {
      await reader.cancel();
      if (whole) return { status: 0 };
      chunk = chunk.subarray(0, length - taken);
      chunks.push(chunk);
      taken = length;
      break;
    }
    chunks.push(chunk);
    taken += chunk.byteLength;
  }
  const body = new Uint8Array(taken);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return { body };
}
