/** How the network goes on with a body that a page has begun. */
import { rangeIn } from "./checks.js";

/** The last bytes delivered, with which those of the network have to agree. */
const TAIL_BYTES = 8 << 10;
/** Failures in a row, without a byte between them, and in all, after which the network is given up. */
const FAILURES_MAX = 4;
const ATTEMPTS_MAX = 40;
/** An answer from the file's beginning on costs as much as so many parts: few of these, or a server that closes gives the file's square. */
const WHOLE_ATTEMPTS = 10;
/** What is asked for at once of a server that closed early: browsers drop what they have of an answer that ends so. */
const PART_BYTES_MAX = 512 << 10;
const PART_BYTES_MIN = 16 << 10;
/** Parts that came whole, after which one as large as the last that did not is tried again. */
const PARTS_GOOD = 8;
/** For so many bytes that came one more failure is taken. */
const BYTES_A_FAILURE = 256 << 10;
/** After so many failures a server that has given nothing by ranges is asked for the whole. */
const RANGE_FAILURES_MAX = 2;
const RETRY_MS_FIRST = 250;
const RETRY_MS_MAX = 10_000;

/** What the network has is not the file of the link, as far as that can be seen from here. */
export class OtherFile extends TypeError {
  override readonly message = "the network has another file there";
}

/**
 * The network's bytes from `at` on: several requests if need be, as servers close early, are busy, or know no ranges. They are those
 * of a file of the right length that agrees with the last bytes delivered; anything else is an {@link OtherFile}.
 */
export class Rest {
  readonly #request: Request;
  readonly #until: number;
  readonly #length: number;
  readonly #stallMs: number;
  readonly #controller = new AbortController();
  /** One of the requests. */
  #attempt = new AbortController();
  readonly #first: number;
  #at: number;
  #tail: Uint8Array<ArrayBuffer>;
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | null = null;
  /** Where the answer that is being read is; and the bytes of it before `at`, which are compared. */
  #position = 0;
  /** Whether the last answer was of the whole file; and of unknown length. */
  #isWhole = false;
  #isOpenEnded = false;
  /** What a server said of its file's version: every answer has to say the same. */
  #version: string | null = null;
  #ranges = true;
  #rangesWork = false;
  /** Whether parts are of what the server has compressed, and of no use. */
  #packed = false;
  /** Bytes asked for at once, and where that ends. */
  #part = Infinity;
  #partMax = Infinity;
  /** Parts in a row that came whole. */
  #good = 0;
  #end = 0;
  /** The next byte when the answer began. */
  #began = 0;
  #failures = 0;
  #attempts = 0;

  /** `stallMs`: for a server's next byte, twice; for its answer, four times. */
  constructor(request: Request, at: number, until: number, length: number, tail: Uint8Array<ArrayBuffer>, stallMs: number) {
    this.#stallMs = stallMs;
    this.#request = request;
    this.#first = this.#at = at;
    this.#until = until;
    this.#length = length;
    this.#tail = tail;
    request.signal.addEventListener("abort", () => this.cancel(request.signal.reason));
  }

  cancel(reason?: unknown): void {
    this.#controller.abort(reason);
    this.#attempt.abort(reason);
  }

