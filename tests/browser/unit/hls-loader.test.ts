// The loader for hls.js between a peer and hls.js's own loader, on a clock of its own.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { hlsLoader } from "../../../js/src/hls/index.js";
import type { Peer } from "../../../js/src/types.js";

const LINK = `peeredge:${"a".repeat(52)}`;
const SEGMENT_BYTES = 750_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  vi.stubGlobal("document", { baseURI: "http://site.example/film.html" });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A peer that gives so many bytes a second from `headMs` on, or as fast as the server once that is called for. */
function peerOf({ bytesPerSecond = 0, headMs = 100, peers = 1, originHelps = false, length = SEGMENT_BYTES } = {}) {
  const log = { origins: [] as string[], paces: [] as (number | undefined)[], aborted: 0 };
  const peer = {
    stats: async () => ({ peers: Array(peers).fill({}) }),
    fetch: async (_: string, { signal, origin, bytesPerSecond: pace }: { signal: AbortSignal; origin?: Promise<string>; bytesPerSecond?: number }) => {
      log.paces.push(pace);
      signal.addEventListener("abort", () => (log.aborted += 1));
      let rate = bytesPerSecond;
      void origin?.then((address) => {
        log.origins.push(address);
        if (originHelps) rate = 5_000_000;
      });
      await new Promise((resolve) => setTimeout(resolve, headMs));
      let left = length;
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          const bytes = Math.min(Math.round(rate / 20), left);
          left -= bytes;
          if (bytes > 0) controller.enqueue(new Uint8Array(bytes));
          if (left === 0) controller.close();
          else if (bytes === 0) await new Promise(() => {});
        },
      });
      return new Response(body, { headers: { "content-length": String(length) } });
    },
  };
  return { peer: peer as unknown as Peer, log };
}

/** hls.js's own loader: answers after `ms`, with bytes and times as XhrLoader has them. */
function networkOf({ ms = 200, fails = false } = {}) {
  const log = { asked: 0 };
  class Network {
    stats: any = { loading: { start: 0, first: 0, end: 0 }, loaded: 0, total: 0, chunkCount: 0 };
    #callbacks: any;
    load(context: any, _: unknown, callbacks: any) {
      // As XhrLoader does.
      if (this.stats.loading.start) throw new Error("Loader can only be used once.");
      log.asked += 1;
      this.#callbacks = callbacks;
      this.stats.loading.start = performance.now();
      setTimeout(() => {
        if (!this.#callbacks) return;
        if (fails) return this.#callbacks.onError({ code: 503, text: "busy" }, context, null, this.stats);
        const now = performance.now();
        Object.assign(this.stats.loading, { first: now - ms / 2, end: now });
        Object.assign(this.stats, { loaded: SEGMENT_BYTES, total: SEGMENT_BYTES, chunkCount: 3 });
        this.#callbacks.onProgress?.(this.stats, context, new ArrayBuffer(SEGMENT_BYTES), null);
        this.#callbacks.onSuccess({ url: context.url, data: new ArrayBuffer(SEGMENT_BYTES), code: 200 }, this.stats, context, null);
      }, ms);
    }
    abort() {}
    destroy() {
      this.#callbacks = null;
    }
  }
  return { Network, log };
}

function begin(loading: ReturnType<typeof hlsLoader>, context: object = {}) {
  const loader = new loading.loader({});
  // hls.js takes it before the request begins.
  const stats = loader.stats;
  const ended = new Promise<any>((resolve) => {
    const at = () => performance.now();
    loader.load({ url: "http://site.example/0.m4s", responseType: "arraybuffer", frag: { start: 0, duration: 4, type: "main" }, ...context }, {}, {
      onProgress: () => {},
      onSuccess: (response: any, given: any) => resolve({ how: "success", at: at(), response, given }),
      onError: (error: any, _: any, __: any, given: any) => resolve({ how: "error", at: at(), error, given }),
      onTimeout: (given: any) => resolve({ how: "timeout", at: at(), given }),
      onAbort: () => resolve({ how: "abort", at: at() }),
    });
  });
  return { loader, stats, ended };
}

async function run(promise: Promise<any>, ms = 60_000) {
  let result: any = null;
  void promise.then((value) => (result = value));
  for (let passed = 0; passed < ms && !result; passed += 25) await vi.advanceTimersByTimeAsync(25);
  return result;
}

function make(peer: Peer, Network: any, options = {}) {
  return hlsLoader(peer, { network: Network, routes: { "/0.m4s": LINK }, ...options });
}

test("a good peer answers alone, and hls.js sees its bytes and times as they come", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 2_000_000 });
  const { Network, log: network } = networkOf();
  const loading = make(peer, Network);
  const { stats, ended } = begin(loading);
  await vi.advanceTimersByTimeAsync(300);
  expect(stats.loaded).toBeGreaterThan(100_000);
  expect(stats.total).toBe(SEGMENT_BYTES);
  const { how, given, response } = await run(ended);
  expect(how).toBe("success");
  expect(given).toBe(stats);
  expect(response.data.byteLength).toBe(SEGMENT_BYTES);
  expect(stats.loading.first - stats.loading.start).toBeGreaterThanOrEqual(100);
  expect(stats.loading.end).toBeGreaterThan(stats.loading.first);
  expect([network.asked, log.origins.length, loading.counts.peer]).toEqual([0, 0, 1]);
});

