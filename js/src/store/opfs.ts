import type { Area } from "../peeredge.js";
import { BlobContent } from "./blob-content.js";
import { Folder, openFile, readState } from "./opfs-folder.js";
import { ROOT, slotFolder, takeFree, takeSlot, type Slot } from "./slot.js";
import { Serial, type Purpose, type Staged, type Store, type StoredContent } from "./store.js";

const KEY_BYTES = 32;
const BYTES_MAX = 1 << 30;
/** Contents whose files are open at a time; each has four. */
const OPEN_MAX = 32;

interface Entry {
  readonly folder: Folder;
  readonly serial: Serial;
}

/** The origin's private file system: one folder a tab, in it one a content. */
export class OpfsStore implements Store {
  readonly kind = "opfs";
  readonly bytesMax: number;
  readonly #slot: Slot;
  readonly #directory: FileSystemDirectoryHandle;
  readonly #entries = new Map<string, Entry>();
  readonly #blobs = new Map<string, BlobContent>();
  /** Least recently used first. */
  readonly #open = new Set<Entry>();
  readonly #making = new Map<string, Promise<Entry>>();
  #nextFolder = 0;

  private constructor(slot: Slot, directory: FileSystemDirectoryHandle, bytesMax: number) {
    this.#slot = slot;
    this.#directory = directory;
    this.bytesMax = bytesMax;
  }

  get slot(): number {
    return this.#slot.number;
  }

  /** `preferred`: the slot that this tab had before a reload. @throws where there is no such file system. */
  static async open(bytesMax: number | null, preferred: number | null): Promise<OpfsStore> {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
    const slot = await takeSlot(preferred);
    try {
      const directory = await root.getDirectoryHandle(slotFolder(slot.number), { create: true });
      // Where an earlier version kept one key for ever.
      await directory.removeEntry("key").catch(() => undefined);
      const { quota = 0, usage = 0 } = await navigator.storage.estimate();
      if (usage > quota / 2) await dropFreeSlots(root, slot.number);
      return new OpfsStore(slot, directory, Math.min(bytesMax ?? BYTES_MAX, Math.floor(quota / 2)));
    } catch (error) {
      slot.release();
      throw error;
    }
  }

  async load(): Promise<StoredContent[]> {
    const newest = new Map<string, { folder: Folder; state: Uint8Array; modifiedMs: number }>();
    const dropped: string[] = [];
    for await (const [name, handle] of this.#directory.entries()) {
      if (!(handle instanceof FileSystemDirectoryHandle)) continue;
      const number = Number(/^c(\d{1,9})$/.exec(name)?.[1] ?? -1);
      this.#nextFolder = Math.max(this.#nextFolder, number + 1);
      const found = number < 0 ? null : await readState(handle);
      const other = found && newest.get(found.content);
      if (!found || (other && other.modifiedMs >= found.modifiedMs)) {
        dropped.push(name);
        continue;
      }
      if (other) dropped.push(other.folder.name);
      const folder = new Folder(name, handle, found.sequence);
      newest.set(found.content, { folder, state: found.state, modifiedMs: found.modifiedMs });
    }
    // Without a state: an aborted publish, or a download that was cut off before anything was worth keeping.
    for (const name of dropped) await this.#directory.removeEntry(name, { recursive: true }).catch(() => undefined);
    const contents = [...newest].sort(([, a], [, b]) => a.modifiedMs - b.modifiedMs);
    return contents.map(([content, { folder, state }]) => {
      this.#entries.set(content, { folder, serial: new Serial() });
      return { content, state };
    });
  }

