/**
 * Media types are the publisher's word, and a publisher may be a stranger: bytes that a browser could run, or load as part of a
 * page, keep no type under which it would. The relay does the same (`relay-node/src/http/content.rs`).
 */
const ACTIVE =
  /html|xml|svg|script|css|wasm|pdf|multipart|message|manifest|importmap|speculationrules|signed-exchange|webbundle|xsl|flash|java|extension|xpinstall|x-server-cgi|x-shockwave/;
const TOKENS = /^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}$/;

/** What is not shown, run or guessed at. */
export const PLAIN_TYPE = "application/octet-stream";

/** A media type as it may be given to a page, and whether the bytes may be shown in place. */
export function safeMediaType(mediaType: string): { type: string; inline: boolean } {
  const essence = mediaType.split(";", 1)[0]!.trim().toLowerCase();
  if (!TOKENS.test(essence) || ACTIVE.test(essence)) return { type: PLAIN_TYPE, inline: false };
  const inline = /^(?:video|audio|image)\//.test(essence) || essence === "text/plain";
  // Of the parameters, which may hold anything, only a player's are kept.
  const codecs = /^(?:video|audio)\//.test(essence) && /;\s*codecs="?([\w.,+ -]{1,100})"?\s*(?:;|$)/i.exec(mediaType)?.[1];
  const type = essence === "text/plain" ? "text/plain; charset=utf-8" : essence;
  return { type: codecs ? `${type}; codecs="${codecs}"` : type, inline };
}

/** Headers that say what a content is, without any way to run it on the page's origin. */
export function describe(content: string, name: string, mediaType: string): Record<string, string> {
  const { type, inline } = safeMediaType(mediaType);
  const shown = plainName(name);
  const file = shown && `; filename*=UTF-8''${encode(shown)}`;
  return {
    "accept-ranges": "bytes",
    "content-type": type,
    "content-disposition": `${inline ? "inline" : "attachment"}${file}`,
    etag: `"${content}"`,
    "x-content-type-options": "nosniff",
    // Opened as a document all the same, it could do nothing.
    "content-security-policy": "sandbox; default-src 'none'",
  };
}

/** Control characters, and those that turn the direction of what stands around them: `gpj.exe` shown as `exe.jpg`. */
const UNSEEN =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/** A stranger's name as it may be shown: what cannot be seen in it is replaced by U+FFFD. */
export function plainName(name: string): string {
  return name.replace(UNSEEN, "\ufffd");
}

/** RFC 8187: what `encodeURIComponent` leaves and a header parameter must not hold. */
function encode(name: string): string {
  return encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
}
