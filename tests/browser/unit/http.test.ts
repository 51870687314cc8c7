// The engine's plain HTTP against real servers that misbehave.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { Http, type HttpResult } from "../../../js/src/engine/http.js";

const LENGTH = 12_000_000;
const FILE = Buffer.from(Uint8Array.from({ length: LENGTH }, (_, at) => (at * 2654435761) >>> 13));
const RUN = 128 << 10;

let close = () => {};
afterEach(() => close());

/** A server, and a client that asks it for runs; what it was asked for, and how many bytes it has sent. */
async function served(answer: (range: [number, number] | null, response: ServerResponse, request: IncomingMessage) => void) {
  const state = { asked: 0, sent: 0 };
  const server = createServer((request, response) => {
    state.asked += 1;
    const write = response.write.bind(response);
    response.write = ((chunk: Buffer) => ((state.sent += chunk.length), write(chunk))) as typeof response.write;
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    answer(match ? [Number(match[1]), Number(match[2])] : null, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mp4`;
  const waiting = new Map<number, (result: HttpResult) => void>();
  const http = new Http((token, result) => waiting.get(token)?.(result));
  let token = 0;
  const get = (start: number, end: number, timeoutMs = 15_000) =>
    new Promise<HttpResult>((resolve) => {
      waiting.set(++token, resolve);
      http.get(token, url, start, end, timeoutMs);
    });
  close = () => {
    http.cancelAll();
    server.closeAllConnections();
    server.close();
  };
  return { get, state, http };
}

const isPart = (result: HttpResult, start: number, end: number) => "body" in result && Buffer.from(result.body).equals(FILE.subarray(start, end));
const partial = (response: ServerResponse, [from, last]: [number, number], headers = {}) => {
  response.writeHead(206, { "content-range": `bytes ${from}-${last}/${LENGTH}`, "content-length": last + 1 - from, ...headers });
  response.end(FILE.subarray(from, last + 1));
};
/** The whole, a piece at a time, as long as somebody reads. */
const whole = (response: ServerResponse) => {
  response.writeHead(200, { "content-length": LENGTH });
  let at = 0;
  const go = () => {
    while (at < LENGTH && !response.destroyed) {
      const piece = FILE.subarray(at, at + 65_536);
      at += piece.length;
      if (!response.write(piece)) return void response.once("drain", go);
    }
    response.end();
  };
  go();
};

test("a server that ignores ranges sends its file once, not once for each range", async () => {
  const { get, state } = await served((_, response) => whole(response));
  for (let at = 0; at < LENGTH; at += 3 * RUN) {
    const starts = [at, at + RUN, at + 2 * RUN].filter((start) => start < LENGTH);
    const results = await Promise.all(starts.map((start) => get(start, Math.min(start + RUN, LENGTH))));
    results.forEach((result, n) => expect(isPart(result, starts[n]!, Math.min(starts[n]! + RUN, LENGTH))).toBe(true));
  }
  // Three were under way when that was found out.
  expect(state.asked).toBeLessThanOrEqual(3);
  expect(state.sent).toBeLessThan(2 * LENGTH);
  // What lies behind is not asked for again.
  expect(await get(0, RUN)).toEqual({ status: 200 });
  expect(state.asked).toBeLessThanOrEqual(3);
}, 60_000);

test("a small file whole is as good as a range", async () => {
  const { get } = await served((_, response) => response.writeHead(200, { "content-length": 1000 }).end(FILE.subarray(0, 1000)));
  expect(isPart(await get(0, 1000), 0, 1000)).toBe(true);
});

test("a server that names a time is not asked before", async () => {
  const { get, state } = await served((_, response) => response.writeHead(503, { "retry-after": "30" }).end());
  expect(await get(0, RUN)).toEqual({ status: 503 });
  expect(await get(RUN, 2 * RUN)).toEqual({ status: 503 });
  expect(state.asked).toBe(1);
});

test.each<[string, (range: [number, number], response: ServerResponse) => void, number]>([
  ["another part than was asked for", (range, response) => partial(response, range, { "content-range": `bytes 0-${RUN - 1}/${LENGTH}` }), 0],
  ["a Content-Range that is none", (range, response) => partial(response, range, { "content-range": "bytes */*" }), 0],
  ["a part of a compressed file", (range, response) => {
    const body = gzipSync(FILE.subarray(range[0], range[1] + 1));
    response.writeHead(206, { "content-encoding": "gzip", "content-length": body.length }).end(body);
  }, 200],
  ["more than was asked for", (range, response) => {
    response.writeHead(206, { "content-range": `bytes ${range[0]}-${range[1]}/${LENGTH}` });
    response.end(FILE.subarray(range[0], range[1] + 2));
  }, 0],
  ["a 404 with an endless body", (_, response) => {
    response.writeHead(404);
    const go = () => void (!response.destroyed && response.write(FILE.subarray(0, 65_536)) && setImmediate(go));
    response.on("drain", go);
    go();
  }, 404],
  ["a redirect that leads nowhere", (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), 0],
  ["huge headers", (_, response) => response.writeHead(206, { "x-huge": "a".repeat(300_000) }).end(), 0],
  ["a reset", (_, response) => response.destroy(), 0],
])("%s is no answer", async (_, answer, status) => {
  const { get, state } = await served((range, response) => answer(range!, response));
  expect(await get(3 * RUN, 4 * RUN)).toEqual({ status });
  expect(state.sent).toBeLessThan(8 << 20);
});

test("a short answer is given as it is: the engine takes what is whole of it, and asks again", async () => {
  const { get } = await served((range, response) => partial(response, [range![0], range![0] + 40_000]));
  const result = await get(RUN, 2 * RUN);
  expect("body" in result && result.body.byteLength).toBe(40_001);
});

test("an endless body where a manifest was asked for is not read on", async () => {
  const { get, state } = await served((_, response) => {
    response.writeHead(200);
    const go = () => void (!response.destroyed && response.write(FILE.subarray(0, 65_536)) && setImmediate(go));
    response.on("drain", go);
    go();
  });
  expect(await get(NaN, NaN)).toEqual({ status: 0 });
  expect(state.sent).toBeLessThan(16 << 20);
});

test("a silent server is given up after the time that the engine gave", async () => {
  const { get } = await served(() => {});
  expect(await get(0, RUN, 300)).toEqual({ status: 0 });
});
