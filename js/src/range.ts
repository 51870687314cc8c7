import type { Range } from "./types.js";
import { PeerEdgeError } from "./errors.js";

/**
 * The range that a request asks for. As in RFC 9110, section 14.2, a header that is malformed, has another unit or names
 * several ranges is ignored; the option `range` is our own, so a wrong one is an error.
 */
export function rangeOf(options: { range?: Range; headers?: HeadersInit }): Range | null {
  if (options.range) return checked(options.range);
  if (!options.headers) return null;
  let header: string | null;
  try {
    header = new Headers(options.headers).get("range");
  } catch {
    throw new PeerEdgeError("invalid_option", "headers must be what a Headers object takes");
  }
  return header ? parse(header) : null;
}

function checked(range: Range): Range {
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (typeof range !== "object") throw new PeerEdgeError("invalid_option", "range must be an object");
  const right =
    "last" in range
      ? whole(range.last)
      : whole(range.start) && (range.end === undefined || (whole(range.end) && range.end >= range.start));
  if (!right) throw new PeerEdgeError("invalid_option", "range: whole numbers, and the end not before the start");
  return range;
}

function parse(header: string): Range | null {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header.trim());
  if (!match) return null;
  const [, first = "", last = ""] = match;
  const numbers = [first, last].filter(Boolean).map(Number);
  if (!numbers.length || !numbers.every(Number.isSafeInteger)) return null;
  if (!first) return { last: Number(last) };
  const start = Number(first);
  if (!last) return { start };
  return Number(last) < start ? null : { start, end: Number(last) };
}
