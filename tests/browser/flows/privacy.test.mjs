// With `privacy: "relay"` a visitor's bytes pass through the relay, and no address leaves the tab.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stage, Tab } from "../harness.mjs";
import { MIB } from "./flow.mjs";

const LENGTH = 2 * MIB;
const HELLO = 0x01;
const SIGNAL = 0x04;

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

/** A tab with such a peer; `frames` fills with what leaves it for the relay, `connections` counts what could show an address. */
async function hidden() {
  const context = await stage.browser.newContext({ permissions: ["microphone"] });
  const frames = [];
  context.on("page", (page) => {
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => frames.push(Buffer.from(payload))));
  });
  await context.addInitScript(() => {
    window.connections = 0;
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...words) {
        super(...words);
        window.connections += 1;
      }
    };
  });
  const tab = await Tab.open(stage, context, new URL("/blank.html", stage.site.url).href);
  // In the page, where its socket can be seen.
  await tab.create({ privacy: "relay", worker: false });
  return { tab, frames };
}

test("it gets and gives a whole content without a connection, a signal or a candidate", async () => {
  const open = await stage.tab();
  await open.create();
  const { tab, frames } = await hidden();
  const { link } = await open.publish({ seed: 21, length: LENGTH, name: "down" });
  expect(await tab.fetch(link, { seed: 21 })).toMatchObject({ bytes: LENGTH });
  const got = await tab.stats();
  expect(got.fromPeersBytes).toBe(LENGTH);
  expect(got.throughRelayBytes).toBeGreaterThan(LENGTH);
  expect(got.peers).toMatchObject([{ open: true, throughRelay: true }]);

  const up = await tab.publish({ seed: 22, length: LENGTH, name: "up" });
  expect(await open.fetch(up.link, { seed: 22 })).toMatchObject({ bytes: LENGTH });
  expect(await open.stats()).toMatchObject({ fromPeersBytes: LENGTH });

  expect(await tab.run(() => window.connections)).toBe(0);
  expect(frames.length).toBeGreaterThan(100);
  expect(frames.filter((frame) => frame[0] === SIGNAL)).toEqual([]);
  // The hello names the relay's address, which is not the visitor's.
  expect(frames.filter((frame) => frame[0] !== HELLO && /candidate:|a=ice|typ host|127\.0\.0\.1/.test(frame.toString("latin1")))).toEqual([]);
  expect([...open.errors, ...tab.errors]).toEqual([]);
});

test("two of them exchange a content, and a wrong setting is refused", async () => {
  const [a, b] = [await hidden(), await hidden()];
  const { link } = await a.tab.publish({ seed: 23, length: LENGTH });
  expect(await b.tab.fetch(link, { seed: 23 })).toMatchObject({ bytes: LENGTH });
  expect(await b.tab.stats()).toMatchObject({ fromPeersBytes: LENGTH });
  for (const { tab, frames } of [a, b]) {
    expect(await tab.run(() => window.connections)).toBe(0);
    expect(frames.filter((frame) => frame[0] === SIGNAL)).toEqual([]);
  }
  const tab = await stage.tab();
  await expect(tab.create({ privacy: "none" })).rejects.toThrow("privacy must be");
});
