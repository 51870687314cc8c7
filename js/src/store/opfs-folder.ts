import { isContent } from "../link.js";
import type { Area } from "../peeredge.js";

/** Absent from TypeScript's DOM library: only dedicated workers have it. */
interface SyncAccessHandle {
  read(buffer: Uint8Array, options: { at: number }): number;
  write(buffer: Uint8Array, options: { at: number }): number;
  truncate(length: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

interface WithSyncAccess {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
}

/** The worker of a page that was just left may hold its files for another moment. */
const OPEN_TRIES = 40;
const OPEN_EVERY_MS = 50;

export async function openFile(directory: FileSystemDirectoryHandle, name: string): Promise<SyncAccessHandle> {
  const file = (await directory.getFileHandle(name, { create: true })) as unknown as WithSyncAccess;
  for (let tries = 1; ; tries++) {
    try {
      return await file.createSyncAccessHandle();
    } catch (error) {
      const busy = error instanceof DOMException && error.name === "NoModificationAllowedError";
      if (!busy || tries === OPEN_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, OPEN_EVERY_MS));
    }
  }
}

const FILES = ["data", "records", "state-0", "state-1"] as const;
type Files = Record<(typeof FILES)[number], SyncAccessHandle>;

/**
 * A content's folder: its two areas, and two state files that are written in turn, so that a torn write leaves the state
 * before it. Calls must not overlap.
 */
export class Folder {
  readonly name: string;
  readonly #directory: FileSystemDirectoryHandle;
  #files: Files | null = null;
  #sequence = 0;

  constructor(name: string, directory: FileSystemDirectoryHandle, sequence = 0) {
    this.name = name;
    this.#directory = directory;
    this.#sequence = sequence;
  }

  get isOpen(): boolean {
    return this.#files !== null;
  }

  async open(): Promise<void> {
    if (this.#files) return;
    const opened: Partial<Files> = {};
    try {
      for (const name of FILES) opened[name] = await openFile(this.#directory, name);
    } catch (error) {
      for (const file of Object.values(opened)) file.close();
      throw error;
    }
    this.#files = opened as Files;
  }

  close(): void {
    const files = this.#files;
    this.#files = null;
    if (files) for (const file of Object.values(files)) file.close();
  }

  size(area: Area): number {
    return this.#opened()[area].getSize();
  }

  write(area: Area, offset: number, bytes: Uint8Array): void {
    writeAll(this.#opened()[area], offset, bytes);
  }

  read(area: Area, offset: number, len: number): Uint8Array | null {
    const out = new Uint8Array(len);
    return this.#opened()[area].read(out, { at: offset }) === len ? out : null;
  }

  writeState(content: string, state: Uint8Array): void {
    const files = this.#opened();
    files.data.flush();
    files.records.flush();
    this.#sequence += 1;
    const file = files[this.#sequence % 2 === 0 ? "state-0" : "state-1"];
    const bytes = encodeState(this.#sequence, content, state);
    file.truncate(0);
    writeAll(file, 0, bytes);
    file.flush();
  }

  #opened(): Files {
    if (!this.#files) throw new Error("the folder is closed");
    return this.#files;
  }
}

function writeAll(file: SyncAccessHandle, at: number, bytes: Uint8Array): void {
  if (file.write(bytes, { at }) !== bytes.byteLength) throw new Error("no room");
}

/** What a folder's newer valid state file says; `null` when there is none. */
export interface FoundState {
  sequence: number;
  content: string;
  state: Uint8Array;
  modifiedMs: number;
}

export async function readState(directory: FileSystemDirectoryHandle): Promise<FoundState | null> {
  let newest: FoundState | null = null;
  for (const name of ["state-0", "state-1"]) {
    const handle = await directory.getFileHandle(name).catch(() => null);
    const file = await handle?.getFile().catch(() => null);
    if (!file || file.size > STATE_BYTES_MAX) continue;
    const found = decodeState(new Uint8Array(await file.arrayBuffer()));
    if (found && (!newest || found.sequence > newest.sequence)) newest = { ...found, modifiedMs: file.lastModified };
  }
  return newest;
}

const MAGIC = 0x31_53_45_50; // "PES1"
const HEADER_BYTES = 16;
/** Above the largest manifest with everything that is said of its blocks. Other scripts of the origin can write here, too. */
const STATE_BYTES_MAX = 4 << 20;
const ID_BYTES = 52;

/** Magic, sequence, length and checksum of what follows; the content's id; the state. Little-endian. */
export function encodeState(sequence: number, content: string, state: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES + ID_BYTES + state.byteLength);
  out.set(new TextEncoder().encode(content), HEADER_BYTES);
  out.set(state, HEADER_BYTES + ID_BYTES);
  const header = new DataView(out.buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint32(4, sequence, true);
  header.setUint32(8, state.byteLength, true);
  header.setUint32(12, crc32(out.subarray(HEADER_BYTES)) ^ sequence, true);
  return out;
}

export function decodeState(bytes: Uint8Array): Omit<FoundState, "modifiedMs"> | null {
  if (bytes.byteLength < HEADER_BYTES + ID_BYTES) return null;
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sequence = header.getUint32(4, true);
  const end = HEADER_BYTES + ID_BYTES + header.getUint32(8, true);
  if (header.getUint32(0, true) !== MAGIC || bytes.byteLength !== end) return null;
  if (((crc32(bytes.subarray(HEADER_BYTES)) ^ sequence) >>> 0) !== header.getUint32(12, true)) return null;
  const content = new TextDecoder().decode(bytes.subarray(HEADER_BYTES, HEADER_BYTES + ID_BYTES));
  if (!isContent(content)) return null;
  return { sequence, content, state: bytes.slice(HEADER_BYTES + ID_BYTES) };
}

/** CRC-32 (ISO 3309) of each byte. */
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xed_b8_83_20 : 0);
  return crc;
});

/** Finds torn writes; the content itself is verified by its hashes. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC[(crc ^ byte) & 255] ?? 0);
  return ~crc >>> 0;
}
