import { expect, test } from "vitest";
import { Memory, Watch, type Advice } from "../../../js/src/watch.js";

const STALL_MS = 1500;

/** Looks every 50 ms while `bytesPerSecond` come of what is wanted; gives the first advice but to wait, and when. */
function run(watch: Watch, { bytesPerSecond, from, until = 20_000 }: { bytesPerSecond: number; from: number; until?: number }): [Advice, number] {
  for (let now = from + 50; now <= until; now += 50) {
    if (bytesPerSecond > 0) watch.got(now, bytesPerSecond / 20);
    const advice = watch.advise(now, true);
    if (advice !== "wait") return [advice, now];
  }
  return ["wait", until];
}

function begun(memory = new Memory(), wanted = 750_000, allowedMs = 0): Watch {
  const watch = new Watch(0, STALL_MS, memory);
  watch.head(100);
  watch.want(100, wanted, allowedMs);
  return watch;
}

test("a trickle has the server asked in a third of a second, and left to itself when that does not help", () => {
  const watch = begun();
  const [first, at] = run(watch, { bytesPerSecond: 60_000, from: 100 });
  expect(first).toBe("reserve");
  expect(at).toBeLessThanOrEqual(450);
  const [second, later] = run(watch, { bytesPerSecond: 60_000, from: at });
  expect(second).toBe("network");
  expect(later).toBeLessThanOrEqual(at + STALL_MS + 50);
});

test("what comes in time is left alone, and so is what nobody waits for", () => {
  expect(run(begun(), { bytesPerSecond: 2_000_000, from: 100, until: 450 })[0]).toBe("wait");
  // Slow, but the film has enough ahead.
  expect(run(begun(new Memory(), 750_000, 8000), { bytesPerSecond: 200_000, from: 100, until: 3800 })[0]).toBe("wait");
  const idle = new Watch(0, STALL_MS, new Memory());
  idle.head(0);
  expect(run(idle, { bytesPerSecond: 0, from: 0 })[0]).toBe("wait");
});

test("a pause of the reader is none of the peers'", () => {
  const watch = new Watch(0, STALL_MS, new Memory());
  watch.head(0);
  watch.want(0, 100_000);
  watch.got(50, 100_000);
  expect(watch.advise(60_000, true)).toBe("wait");
  watch.want(60_000, 100_000);
  expect(watch.advise(60_050, true)).toBe("wait");
});

test("silence after a good beginning is noticed", () => {
  const watch = begun(new Memory(), 10_000_000, 5000);
  for (let now = 150; now < 1000; now += 50) watch.got(now, 250_000);
  const [advice, at] = run(watch, { bytesPerSecond: 0, from: 1000 });
  expect(["reserve", "network"]).toContain(advice);
  expect(at).toBeLessThanOrEqual(1000 + STALL_MS);
});

test("where nobody is met the network is asked soon, and sooner the more often that was so", () => {
  const memory = new Memory();
  const waits = Array.from({ length: 6 }, () => {
    const watch = new Watch(0, STALL_MS, memory);
    for (let now = 0; ; now += 5) if (watch.advise(now, false) === "network") return now;
  });
  expect(waits[0]).toBe(STALL_MS / 4);
  expect(waits.at(-1)).toBeLessThan(40);
  memory.met(0, true);
  expect(memory.aloneMs(STALL_MS)).toBe(STALL_MS / 4);
  // Somebody being met is given the whole patience.
  const watch = new Watch(0, STALL_MS, memory);
  expect(watch.advise(STALL_MS - 1, true)).toBe("wait");
  expect(watch.advise(STALL_MS, true)).toBe("network");
});

test("peers that were too slow are not waited for again, for a while", () => {
  const memory = new Memory();
  const [, at] = run(begun(memory), { bytesPerSecond: 60_000, from: 100 });
  const next = new Watch(at, STALL_MS, memory);
  next.head(at + 10);
  next.want(at + 10, 750_000);
  expect(next.advise(at + 50, true)).toBe("reserve");
  expect(memory.isSlow(at + 9_000)).toBe(true);
  expect(memory.isSlow(at + 11_000)).toBe(false);
});
