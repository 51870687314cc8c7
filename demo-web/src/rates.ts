/** Rates of counters that only grow, over the last moments. What a peer perceives of a channel's width is something else. */
export class Rates {
  readonly #windowMs: number;
  readonly #samples = new Map<string, { atMs: number; total: number }[]>();

  constructor(windowMs = 2000) {
    this.#windowMs = windowMs;
  }

  /** Notes a counter's value. A counter that shrank has begun anew. */
  note(key: string, nowMs: number, total: number): void {
    const samples = this.#samples.get(key);
    const last = samples?.at(-1);
    if (!samples || !last || total < last.total) {
      this.#samples.set(key, [{ atMs: nowMs, total }]);
      return;
    }
    if (nowMs <= last.atMs) last.total = total;
    else samples.push({ atMs: nowMs, total });
    // One sample from before the window stays, so that the window is always covered.
    while (samples.length > 2 && (samples[1]?.atMs ?? nowMs) <= nowMs - this.#windowMs) samples.shift();
  }

  /** Units a second over the window, 0 for what is not known. */
  of(key: string, nowMs: number): number {
    const samples = this.#samples.get(key);
    const last = samples?.at(-1);
    if (!samples || !last) return 0;
    const fromMs = nowMs - this.#windowMs;
    const first = samples.findLast((sample) => sample.atMs <= fromMs) ?? samples[0] ?? last;
    const elapsedMs = nowMs - first.atMs;
    // A window that has barely begun would turn one burst into a fantastic rate.
    return elapsedMs <= 0 ? 0 : ((last.total - first.total) * 1000) / Math.max(elapsedMs, 500);
  }

  /** Forgets every counter whose key is not among these. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#samples.keys()) if (!keys.has(key)) this.#samples.delete(key);
  }

  clear(): void {
    this.#samples.clear();
  }
}
