import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("importing the package does nothing, and in Node a peer is refused with a code", () => {
  const script = `
    const before = Object.keys(globalThis).length;
    const { createPeer, PeerEdgeError } = await import("peeredge");
    const error = await createPeer({ relay: "http://127.0.0.1:1", consent: "granted" }).catch((error) => error);
    console.log(JSON.stringify([error instanceof PeerEdgeError, error.code, Object.keys(globalThis).length - before]));
  `;
  // The package resolves its own name. Nothing that it started may keep the process alive: it would time out.
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", timeout: 20_000 });
  expect(JSON.parse(printed)).toEqual([true, "unsupported", 0]);
});
