// A content that grows: signed by its publisher, followed by tabs, its parts exchanged like any content.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually, refusal } from "./flows/flow.mjs";
import { Stage } from "./harness.mjs";

const PART = 200_000;

let stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterEach(() => stage.closeTabs());
afterAll(() => stage?.close());

/** Begins a live content in a tab; gives its link. */
const begin = (tab, name) =>
  tab.run(async (name) => {
    window.live = await harness.peer().publishLive({ name, type: "video/iso.segment" });
    return window.live.link;
  }, name);

/** Adds the part that a seed makes. */
const append = (tab, seed) =>
  tab.run(([seed, length]) => window.live.append(harness.randomBlob(seed, length + seed), { durationMs: 2000 }), [seed, PART]);

const end = (tab) => tab.run(() => window.live.end());

/** Follows in a tab; `window.parts` fills. */
const follow = (tab, link) =>
  tab.run((link) => {
    window.parts = [];
    window.over = (async () => {
      for await (const part of await harness.peer().followLive(link)) window.parts.push(part);
      return "ended";
    })();
    window.over.catch(() => undefined);
  }, link);

const parts = (tab) => tab.run(() => window.parts);
const has = (tab, count) => eventually(async () => (await parts(tab)).length === count, `${count} parts`);

/** Whether the body of a live link is these parts one behind the other. */
const isWhole = (tab, link, seeds) =>
  tab.run(
    async ([link, seeds, length]) => {
      const got = new Uint8Array(await (await harness.peer().fetch(link)).arrayBuffer());
      const right = new Uint8Array(await new Blob(seeds.map((seed) => harness.randomBlob(seed, length + seed))).arrayBuffer());
      return got.length === right.length && got.every((byte, at) => byte === right[at]);
    },
    [link, seeds, PART],
  );

test("two followers get every byte as parts come, and who comes late gets them all, from the publisher and each other", async () => {
  const [a, b, c] = [await stage.tab(), await stage.tab(), await stage.tab()];
  const id = await a.create();
  await b.create();
  await c.create();
  const link = await begin(a, "match 1/2");
  expect(link).toBe(`peeredge-live:${id}/match%201%2F2`);
  await follow(b, link);
  const first = await append(a, 1);
  await has(b, 1);
  expect(await parts(b)).toEqual([{ content: first.content, link: `peeredge:${first.content}`, number: 0, length: PART + 1, durationMs: 2000, gap: null }]);
  const whole = isWhole(b, link, [1, 2, 3]);
  await append(a, 2);
  await follow(c, link);
  await has(c, 2);
  await append(a, 3);
  await has(b, 3);
  await end(a);
  for (const tab of [b, c]) expect(await tab.run(() => window.over)).toBe("ended");
  expect(await whole).toBe(true);
  // Who asks when it is over gets it all the same, and a part needs no publisher.
  expect(await isWhole(c, link, [1, 2, 3])).toBe(true);
  for (const tab of [b, c]) expect(await tab.stats()).toMatchObject({ rejectedBytes: 0, fromHttpBytes: 0 });
  await a.closePeer();
  const d = await stage.tab();
  await d.create();
  expect(await d.fetch(first.link, { seed: 1 })).toMatchObject({ status: 200, bytes: PART + 1 });
  expect([...a.errors, ...b.errors, ...c.errors]).toEqual([]);
});

test("an extension that the publisher did not sign is refused, and the true one taken", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  // Whoever carries heads changes them: before each true one come its part under another id, one part more, and another signature.
  await b.run(() => {
    const HEAD = 0xb5;
    window.forged = 0;
    window.WebSocket = class extends WebSocket {
      constructor(...words) {
        super(...words);
        this.addEventListener("message", ({ data, isTrusted }) => {
          const frame = new Uint8Array(data);
          if (!isTrusted || frame[0] !== HEAD) return;
          const partAt = frame.length - 64 - 44;
          for (const at of [partAt, partAt + 40, frame.length - 1, frame.length - 64]) {
            const changed = frame.slice();
            changed[at] ^= 1;
            this.dispatchEvent(new MessageEvent("message", { data: changed.buffer }));
            window.forged += 1;
          }
        });
      }
    };
  });
  await b.create({ worker: false });
  const link = await begin(a, "forged");
  await follow(b, link);
  const { content: first } = await append(a, 1);
  await has(b, 1);
  const { content: second } = await append(a, 2);
  await has(b, 2);
  await end(a);
  expect(await b.run(() => window.over)).toBe("ended");
  expect((await parts(b)).map(({ content }) => content)).toEqual([first, second]);
  expect(await b.run(() => window.forged)).toBeGreaterThanOrEqual(8);
  expect(await isWhole(b, link, [1, 2])).toBe(true);
  expect(b.errors).toEqual([]);
});

test("the publisher's tab is loaded anew: the link goes on, with its key from the store, and who followed hears of the next broadcast", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  const id = await a.create();
  await b.create();
  const link = await begin(a, "reloaded");
  await follow(b, link);
  const { link: first } = await append(a, 1);
  await has(b, 1);
  await a.reload();
  expect(await a.create()).toBe(id);
  expect(await begin(a, "reloaded")).toBe(link);
  await append(a, 2);
  await has(b, 2);
  await end(a);
  expect(await b.run(() => window.over)).toBe("ended");
  expect((await parts(b)).map(({ number }) => number)).toEqual([0, 0]);
  expect(await isWhole(b, link, [2])).toBe(true);
  // What was published before is served again.
  expect(await b.fetch(first, { seed: 1 })).toMatchObject({ bytes: PART + 1 });
});

test("another broadcast under the same name takes over", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const link = await begin(a, "again");
  await follow(b, link);
  await append(a, 1);
  await append(a, 2);
  await has(b, 2);
  expect(await begin(a, "again")).toBe(link);
  await append(a, 3);
  await has(b, 3);
  expect((await parts(b)).map(({ number }) => number)).toEqual([0, 1, 0]);
  await end(a);
  expect(await isWhole(b, link, [3])).toBe(true);
});

test("a wait ends with its signal or the peer, and wrong links are refused", async () => {
  const [a, b] = [await stage.tab(), await stage.tab()];
  await a.create();
  await b.create();
  const link = await begin(a, "silent");
  const waiting = (how) =>
    b.run(
      async ([link, how]) => {
        const controller = new AbortController();
        const parts = await harness.peer().followLive(link, { signal: controller.signal });
        const next = parts.next().then(({ done }) => `done ${done}`, ({ name, code }) => (name === "AbortError" ? name : code));
        if (how === "signal") controller.abort();
        else await harness.close();
        return next;
      },
      [link, how],
    );
  expect(await waiting("signal")).toBe("AbortError");
  for (const wrong of ["peeredge-live:x/y", `${link}/z`, link.replace("/silent", "")]) {
    expect(await refusal(b.run((link) => harness.peer().followLive(link), wrong)), wrong).toMatch("a live link is");
  }
  expect(await waiting("peer")).toBe("closed");
});
