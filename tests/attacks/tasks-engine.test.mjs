// Tasks that a stranger hands in, and answers that a stranger gives, against real pages and the real relay.
import { Buffer } from "node:buffer";
import { afterEach, expect, test } from "vitest";
import { Stage } from "../browser/harness.mjs";
import { eventually } from "../browser/flows/flow.mjs";
import { attacked } from "./attack.mjs";
import { large, tabled, task } from "./task-bytes.mjs";

let stage;
afterEach(() => stage?.close());

const COMPUTE = { allowed: true, slots: 1, dutyPermille: 1000, whileHidden: true, onLowBattery: true };

/** In a page: notes how long its thread was ever busy at a stretch, by a timer that ought to come every 5 ms. */
const watch = () => {
  let last = performance.now();
  window.longest = 0;
  window.watching = setInterval(() => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last - 5);
    last = now;
  }, 5);
};

/** What a thread may be busy at a stretch, in ms, where it is idle for so long at most: an old fault took 2,900. */
const blockMax = (idle) => 250 + 2 * idle;

test("a flood of steps, and a module of megabytes, leave the page's thread alone", async () => {
  stage = await Stage.open({ relay: false });
  const tab = await stage.tab();
  // A step that does nothing, again and again.
  const flood = task("(i32.const 1)");
  const found = await tab.run(
    `(async ({ flood, large }) => {
      (${watch})();
      const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
      const { runTask } = await import("/peeredge/dist/tasks/runner.js");
      const bytes = new Uint8Array(await (await fetch("data:application/wasm;base64," + large)).arrayBuffer());
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const idle = window.longest;
      window.longest = 0;
      const limits = { gas: 1n << 60n, memoryPages: 1000, outputBytes: 1000 };
      const { bytes: rewritten, isMovable } = await instrument(Uint8Array.from(flood), limits);
      let told = 0;
      const began = performance.now();
      const ran = await runTask({ rewritten, isMovable, input: new Uint8Array(1), limits, deadlineMs: 2000, checkpointEverySteps: 1 }, { onProgress: (progress) => { told += progress.checkpoint ? 0 : 1; return 1000; } });
      const seconds = (performance.now() - began) / 1000;
      const read = await instrument(bytes, limits);
      const ranLarge = await runTask({ rewritten: read.bytes, isMovable: false, input: new Uint8Array(1), limits, deadlineMs: 60_000, checkpointEverySteps: 0 });
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { end: ran.end, large: ranLarge.end, told, seconds, idle, longest: window.longest };
    })(${JSON.stringify({ flood, large: large(4).toString("base64") })})`,
  );
  attacked({
    room: "tasks",
    kind: "page",
    name: "steps that do nothing, each with a word of progress and a checkpoint, and 4 MiB of code",
    spent: "2 tasks",
    lost: `${found.told} messages in ${found.seconds.toFixed(1)} s, ${found.longest.toFixed(0)} ms of the page's thread at a stretch`,
    // Ten a second, and those of the checkpoints apart.
    held: found.end === 6 && found.large === 0 && found.told <= 10 * found.seconds + 2 && found.longest < blockMax(found.idle),
  });
});

test("an abort is heard while a module of megabytes is read, long before that has ended", async () => {
  stage = await Stage.open({ relay: false });
  const tab = await stage.tab();
  const found = await tab.run(
    `(async (large) => {
      const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
      const bytes = new Uint8Array(await (await fetch("data:application/wasm;base64," + large)).arrayBuffer());
      const limits = { memoryPages: 1000 };
      // The worker has started, and this is how long reading takes here.
      await instrument(Uint8Array.of(0), limits).catch(() => {});
      const began = performance.now();
      await instrument(bytes, limits);
      const readMs = performance.now() - began;
      const end = new AbortController();
      const given = instrument(bytes, limits, end.signal).then(() => "made", () => "aborted");
      await new Promise((resolve) => setTimeout(resolve, readMs / 8));
      const aborted = performance.now();
      end.abort();
      return { how: await given, abortMs: performance.now() - aborted, readMs };
    })(${JSON.stringify(large(4).toString("base64"))})`,
  );
  attacked({
    room: "tasks",
    kind: "page",
    name: "4 MiB of code that nobody waits for any more",
    spent: "1 module",
    lost: `${found.abortMs.toFixed(0)} ms, of ${found.readMs.toFixed(0)} that reading it takes`,
    held: found.how === "aborted" && found.abortMs < Math.max(100, found.readMs / 4),
  });
});

test("a module that takes long to read is given up at once when it is aborted, and the next one is read", async () => {
  stage = await Stage.open({ relay: false });
  const tab = await stage.tab();
  const found = await tab.run(`(async () => {
    const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
    const wrong = new Uint8Array(8 << 20);
    wrong.set([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const end = new AbortController();
    const first = instrument(wrong, { memoryPages: 1 }, end.signal).then(() => "made", (error) => error.message);
    const second = instrument(Uint8Array.of(1, 2, 3), { memoryPages: 1 }).then(() => "made", (error) => error.name);
    end.abort(new Error("enough"));
    return [await first, await second];
  })()`);
  attacked({
    room: "tasks",
    kind: "page",
    name: "a module of 8 MiB that nobody waits for any more",
    spent: "1 module",
    lost: "nothing",
    held: found[0] === "enough" && found[1] === "Refused",
  });
  await expect.poll(() => tab.workers(), { timeout: 10_000 }).toBe(0);
});

