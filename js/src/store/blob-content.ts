import type { Area } from "../peeredge.js";

/** A published content whose bytes stay in the file that the user gave; only its records are in memory. */
export class BlobContent {
  readonly #blob: Blob;
  readonly #records: Uint8Array[] = [];
  #recordsLength = 0;

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  appendRecords(bytes: Uint8Array): void {
    this.#records.push(bytes.slice());
    this.#recordsLength += bytes.byteLength;
  }

  async read(area: Area, offset: number, len: number): Promise<Uint8Array | null> {
    if (area === "data") {
      if (offset + len > this.#blob.size) return null;
      return new Uint8Array(await this.#blob.slice(offset, offset + len).arrayBuffer());
    }
    if (offset + len > this.#recordsLength) return null;
    const out = new Uint8Array(len);
    let at = 0;
    for (const piece of this.#records) {
      const from = Math.max(offset, at);
      const to = Math.min(offset + len, at + piece.byteLength);
      if (from < to) out.set(piece.subarray(from - at, to - at), from - offset);
      at += piece.byteLength;
    }
    return out;
  }
}
