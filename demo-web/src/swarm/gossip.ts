import type { TabReport } from "./model.ts";

/** A closed tab says goodbye; one that crashed is forgotten after this. */
const FORGET_MS = 8000;

type Message = { report: TabReport } | { bye: string };

/**
 * Tabs of one browser tell each other what they see, so that the picture also shows flows between others. It stays inside the
 * browser. Visitors elsewhere are seen only as far as this tab is connected with them.
 */
export class Gossip {
  readonly #channel: BroadcastChannel | null = typeof BroadcastChannel === "function" ? new BroadcastChannel("peeredge-demo") : null;
  readonly #heard = new Map<string, { report: TabReport; atMs: number }>();

  constructor() {
    this.#channel?.addEventListener("message", ({ data }: MessageEvent<Message>) => {
      if ("bye" in data) this.#heard.delete(data.bye);
      else this.#heard.set(data.report.id, { report: data.report, atMs: performance.now() });
    });
  }

  tell(report: TabReport): void {
    this.#channel?.postMessage({ report });
  }

  /** What the other tabs said last, oldest acquaintance first. */
  heard(): TabReport[] {
    const now = performance.now();
    for (const [id, { atMs }] of this.#heard) if (now - atMs > FORGET_MS) this.#heard.delete(id);
    return [...this.#heard.values()].map(({ report }) => report);
  }

  close(id: string | null): void {
    if (id) this.#channel?.postMessage({ bye: id });
    this.#channel?.close();
    this.#heard.clear();
  }
}
