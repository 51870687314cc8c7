// A range in the middle of a large file costs its own symbols and nothing else.
import { afterEach, expect, test } from "vitest";
import { Stage } from "../harness.mjs";
import { MIB, SYMBOL_BYTES, publishedLink, randomFile } from "./flow.mjs";

const LENGTH = 128 * MIB;
const [START, END] = [70_000_001, 70_299_999];
const RANGE = { range: `bytes=${START}-${END}` };
const COUNT = END - START + 1;
/** The symbols that the range touches, of which the first and the last are touched in part. */
const SYMBOLS_BYTES = (Math.floor(END / SYMBOL_BYTES) - Math.floor(START / SYMBOL_BYTES) + 1) * SYMBOL_BYTES;

let stage;
afterEach(() => stage?.close());

test("from a peer", async () => {
  stage = await Stage.open();
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const { link } = await a.publish({ seed: 7, length: LENGTH });
  const result = await b.fetch(link, { seed: 7, ...RANGE });
  expect(result).toMatchObject({ status: 206, bytes: COUNT });
  expect(result.headers).toMatchObject({
    "content-range": `bytes ${START}-${END}/${LENGTH}`,
    "content-length": String(COUNT),
  });
  const { fromPeersBytes, fromRelayBytes, fromHttpBytes } = await b.stats();
  expect(fromPeersBytes + fromRelayBytes + fromHttpBytes).toBe(SYMBOLS_BYTES);
  // One that was late may have been asked for twice.
  expect((await a.stats()).sentBytes).toBeLessThanOrEqual(2 * SYMBOLS_BYTES);

  const last = await b.fetch(link, { seed: 7, range: "bytes=-1000" });
  expect(last).toMatchObject({ status: 206, bytes: 1000 });
  const behind = await b.fetch(link, { range: `bytes=${LENGTH}-` });
  expect(behind).toMatchObject({ status: 416, bytes: 0 });
  expect(behind.headers["content-range"]).toBe(`bytes */${LENGTH}`);
});

test("over HTTP", async () => {
  stage = await Stage.open({ relay: { publish: [randomFile(7, LENGTH)], settings: { rtc: false } } });
  const link = await publishedLink(stage.relay);
  const b = await stage.tab();
  await b.create();
  expect(await b.fetch(link, { seed: 7, ...RANGE })).toMatchObject({ status: 206, bytes: COUNT });
  expect(await b.stats()).toMatchObject({ fromPeersBytes: 0, fromHttpBytes: SYMBOLS_BYTES });
  // A server that is silent for a second and a half is asked for a part anew, as on a machine that is busy with other things.
  const sent = await stage.relay.metric('peeredge_http_bytes_total{route="content"}');
  expect(sent).toBeGreaterThanOrEqual(SYMBOLS_BYTES);
  expect(sent).toBeLessThan(2 * SYMBOLS_BYTES);
});
