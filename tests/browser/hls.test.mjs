// hls.js plays a film whose segments come from peers, by listed addresses and by links, and from the network where peers fail.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ROOT } from "../../scripts/lib/run.mjs";
import { sample } from "../../scripts/lib/sample.mjs";
import { eventually } from "./flows/flow.mjs";
import { Stage, temporaryFolder } from "./harness.mjs";
import { hlsFiles } from "./hls-files.mjs";
import { MediaSite } from "./media-site.mjs";

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
    window.hls.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && window.failures.push(details));
    const film = document.querySelector("#film");
    window.playback = watchPlayback(film);
    window.hls.loadSource(source);
    window.hls.attachMedia(film);
    await film.play();
  };
</script>`;

let stage, files, links, linked, site, page, context;
beforeAll(async () => {
  const film = readFileSync(await sample());
  files = hlsFiles(film);
  stage = await Stage.open();
  // A publisher's tab: the segments first, whose links the second playlist names.
  const tab = await stage.tab();
  await tab.create();
  const publish = async (name, bytes) => {
    const base64 = Buffer.from(bytes).toString("base64");
    const { link } = await tab.run(
      async ([name, base64]) => {
        const bytes = await (await fetch(`data:application/octet-stream;base64,${base64}`)).blob();
        return harness.peer().publish(bytes, { name });
      },
      [name, base64],
    );
    return link;
  };
  links = {};
  for (const [name, bytes] of Object.entries(files)) links[`/film/${name}`] = await publish(name, bytes);
  const names = hlsFiles(film, (name) => links[`/film/${name}`].replace(/^.*\/c\/([^/]+)\/.*$/, "peeredge:$1"));
  linked = await publish("linked.m3u8", names["index.m3u8"]);
});
afterAll(() => stage?.close());

beforeEach(async () => {
  const served = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/film/${name}`, bytes]));
  const hls = readFileSync(join(ROOT, "node_modules/hls.js/dist/hls.light.min.mjs"));
  site = await MediaSite.start({ "/film.html": PAGE, "/hls.mjs": hls, ...served });
  context = await stage.browser.newContext({ permissions: ["microphone"] });
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${site.url}/film.html`);
  await page.waitForFunction(() => window.play);
});
afterEach(async () => {
  await context.close();
  await site.stop();
});

async function play(source, options = {}, peer = {}) {
  const settings = { relay: stage.relay.url, consent: "granted", ...peer };
  await page.evaluate(([peer, options, source]) => window.play(peer, options, source), [settings, { stallMs: 20_000, ...options }, source]);
}

const at = () => page.evaluate(() => document.querySelector("#film").currentTime);
const counts = () => page.evaluate(() => ({ ...window.loading.counts }));
const playback = () => page.evaluate(() => window.playback.stats());
const asked = () => site.asked.filter(({ path }) => path.startsWith("/film/")).map(({ path }) => path);
const segments = () => Object.keys(files).length - 1;

test("listed addresses: the film plays and seeks, from peers alone", async () => {
  await play("/film/index.m3u8", { routes: links });
  await eventually(async () => (await at()) > 1, "the film plays");
  const { startupMs } = await playback();
  expect(startupMs).toBeGreaterThan(0);
  await page.evaluate(() => void (document.querySelector("#film").currentTime = 20));
  await eventually(async () => (await at()) > 21, "the film plays on after a seek");
  // Seeking is no stall.
  const { stalls } = await playback();
  expect(stalls).toBe(0);
  expect(asked()).toEqual([]);
  expect(await counts()).toMatchObject({ network: 0, fallback: 0 });
  expect((await counts()).peerBytes).toBeGreaterThan(files["0.m4s"].length);
  expect((await page.evaluate(() => window.peer.stats())).fromPeersBytes).toBeGreaterThan(0);
  expect(await page.evaluate(() => window.failures)).toEqual([]);
});

test("a playlist by link names its segments by links", async () => {
  await play(linked.replace(/^.*\/c\/([^/]+)\/.*$/, "peeredge:$1"));
  await eventually(async () => (await at()) > 1, "the film plays");
  expect(asked()).toEqual([]);
  expect((await counts()).peer).toBeGreaterThanOrEqual(3);
});

test("what is not listed is the network's, and so is what the peer cannot give", async () => {
  const { "/film/0.m4s": first } = links;
  const unknown = `peeredge:${"a".repeat(52)}`;
  await play("/film/index.m3u8", { routes: { "/film/0.m4s": first, "/film/init.mp4": unknown }, stallMs: 1000 });
  await eventually(async () => (await at()) > 1, "the film plays");
  expect(asked()).toContain("/film/index.m3u8");
  expect(asked()).toContain("/film/init.mp4");
  // The listed segment is the network's, too, where its peer is not met within the second.
  const { peer, fallback } = await counts();
  expect(fallback).toBeGreaterThanOrEqual(1);
  expect(peer + fallback).toBe(2);
  await eventually(async () => asked().length >= segments() - 1, "the rest comes from the network");
});

test("without consent the network plays it", async () => {
  await play("/film/index.m3u8", { routes: links }, { consent: "denied" });
  await eventually(async () => (await at()) > 1, "the film plays");
  expect(await counts()).toMatchObject({ peer: 0 });
  expect(asked().length).toBeGreaterThanOrEqual(3);
});

test("a film that waits for bytes is counted as stalled", async () => {
  // The first segment is there; every later one never comes.
  await page.route(/\/film\/[1-9]\d*\.m4s$/, () => {});
  await play("/film/index.m3u8");
  await eventually(async () => (await playback()).stalls === 1, "the film stalls");
  await page.waitForTimeout(300);
  expect((await playback()).stalledMs).toBeGreaterThan(200);
});
