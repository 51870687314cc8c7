/** A recent speed below this share of the best is a device that backs off: hot, throttled or busy. */
const BACKING_OFF = 0.7;

/** How fast this device computes, from its own runs: heat is seen as falling gas a second. */
export class Speed {
  #recent = 0;
  #best = 0;

  /** A run used `gas` in `activeMs` of computing, rests not counted. */
  observe(gas: number, activeMs: number): void {
    // Short runs say more of starting than of computing.
    if (activeMs < 50) return;
    const rate = (gas * 1000) / activeMs;
    this.#recent = this.#recent === 0 ? rate : this.#recent * 0.75 + rate * 0.25;
    this.#best = Math.max(this.#recent, this.#best - (this.#best - this.#recent) * 0.02);
  }

  get gasPerSecond(): number {
    return this.#recent;
  }

  get backingOff(): boolean {
    return this.#recent < this.#best * BACKING_OFF;
  }
}
