// How the service worker goes on from the network, against servers of every kind.
import { expect, test, vi } from "vitest";
import { OtherFile, Rest } from "../../../js/src/sw/rest.js";

const LENGTH = 200_000;
const FILE = Uint8Array.from({ length: LENGTH }, (_, at) => (at * 2654435761) >>> 13);
const AT = 50_000;

type Answer = (range: [number, number] | null, init: RequestInit) => Response | Promise<Response>;

/** Reads the rest from `AT` on while `fetch` answers as the list says, its last entry for ever. */
async function read(answers: Answer[], { until = LENGTH, tail = FILE.slice(AT - 8192, AT), stallMs = 200 } = {}) {
  const asked: (string | null)[] = [];
  const real = globalThis.fetch;
  globalThis.fetch = (async (_: string, init: RequestInit) => {
    const range = new Headers(init.headers).get("range");
    const answer = answers[Math.min(asked.length, answers.length - 1)]!;
    asked.push(range);
    const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    return answer(match ? [Number(match[1]), Number(match[2])] : null, init);
  }) as typeof fetch;
  try {
    const rest = new Rest(new Request("http://site.example/film.mp4"), AT, until, LENGTH, tail, stallMs);
    const bytes: number[] = [];
    let error: unknown = null;
    try {
      for (let chunk; (chunk = await rest.read()); ) for (const byte of chunk) bytes.push(byte);
    } catch (thrown) {
      error = thrown;
    }
    const isRight = bytes.length === until - AT && bytes.every((byte, n) => byte === FILE[AT + n]);
    const noneWrong = bytes.every((byte, n) => byte === FILE[AT + n]);
    return { isRight, noneWrong, error, asked: asked.length, ranges: asked };
  } finally {
    globalThis.fetch = real;
  }
}

const part = (headers: Record<string, string> = {}, file = FILE): Answer => (range) => {
  if (!range) return new Response(file.slice(), { headers });
  const body = file.slice(range[0], range[1] + 1);
  return new Response(body, { status: 206, headers: { "content-range": `bytes ${range[0]}-${range[1]}/${file.length}`, ...headers } });
};
const status = (status: number, headers: Record<string, string> = {}): Answer => () => new Response("no", { status, headers });
const short: Answer = (range) => {
  const [from, last] = range!;
  let sent = false;
  const body = new ReadableStream({
    pull(controller) {
      if (sent) return controller.error(new TypeError("reset"));
      sent = true;
      controller.enqueue(FILE.slice(from, Math.min(from + 40_000, last + 1)));
    },
  });
  return new Response(body, { status: 206, headers: { "content-range": `bytes ${from}-${last}/${LENGTH}` } });
};
const silent: Answer = (_, { signal }) => new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
const other = Uint8Array.from(FILE, (byte) => byte ^ 1);
/** So many bytes under their right name, and behind them others that are no part of it. */
function overlong(length: number, behind: Uint8Array<ArrayBuffer> | null): Answer {
  return (range) => {
    const [from, last] = range!;
    const end = Math.min(from + length, last + 1);
    let turn = 0;
    const body = new ReadableStream({
      pull(controller) {
        turn += 1;
        if (turn === 1) controller.enqueue(FILE.slice(from, end));
        else controller.enqueue(behind?.slice() ?? other.slice(0, 1000));
        if (behind && (turn === 2 || end === LENGTH)) controller.close();
      },
    });
    return new Response(body, { status: 206, headers: { "content-range": `bytes ${from}-${end - 1}/${LENGTH}` } });
  };
}

test("an exemplary server is asked once, for a few bytes before as well", async () => {
  const { isRight, ranges } = await read([part()]);
  expect(isRight).toBe(true);
  expect(ranges).toEqual([`bytes=${AT - 8192}-${LENGTH - 1}`]);
});

test.each<[string, Answer[]]>([
  ["one 503", [status(503), part()]],
  ["a 503 with a time", [status(503, { "retry-after": "0" }), part()]],
  ["a 429", [status(429), part()]],
  ["a reset", [() => Promise.reject(new TypeError("reset")), part()]],
  ["one that closes early and would go on", [short]],
  ["one without ranges", [() => new Response(FILE.slice(), { headers: { "content-length": String(LENGTH) } })]],
  ["one that compresses, and knows no ranges of that", [() => new Response(FILE.slice(), { headers: { "content-encoding": "gzip", "content-length": "777" } })]],
  ["one that gives a part of what it compressed", [part({ "content-encoding": "gzip" }), () => new Response(FILE.slice(), { headers: { "content-encoding": "br" } })]],
  ["an odd Content-Range", [part({ "content-range": `Bytes  ${AT - 8192} - ${LENGTH - 1} / *` })]],
  ["a Content-Range that begins earlier", [() => new Response(FILE.slice(1000), { status: 206, headers: { "content-range": `bytes 1000-${LENGTH - 1}/${LENGTH}` } })]],
  ["a part that goes on behind its end with something else", [overlong(60_000, other.subarray(0, 70_000))]],
  ["a part that goes on behind its end without end", [overlong(60_000, null)]],
  ["a shorter part than asked for", [(range) => part()([range![0], Math.min(range![0] + 60_000, range![1])], {})]],
])("%s does not end the body", async (_, answers) => {
  const { isRight, error } = await read(answers);
  expect(error).toBeNull();
  expect(isRight).toBe(true);
});

