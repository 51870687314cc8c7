import type { FromEngine } from "./engine/messages.js";

type Head = Extract<FromEngine, { type: "head" }>;

/** What a server with ranges would answer (RFC 9110, section 14). */
export function respond(content: string, head: Head, ranged: boolean, body: ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  const { start, end, length, name, mediaType } = head;
  const headers = new Headers({
    "accept-ranges": "bytes",
    "content-length": String(end - start),
    "content-type": headerSafe(mediaType) || "application/octet-stream",
    etag: `"${content}"`,
    // The type is the publisher's word, and a publisher may be a stranger.
    "x-content-type-options": "nosniff",
  });
  if (name) headers.set("content-disposition", `inline; filename*=UTF-8''${encode(name)}`);
  if (ranged) headers.set("content-range", `bytes ${start}-${end - 1}/${length}`);
  return new Response(body, { status: ranged ? 206 : 200, headers });
}

export function respondUnsatisfiable(length: number): Response {
  return new Response(null, {
    status: 416,
    headers: { "accept-ranges": "bytes", "content-length": "0", "content-range": `bytes */${length}` },
  });
}

/** RFC 8187: what `encodeURIComponent` leaves and a header parameter must not hold. */
function encode(name: string): string {
  const wellFormed = name.replace(/[\ud800-\udfff]/gu, "\ufffd");
  return encodeURIComponent(wellFormed).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
}

/** Headers take printable ASCII only; a type with anything else is none. */
function headerSafe(mediaType: string): string {
  return /^[\x20-\x7e]*$/.test(mediaType) ? mediaType : "";
}
