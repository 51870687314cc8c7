// One task in one worker of a real tab: every end by name, gas that is the same each time, states that move from tab to tab.
import { readFileSync } from "node:fs";
import binaryen from "binaryen";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Stage } from "./harness.mjs";

const LIMITS = { gas: 10_000_000n, memoryPages: 10, outputBytes: 1_000 };
const End = { Done: 0, OutOfGas: 1, Trap: 2, Stack: 3, Output: 4, Memory: 5, Cancelled: 6, Paused: 7 };

/** A task whose input lies at 1,024 and whose output is what lies there in the end; as task-runner's tests have it. */
function task(functions, step) {
  const module = binaryen.parseText(`(module
    (memory (export "memory") 1 100)
    (global $length (mut i32) (i32.const 0))
    (global $done (mut i32) (i32.const 0))
    ${functions}
    (func (export "peeredge_input") (param i32) (result i32) (global.set $length (local.get 0)) (i32.const 1024))
    (func (export "peeredge_step") (result i32) ${step})
    (func (export "peeredge_output") (result i64)
      (i64.or (i64.const ${1024n << 32n}) (i64.extend_i32_u (global.get $length)))))`);
  const bytes = module.emitBinary();
  module.dispose();
  return [...bytes];
}

const counting = task(
  "",
  `(local $n i32)
   (loop $again
     (local.set $n (i32.add (local.get $n) (i32.const 1)))
     (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))
   (global.set $done (i32.add (global.get $done) (i32.const 1000)))
   (i32.store (i32.const 1024) (global.get $done))
   (global.get $done)`,
);

let stage;
let tab;
let other;
beforeAll(async () => {
  stage = await Stage.open({ relay: false });
  [tab, other] = [await stage.tab(), await stage.tab()];
  for (const page of [tab, other]) await page.run(inPage);
});
afterAll(() => stage?.close());

/** As text: the test runner rewrites imports that it sees. */
const inPage = `(async () => {
  const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
  const { runTask } = await import("/peeredge/dist/tasks/runner.js");
  const plain = ({ end, output, gas, checkpoint }) => ({ end, output: [...output], gas: String(gas), ...(checkpoint && { checkpoint: [...checkpoint] }) });
  window.rewrite = (bytes, memoryPages = 10) => instrument(Uint8Array.from(bytes), { memoryPages }).then(() => "rewritten", (error) => error.name + ": " + error.message);
  window.runBytes = async (bytes, { limits, input = "hello", bytes: given, checkpoint, pauseAt = 0, abortAfterMs, ...rest } = {}) => {
    limits = { gas: 10000000n, memoryPages: 10, outputBytes: 1000, ...limits };
    limits.gas = BigInt(limits.gas);
    const { bytes: rewritten, isMovable } = await instrument(Uint8Array.from(bytes), limits);
    const [pause, abort] = [new AbortController(), new AbortController()];
    if (abortAfterMs !== undefined) setTimeout(() => abort.abort(), abortAfterMs);
    const steps = [];
    const job = { rewritten, isMovable, limits, deadlineMs: 60000, ...rest };
    if (checkpoint) job.checkpoint = Uint8Array.from(checkpoint);
    else job.input = given ? Uint8Array.from(given) : new TextEncoder().encode(input);
    if (pauseAt === 1) pause.abort();
    const ran = await runTask(job, { pause: pause.signal, signal: abort.signal, onProgress: (progress) => steps.push([progress.steps, progress.permyriad, progress.checkpoint && [...progress.checkpoint]]) });
    return { ...plain(ran), steps };
  };
})()`;

const run = (page, bytes, options = {}) => page.run(([bytes, options]) => window.runBytes(bytes, options), [bytes, options]);