  async write(content: string, area: Area, offset: number, bytes: Uint8Array): Promise<void> {
    // What the user's own file holds needs no second copy.
    if (this.#blobs.has(content)) return;
    await this.#use(content, (folder) => folder.write(area, offset, bytes));
  }

  async writeState(content: string, state: Uint8Array): Promise<void> {
    if (this.#blobs.has(content)) return;
    await this.#use(content, (folder) => folder.writeState(content, state));
  }

  async read(content: string, area: Area, offset: number, len: number): Promise<Uint8Array | null> {
    const blob = this.#blobs.get(content);
    if (blob) return blob.read(area, offset, len);
    if (!this.#entries.has(content) && !this.#making.has(content)) return null;
    return this.#use(content, (folder) => folder.read(area, offset, len));
  }

  async remove(content: string): Promise<void> {
    this.#blobs.delete(content);
    const entry = this.#entries.get(content) ?? (await this.#making.get(content));
    if (!entry) return;
    this.#entries.delete(content);
    await this.#drop(entry);
  }

  async keptKey(purpose: Purpose): Promise<Uint8Array | null> {
    try {
      const file = await (await this.#directory.getFileHandle(`key-${purpose}`)).getFile();
      return file.size === KEY_BYTES ? new Uint8Array(await file.arrayBuffer()) : null;
    } catch {
      return null;
    }
  }

  async keepKey(purpose: Purpose, key: Uint8Array): Promise<void> {
    const file = await openFile(this.#directory, `key-${purpose}`);
    try {
      file.truncate(0);
      file.write(key, { at: 0 });
      file.flush();
    } finally {
      file.close();
    }
  }

  async stage(blob: Blob): Promise<Staged> {
    const standIn = new BlobContent(blob);
    let copy: Entry | null = null;
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    if (blob.size <= this.bytesMax && usage + blob.size < quota) copy = await this.#make().catch(() => null);
    const ends: Record<Area, number> = { data: 0, records: 0 };
    const discard = async () => {
      const entry = copy;
      copy = null;
      if (entry) await this.#drop(entry);
    };
    /** Does something with the copy, and does without it from then on when there is no room. */
    const attempt = async (job: (folder: Folder) => void) => {
      if (copy) await this.#run(copy, job).catch(discard);
    };
    return {
      append: async (area, bytes) => {
        if (area === "records") standIn.appendRecords(bytes);
        await attempt((folder) => folder.write(area, ends[area], bytes));
        ends[area] += bytes.byteLength;
      },
      commit: async (content, state) => {
        await attempt((folder) => folder.writeState(content, state));
        await this.remove(content);
        if (copy) this.#entries.set(content, copy);
        else this.#blobs.set(content, standIn);
        return copy !== null;
      },
      discard,
    };
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#making.values()]);
    const entries = new Set([...this.#entries.values(), ...this.#open]);
    await Promise.all([...entries].map((entry) => entry.serial.run(() => entry.folder.close())));
    this.#open.clear();
    this.#entries.clear();
    this.#blobs.clear();
    this.#slot.release();
  }

  /** Runs a job on the content's folder, which is made if there is none. */
  async #use<T>(content: string, job: (folder: Folder) => T): Promise<T> {
    const entry = this.#entries.get(content) ?? (await this.#entry(content));
    return this.#run(entry, job);
  }

  #entry(content: string): Promise<Entry> {
    let making = this.#making.get(content);
    if (!making) {
      making = this.#make().then((entry) => {
        this.#entries.set(content, entry);
        return entry;
      });
      this.#making.set(content, making);
      void making.catch(() => undefined).then(() => this.#making.delete(content));
    }
    return making;
  }

  async #make(): Promise<Entry> {
    const name = `c${this.#nextFolder++}`;
    const directory = await this.#directory.getDirectoryHandle(name, { create: true });
    return { folder: new Folder(name, directory), serial: new Serial() };
  }

  #run<T>(entry: Entry, job: (folder: Folder) => T): Promise<T> {
    return entry.serial.run(async () => {
      this.#open.delete(entry);
      this.#open.add(entry);
      this.#closeIdle();
      if (!entry.folder.isOpen) await entry.folder.open();
      return job(entry.folder);
    });
  }

  #closeIdle(): void {
    for (const entry of this.#open) {
      if (this.#open.size <= OPEN_MAX) return;
      this.#open.delete(entry);
      // A job that comes before this one opens the folder again, and a job behind it finds it closed and opens it.
      void entry.serial.run(() => entry.folder.close());
    }
  }

  #drop(entry: Entry): Promise<void> {
    this.#open.delete(entry);
    return entry.serial.run(async () => {
      entry.folder.close();
      await this.#directory.removeEntry(entry.folder.name, { recursive: true });
    });
  }
}

/** Tabs that are long gone hold room that this one could use. */
async function dropFreeSlots(root: FileSystemDirectoryHandle, own: number): Promise<void> {
  for await (const name of root.keys()) {
    const number = Number(/^slot-(\d+)$/.exec(name)?.[1] ?? own);
    if (number === own) continue;
    const slot = await takeFree(number);
    if (!slot) continue;
    try {
      await root.removeEntry(name, { recursive: true });
    } finally {
      slot.release();
    }
  }
}
