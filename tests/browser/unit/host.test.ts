import { describe, expect, test } from "vitest";
import { Host, type Slot } from "../../../js/src/engine/host.js";
import type { FromEngine, ToEngine } from "../../../js/src/engine/messages.js";
import type { Output } from "../../../js/src/peeredge.js";

const ID = "a".repeat(52);
const START: ToEngine = {
  type: "start",
  relay: "http://127.0.0.1:1",
  store: "memory",
  memory: { slot: null, key: null, live: false },
  work: false,
  progressEveryMs: 16,
  settings: {
    caps: { upload: true, uploadBytesPerSecond: Infinity, uploadBytes: Infinity, connections: 16, connectionsMade: 400, prefetchBytes: 0 },
    cacheBytes: 1 << 20,
    storeBytes: Infinity,
    http: true,
    httpAfterMs: 400,
    giveUpAfterMs: 30_000,
    codedPermille: 0,
  },
};

/** An engine that logs its inputs, and answers some with outputs. */
async function hosted(answers: Partial<Record<string, () => Output[]>> = {}) {
  const inputs: string[] = [];
  const posted: FromEngine[] = [];
  const outputs: Output[] = [];
  let deadline: number | undefined;
  class Engine {
    constructor() {
      return new Proxy(this, {
        get: (target, name: string) => {
          if (name in target) return Reflect.get(target, name) as unknown;
          return (_now: number, ...args: unknown[]) => {
            inputs.push([name, ...args.map((arg) => (arg instanceof Uint8Array ? arg.length : arg))].join(" "));
            outputs.push(...(answers[name]?.() ?? []));
          };
        },
      });
    }
    id = () => "me";
    poll = () => outputs.shift();
    deadline = () => deadline;
    stats = () => ({});
    free = () => inputs.push("free");
  }
  class Publisher {
    constructor(length: number) {
      if (length > 1000) throw new Error("too large");
    }
    push = (bytes: Uint8Array) => inputs.push(`push ${bytes.length}`);
    takeRecords = () => new Uint8Array(32);
    finish = () => [ID, new Uint8Array(7)];
    free = () => undefined;
  }
  const slot = { Engine, Publisher, takePanic: () => "panicked at node.rs:1" } as unknown as Slot;
  const host = new Host(slot, (message) => posted.push(message), false);
  host.receive(START);
  await expect.poll(() => inputs.includes("wake")).toBe(true);
  const posts = (type: string) => posted.filter((message) => message.type === type);
  return { host, inputs, posts, wakeAt: (us: number) => (deadline = us), noDeadline: () => (deadline = undefined) };
}

describe("the engine's host", () => {
  test("starts, and tells who it is", async () => {
    const { posts, host } = await hosted();
    expect(posts("started")).toEqual([{ type: "started", peer: "me", store: "memory", slot: null, key: null }]);
    host.terminate();
  });

  test("an input that an output brings about waits until the outputs are carried out", async () => {
    const head: Output = ["head", 1, 0, 5, 5, "", ""];
    const { host, inputs, posts } = await hosted({
      // Sending on a channel that does not exist is no event; reading from the store is one, later.
      fetch: () => [["storeRead", 9, ID, "data", 0, 5], ["send", 4, new Uint8Array(3)], head],
    });
    host.receive({ type: "fetch", request: 1, content: ID, start: 2 });
    expect(posts("head")).toHaveLength(1);
    await expect.poll(() => inputs.at(-1)).toBe("read 9 ");
    expect(inputs).toContain(`fetch 1 ${ID} 2  `);
    host.terminate();
  });

  test("a trap ends everything, and its text is what the page hears", async () => {
    const { host, inputs, posts } = await hosted({
      pull: () => {
        throw new WebAssembly.RuntimeError("unreachable");
      },
    });
    host.receive({ type: "pull", request: 1, bytes: 5 });
    expect(posts("fatal")).toEqual([{ type: "fatal", message: "panicked at node.rs:1" }]);
    const before = inputs.length;
    host.receive({ type: "pull", request: 1, bytes: 5 });
    expect(inputs).toHaveLength(before);
  });

  test("wakes the engine at its deadline", async () => {
    const { host, inputs, wakeAt, noDeadline } = await hosted();
    const wakes = () => inputs.filter((input) => input === "wake").length;
    wakeAt(performance.now() * 1000 + 10_000);
    host.receive({ type: "abort", request: 1 });
    const before = wakes();
    noDeadline();
    await expect.poll(wakes).toBe(before + 1);
    host.terminate();
  });

  test("a publish becomes a stored content; one that cannot be is told why", async () => {
    const { host, inputs, posts } = await hosted();
    host.receive({ type: "publish", publish: 1, blob: new Blob([new Uint8Array(100)]), name: "", mediaType: "" });
    await expect.poll(() => posts("published")).toEqual([{ type: "published", publish: 1, content: ID, stored: false }]);
    expect(inputs).toContain("push 100");
    expect(inputs).toContain(`stored ${ID} 7`);
    host.receive({ type: "publish", publish: 2, blob: new Blob([new Uint8Array(2000)]), name: "", mediaType: "" });
    await expect.poll(() => posts("publishFailed")).toMatchObject([{ publish: 2, code: "invalid_option", message: "too large" }]);
    host.terminate();
  });

  test("says goodbye when it is closed, and frees the engine", async () => {
    const { host, inputs, posts } = await hosted();
    host.receive({ type: "close" });
    await expect.poll(() => posts("closed")).toHaveLength(1);
    expect(inputs.slice(-2)).toEqual(["close", "free"]);
  });
});
