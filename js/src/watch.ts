/**
 * Judges whether peers bring a request's bytes as fast as they are needed, beside a server that is known to have them, too. Pure:
 * time is an argument, in milliseconds. The loader for hls.js and the page behind the service worker share it.
 */

/**
 * What to do now: wait for peers, have the engine ask the server as well (what it sends is verified like all else), or leave the
 * engine out of it.
 */
export type Advice = "wait" | "reserve" | "network";

/** Shares of the patience (`stallMs`). Peers are measured for so long before they are judged: */
const GRACE = 0.2;
/** Somebody must have been met within: */
const NOBODY = 0.25;
/** What is wanted must come within, unless the caller has more time: */
const ALLOWED = 0.5;
/** Peers that were too slow are not waited for, for so long; doubled each time. */
const SLOW_MS_FIRST = 10_000;
const SLOW_MS_MAX = 160_000;
/** From so many requests in a row on that found nobody, each waits half as long as the one before. */
const ALONE_FROM = 2;
const ALONE_HALVINGS_MAX = 6;

/** What one request leaves for the next to know. */
export class Memory {
  #slowUntil = 0;
  #slowMs = SLOW_MS_FIRST;
  #alone = 0;

  /** Whether peers were too slow of late. */
  isSlow(now: number): boolean {
    return now < this.#slowUntil;
  }

  wasSlow(now: number): void {
    if (this.isSlow(now)) return;
    this.#slowUntil = now + this.#slowMs;
    this.#slowMs = Math.min(this.#slowMs * 2, SLOW_MS_MAX);
  }

  /** Peers brought something. `inTime`: without the server. */
  met(now: number, inTime: boolean): void {
    this.#alone = 0;
    if (inTime && !this.isSlow(now)) this.#slowMs = SLOW_MS_FIRST;
  }

  wasAlone(): void {
    this.#alone += 1;
  }

  /** How long a request waits until somebody is met. */
  aloneMs(stallMs: number): number {
    const halvings = Math.min(Math.max(this.#alone - ALONE_FROM + 1, 0), ALONE_HALVINGS_MAX);
    return (stallMs * NOBODY) / 2 ** halvings;
  }
}

/** Watches one request. */
export class Watch {
  readonly #stallMs: number;
  readonly #memory: Memory;
  readonly #began: number;
  #head = false;
  /** Bytes that came, and up to which they are wanted: equal while nobody waits. */
  #bytes = 0;
  #wanted = 0;
  #allowedMs = 0;
  /** When something came last, or began to be wanted. */
  #last = 0;
  /** Two marks of time and bytes: the rate is measured from the older one on. */
  #marks: [number, number][] = [];
  #reserveAt: number | null = null;

  constructor(now: number, stallMs: number, memory: Memory) {
    this.#began = now;
    this.#stallMs = stallMs;
    this.#memory = memory;
  }

  /** Whether the server has been asked for by {@link advise}. */
  get reserved(): boolean {
    return this.#reserveAt !== null;
  }

  /** When something came last, or began to be wanted; 0 before the head. */
  get last(): number {
    return this.#last;
  }

  /** The response's head is there. */
  head(now: number): void {
    this.#head = true;
    this.#last = now;
  }

  /** So many bytes more are wanted, all of them within `allowedMs` if the caller has so much time. */
  want(now: number, bytes: number, allowedMs = 0): void {
    if (this.#wanted <= this.#bytes && bytes > 0) {
      this.#marks = [[now, this.#bytes]];
      this.#last = now;
      this.#wanted = this.#bytes;
    }
    this.#wanted += bytes;
    this.#allowedMs = Math.max(allowedMs, this.#stallMs * ALLOWED);
  }

  got(now: number, bytes: number): void {
    this.#bytes += bytes;
    this.#last = now;
  }

  /** `met`: whether there is anybody to ask at all. */
  advise(now: number, met: boolean): Advice {
    if (!this.#head) {
      const waited = now - this.#began;
      if (!met && waited >= this.#memory.aloneMs(this.#stallMs)) {
        this.#memory.wasAlone();
        return "network";
      }
      return waited >= this.#stallMs ? "network" : "wait";
    }
    const left = this.#wanted - this.#bytes;
    if (left <= 0) return "wait";
    if (now - this.#last >= this.#stallMs) {
      this.#memory.wasSlow(now);
      return "network";
    }
    if (this.#reserveAt === null) {
      if (this.#memory.isSlow(now) || this.#lags(now, left)) return this.#reserve(now);
      return "wait";
    }
    // The engine has had the server for a while, and it does not help.
    return now - this.#reserveAt >= this.#stallMs && this.#lags(now, left) ? "network" : "wait";
  }

  #reserve(now: number): Advice {
    this.#memory.wasSlow(now);
    this.#reserveAt = now;
    this.#marks = [[now, this.#bytes]];
    return "reserve";
  }

  /** Whether what is left takes too long at the rate of late. */
  #lags(now: number, left: number): boolean {
    const [since, bytes] = this.#marks[0]!;
    const elapsed = now - since;
    if (elapsed < this.#stallMs * GRACE) return false;
    if (now - this.#marks.at(-1)![0] >= this.#stallMs / 2) {
      this.#marks.push([now, this.#bytes]);
      if (this.#marks.length > 2) this.#marks.shift();
    }
    const came = this.#bytes - bytes;
    return came === 0 || (left * elapsed) / came > this.#allowedMs;
  }
}
