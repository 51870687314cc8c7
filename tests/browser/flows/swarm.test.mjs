// Three tabs and the relay: receivers give each other what they have, so the seeder's uplink pays for little more than one copy.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB } from "./flow.mjs";

const LENGTH = 64 * MIB;

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

// A visitor's uplink, where what the others save is scarce; and one that could carry every copy itself, and carries 1.3 to 1.8 of them: who
// gives more is then a matter of whose tab gets the processors.
test.each([
  ["of 6 MB/s", 1.6, { uploadBytesPerSecond: 6_000_000 }],
  ["without a cap", 1.95, {}],
])("through an uplink %s 64 MiB arrive in two tabs bit-exact, and relay and publisher send less than %f copies", async (_, copies, caps) => {
  const [a, b, c] = [await stage.tab(), await stage.tab(), await stage.tab()];
  await a.create({ caps });
  for (const tab of [b, c]) await tab.create();
  const { link } = await a.publish({ seed: 1, length: LENGTH });
  const results = await Promise.all([b.fetch(link, { seed: 1 }), c.fetch(link, { seed: 1 })]);
  for (const result of results) expect(result).toMatchObject({ status: 200, bytes: LENGTH });

  const [ofA, ofB, ofC] = [await a.stats(), await b.stats(), await c.stats()];
  const fromRelay = [ofB, ofC].reduce((sum, stats) => sum + stats.fromRelayBytes + stats.fromHttpBytes, 0);
  expect((ofA.sentBytes + fromRelay) / LENGTH).toBeLessThan(copies);
  for (const stats of [ofB, ofC]) {
    expect(stats.fromPeersBytes).toBeGreaterThan(LENGTH / 2);
    expect(stats.sentBytes).toBeGreaterThan(0);
    expect(stats.rejectedBytes).toBe(0);
    // What arrives twice is paid for by somebody. On a machine that halts for a moment symbols seem late, and are asked elsewhere, too.
    expect(stats.duplicateBytes).toBeLessThan(LENGTH / 8);
  }
  expect([...a.errors, ...b.errors, ...c.errors]).toEqual([]);
  await stage.closeTabs();
});
