/** Outlives a reload of this tab, and no other tab sees it. */
const KEY = "peeredge-slot";

/** Who in this page has the tab's own slot: a second peer takes another one, and is not remembered. */
let owner: object | null = null;

/** The store that this tab had before a reload; null for a second peer in the page. */
export function claimSlot(who: object): number | null {
  if (owner !== null) return null;
  owner = who;
  try {
    const text = sessionStorage.getItem(KEY);
    return text !== null && /^\d{1,4}$/.test(text) ? Number(text) : null;
  } catch {
    // Storage is forbidden here.
    return null;
  }
}

export function rememberSlot(who: object, slot: number | null): void {
  if (owner !== who || slot === null) return;
  try {
    sessionStorage.setItem(KEY, String(slot));
  } catch {
    // Then the tab may get another slot after a reload, and fetches again what it held.
  }
}

export function releaseSlot(who: object): void {
  if (owner === who) owner = null;
}
