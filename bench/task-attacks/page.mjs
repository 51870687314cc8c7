// How long a page's thread is ever busy at a stretch while tasks of strangers are read and run, and how soon an abort is heard.
import { Stage } from "../../tests/browser/harness.mjs";
import { large, task } from "../../tests/attacks/task-bytes.mjs";

const MIB = 4;

export async function page() {
  const stage = await Stage.open({ relay: false });
  try {
    const tab = await stage.tab();
    const module = large(MIB).toString("base64");
    const found = await tab.run(
      `(async ({ flood, module }) => {
        let [last, longest] = [0, 0];
        // A timer that ought to come every 5 ms.
        const watching = setInterval(() => {
          const now = performance.now();
          longest = Math.max(longest, now - last - 5);
          last = now;
        }, 5);
        const during = async (job) => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          [last, longest] = [performance.now(), 0];
          const given = await job();
          // The end of it counts, too.
          await new Promise((resolve) => setTimeout(resolve, 100));
          return [longest, given];
        };
        const { instrument } = await import("/peeredge/dist/tasks/rewriter.js");
        const { runTask } = await import("/peeredge/dist/tasks/runner.js");
        const limits = { gas: 1n << 60n, memoryPages: 1024, outputBytes: 1000 };
        const bytes = await (await fetch("data:application/wasm;base64," + module)).arrayBuffer().then((buffer) => new Uint8Array(buffer));
        const run = (rewritten, checkpointEverySteps) => runTask({ ...rewritten, rewritten: rewritten.bytes, input: new Uint8Array(1), limits, deadlineMs: 3000, checkpointEverySteps }, { onProgress: () => 1000 });
        const of = {};
        [of.idle] = await during(() => new Promise((resolve) => setTimeout(resolve, 2000)));
        const steps = await instrument(Uint8Array.from(flood), limits);
        [of.steps] = await during(() => run(steps, 0));
        [of.checkpoints] = await during(() => run(steps, 1));
        const began = performance.now();
        let rewritten;
        [of.reading, rewritten] = await during(() => instrument(bytes, limits));
        const readMs = performance.now() - began - 200;
        [of.running] = await during(() => run(rewritten, 0));
        let abortMs = 0;
        [of.aborting] = await during(async () => {
          const end = new AbortController();
          const given = instrument(bytes, limits, end.signal).then(() => -1, () => performance.now());
          await new Promise((resolve) => setTimeout(resolve, Math.min(30, readMs / 4)));
          const aborted = performance.now();
          end.abort();
          const heard = await given;
          abortMs = heard < 0 ? Infinity : heard - aborted;
        });
        clearInterval(watching);
        return { of, abortMs, readMs, bytes: bytes.length };
      })(${JSON.stringify({ flood: task("(i32.const 1)"), module })})`,
    );
    const { idle, ...busy } = found.of;
    console.log(`\npage's thread, longest block in ms: ${Object.entries(found.of).map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join(", ")}; a module of ${(found.bytes / 2 ** 20).toFixed(1)} MiB was read in ${found.readMs.toFixed(0)} ms, an abort heard after ${found.abortMs.toFixed(1)} ms`);
    return { page_longest_block_ms: Math.max(...Object.values(busy)), page_idle_block_ms: idle, page_abort_ms: found.abortMs };
  } finally {
    await stage.close();
  }
}
