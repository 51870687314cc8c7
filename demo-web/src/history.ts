/** Rates of the last minute, for a small chart. */
export interface Moment {
  atMs: number;
  peers: number;
  relay: number;
  http: number;
}

export class History {
  readonly spanMs: number;
  #moments: Moment[] = [];

  constructor(spanMs = 60_000) {
    this.spanMs = spanMs;
  }

  note(moment: Moment): void {
    this.#moments.push(moment);
    const first = this.#moments.findIndex(({ atMs }) => atMs >= moment.atMs - this.spanMs);
    // One from before stays, so that the chart's edge is not blank.
    if (first > 1) this.#moments.splice(0, first - 1);
  }

  get moments(): readonly Moment[] {
    return this.#moments;
  }

  clear(): void {
    this.#moments = [];
  }
}

/**
 * Paths of a stacked area chart, time from left to right, the present at the right edge. `top`: what the full height stands for.
 */
export function stackedAreas(moments: readonly Moment[], nowMs: number, spanMs: number, width: number, height: number, top: number): Record<"peers" | "relay" | "http", string> {
  const points = moments.map((moment) => {
    const scale = (value: number) => height - (height * value) / top;
    return {
      x: Math.max(0, width * (1 - (nowMs - moment.atMs) / spanMs)),
      peers: scale(moment.peers),
      relay: scale(moment.peers + moment.relay),
      http: scale(moment.peers + moment.relay + moment.http),
    };
  });
  const area = (upper: "peers" | "relay" | "http", lower: "peers" | "relay" | null) => {
    if (points.length < 2) return "";
    const there = points.map((point) => `${point.x.toFixed(1)} ${point[upper].toFixed(1)}`);
    const back = points.map((point) => `${point.x.toFixed(1)} ${(lower ? point[lower] : height).toFixed(1)}`).reverse();
    return `M${there.join("L")}L${back.join("L")}Z`;
  };
  return { peers: area("peers", null), relay: area("relay", "peers"), http: area("http", "relay") };
}

/** A round figure, at least `least`, that no moment exceeds: 1, 2 or 5 times a power of ten. */
export function topOf(moments: readonly Moment[], least = 1e6): number {
  const most = Math.max(least, ...moments.map(({ peers, relay, http }) => peers + relay + http));
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((step) => step * power >= most) ?? 10) * power;
}
