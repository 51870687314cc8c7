// Part `swarm`: twenty tabs play one file from one relay whose uplink carries twice the file's rate; half of the tabs leave.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../tests/browser/harness.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { publishedLink } from "../../tests/browser/flows/flow.mjs";
import { Scene, done, load, median, sleep, within } from "./scene.mjs";

const TABS = 20;
/** 0.8 Mbit/s: twenty of them are what two cores decrypt, hash and copy many times over. */
const BYTES_PER_S = 100_000;
const UPLOAD_BYTES_PER_S = 3 * BYTES_PER_S;
/** The relay's operator has said what its uplink carries, headers not counted: faster, and the queue would drop what then waits for timers. */
const RELAY_BYTES_PER_S = 1.65 * BYTES_PER_S;
/** Between two visitors. Their pages are loaded before the first one comes: each would do that on a machine of its own. */
const ARRIVE_EVERY_S = 2.5;
/**
 * Tabs of one profile share a process here, as in a browser that is short of memory. With a process for each tab two cores do little but
 * pass packets between processes, which twenty visitors' machines would not; with one process for all, its one thread for pages is what
 * everybody waits for.
 */
const PROFILES = 4;
const FLAGS = ["--process-per-site"];
const START_S = 2;
const AHEAD_S = 20;
const SEED = 41;

export async function swarm({ quick, rounds, figures, row, say }) {
  const seconds = quick ? 40 : 90;
  const length = seconds * BYTES_PER_S;
  const path = join(temporaryFolder("swarm"), "random.bin");
  writeFileSync(path, randomBytes(SEED, length));
  const samples = [];
  for (let round = 1; round <= rounds; round++) {
    say(`a swarm of ${TABS} tabs, round ${round} of ${rounds}`);
    samples.push(await play({ path, length, seconds, round }));
  }
  const of = (key) => median(samples.map((sample) => sample[key]));
  row(`${TABS} tabs: stalls`, of("stalls"), "", `${of("stalledS").toFixed(1)} s in all`);
  row(`${TABS} tabs: start`, of("startS"), "s", "the median tab");
  row(`${TABS} tabs: share that the relay sent`, of("originShare"));
  row(`${TABS} tabs: the busiest uplink over its cap`, of("uploadOverCap"));
  figures.swarm20_stalls = of("stalls");
  figures.swarm20_origin_share = of("originShare");
  figures.swarm20_upload_over_cap = of("uploadOverCap");
}

async function play({ path, length, seconds, round }) {
  const links = { up: { bytes_per_s: 2 * BYTES_PER_S, delay_ms: 10, queue_bytes: 64 << 10 } };
  const relay = { publish: [path], settings: { upload_bytes_per_s_max: RELAY_BYTES_PER_S } };
  const scene = await Scene.open({ relay, links, flags: FLAGS });
  try {
    const link = await publishedLink(scene.stage.relay);
    const tabs = [];
    const views = [];
    for (let n = 0; n < TABS; n++) {
      // A phone's or a home's uplink: the cap below it holds by itself.
      const context = tabs[n - PROFILES]?.context;
      const tab = await scene.tab(`swarm ${round} ${n}`, { up: { bytes_per_s: 6 * BYTES_PER_S, delay_ms: 15 } }, null, context);
      await load(tab, "play");
      tabs.push(tab);
    }
    const firstAt = performance.now();
    for (const [n, tab] of tabs.entries()) {
      await sleep(Math.max(0, firstAt + 1000 * ARRIVE_EVERY_S * n - performance.now()));
      tab.began = performance.now();
      await tab.create({ relay: tab.relayUrl, caps: { uploadBytesPerSecond: UPLOAD_BYTES_PER_S }, store: { kind: "memory" } });
      const options = { link, bytesPerSecond: BYTES_PER_S, startBytes: START_S * BYTES_PER_S, aheadBytes: AHEAD_S * BYTES_PER_S };
      views.push(tab.run((options) => play.stream(options), options).catch((error) => ({ error })));
    }
    const began = performance.now();
    // Half of them go one after the other, the first after a quarter of the time, the last after three.
    const leavers = tabs.filter((_, n) => n % 2 === 1);
    let delivered = 0;
    const uploads = [];
    const see = async (tab) => {
      const stats = await tab.stats();
      delivered += stats.fromPeersBytes + stats.fromRelayBytes + stats.fromHttpBytes;
      uploads.push(stats.sentBytes / ((performance.now() - tab.began) / 1000) / UPLOAD_BYTES_PER_S);
    };
    for (const [n, tab] of leavers.entries()) {
      const at = seconds * 1000 * (0.25 + (0.5 * n) / leavers.length);
      await sleep(Math.max(0, at - (performance.now() - began)));
      await see(tab);
      await tab.close();
    }
    const stayers = tabs.filter((_, n) => n % 2 === 0);
    const results = await within(4 * seconds, Promise.all(views.filter((_, n) => n % 2 === 0)));
    for (const result of results) if (result.error) throw result.error;
    for (const tab of stayers) await see(tab);
    // What the relay gave, by whichever way: its uplink is counted, headers and all.
    const origin = (await scene.lab.counts("relay")).up.bytes;
    await done(...stayers);
    return {
      stalls: results.reduce((sum, { stalls }) => sum + stalls, 0),
      stalledS: results.reduce((sum, { stalledMs }) => sum + stalledMs, 0) / 1000,
      startS: median(results.map(({ startMs }) => startMs)) / 1000,
      originShare: origin / delivered,
      uploadOverCap: Math.max(...uploads),
    };
  } finally {
    await scene.close();
  }
}
