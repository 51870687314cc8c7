import { ROOT, slotFolder, takeFree } from "./slot.js";

/** An engine that has just ended may hold its files for another moment. */
const TRIES = 8;
const EVERY_MS = 50;

/**
 * Deletes keys and contents of this origin's peers: those of tabs that are gone, and `own`, the slot of a peer that has just
 * ended. What other tabs use now is theirs.
 */
export async function forgetStores(own: number | null): Promise<void> {
  let root: FileSystemDirectoryHandle;
  let folder: FileSystemDirectoryHandle;
  try {
    root = await navigator.storage.getDirectory();
    folder = await root.getDirectoryHandle(ROOT);
  } catch {
    // There is no such file system here, or nothing in it.
    return;
  }
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  let left = 0;
  for (const name of names) {
    const number = Number(/^slot-(\d{1,4})$/.exec(name)?.[1] ?? NaN);
    if (!(await forgetSlot(folder, name, number, number === own ? TRIES : 1))) left += 1;
  }
  if (left === 0) await root.removeEntry(ROOT, { recursive: true }).catch(() => undefined);
}

async function forgetSlot(folder: FileSystemDirectoryHandle, name: string, number: number, tries: number): Promise<boolean> {
  for (let tried = 0; tried < tries; tried++) {
    if (tried > 0) await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    const slot = name === slotFolder(number) ? await takeFree(number).catch(() => null) : null;
    if (!slot) continue;
    try {
      await folder.removeEntry(name, { recursive: true });
      return true;
    } catch {
      // A file of it is open still.
    } finally {
      slot.release();
    }
  }
  return false;
}
