// A short form of `npm run bench -- task-attacks engines`: made-up tasks in wasmtime and in three settings of V8.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "vitest";
import { ROOT } from "../../scripts/lib/run.mjs";
import { MEASURES, attacked } from "./attack.mjs";

// It builds what it runs, which may take longer than a test should: with the benchmark.
test.skipIf(!MEASURES)("made-up tasks come to the same signed end in every engine and tier, and no host's stack gives out", () => {
  const words = [join(ROOT, "bench/task-attacks/run.mjs"), "engines", "--debug", "--count", "40", "--seed", "1000001"];
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8", cwd: ROOT, timeout: 170_000 });
  const last = stdout.trim().split("\n").at(-1);
  if (!last?.startsWith("{")) throw new Error(`${stdout}${stderr}`);
  const { figures } = JSON.parse(last);
  attacked({
    room: "tasks",
    kind: "tasks",
    name: "frames that hold more than is counted, in four engines",
    spent: `${figures.tasks} tasks`,
    lost: `${figures.signed_differences} results that differ, ${figures.host_ends} hosts that gave out`,
    held: figures.signed_differences === 0 && figures.host_ends === 0 && figures.runs >= 100,
  });
});
