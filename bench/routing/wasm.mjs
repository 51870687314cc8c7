// How long one update of a channel's estimated rate takes in wasm, built as the package is built, under this Node. A page's engine calls it
// from within; here every update is a call from outside, too.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROUNDS = 9;
const UPDATES = 100_000;

/** Prints the medians, and gives the figure in microseconds. */
export async function updates(root, target) {
  const args = ["build", "--quiet", "--profile", "wasm", "--target", "wasm32-unknown-unknown", "-p", "peeredge-bench-routing-wasm"];
  execFileSync("cargo", args, { cwd: root, stdio: "inherit" });
  const bytes = readFileSync(join(target, "wasm32-unknown-unknown", "wasm", "peeredge_bench_routing_wasm.wasm"));
  const { estimator, fragment } = (await WebAssembly.instantiate(bytes, {})).instance.exports;
  const measure = (everyMs) => {
    const channel = estimator();
    let now = 0;
    let sum = 0;
    const times = Array.from({ length: ROUNDS }, () => {
      const start = performance.now();
      for (let i = 0; i < UPDATES; i++) {
        now += everyMs;
        // Up and down by a third, with a tenth of outages: no branch is always taken.
        sum += fragment(channel, now, i % 10 ? everyMs * (1000 + 300 * Math.sin(i)) : 0);
      }
      return ((performance.now() - start) * 1000) / UPDATES;
    });
    if (!(sum > 0)) throw new Error("the estimator expects nothing");
    return times.sort((a, b) => a - b)[ROUNDS >> 1];
  };
  // A fragment closes a bin of 100 ms, or one in a hundred does.
  const [closing, usual] = [measure(100), measure(1)];
  console.log(`\nan update of a channel's rate in wasm, Node ${process.version}, medians of ${ROUNDS} times ${UPDATES}:`);
  console.log(`${closing.toFixed(3)} us where every fragment closes a bin, ${usual.toFixed(3)} us where one in a hundred does`);
  return { perception_update_wasm_us: closing };
}
