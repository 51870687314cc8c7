// Runs the rewritten modules of a file as a page's worker does, in this process's engine: one line of JSON each.
// `in-node.mjs FILE DIST`, where DIST is the package's compiled code.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { run } = await import(pathToFileURL(join(resolve(process.argv[3]), "tasks/run.js")).href);

const bytes = readFileSync(process.argv[2]);
const limits = { gas: 200_000_000n, memoryPages: 1_024, outputBytes: 1_024 };
for (let at = 0; at < bytes.length; ) {
  const length = bytes.readUInt32LE(at);
  const rewritten = bytes.subarray(at + 4, at + 4 + length);
  at += 4 + length;
  // Time on cores, so that what else the machine does is not in it.
  const began = process.cpuUsage();
  try {
    new WebAssembly.Module(rewritten);
  } catch {
    // The run below says so.
  }
  const { user, system } = process.cpuUsage(began);
  const compile_ms = Math.round((user + system) / 100) / 10;
  const job = { rewritten, isMovable: false, input: Uint8Array.of(7), limits, deadlineMs: 60_000 };
  const { end, gas, output } = await run(job, { wantsCheckpoint: () => false, onProgress: () => {}, between: () => false });
  console.log(JSON.stringify({ compile_ms, end, gas: String(gas), output: Buffer.from(output).toString("hex") }));
}