describe("a task in a tab", () => {
  test("gives its output, its progress, and twice the same gas", async () => {
    const ran = await run(tab, counting);
    expect(ran).toMatchObject({ end: End.Done, output: [0x10, 0x27, 0, 0, 0x6f] });
    // Told at most ten times a second, the first step and the last one always.
    expect([ran.steps[0], ran.steps.at(-1)].map(([step, permyriad]) => [step, permyriad])).toEqual([[1, 1000], [10, 10000]]);
    const again = await run(other, counting);
    expect({ ...again, steps: [] }).toEqual({ ...ran, steps: [] });
    const exact = await run(tab, counting, { limits: { gas: ran.gas } });
    expect(exact.end).toBe(End.Done);
    const short = await run(tab, counting, { limits: { gas: String(BigInt(ran.gas) - 1n) } });
    expect(short).toMatchObject({ end: End.OutOfGas, output: [], gas: String(BigInt(ran.gas) - 1n) });
  });

  test.each([
    ["an endless loop runs out of gas", "", "(loop (br 0)) (unreachable)", End.OutOfGas],
    ["an unreachable", "", "unreachable", End.Trap],
    ["a load out of bounds", "", "(i32.load (i32.const 65536))", End.Trap],
    ["a negative step", "", "(i32.const -1)", End.Trap],
    ["endless recursion", "(func $deep (call $deep))", "(call $deep) (i32.const 10000)", End.Stack],
    ["an output outside of the memory", "", "(global.set $length (i32.const 70000)) (i32.const 10000)", End.Output],
  ])("%s", async (_, functions, step, end) => {
    expect(await run(tab, task(functions, step))).toMatchObject({ end, output: [] });
  });

  test("a memory bomb gets no more than its limit", async () => {
    const bomb = task("", `(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      (i32.store (i32.const 1024) (memory.size)) (i32.const 10000)`);
    const ran = await run(tab, bomb);
    expect([ran.end, ran.output[0]]).toEqual([End.Done, 10]);
  });

  test("deep recursion of large frames ends in the counted stack, never in the engine's", async () => {
    const locals = Array.from({ length: 60 }, (_, n) => `(local $l${n} i64)`).join(" ");
    const sets = Array.from({ length: 60 }, (_, n) => `(local.set $l${n} (i64.add (i64.extend_i32_u (local.get $n)) (i64.const ${n})))`).join(" ");
    const sum = Array.from({ length: 60 }, (_, n) => `(local.get $l${n}) (i64.add)`).join(" ");
    const deep = task(
      `(func $deep (param $n i32) (result i64) ${locals} ${sets} (call $deep (i32.add (local.get $n) (i32.const 1))) ${sum})`,
      "(drop (call $deep (i32.const 0))) (i32.const 10000)",
    );
    expect((await run(tab, deep)).end).toBe(End.Stack);
    const leaf = task("(func $deep (param $n i32) (call $deep (local.get $n)) (call $deep (local.get $n)))", "(call $deep (i32.const 0)) (i32.const 10000)");
    expect((await run(tab, leaf)).end).toBe(End.Stack);
  });

  test("a deadline and a signal end what would never end", async () => {
    const endless = task("", "(loop (br 0)) (unreachable)");
    const limits = { gas: String(1n << 62n) };
    expect((await run(tab, endless, { limits, deadlineMs: 200 })).end).toBe(End.Cancelled);
    expect((await run(tab, endless, { limits, abortAfterMs: 100 })).end).toBe(End.Cancelled);
    await expect.poll(() => tab.workers(), { timeout: 5_000 }).toBe(0);
  });

  test("moves to another tab from its checkpoint and ends with the same output and gas", async () => {
    const whole = await run(tab, counting);
    const paused = await run(tab, counting, { pauseAt: 1, dutyPermille: 1 });
    expect(paused.end).toBe(End.Paused);
    const resumed = await run(other, counting, { checkpoint: paused.checkpoint });
    expect(resumed).toMatchObject({ end: End.Done, output: whole.output, gas: whole.gas });
    // From those that were taken on the way, as when the first tab is simply closed.
    const { steps } = await run(tab, counting, { checkpointEverySteps: 4 });
    const taken = steps.filter(([, , checkpoint]) => checkpoint);
    // The next one waits until the page has dealt with the first.
    expect(taken.map(([step]) => step)).toEqual(taken.length > 1 ? [4, 8] : [4]);
    for (const [, , checkpoint] of taken) {
      expect(await run(other, counting, { checkpoint })).toMatchObject({ end: End.Done, output: whole.output, gas: whole.gas });
    }
    expect((await run(tab, counting, { checkpoint: [1, 2, 3] })).end).toBe(End.Memory);
  });
});

describe("the guest kit's examples", () => {
  const example = (name) => [...readFileSync(new URL(`../../.cache/tasks/${name}.wasm`, import.meta.url))];

  test("a fractal's tile, row by row", async () => {
    const input = new DataView(new ArrayBuffer(32));
    [-2, -1.5, 3].forEach((value, index) => input.setFloat64(index * 8, value, true));
    [16, 50].forEach((value, index) => input.setUint32(24 + index * 4, value, true));
    const options = { bytes: [...new Uint8Array(input.buffer)], limits: { gas: "1000000000", memoryPages: 100 } };
    const ran = await run(tab, example("fractal"), options);
    expect([ran.end, ran.output.length, ran.steps.at(-1)[0]]).toEqual([End.Done, 256, 16]);
    // The corner escapes at once, the middle never.
    expect([ran.output[0], ran.output[8 * 16 + 10]]).toEqual([5, 255]);
    expect((await run(other, example("fractal"), options)).gas).toBe(ran.gas);
  });

  test("a picture, blurred", async () => {
    const bytes = [3, 0, 0, 0, 1, 0, 0, 0, 0, 90, 0];
    const ran = await run(tab, example("blur"), { bytes, limits: { gas: "1000000000", memoryPages: 100 } });
    expect([ran.end, ran.output]).toEqual([End.Done, [45, 30, 45]]);
  });
});

describe("what is no task", () => {
  const refusal = (bytes) => tab.run((bytes) => window.rewrite(bytes), [...bytes]);

  test("is refused with what, where", async () => {
    expect(await refusal(task("", "(i32.const 10000)"))).toBe("rewritten");
    const imports = binaryen.parseText(`(module (import "env" "now" (func (result i64))))`).emitBinary();
    expect(await refusal(imports)).toMatch(/^Refused: imports env\.now; a task has no imports \(offset \d+\)$/);
    expect(await refusal(readFileSync(new URL("../../package.json", import.meta.url)))).toMatch(/^Refused: not a valid module/);
  });

  test("50 MB, and 10,000 random strings", async () => {
    const [large, refused] = await tab.run(`(async () => {
      const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
      const name = (bytes) => instrument(bytes, { memoryPages: 10 }).then(() => "rewritten", (error) => error.name);
      const large = await name(new Uint8Array(50 << 20));
      let refused = 0;
      let state = 20261125;
      const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
      for (let number = 0; number < 10_000; number++) {
        const bytes = Uint8Array.from({ length: random() % 300 }, random);
        if (number % 2) bytes.set([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0].slice(0, bytes.length));
        if ((await name(bytes)) === "Refused") refused++;
      }
      return [large, refused];
    })()`);
    expect(large).toBe("Refused");
    expect(refused).toBe(10_000);
  });
});
