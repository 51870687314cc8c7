const JOIN_BYTES = 8 << 20;

/** Pieces of a body on their way to one `Blob`. They are joined now and then, so that the browser can move them to disk. */
export class Collector {
  readonly #blobs: Blob[] = [];
  #chunks: Uint8Array<ArrayBuffer>[] = [];
  #chunkBytes = 0;

  push(chunk: Uint8Array<ArrayBuffer>): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.byteLength;
    if (this.#chunkBytes >= JOIN_BYTES) this.#join();
  }

  finish(type: string): Blob {
    this.#join();
    return new Blob(this.#blobs, { type });
  }

  #join(): void {
    if (this.#chunkBytes === 0) return;
    this.#blobs.push(new Blob(this.#chunks));
    this.#chunks = [];
    this.#chunkBytes = 0;
  }
}
