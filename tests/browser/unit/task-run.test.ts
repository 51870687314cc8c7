// One run of a rewritten task, in this thread: what it may hold beside the task's memory.
import binaryen from "binaryen";
import { expect, test } from "vitest";
import { PAGE_BYTES, encode } from "../../../js/src/tasks/checkpoint.js";
import { End, type Job } from "../../../js/src/tasks/job.js";
import { run } from "../../../js/src/tasks/run.js";

/** Gives its input back; what the rewrite adds stands in its text. */
function echo(): Uint8Array {
  const module = binaryen.parseText(`(module
    (memory (export "memory") 4 16)
    (global $length (mut i32) (i32.const 0))
    (global (export "peeredge:gas") (mut i64) (i64.const 0))
    (global (export "peeredge:stack") (mut i32) (i32.const 32768))
    (global (export "peeredge:host") (mut i32) (i32.const 0))
    (func (export "peeredge_input") (param i32) (result i32) (global.set $length (local.get 0)) (i32.const 0))
    (func (export "peeredge_step") (result i32) (i32.const 10000))
    (func (export "peeredge_output") (result i64) (i64.extend_i32_u (global.get $length))))`);
  module.setFeatures(binaryen.Features.All);
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}

const ran = async (job: Partial<Job>) => {
  const limits = { gas: 1_000n, memoryPages: 16, outputBytes: 1 << 20 };
  const watch = { wantsCheckpoint: () => false, onProgress: () => {}, between: () => false };
  return run({ rewritten: echo(), isMovable: true, limits, deadlineMs: 1_000, ...job }, watch);
};

test("an input or output is not held beside more memory than was agreed to", async () => {
  const input = () => new Uint8Array(PAGE_BYTES).fill(7);
  // Four pages of memory and one beside them are five quarters of four.
  const enough = await ran({ input: input(), hostBytesMax: 4 * PAGE_BYTES });
  expect(enough).toMatchObject({ end: End.Done, output: input() });
  const less = await ran({ input: input(), hostBytesMax: 3.9 * PAGE_BYTES });
  expect(less.end).toBe(End.Memory);
});

test("what a run begins with is let go once it is in the task's memory", async () => {
  const job = { input: Uint8Array.of(1, 2, 3) };
  const watch = { wantsCheckpoint: () => false, onProgress: () => expect(whole.input).toBeUndefined(), between: () => false };
  const limits = { gas: 1_000n, memoryPages: 16, outputBytes: 1 << 20 };
  const whole: Job = { rewritten: echo(), isMovable: true, limits, deadlineMs: 1_000, ...job };
  expect((await run(whole, watch)).output).toEqual(Uint8Array.of(1, 2, 3));
  expect.assertions(2);
});

test("a checkpoint is taken up only where there is room for all its forms", async () => {
  const checkpoint = () => encode({ steps: 1, gas: 5n, globals: [], memory: new Uint8Array(6 * PAGE_BYTES).fill(1) });
  expect((await ran({ checkpoint: checkpoint(), hostBytesMax: 12 * PAGE_BYTES })).end).toBe(End.Done);
  expect((await ran({ checkpoint: checkpoint(), hostBytesMax: 11 * PAGE_BYTES })).end).toBe(End.Memory);
});
