// Part `simulated`: twenty tabs on slow links fetch one file from one publisher, and the simulator plays the same: `crates/sim` with its
// model of links, and the same node. The figure is real over simulated time, of the median visitor and of the last.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../../scripts/lib/run.mjs";
import { MIB, Scene, done, median, sleep, timed } from "./scene.mjs";

const VISITORS = 20;
const SEED = 61;
/** Slow enough that two cores carry all of it: the links are the limit, as in the simulator. */
const LINK = { publisherUp: 400_000, up: 100_000, down: 1_000_000, delayMs: 15, queueBytes: 64 << 10 };
const EVERY_MS = 250;

export async function simulated({ quick, rounds, figures, row, say }) {
  const length = (quick ? 2 : 4) * MIB;
  const model = simulate(length, SEED);
  const samples = [];
  for (let round = 1; round <= rounds; round++) {
    say(`${VISITORS} tabs on slow links, round ${round} of ${rounds}`);
    samples.push(await play(length, round));
  }
  const last = (times) => Math.max(...times);
  const real = { median: median(samples.map(median)), last: median(samples.map(last)) };
  row(`${VISITORS} tabs, one publisher: the median visitor`, real.median / 1000, "s", `simulated ${(median(model) / 1000).toFixed(1)} s`);
  row(`${VISITORS} tabs, one publisher: the last`, real.last / 1000, "s", `simulated ${(last(model) / 1000).toFixed(1)} s`);
  figures.real_over_simulated_median = real.median / median(model);
  figures.real_over_simulated_last = real.last / last(model);
}

/** Milliseconds of each visitor. */
function simulate(length, seed) {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
  execFileSync("cargo", ["build", "--quiet", "--release", "-p", "peeredge-sim", "--example", "tabs"], { cwd: ROOT, stdio: "inherit" });
  const words = [VISITORS, length, LINK.publisherUp, LINK.up, LINK.down, LINK.delayMs * 1000, EVERY_MS, seed];
  const times = JSON.parse(execFileSync(join(target, "release/examples/tabs"), words.map(String), { encoding: "utf8" }));
  if (times.includes(null)) throw new Error("a simulated visitor did not get the file");
  return times;
}

async function play(length, round) {
  const scene = await Scene.open();
  const links = (up) => ({
    up: { bytes_per_s: up, delay_ms: LINK.delayMs, queue_bytes: LINK.queueBytes },
    down: { bytes_per_s: LINK.down, delay_ms: LINK.delayMs, queue_bytes: LINK.queueBytes },
  });
  try {
    const publisher = await scene.tab(`simulated ${round} publisher`, links(LINK.publisherUp));
    const { link } = await publisher.publish({ seed: SEED, length });
    const tabs = [];
    for (let n = 0; n < VISITORS; n++) {
      tabs.push(await scene.tab(`simulated ${round} ${n}`, links(LINK.up), { tuning: { http: false }, store: { kind: "memory" } }));
    }
    const times = await Promise.all(
      tabs.map(async (tab, n) => {
        await sleep(n * EVERY_MS);
        return timed(tab, link, length, 600);
      }),
    );
    if (process.env.BENCH_LOG) {
      // What the uplinks carried: payload, repeated payload, headers and all else; in lengths of the file.
      for (const tab of [publisher, ...tabs]) {
        const { duplicateBytes, sentBytes, connectionsMade } = await tab.stats();
        const { up } = await scene.lab.counts(tab.name);
        const lengths = [duplicateBytes, sentBytes, up.bytes].map((bytes) => (bytes / length).toFixed(2));
        console.log(`twice ${lengths[0]}, sent ${lengths[1]}, on the uplink ${lengths[2]}; of ${up.packets} packets ${up.dropped} dropped; ${connectionsMade} connections`);
      }
    }
    await done(publisher, ...tabs);
    return times;
  } finally {
    await scene.close();
  }
}
