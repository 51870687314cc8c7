import type { SessionMemory } from "./engine/messages.js";

/** Outlive a reload of this tab, and no other tab sees them. They end with the tab, and when the visitor is forgotten. */
const SLOT = "peeredge-slot";
const KEY = "peeredge-key";
const LIVE = "peeredge-live";

/** Who in this page has the tab's own slot: a second peer takes another one, and is not remembered. */
let owner: object | null = null;

/** The store and the key that this tab had before a reload; nothing for a second peer in the page. */
export function claimTab(who: object): SessionMemory {
  const nothing = { slot: null, key: null, live: false };
  if (owner !== null) return nothing;
  owner = who;
  try {
    const [slot, key] = [sessionStorage.getItem(SLOT), sessionStorage.getItem(KEY)];
    return {
      slot: slot !== null && /^\d{1,4}$/.test(slot) ? Number(slot) : null,
      key: key !== null && /^[\da-f]{64}$/.test(key) ? bytesOf(key) : null,
      live: sessionStorage.getItem(LIVE) !== null,
    };
  } catch {
    // Storage is forbidden here.
    return nothing;
  }
}

/** `key`: null for one that is kept elsewhere, or not at all. */
export function rememberTab(who: object, slot: number | null, key: Uint8Array | null): void {
  if (slot === null) return;
  remember(who, SLOT, String(slot));
  if (key) remember(who, KEY, Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join(""));
}

/** This tab publishes live: after a reload it starts with the key of that. */
export function rememberLive(who: object): void {
  remember(who, LIVE, "1");
}

export function releaseTab(who: object): void {
  if (owner === who) owner = null;
}

export function forgetTab(): void {
  try {
    for (const name of [SLOT, KEY, LIVE]) sessionStorage.removeItem(name);
  } catch {
    // Storage is forbidden here.
  }
}

function remember(who: object, name: string, value: string): void {
  if (owner !== who) return;
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Then the tab may get another slot after a reload, and fetches again what it held.
  }
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}
