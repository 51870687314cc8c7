import { messageOf } from "../errors.js";
import type { Staged, Store } from "../store/store.js";
import type { Post, Slot } from "./host.js";
import type { PublishFailure } from "./messages.js";

const PIECE_BYTES = 1 << 20;
const PROGRESS_EVERY_MS = 100;
/** Files read at a time: each takes memory for a piece, and files of the store. */
const AT_ONCE_MAX = 4;

class Failure extends Error {
  readonly code: PublishFailure;
  constructor(code: PublishFailure, cause: unknown) {
    super(messageOf(cause), { cause });
    this.code = code;
  }
}

/** Files on their way to become contents: read once, in pieces, hashed and copied into the store as they go. */
export class Publishing {
  readonly #slot: Slot;
  readonly #store: Store;
  readonly #post: Post;
  readonly #stored: (content: string, state: Uint8Array) => void;
  readonly #underWay = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(slot: Slot, store: Store, post: Post, stored: (content: string, state: Uint8Array) => void) {
    this.#slot = slot;
    this.#store = store;
    this.#post = post;
    this.#stored = stored;
  }

  start(publish: number, blob: Blob, name: string, mediaType: string): void {
    this.#underWay.add(publish);
    this.#inTurn(() => this.#run(publish, blob, name, mediaType))
      .catch((error: unknown) => {
        if (!this.#underWay.has(publish)) return;
        const code = error instanceof Failure ? error.code : "unreadable";
        this.#post({ type: "publishFailed", publish, code, message: messageOf(error) });
      })
      .finally(() => this.#underWay.delete(publish));
  }

  abort(publish: number): void {
    this.#underWay.delete(publish);
  }

  abortAll(): void {
    this.#underWay.clear();
  }

  async #inTurn(job: () => Promise<void>): Promise<void> {
    if (this.#running >= AT_ONCE_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      await job();
    } finally {
      // Whoever waits takes the place.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  async #run(publish: number, blob: Blob, name: string, mediaType: string): Promise<void> {
    if (!this.#underWay.has(publish)) return;
    const publisher = asFailure("invalid_option", () => new this.#slot.Publisher(blob.size, name, mediaType));
    let staged: Staged | null = null;
    try {
      staged = await this.#store.stage(blob);
      let reportedMs = performance.now();
      for (let at = 0; at < blob.size; ) {
        const piece = await readPiece(blob, at);
        if (!this.#underWay.has(publish)) return;
        publisher.push(piece);
        await staged.append("data", piece);
        await staged.append("records", publisher.takeRecords());
        at += piece.byteLength;
        if (performance.now() - reportedMs >= PROGRESS_EVERY_MS || at === blob.size) {
          reportedMs = performance.now();
          this.#post({ type: "publishProgress", publish, doneBytes: at });
        }
      }
      const [content, state] = asFailure("unreadable", () => publisher.finish());
      await staged.append("records", publisher.takeRecords());
      if (!this.#underWay.has(publish)) return;
      const stored = await staged.commit(content, state);
      staged = null;
      this.#stored(content, state);
      this.#post({ type: "published", publish, content, stored });
    } finally {
      publisher.free();
      await staged?.discard();
    }
  }
}

async function readPiece(blob: Blob, at: number): Promise<Uint8Array> {
  const slice = blob.slice(at, at + PIECE_BYTES);
  try {
    const piece = new Uint8Array(await slice.arrayBuffer());
    if (piece.byteLength !== slice.size) throw new Error("the file became shorter");
    return piece;
  } catch (error) {
    throw new Failure("unreadable", error);
  }
}

function asFailure<T>(code: PublishFailure, job: () => T): T {
  try {
    return job();
  } catch (error) {
    throw new Failure(code, error);
  }
}
