import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Channels, QUEUE_BYTES_MAX } from "../../../js/src/engine/channels.js";
import { Http, type HttpResult } from "../../../js/src/engine/http.js";

/** A data channel that queues, and drains when told. */
class FakeChannel {
  binaryType = "blob";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  readyState = "connecting";
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;

  open() {
    this.readyState = "open";
    this.onopen?.();
  }
  send(message: Uint8Array) {
    if (this.readyState !== "open") throw new DOMException("closed", "InvalidStateError");
    this.bufferedAmount += message.byteLength;
  }
  drain(bytes: number) {
    const before = this.bufferedAmount;
    this.bufferedAmount = Math.max(0, before - bytes);
    const low = this.bufferedAmountLowThreshold;
    if (before > low && this.bufferedAmount <= low) this.onbufferedamountlow?.();
  }
  close() {
    this.readyState = "closed";
  }
}

function channels() {
  const log = { credit: 0, messages: [] as number[], closed: [] as number[] };
  const all = new Channels({
    opened: (_, bytes) => (log.credit += bytes),
    message: (_, message) => log.messages.push(message.byteLength),
    credit: (_, bytes) => (log.credit += bytes),
    closed: (connection) => log.closed.push(connection),
  });
  const channel = new FakeChannel();
  all.add(1, channel as unknown as RTCDataChannel);
  return { all, channel, log };
}

describe("data channels", () => {
  test("whoever keeps to the credit never queues more than the limit, and never starves", () => {
    const { all, channel, log } = channels();
    channel.open();
    const message = new Uint8Array(16 << 10);
    let [sent, seed] = [0, 1];
    for (let step = 0; step < 20_000; step++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      if (seed & 0x10000 && log.credit >= message.byteLength) {
        log.credit -= message.byteLength;
        sent += message.byteLength;
        all.send(1, message);
      } else {
        channel.drain(seed % 40_000);
      }
      expect(channel.bufferedAmount + log.credit).toBeLessThanOrEqual(QUEUE_BYTES_MAX);
    }
    expect(sent).toBeGreaterThan(100 * QUEUE_BYTES_MAX);
    channel.drain(Infinity);
    expect(log.credit).toBeGreaterThanOrEqual(message.byteLength);
  });

  test("a channel that was open when it came is opened all the same", () => {
    const { all, log } = channels();
    const channel = new FakeChannel();
    channel.readyState = "open";
    all.add(2, channel as unknown as RTCDataChannel);
    expect(log.credit).toBe(QUEUE_BYTES_MAX);
  });

  test("a text is a message without bytes, which no frame is", () => {
    const { channel, log } = channels();
    channel.open();
    channel.onmessage?.({ data: new ArrayBuffer(3) });
    channel.onmessage?.({ data: "text" });
    expect(log.messages).toEqual([3, 0]);
  });

  test("a closed channel is told of once; one that we close is not", () => {
    const { all, channel, log } = channels();
    channel.open();
    channel.readyState = "closed";
    all.send(1, new Uint8Array(1));
    channel.onclose?.();
    expect(log.closed).toEqual([1]);
    const other = new FakeChannel();
    all.add(2, other as unknown as RTCDataChannel);
    all.closeAll();
    other.onclose?.();
    expect(log.closed).toEqual([1]);
    expect(all.count).toBe(0);
  });
});

describe("plain HTTP", () => {
  let server: Server | null = null;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = null;
  });

  async function get(listener: RequestListener, start = NaN, end = NaN, timeoutMs = 5000): Promise<HttpResult> {
    server = createServer(listener);
    await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return new Promise((resolve) => {
      new Http((_, result) => resolve(result)).get(1, `http://127.0.0.1:${port}/`, start, end, timeoutMs);
    });
  }
  const all = Buffer.from("0123456789");
  const text = (result: HttpResult) => ("body" in result ? Buffer.from(result.body).toString() : result.status);

  test("gets a range", async () => {
    let asked: string | undefined;
    const result = await get(
      (request, response) => {
        asked = request.headers.range;
        response.writeHead(206).end(all.subarray(2, 5));
      },
      2,
      5,
    );
    expect([asked, text(result)]).toEqual(["bytes=2-4", "234"]);
  });

  test("cuts the range out of what a server without ranges sends", async () => {
    expect(text(await get((_, response) => response.end(all), 2, 5))).toBe("234");
    expect(text(await get((_, response) => response.end(all), 8, 12))).toBe("89");
  });

  test("a server that sends more than it says gives no answer", async () => {
    expect(await get((_, response) => response.writeHead(206).end(all), 2, 5)).toEqual({ status: 0 });
    const endless: RequestListener = (_, response) => {
      const more = () => response.write(Buffer.alloc(1 << 16), more);
      more();
    };
    expect(await get(endless)).toEqual({ status: 0 });
  });

  test("gives the status, or 0 when there is no answer in time", async () => {
    expect(await get((_, response) => response.writeHead(404).end())).toEqual({ status: 404 });
    expect(await get((request) => request.socket.destroy())).toEqual({ status: 0 });
    expect(await get(() => undefined, NaN, NaN, 50)).toEqual({ status: 0 });
  });
});
