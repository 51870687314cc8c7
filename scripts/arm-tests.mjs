// The runner of tasks, built for aarch64 and run under qemu's user mode: every end, states that move, one kind of NaN, and made-up modules
// with the same gas in two engines. A part of `npm test` that is run when it is asked for: wasmtime has to be built once more for it.
import { AARCH64_ENV, TRIPLE, aarch64 } from "./lib/aarch64.mjs";
import { run, verb } from "./lib/run.mjs";

verb(async () => {
  const missing = await aarch64();
  if (missing) return console.log(missing);
  const tests = ["--package", "peeredge-task-runner", "--test", "ends", "--test", "differential"];
  await run("cargo", ["test", "--release", "--target", TRIPLE, ...tests], { env: { ...process.env, ...AARCH64_ENV } });
});
