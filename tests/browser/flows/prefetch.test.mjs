// What is asked for again and again is laid ahead on tabs that are idle and whose visitors agreed to lend room: they hold it whole and
// serve it, without their pages having asked for anything. Whose visitor did not agree holds nothing.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB, contentOf, eventually, publishedLink, randomFile } from "./flow.mjs";

const LENGTH = 4 * MIB;
const SEED = 9;

let stage;
beforeAll(async () => {
  // Demand is counted in short slots, and the relay gives slowly enough that peers are worth something.
  const settings = { ahead_slot_ms: 5000, upload_bytes_per_s_max: 2_000_000 };
  stage = await Stage.open({ relay: { publish: [randomFile(SEED, LENGTH)], settings } });
});
afterAll(() => stage?.close());

/** Two visitors more: they come, take everything, and go. */
const visits = (link) => Promise.all([visit(link), visit(link)]);

async function visit(link) {
  const visitor = await stage.tab();
  await visitor.create();
  expect(await visitor.fetch(link, { seed: SEED })).toMatchObject({ status: 200, bytes: LENGTH });
  const { errors } = visitor;
  await visitor.context.close();
  expect(errors).toEqual([]);
}

test("an idle tab that agreed is asked to hold what visitors keep asking for, holds it and serves it", async () => {
  const link = await publishedLink(stage.relay);
  const content = link.split("/c/")[1].split("/")[0];
  const [idle, other] = [await stage.tab(), await stage.tab()];
  await idle.create({ caps: { prefetchBytes: 64 * MIB } });
  await other.create();

  const holds = async () => (await contentOf(idle, content))?.heldBytes === LENGTH;
  await eventually(
    async () => {
      if (await holds()) return true;
      await visits(link);
    },
    "the idle tab holds the content",
    150_000,
  );
  const held = await contentOf(idle, content);
  expect(held).toMatchObject({ length: LENGTH, requests: 0 });
  expect(held.blocks.every((filled) => filled === 255)).toBe(true);
  expect(await stage.relay.metric("peeredge_ahead_fills_total")).toBeGreaterThan(0);
  // It came over connections alone: a prefetch costs the operator nothing by HTTP.
  expect((await idle.stats()).fromHttpBytes).toBeLessThan(LENGTH / 10);

  const before = (await idle.stats()).sentBytes;
  await eventually(
    async () => {
      if ((await idle.stats()).sentBytes > before) return true;
      await visits(link);
    },
    "the idle tab serves it",
    150_000,
  );
  expect((await other.stats()).contents).toEqual([]);
  expect([...idle.errors, ...other.errors]).toEqual([]);
}, 320_000);
