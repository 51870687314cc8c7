// Nothing before consent, nothing after the end: seen from outside, in the kernel's socket tables.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Stage } from "./harness.mjs";

let stage;
let none;
beforeAll(async () => {
  stage = await Stage.open();
  // Whatever sockets a Chromium with a page has by itself.
  const tab = await stage.tab();
  none = stage.sockets();
  await tab.close();
});
afterEach(() => stage.closeTabs());
afterAll(() => stage?.close());

const refusal = (promise) => promise.then(() => "no error", (error) => error.message);

async function untilNoWorker(tab) {
  await expect.poll(() => tab.workers(), { timeout: 5_000 }).toBe(0);
}

/** Two tabs in the middle of a transfer over WebRTC. */
async function transferring(options = {}) {
  const [a, b] = [await stage.tab(), await stage.tab()];
  // Slow enough to be caught in the middle.
  await a.create({ caps: { uploadBytesPerSecond: 4_000_000 }, ...options });
  await b.create({ tuning: { http: false }, ...options });
  const { link } = await a.publish({ seed: 11, length: 64 << 20 });
  const number = await b.start(link, { seed: 11 });
  await b.reach(number, 1 << 20);
  expect(stage.sockets().udp).toBeGreaterThan(none.udp);
  return { a, b, link, number };
}

describe("before consent", () => {
  for (const consent of ["pending", "denied"]) {
    test(`${consent}: no worker, no socket, no connection, and every request says why`, async () => {
      const tab = await stage.tab();
      expect(await tab.create({ consent })).toBeNull();
      const link = `${stage.relay.url}/c/${"a".repeat(52)}`;
      expect(await refusal(tab.fetch(link))).toMatch("consent_required");
      expect(await refusal(tab.publish({ length: 10 }))).toMatch("consent is missing");
      expect(await tab.stats()).toMatchObject({ engine: "none", store: "none", peers: [] });
      expect(tab.workers()).toBe(0);
      expect(stage.sockets()).toEqual(none);
    });
  }

  test("consent connects, its withdrawal leaves nothing, and it can be given again", async () => {
    const tab = await stage.tab();
    await tab.create({ consent: "pending" });
    await tab.setConsent("granted");
    await tab.event("relay", { state: "ready" });
    expect(tab.workers()).toBe(1);
    expect(stage.sockets().tcp).toBe(none.tcp + 1);
    const id = await tab.run(() => harness.peer().id);
    await tab.setConsent("denied");
    await untilNoWorker(tab);
    await stage.untilSockets(none);
    expect(await refusal(tab.fetch(`peeredge:${"a".repeat(52)}`))).toMatch("consent_required");
    await tab.setConsent("granted");
    expect(await tab.run(() => harness.peer().id)).toBe(id);
    await tab.closePeer();
    await stage.untilSockets(none);
  });
});

describe("after the end", () => {
  for (const worker of [true, false]) {
    const where = worker ? "in a worker" : "in the page";

    test(`an engine ${where} leaves no worker, socket or connection when it is closed in the middle`, async () => {
      const { a, b, number } = await transferring({ worker });
      expect((await b.stats()).engine).toBe(worker ? "worker" : "page");
      const finished = refusal(b.finished(number));
      await b.closePeer();
      expect(await finished).toMatch("closed");
      await a.closePeer();
      await untilNoWorker(a);
      await untilNoWorker(b);
      await stage.untilSockets(none);
      expect([...a.errors, ...b.errors]).toEqual([]);
    });
  }

  test("an aborted fetch ends with AbortError, and asks for nothing more", async () => {
    const { a, b, link } = await transferring();
    expect(await refusal(b.fetch(link, { abortAfter: 1 }))).toMatch("AbortError");
    await b.run(() => harness.peer().close());
    expect(await refusal(b.run((link) => harness.peer().fetch(link), link))).toMatch("the peer is closed");
    expect(await b.run(() => harness.peer().closed)).toBe(true);
    await a.closePeer();
    await stage.untilSockets(none);
  });

  test("nothing is left when the tab is closed without a word", async () => {
    const { a, b } = await transferring();
    await b.close();
    await a.event("peer", { state: "closed" });
    await a.close();
    await stage.untilSockets(none);
  });
});