  /** The next bytes; `null` behind the last. */
  async read(): Promise<Uint8Array<ArrayBuffer> | null> {
    const { signal } = this.#controller;
    for (;;) {
      signal.throwIfAborted();
      if (this.#at === this.#until && !(this.#reader && this.#isOpenEnded)) {
        this.#drop();
        return null;
      }
      try {
        const reader = this.#reader ?? (await this.#open());
        const { done, value } = await inTime(reader.read(), this.#stallMs * 2, () => this.#drop());
        if (done) {
          this.#reader = null;
          if (this.#at === this.#until) return null;
          if (this.#position < this.#end || this.#at === this.#began) throw new TypeError("the server closed early");
          // That was all of a part: a larger one then, unless such a one was cut.
          if (++this.#good % PARTS_GOOD === 0) this.#partMax *= 2;
          this.#part = Math.min(this.#part * 2, this.#partMax);
          continue;
        }
        const bytes = this.#take(value);
        if (this.#position > this.#end) {
          this.#drop();
          if (this.#at === this.#began) throw new TypeError("the server gave another part");
        }
        if (bytes.byteLength === 0) continue;
        this.#failures = 0;
        this.#rangesWork ||= this.#ranges;
        return bytes;
      } catch (error) {
        this.#drop();
        if (error instanceof OtherFile || signal.aborted) throw error;
        this.#failures += 1;
        this.#attempts += this.#isWhole ? WHOLE_ATTEMPTS : 1;
        this.#good = 0;
        if (this.#part < Infinity) this.#partMax = Math.max(this.#part / 2, PART_BYTES_MIN);
        this.#part = Math.max(Math.min(this.#part, PART_BYTES_MAX) / 4, PART_BYTES_MIN);
        // Once: a server that cuts what is long cuts the whole all the more.
        if (!this.#rangesWork && !this.#packed) this.#ranges = this.#failures !== RANGE_FAILURES_MAX;
        if (this.#failures > FAILURES_MAX || this.#attempts > ATTEMPTS_MAX + (this.#at - this.#first) / BYTES_A_FAILURE) throw error;
        const again = error instanceof Busy && error.afterMs > 0 ? error.afterMs : RETRY_MS_FIRST * 2 ** (this.#failures - 1);
        await sleep(Math.min(again, RETRY_MS_MAX), signal);
      }
    }
  }

  /** Compares what was delivered before, and gives what was not. */
  #take(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const start = this.#position;
    this.#position += chunk.byteLength;
    const from = this.#at - this.#tail.byteLength;
    for (let at = Math.max(start, from); at < Math.min(this.#position, this.#at); at++) {
      if (chunk[at - start] !== this.#tail[at - from]) throw new OtherFile();
    }
    if (this.#end === this.#length && this.#position > this.#length) throw new OtherFile();
    // Of what is behind the part that the server named nobody has said what it is.
    const until = Math.min(this.#until, this.#end);
    const bytes = chunk.subarray(Math.min(Math.max(this.#at - start, 0), chunk.byteLength), Math.max(until - start, 0));
    this.#at += bytes.byteLength;
    this.#tail = tailOf(this.#tail, bytes);
    return bytes;
  }

  async #open(): Promise<ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>> {
    this.#isWhole = false;
    const { url, mode, referrer, referrerPolicy } = this.#request;
    // A server elsewhere that allows everybody does not allow cookies, which such a request has by default.
    const credentials = mode === "no-cors" ? "same-origin" : this.#request.credentials;
    // Less is compared the more often that failed: a server that closes within it would never get further.
    const from = this.#at - (this.#tail.byteLength >> this.#failures);
    const end = Math.min(from + this.#part, this.#until);
    const headers: Record<string, string> = this.#ranges ? { range: `bytes=${from}-${end - 1}` } : {};
    const attempt = (this.#attempt = new AbortController());
    const init: RequestInit = { headers, mode: "cors", cache: "no-store", credentials, referrerPolicy, signal: this.#attempt.signal };
    if (referrer && referrer !== "about:client") init.referrer = referrer;
    const response = await inTime(fetch(url, init), this.#stallMs * 4, () => attempt.abort());
    const { status } = response;
    const encoded = !["", "identity"].includes((response.headers.get("content-encoding") ?? "").trim().toLowerCase());
    // Browsers that ask for ranges say that they take nothing compressed, and undo it or not if it comes all the same.
    const usable = response.body && (status === 200 || status === 206) && !(encoded && this.#ranges);
    if (!usable) {
      void response.body?.cancel().catch(() => undefined);
      // A part of a compressed file is no part of the file: all of it then.
      if (encoded) this.#packed = true;
      if (encoded && this.#ranges) this.#ranges = false;
      else if (status === 416) throw new OtherFile();
      else if (status < 500 && ![408, 425, 429].includes(status)) this.#failures = FAILURES_MAX;
      throw new Busy(status, retryAfterMs(response));
    }
    this.#isWhole = status === 200;
    this.#checkVersion(response);
    const length = response.headers.get("content-length");
    if (status === 200) {
      this.#position = 0;
      this.#end = this.#length;
      this.#isOpenEnded = encoded || length === null;
      if (!this.#isOpenEnded && Number(length) !== this.#length) this.#refuse(response);
    } else {
      const range = rangeIn(response.headers.get("content-range"));
      this.#isOpenEnded = false;
      this.#position = range?.start ?? from;
      // Servers may give less than was asked for.
      this.#end = range ? range.last + 1 : end;
      // Elsewhere the header may be hidden: then the length has to be right.
      const isRight = range
        ? range.start <= this.#at && (range.length ?? this.#length) === this.#length
        : response.headers.has("content-range") === false && length === String(end - from);
      if (!isRight) this.#refuse(response);
    }
    this.#began = this.#at;
    return (this.#reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader());
  }

  #refuse(response: Response): never {
    void response.body?.cancel().catch(() => undefined);
    throw new OtherFile();
  }

  #checkVersion({ headers }: Response): void {
    const version = `${headers.get("etag")?.replace(/^W\//, "") ?? ""} ${headers.get("last-modified") ?? ""}`;
    if (this.#version !== null && this.#version !== version) throw new OtherFile();
    this.#version = version;
  }

  #drop(): void {
    const reader = this.#reader;
    this.#reader = null;
    void reader?.cancel().catch(() => undefined);
  }
}

/** A server that answers otherwise than with bytes. */
export class Busy extends TypeError {
  constructor(
    status: number,
    readonly afterMs: number,
  ) {
    super(`the server answered ${status}`);
  }
}

function retryAfterMs({ headers }: Response): number {
  const value = headers.get("retry-after");
  if (value === null) return 0;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : 0;
}

async function inTime<T>(promise: Promise<T>, ms: number, late: () => void): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late();
      reject(new TypeError("the server is silent"));
    }, ms);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The last bytes of what was delivered. */
export function tailOf(before: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength >= TAIL_BYTES) return bytes.slice(-TAIL_BYTES);
  const kept = before.subarray(Math.max(before.byteLength + bytes.byteLength - TAIL_BYTES, 0));
  const tail = new Uint8Array(kept.byteLength + bytes.byteLength);
  tail.set(kept);
  tail.set(bytes, kept.byteLength);
  return tail;
}
