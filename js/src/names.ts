import { PeerEdgeError } from "./errors.js";

const NAME_BYTES_MAX = 255;
const TYPE_BYTES_MAX = 127;

/** A name that every file system, header and address can take. @throws {PeerEdgeError} `invalid_option`. */
export function checkName(option: string, name: unknown): string {
  if (typeof name !== "string" || new TextEncoder().encode(name).byteLength > NAME_BYTES_MAX) {
    throw new PeerEdgeError("invalid_option", `${option} must be a text of at most ${NAME_BYTES_MAX} bytes`);
  }
  if (/\p{Cs}/u.test(name)) throw new PeerEdgeError("invalid_option", `${option} must be a text that UTF-8 can hold`);
  if (/^(?:|\.|\.\.)$|\p{Cc}/u.test(name)) {
    throw new PeerEdgeError("invalid_option", `${option} must not be empty, "." or "..", nor hold control characters`);
  }
  return name;
}

/** A media type as a header can hold it. @throws {PeerEdgeError} `invalid_option`. */
export function checkType(option: string, type: unknown): string {
  if (typeof type === "string" && type.length <= TYPE_BYTES_MAX && /^[\x20-\x7e]*$/.test(type)) return type;
  throw new PeerEdgeError("invalid_option", `${option} must be at most ${TYPE_BYTES_MAX} printable characters of ASCII`);
}

/** What a caller gave in place of an object of options. @throws {PeerEdgeError} `invalid_option`. */
export function checkOptions<T extends { signal?: AbortSignal | null }>(options: T | null | undefined): T {
  const given = options ?? ({} as T);
  if (typeof given !== "object") throw new PeerEdgeError("invalid_option", "options must be an object");
  const { signal } = given;
  if (signal && typeof signal.throwIfAborted !== "function") throw new PeerEdgeError("invalid_option", "signal must be an AbortSignal");
  return given;
}
