import type { ErrorCode, PeerEdgeErrorLike } from "./types.js";

/** Every error that the package throws by itself. `code` is stable; `message` is for people and may change. */
export class PeerEdgeError extends Error implements PeerEdgeErrorLike {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PeerEdgeError";
    this.code = code;
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
