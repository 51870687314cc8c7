// A publisher closes its tab in the middle, without a word.
import { afterEach, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB, contentOf, eventually, isWholeTogether, randomFile } from "./flow.mjs";

let stage;
afterEach(() => stage?.close());

test("the others finish from each other when they together hold everything", async () => {
  const LENGTH = 16 * MIB;
  stage = await Stage.open();
  const [a, b, c] = [await stage.tab(), await stage.tab(), await stage.tab()];
  await a.create({ caps: { uploadBytesPerSecond: 4_000_000 } });
  // So slow that neither is whole when both together are.
  for (const tab of [b, c]) await tab.create({ caps: { uploadBytesPerSecond: 500_000 } });
  const { link, content } = await a.publish({ seed: 3, length: LENGTH });
  const fetches = [await b.start(link, { seed: 3 }), await c.start(link, { seed: 3 })];
  const held = await eventually(async () => {
    const held = [await contentOf(b, content), await contentOf(c, content)];
    return held.every((one) => one?.length === LENGTH) && isWholeTogether(held) ? held : null;
  }, "together they hold everything");
  await a.close();
  for (const one of held) expect(one.heldBytes).toBeLessThan(LENGTH);

  for (const tab of [b, c]) await tab.setCaps({ uploadBytesPerSecond: 8_000_000 });
  const results = [await b.finished(fetches[0]), await c.finished(fetches[1])];
  for (const result of results) expect(result).toMatchObject({ status: 200, bytes: LENGTH });
  for (const tab of [b, c]) {
    const stats = await tab.stats();
    expect(stats.fromPeersBytes).toBe(LENGTH);
    expect(stats.sentBytes).toBeGreaterThan(0);
  }
});

test("else over HTTP from the relay that publishes it too", async () => {
  const LENGTH = 32 * MIB;
  // Without data channels of its own the relay has nothing but HTTP.
  stage = await Stage.open({ relay: { publish: [randomFile(4, LENGTH)], settings: { rtc: false } } });
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create({ caps: { uploadBytesPerSecond: 4_000_000 } });
  await b.create({ tuning: { httpAfterMs: 5_000 } });
  const { link } = await a.publish({ seed: 4, length: LENGTH });
  const number = await b.start(link, { seed: 4 });
  await b.reach(number, 4 * MIB);
  await a.close();
  const before = await b.stats();
  expect(before.contents[0].heldBytes).toBeLessThan(LENGTH);

  expect(await b.finished(number)).toMatchObject({ status: 200, bytes: LENGTH });
  const after = await b.stats();
  expect(after.fromHttpBytes).toBeGreaterThan(before.fromHttpBytes);
  expect(after.fromPeersBytes).toBeGreaterThan(0);
  expect(after.fromPeersBytes + after.fromHttpBytes).toBe(LENGTH);
});
