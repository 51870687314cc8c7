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

/** From now on the page counts its timers that have been set and have neither fired nor been cleared. */
function countTimers(tab) {
  return tab.run(() => {
    const alive = (window.timersAlive = new Set());
    const { setTimeout: set, clearTimeout: clear, setInterval: every, clearInterval: stop } = window;
    window.setTimeout = (job, ...rest) => {
      const id = set((...values) => (alive.delete(id), job(...values)), ...rest);
      alive.add(id);
      return id;
    };
    window.setInterval = (...given) => {
      const id = every(...given);
      alive.add(id);
      return id;
    };
    window.clearTimeout = (id) => (alive.delete(id), clear(id));
    window.clearInterval = (id) => (alive.delete(id), stop(id));
  });
}

const timers = (tab) => tab.run(() => window.timersAlive.size);

/** Two tabs in the middle of a transfer over WebRTC. */
async function transferring(options = {}) {
  const [a, b] = [await stage.tab(), await stage.tab()];
  for (const tab of [a, b]) await countTimers(tab);
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
    // Who took consent back was forgotten, and comes as somebody else.
    expect(await tab.run(() => harness.peer().id)).not.toBe(id);
    await tab.closePeer();
    await stage.untilSockets(none);
  });
});

describe("after the end", () => {
  for (const worker of [true, false]) {
    const where = worker ? "in a worker" : "in the page";

    test(`an engine ${where} leaves no worker, socket, connection or timer when it is closed in the middle`, async () => {
      const { a, b, number } = await transferring({ worker });
      expect((await b.stats()).engine).toBe(worker ? "worker" : "page");
      // A worker's timers end with the worker; those in the page have to be cleared.
      if (!worker) expect(await timers(b)).toBeGreaterThan(0);
      const finished = refusal(b.finished(number));
      await b.closePeer();
      expect(await finished).toMatch("closed");
      await a.closePeer();
      await untilNoWorker(a);
      await untilNoWorker(b);
      await stage.untilSockets(none);
      for (const tab of [a, b]) expect(await timers(tab)).toBe(0);
      expect([...a.errors, ...b.errors]).toEqual([]);
    });
  }

  test("an aborted fetch ends with AbortError, and leaves only the peer itself", async () => {
    const [a, b] = [await stage.tab(), await stage.tab()];
    await a.create({ caps: { uploadBytesPerSecond: 4_000_000 } });
    // In the page, where its timers are seen.
    await countTimers(b);
    await b.create({ tuning: { http: false }, worker: false });
    await b.event("relay", { state: "ready" });
    const length = 32 << 20;
    const { link } = await a.publish({ seed: 12, length });
    const before = await timers(b);
    expect(await refusal(b.fetch(link, { abortAfter: 2 << 20 }))).toMatch("AbortError");
    // What had been asked for arrives still; then nothing more does.
    const received = async () => {
      const { fromPeersBytes, fromRelayBytes, fromHttpBytes } = await b.stats();
      return fromPeersBytes + fromRelayBytes + fromHttpBytes;
    };
    await expect
      .poll(async () => {
        const at = await received();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return (await received()) - at;
      }, { timeout: 20_000 })
      .toBe(0);
    expect(await received()).toBeLessThan((length * 3) / 4);
    // As many as before, and one for each connection, whose round trips are looked at.
    const connections = async () => (await b.stats()).peers.reduce((sum, peer) => sum + peer.connections, 0);
    await expect.poll(async () => (await timers(b)) - (await connections()), { timeout: 20_000 }).toBeLessThanOrEqual(before);
    await a.closePeer();
    await b.closePeer();
    expect(await timers(b)).toBe(0);
    await stage.untilSockets(none);
  });

  test("a closed peer refuses what it is asked", async () => {
    const { a, b, link } = await transferring();
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
