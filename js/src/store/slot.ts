/**
 * Tabs of one origin share its file system, and a file can be open once. So each tab takes a folder of its own, by a lock that
 * lives as long as its engine; after a reload it takes the same one again.
 */
const SLOTS_MAX = 64;
/** The folder of the origin's file system in which the slots are. */
export const ROOT = "peeredge";
const WAIT_FOR_OWN_MS = 3000;

export interface Slot {
  number: number;
  release(): void;
}

export const slotFolder = (slot: number) => `slot-${slot}`;

/** Takes `preferred` (this tab's own, from before a reload), or else the first free slot. */
export async function takeSlot(preferred: number | null): Promise<Slot> {
  if (preferred !== null && preferred >= 0 && preferred < SLOTS_MAX) {
    // The engine of the page before the reload may still be going; a duplicated tab's never does.
    const slot = await hold(preferred, { signal: AbortSignal.timeout(WAIT_FOR_OWN_MS) });
    if (slot) return slot;
  }
  for (let number = 0; number < SLOTS_MAX; number++) {
    const slot = await hold(number, { ifAvailable: true });
    if (slot) return slot;
  }
  throw new Error(`${SLOTS_MAX} tabs of this origin have a store already`);
}

/** Takes a slot if no tab has it. */
export function takeFree(number: number): Promise<Slot | null> {
  return hold(number, { ifAvailable: true });
}

function hold(number: number, options: LockOptions): Promise<Slot | null> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(`peeredge-${slotFolder(number)}`, options, (lock) => {
        if (!lock) return resolve(null);
        return new Promise<void>((release) => resolve({ number, release }));
      })
      .catch((error: unknown) => {
        const timeout = error instanceof DOMException && (error.name === "TimeoutError" || error.name === "AbortError");
        if (timeout) resolve(null);
        else reject(error);
      });
  });
}
