// What a worker's process takes over what it agreed to, while it runs tasks that fill memory, ask for tables, or take long to compile.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PEEREDGE, Relay } from "../../tests/browser/relay.mjs";
import { bomb, echoing, filling, large, tabled } from "../../tests/attacks/task-bytes.mjs";

/** Tasks at once, and memory for each in MiB: what the worker agrees to. The default of the command line, and that of tabs. */
const SLOTS = 2;
const MEMORIES_MIB = [256, 64];
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const ECHO = "gives back an input of nine tenths of it";
const TASKS = {
  "fills its memory": filling(),
  "a million elements": tabled(1_000_000),
  "4 MiB of code": [...large(4)],
  "100 locals in 49 loops": bomb(100, 49),
  "1,000 locals in 4 loops": bomb(1_000, 4),
  [ECHO]: echoing(),
};

/** Megabytes that the worker's processes that compile have at present. */
function compiling(pid) {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean));
    return children.reduce((sum, child) => sum + status(child, "VmRSS"), 0);
  } catch {
    // A thread or a process that ended in between.
    return 0;
  }
}

const status = (pid, name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

export async function memory() {
  const found = [];
  for (const mib of MEMORIES_MIB) found.push(await over(mib));
  return { host_memory_over_limit: Math.max(...found.map(({ ratio }) => ratio)), host_memory_idle_mib: Math.max(...found.map(({ idle }) => idle)) };
}

/** The peak of a worker that agreed to so much for each task, what it takes at rest included, over that. */
async function over(mib) {
  const relay = await Relay.start();
  const folder = mkdtempSync(join(tmpdir(), "peeredge-memory-"));
  const worker = spawn(PEEREDGE, ["work", "--relay", relay.url, "--slots", String(SLOTS), "--memory", String(mib), "--log-level", "error"], { stdio: "ignore" });
  try {
    await wait(2_000);
    const idle = status(worker.pid, "VmRSS");
    const [ends, peaks] = [{}, {}];
    const inputPath = join(folder, "input");
    writeFileSync(inputPath, Buffer.alloc(mib * 0.9 * 2 ** 20, 7));
    for (const [name, bytes] of Object.entries(TASKS)) {
      const path = join(folder, "task.wasm");
      writeFileSync(path, Uint8Array.from(bytes));
      // The peak from here on.
      writeFileSync(`/proc/${worker.pid}/clear_refs`, "5");
      const input = name === ECHO ? ["--input", inputPath, "--output-mib", "1024"] : [];
      const words = ["run", path, ...input, "-o", "/dev/null", "--relay", relay.url, "--replicas", "1", "--memory", String(mib), "--quiet"];
      const runs = Array.from({ length: 2 * SLOTS }, () => new Promise((resolve) => execFile(PEEREDGE, words, { timeout: 600_000 }, (error) => resolve(error ? error.code : 0)).stdin.end()));
      // Of what compiles, the sum of what is seen now and then; the worker's own peak is the system's word.
      let [beside, done] = [0, false];
      const watching = (async () => {
        while (!done) {
          const now = compiling(worker.pid);
          if (now > 0) beside = Math.max(beside, now + status(worker.pid, "VmRSS"));
          await wait(10);
        }
      })();
      ends[name] = await Promise.all(runs);
      done = true;
      await watching;
      peaks[name] = Math.max(status(worker.pid, "VmHWM"), beside);
    }
    const agreed = SLOTS * mib;
    const worst = Math.max(...Object.values(peaks));
    console.log(`\na worker that agreed to ${SLOTS} × ${mib} MiB and takes ${idle.toFixed(0)} MiB idle: ${Object.entries(peaks).map(([name, mib]) => `${name} ${mib.toFixed(0)} MiB (exits ${ends[name].join(" ")})`).join(", ")}`);
    return { ratio: worst / agreed, idle };
  } finally {
    worker.kill("SIGKILL");
    await relay.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
