// The loader for hls.js when holders are slow, the site's server is odd, or a playlist comes from a stranger.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ROOT } from "../../scripts/lib/run.mjs";
import { sample } from "../../scripts/lib/sample.mjs";
import { eventually } from "../browser/flows/flow.mjs";
import { Stage } from "../browser/harness.mjs";
import { hlsFiles } from "../browser/hls-files.mjs";
import { attacked } from "./attack.mjs";
import { HOW, OddSite, first, holder } from "./odd-site.mjs";

const PAGE = `<!doctype html><meta charset="utf-8" /><link rel="icon" href="data:," /><title>film</title>
<video id="film" muted width="640"></video>
<script type="module">
  import Hls from "/hls.mjs";
  import { createPeer } from "/peeredge/dist/index.js";
  import { hlsLoader, watchPlayback } from "/peeredge/dist/hls/index.js";
  window.play = async (peerOptions, options, source) => {
    window.peer = await createPeer(peerOptions);
    window.loading = hlsLoader(window.peer, { ...options, network: Hls.DefaultConfig.loader });
    window.hls = new Hls({ loader: window.loading.loader });
    window.failures = [];
    window.loaded = [];
    window.hls.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && window.failures.push(details));
    window.hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => window.loaded.push({ loaded: frag.stats.loaded, ...frag.stats.loading }));
    const film = document.querySelector("#film");
    window.playback = watchPlayback(film);
    window.hls.loadSource(source);
    window.hls.attachMedia(film);
    film.play().catch(() => undefined);
  };
</script>`;

let stage, files, site, page, context;
beforeAll(async () => {
  files = Object.fromEntries(Object.entries(hlsFiles(readFileSync(await sample()))).map(([name, bytes]) => [`/film/${name}`, bytes]));
  stage = await Stage.open();
});
afterAll(() => stage?.close());

beforeEach(async () => {
  const hls = readFileSync(join(ROOT, "node_modules/hls.js/dist/hls.light.min.mjs"));
  site = await OddSite.start({ "/film.html": PAGE, "/hls.mjs": hls, ...files });
  context = await stage.browser.newContext({ permissions: ["microphone"] });
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${site.url}/film.html`);
  await page.waitForFunction(() => window.play);
  site.forget();
});
afterEach(async () => {
  await context.close();
  await site.stop();
  await stage.closeTabs();
});

const play = (source, options) => page.evaluate((settings) => window.play(...settings), [{ relay: stage.relay.url, consent: "granted" }, options, source]);
const at = () => page.evaluate(() => document.querySelector("#film").currentTime);
const askedForFilm = () => site.asked.filter(({ path }) => path.startsWith("/film/") && path !== "/film/index.m3u8").length;

test("one slow holder: the site's server helps, and the film does not stand still", async () => {
  const { links } = await holder(stage, files, 60_000);
  await play("/film/index.m3u8", { routes: links });
  await eventually(async () => (await at()) > 8, "the film plays");
  const { startupMs, stalls } = await page.evaluate(() => window.playback.stats());
  attacked({ room: "adapters", kind: "servers", name: "one holder with 60 kB/s behind the loader for hls.js", spent: "1 tab", lost: `starts after ${(startupMs / 1000).toFixed(1)} s, ${stalls} stalls`, held: askedForFilm() > 0 && stalls === 0 });
});

test("one slow holder, and a server that the engine cannot ask: hls.js's own loader takes over", async () => {
  const { links } = await holder(stage, files, 60_000);
  // Only with the visitor's cookie.
  for (const path of Object.keys(files)) site.how[path] = (all) => (all.request.headers.cookie?.includes("visitor=1") ? HOW.well(all) : all.response.writeHead(403).end());
  await page.evaluate(() => void (document.cookie = "visitor=1"));
  await play("/film/index.m3u8", { routes: links });
  await eventually(async () => (await at()) > 4, "the film plays");
  const { counts, loaded, estimate } = await page.evaluate(() => ({ counts: { ...window.loading.counts }, loaded: window.loaded, estimate: window.hls.bandwidthEstimate }));
  // What hls.js measured is what the network gave.
  const seen = loaded.every(({ loaded, start, first, end }) => loaded > 10_000 && start > 0 && first >= start && end >= first && end - start < 3000);
  attacked({ room: "adapters", kind: "servers", name: "one holder with 60 kB/s, and a server behind a login, behind the loader for hls.js", spent: "1 tab", lost: `an estimate of ${(estimate / 1e6).toFixed(1)} Mbit/s`, held: counts.fallback > 0 && seen && estimate > 1e6 });
});

test("nobody has the film: the site's server plays it", async () => {
  const links = Object.fromEntries(Object.keys(files).map((path, n) => [path, `peeredge:${"abcdefghijklmnopqrstuvwxyz234567"[n % 32].repeat(51)}a`]));
  await play("/film/index.m3u8", { routes: links });
  await eventually(async () => (await at()) > 4, "the film plays");
  const { startupMs, stalls } = await page.evaluate(() => window.playback.stats());
  const counts = await page.evaluate(() => ({ ...window.loading.counts }));
  attacked({ room: "adapters", kind: "servers", name: "links that nobody holds behind the loader for hls.js", spent: "1 playlist", lost: `starts after ${(startupMs / 1000).toFixed(1)} s`, held: counts.peer === 0 && stalls === 0 });
});

test("a server that is silent once does not stop the film", async () => {
  for (const path of Object.keys(files)) if (path.endsWith(".m4s")) site.how[path] = first(1, HOW.silent);
  const { links } = await holder(stage, files);
  await play("/film/index.m3u8", { routes: links });
  await eventually(async () => (await at()) > 4, "the film plays");
  attacked({ room: "adapters", kind: "servers", name: "a site's server that is silent beside good holders", spent: "1 server", lost: "nothing", held: (await page.evaluate(() => window.failures.length)) === 0 });
});

const HOSTILE = {
  "that is far too long": () => `#EXTM3U\n${"#EXTINF:4,\n/film/0.m4s\n".repeat(500_000)}`,
  "with addresses that are none": () => `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:7\n#EXTINF:4,\nhttp://[\n#EXTINF:4,\npeeredge:nobody\n#EXTINF:4,\njavascript:alert(1)\n#EXT-X-ENDLIST\n`,
  "that is no text": () => Buffer.alloc(100_000, 0xff),
};
test.each(Object.entries(HOSTILE))("a stranger's playlist %s is an error of hls.js, and nothing else", async (name, make) => {
  const { links } = await holder(stage, { "/film/hostile.m3u8": make() });
  const errors = [];
  page.on("pageerror", ({ message }) => errors.push(message));
  await play(links["/film/hostile.m3u8"].replace(/^.*\/c\/([^/]+)\/.*$/, "peeredge:$1"), {});
  await page.waitForFunction(() => window.failures.length > 0);
  const alive = await page.evaluate(() => window.peer.stats().then(() => !window.peer.closed));
  attacked({ room: "adapters", kind: "page", name: `a playlist ${name}`, spent: "1 published file", lost: errors.join() || "nothing", held: alive && errors.length === 0 });
  expect(askedForFilm()).toBe(0);
});
