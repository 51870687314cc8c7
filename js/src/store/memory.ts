import type { Area } from "../peeredge.js";
import { BlobContent } from "./blob-content.js";
import type { Staged, Store, StoredContent } from "./store.js";

const PAGE_BYTES = 1 << 18;
const BYTES_MAX = 256 << 20;

/** Until the peer is closed. Published files are read from where they are; nothing is copied. */
export class MemoryStore implements Store {
  readonly kind = "memory";
  readonly slot = null;
  readonly bytesMax: number;
  readonly #contents = new Map<string, Pages | BlobContent>();

  constructor(bytesMax: number | null) {
    this.bytesMax = bytesMax ?? BYTES_MAX;
  }

  async keptKey(): Promise<null> {
    return null;
  }

  async keepKey(): Promise<void> {}

  async load(): Promise<StoredContent[]> {
    return [];
  }

  async write(content: string, area: Area, offset: number, bytes: Uint8Array): Promise<void> {
    let pages = this.#contents.get(content);
    // What the user's own file holds needs no second copy.
    if (pages instanceof BlobContent) return;
    if (!pages) this.#contents.set(content, (pages = new Pages()));
    pages.write(area, offset, bytes);
  }

  async writeState(): Promise<void> {}

  async read(content: string, area: Area, offset: number, len: number): Promise<Uint8Array | null> {
    return (await this.#contents.get(content)?.read(area, offset, len)) ?? null;
  }

  async remove(content: string): Promise<void> {
    this.#contents.delete(content);
  }

  async stage(blob: Blob): Promise<Staged> {
    const staged = new BlobContent(blob);
    return {
      append: async (area, bytes) => {
        if (area === "records") staged.appendRecords(bytes);
      },
      commit: async (content) => {
        this.#contents.set(content, staged);
        return false;
      },
      discard: async () => {},
    };
  }

  async close(): Promise<void> {
    this.#contents.clear();
  }
}

/** Two sparse areas of pages. */
class Pages {
  readonly #areas: Record<Area, { pages: Map<number, Uint8Array>; length: number }> = {
    data: { pages: new Map(), length: 0 },
    records: { pages: new Map(), length: 0 },
  };

  write(area: Area, offset: number, bytes: Uint8Array): void {
    const of = this.#areas[area];
    of.length = Math.max(of.length, offset + bytes.byteLength);
    eachPage(offset, bytes.byteLength, (page, at, from, to) => {
      let held = of.pages.get(page);
      if (!held) of.pages.set(page, (held = new Uint8Array(PAGE_BYTES)));
      held.set(bytes.subarray(from, to), at);
    });
  }

  read(area: Area, offset: number, len: number): Uint8Array | null {
    const of = this.#areas[area];
    if (offset + len > of.length) return null;
    const out = new Uint8Array(len);
    eachPage(offset, len, (page, at, from, to) => {
      const held = of.pages.get(page);
      if (held) out.set(held.subarray(at, at + (to - from)), from);
    });
    return out;
  }
}

/** Calls `visit` with each page that the range touches: its number, where in it, and which part of the range. */
function eachPage(offset: number, len: number, visit: (page: number, at: number, from: number, to: number) => void): void {
  for (let from = 0; from < len; ) {
    const page = Math.floor((offset + from) / PAGE_BYTES);
    const at = offset + from - page * PAGE_BYTES;
    const to = Math.min(len, from + PAGE_BYTES - at);
    visit(page, at, from, to);
    from = to;
  }
}
