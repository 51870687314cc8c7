// Part `cellular`: four senders with recorded 3G and 4G uplinks, beside the fluid bound: the time in which the four links together
// carry as many bytes, headers not counted, as the file has. Nothing that uses only these links can be sooner. In the first run of each
// round bare channels, one over each of the same links, carry as many bytes together: what the browser's transport makes of them.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../tests/browser/harness.mjs";
import { ROOT } from "../../scripts/lib/run.mjs";
import { MIB, SYMBOL_BYTES, Scene, done, mbit, quantile, sleep, timed, within } from "./scene.mjs";

const SENDERS = 4;
const SEED = 20;
const DELAY_MS = 25;
/** About 100 ms of a fast 3G link: what a well-kept base station queues. */
const QUEUE_BYTES = 128 << 10;
/** Recordings above this mean are left out: two cores would be the limit, not the links. */
const MEAN_BYTES_PER_S_MAX = 2_500_000;

export async function cellular({ rounds, quick, figures, row, say }) {
  const traces = readTraces();
  if (!traces) return say(`cellular is skipped: no sabre_3Glogs.tar.xz in ${dataFolder()} (PEEREDGE_DATA names another folder)`);
  const seconds = quick ? 10 : 20;
  const draws = quick ? 2 : 4;
  const scene = await Scene.open();
  const [ratios, rates, bare] = [[], [], []];
  try {
    for (let run = 0; run < rounds * draws; run++) {
      const links = Array.from({ length: SENDERS }, (_, n) => draw(traces, SEED + run * SENDERS + n));
      const length = Math.floor(links.reduce((sum, steps) => sum + carried(steps, seconds), 0));
      say(`recorded uplinks, run ${run + 1} of ${rounds * draws}: ${(length / MIB).toFixed(1)} MiB`);
      const boundS = fluid(links, length);
      const tabs = [];
      let link;
      for (let n = 0; n < SENDERS; n++) {
        const tab = await scene.tab(`cellular ${run} ${n}`, { up: { delay_ms: DELAY_MS } });
        ({ link } = await tab.publish({ seed: run, length }));
        tabs.push(tab);
      }
      const receiver = await scene.tab(`cellular ${run} receiver`, { up: { delay_ms: DELAY_MS } }, { tuning: { http: false } });
      await play(scene, links, (n) => `cellular ${run} ${n}`);
      const ms = await timed(receiver, link, length, 20 * seconds);
      ratios.push(ms / 1000 / boundS);
      rates.push((length * 1000) / ms);
      await done(receiver, ...tabs);
      if (run % draws === 0) bare.push((await bareChannels(scene, links, length, `bare ${run}`)) / 1000 / boundS);
    }
  } finally {
    await scene.close();
  }
  row("recorded 3G and 4G uplinks, four senders", mbit(quantile(rates, 0.5)), "Mbit/s", ratios.map((r) => r.toFixed(2)).join(" "));
  row("the same by a bare channel over each, over the fluid bound", quantile(bare, 0.5), "", bare.map((r) => r.toFixed(2)).join(" "));
  figures.cellular_over_fluid_p50 = quantile(ratios, 0.5);
  figures.cellular_over_fluid_p99 = quantile(ratios, 0.99);
}

/** The recordings begin now. */
async function play(scene, links, name) {
  for (const [n, steps] of links.entries()) {
    await scene.lab.endpoint(name(n), { up: { steps, delay_ms: DELAY_MS, queue_bytes: QUEUE_BYTES } });
  }
}

/** Milliseconds until one bare channel over each link have carried so many bytes together. */
async function bareChannels(scene, links, length, name) {
  const pairs = [];
  for (const n of links.keys()) {
    pairs.push(await scene.channel([`${name} ${n}`, `${name} to ${n}`], { up: { delay_ms: DELAY_MS } }));
  }
  await play(scene, links, (n) => `${name} ${n}`);
  const began = performance.now();
  for (const [from, to] of pairs) {
    await to.run(() => channel.count());
    await from.run((messageBytes) => void channel.flood(messageBytes), SYMBOL_BYTES);
  }
  const counted = () => Promise.all(pairs.map(([, to]) => to.run(() => channel.counted())));
  const all = async () => {
    while ((await counted()).reduce((sum, bytes) => sum + bytes, 0) < length) await sleep(50);
  };
  await within(600, all());
  const ms = performance.now() - began;
  await done(...pairs.flat());
  return ms;
}

const dataFolder = () => join(process.env.PEEREDGE_DATA ?? join(ROOT, "../shared/data"), "perception");

/** Lists of `[ms, bytes a second]`, by recording; null when they are not there. */
function readTraces() {
  const archives = ["sabre_3Glogs.tar.xz", "sabre_4Glogs.tar.xz"].map((name) => join(dataFolder(), name));
  if (!archives.every(existsSync)) return null;
  return archives.map((archive) => {
    const folder = temporaryFolder("traces");
    execFileSync("tar", ["-xJf", archive, "-C", folder]);
    const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".json"));
    const all = files.sort().map((name) => {
      const entries = JSON.parse(readFileSync(join(folder, name), "utf8"));
      return entries.map(({ duration_ms, bandwidth_kbps }) => [duration_ms, (bandwidth_kbps * 1000) / 8]);
    });
    return all.filter((steps) => carried(steps, 60) / 60 < MEAN_BYTES_PER_S_MAX);
  });
}

/** One recording, of 3G three times in four, from a moment in it on. */
function draw(traces, seed) {
  const [threeG, fourG] = traces;
  const from = seed % 4 === 3 ? fourG : threeG;
  const dice = (seed * 2654435761) >>> 0;
  const steps = from[dice % from.length];
  const at = (dice >>> 8) % steps.length;
  return [...steps.slice(at), ...steps.slice(0, at)];
}

/** Bytes that a recording carries in its first so many seconds. */
function carried(steps, seconds) {
  let [left, bytes] = [seconds * 1000, 0];
  for (let n = 0; left > 0; n++) {
    const [ms, rate] = steps[n % steps.length];
    const used = Math.min(ms, left);
    bytes += (rate * used) / 1000;
    left -= used;
  }
  return bytes;
}

/** Seconds until all recordings together have carried so many bytes. */
function fluid(links, length) {
  let [low, high] = [0, 1];
  const all = (seconds) => links.reduce((sum, steps) => sum + carried(steps, seconds), 0);
  while (all(high) < length) high *= 2;
  for (let n = 0; n < 40; n++) {
    const middle = (low + high) / 2;
    if (all(middle) < length) low = middle;
    else high = middle;
  }
  return high;
}
