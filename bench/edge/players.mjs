// Part `players`: how soon a film starts by hls.js, and how soon a file is there by fetch, with one slow holder (60 kB/s), with nobody, and
// by plain HTTP alone: from the same server, in the same run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/lib/run.mjs";
import { sample } from "../../scripts/lib/sample.mjs";
import { OddSite, holder } from "../../tests/attacks/odd-site.mjs";
import { Stage, packedPackage } from "../../tests/browser/harness.mjs";
import { hlsFiles } from "../../tests/browser/hls-files.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";
import { MIB, median } from "./scene.mjs";

const HOLDER_BYTES_PER_S = 60_000;
const PAGE = `<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><video id="film" muted></video>
<script type="module">
  import Hls from "/hls.mjs";
  import { createPeer } from "/peeredge/dist/index.js";
  import { hlsLoader, watchPlayback } from "/peeredge/dist/hls/index.js";
  import { serveThroughPeer } from "/peeredge/dist/sw/register.js";
  window.play = async (relay, routes) => {
    const film = document.querySelector("#film");
    const peer = relay && (await createPeer({ relay, consent: "granted" }));
    const hls = new Hls(peer ? { loader: hlsLoader(peer, { routes, network: Hls.DefaultConfig.loader }).loader } : {});
    window.playback = watchPlayback(film);
    hls.loadSource("/film/index.m3u8");
    hls.attachMedia(film);
    film.play().catch(() => undefined);
  };
  window.route = async (relay, routes) => serveThroughPeer(await createPeer({ relay, consent: "granted" }), { routes });
  window.download = async () => {
    const began = performance.now();
    const bytes = (await (await fetch("/data.bin")).arrayBuffer()).byteLength;
    return { ms: performance.now() - began, bytes };
  };
</script>`;

export async function players({ rounds, figures, row, say }) {
  const film = Object.fromEntries(Object.entries(hlsFiles(readFileSync(await sample()))).map(([name, bytes]) => [`/film/${name}`, bytes]));
  const files = { ...film, "/data.bin": Buffer.from(randomBytes(7, 4 * MIB)) };
  const hls = readFileSync(join(ROOT, "node_modules/hls.js/dist/hls.light.min.mjs"));
  const worker = readFileSync(join(packedPackage(), "dist/sw/worker.js"));
  const stage = await Stage.open();
  const site = await OddSite.start({ ...files, "/page.html": PAGE, "/hls.mjs": hls, "/peeredge-sw.js": worker });
  const times = {};
  const note = (what, ms) => (times[what] ??= []).push(ms);
  try {
    const { links } = await holder(stage, files, HOLDER_BYTES_PER_S);
    const nobody = Object.fromEntries(Object.keys(files).map((path, n) => [path, `peeredge:${"abcdefghijklmnopqrstuvwxyz"[n % 26].repeat(51)}a`]));
    for (let round = 1; round <= rounds; round++) {
      say(`players, round ${round} of ${rounds}`);
      for (const [what, routes] of Object.entries({ plain: null, "one slow holder": links, nobody })) {
        const settings = [routes && stage.relay.url, routes];
        const played = await opened(stage, site);
        await played.evaluate((settings) => window.play(...settings), settings);
        // Half a minute, or what a player that stands still takes for it.
        await played.waitForFunction(() => document.querySelector("#film").currentTime > 20, null, { timeout: 120_000 });
        const { startupMs, stalledMs } = await played.evaluate(() => window.playback.stats());
        note(`loader, ${what}: start`, startupMs);
        note(`loader, ${what}: standing still`, stalledMs);
        await played.context().close();
        const read = await opened(stage, site);
        if (routes) await read.evaluate((settings) => window.route(...settings), settings);
        const { ms, bytes } = await read.evaluate(() => window.download());
        if (bytes !== files["/data.bin"].length) throw new Error(`${bytes} bytes arrived`);
        note(`worker, ${what}: 4 MiB`, ms);
        await read.context().close();
      }
    }
  } finally {
    await site.stop();
    await stage.close();
  }
  for (const [what, all] of Object.entries(times)) row(what, median(all) / 1000, "s");
  figures.loader_start_over_plain = median(times["loader, one slow holder: start"]) / median(times["loader, plain: start"]);
  figures.worker_time_over_plain = median(times["worker, one slow holder: 4 MiB"]) / median(times["worker, plain: 4 MiB"]);
}

async function opened(stage, site) {
  const context = await stage.browser.newContext({ permissions: ["microphone"] });
  const page = await context.newPage();
  await page.goto(`${site.url}/page.html`);
  await page.waitForFunction(() => window.play);
  return page;
}
