import type { Caps } from "peeredge";

const AGREED = "peeredge-demo-agreed";
const COMPUTES = "peeredge-demo-computes";
const CAPS = "peeredge-demo-caps";

/**
 * What the visitor has set. The answer holds for this tab and its reloads: another tab asks anew. Limits hold for the browser.
 */
export class Settings {
  get agreed(): boolean {
    return read(sessionStorageOrNull(), AGREED) === "yes";
  }

  set agreed(yes: boolean) {
    write(sessionStorageOrNull(), AGREED, yes ? "yes" : null);
  }

  /** Whether this tab computes for others: asked for apart, and in each tab anew. */
  get computes(): boolean {
    return read(sessionStorageOrNull(), COMPUTES) === "yes";
  }

  set computes(yes: boolean) {
    write(sessionStorageOrNull(), COMPUTES, yes ? "yes" : null);
  }

  get caps(): Partial<Caps> {
    try {
      return revive(JSON.parse(read(localStorageOrNull(), CAPS) ?? "{}") as Record<string, unknown>);
    } catch {
      return {};
    }
  }

  set caps(caps: Partial<Caps>) {
    // JSON has no infinity.
    const text = JSON.stringify(caps, (_, value: unknown) => (value === Infinity ? "no limit" : value));
    write(localStorageOrNull(), CAPS, text);
  }
}

/** Takes only what has the right form: anything may stand in a storage. */
export function revive(saved: Record<string, unknown>): Partial<Caps> {
  const caps: Partial<Caps> = {};
  for (const key of ["upload", "uploadOnMetered", "uploadOnLowBattery"] as const) {
    const value = saved[key];
    if (typeof value === "boolean") caps[key] = value;
  }
  for (const key of ["uploadBytesPerSecond", "uploadBytes"] as const) {
    const value = saved[key] === "no limit" ? Infinity : saved[key];
    if (typeof value === "number" && value >= 0) caps[key] = value;
  }
  const { connections } = saved;
  if (typeof connections === "number" && Number.isInteger(connections) && connections >= 0 && connections <= 64) {
    caps.connections = connections;
  }
  return caps;
}

function read(storage: Storage | null, key: string): string | null {
  return storage?.getItem(key) ?? null;
}

function write(storage: Storage | null, key: string, value: string | null): void {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {
    // Full or forbidden: then it is asked again next time.
  }
}

function sessionStorageOrNull(): Storage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function localStorageOrNull(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}