test("a trickle has the engine ask the very address that was asked for", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 60_000, originHelps: true });
  const { Network, log: network } = networkOf();
  const loading = make(peer, Network);
  const { how, at } = await run(begin(loading).ended);
  expect(how).toBe("success");
  expect(at).toBeLessThan(1000);
  expect(log.origins).toEqual(["http://site.example/0.m4s"]);
  expect([network.asked, loading.counts.peer]).toEqual([0, 1]);
});

test("where that does not help the network answers, and hls.js sees the network's bytes and times in the object that it holds", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 60_000 });
  const { Network } = networkOf();
  const loading = make(peer, Network);
  const { stats, ended } = begin(loading);
  const { how, at, given } = await run(ended);
  expect(how).toBe("success");
  expect(at).toBeLessThan(2500);
  expect(given).toBe(stats);
  // The waiting before belongs to no measurement of the network.
  expect(stats.loading.end - stats.loading.start).toBe(200);
  expect(stats.loading.first).toBeGreaterThan(stats.loading.start);
  expect([stats.loaded, stats.total, stats.chunkCount]).toEqual([SEGMENT_BYTES, SEGMENT_BYTES, 3]);
  expect(loading.counts).toMatchObject({ peer: 0, fallback: 1 });
  expect(log.aborted).toBe(1);
});

test("nobody there costs a quarter of the patience, and less from request to request", async () => {
  const { peer } = peerOf({ peers: 0, headMs: 60_000 });
  const loading = make(peer, networkOf({ ms: 10 }).Network);
  const waits = [];
  for (let n = 0; n < 6; n++) {
    const began = performance.now();
    waits.push((await run(begin(loading).ended)).at - began);
  }
  expect(waits[0]).toBeLessThan(500);
  expect(waits.at(-1)).toBeLessThan(100);
  expect(loading.counts.fallback).toBe(6);
});

test("a peer that was too slow is helped at once the next time", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 60_000, originHelps: true });
  const loading = make(peer, networkOf().Network);
  await run(begin(loading).ended);
  const began = performance.now();
  const { at } = await run(begin(loading).ended);
  expect(at - began).toBeLessThan(500);
  expect(log.origins.length).toBe(2);
});

test("a network that fails while the peer still gives something does not end the request", async () => {
  const { peer } = peerOf({ bytesPerSecond: 60_000 });
  const { Network, log } = networkOf({ fails: true });
  const { how, response } = await run(begin(make(peer, Network)).ended);
  expect(how).toBe("success");
  expect(response.data.byteLength).toBe(SEGMENT_BYTES);
  expect(log.asked).toBe(1);
});

test("both fail: hls.js hears the network's error", async () => {
  const peer = { stats: async () => ({ peers: [] }), fetch: () => Promise.reject(new Error("closed")) } as unknown as Peer;
  const { how, error } = await run(begin(make(peer, networkOf({ fails: true }).Network)).ended);
  expect([how, error.code]).toEqual(["error", 503]);
});

test("a link has no address: it is waited for, as long as hls.js waits", async () => {
  const { peer } = peerOf({ headMs: 5000, bytesPerSecond: 100_000 });
  const slow = await run(begin(make(peer, networkOf().Network), { url: LINK }).ended);
  expect(slow.how).toBe("success");
  const { peer: silent } = peerOf({ headMs: 60_000 });
  const { how, at } = await run(begin(make(silent, networkOf().Network), { url: LINK }).ended);
  expect(how).toBe("timeout");
  expect(at - slow.at).toBeLessThan(11_000);
});

test("a playlist that is too long to be one is not taken into memory", async () => {
  const { peer } = peerOf({ bytesPerSecond: 100e6, length: 20 << 20 });
  const { how } = await run(begin(make(peer, networkOf().Network), { url: LINK, responseType: "text" }).ended);
  expect(how).toBe("error");
});

test("what is played with much ahead is fetched at a pace", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 5_000_000 });
  const loading = make(peer, networkOf().Network);
  for (let n = 0; n < 6; n++) await run(begin(loading, { frag: { start: n * 4, duration: 4, type: "main" } }).ended);
  expect(log.paces[0]).toBeUndefined();
  expect(log.paces.at(-1)).toBeCloseTo((2 * SEGMENT_BYTES) / 4);
});

test("an abort ends both, and is said once", async () => {
  const { peer, log } = peerOf({ bytesPerSecond: 60_000 });
  const { loader, ended } = begin(make(peer, networkOf({ ms: 60_000 }).Network));
  await vi.advanceTimersByTimeAsync(5000);
  loader.abort();
  loader.abort();
  expect((await run(ended)).how).toBe("abort");
  expect(log.aborted).toBe(1);
  loader.destroy();
});