test("a million elements in each of 100 tables are refused in a page, and nothing is allocated", async () => {
  stage = await Stage.open();
  const tab = await stage.tab();
  await tab.create();
  const bytes = tabled(1_000_000);
  // 100 of them: the text is binaryen's, the section is written by hand.
  const hundred = await tab.run(async ([bytes]) => {
    const at = bytes.indexOf(4, 8);
    return at;
  }, [bytes]);
  expect(hundred).toBeGreaterThan(8);
  const section = [4, 0, 0, 100];
  const table = [0x70, 0, 0x80, 0x80, 0x40];
  const content = [100, ...Array.from({ length: 100 }, () => table).flat()];
  const length = [0x80 | (content.length & 0x7f), content.length >> 7];
  const module = Buffer.from(bytes);
  const start = hundred;
  const end = start + 2 + module[start + 1];
  const many = [...module.subarray(0, start), section[0], ...length, ...content, ...module.subarray(end)];
  const code = await tab.run(
    ([bytes]) => harness.peer().run(Uint8Array.from(bytes), "").then(() => "no error", (error) => error.code),
    [many],
  );
  attacked({ room: "tasks", kind: "tasks", name: "100 tables of a million elements", spent: `${many.length} bytes`, lost: "nothing", held: code === "task_refused" });
});

test("limits that cannot hold, and an abort, are errors of the package", async () => {
  stage = await Stage.open();
  const tab = await stage.tab();
  await tab.create();
  const found = await tab.run(async (bytes) => {
    const code = (input, options) => harness.peer().run(Uint8Array.from(bytes), input, options).then(() => "no error", (error) => `${error.name} ${error.code}`);
    const end = new AbortController();
    const aborted = code("", { signal: end.signal });
    setTimeout(() => end.abort(), 200);
    return [
      await code(new Uint8Array(70_000), { memoryBytes: 65_536 }),
      await code("", { gas: 0 }),
      await code("", { gas: 2n ** 63n }),
      await code("", { outputBytes: 2 ** 40 }),
      await aborted,
    ];
  }, task("(i32.const 10000)"));
  attacked({
    room: "tasks",
    kind: "tasks",
    name: "limits that cannot hold",
    spent: "5 calls",
    lost: "nothing: each is told before anything is done",
    held: found.slice(0, 4).every((code) => code === "PeerEdgeError invalid_option") && found[4] === "PeerEdgeError aborted",
  });
});

test("a worker that shows a content in place of its output makes no page believe other bytes", async () => {
  stage = await Stage.open();
  const page = await stage.tab();
  await page.create();
  const other = await stage.tab();
  await other.create();
  const { content } = await other.publish({ seed: 5, length: 4 });
  const raw = await other.run((id) => {
    // 52 characters of base 32, as ids are written.
    const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
    let [bits, value] = [0, 0];
    const bytes = [];
    for (const character of id) {
      value = (value << 5) | alphabet.indexOf(character);
      bits += 5;
      if (bits >= 8) {
        bits -= 8;
        bytes.push((value >> bits) & 0xff);
      }
      value &= (1 << bits) - 1;
    }
    return bytes;
  }, content);
  const liar = await stage.tab();
  await liar.run((content) => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      let frame = new Uint8Array(data).slice();
      // A reveal: tag, lease, end, gas, digest, nonce, signature, then the output: here somebody's content.
      const fixed = 1 + 8 + 1 + 8 + 32 + 32 + 64;
      if (frame[0] === 0x25) frame = Uint8Array.from([...frame.subarray(0, fixed), 1, ...content]);
      send.call(this, frame);
    };
  }, raw);
  await liar.create({ worker: false, compute: COMPUTE });
  await page.run((bytes) => {
    window.result = harness.peer().run(Uint8Array.from(bytes), "", { replicas: 1 }).then(({ output }) => ({ output: [...output] }), ({ code }) => ({ code }));
  }, task("(i32.store (i32.const 1024) (i32.const 77)) (i32.const 10000)"));
  await eventually(() => liar.run(async () => (await harness.peer().computed()).tasks > 0), "the liar has answered");
  const honest = await stage.tab();
  await honest.create({ compute: COMPUTE });
  const result = await page.run(() => window.result);
  attacked({
    room: "tasks",
    kind: "majority",
    name: "another content in place of the output that was signed",
    spent: "1 key, 1 content",
    lost: result.code ? `1 task: ${result.code}` : "nothing",
    held: result.code !== undefined || JSON.stringify(result.output) === "[77,0,0,0]",
  });
});

test("a task that does all in one step, or before it, computes no more than the visitor's share of the time", async () => {
  stage = await Stage.open({ relay: false });
  const tab = await stage.tab();
  const busy = "(local $n i64) (loop $l (local.set $n (i64.add (local.get $n) (i64.const 1))) (br_if $l (i64.lt_u (i64.rotl (local.get $n) (i64.const 1)) (i64.const 400000000))))";
  const inStep = task(`${busy} (i32.const 10000)`);
  const found = await tab.run(
    `(async (bytes) => {
      const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
      const { runTask } = await import("/peeredge/dist/tasks/runner.js");
      const limits = { gas: 1n << 60n, memoryPages: 1000, outputBytes: 1000 };
      const { bytes: rewritten, isMovable } = await instrument(Uint8Array.from(bytes), limits);
      const took = async (dutyPermille) => {
        const began = performance.now();
        await runTask({ rewritten, isMovable, input: new Uint8Array(1), limits, deadlineMs: 60_000, dutyPermille });
        return performance.now() - began;
      };
      const whole = Math.min(await took(1000), await took(1000), await took(1000));
      return [whole, await took(200)];
    })(${JSON.stringify(inStep)})`,
  );
  const [whole, shared] = found.map((ms) => ms.toFixed(0));
  attacked({
    room: "tasks",
    kind: "tasks",
    name: "a task of one long step where the visitor gives a fifth of the time",
    spent: "1 task",
    lost: `${shared} ms for what takes ${whole} ms of computing`,
    held: found[0] > 50 && found[1] > 2.5 * found[0],
  });
});
