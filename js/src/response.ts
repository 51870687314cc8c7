import type { FromEngine } from "./engine/messages.js";
import { describe } from "./media-type.js";

type Head = Extract<FromEngine, { type: "head" }>;

/** What a server with ranges would answer (RFC 9110, section 14). */
export function respond(content: string, head: Head, ranged: boolean, body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Response {
  const { start, end, length, name, mediaType } = head;
  const headers = new Headers({ ...describe(content, name, mediaType), "content-length": String(end - start) });
  if (ranged) headers.set("content-range", `bytes ${start}-${end - 1}/${length}`);
  return new Response(body, { status: ranged ? 206 : 200, headers });
}

export function respondUnsatisfiable(length: number): Response {
  return new Response(null, {
    status: 416,
    headers: { "accept-ranges": "bytes", "content-length": "0", "content-range": `bytes */${length}` },
  });
}
