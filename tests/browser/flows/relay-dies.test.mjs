// A relay introduces; what it introduced goes on without it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB } from "./flow.mjs";

const LENGTH = 32 * MIB;

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

test("two tabs finish from each other and from the publisher after the relay was killed", async () => {
  const [a, b, c] = [await stage.tab(), await stage.tab(), await stage.tab()];
  // Slow enough to be caught in the middle.
  await a.create({ caps: { uploadBytesPerSecond: 4_000_000 } });
  await b.create();
  await c.create();
  const { link } = await a.publish({ seed: 2, length: LENGTH });
  const fetches = [await b.start(link, { seed: 2 }), await c.start(link, { seed: 2 })];
  for (const tab of [b, c]) await tab.until((stats) => stats.peers.filter((peer) => peer.open && !peer.isRelay).length === 2);
  const before = [await b.stats(), await c.stats()].map((stats) => stats.contents[0].heldBytes);
  await stage.relay.kill();
  for (const held of before) expect(held).toBeLessThan(LENGTH);

  for (const tab of [b, c]) await tab.event("relay", { state: "lost" });
  const results = [await b.finished(fetches[0]), await c.finished(fetches[1])];
  for (const result of results) expect(result).toMatchObject({ status: 200, bytes: LENGTH });
  for (const tab of [b, c]) {
    const { relayConnected, fromPeersBytes } = await tab.stats();
    expect(relayConnected).toBe(false);
    expect(fromPeersBytes).toBe(LENGTH);
  }
  expect([...a.errors, ...b.errors, ...c.errors]).toEqual([]);
});
