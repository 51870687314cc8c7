import { describe, expect, test } from "vitest";
import { bodyOf, Follower, liveLink, liveOf, type LiveNews } from "../../../js/src/live.js";
import type { LivePart } from "../../../js/src/types.js";

const KEY = "2".repeat(51) + "a";
const id = (number: number) => `${"a".repeat(50)}${String(number).padStart(2, "a")}`;
const news = (first: number, count: number, over: Partial<LiveNews> = {}): LiveNews => ({
  first,
  gapFrom: NaN,
  newBroadcast: false,
  ended: false,
  parts: Array.from({ length: count }, (_, at) => [id(first + at), 1000 + at, 2000]),
  ...over,
});

function make(signal: AbortSignal | null = null) {
  const log = { stops: 0 };
  return { follower: new Follower(signal, () => (log.stops += 1)), log };
}

async function numbers(follower: Follower): Promise<number[]> {
  const read: number[] = [];
  for await (const { number } of follower) read.push(number);
  return read;
}

describe("a live link", () => {
  test("holds any name", () => {
    for (const name of ["match", "1/2 ?#%", "ü", "x".repeat(255)]) {
      const link = liveLink({ publisher: KEY, name });
      expect(link).toMatch(/^peeredge-live:[a-z2-7]{52}\/[^/?#\s]+$/);
      expect(liveOf(link)).toEqual({ publisher: KEY, name });
    }
  });

  test("of another form is refused", () => {
    for (const wrong of ["", "peeredge-live:", `peeredge-live:${KEY}`, `peeredge-live:${KEY}/`, `peeredge-live:${KEY}/a/b`, `peeredge:${KEY}`, `peeredge-live:${KEY}/%ff`]) {
      expect(() => liveOf(wrong), wrong).toThrow(expect.objectContaining({ code: "invalid_link" }));
    }
    expect(() => liveLink({ publisher: KEY, name: "\ud800" })).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });
});

describe("a follower", () => {
  test("gives parts in order, those that came before it was read and those that come while it waits, until the end", async () => {
    const { follower, log } = make();
    follower.receive(news(5, 2));
    const read = numbers(follower);
    await Promise.resolve();
    follower.receive(news(7, 1));
    follower.receive(news(8, 1, { ended: true }));
    expect(await read).toEqual([5, 6, 7, 8]);
    expect(log.stops).toBe(1);
  });

  test("drops what was not read of a broadcast when another one begins", async () => {
    const { follower } = make();
    follower.receive(news(0, 3));
    follower.receive(news(0, 1, { newBroadcast: true, ended: true }));
    expect(await numbers(follower)).toEqual([0]);
  });

  const gaps = async (...told: LiveNews[]) => {
    const { follower } = make();
    const read: (LivePart["gap"] | number)[] = [];
    for (const one of told) {
      follower.receive(one);
      for (const _ of one.parts) {
        const { value } = await follower.next();
        read.push(value!.gap ?? value!.number);
      }
    }
    return read;
  };

  test("says what was missed, and whether what follows was checked against what came before", async () => {
    const missed = { from: 6, to: 100, checked: false };
    expect(await gaps(news(5, 1), news(100, 2, { gapFrom: 6 }), news(102, 1))).toEqual([5, missed, 101, 102]);
    // One who begins has missed nothing.
    expect(await gaps(news(936, 1))).toEqual([936]);
  });

  test("never takes another broadcast for the next part of the one before", async () => {
    const other = (first: number) => news(first, 1, { newBroadcast: true });
    expect(await gaps(news(5, 1), other(0))).toEqual([5, 0]);
    for (const first of [3, 6, 7]) expect(await gaps(news(5, 1), other(first))).toEqual([5, { from: 0, to: first, checked: false }]);
  });

  test("tells what a slow reader let go from what nobody could check", async () => {
    const { follower } = make();
    follower.receive(news(0, 1));
    await follower.next();
    follower.receive(news(1, 1100));
    expect((await follower.next()).value!.gap).toEqual({ from: 1, to: 77, checked: true });
    follower.receive(news(2000, 1100, { gapFrom: 1101 }));
    expect((await follower.next()).value!.gap).toEqual({ from: 78, to: 2076, checked: false });
  });

  test("keeps a bound of what nobody reads", async () => {
    const { follower } = make();
    for (let first = 0; first < 6400; first += 64) follower.receive(news(first, 64, { ended: first === 6336 }));
    const read = await numbers(follower);
    expect([read.length, read[0], read.at(-1)]).toEqual([1024, 6400 - 1024, 6399]);
  });

  test("ends all its waits with its signal's reason, with its peer, and with its loop", async () => {
    const controller = new AbortController();
    const aborted = make(controller.signal);
    const waits = [aborted.follower.next(), aborted.follower.next()];
    controller.abort(new Error("enough"));
    for (const wait of waits) await expect(wait).rejects.toThrow("enough");
    const left = make();
    left.follower.receive(news(0, 3));
    for await (const { number } of left.follower) if (number === 1) break;
    expect(await left.follower.next()).toEqual({ done: true, value: undefined });
    expect([aborted.log.stops, left.log.stops > 0]).toEqual([1, true]);
  });
});

describe("the body of a live link", () => {
  const texts = (link: string) => Promise.resolve(new Response(`<${link.slice(-2)}>`));
  const bodyAfter = (...told: LiveNews[]) => {
    const { follower } = make();
    told.forEach((one) => follower.receive(one));
    return new Response(bodyOf(follower as AsyncIterator<LivePart>, texts)).text();
  };

  test("is its parts one behind the other", async () => {
    expect(await bodyAfter(news(10, 3, { ended: true }))).toBe("<10><11><12>");
  });

  test("has no gap: it fails where parts were missed", async () => {
    await expect(bodyAfter(news(10, 1), news(20, 1, { ended: true }))).rejects.toMatchObject({ code: "unavailable" });
    const { follower } = make();
    follower.receive(news(10, 1));
    const reader = bodyOf(follower as AsyncIterator<LivePart>, texts).getReader();
    await reader.read();
    follower.receive(news(11, 1, { newBroadcast: true, ended: true }));
    await expect(reader.read()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("ends where another broadcast begins", async () => {
    const { follower } = make();
    follower.receive(news(10, 1));
    const reader = bodyOf(follower, texts).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("<10>");
    follower.receive(news(0, 1, { newBroadcast: true }));
    expect((await reader.read()).done).toBe(true);
  });
});
