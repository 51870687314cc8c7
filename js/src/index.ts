import { PeerEdgeError } from "./errors.js";
import { settle } from "./options.js";
import { PagePeer } from "./peer.js";
import type { Peer, PeerOptions } from "./types.js";

export { PeerEdgeError } from "./errors.js";
export type * from "./types.js";

/**
 * Makes a peer. With `consent: "granted"` it resolves when the engine runs; otherwise at once, and nothing is opened, not even
 * a worker, until {@link Peer.setConsent}. It does not wait for the relay: requests do.
 *
 * @throws {PeerEdgeError} `unsupported`, `invalid_option`, `storage`, `internal`.
 */
export async function createPeer(options: PeerOptions): Promise<Peer> {
  const settled = settle(options);
  for (const name of ["RTCPeerConnection", "WebSocket", "WebAssembly"]) {
    if (!(name in globalThis)) throw new PeerEdgeError("unsupported", `there is no ${name} here: a page in a browser is needed`);
  }
  const peer = new PagePeer(settled);
  await peer.setConsent(settled.consent);
  return peer as unknown as Peer;
}
