/** What pages, servers and the cache say to the service worker, checked. */
import { PLAIN_TYPE, safeMediaType } from "../media-type.js";
import type { Patience, Routes } from "./messages.js";

/** Headers that a page may give. */
const HEADERS = new Set(["accept-ranges", "content-disposition", "content-length", "content-range", "content-type", "etag"]);
export const LINK = /^(peeredge:|https?:\/\/[^/?#]+\/c\/)([a-z2-7]{51}[aq])([/?#]|$)/;
/** What a `Headers` object takes. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const ROUTES_MAX = 20_000;
const ADDRESS_LENGTH_MAX = 4096;
const PATIENCE_MS_MAX = 120_000;

/** `bytes 0-9/10`, as servers write it; the length may be unknown. */
export function rangeIn(value: string | null): { start: number; last: number; length: number | null } | null {
  const match = /^\s*bytes\s+(\d+)\s*-\s*(\d+)\s*\/\s*(\d+|\*)\s*$/i.exec(value ?? "");
  if (!match) return null;
  const [start, last] = [Number(match[1]), Number(match[2])];
  return start <= last ? { start, last, length: match[3] === "*" ? null : Number(match[3]) } : null;
}

/** A page's headers: those that it may give, and none that makes a browser run the body. */
export function cleaned(given: unknown): Headers {
  const headers = new Headers();
  for (const entry of Array.isArray(given) ? (given as unknown[]) : []) {
    const [name = "", value = ""] = Array.isArray(entry) ? entry.map(String) : [];
    if (HEADERS.has(name.toLowerCase()) && VALUE.test(value)) headers.set(name, value);
  }
  headers.set("content-type", safeMediaType(headers.get("content-type") ?? PLAIN_TYPE).type);
  headers.set("x-content-type-options", "nosniff");
  // Opened as a document all the same, it could do nothing.
  headers.set("content-security-policy", "sandbox; default-src 'none'");
  return headers;
}

/** What a page or the cache says, if it is what it must be. */
export function stateOf(value: unknown): { routes: Routes; patience: Patience } | null {
  const { routes, patience } = (value ?? {}) as Partial<{ routes: Routes; patience: Patience }>;
  if (typeof routes !== "object" || routes === null || typeof patience !== "object" || patience === null) return null;
  const entries = Object.entries(routes);
  const isRoute = ([url, link]: [string, unknown]) =>
    url.length <= ADDRESS_LENGTH_MAX && /^https?:/.test(url) && typeof link === "string" && link.length <= ADDRESS_LENGTH_MAX && LINK.test(link);
  const isTime = (ms: unknown) => typeof ms === "number" && ms >= 0 && ms <= PATIENCE_MS_MAX;
  if (entries.length > ROUTES_MAX || !entries.every(isRoute) || !isTime(patience.takeMs) || !isTime(patience.stallMs)) return null;
  return { routes: Object.fromEntries(entries), patience: { takeMs: patience.takeMs, stallMs: patience.stallMs } };
}
