import { PeerEdgeError } from "./errors.js";
import type { EngineCaps, EngineSettings } from "./peeredge.js";
import { HELD_MAX } from "./recycle.js";
import type { Caps, Compute, Consent, PeerOptions, StoreOptions, Tuning } from "./types.js";

const CAPS: Caps = {
  upload: true,
  uploadBytesPerSecond: Infinity,
  uploadBytes: Infinity,
  connections: 40,
  prefetchBytes: 0,
  uploadOnMetered: false,
  uploadOnLowBattery: false,
};

const COMPUTE: Omit<Compute, "slots"> = {
  allowed: false,
  dutyPermille: 500,
  memoryBytes: 64 << 20,
  whileHidden: false,
  onLowBattery: false,
  anybody: false,
};

const TUNING: Tuning = {
  cacheBytes: 64 << 20,
  http: true,
  httpAfterMs: 400,
  giveUpAfterMs: 30_000,
  codedPermille: 0,
  throughRelayAfterMs: 5000,
  progressEveryMs: 250,
};

/** A browser takes long over more. */
const ICE_SERVERS_MAX = 16;

/** Options with every default filled in, and checked. */
export interface Settled {
  /** Without a slash at its end. */
  relay: string;
  consent: Consent;
  caps: Caps;
  compute: Compute;
  storeKind: NonNullable<StoreOptions["kind"]>;
  /** `null`: the store's own default. */
  storeBytes: number | null;
  worker: boolean;
  direct: boolean;
  iceServers: RTCIceServer[];
  tuning: Tuning;
}

export function settle(options: PeerOptions): Settled {
  if (typeof options !== "object" || options === null) throw wrong("options", "an object");
  const store = options.store ?? {};
  if (typeof store !== "object") throw wrong("store", "an object");
  const kind = store.kind ?? "auto";
  if (!["auto", "opfs", "memory"].includes(kind)) throw wrong("store.kind", '"auto", "opfs" or "memory"');
  return {
    relay: relayOf(options.relay),
    consent: checkConsent(options.consent),
    caps: mergeCaps(CAPS, options.caps ?? {}),
    compute: mergeCompute({ ...COMPUTE, slots: slotsOf() }, options.compute ?? {}),
    storeKind: kind,
    storeBytes: store.bytes === undefined ? null : number("store.bytes", store.bytes, 0, Number.MAX_SAFE_INTEGER),
    worker: options.worker === undefined ? true : flag("worker", options.worker),
    direct: isDirect(options.privacy ?? "direct"),
    iceServers: serversOf(options.iceServers ?? []),
    tuning: settleTuning(options.tuning ?? {}),
  };
}

function serversOf(servers: unknown): RTCIceServer[] {
  const right = (server: unknown) => typeof server === "object" && server !== null && "urls" in server;
  if (Array.isArray(servers) && servers.length <= ICE_SERVERS_MAX && servers.every(right)) return servers as RTCIceServer[];
  throw wrong("iceServers", `at most ${ICE_SERVERS_MAX} objects with urls`);
}

function isDirect(privacy: unknown): boolean {
  if (privacy === "direct" || privacy === "relay") return privacy === "direct";
  throw wrong("privacy", '"direct" or "relay"');
}

export function checkConsent(consent: unknown): Consent {
  if (consent === "granted" || consent === "denied" || consent === "pending") return consent;
  throw wrong("consent", '"granted", "denied" or "pending"');
}

/** `caps` over `base`; what is `undefined` stays. */
export function mergeCaps(base: Caps, caps: Partial<Caps>): Caps {
  const merged = merge(base, caps, "caps");
  number("caps.uploadBytesPerSecond", merged.uploadBytesPerSecond, 0, Infinity);
  number("caps.uploadBytes", merged.uploadBytes, 0, Infinity);
  number("caps.prefetchBytes", merged.prefetchBytes, 0, Infinity);
  whole("caps.connections", merged.connections, 0, 64);
  for (const key of ["upload", "uploadOnMetered", "uploadOnLowBattery"] as const) flag(`caps.${key}`, merged[key]);
  return merged;
}

