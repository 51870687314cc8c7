// npm run bench -- transfer: how fast a file crosses from tab to tab, beside a bare data channel and beside WebTorrent.
//
// Every tab has a browser context of its own, because tabs of one origin share their storage. The programs take turns within
// each round, so that whatever else the machine does meets all of them; a figure is the median over the rounds of the ratio
// within a round. BENCH_ROUNDS (5) and BENCH_MIB (50) make it shorter; BENCH_ONLY=raw,sdk,relay,one,three runs some parts only.
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { run, say } from "../../scripts/lib/run.mjs";
import { sizes } from "../../scripts/lib/steps.mjs";
import { Stage, temporaryFolder } from "../../tests/browser/harness.mjs";
import { randomBytes } from "../../tests/browser/random.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const LENGTH = Number(process.env.BENCH_MIB ?? 50) << 20;
const SMALL = 64 << 10;
/** Messages of the bare channel: as long as symbols are. */
const MESSAGE_BYTES = 16 << 10;
const SEED = 1;
const SECONDS_MAX = 120;

const ALL = ["raw", "sdk", "relay", "one", "three"];
const only = new Set(process.env.BENCH_ONLY?.split(",") ?? ALL);

if (!existsSync(join(HERE, "node_modules/webtorrent"))) {
  say("installing WebTorrent, to compare with …");
  // Its native parts are for Node; here it runs in the browser.
  await run("npm", ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: HERE });
}

const folder = temporaryFolder("bench");
const files = { large: join(folder, "random.bin"), small: join(folder, "small.bin") };
writeFileSync(files.large, randomBytes(SEED, LENGTH));
writeFileSync(files.small, randomBytes(SEED + 1, SMALL));

const stage = await Stage.open({ pages: HERE });
const own = await Stage.open({ relay: { publish: Object.values(files) }, pages: HERE });
const tracker = await startTracker();
try {
  const samples = await measure();
  report(samples);
} finally {
  await stage.close();
  await own.close();
  await new Promise((resolve) => tracker.close(resolve));
}

async function measure() {
  const samples = Object.fromEntries(["raw", "sdk", "relay", "sdk1", "torrent1", "sdk3", "torrent3", "warm", "cold"].map((name) => [name, []]));
  const seeder = await stage.tab();
  await seeder.create();
  const large = (await seeder.publish({ seed: SEED, length: LENGTH })).link;
  const small = (await seeder.publish({ seed: SEED + 1, length: SMALL, name: "small.bin" })).link;
  const links = { large, small };
  const relayLinks = await published();
  const torrents = await torrentTab();
  const magnet = await torrents.run((options) => torrent.seed(options), { seed: SEED, length: LENGTH });

  for (let round = 1; round <= ROUNDS; round++) {
    say(`round ${round} of ${ROUNDS}`);
    if (only.has("raw")) samples.raw.push(await raw());
    if (only.has("sdk")) {
      const { ms, warm, cold } = await warmed(stage, links, "fromPeersBytes");
      samples.sdk.push(ms);
      samples.warm.push(warm);
      samples.cold.push(cold);
    }
    if (only.has("relay")) samples.relay.push((await warmed(own, relayLinks, "fromRelayBytes")).ms);
    for (const [part, tabs] of [["one", 1], ["three", 3]]) {
      if (!only.has(part)) continue;
      // Who goes first changes, so that neither always meets the other's rubbish.
      const turns = [
        async () => samples[`torrent${tabs}`].push(await torrented(tabs, magnet)),
        async () => samples[`sdk${tabs}`].push(await shared(tabs, large)),
      ];
      if (round % 2) turns.reverse();
      for (const turn of turns) await turn();
    }
  }
  return samples;
}

/** Milliseconds over a bare data channel that is open already. */
async function raw() {
  const [a, b] = [await page("channel"), await page("channel")];
  for (const tab of [a, b]) await tab.run(() => channel.open());
  const offer = await a.run(() => channel.describe());
  await a.run((answer) => channel.accept(answer), await b.run((offer) => channel.describe(offer), offer));
  for (const tab of [a, b]) await tab.run(() => channel.opened());
  await a.run(([length, bytes]) => channel.serve(length, bytes), [LENGTH, MESSAGE_BYTES]);
  const ms = await within(b.run((length) => channel.receive(length), LENGTH));
  await done(a, b);
  return ms;
}

/** Milliseconds from `createPeer` to a first byte, from `fetch` to one when connected, and milliseconds for the large file over the connection that is open by then. */
async function warmed(on, { large, small }, counter) {
  const tab = await on.tab();
  const cold = await within(
    tab.run(
      async ([options, link]) => {
        const began = performance.now();
        await harness.create(options);
        const createMs = performance.now() - began;
        const { firstByteMs } = await harness.fetch({ link, seed: null, range: null, abortAfter: null });
        return createMs + firstByteMs;
      },
      [{ relay: on.relay.url, consent: "granted", tuning: { http: false } }, small],
    ),
  );
  const { firstByteMs, lastByteMs, bytes } = await within(tab.fetch(large));
  if (bytes !== LENGTH) throw new Error(`${bytes} bytes arrived`);
  const stats = await tab.stats();
  if (stats[counter] < LENGTH) throw new Error(`${counter} is ${stats[counter]}`);
  await done(tab);
  return { ms: lastByteMs, warm: firstByteMs, cold };
}

