/** Outlives a reload of this tab, and no other tab sees it. */
const KEY = "peeredge-slot";

/** The store that this tab had before a reload. */
export function ownSlot(): number | null {
  try {
    const text = sessionStorage.getItem(KEY);
    return text !== null && /^\d{1,4}$/.test(text) ? Number(text) : null;
  } catch {
    // Storage is forbidden here.
    return null;
  }
}

export function rememberSlot(slot: number | null): void {
  try {
    if (slot !== null) sessionStorage.setItem(KEY, String(slot));
  } catch {
    // Then the tab may get another slot after a reload, and fetches again what it held.
  }
}
