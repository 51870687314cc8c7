// A reload in the middle costs what was not yet on the disk, and nothing else.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB } from "./flow.mjs";

const LENGTH = 32 * MIB;

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

test("a transfer goes on from the store after a reload, and what arrived before is served again", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  // Slow enough to be caught in the middle, and for more than a second's bytes to be stored by then.
  await a.create({ caps: { uploadBytesPerSecond: 4_000_000 } });
  const before = await b.create();
  const { link, content } = await a.publish({ seed: 8, length: LENGTH });
  const number = await b.start(link, { seed: 8 });
  await b.reach(number, 12 * MIB);
  await b.reload();
  // The same peer, with what it had stored.
  expect(await b.create()).toBe(before);
  const kept = (await b.stats()).contents.find((entry) => entry.content === content);
  expect(kept).toMatchObject({ length: LENGTH, name: "random.bin" });

  await a.setCaps({ uploadBytesPerSecond: Infinity });
  expect(await b.fetch(link, { seed: 8 })).toMatchObject({ status: 200, bytes: LENGTH });
  const { fromPeersBytes, contents } = await b.stats();
  expect(contents[0].heldBytes).toBe(LENGTH);
  // A third was read before; all but the last second or two of that was on the disk.
  expect(fromPeersBytes).toBeLessThan(LENGTH - 4 * MIB);

  // Whole, and served from the store to a third tab after another reload.
  await a.close();
  await b.reload();
  await b.create();
  const c = await stage.tab();
  await c.create();
  expect(await c.fetch(link, { seed: 8 })).toMatchObject({ status: 200, bytes: LENGTH });
  expect((await b.stats()).sentBytes).toBeGreaterThanOrEqual(LENGTH);
});