/** Milliseconds until the last of so many fresh tabs has the whole file. */
async function shared(tabs, link) {
  const receivers = await Promise.all(Array.from({ length: tabs }, () => stage.tab()));
  for (const tab of receivers) await tab.create();
  const began = performance.now();
  const results = await within(Promise.all(receivers.map((tab) => tab.fetch(link))));
  const ms = performance.now() - began;
  for (const { bytes } of results) if (bytes !== LENGTH) throw new Error(`${bytes} bytes arrived`);
  await done(...receivers);
  return ms;
}

async function torrented(tabs, magnet) {
  const receivers = await Promise.all(Array.from({ length: tabs }, torrentTab));
  const began = performance.now();
  const results = await within(Promise.all(receivers.map((tab) => tab.run((magnet) => torrent.fetch(magnet), magnet))));
  const ms = performance.now() - began;
  for (const { bytes } of results) if (bytes !== LENGTH) throw new Error(`${bytes} bytes arrived`);
  await done(...receivers);
  return ms;
}

async function torrentTab() {
  const tab = await page("torrent");
  await tab.run((announce) => torrent.create(announce), `ws://127.0.0.1:${tracker.ws.address().port}`);
  return tab;
}

/** A tab with one of this folder's modules as a global of its name. */
async function page(name) {
  const tab = await stage.tab();
  await tab.page.evaluate(`import("/${name}.mjs").then((module) => void (window.${name} = module))`);
  return tab;
}

async function done(...tabs) {
  for (const tab of tabs) await tab.context.close();
}

async function published() {
  for (let tries = 0; tries < 600; tries++) {
    const list = await (await fetch(`${own.relay.url}/api/contents`)).json();
    const of = (name) => list.find((entry) => entry.name === name)?.link;
    if (of("random.bin") && of("small.bin")) return { large: of("random.bin"), small: of("small.bin") };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the relay did not publish its files");
}

async function startTracker() {
  // By its path: the package's main entry also wants WebRTC for Node.
  const path = join(HERE, "node_modules/bittorrent-tracker/server.js");
  const { default: Server } = await import(pathToFileURL(path));
  const server = new Server({ udp: false, http: false, ws: true, stats: false });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${SECONDS_MAX} s`)), SECONDS_MAX * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over the rounds of what one program took in a round by what another took in the same round. */
function ratio(a, b) {
  return median(a.map((value, round) => value / b[round]));
}

function report(samples) {
  const { jsGzipBytes, wasmGzipBytes } = sizes();
  const rows = [
    ["bare data channel, one tab to another", "raw"],
    ["PeerEdge, tab to tab, connected before", "sdk"],
    ["PeerEdge, relay to tab, connected before", "relay"],
    ["PeerEdge, to one tab", "sdk1"],
    ["WebTorrent, to one tab", "torrent1"],
    ["PeerEdge, to three tabs", "sdk3"],
    ["WebTorrent, to three tabs", "torrent3"],
  ].filter(([, name]) => samples[name].length > 0);
  const seconds = (ms) => (ms / 1000).toFixed(2).padStart(7);
  console.log(`\n${LENGTH / (1 << 20)} MiB, seconds to the last byte (median, least, most), Mbit/s by the median`);
  for (const [what, name] of rows) {
    const times = samples[name];
    const rate = ((LENGTH * 8) / (median(times) * 1000)).toFixed(0).padStart(6);
    console.log(`  ${what.padEnd(42)}${seconds(median(times))}${seconds(Math.min(...times))}${seconds(Math.max(...times))}${rate}`);
  }
  const figures = {};
  const add = (key, value) => (figures[key] = Number(value.toFixed(3)));
  if (samples.raw.length && samples.sdk.length) add("sdk_over_raw", ratio(samples.raw, samples.sdk));
  if (samples.raw.length && samples.relay.length) add("relay_over_raw", ratio(samples.raw, samples.relay));
  if (samples.sdk1.length) add("time_over_webtorrent_1", ratio(samples.sdk1, samples.torrent1));
  if (samples.sdk3.length) add("time_over_webtorrent_3", ratio(samples.sdk3, samples.torrent3));
  if (samples.warm.length) {
    add("first_byte_ms_warm", median(samples.warm));
    add("first_byte_ms_cold", median(samples.cold));
  }
  add("js_gzip_bytes", jsGzipBytes);
  add("wasm_gzip_bytes", wasmGzipBytes);
  console.log("");
  for (const [key, value] of Object.entries(figures)) console.log(`  ${key.padEnd(42)}${String(value).padStart(9)}`);
  console.log(`\n${JSON.stringify({ bench: "transfer", figures })}`);
}
