import type { Area } from "../peeredge.js";

/** A content at rest, as the engine is told of it at the start. */
export interface StoredContent {
  content: string;
  state: Uint8Array;
}

/** For what a key outlives its session: live contents under it go on, and who works has a record under it. */
export type Purpose = "live" | "work";

/**
 * Where contents rest: two byte areas and a state each. Operations on one content happen in the order in which they were
 * called; a state reaches the disk after every earlier write of its content.
 */
export interface Store {
  readonly kind: "opfs" | "memory";
  /** Which of the origin's slots this is; `null` where nothing survives. */
  readonly slot: number | null;
  /** Bytes that contents may take. */
  readonly bytesMax: number;
  /** The Ed25519 secret key (32 bytes) that was kept for a purpose, if one was. */
  keptKey(purpose: Purpose): Promise<Uint8Array | null>;
  /** Keeps a key for a purpose. @throws when there is no room. */
  keepKey(purpose: Purpose, key: Uint8Array): Promise<void>;
  /** What an earlier life left here, the least recently used first. */
  load(): Promise<StoredContent[]>;
  /** @throws when there is no room. */
  write(content: string, area: Area, offset: number, bytes: Uint8Array): Promise<void>;
  /** Replaces the content's state as a whole. @throws when there is no room. */
  writeState(content: string, state: Uint8Array): Promise<void>;
  /** Exactly `len` bytes, or `null` when they cannot be read. */
  read(content: string, area: Area, offset: number, len: number): Promise<Uint8Array | null>;
  remove(content: string): Promise<void>;
  /** A place for a content whose id is not known yet; `blob` holds its bytes. */
  stage(blob: Blob): Promise<Staged>;
  /** Waits for everything that was asked before, and lets go of the disk. */
  close(): Promise<void>;
}

/** A content that is being published. */
export interface Staged {
  /** Appends to an area. What the store has no room for is taken, too: then the blob itself stands in for the copy. */
  append(area: Area, bytes: Uint8Array): Promise<void>;
  /** Gives the content its name; it replaces what the store had under it. Gives whether the bytes outlive the blob. */
  commit(content: string, state: Uint8Array): Promise<boolean>;
  discard(): Promise<void>;
}

/** Runs jobs one after the other; a failed one does not stop the next. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(job: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(job);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