test("a server that cuts whatever is longer than 64 KiB gives all of a long file", async () => {
  const length = 24 << 20;
  let asked = 0;
  const real = globalThis.fetch;
  globalThis.fetch = (async (_: string, init: RequestInit) => {
    const [, from = 0, last = length - 1] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("range") ?? "")?.map(Number) ?? [];
    asked += 1;
    const body = last - from < 65_536 ? new Uint8Array(last + 1 - from) : new ReadableStream({ pull: (controller) => controller.error(new TypeError("cut")) });
    return new Response(body, { status: 206, headers: { "content-range": `bytes ${from}-${last}/${length}` } });
  }) as typeof fetch;
  vi.useFakeTimers();
  try {
    const rest = new Rest(new Request("http://site.example/film.mp4"), 0, length, length, new Uint8Array(), 1000);
    let came = 0;
    const all = (async () => {
      for (let chunk; (chunk = await rest.read()); ) came += chunk.byteLength;
    })();
    const over = all.then(() => true, () => true);
    for (let done = false; !done; done = await Promise.race([over, vi.advanceTimersByTimeAsync(20_000).then(() => false)]));
    await all;
    expect(came).toBe(length);
    expect(asked).toBeLessThan(1000);
  } finally {
    vi.useRealTimers();
    globalThis.fetch = real;
  }
});

test("a server without ranges that closes a little later each time is not asked for the file's square", async () => {
  let asked = 0;
  let sent = 0;
  const later: Answer = () => {
    const end = AT + 1000 * ++asked;
    sent += end;
    let turn = 0;
    const body = new ReadableStream({
      pull: (controller) => (++turn === 1 ? controller.enqueue(FILE.slice(0, end)) : controller.error(new TypeError("reset"))),
    });
    return new Response(body, { headers: { "content-length": String(LENGTH) } });
  };
  const { error, noneWrong } = await read([later], { stallMs: 10 });
  expect(error).toBeInstanceOf(TypeError);
  expect(noneWrong).toBe(true);
  expect(sent).toBeLessThan(6 * AT);
});

test("a part that is none of what was asked for, and goes on without end, is given up", async () => {
  const { error, asked, noneWrong } = await read([() => overlong(10, null)([0, 100], {})], { stallMs: 10 });
  expect(error).not.toBeNull();
  expect(noneWrong).toBe(true);
  expect(asked).toBeLessThanOrEqual(5);
});

test("a silent server is given up within seconds, and asked a bounded number of times", async () => {
  const { error, asked } = await read([() => Promise.reject(new TypeError("down"))], { stallMs: 10 });
  expect(error).toBeInstanceOf(TypeError);
  expect(asked).toBe(5);
  const once = await read([silent, part()], { stallMs: 10 });
  expect(once.isRight).toBe(true);
});

test.each<[string, Answer[], number?]>([
  ["other bytes of the same length", [part({}, other)]],
  ["the whole of another file", [() => new Response(other.slice(), { headers: { "content-length": String(LENGTH) } })]],
  ["another length", [() => new Response(FILE.slice(0, LENGTH - 1), { headers: { "content-length": String(LENGTH - 1) } })]],
  ["a longer file, compressed", [() => new Response(new Uint8Array([...FILE, 1]), { headers: { "content-encoding": "gzip" } })]],
  ["another length in Content-Range", [part({ "content-range": `bytes ${AT}-${LENGTH - 1}/${LENGTH + 1}` })]],
  ["a part that begins too late", [part({ "content-range": `bytes ${AT + 1}-${LENGTH - 1}/${LENGTH}` })]],
  ["a 416", [status(416)]],
  ["another version after a break", [short, part({ etag: '"2"' })].map((answer, n) => (n ? answer : withEtag(answer, '"1"')))],
])("two files are never joined: %s", async (_, answers) => {
  const { error, noneWrong } = await read(answers);
  expect(error).toBeInstanceOf(OtherFile);
  expect(noneWrong).toBe(true);
});

test("answers that never reach the next byte end", async () => {
  const { error, asked } = await read([part({ "content-range": `bytes 0-10/${LENGTH}` })], { stallMs: 10 });
  expect(error).not.toBeNull();
  expect(asked).toBeLessThanOrEqual(5);
});

test("a server that says no is not asked on and on", async () => {
  for (const code of [401, 403, 404, 410]) expect((await read([status(code)])).asked, String(code)).toBe(1);
});

function withEtag(answer: Answer, etag: string): Answer {
  return async (range, init) => {
    const response = await answer(range, init);
    response.headers.set("etag", etag);
    return response;
  };
}
