// What runs tasks natively, built for aarch64 and run under qemu's user mode: the runner's tests (every end, states that move, one kind of NaN,
// made-up modules and float programs with the same gas and bits), then `peeredge work` itself, which has to agree with a worker of this machine. A part of
// `npm test` that is run when it is asked for: the relay and wasmtime have to be built once more for it.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Relay } from "../tests/browser/relay.mjs";
import { AARCH64_ENV, TRIPLE, aarch64, qemu } from "./lib/aarch64.mjs";
import { CACHE, run, verb } from "./lib/run.mjs";
import { RELAY, TARGET, relay, tasks } from "./lib/steps.mjs";

/** Long enough for an emulated worker to compile the task. */
const RUN_WITHIN_MS = 120_000;

verb(async () => {
  const missing = await aarch64();
  if (missing) return console.log(missing);
  const env = { ...process.env, ...AARCH64_ENV };
  const tests = ["--package", "peeredge-task-runner", "--test", "ends", "--test", "nans", "--test", "differential"];
  await run("cargo", ["test", "--release", "--target", TRIPLE, ...tests], { env });
  await run("cargo", ["build", "--release", "--target", TRIPLE, "--package", "peeredge-relay", "--bin", "peeredge"], { env });
  await relay();
  await tasks();
  await workersAgree();
});

/** A tile of the fractal, which is float arithmetic, by one worker of each processor: both answers have to be the same, gas and all. */
async function workersAgree() {
  const folder = mkdtempSync(join(tmpdir(), "peeredge-arm-"));
  // No referee: what agrees are the two workers.
  const hub = await Relay.start({ settings: { task_slots: 0 } });
  const work = ["work", "--relay", hub.url, "--slots", "1"];
  const [emulator, ...emulated] = qemu(join(TARGET, TRIPLE, "release/peeredge"), ...work);
  const workers = [spawn(RELAY, work, { stdio: "inherit" }), spawn(emulator, emulated, { stdio: "inherit" })];
  try {
    const tile = new DataView(new ArrayBuffer(32));
    [-2, -1.5, 3].forEach((value, index) => tile.setFloat64(index * 8, value, true));
    [64, 500].forEach((value, index) => tile.setUint32(24 + index * 4, value, true));
    writeFileSync(join(folder, "tile"), tile);
    const words = ["run", join(CACHE, "tasks/fractal.wasm"), "--input", join(folder, "tile"), "--relay", hub.url];
    const both = await ran([...words, "--replicas", "2", "-o", join(folder, "both")]);
    const pixels = readFileSync(join(folder, "both"));
    const is = both.includes("2 runs, agreed") && pixels.length === 64 * 64 && new Set(pixels).size > 10;
    console.log(`${is ? "ok" : "not ok"} a worker on aarch64 and one on this machine agree on output and gas`);
    // Alone it gives the same.
    workers[0].kill("SIGTERM");
    await new Promise((resolve) => workers[0].once("exit", resolve));
    const alone = await ran([...words, "--replicas", "1", "-o", join(folder, "alone")]);
    const isSame = alone.includes("1 run") && readFileSync(join(folder, "alone")).equals(pixels);
    console.log(`${isSame ? "ok" : "not ok"} a worker on aarch64 alone gives the same output`);
    if (!is || !isSame) process.exitCode = 1;
  } finally {
    for (const worker of workers) worker.kill("SIGKILL");
    await hub.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs `peeredge` and gives what it said. */
function ran(words) {
  return new Promise((resolve, reject) => {
    const child = spawn(RELAY, words, { stdio: ["ignore", "ignore", "pipe"], timeout: RUN_WITHIN_MS });
    let said = "";
    child.stderr.on("data", (bytes) => (said += bytes));
    child.on("error", reject);
    child.on("close", (code) => {
      process.stdout.write(said);
      if (code === 0) resolve(said);
      else reject(new Error(`peeredge ${words[0]} ended with ${code}`));
    });
  });
}
