import { PeerEdgeError } from "./errors.js";

/** RFC 4648 base32 in lower case: 256 bits, and four bits of zero in the last character. */
const ID = /^[a-z2-7]{51}[aq]$/;

export const isContent = (text: string): boolean => ID.test(text);

/** The content that a link names: `peeredge:ID`, or `https://RELAY/c/ID/NAME`. */
export function contentOf(link: string | URL): string {
  const text = String(link).trim();
  const id = text.startsWith("peeredge:") ? text.slice("peeredge:".length) : idInPath(text);
  if (!ID.test(id)) throw new PeerEdgeError("invalid_link", `a link is peeredge:ID or https://RELAY/c/ID, this is ${text.slice(0, 200)}`);
  return id;
}

function idInPath(text: string): string {
  return /^https?:\/\/[^/?#]+\/c\/([^/?#]*)/.exec(text)?.[1] ?? "";
}

/** As {@link contentOf}, or an id by itself. */
export function contentOfIdOrLink(text: string | URL): string {
  return ID.test(String(text)) ? String(text) : contentOf(text);
}

export function linkTo(relay: string, content: string, name: string): string {
  return `${relay}/c/${content}/${encodeURIComponent(name)}`;
}

/** The address of an ordinary server's copy, complete. */
export function originOf(origin: string | URL): string {
  let url: URL | null = null;
  try {
    url = new URL(String(origin), typeof location === "object" ? location.href : undefined);
  } catch {
    // Said below.
  }
  if (url?.protocol === "https:" || url?.protocol === "http:") return url.href;
  throw new PeerEdgeError("invalid_option", "origin must be an http or https address");
}
