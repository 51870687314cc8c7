import { describe, expect, test } from "vitest";
import { PageRequest } from "../../../js/src/request.js";

const ID = "2".repeat(51) + "a";
const head = (over: object = {}) =>
  ({ type: "head", request: 1, start: 0, end: 10, length: 10, name: "a.bin", mediaType: "video/mp4", ...over }) as const;
const data = (length: number) => ({ type: "data", request: 1, bytes: new Uint8Array(length) }) as const;
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

function make(ranged = false, signal: AbortSignal | null = null) {
  const log = { pulled: 0, aborts: 0, ends: 0 };
  const request = new PageRequest(ID, ranged, signal, {
    pull: (bytes) => (log.pulled += bytes),
    abort: () => (log.aborts += 1),
    ended: () => (log.ends += 1),
  });
  return { request, log };
}

describe("a request", () => {
  test("answers like a server with ranges", async () => {
    const whole = make();
    whole.request.receive(head({ name: "ä 'x'.mp4" }));
    const response = await whole.request.response;
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
    const partial = await part.request.response;
    expect([partial.status, partial.headers.get("content-range")]).toEqual([206, "bytes 3-4/10"]);
    const behind = make(true);
    behind.request.receive({ type: "failed", request: 1, code: "range_not_satisfiable", message: "", length: 10 });
    const unsatisfied = await behind.request.response;
    expect([unsatisfied.status, unsatisfied.headers.get("content-range")]).toEqual([416, "bytes */10"]);
    expect(behind.log.ends).toBe(1);
  });

  test("a publisher's odd words cannot break the headers", async () => {
    const { request } = make();
    request.receive(head({ mediaType: "video/mp4\r\nx: y", name: "\ud800\r\n\"" }));
    const response = await request.response;
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("x")).toBeNull();
  });

  test("pulls what its reader takes, and 4 MiB ahead", async () => {
    const { request, log } = make();
    request.receive(head({ end: 100 << 20, length: 100 << 20 }));
    const reader = (await request.response).body!.getReader();
    await turn();
    expect(log.pulled).toBe(4 << 20);
    for (let at = 0; at < 4; at++) request.receive(data(1 << 20));
    await turn();
    expect(log.pulled).toBe(4 << 20);
    await reader.read();
    await reader.read();
    await turn();
    expect(log.pulled).toBe(6 << 20);
  });

  test("ends when everything has come", async () => {
    const { request, log } = make();
    request.receive(head());
    request.receive(data(10));
    request.receive({ type: "done", request: 1 });
    expect((await (await request.response).arrayBuffer()).byteLength).toBe(10);
    expect(log).toMatchObject({ ends: 1, aborts: 0 });
  });

  test("fails with a code, before and behind its head", async () => {
    const failed = { type: "failed", request: 1, code: "unavailable", message: "no one", length: NaN } as const;
    const early = make();
    early.request.receive(failed);
    await expect(early.request.response).rejects.toMatchObject({ name: "PeerEdgeError", code: "unavailable" });
    const late = make();
    late.request.receive(head());
    late.request.receive(failed);
    await expect((await late.request.response).arrayBuffer()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("an abort ends it with the signal's reason, and tells the engine once", async () => {
    const controller = new AbortController();
    const { request, log } = make(false, controller.signal);
    request.receive(head());
    const body = (await request.response).arrayBuffer();
    controller.abort();
    await expect(body).rejects.toMatchObject({ name: "AbortError" });
    request.receive(data(10));
    expect(log).toMatchObject({ ends: 1, aborts: 1 });
  });

  test("a body that is cancelled is aborted", async () => {
    const { request, log } = make();
    request.receive(head());
    await (await request.response).body!.cancel();
    expect(log).toMatchObject({ ends: 1, aborts: 1 });
  });
});
