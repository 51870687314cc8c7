import { describe, expect, test } from "vitest";
import { Held, PageRequest } from "../../../js/src/request.js";

const ID = "2".repeat(51) + "a";
const head = (over: object = {}) =>
  ({ type: "head", request: 1, start: 0, end: 10, length: 10, name: "a.bin", mediaType: "video/mp4", ...over }) as const;
const data = (length: number) => ({ type: "data", request: 1, bytes: new Uint8Array(length) }) as const;
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

function make(ranged = false, signal: AbortSignal | null = null, held = new Held(), headOnly = false) {
  const log = { pulled: 0, aborts: 0, ends: 0 };
  const events = {
    pull: (bytes: number) => (log.pulled += bytes),
    abort: () => (log.aborts += 1),
    ended: () => (log.ends += 1),
  };
  return { ...PageRequest.begin(ID, ranged, signal, events, held, headOnly), log };
}

describe("a request", () => {
  test("answers like a server with ranges", async () => {
    const whole = make();
    whole.request.receive(head({ name: "ä 'x'.mp4" }));
    const response = await whole.response;
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "accept-ranges": "bytes",
      "content-length": "10",
      "content-type": "video/mp4",
      "content-disposition": "inline; filename*=UTF-8''%C3%A4%20%27x%27.mp4",
      etag: `"${ID}"`,
    });
    const part = make(true);
    part.request.receive(head({ start: 3, end: 5 }));
    const partial = await part.response;
    expect([partial.status, partial.headers.get("content-range")]).toEqual([206, "bytes 3-4/10"]);
    const behind = make(true);
    behind.request.receive({ type: "failed", request: 1, code: "range_not_satisfiable", message: "", length: 10 });
    const unsatisfied = await behind.response;
    expect([unsatisfied.status, unsatisfied.headers.get("content-range")]).toEqual([416, "bytes */10"]);
    expect(behind.log.ends).toBe(1);
  });

  test("a publisher's odd words cannot break the headers", async () => {
    const { request, response: promise } = make();
    request.receive(head({ mediaType: "video/mp4\r\nx: y", name: "\ud800\r\n\"" }));
    const response = await promise;
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("x")).toBeNull();
  });

  test("pulls a little ahead of a reader, the more the more it reads, and 4 MiB at most", async () => {
    const { request, response, log } = make();
    request.receive(head({ end: 100 << 20, length: 100 << 20 }));
    const reader = (await response).body!.getReader();
    await turn();
    expect(log.pulled).toBe(256 << 10);
    let came = 0;
    let read = 0;
    let most = 0;
    while (read < 50 << 20) {
      while (came < log.pulled) {
        const bytes = Math.min(128 << 10, log.pulled - came);
        request.receive(data(bytes));
        came += bytes;
      }
      most = Math.max(most, came - read);
      read += (await reader.read()).value!.byteLength;
    }
    expect(most).toBe(4 << 20);
    // A reader that stops gets no more.
    await turn();
    expect(log.pulled - read).toBeLessThanOrEqual(4 << 20);
  });

  test("a read that waits, and several, get what comes", async () => {
    const { request, response } = make();
    request.receive(head());
    const reader = (await response).body!.getReader();
    const reads = [reader.read(), reader.read(), reader.read()];
    await turn();
    request.receive(data(4));
    request.receive(data(6));
    request.receive({ type: "done", request: 1 });
    expect((await Promise.all(reads)).map(({ value, done }) => value?.byteLength ?? done)).toEqual([4, 6, true]);
  });

  test("any number of responses that nobody reads hold 48 MiB together, and a reader goes on beside them", async () => {
    const held = new Held();
    const all = Array.from({ length: 300 }, () => make(false, null, held));
    const fill = ({ request, log }: ReturnType<typeof make>, came: number) => {
      if (log.pulled > came) request.receive(data(log.pulled - came));
      return log.pulled;
    };
    for (const one of all) one.request.receive(head({ end: 100 << 20, length: 100 << 20 }));
    await turn();
    for (const one of all) fill(one, 0);
    const sum = () => all.reduce((sum, { log }) => sum + log.pulled, 0);
    expect(sum()).toBe(48 << 20);
    const last = all.at(-1)!;
    expect(last.log.pulled).toBe(0);
    const reader = (await last.response).body!.getReader();
    let read = 0;
    for (let came = 0; read < 1 << 20; ) {
      const reading = reader.read();
      await turn();
      came = fill(last, came);
      read += (await reading).value!.byteLength;
    }
    expect(sum() - read).toBeLessThanOrEqual((48 << 20) + (64 << 10));
    // One that is given up makes room for those that got nothing.
    await (await all[0]!.response).body!.cancel();
    await turn();
    expect(all[0]!.log).toMatchObject({ aborts: 1, ends: 1 });
    expect(all.slice(1, -1).filter(({ log }) => log.pulled > 0).length).toBeGreaterThanOrEqual(192);
  });

  test("only its head: status and headers, no body, and nothing is pulled", async () => {
    const { request, response, log } = make(false, null, new Held(), true);
    request.receive(head());
    const answer = await response;
    expect([answer.status, answer.body, answer.headers.get("content-length")]).toEqual([200, null, "10"]);
    expect(log).toEqual({ pulled: 0, aborts: 1, ends: 1 });
  });

  test("ends when everything has come", async () => {
    const { request, response, log } = make();
    request.receive(head());
    request.receive(data(10));
    request.receive({ type: "done", request: 1 });
    expect((await (await response).arrayBuffer()).byteLength).toBe(10);
    expect(log).toMatchObject({ ends: 1, aborts: 0 });
  });

  test("fails with a code, before and behind its head", async () => {
    const failed = { type: "failed", request: 1, code: "unavailable", message: "no one", length: NaN } as const;
    const early = make();
    early.request.receive(failed);
    await expect(early.response).rejects.toMatchObject({ name: "PeerEdgeError", code: "unavailable" });
    const late = make();
    late.request.receive(head());
    late.request.receive(failed);
    await expect((await late.response).arrayBuffer()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("an abort ends it with the signal's reason, and tells the engine once", async () => {
    const controller = new AbortController();
    const { request, response, log } = make(false, controller.signal);
    request.receive(head());
    const body = (await response).arrayBuffer();
    controller.abort();
    await expect(body).rejects.toMatchObject({ name: "AbortError" });
    request.receive(data(10));
    expect(log).toMatchObject({ ends: 1, aborts: 1 });
  });

  test("a body that is cancelled is aborted", async () => {
    const { request, response, log } = make();
    request.receive(head());
    await (await response).body!.cancel();
    expect(log).toMatchObject({ ends: 1, aborts: 1 });
  });
});