/** `compute` over `base`; what is `undefined` stays. */
export function mergeCompute(base: Compute, compute: Partial<Compute>): Compute {
  const merged = merge(base, compute, "compute");
  whole("compute.slots", merged.slots, 1, 64);
  whole("compute.dutyPermille", merged.dutyPermille, 1, 1000);
  number("compute.memoryBytes", merged.memoryBytes, 65_536, 2 ** 32);
  for (const key of ["allowed", "whileHidden", "onLowBattery", "anybody"] as const) flag(`compute.${key}`, merged[key]);
  return merged;
}

/** Half of the cores: the page and everything else have the other half. */
function slotsOf(): number {
  return Math.max(1, Math.min(8, Math.floor((globalThis.navigator?.hardwareConcurrency ?? 2) / 2)));
}

/** Conditions under which a visitor may not want to give bytes. */
export interface Conditions {
  metered: boolean;
  lowBattery: boolean;
}

/** The caps as they hold under these conditions. `connectionsMade`: so many connections can be made in all. */
export function effectiveCaps(caps: Caps, conditions: Conditions, connectionsMade = HELD_MAX): EngineCaps {
  const { uploadBytesPerSecond, uploadBytes, connections, prefetchBytes } = caps;
  const allowed =
    (caps.uploadOnMetered || !conditions.metered) && (caps.uploadOnLowBattery || !conditions.lowBattery);
  return { upload: caps.upload && allowed, uploadBytesPerSecond, uploadBytes, connections, connectionsMade, prefetchBytes };
}

export function engineSettings(settled: Settled, caps: EngineCaps): EngineSettings {
  const { cacheBytes, http, httpAfterMs, giveUpAfterMs, codedPermille, throughRelayAfterMs } = settled.tuning;
  const storeBytes = settled.storeBytes ?? Infinity;
  const { direct } = settled;
  const relayAuthority = new URL(settled.relay).host;
  return { caps, cacheBytes, storeBytes, http, httpAfterMs, giveUpAfterMs, codedPermille, direct, throughRelayAfterMs, relayAuthority };
}

function settleTuning(tuning: Partial<Tuning>): Tuning {
  const merged = merge(TUNING, tuning, "tuning");
  number("tuning.cacheBytes", merged.cacheBytes, 1 << 20, Number.MAX_SAFE_INTEGER);
  flag("tuning.http", merged.http);
  whole("tuning.httpAfterMs", merged.httpAfterMs, 0, 600_000);
  whole("tuning.giveUpAfterMs", merged.giveUpAfterMs, 100, 3_600_000);
  whole("tuning.codedPermille", merged.codedPermille, 0, 1000);
  whole("tuning.throughRelayAfterMs", merged.throughRelayAfterMs, 0, 600_000);
  whole("tuning.progressEveryMs", merged.progressEveryMs, 16, 60_000);
  return merged;
}

function relayOf(relay: unknown): string {
  let url: URL;
  try {
    url = new URL(String(relay));
  } catch {
    throw wrong("relay", "an http or https address");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw wrong("relay", "an http or https address");
  if (url.pathname !== "/" || url.search || url.hash || url.username) throw wrong("relay", "an address without a path");
  return url.origin;
}

function merge<T extends object>(base: T, over: Partial<T>, name: string): T {
  if (typeof over !== "object" || over === null) throw wrong(name, "an object");
  const merged: T = { ...base };
  for (const key of Object.keys(over) as (keyof T & string)[]) {
    if (!(key in base)) throw new PeerEdgeError("invalid_option", `${name}.${key} is no option`);
    const value = over[key];
    if (value !== undefined) merged[key] = value;
  }
  return merged;
}

function flag(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw wrong(name, "true or false");
}

function whole(name: string, value: number, min: number, max: number): void {
  number(name, value, min, max);
  if (!Number.isInteger(value)) throw wrong(name, "a whole number");
}

function number(name: string, value: number, min: number, max: number): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw wrong(name, `a number from ${min} to ${max}`);
}

function wrong(name: string, expected: string): PeerEdgeError {
  return new PeerEdgeError("invalid_option", `${name} must be ${expected}`);
}
